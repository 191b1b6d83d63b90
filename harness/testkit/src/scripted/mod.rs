//! A scripted world: a runtime that does what a test's script says, and remembers everything that was asked of it.
//!
//! - [`Script`] is the script and what came of it: which call meets which [`Fault`], what happens when a step begins,
//!   and one readable log of calls and events in their order. It is the drill's listener too.
//! - [`Scripted`] stands before any runtime and passes calls through, but for those that the script has a fault for.
//! - [`Paper`] is a runtime in which nothing runs: a function answers each command. It carries a drill up to its first
//!   connection to a server.
//!
//! A call is known by its name, `restored: run tar #2`, and not by its number: some calls are made beside each other.
//! So a test takes the log of a drill in which nothing fails, and makes each of its calls fail in turn; calls that
//! are added to the engine later are in the log, and are covered.

mod call;
mod fault;
mod paper;
mod runtime;
mod script;

pub use call::{Call, What};
pub use fault::Fault;
pub use paper::Paper;
pub use runtime::Scripted;
pub use script::{Script, Seen};
