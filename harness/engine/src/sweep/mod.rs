//! A sweep: many recovery points for the price of about one replay.
//!
//! A recovery that is started again for a later target goes back to the last restartpoint, so it is not started again. One
//! server in standby mode is moved instead: it is fed the archive up to a target and nothing behind it, replays that,
//! is looked at, and is fed on. What it shows is compared with what the ledger and the WAL say; and some of the targets
//! are recovered for real, which must show the same.

pub mod expected;
pub mod feed;
pub mod known;
pub mod look;
pub mod moving;
pub mod rows;
pub mod survey;
pub mod targets;
