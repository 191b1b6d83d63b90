//! A rehearsal: a recovery and its checks as a run of their own that nobody is told of, to know what would come of them. What
//! it made is removed again, and the drill forgets what it learnt of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pgdrill_model::check::Check;
use pgdrill_model::code::Weight;
use pgdrill_model::event::{Event, Happening, Header, StepStatus, Teardown};
use pgdrill_model::finding::{Stage, Unable};
use pgdrill_model::judge::fold;
use pgdrill_model::plan::{Act, Planned, Recovery, Server as Name};
use pgdrill_model::run::Run;
use pgdrill_model::units::Lsn;

use super::recover;
use crate::check::{self, AMCHECK_LOG};
use crate::drill::{Drill, on_a_thread};
use crate::recovery::reached;
use crate::recovery::unpack::SCRATCH;
use crate::tablespaces;
use crate::workspace::trouble;

/// What the drill knew before a rehearsal.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    timeline: u32,
    settled: Lsn,
    unrecorded: usize,
}

impl Before {
    /// What it knows now.
    pub fn of(drill: &Drill<'_>) -> Self {
        Self { timeline: drill.timeline, settled: drill.settled, unrecorded: drill.unrecorded.len() }
    }

    /// Ends the recovered server, removes all that it left, so that another can be made in its place, and forgets it.
    ///
    /// # Errors
    ///
    /// What cannot be removed.
    pub async fn restore(self, drill: &mut Drill<'_>, server: Name) -> Result<(), Unable> {
        (drill.timeline, drill.settled) = (self.timeline, self.settled);
        drill.unrecorded.truncate(self.unrecorded);
        clear(drill, server).await
    }
}

/// Recovers, where that is not done yet, and checks.
///
/// # Errors
///
/// A bug. What cannot be done in a rehearsal is a finding of its run.
pub async fn rehearse(
    drill: &mut Drill<'_>,
    recovery: &Recovery,
    checks: &[Check],
    recover: bool,
) -> Result<Run, Unable> {
    let main = drill.recorder.so_far();
    let server = recovery.server;
    let recorder = drill.recorder;
    let aside = recorder.aside();
    let steps = [
        Planned { line: None, act: Act::Recover(recovery.clone()) },
        Planned { line: None, act: Act::Check { checks: checks.to_vec(), of: server } },
    ];
    let header = header(&main, &steps, checks).ok_or_else(|| Unable::bug("a drill without a beginning"))?;
    recorder.happened(Happening::RunStarted(Box::new(header)));
    let mut sound = true;
    if recover {
        // A rehearsal within a recovery, which may itself be rehearsed.
        let outcome = Box::pin(recover::run(drill, recovery)).await;
        let findings = outcome.unwrap_or_else(|unable| vec![unable.into_finding(Stage::Recover)]);
        // What is noticed so early is noticed.
        sound = findings.iter().all(|finding| finding.weight == Weight::Notes);
        findings.into_iter().for_each(|finding| recorder.found(finding));
    }
    let status = |done: bool| if done { StepStatus::Done } else { StepStatus::Failed };
    recorder.happened(Happening::StepEnded { step: 0, status: status(sound), took_us: 0 });
    if sound {
        let checked = check::run(drill, checks, server).await;
        let done = checked.is_ok();
        checked.err().into_iter().for_each(|unable| recorder.found(unable.into_finding(Stage::Check)));
        recorder.happened(Happening::StepEnded { step: 1, status: status(done), took_us: 0 });
    }
    recorder.happened(Happening::TornDown(Teardown::default()));
    recorder.happened(Happening::RunEnded { interrupted: false });
    fold(&aside.end()).ok_or_else(|| Unable::bug("a rehearsal without a beginning"))
}

/// What such a run is: the drill's own recovery and checks, and no objective.
fn header(main: &[Event], steps: &[Planned], checks: &[Check]) -> Option<Header> {
    let own = main.iter().find_map(|event| match &event.what {
        Happening::RunStarted(header) => Some(Header::clone(header)),
        _ => None,
    });
    Some(Header {
        plan: steps.iter().map(Planned::outline).collect(),
        checks: checks.to_vec(),
        rto_us: None,
        outage_us: None,
        faults: Vec::new(),
        mutants: Vec::new(),
        repeat: 1,
        compared_with: None,
        drift: None,
        expect: None,
        ..own?
    })
}

/// Ends a recovered server and removes all that it left.
///
/// # Errors
///
/// What cannot be removed.
pub async fn clear(drill: &mut Drill<'_>, name: Name) -> Result<(), Unable> {
    if let Some(server) = drill.servers.remove(&name) {
        server.close().await.into_iter().for_each(|finding| drill.recorder.found(finding));
    }
    let workspace = drill.workspace;
    // What a program has said of one recovery, it must not seem to say of the next.
    let left = [
        workspace.data(name),
        workspace.path(tablespaces::root(name)),
        workspace.path(SCRATCH),
        workspace.log(name),
        workspace.path(reached::fetch_log(name)),
        workspace.path(AMCHECK_LOG),
    ];
    let removed = on_a_thread(move || {
        left.iter().try_for_each(|path: &PathBuf| remove(path).map_err(|error| trouble(path, &error)))
    });
    removed.await?
}

/// Removes a file, or a directory with all that is in it, if it is there.
///
/// # Errors
///
/// As the standard library has them.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
