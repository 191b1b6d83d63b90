//! The nouns of a restore drill, pure: no files, sockets, clock, chance, async runtime or printing.
//!
//! The natural walk is `scenario::parse` → [`plan::compile`] → (the engine executes) → [`judge::fold`];
//! everything else hangs on those nouns.

pub mod alert;
pub mod as_written;
pub mod check;
pub mod code;
pub mod coverage;
pub mod detection;
pub mod drift;
pub mod event;
pub mod evidence;
pub mod fault;
pub mod finding;
pub mod forecast;
pub mod history;
pub mod judge;
pub mod plan;
pub mod query;
pub mod recovery_point;
pub mod redact;
pub mod regression;
pub mod run;
pub mod runbook;
pub mod scenario;
pub mod snapshot;
pub mod times;
pub mod triage;
pub mod units;
pub mod verdict;
pub mod witness;
pub mod world;
