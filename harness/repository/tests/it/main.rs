//! What is said of backups that real programs made, against what these programs say of them themselves: of those that are kept in
//! `fixtures/repositories`, and of those that are made anew where the programs are installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod bare;
mod chains;
mod kept;
mod live;
mod oracle;
mod storage;
mod wrong;
