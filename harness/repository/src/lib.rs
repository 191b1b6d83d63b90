//! What backups a path holds: base backups in directories and tars, dumps, repositories of pgBackRest, Barman and WAL-G, each with
//! its version, its time and where the WAL for it lies; which of them somebody means; and how it is to be restored. Reads files, and
//! of these only what describes backups; no server, no process, no async runtime.
//!
//! The natural walk is [`look`] → [`Pick::of`] → [`Found::layout`].

use std::path::Path;

pub mod barman;
pub mod base;
mod chain;
pub mod dump;
mod files;
mod found;
mod layout;
mod look;
mod not_a_backup;
pub mod pgbackrest;
mod pick;
mod time;
mod wal;
pub mod walg;

pub use files::Trouble;
pub use found::{Backup, Found, Held, Kind, State, WalLayout, WalPlace};
pub use layout::{Chained, Files, Layout, Placed};
pub use not_a_backup::NotABackup;
pub use pgbackrest::Passphrase;
pub use pick::{NoSuch, Pick};
pub use wal::{WalFile, asked_for, is_needed};

/// What somebody who looks has beside the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The passphrase of an encrypted repository. Without it, such a repository is [`NotABackup::Encrypted`].
    pub key: Option<Passphrase>,
}

/// A tablespace, as a backup describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tablespace {
    /// Its OID, by which its files are found.
    pub oid: u32,
    /// Its name in SQL.
    pub name: Option<String>,
    /// Where it was on the server.
    pub path: Option<String>,
}

/// Looks at what a path holds.
///
/// # Errors
///
/// Why it holds no backup.
pub fn look(path: &Path) -> Result<Found, NotABackup> {
    look_with(path, &Options::default())
}

/// The same, with what somebody has beside the path.
///
/// # Errors
///
/// Why it holds no backup.
pub fn look_with(path: &Path, options: &Options) -> Result<Found, NotABackup> {
    look::look(path, options)
}

/// Looks at a path, and for what its backups are built on at others as well: only those at the path itself are meant by anybody
/// (`Found::backups`), those at the others are there to be built on (`Found::upon`).
///
/// # Errors
///
/// Why one of them holds no backup, or none that others are built on.
pub fn look_upon(path: &Path, upon: &[&Path], options: &Options) -> Result<Found, NotABackup> {
    look::upon(path, upon, options)
}

/// Looks at several paths as if they were one: the backups of a chain may lie in directories of their own. What is in them
/// must be base backups or dumps.
///
/// # Errors
///
/// Why one of them holds no backup.
pub fn look_together(paths: &[&Path], options: &Options) -> Result<Found, NotABackup> {
    look::together(paths, options)
}
