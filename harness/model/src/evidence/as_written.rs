//! What the commands of a runbook did: each with how it ended, and what was there when they were done.

use serde::{Deserialize, Serialize};

use crate::as_written::AsWritten;

/// A step of the runbook that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AsWrittenEvidence {
    /// Which.
    pub row: AsWritten,
    /// Whether its corrected commands were run.
    pub corrected: bool,
    /// The commands, in order.
    pub commands: Vec<CommandEvidence>,
    /// What was there then.
    pub found: FoundEvidence,
    /// How long all of it took.
    pub took_us: u64,
    /// How long the commands took, up to the moment at which the server took a write, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_us: Option<u64>,
}

/// A command that was run, or was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommandEvidence {
    /// As it stands in the runbook.
    pub text: String,
    /// Whether it is of the step itself, not of what stands around it.
    pub of_the_step: bool,
    /// Its exit code; none where it was not run, or did not end by itself.
    pub code: Option<i32>,
    /// The last line that it wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// What was there when the commands were done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FoundEvidence {
    /// Files that the data directory held before, and their bytes.
    pub files_before: u64,
    /// See `files_before`.
    pub bytes_before: u64,
    /// Those that it holds.
    pub files: u64,
    /// What lies at its top, where that is no cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<String>,
    /// What lies beside it, but for safety copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// Bytes of the safety copy beside it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_bytes: Option<u64>,
    /// The account that the files belong to, by its number, where that is not the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Whether it holds a cluster: `PG_VERSION` and `global/pg_control`.
    pub cluster: bool,
    /// Whether a server that was started on it answers; none where none was started.
    pub started: Option<bool>,
    /// The state that it came to: `promoted`, `paused at its target`, `in recovery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Whether the application could place an order; none where nobody tried.
    pub writes: Option<bool>,
    /// What the server said last where it did not start, or answered where it took no write.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// Tables that were compared with what was captured; none where they were not.
    pub tables: Option<u64>,
    /// Those that differ.
    pub differences: u64,
    /// What was asked of the server, or of a service, and how that ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<AskedEvidence>,
}

/// A command that asks whether all is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AskedEvidence {
    /// As it stands in the runbook.
    pub text: String,
    /// Whether all was well.
    pub well: bool,
    /// Its exit code.
    pub code: Option<i32>,
    /// The last line that it wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

impl AsWrittenEvidence {
    /// The harm that the commands did, in words; none where everything is there that must be.
    pub fn harm(&self) -> Option<String> {
        self.row.harm(&self.found)
    }
}
