//! The WAL reader on WAL that servers have written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod archive;
mod beginnings;
mod changes;
mod damage;
mod printed;
