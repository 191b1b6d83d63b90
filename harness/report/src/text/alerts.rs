//! The part of a drill's report about the alarm: which alert fired, how long after its cause, and not before.

use pgdrill_model::evidence::AlertEvidence;
use pgdrill_model::run::Run;

use crate::page::{Cell, Column, Page, Tone};
use crate::words;

pub(crate) fn all(page: &mut Page, run: &Run) {
    if run.alerts.is_empty() {
        return;
    }
    page.heading("Detection");
    let columns = [
        Column::left("alert"),
        Column::left("cause"),
        Column::left("fired"),
        Column::right("after"),
        Column::flexible("what it saw"),
    ];
    let rows: Vec<Vec<Cell>> = run.alerts.iter().map(row).collect();
    page.table(&columns, &rows);
    for scale in run.alerts.iter().map(|alert| alert.scale).filter(|scale| *scale > 1).take(1) {
        page.blank();
        page.paragraph(
            2,
            Tone::Faint,
            &format!("windows, and limits that are times, were divided by {scale}"),
        );
    }
}

fn row(alert: &AlertEvidence) -> Vec<Cell> {
    let cause =
        alert.line.map_or_else(|| alert.cause.clone(), |line| format!("{}, line {line}", alert.cause));
    let (tone, fired) = fired(alert);
    vec![
        Cell::from(alert.alert.name()),
        Cell::from(cause),
        Cell::new(tone, fired),
        Cell::from(alert.detected_us.map_or_else(|| "-".to_owned(), words::time)),
        Cell::from(seen(alert)),
    ]
}

/// Whether an alert fired, when it had to.
pub(crate) fn fired(alert: &AlertEvidence) -> (Tone, &'static str) {
    match (alert.early, alert.detected_us) {
        (true, _) => (Tone::Bad, "TOO EARLY"),
        (false, None) => (Tone::Bad, "NOT"),
        (false, Some(_)) => (Tone::Good, "yes"),
    }
}

/// What an alert saw, in words: its value, and above what it fires.
pub(crate) fn seen(alert: &AlertEvidence) -> String {
    let window =
        if alert.window_us == 0 { String::new() } else { format!(" in {}", words::time(alert.window_us)) };
    let about = alert.about.as_ref().map(|about| format!(": {about}")).unwrap_or_default();
    let watched = words::time(alert.watched_us);
    format!("{}, limit {}{window}{about}; watched for {watched} before", alert.value, alert.limit)
}
