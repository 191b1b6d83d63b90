//! The ledger: what the writers of a workload sent to a server and were told by it, kept outside of the database, and
//! the judgement of what a recovered database must hold because of it.
//!
//! [`Appender`] writes the file while the writers run, [`Reader`] reads it and knows when it is damaged, [`History`] is
//! what it says of every transaction, [`judge`](judge::judge) compares that with the commits in the WAL and the
//! transactions found in a database, and [`expected`] adds up what the tables must hold. Nothing here knows a server, a
//! scenario or a runtime; all but the two ends of the file is pure.

pub mod damage;
pub mod expected;
pub mod found;
mod frame;
pub mod history;
pub mod judge;
pub mod points;
pub mod read;
pub mod record;
mod rules;
pub mod sums;
mod varint;
pub mod wal;
pub mod write;

pub use damage::{Damage, Flaw};
pub use found::Found;
pub use history::History;
pub use read::Reader;
pub use record::{Counts, Level, Record};
pub use sums::{Change, Sums, Table};
pub use wal::{Commit, Leg, Replayed};
pub use write::{Appender, Trouble};
