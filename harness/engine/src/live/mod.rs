//! A user's own server, live: it is asked, and nothing else is done to it.

mod probe;

pub use probe::{Probe, Wrong};
