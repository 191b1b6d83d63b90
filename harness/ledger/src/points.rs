//! What must be there at each of many recovery points on one way through the WAL: each transaction is placed once, by its
//! commit record, and every point is then a cut through the places.

use std::collections::BTreeMap;

use crate::found::Found;
use crate::history::{Fate, History, Transaction};
use crate::judge::{Disagreement, Witness};
use crate::wal::{Commit, Index, Replayed, left};

/// From where on a transaction is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is in the backup: at every point.
    InBackup,
    /// Its commit record ends here: at every point that lies here or beyond.
    At(u64),
    /// At no point: not committed, given up with its timeline, or beyond the WAL that was read.
    Never,
    /// In the backup or nowhere: its commit was sent before the WAL that was read begins, and never answered.
    Undecided,
}

impl Place {
    /// Whether it is there at a point. One that is undecided counts as not there.
    pub fn is_there(self, point: u64) -> bool {
        match self {
            Self::InBackup => true,
            Self::At(end) => end <= point,
            Self::Never | Self::Undecided => false,
        }
    }
}

/// A transaction of which another number of rows is there than must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The transaction.
    pub witness: Witness,
    /// Rows in `"AuditLog"` that must be there.
    pub expected: u16,
    /// Rows that are.
    pub found: u16,
}

/// The place of every transaction of a ledger.
#[derive(Clone, Debug, Default)]
pub struct Places {
    places: BTreeMap<u16, Vec<Place>>,
    /// Transactions about which the ledger and the WAL contradict each other.
    pub contradictions: u64,
    /// The first of them.
    pub contradiction: Option<(Disagreement, Witness)>,
    /// Whether a transaction is undecided.
    pub undecided: bool,
}

impl Places {
    /// Places every transaction by the commits of the WAL that was read.
    pub fn of(history: &History, replayed: &Replayed<'_>) -> Self {
        let index = Index::new(replayed.commits);
        let mut all = Self::default();
        for (&number, writer) in &history.writers {
            let until = left(replayed.path, writer.branch).min(replayed.reached);
            let mut hint = 0;
            let mut places = Vec::with_capacity(writer.transactions.len());
            for (transaction, seq) in writer.transactions.iter().zip(1_u64..) {
                let commit = match transaction.xid {
                    0 => None,
                    _ => index.own(writer.branch, transaction, &mut hint).map(|(_, commit)| commit),
                };
                let (place, disagreement) = place(transaction, commit, replayed.from, until);
                if let Some(kind) = disagreement {
                    all.contradictions += 1;
                    all.contradiction =
                        all.contradiction.or(Some((kind, witness(number, seq, transaction, place))));
                }
                all.undecided |= place == Place::Undecided;
                places.push(place);
            }
            all.places.insert(number, places);
        }
        all
    }

    /// Decides what is undecided by what is there at a point: whatever of it is, came with the backup.
    pub fn decide(&mut self, found: &Found) {
        for (&writer, places) in &mut self.places {
            for (place, seq) in places.iter_mut().zip(1_u64..) {
                if *place == Place::Undecided {
                    *place = if found.rows(writer, seq) > 0 { Place::InBackup } else { Place::Never };
                }
            }
        }
        self.undecided = false;
    }

    /// The place of a transaction.
    pub fn place(&self, writer: u16, seq: u64) -> Option<Place> {
        self.places.get(&writer)?.get(usize::try_from(seq.checked_sub(1)?).ok()?).copied()
    }

    /// The number of the first of ascending `points` at which a transaction is there; none when it is at none.
    pub fn first_point(&self, writer: u16, seq: u64, points: &[u64]) -> Option<usize> {
        first(self.place(writer, seq)?, points)
    }

    /// How many transactions must be there at a point.
    pub fn count(&self, point: u64) -> u64 {
        self.places.values().flatten().filter(|place| place.is_there(point)).count() as u64
    }

    /// How many transactions are not as they must be at a point, and the first of them by its position in the WAL. One
    /// that no ledger knows comes last.
    pub fn differences(&self, history: &History, point: u64, found: &Found) -> (u64, Option<Difference>) {
        let mut count = found.unreadable;
        let mut earliest: Option<Difference> = None;
        let mut take = |difference: Difference| {
            count += 1;
            if earliest.is_none_or(|earliest| difference.witness.lsn < earliest.witness.lsn) {
                earliest = Some(difference);
            }
        };
        for (&number, writer) in &history.writers {
            let places = self.places.get(&number).map_or(&[][..], Vec::as_slice);
            for ((transaction, place), seq) in writer.transactions.iter().zip(places).zip(1_u64..) {
                let there = found.rows(number, seq);
                let expected = if place.is_there(point) { u16::from(transaction.audited) } else { 0 };
                if there != expected && *place != Place::Undecided {
                    let witness = witness(number, seq, transaction, *place);
                    take(Difference { witness, expected, found: there });
                }
            }
        }
        for (writer, seq, rows) in found.all() {
            if history.transaction(writer, seq).is_none() {
                let witness = Witness { writer, seq, xid: 0, lsn: u64::MAX, time_us: 0 };
                take(Difference { witness, expected: 0, found: rows });
            }
        }
        (count, earliest)
    }
}

/// The first of ascending points at which something of this place is there.
fn first(place: Place, points: &[u64]) -> Option<usize> {
    let at = match place {
        Place::InBackup => 0,
        Place::At(end) => points.partition_point(|point| *point < end),
        Place::Never | Place::Undecided => return None,
    };
    (at < points.len()).then_some(at)
}

/// Places one transaction. `from` and `until` bound the WAL of its timeline that was read; `until` is zero for a
/// timeline that the way does not take.
fn place(
    transaction: &Transaction,
    commit: Option<&Commit>,
    from: u64,
    until: u64,
) -> (Place, Option<Disagreement>) {
    let Transaction { before, after, fate, .. } = *transaction;
    if let Some(commit) = commit {
        let outside = commit.lsn_start < before || commit.lsn_end > after;
        let disagreement = if fate.not_committed() {
            Some(Disagreement::RecordOfNotCommitted)
        } else {
            outside.then_some(Disagreement::RecordOutsideBracket)
        };
        return (Place::At(commit.lsn_end), disagreement);
    }
    if fate.not_committed() || until == 0 {
        return (Place::Never, None);
    }
    // The WAL was read from `from` to `until` and has no record of it.
    match (before < from, after <= until) {
        (true, true) if fate != Fate::Unanswered => (Place::InBackup, None),
        (true, _) => (Place::Undecided, None),
        (false, true) => (Place::Never, Some(Disagreement::AcknowledgedWithoutRecord)),
        (false, false) => (Place::Never, None),
    }
}

fn witness(writer: u16, seq: u64, transaction: &Transaction, place: Place) -> Witness {
    let lsn = match place {
        Place::At(end) => end,
        _ if transaction.after != u64::MAX => transaction.after,
        _ => transaction.before,
    };
    Witness { writer, seq, xid: transaction.xid, lsn, time_us: transaction.time_us }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Writer;
    use crate::record::Level;
    use crate::wal::Leg;

    const ACKNOWLEDGED: Fate = Fate::Acknowledged(Level::On);

    fn transaction(xid: u32, before: u64, after: u64, fate: Fate) -> Transaction {
        Transaction { before, after, time_us: 0, xid, rows: 3, audited: 2, fate }
    }

    fn history(branch: u32, transactions: Vec<Transaction>) -> History {
        let writers = BTreeMap::from([(1, Writer { branch, transactions })]);
        History { writers, ..History::default() }
    }

    fn commit(xid: u32, start: u64) -> Commit {
        Commit { branch: 1, xid, lsn_start: start, lsn_end: start + 8, time_us: 0 }
    }

    fn places(history: &History, commits: &[Commit]) -> Places {
        let path = Leg::only(1);
        Places::of(history, &Replayed { from: 100, reached: 1_000, path: &path, commits })
    }

    #[test]
    fn a_transaction_is_there_from_the_end_of_its_commit_record_on() {
        let history =
            history(1, vec![transaction(7, 200, 300, ACKNOWLEDGED), transaction(8, 300, 400, ACKNOWLEDGED)]);
        let places = places(&history, &[commit(7, 240), commit(8, 340)]);
        let points = [239, 247, 248, 347, 348, 900];
        assert_eq!(points.map(|point| places.count(point)), [0, 0, 1, 1, 2, 2]);
        assert_eq!(places.first_point(1, 2, &points), Some(4));
        assert_eq!(places.first_point(1, 2, &points[..4]), None);
        assert_eq!(places.contradictions, 0);
    }

    #[test]
    fn what_was_committed_before_the_backup_is_there_at_every_point() {
        let history = history(
            1,
            vec![
                transaction(5, 10, 60, ACKNOWLEDGED),
                // Its record can only be before the WAL that was read.
                transaction(6, 90, 140, ACKNOWLEDGED),
                // Nobody knows.
                transaction(7, 80, u64::MAX, Fate::Unanswered),
                transaction(8, 150, u64::MAX, Fate::Unanswered),
                transaction(9, 150, u64::MAX, Fate::RolledBack),
                // Beyond the archive.
                transaction(10, 990, 1_100, ACKNOWLEDGED),
            ],
        );
        let mut places = places(&history, &[]);
        let is = |places: &Places| (1..=6).map(|seq| places.place(1, seq).unwrap()).collect::<Vec<_>>();
        use Place::{InBackup, Never, Undecided};
        assert_eq!(is(&places), [InBackup, InBackup, Undecided, Never, Never, Never]);
        assert_eq!((places.undecided, places.contradictions), (true, 0));
        let mut found = Found::new();
        found.add(1, 3, 2);
        places.decide(&found);
        assert_eq!(is(&places)[2], InBackup);
        assert_eq!(places.count(100), 3);
    }

    #[test]
    fn the_ledger_and_the_wal_contradict_each_other_and_that_is_told() {
        let history = history(
            1,
            vec![
                transaction(7, 200, 300, ACKNOWLEDGED),
                transaction(8, 300, 400, ACKNOWLEDGED),
                transaction(9, 400, 500, Fate::Failed),
            ],
        );
        let places = places(&history, &[commit(8, 600), commit(9, 440)]);
        assert_eq!(places.contradictions, 3);
        assert_eq!(places.contradiction.unwrap().0, Disagreement::AcknowledgedWithoutRecord);
    }

    #[test]
    fn a_number_that_was_given_again_after_a_crash_is_anothers() {
        let rolled_back = Transaction { time_us: 500, ..transaction(9, 400, u64::MAX, Fate::RolledBack) };
        let history = history(1, vec![rolled_back]);
        // Committed before its first owner heard of the end, it would be that one's own.
        for (time_us, contradictions) in [(501, 0), (500, 1)] {
            let places = places(&history, &[Commit { time_us, ..commit(9, 440) }]);
            assert_eq!(places.contradictions, contradictions, "{time_us}");
            assert_eq!(places.place(1, 1) == Some(Place::Never), contradictions == 0);
        }
    }

    #[test]
    fn what_was_given_up_with_its_timeline_is_never_there() {
        let history = history(3, vec![transaction(7, 200, 300, ACKNOWLEDGED)]);
        let places = places(&history, &[]);
        assert_eq!((places.place(1, 1), places.contradictions), (Some(Place::Never), 0));
    }

    #[test]
    fn a_swap_of_two_transactions_is_seen_although_the_number_is_right() {
        let history =
            history(1, vec![transaction(7, 200, 300, ACKNOWLEDGED), transaction(8, 300, 400, ACKNOWLEDGED)]);
        let places = places(&history, &[commit(7, 240), commit(8, 340)]);
        let mut found = Found::new();
        found.add(1, 2, 2);
        let (count, first) = places.differences(&history, 300, &found);
        let first = first.unwrap();
        assert_eq!((count, first.witness.seq, first.expected, first.found), (2, 1, 2, 0));
        // One that nobody made, and one that is torn.
        let mut found = Found::new();
        found.add(1, 1, 1);
        found.add(9, 1, 2);
        let (count, first) = places.differences(&history, 300, &found);
        assert_eq!((count, first.unwrap().found), (2, 1));
    }
}
