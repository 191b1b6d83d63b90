//! What was measured when a recovery was repeated.

use serde::{Deserialize, Serialize};

use super::Phase;
use crate::verdict::Verdict;

/// One more recovery of the same backup from the same archive, after the drill's own, and checked as that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RepetitionEvidence {
    /// Which: the drill's own is the first.
    pub number: u64,
    /// The phases of its recovery time, in order, without gaps. Between the loss and its being noticed it is as in the first.
    pub phases: Vec<Phase>,
    /// From the loss to the first application write; none when there was none.
    pub rto_us: Option<u64>,
    /// What the server says that replay took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redo: Option<RedoEvidence>,
    /// What came of it and its checks.
    pub observed: Verdict,
    /// Why.
    pub reason: String,
}

/// What replay took by the server's own words, `redo done at ... system usage: ...` (`PerformWalRecovery`, `xlogrecovery.c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RedoEvidence {
    /// Processor time of the startup process in its own code.
    pub user_us: u64,
    /// The same in the kernel.
    pub system_us: u64,
    /// From the first record to the last.
    pub elapsed_us: u64,
}

impl RedoEvidence {
    /// Which part of the time the startup process computed, in percent. The rest it waited: for `restore_command`, for the
    /// disk. None where it took no time that could be measured.
    pub fn computed_percent(self) -> Option<u64> {
        // The server tells hundredths of a second, of which less than ten say little.
        let told = self.elapsed_us >= 100_000;
        told.then(|| {
            (self.user_us.saturating_add(self.system_us).saturating_mul(100) / self.elapsed_us).min(100)
        })
    }
}
