//! A PostgreSQL backup as files: what it holds and in which files, where its tablespaces lead, whether its pages are whole, and whether
//! an archive is still what it was. Files and threads; no server, no async runtime.

use std::path::{Path, PathBuf};

pub mod archive;
mod flow;
pub mod inspect;
pub mod members;
pub mod pages;
pub mod parts;
pub mod restore;
pub mod standing;
pub mod tablespaces;
pub mod tarball;
pub mod unpack;
pub mod verify;
pub mod wal;

/// A file that could not be read, or is not what its format says.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct Unreadable {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl Unreadable {
    fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into() }
    }
}
