//! The report for a browser, in a real one: it says what the record says, leaves its file for nothing, and can be read on a phone,
//! on paper, in the dark, and without eyes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod browser;
mod figures;
mod many;
mod shown;

use pgdrill_model::run::Run;
use pgdrill_report::html::{Terms, runs};
use pgdrill_testkit::sample;

/// A day after the samples began.
const NOW: i64 = 1_795_374_900_000_000 + 86_400_000_000;

/// The page of one drill.
fn page(run: &Run) -> String {
    runs(std::slice::from_ref(run), NOW, &Terms::default())
}

/// Every sample, and the records that earlier versions and real drills left.
fn every_sample() -> Vec<(&'static str, Run)> {
    let first = include_bytes!("../../../../fixtures/records/run-1.json");
    let others = [
        ("incident", sample::incident()),
        ("alarm-to-rollback", sample::alarm_to_rollback()),
        ("first-record", pgdrill_report::record::open(first).unwrap()),
        ("hostile", sample::hostile()),
    ];
    sample::all().into_iter().chain(others).collect()
}

/// A line of runs an hour apart, the newest last: proven but for each seventh.
fn line(count: usize) -> Vec<Run> {
    (0..count)
        .map(|hour| {
            let mut run = if hour % 7 == 6 { sample::disproven() } else { sample::proven() };
            run.header.id = format!("run{hour}");
            run.started_unix_us += hour as i64 * 3_600_000_000;
            for recovery in &mut run.recoveries {
                recovery.rto_us = recovery.rto_us.map(|us| us + 100_000 * (hour as u64 * 37 % 11));
            }
            run
        })
        .collect()
}
