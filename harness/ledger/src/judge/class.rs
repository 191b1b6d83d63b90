//! The rules for one transaction.

use crate::history::{Fate, Transaction};
use crate::judge::{Question, Required};
use crate::record::Level;
use crate::wal::{Commit, left};

/// What a transaction is to the recovered database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Required and there.
    Recovered,
    /// Required and not there.
    Lost,
    /// There, and must not be.
    Unexpected,
    /// Perhaps required, and there.
    IndeterminatePresent,
    /// Perhaps required, and not there.
    IndeterminateAbsent,
    /// Beyond the target, and not there.
    AfterTarget,
    /// On a branch that was given up on purpose, and not there.
    GivenUp,
    /// Acknowledged without a promise, and not there.
    NotPromised,
    /// Not committed, and not there.
    NotCommitted,
}

impl Class {
    /// Whether its changes belong to what the database must hold: what is required, there or not, and what may be there
    /// and is.
    pub fn is_expected(self) -> bool {
        matches!(self, Self::Recovered | Self::Lost | Self::IndeterminatePresent)
    }
}

/// What the WAL says of a transaction.
#[derive(Clone, Copy, Debug)]
pub enum Trace<'a> {
    /// Its commit record was replayed.
    Committed(&'a Commit),
    /// Its commit record is nowhere in the part that was read.
    Missing,
    /// The WAL was not read, or nothing can be said because the transaction's number is not known.
    Unread,
}

/// On which side of what was meant to come back a commit lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    BeyondTarget,
    GivenUp,
    Undecided,
}

/// The part of the WAL of `branch` that was read: after the first position, up to and with the second.
pub fn read_part(question: &Question<'_>, branch: u32) -> Option<(u64, u64)> {
    let replayed = question.replayed?;
    let to = replayed.reached.min(left(replayed.path, branch));
    (replayed.from < to).then_some((replayed.from, to))
}

/// The lowest and the highest position where a commit record can end: within the bracket, but not where the WAL was
/// read and does not have it. If there is no such position, the ledger and the WAL contradict each other, and the
/// bracket is believed.
fn possible_ends(transaction: &Transaction, part: Option<(u64, u64)>) -> (u64, u64) {
    let Transaction { before, after, .. } = *transaction;
    let lowest = before.saturating_add(1);
    let (mut low, mut high) = (lowest, after.max(lowest));
    if let Some((from, to)) = part {
        if low > from {
            low = low.max(to.saturating_add(1));
        }
        if high <= to {
            high = high.min(from);
        }
    }
    if low > high { (lowest, after.max(lowest)) } else { (low, high) }
}

fn side(question: &Question<'_>, branch: u32, transaction: &Transaction, trace: Trace<'_>) -> Side {
    let left = left(question.line, branch);
    let (boundary, beyond) = match question.required {
        Required::Before(target) if target < left => (target, Side::BeyondTarget),
        _ => (left, Side::GivenUp),
    };
    let (low, high) = match trace {
        Trace::Committed(commit) => (commit.lsn_end, commit.lsn_end),
        Trace::Missing => possible_ends(transaction, read_part(question, branch)),
        Trace::Unread => possible_ends(transaction, None),
    };
    if high <= boundary {
        Side::Before
    } else if low > boundary {
        beyond
    } else {
        Side::Undecided
    }
}

/// The class of a transaction of which `rows` rows are there.
pub fn classify(
    question: &Question<'_>,
    branch: u32,
    transaction: &Transaction,
    trace: Trace<'_>,
    present: bool,
) -> Class {
    let indeterminate = if present { Class::IndeterminatePresent } else { Class::IndeterminateAbsent };
    if transaction.fate.not_committed() {
        return if present { Class::Unexpected } else { Class::NotCommitted };
    }
    match side(question, branch, transaction, trace) {
        Side::BeyondTarget | Side::GivenUp if present => Class::Unexpected,
        Side::BeyondTarget => Class::AfterTarget,
        Side::GivenUp => Class::GivenUp,
        Side::Undecided => indeterminate,
        Side::Before => match transaction.fate {
            Fate::Acknowledged(_) if present => Class::Recovered,
            Fate::Acknowledged(Level::Off) if !in_the_wal(question, transaction, trace) => Class::NotPromised,
            Fate::Acknowledged(_) => Class::Lost,
            _ => indeterminate,
        },
    }
}

/// Whether the commit record is in what was replayed, or before it: a backup begins with a checkpoint, which waits for
/// all WAL before it.
fn in_the_wal(question: &Question<'_>, transaction: &Transaction, trace: Trace<'_>) -> bool {
    let in_backup = question.replayed.is_some_and(|replayed| transaction.after <= replayed.from);
    in_backup || matches!(trace, Trace::Committed(_))
}
