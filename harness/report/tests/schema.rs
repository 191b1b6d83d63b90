//! The JSON Schema of reports: that it is committed, that what is written satisfies it, and that it would refuse what is not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;

use jsonschema::Validator;
use pgdrill_model::run::Run;
use pgdrill_report::json::{runs, schema};
use pgdrill_testkit::sample;
use rstest::rstest;
use serde_json::{Value, json};

const COMMITTED: &str = "../../docs/report.schema.json";

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn report() -> Value {
    let runs_of_all: Vec<Run> = sample::all()
        .into_iter()
        .map(|(_, run)| run)
        .chain([sample::hostile(), sample::alarm_to_rollback(), sample::incident()])
        .collect();
    serde_json::from_str(&runs(&runs_of_all, 1)).unwrap()
}

#[test]
fn the_committed_schema_is_the_one_that_the_types_give() {
    let generated = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(COMMITTED, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(COMMITTED).unwrap_or_default() == generated,
        "docs/report.schema.json is stale; to refresh it: UPDATE=1 cargo test -p pgdrill-report --test schema"
    );
}

#[test]
fn what_is_written_satisfies_it() {
    let complaints: Vec<String> = validator()
        .iter_errors(&report())
        .map(|error| format!("{}: {error}", error.instance_path()).chars().take(300).collect())
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let empty: Value = serde_json::from_str(&runs(&[], 2)).unwrap();
    assert!(validator().is_valid(&empty));
}

#[rstest]
#[case::another_form("/schema", json!("pgdrill.report/2"))]
#[case::no_verdict_of_ours("/verdict", json!("fine"))]
#[case::no_runs("/runs", json!({}))]
#[case::a_time_in_words("/runs/0/took_us", json!("1 s"))]
#[case::no_position("/runs/0/backups/0/start_lsn", json!("here"))]
#[case::an_unknown_code("/runs/1/findings/0/code", json!("ALL_WELL"))]
#[case::an_unknown_check("/runs/0/checks/0/check", json!("glance"))]
fn what_is_not_of_this_form_is_refused(#[case] at: &str, #[case] value: Value) {
    let mut report = report();
    *report.pointer_mut(at).unwrap() = value;
    assert!(!validator().is_valid(&report));
}
