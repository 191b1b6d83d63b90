//! What a run must show for what it says that it did. The verdict is given by what was found; this is for what nobody
//! found because nobody looked, or because what was seen was lost on the way.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::check::Check;
use crate::event::{Happening, StepStatus};
use crate::evidence::{
    ApplicationEvidence, AsWrittenEvidence, BaselineEvidence, CheckStatus, Evidence, RecoveryEvidence,
    RollbackEvidence, TallyEvidence,
};
use crate::plan::Server;
use crate::run::Run;

/// How many points of a sweep are repeated as recoveries of their own, at the least.
const REPEATS: u64 = 3;

/// How a plan says that writers go on behind other steps.
const BEHIND: &str = ", behind the next steps";

/// Whether every step was done and left its evidence, and every check held.
pub(super) fn complete(run: &Run) -> bool {
    let planned = |name: &str| run.steps.iter().any(|step| step.planned.name == name);
    run.steps.iter().all(|step| step.status == StepStatus::Done)
        && !has_gaps(run)
        && (planned("recover") || planned("sweep"))
        && run.recoveries.iter().all(|recovery| recovered(run, recovery))
        && run.tallies.iter().all(adds_up)
        && run.sweeps.iter().all(|sweep| {
            sweep.targets > 0
                && sweep.proven == sweep.targets
                && sweep.repeated >= REPEATS
                && sweep.agreed == sweep.repeated
                && sweep.first_failure.is_none()
        })
        && run.alerts.iter().all(|alert| alert.detected_us.is_some() && !alert.early)
        && run.triages.iter().all(|triage| triage.contradiction().is_none())
        && run.applications.iter().all(works)
        && saw_the_outages(run)
        && run.as_written.iter().all(|step| step.harm().is_none() && ran(step))
        && run.rollback.as_ref().is_none_or(|rollback| came_back(run, rollback))
        && (!run.checks.is_empty() || !planned("recover"))
        && run.checks.iter().all(|check| check.status == CheckStatus::Held)
}

/// Whether a recovery ended as it was to: in a server that the application writes to, after the action at its target
/// that was asked for, at the point that the WAL says, and not before the end of the archive where all of it was wanted.
fn recovered(run: &Run, recovery: &RecoveryEvidence) -> bool {
    let ended = match recovery.state.as_deref() {
        // A promoted server that nobody could write to is not recovered.
        Some("promoted") => recovery.rto_us.is_some(),
        state => state.is_some(),
    };
    let acted = match recovery.action.as_str() {
        "pause" => recovery.paused_at.is_some(),
        "shutdown" => recovery.shut_down,
        _ => true,
    };
    let whole = recovery.target != "latest" || recovery.archive_end.as_ref().is_none_or(|end| !end.breaks);
    // Records that know of no other target than the end of the archive say nothing of points.
    let there = match run.stopped_as_the_wal_says(recovery) {
        Some(there) => there,
        None => matches!(recovery.target.as_str(), "" | "latest"),
    };
    ended && acted && whole && there
}

/// Whether what was put back is what had been put aside, and the server came back on it with what it held, where that is
/// known.
fn came_back(run: &Run, rollback: &RollbackEvidence) -> bool {
    let same = run.safety_copies.last().is_some_and(|copy| copy.sha256 == rollback.sha256);
    same && rollback.started_us.is_some() && rollback.tables != Some(0)
}

/// Whether an application was healthy, and everything that was asked of it was answered as it had to be.
fn works(application: &ApplicationEvidence) -> bool {
    // Of somebody's own nothing is asked but how it is.
    let asked = application.own || !application.asked.is_empty();
    application.healthy_us.is_some() && asked && application.asked.iter().all(|asked| asked.wrong.is_none())
}

/// Whether an application that came to another server was away before.
fn saw_the_outages(run: &Run) -> bool {
    let told = |at: usize| run.applications[..at].contains(&run.applications[at]);
    let all: Vec<_> =
        (0..run.applications.len()).filter(|at| !told(*at)).map(|at| &run.applications[at]).collect();
    all.iter()
        .zip(all.iter().skip(1))
        .all(|(before, after)| before.server == after.server || after.outage.is_some())
}

/// Whether any command of a step of the runbook was really run.
fn ran(step: &AsWrittenEvidence) -> bool {
    step.commands.iter().any(|command| command.of_the_step && command.code.is_some())
}

/// Whether what had to be brought back is there or lost: nothing else can have become of it.
fn adds_up(tally: &TallyEvidence) -> bool {
    tally.required == tally.recovered.saturating_add(tally.lost)
}

/// Whether a step is said to be done and nothing shows for it, or one was begun although one before it was not done.
/// No drill leaves such a record, and nothing can be concluded from it, not even that an expected trouble came.
pub(super) fn has_gaps(run: &Run) -> bool {
    let begun = last_begun(run).min(run.steps.len());
    let passed_over = given_up(run);
    (0..begun).any(|at| run.steps[at].status != StepStatus::Done && !passed_over.contains(&at))
        || lacks_preparation(run)
        || lacks_recovery(run)
        || lacks_checks(run)
}

/// The steps that a recovery which failed leaves undone, itself included, where a rollback follows.
fn given_up(run: &Run) -> Range<usize> {
    let named = |name: &str| run.steps.iter().position(|step| step.planned.name == name);
    let failed =
        run.steps.iter().position(|step| step.planned.name == "recover" && step.status == StepStatus::Failed);
    match (failed, named("rollback")) {
        (Some(failed), Some(rollback))
            if run.steps[(failed + 1).min(rollback)..rollback]
                .iter()
                .all(|step| step.status == StepStatus::NotRun) =>
        {
            failed..rollback
        }
        _ => 0..0,
    }
}

/// The last step that was begun: by its end, by its beginning, or by what only such a step leaves.
fn last_begun(run: &Run) -> usize {
    let ended = run.steps.iter().rposition(|step| step.status != StepStatus::NotRun);
    let mut checked: BTreeSet<&str> = BTreeSet::new();
    let mut started = None;
    for event in &run.events {
        match &event.what {
            Happening::StepStarted { step } => started = started.max(Some(*step)),
            Happening::Measured(Evidence::Check(record)) => {
                checked.insert(&record.server);
            }
            _ => {}
        }
    }
    // The checks of each server are a step of their own.
    let mut checks = (0..run.steps.len()).filter(|index| run.steps[*index].planned.name == "check");
    let seen = checked.len().checked_sub(1).and_then(|last| checks.nth(last));
    ended.max(started).max(seen).unwrap_or(0)
}

/// How many steps of this name were done.
fn done(run: &Run, name: &str) -> usize {
    run.steps.iter().filter(|step| step.planned.name == name && step.status == StepStatus::Done).count()
}

fn opened(run: &Run, server: &str) -> bool {
    run.places.iter().any(|(name, _)| name == server)
}

fn described(run: &Run, server: &str) -> bool {
    run.servers.iter().any(|found| found.server == server)
}

/// What was there before anything was lost.
fn lacks_preparation(run: &Run) -> bool {
    let backups: BTreeSet<&str> = run.backups.iter().map(|backup| backup.name.as_str()).collect();
    let marks: BTreeSet<&str> = run.marks.iter().map(|mark| mark.name.as_str()).collect();
    // Of the contents that were captured the record itself shows only the last.
    let captured: Vec<&BaselineEvidence> = run
        .events
        .iter()
        .filter_map(|event| match &event.what {
            Happening::Measured(Evidence::Baseline(baseline)) => Some(baseline),
            _ => None,
        })
        .collect();
    (done(run, "create-cluster") > 0 && !opened(run, Server::Primary.name()))
        || (done(run, "load-data") > 0 && run.load.is_none())
        || backups.len() < done(run, "backup")
        || distinct(&captured) < done(run, "capture")
        || (done(run, "capture") > 0 && !described(run, Server::Primary.name()))
        || distinct(&run.work) < worked(run)
        || marks.len() < done(run, "mark")
        || distinct(&run.alerts) < done(run, "alert")
        || distinct(&run.triages) < done(run, "triage")
        || distinct(&run.failovers) < done(run, "failover")
        || distinct(&run.safety_copies) < done(run, "safety-copy")
        || distinct(&run.applications) < done(run, "start-application")
        || (done(run, "start-application") > 0 && !opened(run, Server::Pooler.name()))
        || distinct(&run.as_written) < done(run, "as-written")
}

/// How many steps that let writers work must have left what these did. Writers that go on behind other steps have told
/// nothing yet when the drill ends before somebody stops them or their server is lost.
fn worked(run: &Run) -> usize {
    let done = |name: &str, at: usize| {
        run.steps[at].planned.name == name && run.steps[at].status == StepStatus::Done
    };
    let began = |name: &str, at: usize| {
        run.steps[at].planned.name == name && run.steps[at].status != StepStatus::NotRun
    };
    let ended = |from: usize| {
        (from..run.steps.len())
            .any(|at| done("stop-work", at) || done("work", at) || began("recover", at) || began("sweep", at))
    };
    (0..run.steps.len())
        .filter(|at| done("work", *at))
        .filter(|at| !run.steps[*at].planned.does.contains(BEHIND) || ended(at + 1))
        .count()
}

/// Each recovery has a server of its own.
fn lacks_recovery(run: &Run) -> bool {
    let shows = |number: usize| {
        let server = Server::Restored(u8::try_from(number).unwrap_or(u8::MAX)).name();
        opened(run, server) && run.recoveries.iter().any(|recovery| recovery.server == server)
    };
    !(1..=done(run, "recover")).all(shows)
        || (done(run, "bare-recovery") > 0 && run.bare.is_none())
        || (done(run, "rollback") > 0 && run.rollback.is_none())
        || distinct(&run.sweeps) < done(run, "sweep")
}

/// A check is made of a server that says what it is, and one of the ledger counts what it saw.
fn lacks_checks(run: &Run) -> bool {
    let mut checked = run.checks.iter().filter(|check| !check.server.is_empty());
    let tallied = |server: &str| run.tallies.iter().any(|tally| tally.server == server);
    let mut held = run.checks.iter().filter(|check| check.status == CheckStatus::Held);
    (done(run, "check") > 0 && checked.any(|check| !described(run, &check.server)))
        || (done(run, "check") > 0 && !described(run, Server::Restored(1).name()))
        || held.any(|check| check.check == Check::Ledger && !tallied(&check.server))
        || (done(run, "check") > 0 && lacks_counts(run))
}

/// Rows that are bounded are counted.
fn lacks_counts(run: &Run) -> bool {
    run.header.drift.as_ref().is_some_and(|drift| drift.at_most_percent.is_some()) && run.counts.is_none()
}

/// How many there are, of which none is told twice.
fn distinct<T: PartialEq>(all: &[T]) -> usize {
    all.iter().enumerate().filter(|(index, one)| !all[..*index].contains(one)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Act, compile};
    use crate::scenario::parse;
    use crate::units::Major;

    #[test]
    fn a_plan_says_of_writers_that_they_go_on_behind_and_of_others_that_they_do_not() {
        let text = "
title: A drill
steps:
  - backup
  - work: { writers: 2, for: 1s }
  - work: { writers: 2, behind: on }
  - disaster: kill
  - recover
";
        let plan = compile(&parse("a", "a.yaml", text).unwrap(), Major(15), "local", None).unwrap();
        let work: Vec<(bool, bool)> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.act {
                Act::Work { work, .. } => Some((work.behind, step.act.to_string().contains(BEHIND))),
                _ => None,
            })
            .collect();
        assert_eq!(work, [(false, false), (true, true)]);
    }
}
