//! The part of a report that tells where a backup came from that was there already, and how many rows it holds beside the last
//! proven drill of that source.

use pgdrill_model::drift::{Change, Drift};
use pgdrill_model::run::Run;
use pgdrill_model::units::show_count;

use crate::page::{Page, TIE};
use crate::words;

/// Tables that are told by name; the others are counted.
const NAMED: usize = 3;

pub(crate) fn all(page: &mut Page, run: &Run) {
    let Some(source) = &run.source else { return };
    page.heading("Source");
    page.fact("name", &source.name);
    let held = words::count(source.backups.len() as u64, "backups");
    page.fact("holds", &format!("{}, with {held}; {} was taken", source.kind, source.taken));
    if let Some(counts) = &run.counts {
        let rows = words::count(counts.rows.values().sum(), "rows");
        page.fact("rows", &format!("{rows} in {}", words::count(counts.rows.len() as u64, "tables")));
    }
    if let Some(drift) = &run.header.drift {
        page.fact("drift", &told(run, drift));
    }
}

/// What became of the rows since the last proven drill.
fn told(run: &Run, drift: &Drift) -> String {
    let allowed = match drift.at_most_percent {
        Some(percent) => format!("; {percent}{TIE}% are allowed"),
        None => String::new(),
    };
    let Some(before) = &drift.before else {
        return format!("no drill of this source was proven before{allowed}");
    };
    let against = format!("against run {} of {}", before.run, words::moment(before.unix_us));
    let Some(counts) = &run.counts else { return format!("not known, {against}{allowed}") };
    let changes = before.changes(counts);
    if changes.is_empty() {
        return format!("none, {against}{allowed}");
    }
    let named: Vec<String> = changes.iter().take(NAMED).map(change).collect();
    let more = match changes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let tables = words::count(changes.len() as u64, "tables");
    format!("{tables} {against}{allowed}: {}{more}", named.join(", "))
}

fn change(change: &Change<'_>) -> String {
    let Change { table, before, .. } = change;
    match change.now {
        None => format!("{table} is not there, with {} before", show_count(*before)),
        Some(now) => {
            let permille = change.permille();
            let sign = if now < *before { "-" } else { "+" };
            let share = format!("{sign}{}.{}{TIE}%", permille / 10, permille % 10);
            // Of nothing there is no share.
            let share = if *before == 0 { "none before".to_owned() } else { share };
            format!("{table} {} ({share})", show_count(now))
        }
    }
}
