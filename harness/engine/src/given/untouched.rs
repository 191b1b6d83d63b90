//! What lies where nothing is the drill's own, so that it can show that it changed nothing there. Without the content:
//! that of an archive can take hours to read, and no write leaves size, times and inode as they were.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pgdrill_backup::Unreadable;
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};

/// Of so many files each difference is told.
const MOST: usize = 20;

/// What lay somewhere when the drill began.
#[derive(Debug, Default)]
pub struct Seen {
    files: BTreeMap<PathBuf, Entry>,
}

/// A file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    size: u64,
    mode: u32,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Entry {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            size: metadata.len(),
            mode: metadata.mode(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Seen {
    /// Takes down everything below a path. No link is followed but the path itself.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn everything(&mut self, path: &Path) -> Result<(), Unreadable> {
        let path = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
        self.file(&path)?;
        if path.is_dir() {
            for entry in fs::read_dir(&path).map_err(|error| unreadable(&path, &error))? {
                let entry = entry.map_err(|error| unreadable(&path, &error))?.path();
                if entry.is_dir() && !entry.is_symlink() {
                    self.everything(&entry)?;
                } else {
                    self.file(&entry)?;
                }
            }
        }
        Ok(())
    }

    /// Takes down one file. One that has gone meanwhile was not there.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn file(&mut self, path: &Path) -> Result<(), Unreadable> {
        if let Some(entry) = look(path)? {
            self.files.insert(path.to_owned(), entry);
        }
        Ok(())
    }

    /// How many were taken down.
    pub fn count(&self) -> u64 {
        self.files.len() as u64
    }

    /// What is another way now, as findings. Files that were added are none: whoever archives goes on archiving.
    ///
    /// # Errors
    ///
    /// What cannot be read any more.
    pub fn differences(&self) -> Result<Vec<Finding>, Unreadable> {
        let mut found = Vec::new();
        for (path, was) in &self.files {
            let what = match look(path)? {
                None => "it is gone",
                Some(is) if is.inode != was.inode => "it was replaced",
                // A directory to which somebody adds has other times, and may be larger.
                Some(is) if is.mode & 0o170_000 == 0o040_000 && is.mode == was.mode => continue,
                Some(is) if is.size != was.size || is.modified != was.modified => "it was written to",
                Some(is) if is != *was => "its attributes changed",
                Some(_) => continue,
            };
            let path = path.display();
            let message = format!("{path}, which is not the drill's own: {what} since the drill began");
            found.push(Finding::new(Code::ArchiveChanged, Stage::Check, message).about(path.to_string()));
            if found.len() == MOST {
                break;
            }
        }
        Ok(found)
    }
}

/// What is in a path; none where nothing is.
fn look(path: &Path) -> Result<Option<Entry>, Unreadable> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(Entry::of(&metadata))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Unreadable {
    Unreadable { path: path.to_owned(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_replaced_or_removed_is_seen_and_what_is_added_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("within")).unwrap();
        for name in ["within/written", "replaced", "removed", "forbidden", "same"] {
            fs::write(path(name), name).unwrap();
        }
        let mut before = Seen::default();
        before.everything(root.path()).unwrap();
        assert_eq!(before.count(), 7);
        fs::write(path("added"), "").unwrap();
        fs::write(path("within/added"), "").unwrap();
        assert_eq!(before.differences().unwrap(), []);

        fs::write(path("within/written"), "another").unwrap();
        fs::write(path("fresh"), "replaced").unwrap();
        fs::rename(path("fresh"), path("replaced")).unwrap();
        fs::remove_file(path("removed")).unwrap();
        let mode: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        fs::set_permissions(path("forbidden"), mode).unwrap();
        let found = before.differences().unwrap();
        let words: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(words.len(), 4, "{words:?}");
        for (name, what) in [
            ("within/written", "it was written to"),
            ("replaced", "it was replaced"),
            ("removed", "it is gone"),
            ("forbidden", "its attributes changed"),
        ] {
            let of = |words: &&str| words.contains(&format!("/{name},")) && words.contains(what);
            assert!(words.iter().any(of), "{name}: {words:?}");
        }
    }
}
