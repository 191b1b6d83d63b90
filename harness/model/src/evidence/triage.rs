//! What was found out in the first minutes after a loss.

use serde::{Deserialize, Serialize};

use crate::triage::{Assessment, Escalation, Facts};

/// A triage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriageEvidence {
    /// Of which server.
    pub server: String,
    /// What was found out.
    pub facts: Facts,
    /// What that comes to.
    pub assessment: Assessment,
    /// Whether others must be called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<Escalation>,
    /// The newest segment in the drill's archive, and its age in microseconds: a server that is lost cannot be asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_segment: Option<(String, u64)>,
    /// How long it took.
    pub took_us: u64,
}
