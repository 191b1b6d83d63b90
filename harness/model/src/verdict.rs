//! The verdict: three values, never two.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a drill has shown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
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
