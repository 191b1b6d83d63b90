//! What the rows of a backup that was there already say beside those of the last proven drill of its source.

use crate::code::Code;
use crate::drift::{Change, Drift};
use crate::finding::{Finding, Stage};
use crate::run::Run;
use crate::units::show_count;

/// Tables that are named before the rest is only counted.
const MOST_NAMED: usize = 20;

/// Adds what follows from the rows that were counted: where a bound was given, each table beyond it; where none was, the tables
/// that held rows and hold none.
pub(super) fn judge(run: &mut Run) {
    let Some(Drift { before, at_most_percent }) = run.header.drift.clone() else { return };
    // Where nothing was counted, a check did not run, and that is told.
    let Some(counts) = run.counts.clone() else { return };
    let Some(before) = before else {
        if at_most_percent.is_some() {
            let message =
                "no drill of this source was proven before: its rows are what later ones are held against";
            run.findings.push(Finding::new(Code::DriftUnknown, Stage::Check, message));
        }
        return;
    };
    let (code, changes): (Code, Vec<Change<'_>>) = match at_most_percent {
        Some(percent) => {
            let beyond = |change: &Change<'_>| change.is_beyond(percent);
            (Code::RowsDrifted, before.changes(&counts).into_iter().filter(beyond).collect())
        }
        None => (Code::RowsVanished, before.changes(&counts).into_iter().filter(Change::vanished).collect()),
    };
    let named = changes.iter().take(MOST_NAMED).map(|change| {
        Finding::new(code, Stage::Check, words(change, &before.run, at_most_percent)).about(change.table)
    });
    run.findings.extend(named);
    let more = changes.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        run.findings.push(Finding::new(code, Stage::Check, format!("{more} more tables are not listed")));
    }
}

fn words(change: &Change<'_>, run: &str, percent: Option<u64>) -> String {
    let Change { table, before, .. } = change;
    let held = format!("held {} in run {run}", rows(*before));
    let bound = percent.map_or_else(String::new, |percent| format!("; {percent} % are allowed"));
    match change.now {
        None => format!("table {table} {held}, and is not there"),
        Some(0) => format!("table {table} {held}, and holds none"),
        Some(now) => format!("table {table} {held}, and holds {}{bound}", rows(now)),
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{} rows", show_count(count)) }
}
