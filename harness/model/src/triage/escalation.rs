//! When others must be called: the runbook's rules of escalation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Assessment, Suspicion};
use crate::units::show_duration;

/// After so long, an incident that is not resolved is escalated.
pub const UNRESOLVED: Duration = Duration::from_secs(30 * 60);

/// Why an incident is escalated.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is not resolved in time.
    Unresolved,
    /// Data may be lost.
    DataLoss,
    /// Somebody may be where he must not be.
    Breach,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct EscalationEntry {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub doc: &'static str,
}

/// Every rule, in the runbook's order.
pub const ESCALATIONS: &[EscalationEntry] = &[
    EscalationEntry { reason: Reason::Unresolved, doc: "not resolved in 30 minutes" },
    EscalationEntry { reason: Reason::DataLoss, doc: "data loss is suspected" },
    EscalationEntry { reason: Reason::Breach, doc: "a security breach is possible" },
];

impl Reason {
    /// In words.
    pub fn words(self) -> &'static str {
        ESCALATIONS.iter().find(|entry| entry.reason == self).map_or("", |entry| entry.doc)
    }
}

/// A rule that applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Escalation {
    /// Which.
    pub reason: Reason,
    /// What says so; never empty.
    pub because: Vec<String>,
}

/// The rules that apply. `elapsed` is how long the incident has lasted, where that is known; without it, nobody can say that
/// it has lasted too long. Where nothing is wrong, nothing is unresolved.
pub fn escalate(assessment: &Assessment, elapsed: Option<Duration>) -> Vec<Escalation> {
    let suspected = |wanted: Suspicion| -> Vec<String> {
        let causes = assessment.causes.iter().filter(|cause| cause.signal.entry().suspicion == wanted);
        causes.flat_map(|cause| cause.because.iter().cloned()).collect()
    };
    ESCALATIONS
        .iter()
        .map(|entry| Escalation {
            reason: entry.reason,
            because: match entry.reason {
                Reason::Unresolved => elapsed
                    .filter(|elapsed| assessment.severity.is_some() && *elapsed > UNRESOLVED)
                    .map(|elapsed| format!("it has lasted for {}", show_duration(elapsed)))
                    .into_iter()
                    .collect(),
                Reason::DataLoss => suspected(Suspicion::DataLoss),
                Reason::Breach => suspected(Suspicion::Breach),
            },
        })
        .filter(|escalation| !escalation.because.is_empty())
        .collect()
}
