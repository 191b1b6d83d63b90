//! `check`: compares the recovered server with what was there. What several checks need is measured once; checks
//! that look elsewhere run beside it.

use pgdrill_model::check::Check;
use pgdrill_model::evidence::{CheckRecord, CheckStatus, Evidence};
use pgdrill_model::finding::{Finding, Unable};

use crate::check::{self, Outcome};
use crate::drill::Drill;

pub(super) async fn run(drill: &mut Drill<'_>, checks: &[Check]) -> Result<Vec<Finding>, Unable> {
    let mut findings = Vec::new();
    for (check, outcome, took_us) in check::run(drill, checks).await? {
        let Outcome { examined, summary, mut found, not_run, took: _ } = outcome;
        for finding in &mut found {
            finding.check = Some(check);
        }
        let status = match (not_run, found.is_empty()) {
            (true, _) => CheckStatus::NotRun,
            (false, true) => CheckStatus::Held,
            (false, false) => CheckStatus::Failed,
        };
        drill.recorder.measured(Evidence::Check(CheckRecord { check, status, examined, summary, took_us }));
        findings.extend(found);
    }
    Ok(findings)
}
