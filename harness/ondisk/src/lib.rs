//! PostgreSQL's on-disk formats, read from bytes: nothing here opens a file, knows a server, or needs the rest of
//! pgdrill. Versions 13 to 18; each module names the PostgreSQL source that it follows.

pub mod catalog;
pub mod commit_log;
pub mod control;
pub mod history;
pub mod incremental;
pub mod items;
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

/// Reads a position in the WAL as PostgreSQL writes it, `%X/%X`. A half that is larger than 32 bits is none: what is cut
/// off from it would make another position of it.
fn position(text: &str) -> Option<u64> {
    let half = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(text, 16).ok())?
    };
    let (high, low) = text.split_once('/')?;
    Some(u64::from(half(high)?) << 32 | u64::from(half(low)?))
}
