//! Triage: what is known of a server in the first minutes of an incident, how bad that is, what is likely behind it, and
//! whom to call. Pure: [`Facts`] go in, an [`Assessment`] comes out.
//!
//! One table ([`SIGNALS`]) says what speaks for trouble. Each signal reads the facts alone, and one that needs a fact which
//! is not known says nothing: what is unknown is told as unknown, and neither as trouble nor as its absence.

mod contacts;
mod escalation;
mod facts;
mod reading;
mod signal;

use serde::{Deserialize, Serialize};

pub use contacts::{Contact, Contacts, Misread};
pub use escalation::{ESCALATIONS, Escalation, EscalationEntry, Reason, UNRESOLVED, escalate};
pub use facts::{
    Archiver, Checksums, Connections, DatabaseChecksums, Disk, Fact, Facts, Health, LockWait, Metrics, Pool,
    Pooler, Query, Reach, Recovery, Replication, Slot, Space, Standby, State, Tls, Transactions,
};
pub use signal::{Heading, SIGNALS, Severity, Signal, SignalEntry, Suspicion};

/// A signal that the facts give, with the facts that do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cause {
    /// The signal.
    pub signal: Signal,
    /// What says so, one sentence each; never empty.
    pub because: Vec<String>,
}

/// Something that was asked for and is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Unknown {
    /// What it is.
    pub what: String,
    /// Why it is not known.
    pub why: String,
}

/// What the facts come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Assessment {
    /// How bad it is; none where no fact says that anything is.
    pub severity: Option<Severity>,
    /// What the facts speak for, the worst first.
    pub causes: Vec<Cause>,
    /// What is not known.
    pub unknown: Vec<Unknown>,
}

impl Assessment {
    /// What the facts come to.
    pub fn of(facts: &Facts) -> Self {
        Self { severity: severity(facts), causes: causes(facts), unknown: facts.unknown() }
    }
}

/// How bad it is by the facts: the worst severity that one of them speaks for; none where no fact does.
pub fn severity(facts: &Facts) -> Option<Severity> {
    causes(facts).iter().filter_map(|cause| cause.signal.entry().severity).min()
}

/// Everything that the facts speak for, with the facts that do; the worst first, and then in the order of the table.
pub fn causes(facts: &Facts) -> Vec<Cause> {
    let mut causes: Vec<Cause> = SIGNALS
        .iter()
        .map(|entry| Cause { signal: entry.signal, because: (entry.reads)(facts) })
        .filter(|cause| !cause.because.is_empty())
        .collect();
    // What has no severity of its own says why nothing is known, and comes before what is only low.
    causes.sort_by_key(|cause| cause.signal.entry().severity.unwrap_or(Severity::P1));
    causes
}
