//! Whole drills through the command line, on real PostgreSQL. Each ends by asking what is left: no process, no
//! workspace, no journal, one sealed record.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod application;
mod archiving;
mod as_written;
mod backups;
mod bad_input;
mod baseline;
mod beginnings;
mod benchmark;
mod commands;
mod desk;
mod detection;
mod docker;
mod endings;
mod faults;
mod live;
mod matrix;
mod merge;
mod mutants;
mod native;
mod nightly;
mod pipelines;
mod points;
mod prove;
mod prove_dumps;
mod prove_odd;
mod prove_oracles;
mod prove_tools;
mod proven;
mod report;
mod repository;
mod restore;
mod rollback;
mod server;
mod signed;
mod soak;
mod sweep;
mod tampered;
mod templates;
mod tls;
mod trading_app;
mod triage;
mod verify;
mod wal;
mod witness;
