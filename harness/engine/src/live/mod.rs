//! A user's own server, live: it is asked, and nothing else is done to it.

mod conninfo;
mod probe;
mod target;
pub(crate) mod tls;
pub mod triage;
mod watching;

pub use probe::Probe;
pub use target::{Target, Wrong};
pub(crate) use watching::Watching;
