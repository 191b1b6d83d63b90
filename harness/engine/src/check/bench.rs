//! What the checks of one server share: where it is, what is known of it, and a measurement that serves several.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use pgdrill_backup::archive::Snapshot;
use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, CountsEvidence, Evidence, ServerEvidence};
use pgdrill_model::finding::{Stage, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::query::Query;
use pgdrill_model::scenario::Rpo;
use pgdrill_model::units::Major;
use pgdrill_model::world::{Clock, Place};
use tokio_postgres::Error;
use tokio_util::sync::CancellationToken;

use super::outcome::{Outcome, take_down};
use super::{collations, fingerprints, ledger, read_all, row_counts, sequences};
use crate::archiving;
use crate::baseline::Baseline;
use crate::books::{self, Books};
use crate::connections::{Connected, Connections};
use crate::content::{Content, Measure, measure};
use crate::drill::{Drill, FirstWrite, Recovered, on_a_thread};
use crate::given::Taken;
use crate::record::Recorder;
use crate::server::Server;
use crate::session::{Door, Socket, describe};
use crate::workload::{Tag, find};
use crate::workspace::Workspace;

/// What the checks of one server share.
pub(super) struct Bench<'a> {
    pub(super) server: Name,
    pub(super) place: &'a dyn Place,
    pub(super) socket: Socket,
    pub(super) clock: &'a dyn Clock,
    pub(super) recorder: &'a Recorder<'a>,
    pub(super) workspace: &'a Workspace,
    pub(super) major: Major,
    pub(super) connections: Connections,
    pub(super) baseline: Option<&'a Baseline>,
    pub(super) first_write: Option<&'a Result<FirstWrite, String>>,
    pub(super) archive: Option<&'a Snapshot>,
    /// Where the archive is, within the workspace.
    pub(super) archived_in: &'static str,
    /// Whether the server itself adds to the archive.
    pub(super) archives: bool,
    pub(super) restored_from: &'a [Member],
    /// The drill's backups as they were when they were taken.
    pub(super) backups: &'a BTreeMap<String, BackupEvidence>,
    /// The ledger, where writers kept one.
    pub(super) ledger: Option<&'a Path>,
    /// By what its rows are known.
    pub(super) tag: Tag,
    pub(super) recovered: Option<&'a Recovered>,
    pub(super) rpo: Option<Rpo>,
    /// What the scenario asks.
    pub(super) queries: &'a [Query],
    /// The backup that was there already, where the drill is about one.
    pub(super) given: Option<&'a Taken>,
    /// Cancelled when nobody reads definitions any more, so that they may change.
    pub(super) definitions_read: CancellationToken,
}

impl<'a> Bench<'a> {
    pub(super) fn new(drill: &'a Drill<'_>, server: &'a Server) -> Self {
        let recovered = drill.recovered.as_ref();
        Self {
            server: server.name,
            place: server.place(),
            socket: server.socket.clone(),
            clock: drill.clock,
            recorder: drill.recorder,
            workspace: drill.workspace,
            major: drill.postgres,
            connections: Connections::default(),
            baseline: drill.baseline(),
            first_write: recovered.and_then(|recovered| recovered.first_write.as_ref()),
            archive: recovered.and_then(|recovered| recovered.archive.as_ref()),
            archived_in: archiving::directory(&drill.made.archive),
            archives: recovered.is_some_and(|recovered| recovered.archives),
            backups: &drill.backups,
            restored_from: recovered.map_or(&[], |recovered| &recovered.from),
            ledger: drill.ledger.file(),
            tag: drill.ledger.tag(),
            recovered,
            rpo: drill.rpo,
            queries: drill.queries,
            given: drill.given.as_ref(),
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
        take_down(self.recorder, check, self.server, outcome, self.clock.elapsed().saturating_sub(began));
    }

    /// Reads every table once, for all checks that look at rows. Its time counts with each of them.
    pub(super) async fn content(&self, checks: Vec<Check>) {
        let began = self.clock.elapsed();
        let what = Measure {
            system: checks.contains(&Check::ReadAll),
            without_xid: self.first_write.and_then(|written| written.as_ref().ok()?.xid.clone()),
        };
        let books = match self.ledger {
            Some(ledger) => Some(self.books(ledger).await),
            None => None,
        };
        // Told once; each check that rests on it says that it did not run.
        if let Some(Err(unable)) = &books
            && unable.code == Code::LedgerDamaged
        {
            self.recorder.found(unable.clone().into_finding(Stage::Check));
        }
        let content = measure(&self.socket, &what, &self.connections, self.recorder).await;
        if let (Ok(content), Some(_)) = (&content, self.given) {
            let (rows, unread) = content.rows();
            let server = self.server.name().to_owned();
            self.recorder.measured(Evidence::Counts(CountsEvidence { server, rows, unread }));
        }
        for check in checks {
            let outcome = match (&content, &books) {
                (Err(error), _) => Outcome::unable(self.lost(error)),
                (Ok(content), None) => self.judge(check, content, self.baseline.map(|base| &base.content)),
                (Ok(content), Some(Ok(books))) => {
                    if check == Check::Ledger {
                        let there = self.baseline.map(|base| books.there(&base.content));
                        let judged = ledger::judge(self, books, content, there.as_ref()).await;
                        judged.unwrap_or_else(Outcome::unable)
                    } else {
                        let wanted = self.baseline.map(|base| books.wanted(&base.content));
                        self.judge(check, content, wanted.as_ref())
                    }
                }
                (Ok(content), Some(Err(_))) if check == Check::ReadAll => self.judge(check, content, None),
                (Ok(_), Some(Err(unable))) => Outcome::unable(unable.clone()),
            };
            take_down(self.recorder, check, self.server, outcome, self.clock.elapsed().saturating_sub(began));
        }
    }

    /// Finds the transactions of the ledger on the server, and judges them.
    async fn books(&self, ledger: &Path) -> Result<Arc<Books>, Unable> {
        let found = find(&self.socket, self.tag).await.map_err(|error| self.lost(&error))?;
        let base = self.baseline.map(|base| (base.timeline, base.lsn));
        let replay = || self.recovered.and_then(|it| Some((it.aim.clone()?, it.reached?)));
        let dumped = self.restored_from.iter().any(|member| member.how.is_dump());
        let by = match (replay(), base) {
            (Some((aim, reached)), _) => books::By::Replay { aim: Box::new(aim), reached },
            (None, Some((timeline, lsn))) if dumped => books::By::Dump(timeline, lsn),
            _ => {
                let message = "nobody knows where the recovery of the server stopped";
                return Err(Unable::new(Code::CheckNotRun, message));
            }
        };
        let point = books::Recovered { server: self.server, by, base, may_lose: self.rpo.is_some() };
        let ledger = ledger.to_owned();
        let books = on_a_thread(move || books::read(&ledger, &point, &found)).await??;
        self.recorder.measured(Evidence::Tally(books.tally.clone()));
        Ok(Arc::new(books))
    }

    fn judge(&self, check: Check, content: &Content, expected: Option<&Content>) -> Outcome {
        // A baseline of production may leave out databases and tables; what it does not know is not compared.
        let known;
        let content = match self.given.and_then(|taken| taken.baseline.as_ref()) {
            Some(baseline) if check != Check::ReadAll => {
                known = baseline.known_of(content);
                &known
            }
            _ => content,
        };
        let outcome = match (check, expected) {
            (Check::RowCounts, Some(expected)) => row_counts::compare(expected, content),
            (Check::Fingerprints, Some(expected)) => fingerprints::compare(expected, content),
            (Check::ReadAll, _) => read_all::judge(content, self.given.map(|taken| taken.empty.as_slice())),
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
        // A database of somebody's need not have any.
        if let (Some(baseline), Ok(found)) = (self.given.and_then(|taken| taken.baseline.as_ref()), &found)
            && expected.0.is_empty()
            && found.0.is_empty()
        {
            let databases = baseline.databases.len() as u64;
            return Ok(Outcome::of(databases, format!("no sequence in {databases} databases"), Vec::new()));
        }
        Ok(sequences::judge(expected, &found.map_err(|error| self.lost(&error))?))
    }

    /// Takes down what the server is and by which versions it orders text, whether that is judged or not.
    pub(super) async fn collations(&self, judged: bool) {
        let began = self.clock.elapsed();
        let found = crate::collations::read(&self.socket, self.major, &self.connections).await;
        if let Ok(found) = &found {
            self.recorder.measured(Evidence::Server(found.evidence(self.server)));
        }
        if !judged {
            return;
        }
        let outcome = match (&found, self.baseline.and_then(|baseline| baseline.collations.as_ref())) {
            (Ok(found), Some(primary)) => collations::judge(primary, found),
            // Nobody knows what the primary had; what its databases recorded counts all the same.
            (Ok(found), None) if self.given.is_some() => collations::judge(&ServerEvidence::default(), found),
            (Ok(_), None) => Outcome::not_captured(),
            (Err(error), _) => Outcome::unable(self.lost(error)),
        };
        take_down(
            self.recorder,
            Check::Collations,
            self.server,
            outcome,
            self.clock.elapsed().saturating_sub(began),
        );
    }
}
