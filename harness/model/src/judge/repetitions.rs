//! What repeated recoveries say: that the same backup comes back each time, and whether it takes longer than it did.

use std::time::Duration;

use crate::code::Code;
use crate::event::StepStatus;
use crate::finding::{Finding, Stage};
use crate::regression::{Baseline, Comparison, compare};
use crate::run::Run;
use crate::times::Times;
use crate::units::show_duration;
use crate::verdict::Verdict;

/// Adds what follows from the repetitions of a run, and from its baseline.
pub(super) fn judge(run: &mut Run) {
    not_proven(run);
    missing(run);
    slower(run);
}

/// What came back once and did not come back again.
fn not_proven(run: &mut Run) {
    let of = run.header.repeat;
    let found: Vec<Finding> = run
        .repetitions
        .iter()
        .filter(|repetition| repetition.observed != Verdict::Proven)
        .map(|repetition| {
            let message = format!("recovery {} of {of}: {}", repetition.number, repetition.reason);
            let code = match repetition.observed {
                Verdict::Disproven => Code::RecoveryNotRepeatable,
                _ => Code::RepetitionUndecided,
            };
            Finding::new(code, Stage::Recover, message)
        })
        .collect();
    run.findings.extend(found);
}

/// Repetitions that the step was to make, is said to have made, and that left nothing.
fn missing(run: &mut Run) {
    let done = run.steps.iter().any(|step| step.planned.name == "repeat" && step.status == StepStatus::Done);
    let told = |number: &u64| run.repetitions.iter().any(|repetition| repetition.number == *number);
    let made = 1 + (2..=run.header.repeat).filter(told).count();
    if done && (made as u64) < run.header.repeat {
        let message = format!("{made} of {} recoveries left their times", run.header.repeat);
        run.findings.push(Finding::new(Code::RepetitionUndecided, Stage::Recover, message));
    }
}

/// Holds the recovery times against those of the baseline, where there is one. Times of drills that shared the machine are
/// not compared.
fn slower(run: &mut Run) {
    let Some(baseline) = run.header.compared_with.clone().filter(|_| run.header.jobs == 1) else { return };
    // Without any it is a recovery that failed, and that is told elsewhere.
    let Some(times) = run.times() else { return };
    // As long as there are more to come, nobody knows; if they do not come, that is told elsewhere.
    if times.count() < run.header.repeat {
        return;
    }
    let Some(before) = Times::of(baseline.times_us.clone()) else {
        let message = "the baseline has no proven recovery by this scenario file, on this major, runtime and class of machine";
        run.findings.push(Finding::new(Code::ComparisonUndecided, Stage::Recover, message));
        return;
    };
    match compare(&before, &times) {
        Comparison::Like => {}
        Comparison::TooFew { needed } => {
            let message = format!(
                "{} against {} of the baseline cannot tell whether recovery is slower: at least {needed} are needed",
                counted(times.count()),
                counted(before.count()),
            );
            run.findings.push(Finding::new(Code::ComparisonUndecided, Stage::Recover, message));
        }
        Comparison::Slower { probability } => {
            let message = format!(
                "recovery has become slower: the median of {} is {}, and of {} of the baseline it was {}, 5 to 95 % of them \
                 {} to {}{}",
                counted(times.count()),
                shown(times.median()),
                counted(before.count()),
                shown(before.median()),
                shown(before.percentile(5)),
                shown(before.percentile(95)),
                culprit(run, &baseline),
            );
            run.findings.push(
                Finding::new(Code::RecoverySlower, Stage::Recover, message)
                    .with("median_us", times.median())
                    .with("baseline_us", before.median())
                    .with("probability", format!("{probability:.4}")),
            );
        }
    }
}

/// The phase of which most of the difference comes, by the medians.
fn culprit(run: &Run, baseline: &Baseline) -> String {
    let now = Baseline::of_run(run);
    let median = |phases: &Baseline, name: &str| {
        phases
            .phases_us
            .get(name)
            .and_then(|times| Times::of(times.clone()))
            .map_or(0, |times| times.median())
    };
    let more = |name: &str| median(&now, name).saturating_sub(median(baseline, name));
    match now.phases_us.keys().max_by_key(|name| more(name)) {
        Some(name) if more(name) > 0 => format!(
            "; most of it in {name}: {} instead of {}",
            shown(median(&now, name)),
            shown(median(baseline, name))
        ),
        _ => String::new(),
    }
}

fn counted(count: u64) -> String {
    if count == 1 { "1 recovery".to_owned() } else { format!("{count} recoveries") }
}

fn shown(us: u64) -> String {
    show_duration(Duration::from_micros(us))
}
