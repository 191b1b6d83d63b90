//! The one loop: does the steps of a plan in order, and tears down whatever happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pgdrill_model::code::{Code, Weight};
use pgdrill_model::event::{Event, Happening, Header, Host, StepStatus, Teardown};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::judge::fold;
use pgdrill_model::plan::{Act, Plan, Recovery, Server as Name};
use pgdrill_model::redact::Redactor;
use pgdrill_model::scenario::{Work, WorkUntil};
use pgdrill_model::units::Lsn;
use pgdrill_model::verdict::Verdict;
use pgdrill_model::world::{Clock, Listener, Runtime};
use tokio_util::sync::CancellationToken;

use crate::application::{self, Environment, Front};
use crate::beginning::{Beginnings, Part};
use crate::books::Ledger;
use crate::clock::{Resumed, reached, within};
use crate::drill::{Begun, Drill, Made};
use crate::journal::Journal;
use crate::receiver::Receiver;
use crate::record::Recorder;
use crate::server::Server;
use crate::step;
use crate::template::{self, Templates};
use crate::workspace::Workspace;

/// When a workspace is kept for a person to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Always.
    Always,
    /// When the drill ended with a finding against it.
    OnFailure,
    /// Never.
    Never,
}

/// A place ends what is in it within seconds, or says what would not end; this is for one that does not answer.
const CLOSE_LIMIT: Duration = Duration::from_secs(120);

/// Everything that a drill asks of the world, and who hears of it.
#[derive(Clone)]
pub struct World<'a> {
    /// Where servers run.
    pub runtime: &'a dyn Runtime,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Hears events as they happen.
    pub listener: &'a dyn Listener,
    /// Takes secrets out of everything that is taken down.
    pub redactor: &'a Redactor,
    /// Cancelled when a person ends the drill.
    pub interrupt: CancellationToken,
    /// The machine, for the record.
    pub host: Host,
    /// How many drills share it.
    pub jobs: u64,
    /// Whether servers that come from backups which were there already may reach the host's network.
    pub host_network: bool,
    /// pgdrill's version, for the record.
    pub version: &'static str,
    /// pgdrill's own program, which is the stand-in for an application, too.
    pub program: PathBuf,
}

/// Where a drill puts its files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The directory in which workspaces are made.
    pub base: PathBuf,
    /// The directory of records and journals; none writes neither.
    pub evidence: Option<PathBuf>,
    /// When the workspace is kept.
    pub keep: Keep,
    /// The program that makes clusters, so exactly that no other is called the same: what it made is kept beside the
    /// workspaces and used again. None makes each cluster anew and keeps none.
    pub templates_by: Option<String>,
    /// What its drills have in common, where they may.
    pub beginnings: Option<Arc<Beginnings>>,
}

/// Executes a plan as run `id`. Always gives events that make a record; the journal, where there is one, must be
/// ended by the caller once that record is stored.
pub async fn execute(
    plan: &Plan,
    id: &str,
    world: &World<'_>,
    files: &Files,
) -> (Vec<Event>, Option<Journal>) {
    let journal = files.evidence.as_ref().map(|directory| (directory, Journal::begin(directory, id)));
    let (journal, trouble) = match journal {
        None => (None, None),
        Some((_, Ok(journal))) => (Some(journal), None),
        Some((directory, Err(error))) => (None, Some(no_evidence(directory, &error))),
    };
    let clock = Arc::new(Resumed::over(Arc::clone(&world.clock)));
    let world = &World { clock: Arc::<Resumed>::clone(&clock), ..world.clone() };
    let recorder = Recorder::new(world.clock.as_ref(), world.listener, world.redactor, journal);
    recorder.happened(Happening::RunStarted(Box::new(header(plan, id, world))));
    // A drill whose record cannot be written would prove nothing to anybody: it is not begun.
    let interrupted = match trouble {
        Some(unable) => {
            recorder.found(unable.into_finding(Stage::Prepare));
            recorder.happened(Happening::TornDown(Teardown::default()));
            false
        }
        None => in_workspace(plan, id, world, &clock, files, &recorder).await,
    };
    recorder.happened(Happening::RunEnded { interrupted });
    recorder.end()
}

/// The events of a drill that cannot be begun: they make a record that says why.
pub fn refuse(header: Header, unable: Unable, world: &World<'_>) -> Vec<Event> {
    let recorder = Recorder::new(world.clock.as_ref(), world.listener, world.redactor, None);
    recorder.happened(Happening::RunStarted(Box::new(header)));
    recorder.found(unable.into_finding(Stage::Prepare));
    recorder.happened(Happening::TornDown(Teardown::default()));
    recorder.happened(Happening::RunEnded { interrupted: false });
    recorder.end().0
}

fn no_evidence(directory: &Path, error: &std::io::Error) -> Unable {
    Unable::new(Code::WorkspaceUnusable, format!("cannot write evidence to {}: {error}", directory.display()))
        .hint("name a writable directory with --evidence DIR")
}

fn header(plan: &Plan, id: &str, world: &World<'_>) -> Header {
    Header {
        id: id.to_owned(),
        version: world.version.to_owned(),
        scenario: plan.scenario.clone(),
        title: plan.title.clone(),
        scenario_sha256: plan.scenario_sha256.clone(),
        postgres: plan.postgres,
        runtime: plan.runtime.clone(),
        seed: plan.seed,
        plan: plan.outline(),
        checks: plan.checks(),
        faults: plan.faults(),
        mutants: plan.mutants(),
        repeat: plan.repeat(),
        compared_with: plan.compared_with.clone(),
        drift: plan.drift.clone(),
        archive: plan.archive.to_string(),
        rto_us: plan.rto.map(|rto| rto.as_micros() as u64),
        rpo: plan.rpo,
        outage_us: plan.outage.map(|outage| outage.as_micros() as u64),
        expect: plan.expect,
        host: world.host.clone(),
        jobs: world.jobs,
    }
}

/// Makes the workspace, does the steps in it, and removes it; tells whether a person ended the drill.
async fn in_workspace(
    plan: &Plan,
    id: &str,
    world: &World<'_>,
    clock: &Resumed,
    files: &Files,
    recorder: &Recorder<'_>,
) -> bool {
    template::give_way(&files.base, space(plan));
    let made = world.runtime.owner().and_then(|owner| Workspace::create(&files.base, id, owner, space(plan)));
    let workspace = match made {
        Ok(workspace) => workspace,
        Err(unable) => {
            recorder.found(unable.into_finding(Stage::Prepare));
            recorder.happened(Happening::TornDown(Teardown::default()));
            return false;
        }
    };
    let mut drill = Drill {
        runtime: world.runtime,
        clock: world.clock.as_ref(),
        shared_clock: Arc::clone(&world.clock),
        recorder,
        run_id: id,
        postgres: plan.postgres,
        seed: plan.seed,
        memory_bytes: world.host.memory_bytes,
        host_network: world.host_network,
        workspace: &workspace,
        rpo: plan.rpo,
        queries: &plan.queries,
        servers: BTreeMap::new(),
        receiver: None,
        templates: Templates::of(plan, files.templates_by.as_deref(), workspace.base(), space(plan)),
        made: Made::default(),
        baselines: Vec::new(),
        settled: Lsn(0),
        unrecorded: Vec::new(),
        backups: BTreeMap::new(),
        layouts: BTreeMap::new(),
        dumps: BTreeMap::new(),
        given: None,
        marks: BTreeMap::new(),
        ledger: Ledger::of(&workspace, id),
        behind: None,
        aside: Vec::new(),
        watching: None,
        application: None,
        program: &world.program,
        begun: BTreeMap::new(),
        armed: Vec::new(),
        timeline: 1,
        shifts: 0,
        lost: None,
        losing: None,
        put_aside: None,
        recovered: None,
    };
    let part = files.beginnings.as_deref().and_then(|beginnings| beginnings.part(plan));
    let interrupted = steps(plan, &mut drill, world, (part, clock)).await;
    // Writers that still go on are stopped while their server is there, so that what they did is in the record.
    let _ = within(world.clock.as_ref(), CLOSE_LIMIT, step::leave_work(&mut drill)).await;
    drill.behind = None;
    drill.watching = None;
    drill.aside.drain(..).for_each(|going_on| going_on.abort());
    lose_primary_for_good(&mut drill).await;
    let keep = match files.keep {
        Keep::Always => true,
        Keep::Never => false,
        Keep::OnFailure => !interrupted && !would_be_proven(recorder),
    };
    let left = Left {
        front: drill.application.take(),
        servers: std::mem::take(&mut drill.servers),
        receiver: drill.receiver.take(),
    };
    let told = (application::environment(&drill), application::log(&drill));
    tear_down(left, told, workspace, world, recorder, keep).await;
    interrupted
}

/// The verdict as it stands, if teardown goes well.
fn would_be_proven(recorder: &Recorder<'_>) -> bool {
    let end = [Happening::TornDown(Teardown::default()), Happening::RunEnded { interrupted: false }];
    let mut events = recorder.so_far();
    events.extend(end.map(|what| Event { at_us: 0, unix_us: 0, what }));
    fold(&events).is_some_and(|run| run.verdict == Verdict::Proven)
}

/// Does the steps; tells whether a person ended the drill.
async fn steps(
    plan: &Plan,
    drill: &mut Drill<'_>,
    world: &World<'_>,
    (part, clock): (Option<Part<'_>>, &Resumed),
) -> bool {
    let (mut next, mut keeping) = match part {
        Some(Part::Takes(kept)) => match kept.take(drill, plan, clock).await {
            Ok(done) => (done, None),
            Err(unable) => {
                drill.recorder.found(unable.into_finding(Stage::Prepare));
                return false;
            }
        },
        Some(Part::Keeps(keeping)) => (0, Some(keeping)),
        None => (0, None),
    };
    while let Some(planned) = plan.steps.get(next) {
        let index = next;
        next += 1;
        if matches!(planned.act, Act::Mutants(_) | Act::Repeat(_)) && !holds_so_far(drill) {
            return false;
        }
        drill.recorder.happened(Happening::StepStarted { step: index });
        let began = world.clock.elapsed();
        let begun = Begun { name: planned.act.name().to_owned(), line: planned.line, at: began };
        drill.begun.insert(index, begun);
        let outcome = tokio::select! {
            // The end of a step that is there counts, also when a person interrupts at the same moment.
            biased;
            outcome = step::run(drill, &planned.act) => outcome,
            () = world.interrupt.cancelled() => {
                end_step(drill, index, StepStatus::Interrupted, began);
                return true;
            }
            () = reached(world.clock.as_ref(), plan.time_limit) => Err(Unable::new(
                Code::TimeLimit,
                format!("the drill reached its time limit of {} s", plan.time_limit.as_secs()),
            )),
        };
        match outcome {
            Ok(findings) => {
                let fatal = leaves_nothing(&planned.act, drill);
                findings.into_iter().for_each(|finding| drill.recorder.found(finding));
                end_step(drill, index, if fatal { StepStatus::Failed } else { StepStatus::Done }, began);
                if let Some(keeping) =
                    keeping.take_if(|_| plan.beginning().is_some_and(|it| it.len() == next))
                    && let Err(unable) = keeping.keep(drill, clock).await
                {
                    drill.recorder.found(unable.into_finding(Stage::Disaster));
                    return false;
                }
                if fatal {
                    match plan.rollback_after(index) {
                        Some(rollback) => next = rollback,
                        None => return false,
                    }
                }
            }
            Err(mut unable) => {
                if let Some(line) = planned.line {
                    unable.message = format!("{}, line {line}: {}", plan.scenario, unable.message);
                }
                drill.recorder.found(unable.into_finding(planned.act.stage()));
                end_step(drill, index, StepStatus::Failed, began);
                match plan.rollback_after(index) {
                    Some(rollback) => next = rollback,
                    None => return false,
                }
            }
        }
    }
    false
}

/// Whether nothing speaks against the drill so far, but that it is not yet at its end.
fn holds_so_far(drill: &Drill<'_>) -> bool {
    let judged = fold(&drill.recorder.so_far());
    let ending = |code: Code| {
        matches!(code, Code::RunDied | Code::EvidenceMissing | Code::CleanupFailed | Code::MutantUndecided)
    };
    judged.is_some_and(|run| {
        run.findings.iter().all(|finding| finding.weight == Weight::Notes || ending(finding.code))
    })
}

/// Whether a step leaves nothing to go on with: a recovery that did not end in a server that can be asked, a backup of which
/// none can be made. What it found says why.
fn leaves_nothing(act: &Act, drill: &Drill<'_>) -> bool {
    match act {
        Act::Recover(_) => drill.recovered.as_ref().is_none_or(|recovered| !recovered.promoted),
        Act::Given { .. } => drill.given.is_none(),
        _ => false,
    }
}

fn end_step(drill: &Drill<'_>, step: usize, status: StepStatus, began: Duration) {
    let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    drill.recorder.happened(Happening::StepEnded { step, status, took_us });
}

/// What still runs when the steps are over.
struct Left {
    front: Option<Front>,
    servers: BTreeMap<Name, Server>,
    receiver: Option<Receiver>,
}

/// Stops what runs and removes the files; what would not stop or go is a finding. `told` is what an application is told of.
async fn tear_down(
    left: Left,
    told: (Environment, PathBuf),
    workspace: Workspace,
    world: &World<'_>,
    recorder: &Recorder<'_>,
    keep: bool,
) {
    recorder.happened(Happening::TeardownStarted);
    let began = world.clock.elapsed();
    let mut teardown = Teardown::default();
    let Left { front, servers, receiver } = left;
    if let Some(front) = front {
        let closing = front.close(&told.0, told.1);
        close(Name::Pooler, closing, &mut teardown, world, recorder).await;
    }
    for mut server in servers.into_values() {
        if keep {
            // Files that somebody will look at are left as after an orderly stop.
            server.stop(world.clock.as_ref()).await;
        }
        close(server.name, server.close(), &mut teardown, world, recorder).await;
    }
    // After its server, which it must outlive to have all of its WAL: then it has ended by itself.
    if let Some(mut receiver) = receiver {
        let closing = async {
            // What would not end in order ends with its place.
            let _ = receiver.end(world.clock.as_ref()).await;
            receiver.close().await
        };
        close(Name::Receiver, closing, &mut teardown, world, recorder).await;
    }
    teardown.workspace_bytes = pgdrill_backup::inspect::size(workspace.root());
    if keep {
        teardown.kept = Some(workspace.keep().display().to_string());
    } else if let Err(unable) = workspace.remove() {
        recorder.found(unable.into_finding(Stage::Teardown));
    }
    teardown.took_us = world.clock.elapsed().saturating_sub(began).as_micros() as u64;
    recorder.happened(Happening::TornDown(teardown));
}

/// Closes what runs in a place, in time.
async fn close(
    name: Name,
    closing: impl Future<Output = Vec<Finding>>,
    teardown: &mut Teardown,
    world: &World<'_>,
    recorder: &Recorder<'_>,
) {
    teardown.servers.push(name.name().to_owned());
    let closed = within(world.clock.as_ref(), CLOSE_LIMIT, closing).await;
    let findings = closed.unwrap_or_else(|| vec![not_closed(&format!("the place of the {}", name.name()))]);
    findings.into_iter().for_each(|finding| recorder.found(finding));
}

/// Waits for the end of what is left of a lost primary, where nobody has done so yet.
async fn lose_primary_for_good(drill: &mut Drill<'_>) {
    let (clock, recorder) = (drill.clock, drill.recorder);
    match within(clock, CLOSE_LIMIT, drill.primary_is_gone()).await {
        Some(Ok(findings)) => findings.into_iter().for_each(|finding| recorder.found(finding)),
        Some(Err(unable)) => recorder.found(unable.into_finding(Stage::Teardown)),
        None => {
            recorder.found(not_closed("what is left of the lost primary"));
            if let Some(losing) = drill.losing.take() {
                // What holds its place is gone before the files are.
                losing.abort();
                let _ = losing.await;
            }
        }
    }
}

fn not_closed(what: &str) -> Finding {
    let message = format!("{what} did not end within {} s", CLOSE_LIMIT.as_secs());
    Finding::new(Code::CleanupFailed, Stage::Teardown, message)
}

/// About how many bytes a drill needs: two clusters, a backup of one, and the WAL of the load, kept twice; and as much
/// again as a backup for every further cluster or backup, and for what is unpacked only to be combined.
pub fn space(plan: &Plan) -> u64 {
    const OF_EVERY_DRILL: u64 = 400 << 20;
    const PER_ORDER: u64 = 2_600;
    const OF_FURTHER: u64 = 60 << 20;
    const PER_FURTHER_ORDER: u64 = 600;
    let orders: u64 =
        plan.steps.iter().map(|step| if let Act::LoadData(data) = &step.act { data.orders } else { 0 }).sum();
    let further: u64 = plan
        .steps
        .iter()
        .map(|step| match &step.act {
            Act::CreateStandby { .. } | Act::Backup { .. } => 1,
            // What is left of a server, a safety copy of it, and a copy of the backup.
            Act::AsWritten { .. } => 2,
            Act::Recover(Recovery { backups, .. }) => {
                let combined = backups.iter().map(Vec::len).filter(|members| *members > 1).max();
                combined.unwrap_or(0) as u64
            }
            _ => 0,
        })
        .sum();
    // In pg_wal of the lost server, in the archive, and in pg_wal of the recovered one.
    let wal: u64 = plan
        .steps
        .iter()
        .map(|step| match &step.act {
            Act::Work { work: Work { until: WorkUntil::Wal(bytes), .. }, .. } => bytes.saturating_mul(3),
            _ => 0,
        })
        .sum();
    OF_EVERY_DRILL
        + wal
        + orders * PER_ORDER
        + further.saturating_sub(1) * (OF_FURTHER + orders * PER_FURTHER_ORDER)
}
