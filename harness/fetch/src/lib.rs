//! Brings a backup from where it is kept, an object store or a mounted directory, to a local directory.
//!
//! The natural walk is [`Source::parse`] → [`Source::list`] → [`fetch`] → [`Fetched`]; [`Source::get`] brings a single object.
//! Everything after it is local. What could not be fetched is a [`Trouble`], and never says that the backup is bad.

#![cfg_attr(
    not(feature = "object-store"),
    allow(
        dead_code,
        unused_variables,
        reason = "a directory answers, or does not: what may pass, and what a store says of bytes, it has none of"
    )
)]

mod checksum;
mod fetch;
mod journal;
mod listing;
mod local;
mod names;
mod part;
mod place;
#[cfg(feature = "object-store")]
mod remote;
#[cfg(feature = "object-store")]
mod service;
mod source;
mod staging;
#[cfg(feature = "object-store")]
mod transport;
mod tree;
mod trouble;

pub use checksum::Checked;
pub use fetch::{BegunAnew, Fetched, FetchedFile, Options, Progress, fetch};
pub use listing::{Listing, Object};
pub use source::Source;
pub use trouble::{Kind, Trouble};
