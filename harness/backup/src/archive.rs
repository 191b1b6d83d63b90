//! What a WAL archive holds, so that a drill can show that it changed nothing in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Unreadable, hex};

/// The files of an archive, by name.
pub type Snapshot = BTreeMap<String, Entry>;

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub modified_ns: i128,
    /// Inode: another one means that the file was replaced.
    pub inode: u64,
    /// SHA-256 of the content.
    pub sha256: String,
}

/// Takes down what is in the archive `directory`, which has no sub-directories.
///
/// # Errors
///
/// A directory or file that cannot be read.
pub fn snapshot(directory: &Path) -> Result<Snapshot, Unreadable> {
    let mut files = Snapshot::new();
    let entries = fs::read_dir(directory).map_err(|error| Unreadable::new(directory, error.to_string()))?;
    for entry in entries {
        let path = entry.map_err(|error| Unreadable::new(directory, error.to_string()))?.path();
        let metadata =
            fs::symlink_metadata(&path).map_err(|error| Unreadable::new(&path, error.to_string()))?;
        let sha256 = if metadata.is_file() { hash(&path)? } else { String::new() };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(
            name,
            Entry {
                size: metadata.len(),
                modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
                inode: metadata.ino(),
                sha256,
            },
        );
    }
    Ok(files)
}

/// What changed between two snapshots, one sentence each.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, old) in before {
        let what = match after.get(name) {
            None => "it is gone".to_owned(),
            Some(new) if new.sha256 != old.sha256 => "its content changed".to_owned(),
            Some(new) if new.inode != old.inode => "it was replaced by a file of the same content".to_owned(),
            Some(new) if new != old => "its time of change is another".to_owned(),
            Some(_) => continue,
        };
        found.push((name.clone(), what));
    }
    let added = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(added.map(|name| (name.clone(), "it was added".to_owned())));
    found
}

/// SHA-256 of a file's content, in hexadecimal.
pub(crate) fn hash(path: &Path) -> Result<String, Unreadable> {
    let mut file = File::open(path).map_err(|error| Unreadable::new(path, error.to_string()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).map_err(|error| Unreadable::new(path, error.to_string()))? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_shows() {
        let archive = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(archive.path().join(name), text).unwrap();
        for name in ["same", "gone", "changed", "replaced", "touched"] {
            write(name, "content");
        }
        let before = snapshot(archive.path()).unwrap();
        fs::remove_file(archive.path().join("gone")).unwrap();
        write("changed", "CONTENT");
        write("fresh", "content");
        fs::rename(archive.path().join("fresh"), archive.path().join("replaced")).unwrap();
        write("added", "");
        File::options()
            .write(true)
            .open(archive.path().join("touched"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        let differences = differences(&before, &snapshot(archive.path()).unwrap());
        let expected = [
            ("changed", "its content changed"),
            ("gone", "it is gone"),
            ("replaced", "it was replaced by a file of the same content"),
            ("touched", "its time of change is another"),
            ("added", "it was added"),
        ];
        assert_eq!(differences, expected.map(|(name, what)| (name.to_owned(), what.to_owned())));
    }

    #[test]
    fn an_archive_that_is_not_there_is_told_by_its_path() {
        let error = snapshot(Path::new("/nonexistent/archive")).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/archive: No such file or directory (os error 2)");
    }
}
