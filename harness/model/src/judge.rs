//! From events to a judged record: the fold, and the rules by which a run gets its verdict.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::check::Check;
use crate::code::{Code, Weight};
use crate::event::{Event, Happening, Header, StepStatus};
use crate::evidence::{CheckRecord, CheckStatus, Evidence, RecoveryEvidence};
use crate::finding::{Finding, Stage};
use crate::run::{Objective, Run, SCHEMA, StepRecord};
use crate::scenario::Expect;
use crate::units::show_duration;
use crate::verdict::Verdict;

/// What exactly the recovery time objective bounds.
const RTO_DEFINITION: &str = "from the loss of the primary to the first committed write of the application on the \
                              recovered server; our own checks are not in it";

/// Folds the events of one run into its record and judges it. None when the first event is not `RunStarted`.
/// Events that are missing at the end show as steps and checks that did not run.
pub fn fold(events: &[Event]) -> Option<Run> {
    let first = events.first()?;
    let Happening::RunStarted(header) = &first.what else { return None };
    let mut run = Run {
        schema: SCHEMA.to_owned(),
        header: Header::clone(header),
        started_unix_us: first.unix_us,
        took_us: events.last().map_or(0, |event| event.at_us.saturating_sub(first.at_us)),
        verdict: Verdict::Unverified,
        observed: Verdict::Unverified,
        reason: String::new(),
        interrupted: false,
        places: Vec::new(),
        servers: Vec::new(),
        steps: header
            .plan
            .iter()
            .map(|planned| StepRecord { planned: planned.clone(), status: StepStatus::NotRun, took_us: 0 })
            .collect(),
        load: None,
        backups: Vec::new(),
        baseline: None,
        recoveries: Vec::new(),
        checks: Vec::new(),
        objectives: Vec::new(),
        findings: Vec::new(),
        teardown: None,
        not_tested: Vec::new(),
        events: events.iter().filter(|event| event.what.lasting()).cloned().collect(),
    };
    let mut ended = false;
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for event in events {
        match &event.what {
            Happening::RunStarted(_) | Happening::Progress { .. } | Happening::TeardownStarted => {}
            Happening::PlaceOpened { server, facts } => run.places.push((server.clone(), facts.clone())),
            Happening::StepStarted { step } => {
                // Until its end is told, a step that was begun is one that was cut off.
                if let Some(record) = run.steps.get_mut(*step)
                    && !told.contains(step)
                {
                    record.status = StepStatus::Interrupted;
                }
            }
            Happening::StepEnded { step, status, took_us } => {
                let again = !told.insert(*step);
                if let Some(record) = run.steps.get_mut(*step) {
                    // Of two ends the worse one counts.
                    if !again || record.status == StepStatus::Done {
                        record.status = *status;
                    }
                    record.took_us = record.took_us.max(*took_us);
                }
            }
            Happening::Measured(evidence) => measured(&mut run, evidence),
            Happening::Found(finding) => run.findings.push(finding.clone()),
            Happening::TornDown(teardown) => run.teardown = Some(teardown.clone()),
            Happening::RunEnded { interrupted } => {
                ended = true;
                run.interrupted |= *interrupted;
            }
        }
    }
    judge(&mut run, ended);
    Some(run)
}

fn measured(run: &mut Run, evidence: &Evidence) {
    match evidence {
        Evidence::Load(load) => run.load = Some(load.clone()),
        Evidence::Backup(backup) => run.backups.push(backup.clone()),
        Evidence::Baseline(baseline) => run.baseline = Some(baseline.clone()),
        Evidence::Recovery(recovery) => run.recoveries.push(recovery.clone()),
        Evidence::Check(check) => run.checks.push(check.clone()),
        Evidence::Server(server) => run.servers.push(server.clone()),
    }
}

/// Judges a run: fills `objectives`, `observed`, `verdict`, `reason` and `not_tested`, gives every planned check a
/// record, and adds the findings that follow from what is missing. `ended` says whether the run came to its own end.
///
/// The rules: one finding that disproves makes the run disproven, whatever else is missing; otherwise anything that
/// is missing, or that we could not do, makes it unverified; only a run whose every step was done, whose every
/// check held and looked at something, and that cleaned up after itself, is proven.
fn judge(run: &mut Run, ended: bool) {
    if run.interrupted {
        add_missing(run, Code::Interrupted, "the drill was interrupted");
    } else if !ended {
        add_missing(run, Code::RunDied, "pgdrill ended without finishing the drill");
    }
    record_missing_checks(run);
    measure_objectives(run);
    if ended && run.teardown.is_none() {
        add_missing(run, Code::CleanupFailed, "nothing says that the drill's servers and files are gone");
    }
    let unexplained = !complete(run) && !run.findings.iter().any(|finding| finding.weight > Weight::Notes);
    if unexplained || has_gaps(run) {
        add_missing(run, Code::EvidenceMissing, "a step of the plan was not done, or left no evidence");
    }
    // The worst first; among equals the cause before what follows from it, then in the catalogue's order, which has
    // lost data before lost time.
    run.findings.sort_by_key(|finding| (Reverse(finding.weight), follows(finding.code), finding.code));
    run.observed = observe(run);
    (run.verdict, run.reason) = match run.header.expect {
        // To expect what every drill must end in changes nothing.
        Some(expect) if expect.verdict != Verdict::Proven => against_expectation(run, expect),
        _ => (run.observed, reason(run)),
    };
    run.not_tested = not_tested(run);
}

/// Adds a finding for something that did not happen, unless one of its code is there.
fn add_missing(run: &mut Run, code: Code, message: &str) {
    if !run.findings.iter().any(|finding| finding.code == code) {
        let stage = if code == Code::CleanupFailed { Stage::Teardown } else { last_stage(run) };
        run.findings.push(Finding::new(code, stage, message));
    }
}

/// The stage of the last step that was begun.
fn last_stage(run: &Run) -> Stage {
    run.steps
        .iter()
        .rfind(|step| step.status != StepStatus::NotRun)
        .map_or(Stage::Prepare, |step| step.planned.stage)
}

/// Gives each planned check that left no record one that says so, and each that did not run its finding.
fn record_missing_checks(run: &mut Run) {
    for check in run.header.checks.clone() {
        if !run.checks.iter().any(|record| record.check == check) {
            run.checks.push(CheckRecord {
                check,
                status: CheckStatus::NotRun,
                examined: 0,
                summary: "the drill ended before it".to_owned(),
                took_us: 0,
            });
        }
    }
    // They run side by side, and end as they end.
    run.checks.sort_by_key(|record| record.check);
    for record in &mut run.checks {
        if record.status == CheckStatus::Held && record.examined == 0 {
            record.status = CheckStatus::NotRun;
            record.summary = "it had nothing to look at".to_owned();
        }
    }
    let unexplained: Vec<Finding> = run
        .checks
        .iter()
        .filter(|record| record.status == CheckStatus::NotRun)
        .filter(|record| !run.findings.iter().any(|finding| finding.check == Some(record.check)))
        .map(|record| {
            let message = format!("the check {} did not run: {}", record.check, record.summary);
            Finding::new(Code::CheckNotRun, Stage::Check, message).by(record.check)
        })
        .collect();
    // A failed check must have said why; a record that contradicts its findings is a bug of ours.
    let contradictions: Vec<Finding> = run
        .checks
        .iter()
        .filter(|record| record.status == CheckStatus::Failed)
        .filter(|record| !run.findings.iter().any(|finding| finding.check == Some(record.check)))
        .map(|record| {
            let message = format!("the check {} failed without a finding", record.check);
            Finding::new(Code::InternalError, Stage::Check, message).by(record.check)
        })
        .collect();
    run.findings.extend(unexplained);
    run.findings.extend(contradictions);
}

/// Fills in the objectives, and what a breach or a missing measurement means. Of drills that shared the machine the
/// time is only taken down: what the others cost it is not the backup's fault.
fn measure_objectives(run: &mut Run) {
    let target_us = run.header.rto_us.filter(|_| run.header.jobs == 1);
    // One recovery that was not measured, or was too slow, is not made good by another.
    let measured: Option<Vec<u64>> = run.recoveries.iter().map(|recovery| recovery.rto_us).collect();
    let measured_us = measured.and_then(|all| all.into_iter().max());
    if target_us.is_none() && measured_us.is_none() {
        return;
    }
    let met = target_us.zip(measured_us).map(|(target, measured)| measured <= target);
    let shown = |us: u64| show_duration(Duration::from_micros(us));
    match (target_us, measured_us) {
        (Some(target), Some(measured)) if met == Some(false) => run.findings.push(
            Finding::new(
                Code::RtoExceeded,
                Stage::Recover,
                format!("recovery took {}, and the objective is {}", shown(measured), shown(target)),
            )
            .with("target_us", target)
            .with("measured_us", measured),
        ),
        (Some(target), None) => run.findings.push(Finding::new(
            Code::ObjectiveUnmeasured,
            Stage::Recover,
            format!("the recovery time objective of {} was not measured", shown(target)),
        )),
        _ => {}
    }
    run.objectives = vec![Objective {
        name: "rto".to_owned(),
        definition: RTO_DEFINITION.to_owned(),
        target_us,
        measured_us,
        met,
    }];
}

/// Whether a finding merely follows from a drill that ended early.
fn follows(code: Code) -> bool {
    matches!(code, Code::CheckNotRun | Code::ObjectiveUnmeasured)
}

fn observe(run: &Run) -> Verdict {
    let heaviest =
        run.findings.iter().map(|finding| finding.weight).filter(|weight| *weight != Weight::Bug).max();
    let bug = run.findings.iter().any(|finding| finding.weight == Weight::Bug);
    match heaviest {
        Some(Weight::Disproves) => Verdict::Disproven,
        Some(Weight::Unverifies) => Verdict::Unverified,
        _ if bug => Verdict::Unverified,
        _ => Verdict::Proven,
    }
}

/// Whether every step was done and left its evidence, and every check held.
fn complete(run: &Run) -> bool {
    let planned = |name: &str| run.steps.iter().any(|step| step.planned.name == name);
    let recovered = |recovery: &RecoveryEvidence| match recovery.state.as_deref() {
        // A promoted server that nobody could write to is not recovered.
        Some("promoted") => recovery.rto_us.is_some(),
        state => state.is_some(),
    };
    run.steps.iter().all(|step| step.status == StepStatus::Done)
        && !has_gaps(run)
        && planned("recover")
        && run.recoveries.iter().all(recovered)
        && !run.checks.is_empty()
        && run.checks.iter().all(|check| check.status == CheckStatus::Held)
}

/// Whether a step is said to be done and nothing shows for it, or one was begun although one before it was not done.
/// No drill leaves such a record, and nothing can be concluded from it, not even that an expected trouble came.
fn has_gaps(run: &Run) -> bool {
    let done = |name: &str| {
        run.steps.iter().filter(|step| step.planned.name == name && step.status == StepStatus::Done).count()
    };
    let opened = |server: &str| run.places.iter().any(|(name, _)| name == server);
    let described = |server: &str| run.servers.iter().any(|found| found.server == server);
    let backups: BTreeSet<&str> = run.backups.iter().map(|backup| backup.name.as_str()).collect();
    let begun = run.steps.iter().rposition(|step| step.status != StepStatus::NotRun).unwrap_or(0);
    run.steps[..begun.min(run.steps.len())].iter().any(|step| step.status != StepStatus::Done)
        || (done("create-cluster") > 0 && !opened("primary"))
        || (done("load-data") > 0 && run.load.is_none())
        || backups.len() < done("backup")
        || (done("capture") > 0 && (run.baseline.is_none() || !described("primary")))
        || (done("check") > 0 && !described("restored"))
        || (done("recover") > 0 && !opened("restored"))
        || run.recoveries.len() < done("recover")
}

fn reason(run: &Run) -> String {
    match run.observed {
        Verdict::Proven => {
            let names: Vec<&str> = run.proven_for().into_iter().map(Check::name).collect();
            let everything = names.len() == Check::all().len();
            let what = if everything {
                "every check held".to_owned()
            } else {
                format!("proven for: {}", names.join(", "))
            };
            match run.objectives.first().and_then(|rto| rto.measured_us) {
                Some(us) => format!("{what}; recovered in {}", show_duration(Duration::from_micros(us))),
                None => what,
            }
        }
        Verdict::Disproven | Verdict::Unverified => {
            let weight =
                if run.observed == Verdict::Disproven { Weight::Disproves } else { Weight::Unverifies };
            // What merely follows from a drill that ended early is not counted beside its cause.
            let same: Vec<&Finding> = run
                .findings
                .iter()
                .filter(|finding| finding.weight == weight && !follows(finding.code))
                .collect();
            let first = same.first().copied().or_else(|| run.findings.first());
            match first {
                Some(finding) if same.len() == 2 => format!("{} (and 1 more finding)", finding.message),
                Some(finding) if same.len() > 2 => {
                    format!("{} (and {} more findings)", finding.message, same.len() - 1)
                }
                Some(finding) => finding.message.clone(),
                None => "a step of the plan was not done, or left no evidence".to_owned(),
            }
        }
    }
}

/// The verdict of a drill that must end in a certain way: met is proven; a trouble that was not noticed, or noticed
/// in another way, is disproven; a drill that could not tell is unverified.
fn against_expectation(run: &mut Run, expect: Expect) -> (Verdict, String) {
    let wanted = match (expect.finding, expect.stage) {
        (Some(code), Some(stage)) => {
            format!("{} with {code} at {} at the latest", expect.verdict, stage.name())
        }
        (Some(code), None) => format!("{} with {code}", expect.verdict),
        _ => expect.verdict.to_string(),
    };
    let found = expect.finding.is_none_or(|code| {
        run.findings
            .iter()
            .any(|finding| finding.code == code && expect.stage.is_none_or(|stage| finding.stage <= stage))
    });
    let bug = run.findings.iter().any(|finding| finding.weight == Weight::Bug);
    let unclean = run.findings.iter().any(|finding| {
        let codes = [Code::CleanupFailed, Code::Interrupted, Code::RunDied, Code::EvidenceMissing];
        codes.contains(&finding.code)
    });
    let met = run.observed == expect.verdict && found;
    if met && !bug && !unclean {
        return (Verdict::Proven, format!("as expected: {wanted}"));
    }
    // What was expected came, but so did something that spoils it; or nothing can be told at all.
    if met || run.observed == Verdict::Unverified {
        return (Verdict::Unverified, format!("expected {wanted}, but could not verify: {}", reason(run)));
    }
    let codes: Vec<&str> = run.findings.iter().map(|finding| finding.code.name()).collect();
    let seen = if codes.is_empty() {
        run.observed.to_string()
    } else {
        format!("{} with {}", run.observed, codes.join(", "))
    };
    let message = format!("expected {wanted}, but it was {seen}");
    run.findings.insert(0, Finding::new(Code::ExpectationMissed, last_stage(run), message.clone()));
    (Verdict::Disproven, message)
}

/// What the record says nothing about, so that nobody reads more into a green verdict than there is.
fn not_tested(run: &Run) -> Vec<String> {
    let mut not: Vec<String> = Check::all()
        .into_iter()
        .filter(|check| {
            !run.checks.iter().any(|record| record.check == *check && record.status != CheckStatus::NotRun)
        })
        .map(|check| format!("{}: {}", check.name(), check.entry().doc))
        .collect();
    match run.header.rto_us {
        None => not.push("a recovery time objective: the scenario sets none".to_owned()),
        Some(us) if run.header.jobs > 1 => not.push(format!(
            "the recovery time objective of {}: {} drills shared the machine",
            show_duration(Duration::from_micros(us)),
            run.header.jobs
        )),
        Some(_) => {}
    }
    not.extend(
        [
            "loss of acknowledged commits under load: the primary was quiet when its content was captured",
            "points in time before the end of the archive",
        ]
        .map(str::to_owned),
    );
    not
}
