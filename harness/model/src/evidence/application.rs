//! What the application said of a server that it was started on, and how long its users were without it.

use serde::{Deserialize, Serialize};

/// An application that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ApplicationEvidence {
    /// On which server.
    pub server: String,
    /// What stands between it and the server: `PgBouncer 1.18.0`.
    pub pooler: String,
    /// Whether it is somebody's own, of which nothing is asked but how it is.
    pub own: bool,
    /// How long it took to be healthy; none where it was not in time.
    pub healthy_us: Option<u64>,
    /// What was asked of it then, in this order.
    pub asked: Vec<RequestEvidence>,
    /// How long its users were without it, where a server that it had run on was lost before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutageEvidence>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestEvidence {
    /// What a person would call it: `log in`, `place an order`.
    pub what: String,
    /// The request: `POST /api/login`.
    pub request: String,
    /// How long the answer took.
    pub took_us: u64,
    /// What came, where it was what had to come: `order 10 001`.
    pub answer: String,
    /// What was wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

/// The time in which the application did not answer well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OutageEvidence {
    /// When everything was last answered well before the loss, microseconds since the run began.
    pub last_good_us: u64,
    /// When everything was answered well again.
    pub first_good_us: u64,
    /// How often it was asked in between.
    pub asked: u64,
}

impl OutageEvidence {
    /// How long it lasted.
    pub fn us(&self) -> u64 {
        self.first_good_us.saturating_sub(self.last_good_us)
    }
}
