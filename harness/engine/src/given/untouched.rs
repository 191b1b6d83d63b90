//! What lies in a directory that is not the drill's own, so that it can show that it changed nothing there. Without the content:
//! that of an archive can take hours to read, and no write leaves size, times and inode as they were.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pgdrill_backup::Unreadable;
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};

/// Of so many files each difference is told.
const MOST: usize = 20;

/// What was in a directory.
#[derive(Debug)]
pub struct Seen {
    /// The directory.
    pub root: PathBuf,
    /// Its files and directories, by their paths within it.
    pub files: BTreeMap<PathBuf, Entry>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
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
    /// Takes down what is there. No link is followed.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn of(root: &Path) -> Result<Self, Unreadable> {
        let mut files = BTreeMap::new();
        let one = |root: &Path| {
            fs::metadata(root).map_err(|error| Unreadable { path: root.to_owned(), what: error.to_string() })
        };
        let mut directories = Vec::new();
        if one(root)?.is_dir() {
            directories.push(PathBuf::new());
        } else {
            files.insert(PathBuf::new(), Entry::of(&one(root)?));
        }
        while let Some(directory) = directories.pop() {
            let whole = root.join(&directory);
            let unreadable =
                |error: std::io::Error| Unreadable { path: whole.clone(), what: error.to_string() };
            for entry in fs::read_dir(&whole).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let metadata = entry.metadata().map_err(unreadable)?;
                let within = directory.join(entry.file_name());
                if metadata.is_dir() {
                    directories.push(within.clone());
                }
                files.insert(within, Entry::of(&metadata));
            }
        }
        Ok(Self { root: root.to_owned(), files })
    }

    /// What is another way now, as findings. Files that were added are none: whoever archives goes on archiving.
    pub fn differences(&self, now: &Self) -> Vec<Finding> {
        let changed = self.files.iter().filter_map(|(path, was)| {
            let what = match now.files.get(path) {
                None => "it is gone",
                Some(is) if is.inode != was.inode => "it was replaced",
                // A directory to which somebody adds has other times, and may be larger.
                Some(is) if is.mode & 0o170_000 == 0o040_000 && is.mode == was.mode => return None,
                Some(is) if is.size != was.size || is.modified != was.modified => "it was written to",
                Some(is) if is != was => "its attributes changed",
                Some(_) => return None,
            };
            let path = self.root.join(path);
            let message =
                format!("{}, which is not the drill's own: {what} since the drill began", path.display());
            Some(Finding::new(Code::ArchiveChanged, Stage::Check, message).about(path.display().to_string()))
        });
        changed.take(MOST).collect()
    }
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
        let before = Seen::of(root.path()).unwrap();
        assert_eq!(before.files.len(), 6);
        fs::write(path("added"), "").unwrap();
        fs::write(path("within/added"), "").unwrap();
        assert_eq!(before.differences(&Seen::of(root.path()).unwrap()), []);

        fs::write(path("within/written"), "another").unwrap();
        fs::write(path("fresh"), "replaced").unwrap();
        fs::rename(path("fresh"), path("replaced")).unwrap();
        fs::remove_file(path("removed")).unwrap();
        let mode: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        fs::set_permissions(path("forbidden"), mode).unwrap();
        let found = before.differences(&Seen::of(root.path()).unwrap());
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
