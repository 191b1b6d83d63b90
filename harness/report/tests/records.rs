//! Records that earlier versions wrote must stay readable. The files under `fixtures/records` are never made anew:
//! a change that cannot read one of them is a change of the record's form, and needs a new number in its schema.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use pgdrill_model::verdict::Verdict;
use pgdrill_report::{Style, html, json, junit, record, text};

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/records").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_first_record_is_still_read_and_still_says_what_it_said() {
    let run = record::open(&fixture("run-1.json")).unwrap();
    assert_eq!(run.schema, "pgdrill.run/1");
    assert_eq!(run.header.id, "m8k2q7x4");
    assert_eq!(run.verdict, Verdict::Disproven);
    assert_eq!(run.header.checks.len(), 9);
    assert_eq!(run.checks.len(), 9);
    assert_eq!(run.findings.len(), 5);
    assert_eq!(run.recoveries[0].rto_us, Some(31_644_000));
    assert_eq!(run.events.len(), 41);
}

#[test]
fn every_face_can_be_rendered_from_an_old_record() {
    let run = record::open(&fixture("run-1.json")).unwrap();
    assert!(text::drill(&run, Style::default()).starts_with("DISPROVEN: "));
    assert!(junit::runs(std::slice::from_ref(&run)).unwrap().contains("ROW_COUNT_MISMATCH"));
    let page = html::runs(std::slice::from_ref(&run), 0, &html::Terms::default());
    assert!(page.contains("ROW_COUNT_MISMATCH") && page.contains("DISPROVEN"), "{page}");
    assert!(json::runs(&[run], 1).contains("\"disproven\""));
}
