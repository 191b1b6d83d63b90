//! The file of a dump that is damaged: its largest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::stored::{Stored, Trouble, not_here};

/// What is no table's: the roles, and the table of contents of a directory.
const WITHOUT_ROWS: [&str; 5] = ["globals.sql", "toc.dat", "toc.dat.gz", "toc.dat.lz4", "toc.dat.zst"];

/// The largest file of a dump, with its name within it.
pub fn largest(stored: &Stored) -> Result<(PathBuf, String), Trouble> {
    let mut files = Vec::new();
    list(&stored.directory, &mut files)?;
    let name = |path: &Path| path.strip_prefix(&stored.directory).unwrap_or(path).display().to_string();
    // Of two as large the same one each time.
    files.sort_by_key(|(bytes, path)| (*bytes, path.clone()));
    match files.pop() {
        Some((_, path)) => Ok((path.clone(), name(&path))),
        None => not_here(format!("{} holds no rows", stored.name)),
    }
}

fn list(directory: &Path, files: &mut Vec<(u64, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if metadata.is_dir() {
            list(&path, files)?;
        } else if !WITHOUT_ROWS.iter().any(|other| entry.file_name() == *other) {
            files.push((metadata.len(), path));
        }
    }
    Ok(())
}
