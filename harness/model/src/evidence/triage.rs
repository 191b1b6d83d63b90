//! What was found out in the first minutes after a loss.

use serde::{Deserialize, Serialize};

use crate::triage::{Assessment, Escalation, Facts, Severity};

/// A triage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TriageEvidence {
    /// Of which server.
    pub server: String,
    /// Whether it was lost by then.
    pub lost: bool,
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

impl TriageEvidence {
    /// In what it contradicts what the drill had done to the server; none where it does not.
    pub fn contradiction(&self) -> Option<String> {
        let (state, severity) = (self.facts.reach.state, self.assessment.severity);
        let told = if self.lost {
            !state.answers() && severity == Some(Severity::P0)
        } else {
            state.answers() && severity != Some(Severity::P0)
        };
        let called = severity.map_or_else(|| "nothing".to_owned(), |severity| severity.to_string());
        (!told).then(|| {
            format!(
                "triage says of the {}, which {}, that it {}, and calls that {called}",
                self.server,
                if self.lost { "is lost" } else { "is there" },
                state.words(),
            )
        })
    }
}
