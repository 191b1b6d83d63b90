//! What was put aside of a lost server before anything was restored, and what came of going back to it.

use serde::{Deserialize, Serialize};

/// A safety copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SafetyCopyEvidence {
    /// Of which server.
    pub server: String,
    /// `copy` or `move`.
    pub by: String,
    /// Files in it, and their bytes.
    pub files: u64,
    /// See `files`.
    pub bytes: u64,
    /// Over every name, mode, owner and content in it, in hexadecimal.
    pub sha256: String,
    /// How long it took, with the comparison.
    pub took_us: u64,
}

/// A return to the safety copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RollbackEvidence {
    /// To which server.
    pub server: String,
    /// What was put back, as the safety copy's own.
    pub sha256: String,
    /// How long it took to put it back.
    pub put_back_us: u64,
    /// How long until the server answered, after that; none where it did not.
    pub started_us: Option<u64>,
    /// Tables whose content was compared with what was captured; none where nobody knows what it was.
    pub tables: Option<u64>,
}
