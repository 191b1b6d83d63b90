//! What a base backup says of itself.

use std::fs;
use std::path::Path;

use pgdrill_ondisk::manifest::Manifest;
use sha2::{Digest, Sha256};

use crate::{Unreadable, parts};

/// A base backup, as its manifest and its files tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Bytes on disk, tablespaces included.
    pub bytes: u64,
    /// Tablespaces beside the cluster's own two.
    pub tablespaces: u64,
    /// What they take on disk.
    pub tablespace_bytes: u64,
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's bytes: our own copy of what was backed up.
    pub manifest_sha256: String,
}

/// Reads the backup in `directory`, plain or tar.
///
/// # Errors
///
/// A directory without a good manifest, or that cannot be read.
pub fn summary(directory: &Path) -> Result<Summary, Unreadable> {
    let path = directory.join("backup_manifest");
    let bytes = fs::read(&path).map_err(|error| Unreadable::new(&path, error.to_string()))?;
    let manifest = Manifest::read(&bytes).map_err(|error| Unreadable::new(&path, error.to_string()))?;
    let (tablespaces, tablespace_bytes, elsewhere) = tablespaces(directory);
    Ok(Summary {
        bytes: size(directory) + elsewhere,
        tablespaces,
        tablespace_bytes,
        manifest,
        manifest_sha256: hex::encode(Sha256::digest(&bytes)),
    })
}

/// How many tablespaces a backup has, their bytes, and how many of these do not lie below `directory`.
fn tablespaces(directory: &Path) -> (u64, u64, u64) {
    let tars: Vec<u64> = parts::of_tar(directory)
        .into_iter()
        .filter(parts::Part::is_tablespace)
        .map(|part| fs::metadata(&part.path).map_or(0, |metadata| metadata.len()))
        .collect();
    let beside = parts::beside(directory);
    let plain = fs::read_dir(&beside).map_or(0, Iterator::count);
    let elsewhere = size(&beside);
    ((tars.len() + plain) as u64, tars.iter().sum::<u64>() + elsewhere, elsewhere)
}

/// Bytes of all files below a directory; what cannot be read, or goes away meanwhile, counts as nothing.
pub fn size(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
