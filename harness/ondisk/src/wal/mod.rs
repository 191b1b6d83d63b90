//! The write-ahead log: pages, records, what those records say that recovery asks for, and a walker that reads them in
//! order as PostgreSQL would, with the reason why it can go no further. Versions 13 to 18.
//!
//! A position ("LSN") is a byte's address in the whole WAL. A record is named by the position of its first byte; its
//! end is the position from which PostgreSQL looks for the next (`EndRecPtr`).

mod change;
mod content;
mod end;
mod fields;
mod lineage;
pub mod page;
mod record;
mod segments;
mod standing;
mod walk;

pub use change::{Change, Oids, Row};
pub use content::{Checkpoint, Content, Finish, Origin, Parameters, Prepare, Relations, Xids};
pub use end::{End, Reason};
pub use lineage::{Lineage, Stretch};
pub use record::{Block, Body, Image, Record, Relation, rmgr};
pub use segments::{Found, Segments};
pub use standing::{Beginning, Standing};
pub use walk::Walker;

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The text of a position, as PostgreSQL writes it.
pub fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}

/// Rounds up to where the next record can begin (`MAXALIGN`).
fn aligned(length: u64) -> u64 {
    length.next_multiple_of(8)
}

/// Whether a WAL segment can have this size (`IsValidWalSegSize`): a power of two from 1 MB to 1 GB.
pub fn is_segment_size(size: u32) -> bool {
    size.is_power_of_two() && (1 << 20..=1 << 30).contains(&size)
}
