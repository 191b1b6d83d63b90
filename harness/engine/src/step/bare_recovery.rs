//! `bare-recovery`: the same backup and archive once more, and PostgreSQL alone is told to stop at a mark. What it says then
//! is what an operator hears who has nothing but a target: it tells whether a target alone would have noticed a fault.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pgdrill_model::evidence::{BareEvidence, Evidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Recovery, Server as Name};
use pgdrill_model::scenario::{Action, MarkBy, Point, RecoverBy, RecoverFrom, Target, Timeline};

use super::recover::configure;
use crate::drill::Drill;
use crate::recovery::aim::Aim;
use crate::recovery::phases::Clocked;
use crate::recovery::unpack::{SCRATCH, unpack};
use crate::recovery::{remap, replay};
use crate::server::Server;
use crate::workspace::trouble;
use crate::{archiving, fault, tablespaces};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(600);

const NAME: Name = Name::Bare;

pub(super) async fn run(drill: &mut Drill<'_>, mark: &str) -> Result<Vec<Finding>, Unable> {
    let began = drill.clock.elapsed();
    let outcome = recover(drill, mark).await;
    if let Some(server) = drill.servers.remove(&NAME) {
        server.close().await.into_iter().for_each(|finding| drill.recorder.found(finding));
    }
    let (promoted, said) = outcome?;
    let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    drill.recorder.measured(Evidence::Bare(BareEvidence { mark: mark.to_owned(), promoted, said, took_us }));
    Ok(Vec::new())
}

/// Restores and starts; tells whether the server was promoted, and what was said where it was not.
async fn recover(drill: &mut Drill<'_>, mark: &str) -> Result<(Option<bool>, String), Unable> {
    let workspace = drill.workspace;
    let recovered = drill.recovered()?;
    let aim: Option<Aim> = recovered.aim.clone();
    let mut aim = aim.ok_or_else(|| Unable::bug("a bare recovery of a dump"))?;
    aim.settings = vec![("recovery_target_name", mark.to_owned())];
    aim.to_the_end = false;
    open(drill).await?;
    let newest = aim.chain.last().ok_or_else(|| Unable::bug("a recovery of no backup"))?;
    let by = RecoverBy::fitting(&newest.how);
    let mut clocked = Clocked::begin(drill)?;
    let server = drill.servers.get(&NAME).ok_or_else(|| Unable::bug("the bare server has no place"))?;
    if let Err(findings) = unpack(drill, server, &aim.chain, by, &mut clocked).await? {
        return Ok((None, words(&findings)));
    }
    remap::refuse_restored(workspace, NAME)?;
    let recovery = Recovery {
        given: false,
        backups: Vec::new(),
        by: None,
        from: RecoverFrom::Newest,
        tried_by: Vec::new(),
        to: Target { at: Point::Mark(mark.to_owned(), MarkBy::Name), inclusive: true },
        timeline: Timeline::Latest,
        action: Action::Promote,
        within: LIMIT,
        server: NAME,
        serves: false,
    };
    let configuration = match configure(drill, &recovery, &aim)? {
        Ok((configuration, _)) => configuration,
        Err(finding) => return Ok((None, finding.message)),
    };
    fault::restore::files(drill, NAME)?;
    drill.server(NAME)?.start(workspace, &configuration).await?;
    fault::restore::replaying(drill, NAME).await?;
    let until = drill.clock.elapsed() + LIMIT;
    let wait = replay::Wait { server: NAME, action: Action::Promote, archives: false, until };
    let replayed = replay::wait(drill, wait, &mut RecoveryEvidence::default(), &mut clocked).await?;
    Ok(match replayed {
        replay::Outcome::Failed(finding) => (Some(false), finding.message),
        replay::Outcome::Promoted | replay::Outcome::ShutDown => (Some(true), String::new()),
    })
}

/// Opens the place of the server. It sees what any restored server sees.
async fn open(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let workspace = drill.workspace;
    workspace.make_dir(Path::new(NAME.name()))?;
    workspace.need_dir(&Path::new("socket").join(NAME.name()))?;
    tablespaces::make_root(workspace, NAME)?;
    // Members of a chain were unpacked there before.
    let scratch = workspace.path(SCRATCH);
    fs::remove_dir_all(&scratch).map_err(|error| trouble(&scratch, &error))?;
    workspace.make_dir(Path::new(SCRATCH))?;
    let readable = [vec!["backup"], archiving::directories(&drill.made.archive)].concat();
    let place = drill.open_place(NAME, &[SCRATCH], &readable).await?;
    drill.servers.insert(NAME, Server::new(NAME, workspace, place));
    Ok(())
}

fn words(findings: &[Finding]) -> String {
    findings.first().map(|finding| finding.message.clone()).unwrap_or_default()
}
