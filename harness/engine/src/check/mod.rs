//! The checks: one file each, named as in the scenario language, and this table of them.

use std::time::Duration;

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{CheckRecord, CheckStatus, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;

use crate::content::{Content, Measure, measure};
use crate::drill::Drill;
use crate::record::Recorder;
use crate::session::describe;

mod archive_untouched;
mod catalog;
mod conservation;
mod fingerprints;
mod first_write;
mod page_checksums;
mod read_all;
mod row_counts;
mod server_log;

/// Findings of one kind that a check gives before it only counts.
const MOST_FINDINGS: usize = 20;

/// What a check saw.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many things it looked at, in the unit of its catalogue row.
    pub examined: u64,
    /// One line: what it saw.
    pub summary: String,
    /// What is wrong.
    pub found: Vec<Finding>,
    /// Whether it could not look at all; `summary` says why.
    pub not_run: bool,
    /// How long it took, when it ran beside others.
    pub took: Option<Duration>,
}

impl Outcome {
    /// A check that looked, and what it saw.
    fn of(examined: u64, summary: impl Into<String>, found: Vec<Finding>) -> Self {
        Self { examined, summary: summary.into(), found: at_most(found), ..Self::default() }
    }

    /// A check that could not look.
    fn not_run(why: impl Into<String>) -> Self {
        let summary = why.into();
        Self { summary, not_run: true, ..Self::default() }
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
fn finding(code: Code, message: impl Into<String>) -> Finding {
    Finding::new(code, Stage::Check, message)
}

/// Runs `checks`, in their order. Each is taken down when it ends, so that what it found counts whatever becomes of
/// the next one. A measurement that several share counts with each of them.
///
/// # Errors
///
/// `SERVER_LOST`: a server that is not there cannot be checked.
pub async fn run(drill: &mut Drill<'_>, checks: &[Check]) -> Result<(), Unable> {
    let server = drill.server(Name::Restored)?;
    if !server.running() {
        let message =
            format!("the recovered server went away before it was checked: {}", server.last_words());
        return Err(Unable::new(Code::ServerLost, message));
    }
    // The pages are read from disk by a thread while the server reads its tables.
    let mut pages =
        if checks.contains(&Check::PageChecksums) { Some(page_checksums::begin(drill).await?) } else { None };
    let mut content: Option<Content> = None;
    let mut measuring = Duration::ZERO;
    for check in checks {
        let mut began = drill.clock.elapsed();
        if needs_content(*check) {
            if content.is_none() {
                content = Some(measure_restored(drill, checks).await?);
                measuring = drill.clock.elapsed().saturating_sub(began);
            }
            began = drill.clock.elapsed().saturating_sub(measuring);
        }
        let outcome = match (check, &drill.baseline, &content) {
            (Check::RowCounts, Some(baseline), Some(content)) => {
                row_counts::compare(&baseline.content, content)
            }
            (Check::Fingerprints, Some(baseline), Some(content)) => {
                fingerprints::compare(&baseline.content, content)
            }
            (Check::Catalog, Some(baseline), Some(content)) => catalog::compare(&baseline.content, content),
            (Check::ReadAll, _, Some(content)) => read_all::judge(content),
            (Check::RowCounts | Check::Fingerprints | Check::Catalog | Check::ReadAll, ..) => {
                Outcome::not_run("what the primary held was not captured")
            }
            (Check::Conservation, ..) => conservation::run(drill).await?,
            (Check::PageChecksums, ..) => match pages.take() {
                Some(begun) => begun.end().await?,
                None => Outcome::not_run("it was not begun"),
            },
            (Check::ServerLog, ..) => server_log::run(drill)?,
            (Check::FirstWrite, ..) => first_write::run(drill).await?,
            (Check::ArchiveUntouched, ..) => archive_untouched::run(drill).await?,
        };
        let took = outcome.took.unwrap_or_else(|| drill.clock.elapsed().saturating_sub(began));
        take_down(drill.recorder, *check, outcome, took);
    }
    Ok(())
}

/// Takes down how a check ended, and what it found.
fn take_down(recorder: &Recorder<'_>, check: Check, outcome: Outcome, took: Duration) {
    let Outcome { examined, summary, found, not_run, took: _ } = outcome;
    let status = match (not_run, found.is_empty()) {
        (true, _) => CheckStatus::NotRun,
        (false, true) => CheckStatus::Held,
        (false, false) => CheckStatus::Failed,
    };
    let took_us = took.as_micros() as u64;
    recorder.measured(Evidence::Check(CheckRecord { check, status, examined, summary, took_us }));
    found.into_iter().for_each(|finding| recorder.found(finding.by(check)));
}

fn needs_content(check: Check) -> bool {
    matches!(check, Check::RowCounts | Check::Fingerprints | Check::Catalog | Check::ReadAll)
}

async fn measure_restored(drill: &mut Drill<'_>, checks: &[Check]) -> Result<Content, Unable> {
    let socket = drill.server(Name::Restored)?.socket.clone();
    let what = Measure {
        system: checks.contains(&Check::ReadAll),
        definitions: checks.contains(&Check::Catalog),
        without_xid: drill.first_write.as_ref().and_then(|written| Some(written.as_ref().ok()?.xid.clone())),
    };
    measure(&socket, &what, drill.recorder).await.map_err(|error| {
        Unable::new(Code::ServerLost, format!("the recovered server could not be read: {}", describe(&error)))
    })
}

/// The tables that only one side has, as findings.
fn missing_and_unexpected(expected: &Content, found: &Content) -> Vec<Finding> {
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
