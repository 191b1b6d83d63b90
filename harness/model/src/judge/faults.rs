//! What is known of faults and mutants: one that was not made proves nothing about who would have noticed it.

use crate::check::Check;
use crate::code::Code;
use crate::event::StepStatus;
use crate::evidence::{MutantEvidence, MutantOutcome};
use crate::finding::{Finding, Stage};
use crate::run::Run;

/// Adds what follows from the faults and mutants of a run.
pub(super) fn judge(run: &mut Run) {
    not_made(run);
    survivors(run);
}

/// A fault that was planned, and of which nothing shows that it was made.
fn not_made(run: &mut Run) {
    let mut made: Vec<_> = run.faults.iter().map(|fault| fault.fault).collect();
    for fault in run.header.faults.clone() {
        if let Some(at) = made.iter().position(|other| *other == fault) {
            made.swap_remove(at);
            continue;
        }
        let told = |finding: &Finding| {
            finding.code == Code::FaultNotInjected && finding.subject.as_deref() == Some(fault.name())
        };
        if !run.findings.iter().any(told) {
            let message =
                format!("the fault {fault} was not made: the drill ended before it, or did not come to it");
            run.findings
                .push(Finding::new(Code::FaultNotInjected, Stage::Teardown, message).about(fault.name()));
        }
    }
}

/// Mutants that the scenario's checks let pass, and those of which nobody can tell.
fn survivors(run: &mut Run) {
    let undecided = |mutant: &MutantEvidence| {
        let message =
            format!("nobody could tell whether the mutant {} is noticed: {}", mutant.fault, mutant.said);
        Finding::new(Code::MutantUndecided, Stage::Check, message).about(mutant.fault.name())
    };
    let found: Vec<Finding> = run
        .mutants
        .iter()
        .filter_map(|mutant| match mutant.outcome {
            MutantOutcome::Killed | MutantOutcome::NotHere => None,
            MutantOutcome::Undecided => Some(undecided(mutant)),
            MutantOutcome::Survived => (mutant.allowed.is_none()).then(|| survived(mutant)),
        })
        .collect();
    run.findings.extend(found);
    let tried = |fault| run.mutants.iter().any(|mutant| mutant.fault == fault);
    let done = run.steps.iter().any(|step| step.planned.name == "mutants" && step.status == StepStatus::Done);
    let untried: Vec<Finding> = run
        .header
        .mutants
        .iter()
        .filter(|fault| done && !tried(**fault))
        .map(|fault| {
            let message = format!("the mutant {fault} was planned and not tried");
            Finding::new(Code::MutantUndecided, Stage::Check, message).about(fault.name())
        })
        .collect();
    run.findings.extend(untried);
}

fn survived(mutant: &MutantEvidence) -> Finding {
    let names: Vec<&str> = mutant.would_be_killed_by.iter().copied().map(Check::name).collect();
    let message = format!("the mutant {} survived: {}", mutant.fault, mutant.done);
    let hint = if names.is_empty() {
        "no check of pgdrill notices it; say under `mutants: { survivors: ... }` why it may survive"
            .to_owned()
    } else {
        format!(
            "{} would have noticed it; make that check, or say under `mutants: {{ survivors: ... }}` why it may survive",
            names.join(", ")
        )
    };
    Finding::new(Code::MutantSurvived, Stage::Check, message).about(mutant.fault.name()).hint(hint)
}
