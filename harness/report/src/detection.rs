//! The table of who notices which fault: as JSON, and what of it the faces for people have in common.

use pgdrill_model::detection::{Detector, Matrix, Sight};
use serde_json::{Value, json};

/// The detectors that had anything to do, by their place in a row.
pub(crate) fn used(matrix: &Matrix) -> Vec<usize> {
    let did = |at: &usize| matrix.rows.iter().any(|row| row.sights[*at] != Sight::NotApplicable);
    (0..Detector::all().len()).filter(did).collect()
}

/// What stands in a cell, where there is room for any sign.
pub(crate) fn symbol(sight: Sight) -> &'static str {
    match sight {
        Sight::NotApplicable => "",
        Sight::Blind => "·",
        Sight::Sometimes => "◐",
        Sight::Seen => "●",
    }
}

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
