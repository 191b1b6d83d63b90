//! A failover within a drill.

use serde::{Deserialize, Serialize};

use crate::units::Lsn;

/// A standby that took the place of its primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FailoverEvidence {
    /// The server that was lost.
    pub from: String,
    /// The server that took its place.
    pub to: String,
    /// The timeline that this one began.
    pub timeline: u32,
    /// Where it left the timeline before.
    pub at: Lsn,
    /// How long it took from the loss until it was promoted.
    pub took_us: u64,
}
