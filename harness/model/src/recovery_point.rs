//! Where a recovery stopped, along which timelines it came there, and what the WAL on that path says of transactions: what
//! everything from production is held against.

use serde::{Deserialize, Serialize};

use crate::units::Lsn;

/// A timeline of a path, and where it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The timeline.
    pub timeline: u32,
    /// Where the next one begins; none for the last.
    pub until: Option<Lsn>,
}

/// The timelines that a recovery followed, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path(pub Vec<Leg>);

/// Where a recovery stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// Along which timelines it came there.
    pub path: Path,
    /// The end of the last record that was replayed.
    pub lsn: Lsn,
}

/// The end of a transaction, or of a prepared one, as the WAL has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The transaction.
    pub xid: u32,
    /// Its subtransactions.
    pub subxids: Vec<u32>,
    /// Whether it was committed; if not, it was rolled back.
    pub committed: bool,
    /// Where the record begins.
    pub start: Lsn,
    /// Where it ends.
    pub end: Lsn,
}

/// What the WAL along a path says of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wal {
    /// The path.
    pub path: Path,
    /// From where it was read. What ended before is in the backup.
    pub from: Lsn,
    /// The end of its last record.
    pub to: Lsn,
    /// Every end of a transaction in between, in the order of the WAL.
    pub ends: Vec<Ended>,
}

impl Path {
    /// The path of a database that was never recovered.
    pub fn only(timeline: u32) -> Self {
        Self(vec![Leg { timeline, until: None }])
    }

    /// Where the path leaves a timeline, the greatest position where it does not; none where it never takes it.
    pub fn left(&self, timeline: u32) -> Option<Lsn> {
        let leg = self.0.iter().find(|leg| leg.timeline == timeline)?;
        Some(leg.until.unwrap_or(Lsn(u64::MAX)))
    }
}

impl RecoveryPoint {
    /// How far a timeline was replayed; none where the recovery did not follow it.
    pub fn replayed(&self, timeline: u32) -> Option<Lsn> {
        self.path.left(timeline).map(|left| left.min(self.lsn))
    }
}

impl Wal {
    /// How the transaction `xid` ended, and where; none where no record read says so.
    pub fn end_of(&self, xid: u32) -> Option<&Ended> {
        self.ends.iter().find(|ended| ended.xid == xid || ended.subxids.contains(&xid))
    }

    /// Every commit, in the order of the WAL.
    pub fn commits(&self) -> impl DoubleEndedIterator<Item = &Ended> {
        self.ends.iter().filter(|ended| ended.committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_is_replayed_to_where_it_was_left_or_recovery_stopped() {
        let path = Path(vec![Leg { timeline: 1, until: Some(Lsn(500)) }, Leg { timeline: 3, until: None }]);
        let at = |lsn| RecoveryPoint { path: path.clone(), lsn: Lsn(lsn) };
        assert_eq!(at(700).replayed(1), Some(Lsn(500)));
        assert_eq!(at(700).replayed(3), Some(Lsn(700)));
        assert_eq!(at(400).replayed(1), Some(Lsn(400)));
        assert_eq!(at(700).replayed(2), None);
    }
}
