//! What can be wrong with a ledger's file: bytes that are not what was written, and records that cannot follow one
//! another.

use std::io;

use thiserror::Error;

/// Why a ledger cannot be believed. Every variant says where, in bytes from the start of the file.
#[derive(Debug, Error)]
pub enum Damage {
    /// It could not be read at all; says nothing about the file.
    #[error("the ledger could not be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file does not begin as a ledger does.
    #[error("not a ledger: the file does not begin as one")]
    NotALedger,
    /// A version of the format that this program does not know.
    #[error("a ledger of version {0}, which this program does not know")]
    Version(u64),
    /// It ends without having been closed: whoever wrote it was ended, or the file lost its tail.
    #[error("the ledger was never closed, or lost its tail: it ends at byte {at}, between two records")]
    Unclosed {
        /// Where the file ends.
        at: u64,
    },
    /// It ends within a record: the last write was cut short.
    #[error("the ledger ends within the record at byte {at}: its last {bytes} bytes are not a whole one")]
    Torn {
        /// Where the record begins.
        at: u64,
        /// Bytes of it that are there.
        bytes: u64,
    },
    /// A record is not what was written, or the one before it is not the one that was before it.
    #[error(
        "the ledger is damaged at byte {at}: the record there, or the one before it, is not what was written"
    )]
    Record {
        /// Where the record begins.
        at: u64,
    },
    /// A record is whole, and cannot be understood or cannot follow those before it.
    #[error("the ledger is damaged at byte {at}: {flaw}")]
    Flaw {
        /// Where the record begins.
        at: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Something follows the record that closed it.
    #[error("the ledger was closed at byte {at}, and something follows")]
    AfterClosed {
        /// Where what follows begins.
        at: u64,
    },
}

impl Damage {
    /// Whether the file merely ends too early, as it does when its program was killed; everything before that is as it
    /// was written.
    pub fn is_only_cut_short(&self) -> bool {
        matches!(self, Self::Unclosed { .. } | Self::Torn { .. })
    }
}

/// A record that cannot be where it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// Its content is not in the form of any record.
    #[error("a record that has no meaning")]
    Meaningless,
    /// The writer was not opened.
    #[error("writer {0} does something before it was opened")]
    UnknownWriter(u16),
    /// A writer's number was used before.
    #[error("writer {0} is opened twice")]
    OpenedTwice(u16),
    /// Transactions of a writer are missing, or come twice.
    #[error("writer {writer}: transaction {found} where {expected} should be")]
    Gap {
        /// The writer.
        writer: u16,
        /// The sequence number that should come next.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A transaction is sent while the one before it has no outcome.
    #[error("writer {writer}: transaction {seq} has no outcome, and another one follows")]
    StillOpen {
        /// The writer.
        writer: u16,
        /// The transaction without an outcome.
        seq: u64,
    },
    /// An outcome of a transaction that was not sent.
    #[error("writer {writer}: an outcome of transaction {seq}, which was not sent")]
    NotSent {
        /// The writer.
        writer: u16,
        /// The transaction.
        seq: u64,
    },
    /// A transaction that leaves no row in `"AuditLog"`, or too many to be counted, could not be found again.
    #[error("writer {writer}: transaction {seq} leaves {rows} rows in \"AuditLog\"; it must be 1 to 255")]
    NotToBeFound {
        /// The writer.
        writer: u16,
        /// The transaction.
        seq: u64,
        /// Rows that it appends.
        rows: i64,
    },
    /// The end of its bracket in the WAL lies before the beginning.
    #[error("writer {writer}: the bracket of transaction {seq} in the WAL ends before it begins")]
    Backwards {
        /// The writer.
        writer: u16,
        /// The transaction.
        seq: u64,
    },
    /// The counts that closed the ledger are not those of its records.
    #[error("the counts that closed it are not those of its records")]
    Counts,
    /// A record of more than [`LONGEST`](crate::record::LONGEST) bytes.
    #[error("a record of {0} bytes is too long")]
    TooLong(usize),
}
