//! The WAL of an archive: its files, which timelines it holds, what happened in it, and where recovery to a target would
//! stop.
//!
//! The way is: [`Store::open`] the directories; [`timelines::Timelines`] tell which lineage recovery follows;
//! [`Chronicle::read`] reads the WAL once, up to its end; [`target::stop`] tells of each target where PostgreSQL stops.

pub mod chronicle;
mod store;
pub mod target;
pub mod timelines;

pub use chronicle::Chronicle;
pub use store::Store;
