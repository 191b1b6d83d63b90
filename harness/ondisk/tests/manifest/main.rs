//! The reader of backup manifests: its words, what it takes, and that nothing makes it fall over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod compared;
mod made;
mod random;
mod words;
