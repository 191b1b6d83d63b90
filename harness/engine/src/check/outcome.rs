//! What a check saw, and how it is taken down.

use std::time::Duration;

use pgdrill_model::check::Check;
use pgdrill_model::code::{Code, Weight};
use pgdrill_model::evidence::{CheckRecord, CheckStatus, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server;

use crate::content::Content;
use crate::record::Recorder;

/// Findings of one kind that a check gives before it only counts.
const MOST_FINDINGS: usize = 20;

/// What a check saw.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How many things it looked at, in the unit of its catalogue row.
    pub(super) examined: u64,
    /// One line: what it saw.
    pub(super) summary: String,
    /// What is wrong.
    pub(super) found: Vec<Finding>,
    /// Whether it could not look, or not at everything; `summary` says why.
    pub(super) not_run: bool,
    /// What to do when it could not look.
    pub(super) hint: Option<String>,
}

impl Outcome {
    /// A check that looked, and what it saw.
    pub(super) fn of(examined: u64, summary: impl Into<String>, found: Vec<Finding>) -> Self {
        Self { examined, summary: summary.into(), found: at_most(found), ..Self::default() }
    }

    /// A check that could not look.
    pub(super) fn not_run(why: impl Into<String>) -> Self {
        let summary = why.into();
        Self { summary, not_run: true, ..Self::default() }
    }

    /// A check that has nothing to compare with.
    pub(super) fn not_captured() -> Self {
        Self::not_run("what the primary held was not captured")
    }

    /// A check that something kept from looking.
    pub(super) fn unable(unable: Unable) -> Self {
        let bug = unable.code == Code::InternalError;
        let found = if bug { vec![unable.clone().into_finding(Stage::Check)] } else { Vec::new() };
        Self { found, hint: unable.hint, ..Self::not_run(unable.message) }
    }
}

/// The first findings, and one that counts the rest.
fn at_most(mut found: Vec<Finding>) -> Vec<Finding> {
    let more = found.len().saturating_sub(MOST_FINDINGS);
    if more == 0 {
        return found;
    }
    let rest = found.split_off(MOST_FINDINGS);
    if let Some(first) = rest.first() {
        let message = format!("{more} more findings of this check are not listed");
        found.push(Finding::new(first.code, first.stage, message));
    }
    found
}

/// What a check finds wrong.
pub(super) fn finding(code: Code, message: impl Into<String>) -> Finding {
    Finding::new(code, Stage::Check, message)
}

/// Takes down how a check ended, and what it found.
pub(super) fn take_down(recorder: &Recorder<'_>, check: Check, of: Server, outcome: Outcome, took: Duration) {
    let Outcome { examined, summary, mut found, not_run, hint } = outcome;
    let status = match (not_run, found.is_empty()) {
        (true, _) => CheckStatus::NotRun,
        (false, true) => CheckStatus::Held,
        (false, false) => CheckStatus::Failed,
    };
    // Where a finding of its own says why, as that page checksums are off, nothing more is said.
    if not_run && !found.iter().any(|finding| finding.weight == Weight::Unverifies) {
        let mut why = finding(Code::CheckNotRun, format!("the check {check} did not run: {summary}"));
        why.hint = hint;
        found.push(why);
    }
    let took_us = took.as_micros() as u64;
    recorder.measured(Evidence::Check(CheckRecord {
        check,
        server: of.name().to_owned(),
        status,
        examined,
        summary,
        took_us,
    }));
    found.into_iter().for_each(|finding| recorder.found(finding.by(check)));
}

/// The tables that only one side has, as findings.
pub(super) fn missing_and_unexpected(expected: &Content, found: &Content) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, database) in &expected.databases {
        let Some(held) = found.databases.get(name) else {
            let message = format!("database {name} is not there");
            findings.push(finding(Code::DatabaseMissing, message).about(name));
            continue;
        };
        for table in database.tables.keys().filter(|table| !held.tables.contains_key(*table)) {
            let message = format!("table {name}.{table} is not there");
            findings.push(finding(Code::TableMissing, message).about(format!("{name}.{table}")));
        }
    }
    for (name, database) in &found.databases {
        let known = expected.databases.get(name);
        let unexpected = |table: &&String| known.is_none_or(|known| !known.tables.contains_key(*table));
        for table in database.tables.keys().filter(unexpected) {
            let message = format!("table {name}.{table} was not there before");
            findings.push(finding(Code::TableUnexpected, message).about(format!("{name}.{table}")));
        }
    }
    findings
}
