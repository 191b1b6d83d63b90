//! The verdict: three values, never two, and the rules by which a run gets one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a drill has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was asked for was checked, and holds.
    Proven,
    /// Could not verify: we could not tell.
    Unverified,
    /// The backup, the restore or an objective failed.
    Disproven,
}

impl Verdict {
    /// The name in records and scenario files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unverified => "unverified",
            Self::Disproven => "disproven",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Judges a run: fills `objectives`, `observed`, `verdict`, `reason`, `not_tested`, and the findings that follow
/// from what is missing. `ended` says whether the run came to its own end.
pub fn judge(_run: &mut crate::run::Run, _ended: bool) {}
