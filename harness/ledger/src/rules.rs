//! Which record may follow which, kept by who writes a ledger and by who reads it: the numbers of writers are their own,
//! the sequence numbers of a writer have no gap, every outcome has its transaction.

use crate::damage::Flaw;
use crate::record::{Counts, Record};
use crate::sums::Table;

/// A writer, so far.
#[derive(Clone, Copy, Debug)]
struct Writer {
    /// The last sequence number that was used.
    last: u64,
    /// Where the bracket of its transaction without an outcome begins.
    open: Option<u64>,
}

/// What the records so far have said, as far as the next one depends on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The last WAL position.
    pub lsn: u64,
    /// The last transaction number.
    pub xid: u64,
    /// The last time.
    pub time_us: i64,
    /// What there was so far.
    pub counts: Counts,
    /// By number.
    writers: Vec<Option<Writer>>,
}

impl State {
    fn writer(&self, writer: u16) -> Option<&Writer> {
        self.writers.get(usize::from(writer))?.as_ref()
    }

    /// The lowest number that no writer has yet.
    pub fn free_writer(&self) -> Option<u16> {
        u16::try_from(self.writers.len()).ok()
    }

    /// The sequence number that the writer's next record should be about.
    pub fn due(&self, writer: u16) -> u64 {
        self.writer(writer).map_or(1, |writer| writer.last + u64::from(writer.open.is_none()))
    }

    /// Takes note of a record, unless it cannot follow.
    pub fn follow(&mut self, record: &Record<'_>) -> Result<(), Flaw> {
        match *record {
            Record::Opened { writer, time_us, .. } => {
                let index = usize::from(writer);
                if self.writers.len() <= index {
                    self.writers.resize(index + 1, None);
                }
                let slot = self.writers.get_mut(index).ok_or(Flaw::Meaningless)?;
                if slot.is_some() {
                    return Err(Flaw::OpenedTwice(writer));
                }
                *slot = Some(Writer { last: 0, open: None });
                self.counts.writers += 1;
                self.time_us = time_us;
            }
            Record::Sent { writer, seq, xid, before, changes } => {
                let appended = |rows: i64, change: &crate::Change| match change.table {
                    Table::AuditLog if change.group == Some(seq) => rows.saturating_add(change.sums.rows),
                    _ => rows,
                };
                let rows = changes.iter().fold(0_i64, appended);
                let known = self.known(writer)?;
                if known.open.is_some() {
                    return Err(Flaw::StillOpen { writer, seq: known.last });
                }
                known.next(writer, seq)?;
                known.open = Some(before);
                if !(1..=255).contains(&rows) {
                    return Err(Flaw::NotToBeFound { writer, seq, rows });
                }
                self.counts.sent += 1;
                self.lsn = before;
                self.xid = xid;
            }
            Record::Acknowledged { writer, seq, after, time_us, cancelled, .. } => {
                let before = self.known(writer)?.answered(writer, seq)?;
                if after.is_some_and(|after| after < before) {
                    return Err(Flaw::Backwards { writer, seq });
                }
                if cancelled {
                    self.counts.cancelled += 1;
                } else {
                    self.counts.acknowledged += 1;
                }
                self.lsn = after.unwrap_or(self.lsn);
                self.time_us = time_us;
            }
            Record::Failed { writer, seq, xid, time_us, .. } => {
                self.known(writer)?.ended(writer, seq)?;
                self.counts.failed += 1;
                self.xid = xid.unwrap_or(self.xid);
                self.time_us = time_us;
            }
            Record::RolledBack { writer, seq, xid, time_us } => {
                self.known(writer)?.ended(writer, seq)?;
                self.counts.rolled_back += 1;
                self.xid = xid.unwrap_or(self.xid);
                self.time_us = time_us;
            }
            Record::Unanswered { writer, seq, time_us } => {
                self.known(writer)?.answered(writer, seq)?;
                self.counts.unanswered += 1;
                self.time_us = time_us;
            }
            Record::Note { time_us, .. } => {
                self.counts.notes += 1;
                self.time_us = time_us;
            }
            Record::Closed { counts, .. } => {
                if counts != self.counts {
                    return Err(Flaw::Counts);
                }
            }
        }
        Ok(())
    }

    fn known(&mut self, writer: u16) -> Result<&mut Writer, Flaw> {
        let slot = self.writers.get_mut(usize::from(writer)).and_then(Option::as_mut);
        slot.ok_or(Flaw::UnknownWriter(writer))
    }
}

impl Writer {
    /// A transaction begins to exist for the ledger.
    fn next(&mut self, writer: u16, seq: u64) -> Result<(), Flaw> {
        if seq != self.last + 1 {
            return Err(Flaw::Gap { writer, expected: self.last + 1, found: seq });
        }
        self.last = seq;
        Ok(())
    }

    /// One that was sent has an outcome; gives where its bracket begins.
    fn answered(&mut self, writer: u16, seq: u64) -> Result<u64, Flaw> {
        match self.open.take() {
            Some(before) if seq == self.last => Ok(before),
            _ => Err(Flaw::NotSent { writer, seq }),
        }
    }

    /// One has ended without a commit, whether it was sent or not.
    fn ended(&mut self, writer: u16, seq: u64) -> Result<(), Flaw> {
        if self.open.take().is_some() {
            return if seq == self.last { Ok(()) } else { Err(Flaw::NotSent { writer, seq }) };
        }
        self.next(writer, seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sums::{Change, Sums};

    const AUDITED: Change =
        Change { table: Table::AuditLog, group: Some(1), sums: Sums { rows: 1, first: 0, second: 0 } };

    fn opened() -> State {
        let mut state = State::default();
        state.follow(&Record::Opened { writer: 2, branch: 1, time_us: 5 }).unwrap();
        state
    }

    fn sent(seq: u64) -> Record<'static> {
        const SECOND: Change = Change { group: Some(2), ..AUDITED };
        let changes = if seq == 2 { &[SECOND] } else { &[AUDITED] };
        Record::Sent { writer: 2, seq, xid: 9, before: 100, changes }
    }

    fn acknowledged(seq: u64, after: u64) -> Record<'static> {
        let level = crate::Level::On;
        Record::Acknowledged { writer: 2, seq, after: Some(after), time_us: 6, level, cancelled: false }
    }

    #[test]
    fn a_gap_in_the_sequence_of_a_writer_is_seen() {
        let mut state = opened();
        state.follow(&sent(1)).unwrap();
        state.follow(&acknowledged(1, 110)).unwrap();
        let gap = Flaw::Gap { writer: 2, expected: 2, found: 3 };
        assert_eq!(
            state.clone().follow(&Record::RolledBack { writer: 2, seq: 3, xid: None, time_us: 0 }),
            Err(gap)
        );
        assert_eq!(state.follow(&sent(2)), Ok(()));
    }

    #[test]
    fn an_outcome_belongs_to_what_was_sent_and_comes_once() {
        let mut state = opened();
        assert_eq!(state.clone().follow(&acknowledged(1, 110)), Err(Flaw::NotSent { writer: 2, seq: 1 }));
        state.follow(&sent(1)).unwrap();
        assert_eq!(state.clone().follow(&acknowledged(2, 110)), Err(Flaw::NotSent { writer: 2, seq: 2 }));
        assert_eq!(state.clone().follow(&sent(2)), Err(Flaw::StillOpen { writer: 2, seq: 1 }));
        assert_eq!(state.clone().follow(&acknowledged(1, 99)), Err(Flaw::Backwards { writer: 2, seq: 1 }));
        state.follow(&acknowledged(1, 100)).unwrap();
        assert_eq!(state.follow(&acknowledged(1, 110)), Err(Flaw::NotSent { writer: 2, seq: 1 }));
    }

    #[test]
    fn a_writer_is_opened_once_and_before_it_does_anything() {
        let mut state = State::default();
        assert_eq!(state.clone().follow(&sent(1)), Err(Flaw::UnknownWriter(2)));
        state = opened();
        let again = Record::Opened { writer: 2, branch: 1, time_us: 5 };
        assert_eq!(state.follow(&again), Err(Flaw::OpenedTwice(2)));
        assert_eq!(state.free_writer(), Some(3));
    }

    #[test]
    fn a_transaction_that_could_not_be_found_again_is_refused() {
        let nothing = Record::Sent { writer: 2, seq: 1, xid: 9, before: 100, changes: &[] };
        assert_eq!(opened().follow(&nothing), Err(Flaw::NotToBeFound { writer: 2, seq: 1, rows: 0 }));
        let many = [Change { sums: Sums { rows: 256, ..AUDITED.sums }, ..AUDITED }];
        let many = Record::Sent { writer: 2, seq: 1, xid: 9, before: 100, changes: &many };
        assert_eq!(opened().follow(&many), Err(Flaw::NotToBeFound { writer: 2, seq: 1, rows: 256 }));
    }
}
