//! A user's own server, live: it is asked, and nothing else is done to it.

mod probe;
mod watching;

pub use probe::{Probe, Wrong};
pub(crate) use watching::Watching;
