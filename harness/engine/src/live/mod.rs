//! A user's own server, live: it is asked, and nothing else is done to it, but for the beats of the witness.

pub mod baseline;
mod conninfo;
mod position;
mod probe;
mod refused;
mod target;
pub(crate) mod tls;
pub mod triage;
mod watching;
pub mod witness;

pub use probe::Probe;
pub use refused::Refused;
pub use target::{Target, Wrong};
pub(crate) use watching::Watching;
