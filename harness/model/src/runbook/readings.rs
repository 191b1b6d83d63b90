//! What the record of a drill says of a step of the runbook.

use std::time::Duration;

use super::State as Shown;
use crate::alert::Alert;
use crate::check::Check;
use crate::event::StepStatus;
use crate::evidence::{ApplicationEvidence, CheckStatus, RecoveryEvidence, TriageEvidence};
use crate::run::{Run, StepRecord};
use crate::triage::{Fact, State};
use crate::units::{show_bytes, show_count, show_duration};

const PRIMARY: &str = "primary";

fn time(us: u64) -> String {
    show_duration(Duration::from_micros(us))
}

/// The last step of this name that was tried.
fn step<'r>(run: &'r Run, name: &str) -> Option<&'r StepRecord> {
    run.steps.iter().rfind(|step| step.planned.name == name && step.status != StepStatus::NotRun)
}

/// A step that shows by its end alone.
fn done(run: &Run, name: &str, proven: impl Fn(&StepRecord) -> String) -> Shown {
    match step(run, name) {
        None => Shown::NotRehearsed,
        Some(step) if step.status == StepStatus::Done => Shown::Proven(proven(step)),
        Some(_) => Shown::Disproven(format!("the step `{name}` was not done")),
    }
}

/// An alert rings for its cause, and not before.
pub(super) fn alert(run: &Run, which: Alert) -> Shown {
    let of = || run.alerts.iter().filter(|alert| alert.alert == which);
    let wrong = of().find(|alert| alert.early || alert.detected_us.is_none());
    match (wrong, of().next_back()) {
        (Some(alert), _) if alert.early => Shown::Disproven("it had fired before its cause".to_owned()),
        (Some(alert), _) => {
            Shown::Disproven(format!("it did not fire: {}, limit {}", alert.value, alert.limit))
        }
        (None, Some(alert)) => Shown::Proven(format!(
            "fired {} after its cause, not before",
            time(alert.detected_us.unwrap_or_default())
        )),
        (None, None) => Shown::NotRehearsed,
    }
}

/// What triage found, where it was made.
pub(super) fn triaged(run: &Run, reading: fn(&TriageEvidence) -> Result<String, String>) -> Shown {
    match run.triages.last() {
        None => Shown::NotRehearsed,
        Some(triage) => match reading(triage) {
            Ok(fact) => Shown::Proven(fact),
            Err(unknown) => Shown::Disproven(unknown),
        },
    }
}

pub(super) fn server(triage: &TriageEvidence) -> Result<String, String> {
    let facts = &triage.facts;
    let severity = triage
        .assessment
        .severity
        .map_or_else(|| "nothing wrong".to_owned(), |severity| severity.to_string());
    let words = facts.reach.words.as_ref().map(|words| format!(" ({words})")).unwrap_or_default();
    match facts.reach.state {
        State::NotAsked => Err("nobody asked the server".to_owned()),
        state => Ok(format!("{severity}: {}{words}", state.words())),
    }
}

pub(super) fn pool(triage: &TriageEvidence) -> Result<String, String> {
    let Some(pooler) = &triage.facts.pooler else { return Err("nobody asked the pooler".to_owned()) };
    match &pooler.pools {
        Fact::Known(pools) => {
            let waiting: u64 = pools.iter().map(|pool| pool.clients_waiting).sum();
            Ok(format!("{} pools, {waiting} clients waiting", pools.len()))
        }
        Fact::Unknown(why) => Err(why.clone()),
    }
}

pub(super) fn disks(triage: &TriageEvidence) -> Result<String, String> {
    let facts = &triage.facts;
    if facts.disks.is_empty() {
        return Err("no disk was looked at".to_owned());
    }
    let unknown = facts.disks.iter().find_map(|disk| disk.space.why());
    unknown.map_or_else(|| Ok(format!("{} looked at", facts.disks.len())), |why| Err(why.to_owned()))
}

/// By the server, where it answers, and by the archive itself.
pub(super) fn archiver(triage: &TriageEvidence) -> Result<String, String> {
    let newest = triage.newest_segment.as_ref();
    let newest = newest.map(|(name, age)| format!("newest {name}, {} old", time(*age)));
    match (&triage.facts.archiver, newest) {
        (Fact::Known(archiver), newest) => {
            let counts =
                format!("{} archived, {} failed", show_count(archiver.archived), show_count(archiver.failed));
            Ok(newest.map_or_else(|| counts.clone(), |newest| format!("{counts}; {newest}")))
        }
        (Fact::Unknown(_), Some(newest)) => Ok(format!("{newest}; the server is not there to be asked")),
        (Fact::Unknown(why), None) => Err(why.clone()),
    }
}

/// The application was stopped before anything was restored.
pub(super) fn stopped(run: &Run) -> Shown {
    done(run, "stop-application", |step| format!("in {}", time(step.took_us)))
}

/// Nothing is left of the server: what comes after waits for it.
pub(super) fn lost(run: &Run) -> Shown {
    match (step(run, "disaster"), step(run, "safety-copy").or_else(|| step(run, "recover"))) {
        (Some(_), Some(next)) if next.status == StepStatus::Done => {
            Shown::Proven("nothing of it was left when its files were touched".to_owned())
        }
        (Some(_), Some(_)) => Shown::Disproven("what came after it was not done".to_owned()),
        _ => Shown::NotRehearsed,
    }
}

pub(super) fn copied(run: &Run) -> Shown {
    match run.safety_copies.last() {
        Some(copy) => Shown::Proven(format!(
            "{} files, {}, {}, in {}",
            show_count(copy.files),
            show_bytes(copy.bytes),
            if copy.by == "move" { "moved" } else { "compared" },
            time(copy.took_us)
        )),
        None => done(run, "safety-copy", |_| String::new()),
    }
}

/// What a drill's last recovery shows.
fn recovered(run: &Run, proven: impl Fn(&RecoveryEvidence) -> Result<String, String>) -> Shown {
    match (run.recoveries.last(), step(run, "recover")) {
        (Some(recovery), _) => match proven(recovery) {
            Ok(evidence) => Shown::Proven(evidence),
            Err(why) => Shown::Disproven(why),
        },
        (None, Some(_)) => Shown::Disproven("the recovery was not done".to_owned()),
        (None, None) => Shown::NotRehearsed,
    }
}

pub(super) fn restored(run: &Run) -> Shown {
    recovered(run, |recovery| {
        let phases = recovery.phases.iter().filter(|phase| phase.name == "unpack" || phase.name == "combine");
        let took: u64 = phases.map(|phase| phase.took_us).sum();
        match recovery.state {
            Some(_) => Ok(format!("{} by {}, in {}", recovery.backups.join(", "), recovery.by, time(took))),
            None => Err("no server came of it".to_owned()),
        }
    })
}

pub(super) fn prepared(run: &Run) -> Shown {
    recovered(run, |recovery| match run.stopped_as_the_wal_says(recovery) {
        Some(true) => Ok(format!("to {}: stopped where the WAL says", recovery.target)),
        _ => Err(format!("to {}: not shown where it stopped", recovery.target)),
    })
}

pub(super) fn started(run: &Run) -> Shown {
    recovered(run, |recovery| match (recovery.state.as_deref(), recovery.rto_us) {
        (Some("promoted"), Some(us)) => Ok(format!("promoted, first write {} after the loss", time(us))),
        _ => Err("it took no write".to_owned()),
    })
}

pub(super) fn replayed(run: &Run) -> Shown {
    recovered(run, |recovery| {
        let replay = recovery.phases.iter().find(|phase| phase.name == "replay");
        match replay {
            Some(replay) => Ok(format!(
                "{} segments from the archive in {}",
                show_count(recovery.segments),
                time(replay.took_us)
            )),
            None => Err("nothing in the log says that it replayed".to_owned()),
        }
    })
}

/// The application as it was last started, where that was on a server which was recovered.
fn application(run: &Run) -> Option<&ApplicationEvidence> {
    run.applications.iter().rfind(|application| application.server != PRIMARY)
}

pub(super) fn healthy(run: &Run) -> Shown {
    match application(run) {
        None => Shown::NotRehearsed,
        Some(ApplicationEvidence { healthy_us: Some(us), outage, .. }) => {
            let outage =
                outage.as_ref().map(|outage| format!("; away for {}", time(outage.us()))).unwrap_or_default();
            Shown::Proven(format!("healthy after {}{outage}", time(*us)))
        }
        Some(_) => Shown::Disproven("it was not healthy in time".to_owned()),
    }
}

pub(super) fn endpoints(run: &Run) -> Shown {
    match application(run) {
        None => Shown::NotRehearsed,
        Some(application) if application.healthy_us.is_some() => Shown::Proven("all answer 200".to_owned()),
        Some(_) => Shown::Disproven("one does not answer 200".to_owned()),
    }
}

/// A request to the application.
pub(super) fn asked(run: &Run, what: &str) -> Shown {
    match application(run).and_then(|application| application.asked.iter().find(|asked| asked.what == what)) {
        None => Shown::NotRehearsed,
        Some(asked) => match &asked.wrong {
            None => Shown::Proven(format!("{}, in {}", asked.answer, time(asked.took_us))),
            Some(wrong) => Shown::Disproven(wrong.clone()),
        },
    }
}

/// Checks of the recovered server.
pub(super) fn check(run: &Run, which: &[Check]) -> Shown {
    let mut words = Vec::new();
    for check in which {
        let records: Vec<_> = run.checks.iter().filter(|record| record.check == *check).collect();
        if let Some(failed) = records.iter().find(|record| record.status == CheckStatus::Failed) {
            return Shown::Disproven(format!("{check}: {}", failed.summary));
        }
        match records.iter().rfind(|record| record.status == CheckStatus::Held) {
            Some(held) => words.push(held.summary.clone()),
            None => return Shown::NotRehearsed,
        }
    }
    Shown::Proven(words.join("; "))
}

pub(super) fn rolled_back(run: &Run) -> Shown {
    match &run.rollback {
        None => Shown::NotRehearsed,
        Some(rollback) => match rollback.started_us {
            Some(us) if run.safety_copies.last().is_some_and(|copy| copy.sha256 == rollback.sha256) => {
                Shown::Proven(format!(
                    "as it was, in {}; its server answers after {}",
                    time(rollback.put_back_us),
                    time(us)
                ))
            }
            _ => Shown::Disproven("it is not what it was, or its server did not come back".to_owned()),
        },
    }
}

/// An older backup was taken because a newer one is not good.
pub(super) fn stepped_back(run: &Run) -> Shown {
    let recovery = run.recoveries.iter().rfind(|recovery| !recovery.passed_over.is_empty());
    match recovery {
        None => Shown::NotRehearsed,
        Some(recovery) if recovery.state.is_some() => Shown::Proven(format!(
            "{} instead of {}",
            recovery.backups.join(", "),
            recovery.passed_over.iter().map(|passed| passed.backup.as_str()).collect::<Vec<_>>().join(", ")
        )),
        Some(_) => Shown::Disproven("no server came of an older backup either".to_owned()),
    }
}

/// A backup of a recovered server was itself recovered, with WAL that the recovered server archived. One that was only taken
/// shows nothing.
pub(super) fn protected(run: &Run) -> Shown {
    let of_recovered = |name: &String| {
        run.backups.iter().any(|backup| backup.name == *name && backup.from.starts_with("restored"))
    };
    match run.recoveries.iter().rfind(|recovery| recovery.backups.iter().any(of_recovered)) {
        Some(recovery) if recovery.state.is_some() => Shown::Proven(format!(
            "{} of the recovered server was recovered, with {} segments of its archive",
            recovery.backups.join(", "),
            show_count(recovery.segments)
        )),
        Some(_) => Shown::Disproven("no server came of a backup that the recovered server gave".to_owned()),
        None => Shown::NotRehearsed,
    }
}
