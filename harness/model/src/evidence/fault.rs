//! What was damaged on purpose, and who noticed.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::code::Code;
use crate::fault::Fault;

/// A fault that was made. That it is there means that something is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FaultEvidence {
    /// Which.
    pub fault: Fault,
    /// What exactly was done, and where: `bit 5 of byte 812 in block 3 of base/16384/16402 is another`.
    pub done: String,
    /// The files of the backup or of the archive that are not what they were, within the workspace. Empty for what is not
    /// done to stored files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// What PostgreSQL alone said when it was to stop at a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BareEvidence {
    /// The mark.
    pub mark: String,
    /// Whether the server came there and was promoted; none where it was not started.
    pub promoted: Option<bool>,
    /// Why it did not come there, in its own words or in those of what unpacked the backup.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// How long it took.
    pub took_us: u64,
}

/// What came of a mutant.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum MutantOutcome {
    /// The recovery or a check of the scenario noticed it.
    Killed,
    /// It was recovered, checked, and found good.
    Survived,
    /// Nobody could tell.
    Undecided,
    /// There was nothing that it could be done to.
    NotHere,
}

impl MutantOutcome {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Survived => "survived",
            Self::Undecided => "undecided",
            Self::NotHere => "not made",
        }
    }
}

/// A damaged copy of the drill's own backup or archive, recovered and checked as the drill was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MutantEvidence {
    /// What was done to the copy.
    pub fault: Fault,
    /// What exactly was done, and where.
    pub done: String,
    /// What came of it.
    pub outcome: MutantOutcome,
    /// By what it was killed first: the code of the finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed_by: Option<Code>,
    /// What that said; or why nobody could tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// Of a survivor: the checks that the scenario does not make, and that notice it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_be_killed_by: Vec<Check>,
    /// Of a survivor: why the scenario lets it survive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// How long it took.
    pub took_us: u64,
}
