//! What the WAL says of commits: the second, independent source beside the ledger. Whoever reads the WAL fills these in.

use crate::history::Transaction;

/// A commit record that lies on the recovered path and was replayed, or a commit of a prepared transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The timeline that it was written on.
    pub branch: u32,
    /// The transaction.
    pub xid: u32,
    /// Where the record begins.
    pub lsn_start: u64,
    /// Where the next one can begin.
    pub lsn_end: u64,
    /// The time that it carries, microseconds since 1970 UTC: a server's clock, not in the order of the records.
    pub time_us: i64,
}

/// A part of a path through timelines: `branch` holds up to `until`, where the next one begins; the last one for ever
/// (`u64::MAX`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The timeline.
    pub branch: u32,
    /// Where it is left.
    pub until: u64,
}

impl Leg {
    /// The whole path of a database that was never recovered.
    pub fn only(branch: u32) -> [Self; 1] {
        [Self { branch, until: u64::MAX }]
    }
}

/// Where `path` leaves `branch`; zero if it never takes it.
pub(crate) fn left(path: &[Leg], branch: u32) -> u64 {
    path.iter().find(|leg| leg.branch == branch).map_or(0, |leg| leg.until)
}

/// What was replayed, as the WAL has it.
#[derive(Clone, Copy, Debug)]
pub struct Replayed<'a> {
    /// From where the WAL was read. Commits before that are in the backup, and `commits` need not have them.
    pub from: u64,
    /// Where replay stopped: every record that ends here or earlier was replayed, no other.
    pub reached: u64,
    /// The path that recovery took.
    pub path: &'a [Leg],
    /// Every commit on that path that begins at `from` or later and ends at `reached` or earlier, in any order.
    pub commits: &'a [Commit],
}

/// Finds commits by branch and transaction.
pub(crate) struct Index<'a> {
    commits: &'a [Commit],
    /// Ascending by branch and transaction.
    sorted: Vec<u32>,
}

impl<'a> Index<'a> {
    pub fn new(commits: &'a [Commit]) -> Self {
        let mut sorted: Vec<u32> = (0..commits.len() as u32).collect();
        sorted.sort_unstable_by_key(|at| commits.get(*at as usize).map(|commit| (commit.branch, commit.xid)));
        Self { commits, sorted }
    }

    /// The commit record of a transaction of the ledger. A number of which nothing was on disk when the server crashed is
    /// given again (`GetNewTransactionId`, `src/backend/access/transam/varsup.c`): what was committed by it after its first
    /// owner had heard that it is rolled back is another's.
    pub fn own(
        &self,
        branch: u32,
        transaction: &Transaction,
        hint: &mut usize,
    ) -> Option<(usize, &'a Commit)> {
        let heard = |commit: &Commit| {
            transaction.fate.not_committed()
                && transaction.time_us != 0
                && commit.time_us > transaction.time_us
        };
        self.find(branch, transaction.xid, hint).filter(|(_, commit)| !heard(commit))
    }

    /// The commit of a transaction, and its place in the index. `hint` is where the search begins, and is left where it ended: the transactions of
    /// a writer ascend, so the next one is never far.
    pub fn find(&self, branch: u32, xid: u32, hint: &mut usize) -> Option<(usize, &'a Commit)> {
        let key = |at: usize| {
            let commit = self.commits.get(*self.sorted.get(at)? as usize)?;
            Some((commit.branch, commit.xid))
        };
        let before = |at: usize| key(at).is_some_and(|key| key < (branch, xid));
        let mut low = if *hint > 0 && !before(*hint - 1) { 0 } else { *hint };
        // Everything before `low` is smaller; go on in ever larger steps until something is not.
        let mut step = 1;
        while before(low + step - 1) {
            low += step;
            step *= 2;
        }
        let mut high = (low + step).min(self.sorted.len());
        while low < high {
            let middle = low.midpoint(high);
            if before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        *hint = low;
        if key(low) != Some((branch, xid)) {
            return None;
        }
        Some((low, self.commits.get(*self.sorted.get(low)? as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commit(branch: u32, xid: u32) -> Commit {
        Commit { branch, xid, lsn_start: 0, lsn_end: u64::from(branch) << 32 | u64::from(xid), time_us: 0 }
    }

    proptest! {
        #[test]
        fn what_is_there_is_found_whatever_was_searched_before(
            there in prop::collection::btree_set((1..4_u32, 0..60_u32), 0..40),
            asked in prop::collection::vec((1..4_u32, 0..60_u32), 0..60),
        ) {
            let commits: Vec<Commit> = there.iter().rev().map(|(branch, xid)| commit(*branch, *xid)).collect();
            let index = Index::new(&commits);
            let mut hint = 0;
            for (branch, xid) in asked {
                let expected = there.contains(&(branch, xid)).then(|| commit(branch, xid));
                prop_assert_eq!(index.find(branch, xid, &mut hint).map(|(_, commit)| *commit), expected);
            }
        }
    }
}
