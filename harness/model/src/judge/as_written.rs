//! What follows from the steps of a runbook that were carried out: harm that was found is a finding, whoever tells of it.

use crate::code::Code;
use crate::evidence::AsWrittenEvidence;
use crate::finding::{Finding, Stage};
use crate::run::Run;

/// Adds a finding for each step that did harm.
pub(super) fn judge(run: &mut Run) {
    let mut found: Vec<Finding> = Vec::new();
    for step in &run.as_written {
        let Some(finding) = harm(step) else { continue };
        let told = |other: &Finding| other.code == finding.code && other.message == finding.message;
        if !run.findings.iter().chain(&found).any(told) {
            found.push(finding);
        }
    }
    run.findings.extend(found);
}

fn harm(step: &AsWrittenEvidence) -> Option<Finding> {
    let how = if step.corrected { "corrected" } else { "as written" };
    let message = format!("{}, {how}: {}", step.row, step.harm()?);
    let finding = Finding::new(Code::RunbookHarms, Stage::Disaster, message).about(step.row.name());
    Some(if step.corrected {
        finding
    } else {
        finding.hint(format!("`pgdrill explain {}` shows the corrected commands", step.row))
    })
}
