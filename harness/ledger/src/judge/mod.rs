//! The judgement: which transactions must be in a recovered database, which are, and which are lost.
//!
//! Three witnesses are compared: the ledger (what the writers were told), the WAL (what was replayed), and the database
//! (what is there). No set is ever chosen by a clock: only WAL positions decide what lies before a target. Where they
//! cannot decide, because a commit's bracket straddles the boundary and the WAL was not read there, the transaction is
//! indeterminate, and may be there or not.

mod class;
mod tally;

use std::collections::BTreeMap;

use crate::found::Found;
use crate::history::History;
use crate::wal::{Leg, Replayed};

pub use class::Class;
pub use tally::{Disagreement, Gap, Seen, Span, Witness, Witnesses};

/// What the recovery was meant to bring back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// Everything that was acknowledged.
    Everything,
    /// What lies before a target: commits whose record ends at this WAL position or earlier. What lies beyond must not
    /// be there.
    Before(u64),
}

/// What to judge.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What the ledger says.
    pub history: &'a History,
    /// The path through timelines that was meant: what was written on a branch beyond where this path leaves it was
    /// given up on purpose, in an earlier recovery. `Leg::only(1)` where there was none.
    pub line: &'a [Leg],
    /// What was meant to come back.
    pub required: Required,
    /// What the WAL says, where it can be read.
    pub replayed: Option<Replayed<'a>>,
    /// What is in the database.
    pub found: &'a Found,
}

/// The answer. Every transaction of the ledger is in exactly one class.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// Transactions that the server acknowledged, with nothing to object.
    pub acknowledged: u64,
    /// Required and there.
    pub recovered: Witnesses,
    /// Required and not there.
    pub lost: Witnesses,
    /// There, and must not be: beyond the target, given up, rolled back, failed, or unknown to the ledger.
    pub unexpected: Witnesses,
    /// Of these, unknown to the ledger.
    pub unknown: u64,
    /// Nobody can say whether it must be there, and it is.
    pub indeterminate_present: Witnesses,
    /// Nobody can say whether it must be there, and it is not.
    pub indeterminate_absent: Witnesses,
    /// Beyond the target, and not there.
    pub after_target: Witnesses,
    /// On a branch that was given up on purpose, and not there.
    pub given_up: Witnesses,
    /// Acknowledged under `synchronous_commit = off`, not in the WAL that was replayed, and not there.
    pub not_promised: Witnesses,
    /// Rolled back or failed, and not there.
    pub not_committed: Witnesses,
    /// How much was lost, if anything was.
    pub span: Option<Span>,
    /// Writers of which a transaction is there although an earlier one, that was acknowledged, is not.
    pub gaps: Vec<Gap>,
    /// Where ledger, WAL and database contradict each other.
    pub disagreements: Seen,
    /// Commits in the WAL that are none of the writers'.
    pub foreign_commits: u64,
    classes: BTreeMap<u16, Vec<Class>>,
}

impl Judgement {
    /// The class of a transaction of the ledger.
    pub fn class(&self, writer: u16, seq: u64) -> Option<Class> {
        self.classes.get(&writer)?.get(usize::try_from(seq.checked_sub(1)?).ok()?).copied()
    }

    /// Indeterminate transactions, there or not.
    pub fn indeterminate(&self) -> u64 {
        self.indeterminate_present.count + self.indeterminate_absent.count
    }

    /// Whether everything required is there and nothing else, each transaction whole, and the three witnesses agree.
    /// Says nothing about content.
    pub fn holds(&self) -> bool {
        self.lost.count == 0
            && self.unexpected.count == 0
            && self.gaps.is_empty()
            && self.disagreements.count() == 0
    }
}

/// Judges a recovered database.
pub fn judge(question: &Question<'_>) -> Judgement {
    tally::judge(question)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
