//! The records of a ledger and their form in the file.
//!
//! A record's first byte is its kind (three bits) and what is special about it (five bits); everything else is numbers
//! of varying length, and WAL positions, transaction numbers and times are written as differences from the last ones.
//! That makes a transaction of ordinary size about eighty bytes, of which most are hashes.

use crate::damage::Flaw;
use crate::rules::State;
use crate::sums::{Change, Sums, Table};
use crate::varint::{Cursor, put, put_signed};

/// Bytes that a record can have.
pub const LONGEST: usize = 1 << 16;

/// `synchronous_commit` of a transaction (`SyncCommitLevel`, `src/include/access/xact.h`): what the server promised
/// with its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// `off`: nothing yet. A crash may lose it.
    Off,
    /// `local`: it is on the primary's disk.
    Local,
    /// `remote_write`
    RemoteWrite,
    /// `on`: on the primary's disk, and on that of the synchronous standby where there is one.
    On,
    /// `remote_apply`
    RemoteApply,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Off, Self::Local, Self::RemoteWrite, Self::On, Self::RemoteApply];

    /// Its name, as the server knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::RemoteWrite => "remote_write",
            Self::On => "on",
            Self::RemoteApply => "remote_apply",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Local => 1,
            Self::RemoteWrite => 2,
            Self::On => 3,
            Self::RemoteApply => 4,
        }
    }
}

/// How many of what a ledger holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writers that were opened.
    pub writers: u64,
    /// Transactions whose COMMIT was sent.
    pub sent: u64,
    /// Acknowledged, with nothing to object.
    pub acknowledged: u64,
    /// Acknowledged, with the wait for the standby cancelled.
    pub cancelled: u64,
    /// Failed with an error.
    pub failed: u64,
    /// Rolled back, or never committed because the connection was lost before COMMIT was sent.
    pub rolled_back: u64,
    /// Sent and never answered.
    pub unanswered: u64,
    /// Notes.
    pub notes: u64,
}

/// One record. Times are microseconds since 1970 UTC, WAL positions are byte positions, transaction numbers are those
/// of `pg_current_xact_id()` (with the epoch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A writer begins. Its number is its own in the whole ledger: a writer is one connection.
    Opened {
        /// Its number.
        writer: u16,
        /// The timeline that it writes on.
        branch: u32,
        /// When.
        time_us: i64,
    },
    /// A transaction is about to be committed: written before COMMIT is sent.
    Sent {
        /// The writer.
        writer: u16,
        /// Its sequence number with the writer: 1, 2, 3, ...
        seq: u64,
        /// Its transaction number.
        xid: u64,
        /// Where the WAL ended before COMMIT was sent: its commit record begins here or later.
        before: u64,
        /// What it does.
        changes: &'a [Change],
    },
    /// The server acknowledged a commit.
    Acknowledged {
        /// The writer.
        writer: u16,
        /// The transaction.
        seq: u64,
        /// Where the WAL ended after the acknowledgement: its commit record ends here or earlier. None where the server
        /// could not be asked any more.
        after: Option<u64>,
        /// When.
        time_us: i64,
        /// What the acknowledgement promises.
        level: Level,
        /// Whether the wait for the standby was cancelled, so that it promises nothing
        /// (`src/backend/replication/syncrep.c`).
        cancelled: bool,
    },
    /// A transaction failed with an error: it is not committed.
    Failed {
        /// The writer.
        writer: u16,
        /// The transaction: that which was sent, or one that failed before.
        seq: u64,
        /// Its transaction number, where it is known.
        xid: Option<u64>,
        /// The error's code.
        sqlstate: [u8; 5],
        /// When.
        time_us: i64,
    },
    /// A transaction was rolled back, or ended before COMMIT was sent: it is not committed.
    RolledBack {
        /// The writer.
        writer: u16,
        /// The transaction.
        seq: u64,
        /// Its transaction number, where it is known.
        xid: Option<u64>,
        /// When.
        time_us: i64,
    },
    /// COMMIT was sent, and the connection was lost before it was answered.
    Unanswered {
        /// The writer.
        writer: u16,
        /// The transaction.
        seq: u64,
        /// When that was seen.
        time_us: i64,
    },
    /// Something else that happened.
    Note {
        /// When.
        time_us: i64,
        /// What.
        text: &'a str,
    },
    /// The ledger is closed; the last record of every ledger that is whole.
    Closed {
        /// What it holds.
        counts: Counts,
        /// When.
        time_us: i64,
    },
}

const OPENED: u8 = 0;
const SENT: u8 = 1;
const ACKNOWLEDGED: u8 = 2;
const FAILED: u8 = 3;
const ROLLED_BACK: u8 = 4;
const UNANSWERED: u8 = 5;
const NOTE: u8 = 6;
const CLOSED: u8 = 7;

const KIND_BITS: u8 = 3;

/// Of an acknowledgement, beside the level in the lowest three bits.
const CANCELLED: u8 = 1 << 3;
const HAS_AFTER: u8 = 1 << 4;

/// Of a change: in its first byte the table, then these.
const NO_GROUP: u8 = 0;
const OWN_GROUP: u8 = 1;
const EARLIER_GROUP: u8 = 2;
const MANY_ROWS: u8 = 2;

/// Bytes of each of the two sums, by what the first byte of a change says.
const WIDTHS: [usize; 3] = [8, 9, 16];

/// Writes a record after those that `state` has seen.
pub(crate) fn encode(record: &Record<'_>, state: &State, out: &mut Vec<u8>) {
    let kind = |kind: u8, special: u8| kind | special << KIND_BITS;
    match *record {
        Record::Opened { writer, branch, time_us } => {
            out.push(kind(OPENED, 0));
            put(out, writer.into());
            put(out, branch.into());
            time(out, state, time_us);
        }
        Record::Sent { writer, seq, xid, before, changes } => {
            out.push(kind(SENT, 0));
            transaction(out, state, writer, seq);
            put_signed(out, xid.wrapping_sub(state.xid) as i64);
            put_signed(out, before.wrapping_sub(state.lsn) as i64);
            changes.iter().for_each(|change| encode_change(change, seq, out));
        }
        Record::Acknowledged { writer, seq, after, time_us, level, cancelled } => {
            let cancelled = if cancelled { CANCELLED } else { 0 };
            let has_after = if after.is_some() { HAS_AFTER } else { 0 };
            out.push(kind(ACKNOWLEDGED, level.number() | cancelled | has_after));
            transaction(out, state, writer, seq);
            if let Some(after) = after {
                put_signed(out, after.wrapping_sub(state.lsn) as i64);
            }
            time(out, state, time_us);
        }
        Record::Failed { writer, seq, xid, sqlstate, time_us } => {
            out.push(kind(FAILED, u8::from(xid.is_some())));
            transaction(out, state, writer, seq);
            out.extend_from_slice(&sqlstate);
            put_xid(out, state, xid);
            time(out, state, time_us);
        }
        Record::RolledBack { writer, seq, xid, time_us } => {
            out.push(kind(ROLLED_BACK, u8::from(xid.is_some())));
            transaction(out, state, writer, seq);
            put_xid(out, state, xid);
            time(out, state, time_us);
        }
        Record::Unanswered { writer, seq, time_us } => {
            out.push(kind(UNANSWERED, 0));
            transaction(out, state, writer, seq);
            time(out, state, time_us);
        }
        Record::Note { time_us, text } => {
            out.push(kind(NOTE, 0));
            time(out, state, time_us);
            out.extend_from_slice(text.as_bytes());
        }
        Record::Closed { counts, time_us } => {
            out.push(kind(CLOSED, 0));
            time(out, state, time_us);
            listed(&counts).iter().for_each(|count| put(out, *count));
        }
    }
}

fn time(out: &mut Vec<u8>, state: &State, time_us: i64) {
    put_signed(out, time_us.wrapping_sub(state.time_us));
}

/// The writer, and how far its sequence number is from the one that is due: zero, unless the file is wrong.
fn transaction(out: &mut Vec<u8>, state: &State, writer: u16, seq: u64) {
    put(out, writer.into());
    put_signed(out, seq.wrapping_sub(state.due(writer)) as i64);
}

fn put_xid(out: &mut Vec<u8>, state: &State, xid: Option<u64>) {
    if let Some(xid) = xid {
        put_signed(out, xid.wrapping_sub(state.xid) as i64);
    }
}

fn listed(counts: &Counts) -> [u64; 8] {
    let Counts { writers, sent, acknowledged, cancelled, failed, rolled_back, unanswered, notes } = *counts;
    [writers, sent, acknowledged, cancelled, failed, rolled_back, unanswered, notes]
}

fn encode_change(change: &Change, seq: u64, out: &mut Vec<u8>) {
    let Sums { rows, first, second } = change.sums;
    let group = match change.group {
        None => NO_GROUP,
        Some(group) if group == seq => OWN_GROUP,
        Some(_) => EARLIER_GROUP,
    };
    let few = u8::try_from(rows).ok().filter(|rows| *rows < MANY_ROWS).unwrap_or(MANY_ROWS);
    let fits = |width: usize| {
        let shift = 128 - 8 * width as u32;
        [first, second].iter().all(|sum| (sum << shift) >> shift == *sum)
    };
    let size = WIDTHS.iter().position(|width| fits(*width)).unwrap_or(WIDTHS.len() - 1);
    out.push(change.table.number() | group << 2 | few << 4 | (size as u8) << 6);
    if let Some(group) = change.group
        && group != seq
    {
        put(out, seq.wrapping_sub(group));
    }
    if few == MANY_ROWS {
        put_signed(out, rows);
    }
    for sum in [first, second] {
        out.extend_from_slice(&sum.to_le_bytes()[..WIDTHS[size]]);
    }
}

/// Reads a record that follows those that `state` has seen. The changes of a transaction go into `changes`.
pub(crate) fn decode<'a>(
    payload: &'a [u8],
    state: &State,
    changes: &'a mut Vec<Change>,
) -> Result<Record<'a>, Flaw> {
    changes.clear();
    decode_any(payload, state, changes).ok_or(Flaw::Meaningless)
}

fn decode_any<'a>(payload: &'a [u8], state: &State, changes: &'a mut Vec<Change>) -> Option<Record<'a>> {
    let mut bytes = Cursor::new(payload);
    let first = bytes.byte()?;
    let special = first >> KIND_BITS;
    let time = |bytes: &mut Cursor<'_>| Some(state.time_us.wrapping_add(bytes.signed()?));
    let transaction = |bytes: &mut Cursor<'_>| {
        let writer = bytes.small::<u16>()?;
        Some((writer, state.due(writer).wrapping_add(bytes.signed()? as u64)))
    };
    let number = |bytes: &mut Cursor<'_>, last: u64| Some(last.wrapping_add(bytes.signed()? as u64));
    let xid = |bytes: &mut Cursor<'_>| match special {
        0 => Some(None),
        1 => number(bytes, state.xid).map(Some),
        _ => None,
    };
    let kind = first & ((1 << KIND_BITS) - 1);
    if matches!(kind, OPENED | SENT | UNANSWERED | NOTE | CLOSED) && special != 0 {
        return None;
    }
    let record = match kind {
        OPENED => {
            Record::Opened { writer: bytes.small()?, branch: bytes.small()?, time_us: time(&mut bytes)? }
        }
        SENT => {
            let (writer, seq) = transaction(&mut bytes)?;
            let xid = number(&mut bytes, state.xid)?;
            let before = number(&mut bytes, state.lsn)?;
            while !bytes.is_empty() {
                changes.push(decode_change(&mut bytes, seq)?);
            }
            Record::Sent { writer, seq, xid, before, changes }
        }
        ACKNOWLEDGED => {
            let (writer, seq) = transaction(&mut bytes)?;
            let level = Level::ALL.into_iter().find(|level| level.number() == special & 0b111)?;
            let after = if special & HAS_AFTER != 0 { Some(number(&mut bytes, state.lsn)?) } else { None };
            let cancelled = special & CANCELLED != 0;
            Record::Acknowledged { writer, seq, after, time_us: time(&mut bytes)?, level, cancelled }
        }
        FAILED => {
            let (writer, seq) = transaction(&mut bytes)?;
            let sqlstate = bytes.take(5)?.try_into().ok()?;
            let xid = xid(&mut bytes)?;
            Record::Failed { writer, seq, xid, sqlstate, time_us: time(&mut bytes)? }
        }
        ROLLED_BACK => {
            let (writer, seq) = transaction(&mut bytes)?;
            let xid = xid(&mut bytes)?;
            Record::RolledBack { writer, seq, xid, time_us: time(&mut bytes)? }
        }
        UNANSWERED => {
            let (writer, seq) = transaction(&mut bytes)?;
            Record::Unanswered { writer, seq, time_us: time(&mut bytes)? }
        }
        NOTE => {
            let time_us = time(&mut bytes)?;
            Record::Note { time_us, text: str::from_utf8(bytes.rest()).ok()? }
        }
        _ => {
            let time_us = time(&mut bytes)?;
            let mut next = || bytes.number();
            let counts = Counts {
                writers: next()?,
                sent: next()?,
                acknowledged: next()?,
                cancelled: next()?,
                failed: next()?,
                rolled_back: next()?,
                unanswered: next()?,
                notes: next()?,
            };
            Record::Closed { counts, time_us }
        }
    };
    bytes.is_empty().then_some(record)
}

fn decode_change(bytes: &mut Cursor<'_>, seq: u64) -> Option<Change> {
    let first = bytes.byte()?;
    let table = Table::from_number(first & 0b11)?;
    let group = match first >> 2 & 0b11 {
        NO_GROUP => None,
        OWN_GROUP => Some(seq),
        EARLIER_GROUP => Some(seq.checked_sub(bytes.number()?).filter(|group| *group > 0 && *group < seq)?),
        _ => return None,
    };
    let rows = match first >> 4 & 0b11 {
        MANY_ROWS => bytes.signed()?,
        few if few < MANY_ROWS => few.into(),
        _ => return None,
    };
    let width = *WIDTHS.get(usize::from(first >> 6))?;
    Some(Change { table, group, sums: Sums { rows, first: bytes.wide(width)?, second: bytes.wide(width)? } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(lsn: u64, xid: u64, time_us: i64) -> State {
        let mut state = State::default();
        (state.lsn, state.xid, state.time_us) = (lsn, xid, time_us);
        state
    }

    fn any_change(seq: u64) -> impl Strategy<Value = Change> {
        let group = prop_oneof![Just(None), Just(Some(seq)), (1..seq).prop_map(Some)];
        let sum = || prop_oneof![any::<i64>().prop_map(i128::from), any::<i128>()];
        (0..3_u8, group, -3_i64..9, sum(), sum()).prop_map(|(table, group, rows, first, second)| Change {
            table: Table::from_number(table).unwrap(),
            group,
            sums: Sums { rows, first, second },
        })
    }

    proptest! {
        #[test]
        fn a_transaction_is_read_as_it_was_written(
            changes in prop::collection::vec(any_change(9), 0..5), xid: u64, before: u64, lsn: u64,
        ) {
            let state = seen(lsn, 0, 0);
            let record = Record::Sent { writer: 3, seq: 9, xid, before, changes: &changes };
            let mut bytes = Vec::new();
            encode(&record, &state, &mut bytes);
            let mut read = Vec::new();
            prop_assert_eq!(decode(&bytes, &state, &mut read), Ok(record));
            // Nor is it read from one byte less.
            let mut read = Vec::new();
            prop_assert!(decode(&bytes[..bytes.len() - 1], &state, &mut read) != Ok(record));
        }

        #[test]
        fn any_bytes_are_a_record_or_meaningless(bytes: Vec<u8>) {
            let _ = decode(&bytes, &State::default(), &mut Vec::new());
        }

        #[test]
        fn every_outcome_is_read_as_it_was_written(
            writer: u16, seq: u64, xid: Option<u64>, after: Option<u64>, time_us: i64, level in 0..5_usize,
            cancelled: bool, text: String, branch: u32,
        ) {
            let state = seen(77, 1 << 40, -5);
            let counts = Counts { writers: 1, sent: 2, notes: u64::MAX, ..Counts::default() };
            let level = Level::ALL[level];
            for record in [
                Record::Opened { writer, branch, time_us },
                Record::Acknowledged { writer, seq, after, time_us, level, cancelled },
                Record::Failed { writer, seq, xid, sqlstate: *b"40P01", time_us },
                Record::RolledBack { writer, seq, xid, time_us },
                Record::Unanswered { writer, seq, time_us },
                Record::Note { time_us, text: &text },
                Record::Closed { counts, time_us },
            ] {
                let mut bytes = Vec::new();
                encode(&record, &state, &mut bytes);
                let mut none = Vec::new();
                prop_assert_eq!(decode(&bytes, &state, &mut none), Ok(record));
            }
        }
    }
}
