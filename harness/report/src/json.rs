//! The report for a program: exactly one JSON object, with fields in a stable order.
//!
//! ```json
//! {"schema": "pgdrill.report/1", "verdict": "proven", "exit_code": 0, "runs": [...]}
//! ```
//!
//! Each of `runs` is a record as it is sealed, without the seal.

use pgdrill_model::detection::Matrix;
use pgdrill_model::run::Run;
use pgdrill_model::runbook::{self, Entry, State};
use pgdrill_model::verdict::Verdict;
use serde_json::{Map, Value, json};

use crate::detection;

mod schema;

pub use schema::schema;

/// The name and version of the report's form.
pub const SCHEMA: &str = "pgdrill.report/1";

/// The report of all drills of one command. The verdict is the worst of theirs; no drill at all proves nothing.
pub fn runs(runs: &[Run], exit_code: u8) -> String {
    let verdict = runs.iter().map(|run| run.verdict).max().unwrap_or(Verdict::Unverified);
    let mut report = Map::new();
    report.insert("schema".to_owned(), json!(SCHEMA));
    report.insert("verdict".to_owned(), json!(verdict.name()));
    report.insert("exit_code".to_owned(), json!(exit_code));
    let matrix = Matrix::of(runs);
    if !matrix.rows.is_empty() {
        report.insert("detection".to_owned(), detection::value(&matrix));
    }
    if runs.iter().any(runbook::is_rehearsed) {
        report.insert("runbook".to_owned(), rehearsed(runs));
    }
    report.insert("runs".to_owned(), runs.iter().map(value).collect());
    format!("{:#}\n", Value::Object(report))
}

/// What became of each step of the runbook in all of the drills together.
fn rehearsed(runs: &[Run]) -> Value {
    let step = |(entry, state): &(&Entry, State)| {
        json!({
            "part": entry.part.name(),
            "system": entry.system,
            "does": entry.does,
            "state": state.name(),
            "evidence": state.evidence(),
        })
    };
    runbook::of(runs).iter().map(step).collect()
}

/// A run as a JSON value. A run is plain data with text for keys, which cannot fail to become JSON; should it ever,
/// the value says so, and is no record.
pub(crate) fn value(run: &Run) -> Value {
    serde_json::to_value(run).unwrap_or_else(|error| Value::String(format!("no record: {error}")))
}
