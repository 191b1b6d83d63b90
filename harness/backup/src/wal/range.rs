//! The WAL that a backup itself needs, as its manifest names it: one range per timeline, which must be readable record by
//! record (`parse_required_wal` in `src/bin/pg_verifybackup/pg_verifybackup.c`, which asks
//! `pg_waldump --quiet --timeline --start --end`).

use std::fmt;

use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::{End, Lineage, Segments, Walker};

/// A range of WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The timeline whose files are read, and no other's.
    pub timeline: u32,
    /// The record with which it begins.
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
}

/// A range that cannot be read from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("WAL parsing failed for timeline {}: {why}", range.timeline)]
pub struct Broken {
    /// Which range.
    pub range: Range,
    /// Why.
    pub why: Why,
}

/// Why a range cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It does not end behind its beginning, so that there is nothing in it.
    Nothing,
    /// No record starts in it.
    NoRecord,
    /// Reading ended before its end. For the reason `Unreadable` nothing is known about the WAL.
    Ends(End),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("the range ends before it begins"),
            Self::NoRecord => f.write_str("no record starts in the range"),
            Self::Ends(end) => end.fmt(f),
        }
    }
}

impl Range {
    /// The names of the segments that it needs, first and last.
    pub fn segments(&self, segment_size: u32) -> (String, String) {
        let size = u64::from(segment_size.max(1 << 20));
        let name = |position| pgdrill_ondisk::segment::name(self.timeline, position, size);
        (name(self.start), name(self.end.saturating_sub(1).max(self.start)))
    }

    /// The range as a person reads it.
    fn words(&self) -> String {
        format!("{} to {} on timeline {}", Lsn(self.start), Lsn(self.end), self.timeline)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

/// Reads a range, from wherever its segments come; tells how many records it holds.
///
/// # Errors
///
/// Where and why it cannot be read. Nothing beyond the end is looked at: a record that goes on there is no fault.
pub fn check(segments: impl Segments, range: Range) -> Result<u64, Broken> {
    let broken = |why| Err(Broken { range, why });
    if range.start >= range.end {
        return broken(Why::Nothing);
    }
    let mut walker = match Walker::find(segments, Lineage::alone(range.timeline), range.start) {
        Ok(walker) => walker,
        Err(end) if end.at >= range.end => return broken(Why::NoRecord),
        Err(end) => return broken(Why::Ends(end)),
    };
    let mut records = 0;
    while walker.position() < range.end {
        match walker.next() {
            Ok(record) if record.start >= range.end => break,
            Ok(_) => records += 1,
            // A record that begins within the range belongs to it, however far it says that it goes.
            Err(end) if end.at >= range.end && !end.cuts_a_record => break,
            Err(end) => return broken(Why::Ends(end)),
        }
    }
    if records == 0 { broken(Why::NoRecord) } else { Ok(records) }
}
