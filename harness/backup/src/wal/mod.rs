//! The WAL of an archive: its files, which timelines it holds, what happened in it, and where recovery to a target would
//! stop.
//!
//! The way is: [`Store::open`] the directories; [`timelines::Timelines`] tell which lineage recovery follows;
//! [`Chronicle::read`] reads the WAL once, up to its end; [`target::stop`] tells of each target where PostgreSQL stops. All of it for
//! one backup and one target is [`aim::Origin::aim`].
//!
//! [`survey`] reads all that directories hold, and tells how far a recovery would come and what it would not reach;
//! [`range::check`] reads the WAL that a backup itself needs; [`listing::list`] tells what each transaction did;
//! [`each_record`] gives all that there is, and [`first_tablespace_outside`] tells whether replay would make a link to somewhere.

pub mod aim;
pub mod chronicle;
mod clock;
mod everything;
mod files;
pub mod listing;
mod open;
mod packed;
mod pieces;
pub mod range;
mod replayed;
mod run;
mod setting;
mod store;
mod survey;
mod tally;
pub mod target;
pub mod timelines;
mod transaction;

pub use chronicle::Chronicle;
pub use clock::SetBack;
pub use everything::{each_record, first_tablespace_outside};
pub use files::Files;
pub use run::{Ending, Kind, Run};
pub use store::Store;
pub use survey::{Left, Survey, Timeline, survey};
pub use tally::{Commit, Strayed};
pub use transaction::{Deed, Rows, Transaction};
