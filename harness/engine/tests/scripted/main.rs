//! The engine in a scripted world: whatever fails, and whenever, a drill ends with the right verdict, tears down,
//! and leaves a record that can be sealed and read back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod each_call;
mod each_step;
mod expected;
mod liars;
mod paper;
mod receiver;
mod stage;
mod surroundings;
mod sweep;
mod template;
mod worse;
