//! What a drill found of a backup that was there already, and of those beside it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What there was to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceEvidence {
    /// Its path or URL; with it, where backups of several servers lie there, whose are meant. Drills of one name are of the same
    /// database, whichever backup they took.
    pub name: String,
    /// What it is, in words: `a pgBackRest repository`.
    pub kind: String,
    /// The label of the backup that was taken.
    pub taken: String,
    /// All of its backups, the oldest first.
    pub backups: Vec<HeldEvidence>,
}

/// A backup that a source holds, as it is described there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeldEvidence {
    /// By what it is chosen.
    pub label: String,
    /// When it was done, or begun where nothing tells that, microseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_us: Option<i64>,
    /// The backup without which it cannot be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upon: Option<String>,
    /// Why it cannot be restored, by its own description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
}

/// How many rows each table of a recovered server holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CountsEvidence {
    /// The server.
    pub server: String,
    /// Rows by `database.schema.table`. A partition counts with the table that it is of in the end.
    pub rows: BTreeMap<String, u64>,
    /// Tables that could not be read in full, so that nobody knows how many rows they hold.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
}
