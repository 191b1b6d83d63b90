//! The JSON Schema of the report for a program, for those who write one.

use pgdrill_model::run;
use serde_json::{Value, json};

use super::SCHEMA;

/// The schema of what [`super::runs`] gives, and, below `$defs/Run`, of a record. Fields may be added to both within a version, so
/// none that is unknown is refused.
pub fn schema() -> Value {
    let mut record = run::schema();
    let definitions = record.get_mut("$defs").map(Value::take);
    let names = || json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A report of pgdrill",
        "description": "What `pgdrill run --json` and `pgdrill report --format json` write. Times ending in _us are whole microseconds, \
                        sizes are bytes.",
        "type": "object",
        "required": ["schema", "verdict", "exit_code", "runs"],
        "properties": {
            "schema": { "const": SCHEMA },
            "verdict": { "description": "The worst of the runs.", "enum": ["proven", "disproven", "unverified"] },
            "exit_code": { "description": "What pgdrill ended with.", "type": "integer", "minimum": 0, "maximum": 255 },
            "detection": {
                "description": "Who noticed which fault; where any was made.",
                "type": "object",
                "required": ["detectors", "rows", "only_seen_by"],
                "properties": {
                    "detectors": names(),
                    "rows": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["fault", "harmless", "runs", "seen", "sometimes", "blind", "not_applicable"],
                            "properties": {
                                "fault": { "type": "string" },
                                "harmless": { "type": "boolean" },
                                "runs": { "type": "integer", "minimum": 1 },
                                "seen": names(),
                                "sometimes": names(),
                                "blind": names(),
                                "not_applicable": names(),
                            },
                        },
                    },
                    "only_seen_by": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["detector", "faults"],
                            "properties": { "detector": { "type": "string" }, "faults": names() },
                        },
                    },
                },
            },
            "runbook": {
                "description": "What became of each step of the operations runbook; where any was rehearsed.",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["part", "system", "does", "state", "evidence"],
                    "properties": {
                        "part": { "type": "string" },
                        "system": { "type": "string" },
                        "does": { "type": "string" },
                        "state": { "type": "string" },
                        "evidence": { "type": ["string", "null"] },
                    },
                },
            },
            "runs": { "type": "array", "items": record.get("$ref").map(|reference| json!({ "$ref": reference })) },
        },
        "$defs": definitions,
    })
}
