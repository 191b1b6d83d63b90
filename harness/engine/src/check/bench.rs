//! What the checks of one server share: where it is, what is known of it, and a measurement that serves several.

use std::future::Future;
use std::path::PathBuf;

use pgdrill_backup::archive::Snapshot;
use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::Evidence;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::units::Major;
use pgdrill_model::world::{Clock, Place};
use tokio_postgres::Error;
use tokio_util::sync::CancellationToken;

use super::outcome::{Outcome, take_down};
use super::{collations, fingerprints, read_all, row_counts, sequences};
use crate::connections::{Connected, Connections};
use crate::content::{Content, Measure, measure};
use crate::drill::{Baseline, Drill, FirstWrite};
use crate::record::Recorder;
use crate::server::Server;
use crate::session::{Door, describe};
use crate::workspace::Workspace;

/// What the checks of one server share.
pub(super) struct Bench<'a> {
    pub(super) place: &'a dyn Place,
    pub(super) socket: PathBuf,
    pub(super) clock: &'a dyn Clock,
    pub(super) recorder: &'a Recorder<'a>,
    pub(super) workspace: &'a Workspace,
    pub(super) major: Major,
    pub(super) connections: Connections,
    pub(super) baseline: Option<&'a Baseline>,
    pub(super) first_write: Option<&'a Result<FirstWrite, String>>,
    pub(super) archive: Option<&'a Snapshot>,
    pub(super) restored_from: &'a [Member],
    /// Cancelled when nobody reads definitions any more, so that they may change.
    pub(super) definitions_read: CancellationToken,
}

impl<'a> Bench<'a> {
    pub(super) fn new(drill: &'a Drill<'_>, server: &'a Server) -> Self {
        Self {
            place: server.place(),
            socket: server.socket.clone(),
            clock: drill.clock,
            recorder: drill.recorder,
            workspace: drill.workspace,
            major: drill.postgres,
            connections: Connections::default(),
            baseline: drill.baseline.as_ref(),
            first_write: drill.first_write.as_ref(),
            archive: drill.archive.as_ref(),
            restored_from: &drill.restored_from,
            definitions_read: CancellationToken::new(),
        }
    }

    /// A session of the superuser with `database`, when there is room for it.
    pub(super) async fn session(&self, database: &str) -> Result<Connected<'_>, Unable> {
        let door = Door::reading(&self.socket, database);
        self.connections.open(&door).await.map_err(|error| self.lost(&error))
    }

    /// A question that the server did not answer.
    pub(super) fn lost(&self, error: &Error) -> Unable {
        Unable::new(Code::ServerLost, format!("the recovered server could not be asked: {}", describe(error)))
    }

    /// Makes a check, and takes it down with its time.
    pub(super) async fn timed(&self, check: Check, run: impl Future<Output = Result<Outcome, Unable>>) {
        let began = self.clock.elapsed();
        let outcome = run.await.unwrap_or_else(Outcome::unable);
        take_down(self.recorder, check, outcome, self.clock.elapsed().saturating_sub(began));
    }

    /// Reads every table once, for all checks that look at rows. Its time counts with each of them.
    pub(super) async fn content(&self, checks: Vec<Check>) {
        let began = self.clock.elapsed();
        let what = Measure {
            system: checks.contains(&Check::ReadAll),
            without_xid: self.first_write.and_then(|written| Some(written.as_ref().ok()?.xid.clone())),
        };
        let content = measure(&self.socket, &what, &self.connections, self.recorder).await;
        for check in checks {
            let outcome = match &content {
                Ok(content) => self.judge(check, content),
                Err(error) => Outcome::unable(self.lost(error)),
            };
            take_down(self.recorder, check, outcome, self.clock.elapsed().saturating_sub(began));
        }
    }

    fn judge(&self, check: Check, content: &Content) -> Outcome {
        let outcome = match (check, self.baseline) {
            (Check::RowCounts, Some(baseline)) => row_counts::compare(&baseline.content, content),
            (Check::Fingerprints, Some(baseline)) => fingerprints::compare(&baseline.content, content),
            (Check::ReadAll, _) => read_all::judge(content),
            _ => Outcome::not_captured(),
        };
        // What was found stays, but a table that was not looked at leaves the check undone.
        match content.undecided() {
            Some(why) => Outcome { not_run: true, summary: why, ..outcome },
            None => outcome,
        }
    }

    pub(super) async fn sequences(&self) -> Result<Outcome, Unable> {
        let expected = self.baseline.and_then(|baseline| baseline.sequences.as_ref());
        let Some(expected) = expected else { return Ok(Outcome::not_captured()) };
        let found = crate::sequences::read(&self.socket, &self.connections).await;
        Ok(sequences::judge(expected, &found.map_err(|error| self.lost(&error))?))
    }

    /// Takes down what the server is and by which versions it orders text, whether that is judged or not.
    pub(super) async fn collations(&self, judged: bool) {
        let began = self.clock.elapsed();
        let found = crate::collations::read(&self.socket, self.major, &self.connections).await;
        if let Ok(found) = &found {
            self.recorder.measured(Evidence::Server(found.evidence(Name::Restored)));
        }
        if !judged {
            return;
        }
        let outcome = match (&found, self.baseline.and_then(|baseline| baseline.collations.as_ref())) {
            (Ok(found), Some(primary)) => collations::judge(primary, found),
            (Ok(_), None) => Outcome::not_captured(),
            (Err(error), _) => Outcome::unable(self.lost(error)),
        };
        take_down(self.recorder, Check::Collations, outcome, self.clock.elapsed().saturating_sub(began));
    }
}
