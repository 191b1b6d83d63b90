//! From events to a judged record: the fold, and the rules by which a run gets its verdict.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::code::{Code, Weight};
use crate::event::{Event, Happening, Header, StepStatus};
use crate::evidence::{CheckRecord, CheckStatus, Evidence};
use crate::finding::{Finding, Stage};
use crate::run::{Run, SCHEMA, StepRecord};
use crate::scenario::Expect;
use crate::verdict::Verdict;

mod as_written;
mod drift;
mod faults;
mod gaps;
mod objectives;
mod repetitions;
mod words;

use gaps::{complete, has_gaps};
use words::{not_tested, reason};

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
        beginning: None,
        load: None,
        source: None,
        backups: Vec::new(),
        baseline: None,
        work: Vec::new(),
        marks: Vec::new(),
        tallies: Vec::new(),
        sweeps: Vec::new(),
        faults: Vec::new(),
        bare: None,
        mutants: Vec::new(),
        alerts: Vec::new(),
        triages: Vec::new(),
        failovers: Vec::new(),
        safety_copies: Vec::new(),
        rollback: None,
        applications: Vec::new(),
        as_written: Vec::new(),
        recoveries: Vec::new(),
        repetitions: Vec::new(),
        counts: None,
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
        Evidence::Beginning(beginning) => run.beginning = Some(beginning.clone()),
        Evidence::Load(load) => run.load = Some(load.clone()),
        Evidence::Source(source) => run.source = Some(source.clone()),
        Evidence::Counts(counts) => run.counts = Some(counts.clone()),
        Evidence::Backup(backup) => run.backups.push(backup.clone()),
        Evidence::Baseline(baseline) => run.baseline = Some(baseline.clone()),
        Evidence::Recovery(recovery) => run.recoveries.push(recovery.clone()),
        Evidence::Check(check) => run.checks.push(check.clone()),
        Evidence::Server(server) => run.servers.push(server.clone()),
        Evidence::Work(work) => run.work.push(work.clone()),
        Evidence::Mark(mark) => run.marks.push(mark.clone()),
        Evidence::Tally(tally) => run.tallies.push(tally.clone()),
        Evidence::Sweep(sweep) => run.sweeps.push(sweep.clone()),
        Evidence::Fault(fault) => run.faults.push(fault.clone()),
        Evidence::Bare(bare) => run.bare = Some(bare.clone()),
        Evidence::Failover(failover) => run.failovers.push(failover.clone()),
        Evidence::SafetyCopy(copy) => run.safety_copies.push(copy.clone()),
        Evidence::Rollback(rollback) => run.rollback = Some(rollback.clone()),
        Evidence::Application(application) => run.applications.push(application.clone()),
        Evidence::Triage(triage) => run.triages.push(triage.clone()),
        Evidence::AsWritten(step) => run.as_written.push(step.clone()),
        Evidence::Alert(alert) => run.alerts.push(alert.clone()),
        Evidence::Repetition(repetition) => run.repetitions.push(repetition.clone()),
        Evidence::Mutant(mutant) => run.mutants.push(mutant.clone()),
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
    objectives::measure(run);
    judge_tallies(run);
    drift::judge(run);
    repetitions::judge(run);
    faults::judge(run);
    as_written::judge(run);
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
        // One that is made of two servers is planned twice.
        let planned = run.header.checks.iter().filter(|other| **other == check).count();
        let of: BTreeSet<&str> = run
            .checks
            .iter()
            .filter(|record| record.check == check)
            .map(|record| record.server.as_str())
            .collect();
        if of.len() < planned {
            run.checks.push(CheckRecord {
                check,
                server: String::new(),
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

/// A tally that shows what no finding tells is as good as the finding.
fn judge_tallies(run: &mut Run) {
    let lost = run.tallies.iter().map(|tally| tally.lost.max(tally.loss.transactions)).sum::<u64>();
    if lost > 0 && run.header.rpo.is_none() {
        add_missing(run, Code::TransactionsLost, "acknowledged transactions are lost");
    }
    if run.tallies.iter().any(|tally| tally.unexpected > 0) {
        add_missing(run, Code::TransactionsUnexpected, "transactions are there that must not be");
    }
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
        let codes = [
            Code::CleanupFailed,
            Code::Interrupted,
            Code::RunDied,
            Code::EvidenceMissing,
            Code::FaultNotInjected,
        ];
        codes.contains(&finding.code)
    });
    // What is about another thing than the backup is no part of what a bad backup explains.
    let aside = run.findings.iter().any(|finding| {
        let codes = [
            Code::AlertMissed,
            Code::AlertEarly,
            Code::TriageWrong,
            Code::RollbackFailed,
            Code::RunbookHarms,
        ];
        codes.contains(&finding.code) && expect.finding != Some(finding.code)
    });
    let met = run.observed == expect.verdict && found && !aside;
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
