//! Why the WAL cannot be read any further. PostgreSQL takes most of these for the end of the WAL, and promotes
//! (`ReadRecord`, `src/backend/access/transam/xlogrecovery.c`); so it must be told which of them are.

use std::fmt;

use super::lsn;

/// Where and why reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The end of the last record that could be read: replay ends here.
    pub lsn: u64,
    /// Position of what is wrong: a record, or the page on which one should go on.
    pub at: u64,
    /// The segment that holds `at`.
    pub segment: String,
    /// Byte within that segment.
    pub offset: u32,
    /// Whether a record that has begun is cut off there.
    pub cuts_a_record: bool,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong where reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There is no such segment.
    Missing {
        /// What there is instead: a compressed file, a partial one.
        instead: Option<String>,
    },
    /// The segment could not be read: nothing is known about it.
    Unreadable {
        /// The error.
        error: String,
    },
    /// The file has another size than a segment.
    FileSize {
        /// Its size.
        bytes: u64,
        /// That of a segment.
        expected: u64,
    },
    /// The segment is packed, and cannot be unpacked: its content is damaged.
    Packed {
        /// What is wrong with it.
        what: String,
    },
    /// No record follows: all bytes of the next record's header are zero. A segment that is being written ends so.
    Zeros {
        /// Whether all that follows in the segment is zero, too.
        to_the_end: bool,
    },
    /// A page of another version, or no page.
    Magic {
        /// Its number.
        found: u16,
    },
    /// Flags in the page header that do not exist, or a segment that begins without a long header.
    PageFlags {
        /// The flags.
        found: u16,
    },
    /// A page of another place in the WAL: the segment was used again, or bears a wrong name.
    PageAddress {
        /// Which the page says.
        found: u64,
    },
    /// A segment of another cluster.
    System {
        /// That cluster's number.
        found: u64,
        /// That of the segments before.
        expected: u64,
    },
    /// Segments or pages of another size than before, or of one that cannot be.
    Layout {
        /// Bytes per segment, as the file says.
        segment_size: u32,
        /// Bytes per page.
        block_size: u32,
    },
    /// A page of an older timeline than the page before.
    TimelineBackwards {
        /// Its timeline.
        found: u32,
        /// That of the page before.
        after: u32,
    },
    /// A page of a timeline that is not followed.
    TimelineForeign {
        /// Its timeline.
        found: u32,
    },
    /// No record can begin there: it is within a page header, or not aligned.
    NoRecordStart,
    /// A record that began before goes on there.
    WithinRecord,
    /// A record shorter than its header.
    Length {
        /// What it says.
        found: u32,
    },
    /// A resource manager that cannot be.
    ResourceManager {
        /// Its number.
        found: u8,
    },
    /// The record says that another one came before it.
    PrevLink {
        /// Which it says.
        found: u64,
        /// Which came before; none at the first record read.
        expected: Option<u64>,
    },
    /// The record's bytes are not those of which its CRC was taken.
    Checksum {
        /// The CRC in the record.
        stored: u32,
        /// That of its bytes.
        computed: u32,
    },
    /// The record is cut off: the next page begins otherwise.
    NoContinuation,
    /// What the next page holds is not the rest of the record.
    ContinuationLength {
        /// Bytes that it says are still to come.
        found: u32,
        /// Bytes that are.
        expected: u64,
    },
    /// A record that tells that another one was given up, but not the one that was.
    Overwrite {
        /// The record that it names.
        found: u64,
        /// The one that was given up.
        expected: Option<u64>,
    },
    /// A record changes the timeline in a way that does not fit the history.
    TimelineSwitch {
        /// The timeline that it says it leaves.
        from: u32,
        /// The timeline that it begins.
        to: u32,
        /// The timeline that was replayed before it.
        replayed: u32,
    },
    /// A record with a good CRC whose parts do not fit together.
    Undecodable {
        /// What does not fit.
        what: String,
    },
}

impl End {
    /// Whether nothing was found to be wrong: the WAL just was not written any further, as far as this segment tells.
    /// Segments that come after it would show the contrary. A segment that is there, and all of it zeros, is not clean:
    /// a `pg_wal` can hold one, but no archive gets one in good order.
    pub fn is_clean(&self) -> bool {
        match self.reason {
            Reason::Missing { ref instead } => instead.is_none() && !self.cuts_a_record,
            Reason::Zeros { to_the_end } => to_the_end && !self.cuts_a_record && self.offset != 0,
            _ => false,
        }
    }

    /// How the line begins that PostgreSQL 17 and later log about it (`src/backend/access/transam/xlogreader.c`); none where it logs
    /// nothing that could be searched for. Earlier versions write `wanted` for `expected at least`, and name no position
    /// beside a segment.
    pub fn postgres_says(&self) -> Option<String> {
        let at = lsn(self.at);
        let place = format!("in WAL segment {}, LSN {at}, offset {}", self.segment, self.offset);
        Some(match &self.reason {
            Reason::FileSize { bytes, expected } => {
                format!("archive file \"{}\" has wrong size: {bytes} instead of {expected}", self.segment)
            }
            // A page header of zeros is found before a record's.
            Reason::Zeros { .. } if self.offset.is_multiple_of(8192) => {
                format!("invalid magic number 0000 {place}")
            }
            Reason::Zeros { .. } => format!("invalid record length at {at}: expected at least 24, got 0"),
            Reason::Magic { found } => format!("invalid magic number {found:04X} {place}"),
            Reason::PageFlags { found } => format!("invalid info bits {found:04X} {place}"),
            Reason::PageAddress { found } => format!("unexpected pageaddr {} {place}", lsn(*found)),
            Reason::System { found, expected } => format!(
                "WAL file is from different database system: WAL file database system identifier is {found}, pg_control \
                 database system identifier is {expected}"
            ),
            Reason::Layout { .. } => {
                "WAL file is from different database system: incorrect segment size in page header".to_owned()
            }
            Reason::TimelineBackwards { found, after } => {
                format!("out-of-sequence timeline ID {found} (after {after}) {place}")
            }
            Reason::TimelineForeign { found } => format!("unexpected timeline ID {found} {place}"),
            Reason::NoRecordStart => format!("invalid record offset at {at}"),
            Reason::WithinRecord => format!("contrecord is requested by {at}"),
            Reason::Length { found } => {
                format!("invalid record length at {at}: expected at least 24, got {found}")
            }
            Reason::ResourceManager { found } => format!("invalid resource manager ID {found} at {at}"),
            Reason::PrevLink { found, .. } => {
                format!("record with incorrect prev-link {} at {at}", lsn(*found))
            }
            Reason::Checksum { .. } => format!("incorrect resource manager data checksum in record at {at}"),
            Reason::NoContinuation => "there is no contrecord flag at".to_owned(),
            Reason::ContinuationLength { found, expected } => {
                format!("invalid contrecord length {found} (expected {expected}) at")
            }
            Reason::Overwrite { .. } => "mismatching overwritten LSN".to_owned(),
            Reason::TimelineSwitch { from, replayed, .. } if from != replayed => {
                format!("unexpected previous timeline ID {from} (current timeline ID {replayed})")
            }
            Reason::TimelineSwitch { to, replayed, .. } => {
                format!("unexpected timeline ID {to} (after {replayed})")
            }
            Reason::Missing { .. }
            | Reason::Unreadable { .. }
            | Reason::Packed { .. }
            | Reason::Undecodable { .. } => return None,
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the WAL can be read up to {}: ", lsn(self.lsn))?;
        match &self.reason {
            Reason::Missing { instead: None } => write!(f, "segment {} is missing", self.segment),
            Reason::Missing { instead: Some(file) } => {
                write!(f, "segment {} is missing; it is there only as {file}", self.segment)
            }
            Reason::Unreadable { error } => write!(f, "segment {} could not be read: {error}", self.segment),
            Reason::Packed { what } => write!(f, "segment {} cannot be unpacked: {what}", self.segment),
            Reason::FileSize { bytes, expected } => {
                write!(f, "segment {} has {bytes} bytes instead of {expected}", self.segment)
            }
            reason => {
                write!(f, "at byte {} of segment {} ({}) ", self.offset, self.segment, lsn(self.at))?;
                reason.fmt(f)?;
                if self.cuts_a_record { f.write_str(", within a record that began before") } else { Ok(()) }
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { .. } => f.write_str("the segment is missing"),
            Self::Unreadable { error } => write!(f, "the segment could not be read: {error}"),
            Self::Packed { what } => write!(f, "the segment cannot be unpacked: {what}"),
            Self::FileSize { bytes, expected } => {
                write!(f, "the file has {bytes} bytes instead of {expected}")
            }
            Self::Zeros { to_the_end: true } => f.write_str("nothing was written any more"),
            Self::Zeros { to_the_end: false } => {
                f.write_str("there are zeros in place of a record, with other content behind them")
            }
            Self::Magic { found } => match super::page::major(*found) {
                Some(major) => write!(f, "there is a page of PostgreSQL {major}"),
                None => write!(f, "there is no page of WAL (its number is {found:04X})"),
            },
            Self::PageFlags { found } => write!(f, "the page header has flags that cannot be ({found:04X})"),
            Self::PageAddress { found } => {
                write!(f, "there is the page of another position, {}", lsn(*found))
            }
            Self::System { found, expected } => {
                write!(f, "there is the WAL of another cluster ({found}, not {expected})")
            }
            Self::Layout { segment_size, block_size } => write!(
                f,
                "there is the WAL of another cluster, with segments of {segment_size} and pages of {block_size} bytes"
            ),
            Self::TimelineBackwards { found, after } => {
                write!(f, "a page of timeline {found} follows one of timeline {after}")
            }
            Self::TimelineForeign { found } => {
                write!(f, "there is a page of timeline {found}, which is not followed")
            }
            Self::NoRecordStart => f.write_str("no record can begin"),
            Self::WithinRecord => f.write_str("no record begins: one that began before goes on"),
            Self::Length { found } => write!(f, "a record has the impossible length {found}"),
            Self::ResourceManager { found } => {
                write!(f, "a record has the impossible resource manager {found}")
            }
            Self::PrevLink { found, expected: Some(expected) } => {
                let (found, expected) = (lsn(*found), lsn(*expected));
                write!(f, "a record follows that at {found}, and not that at {expected}")
            }
            Self::PrevLink { found, expected: None } => {
                write!(f, "a record says that it follows one at {}", lsn(*found))
            }
            Self::Checksum { stored, computed } => {
                write!(
                    f,
                    "a record is damaged: its CRC is {stored:08x}, and its content gives {computed:08x}"
                )
            }
            Self::NoContinuation => f.write_str("the rest of a record does not follow"),
            Self::ContinuationLength { found, expected } => {
                write!(f, "{found} bytes follow of another record, where {expected} are to come")
            }
            Self::Overwrite { found, .. } => {
                write!(f, "a record says that one at {} was given up, which was not", lsn(*found))
            }
            Self::TimelineSwitch { from, to, replayed } => {
                write!(f, "a record leaves timeline {from} for {to}, while timeline {replayed} is replayed")
            }
            Self::Undecodable { what } => write!(f, "a record cannot be decoded: {what}"),
        }
    }
}
