//! What a ledger says of every transaction, in 32 bytes each.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::damage::Damage;
use crate::read::{Header, Reader};
use crate::record::{Counts, Level, Record};
use crate::sums::Table;

/// What became of a transaction, as far as its writer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Acknowledged.
    Acknowledged(Level),
    /// Acknowledged, with the wait for the standby cancelled: it may not be where it should be.
    CancelledWait,
    /// Sent, and never answered.
    Unanswered,
    /// Failed with an error.
    Failed,
    /// Rolled back, or never sent.
    RolledBack,
}

impl Fate {
    /// Whether the server said that it is committed.
    pub fn committed(self) -> bool {
        matches!(self, Self::Acknowledged(_) | Self::CancelledWait)
    }

    /// Whether its commit record was on the server's own disk before the answer: a crash does not take it.
    pub fn durable(self) -> bool {
        self.committed() && self != Self::Acknowledged(Level::Off)
    }

    /// Whether it cannot be committed.
    pub fn not_committed(self) -> bool {
        matches!(self, Self::Failed | Self::RolledBack)
    }
}

/// A transaction. Its commit record, if there is one, begins at `before` or later and ends at `after` or earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Where the WAL ended before COMMIT was sent; zero if it never was.
    pub before: u64,
    /// Where the WAL ended after it was acknowledged; `u64::MAX` where that is not known.
    pub after: u64,
    /// When its outcome was known, microseconds since 1970 UTC by the writers' clock; zero where it never was.
    pub time_us: i64,
    /// The transaction's number, without the epoch; zero where it is not known.
    pub xid: u32,
    /// Rows that it added to the tables, at most 65 535 are counted.
    pub rows: u16,
    /// Of these, rows in `"AuditLog"`; zero if it was never sent.
    pub audited: u8,
    /// What became of it.
    pub fate: Fate,
}

/// A writer and its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The timeline that it wrote on.
    pub branch: u32,
    /// Its transactions; the first has the sequence number 1.
    pub transactions: Vec<Transaction>,
}

/// A whole ledger without the changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The run and the seed.
    pub header: Header,
    /// By number.
    pub writers: BTreeMap<u16, Writer>,
    /// Notes, with their times.
    pub notes: Vec<(i64, String)>,
    /// What the ledger counted.
    pub counts: Counts,
}

impl History {
    /// Reads a ledger that must be whole.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where. There is no part of a history.
    pub fn read(path: &Path) -> Result<Self, Damage> {
        let (history, damage) = Self::salvage(Reader::open(path)?);
        damage.map_or(Ok(history), Err)
    }

    /// What can be read of a ledger, and why it is not all. Only for telling what a program did that was killed: whoever
    /// judges a database by a part of a ledger, misses what was lost.
    pub fn salvage<R: Read>(mut reader: Reader<R>) -> (Self, Option<Damage>) {
        let mut history = Self { header: reader.header().clone(), ..Self::default() };
        loop {
            match reader.next() {
                Ok(Some(record)) => history.take(&record),
                Ok(None) => return (history, None),
                Err(damage) => return (history, Some(damage)),
            }
        }
    }

    /// A transaction.
    pub fn transaction(&self, writer: u16, seq: u64) -> Option<&Transaction> {
        self.writers.get(&writer)?.transactions.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// Takes note of a record that the reader let pass, so that it follows what was before it.
    pub(crate) fn take(&mut self, record: &Record<'_>) {
        match *record {
            Record::Opened { writer, branch, .. } => {
                self.writers.insert(writer, Writer { branch, transactions: Vec::new() });
                self.counts.writers += 1;
            }
            Record::Sent { writer, seq, xid, before, changes } => {
                let own = changes.iter().filter(|change| change.group == Some(seq));
                let rows: i64 = own.clone().map(|change| change.sums.rows).fold(0, i64::saturating_add);
                let audited = own.filter(|change| change.table == Table::AuditLog);
                let audited: i64 = audited.map(|change| change.sums.rows).fold(0, i64::saturating_add);
                self.push(
                    writer,
                    Transaction {
                        before,
                        after: u64::MAX,
                        time_us: 0,
                        xid: xid as u32,
                        rows: rows.clamp(0, u16::MAX.into()) as u16,
                        audited: audited.clamp(0, u8::MAX.into()) as u8,
                        fate: Fate::Unanswered,
                    },
                );
                self.counts.sent += 1;
            }
            Record::Acknowledged { writer, after, time_us, level, cancelled, .. } => {
                if let Some(transaction) = self.last(writer) {
                    transaction.after = after.unwrap_or(u64::MAX);
                    transaction.time_us = time_us;
                    transaction.fate =
                        if cancelled { Fate::CancelledWait } else { Fate::Acknowledged(level) };
                }
                let counts = &mut self.counts;
                *(if cancelled { &mut counts.cancelled } else { &mut counts.acknowledged }) += 1;
            }
            Record::Failed { writer, seq, xid, time_us, .. } => {
                self.end(writer, seq, xid, time_us, Fate::Failed);
                self.counts.failed += 1;
            }
            Record::RolledBack { writer, seq, xid, time_us } => {
                self.end(writer, seq, xid, time_us, Fate::RolledBack);
                self.counts.rolled_back += 1;
            }
            Record::Unanswered { writer, time_us, .. } => {
                if let Some(transaction) = self.last(writer) {
                    transaction.time_us = time_us;
                }
                self.counts.unanswered += 1;
            }
            Record::Note { time_us, text } => {
                self.notes.push((time_us, text.to_owned()));
                self.counts.notes += 1;
            }
            Record::Closed { .. } => {}
        }
    }

    fn push(&mut self, writer: u16, transaction: Transaction) {
        if let Some(writer) = self.writers.get_mut(&writer) {
            writer.transactions.push(transaction);
        }
    }

    fn last(&mut self, writer: u16) -> Option<&mut Transaction> {
        self.writers.get_mut(&writer)?.transactions.last_mut()
    }

    fn end(&mut self, writer: u16, seq: u64, xid: Option<u64>, time_us: i64, fate: Fate) {
        if self.transaction(writer, seq).is_none() {
            let blank =
                Transaction { before: 0, after: u64::MAX, time_us, xid: 0, rows: 0, audited: 0, fate };
            self.push(writer, blank);
        }
        if let Some(transaction) = self.last(writer) {
            transaction.fate = fate;
            transaction.time_us = time_us;
            transaction.xid = xid.map_or(transaction.xid, |xid| xid as u32);
        }
    }
}
