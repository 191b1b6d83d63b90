//! The verbs of a restore drill: executes a plan, and asks the world through model's traits.
//!
//! [`execute`] is the one loop; `step/`, `check/` and `tool/` hold one file per thing, named as in the scenario
//! language; what they share is in `drill`.

mod application;
mod archiving;
mod as_written;
mod barman;
mod baseline;
pub mod beginning;
mod books;
mod check;
mod collations;
mod connections;
mod content;
pub mod data;
mod definitions;
mod dialect;
mod drill;
mod dump;
mod fault;
mod given;
mod growth;
mod http;
mod log;
mod mounts;
mod receiver;
mod record;
mod recovery;
mod repository;
mod safety;
mod sequences;
mod server;
mod session;
mod settings;
mod shared_memory;
mod standstill;
mod step;
mod sweep;
mod tablespaces;
mod tool;
mod tree;
mod verified;

pub mod chain;
pub mod clock;
pub mod execute;
pub mod journal;
pub mod live;
pub mod soak;
pub mod template;
pub mod workload;
pub mod workspace;

pub use session::Socket;
