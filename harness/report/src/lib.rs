//! What people and machines read of a run: pure functions from [`pgdrill_model::run::Run`] to text, one file per
//! face. Nothing here writes a file or prints; the command line does.
//!
//! - [`text`]: for a person, at the end of a run
//! - [`json`]: for a program, exactly one object
//! - [`junit`]: for a CI server
//! - [`markdown`]: for a merge request, a ticket, a wiki
//! - [`html`]: for everybody, as one file that a browser shows
//! - [`history`]: what many records say together, for a person
//! - [`forecast`]: how long a recovery would take of a database of another size
//! - [`metrics`]: the same for Prometheus
//! - [`triage`]: how bad an incident is, and what to do, for people and for a ticket
//! - [`watch`]: what a watch on a live server saw, for people and for Prometheus
//! - [`record`]: the sealed record, which every other face can be rendered from again
//! - [`attestation`]: what records say, signed

pub mod attestation;
mod coverage;
mod detection;
mod exposition;
pub mod forecast;
pub mod history;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod metrics;
mod page;
pub mod record;
pub mod text;
pub mod triage;
pub mod watch;
mod words;

pub use page::Style;
