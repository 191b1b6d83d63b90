//! The table of who notices which fault, as JSON.

use pgdrill_model::detection::{Detector, Matrix, Sight};
use serde_json::{Value, json};

/// The table as a JSON value.
pub(crate) fn value(matrix: &Matrix) -> Value {
    let names = |all: Vec<Detector>| all.into_iter().map(Detector::name).collect::<Vec<_>>();
    let rows: Vec<Value> = matrix
        .rows
        .iter()
        .map(|row| {
            let having = |wanted: Sight| names(row.having(&[wanted]));
            json!({
                "fault": row.fault.name(),
                "harmless": row.fault.is_harmless(),
                "runs": row.runs,
                "seen": having(Sight::Seen),
                "sometimes": having(Sight::Sometimes),
                "blind": having(Sight::Blind),
                "not_applicable": having(Sight::NotApplicable),
            })
        })
        .collect();
    let only: Vec<Value> = matrix
        .only_seen_by()
        .into_iter()
        .map(|(detector, faults)| {
            let faults: Vec<&str> = faults.into_iter().map(pgdrill_model::fault::Fault::name).collect();
            json!({ "detector": detector.name(), "faults": faults })
        })
        .collect();
    json!({ "detectors": names(Detector::all()), "rows": rows, "only_seen_by": only })
}
