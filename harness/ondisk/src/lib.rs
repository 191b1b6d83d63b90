//! PostgreSQL's on-disk formats, read from bytes: nothing here opens a file, knows a server, or needs the rest of
//! pgdrill. Versions 13 to 18; each module names the PostgreSQL source that it follows.

pub mod catalog;
pub mod control;
pub mod history;
pub mod incremental;
pub mod label;
pub mod manifest;
pub mod page;
pub mod relation;
pub mod segment;
pub mod tablespace;
pub mod wal;

/// Bytes that are not what their format says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{format}: {what}")]
pub struct Malformed {
    /// The format: `global/pg_control`, `backup_manifest`.
    pub format: &'static str,
    /// What is wrong, and where.
    pub what: String,
}

impl Malformed {
    fn new(format: &'static str, what: impl Into<String>) -> Self {
        Self { format, what: what.into() }
    }
}

/// Reads a position in the WAL as PostgreSQL writes it, `%X/%X`.
fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}
