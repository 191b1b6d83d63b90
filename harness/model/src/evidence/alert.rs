//! What the alarm did: an alert that was waited for, how long after its cause it fired, and what it saw.

use serde::{Deserialize, Serialize};

use crate::alert::Alert;

/// An alert that was waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AlertEvidence {
    /// Which.
    pub alert: Alert,
    /// The name of the step that caused it, and its line in the scenario.
    pub cause: String,
    /// See `cause`.
    pub line: Option<usize>,
    /// How long the server had been watched before that.
    pub watched_us: u64,
    /// How long after the beginning of its cause it fired; none where it did not.
    pub detected_us: Option<u64>,
    /// Whether it had fired before.
    pub early: bool,
    /// Its value then, for people, or its last one: `6`, `51.2 %`, `11.0 s`.
    pub value: String,
    /// Above what it fires, in the same form.
    pub limit: String,
    /// How far back it looks; 0 is now.
    pub window_us: u64,
    /// By what times were divided.
    pub scale: u32,
    /// What its value is about, where that is not the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}
