//! Copies a tree of files as it is: modes, owners, links, and a list of what was copied.
//!
//! Nothing is forced to disk. A workspace is worth nothing after a crash of the machine, and a template is none's after
//! another boot (its key says which). What a server of the drill writes, it forces to disk by itself.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file, with its size, and with the time of its last change in nanoseconds since 1970.
    File(u64, i64),
    /// A symbolic link, with where it leads.
    Link(String),
}

/// Everything in a tree, by its path within it.
pub type List = BTreeMap<String, Entry>;

/// A copy that is being made.
pub struct Copying<'a> {
    /// What of the tree is left out, by its path within it.
    pub leave_out: &'a dyn Fn(&str) -> bool,
    /// Set by who does not want the copy any more.
    pub given_up: &'a AtomicBool,
    /// Counts what goes away under the copy, where somebody still works on the tree; without it that is an error.
    pub went_away: Option<&'a AtomicU64>,
}

impl Copying<'_> {
    /// Copies what is in the directory `from` into the directory `into`, which is there and empty. Gives what there was:
    /// files as they are in `from`.
    ///
    /// # Errors
    ///
    /// What cannot be read or written, something that is neither file nor directory nor link, or a copy that nobody wants.
    /// With [`Self::went_away`] a directory that goes away is left empty.
    pub fn copy(&self, from: &Path, into: &Path) -> io::Result<List> {
        let mut list = List::new();
        self.directory(from, into, "", &mut list)?;
        Ok(list)
    }

    fn directory(&self, from: &Path, into: &Path, within: &str, list: &mut List) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            if self.given_up.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|name| {
                io::Error::new(io::ErrorKind::InvalidData, format!("the name {name:?} is no text"))
            })?;
            let path = if within.is_empty() { name.clone() } else { format!("{within}/{name}") };
            if (self.leave_out)(&path) {
                continue;
            }
            match (self.one(&entry, &into.join(&name), &path, list), self.went_away) {
                // What it is copied to is there, so it is the original that is not.
                (Err(error), Some(went_away)) if error.kind() == io::ErrorKind::NotFound => {
                    went_away.fetch_add(1, Ordering::Relaxed);
                }
                (copied, _) => copied?,
            }
        }
        Ok(())
    }

    fn one(&self, entry: &DirEntry, target: &Path, path: &str, list: &mut List) -> io::Result<()> {
        let source = entry.path();
        let metadata = entry.metadata()?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            DirBuilder::new().mode(0o700).create(target)?;
            let copied = self.directory(&source, target, path, list);
            fs::set_permissions(target, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
            own(target, &metadata)?;
            list.insert(path.to_owned(), Entry::Directory);
            copied
        } else if kind.is_symlink() {
            let to = fs::read_link(&source)?;
            symlink(&to, target)?;
            lchown(target, Some(metadata.uid()), Some(metadata.gid()))?;
            list.insert(path.to_owned(), Entry::Link(to.to_string_lossy().into_owned()));
            Ok(())
        } else if kind.is_file() {
            // Shares the blocks where the file system can, and else is done by the kernel; takes the mode along.
            fs::copy(&source, target)?;
            own(target, &metadata)?;
            list.insert(path.to_owned(), file(&metadata));
            Ok(())
        } else {
            let message = format!("{} is neither file nor directory nor link", source.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
    }
}

/// The list of what is in a directory now.
///
/// # Errors
///
/// What cannot be read.
pub fn list(directory: &Path) -> io::Result<List> {
    fn walk(directory: &Path, within: &str, list: &mut List) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if within.is_empty() { name } else { format!("{within}/{name}") };
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                walk(&entry.path(), &path, list)?;
                list.insert(path, Entry::Directory);
            } else if metadata.is_symlink() {
                let to = fs::read_link(entry.path())?;
                list.insert(path, Entry::Link(to.to_string_lossy().into_owned()));
            } else {
                list.insert(path, file(&metadata));
            }
        }
        Ok(())
    }
    let mut found = List::new();
    walk(directory, "", &mut found)?;
    Ok(found)
}

/// Removes everything in a directory, and not the directory: a container may have it mounted.
///
/// # Errors
///
/// What cannot be removed.
pub fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn file(metadata: &Metadata) -> Entry {
    Entry::File(metadata.size(), metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec())
}

/// Gives a path and all that is below it to the account of a user and a group. No link is followed.
///
/// # Errors
///
/// What cannot be read or given.
pub fn give(path: &Path, owner: (u32, u32)) -> io::Result<()> {
    lchown(path, Some(owner.0), Some(owner.1))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

/// Gives a copy the owner of its original, where that is another.
///
/// # Errors
///
/// What cannot be read or given.
pub fn own(path: &Path, original: &Metadata) -> io::Result<()> {
    let copy = fs::symlink_metadata(path)?;
    if (copy.uid(), copy.gid()) == (original.uid(), original.gid()) {
        return Ok(());
    }
    lchown(path, Some(original.uid()), Some(original.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(from: &Path, into: &Path) -> io::Result<List> {
        let (leave_out, given_up) = (|path: &str| path == "out", AtomicBool::new(false));
        Copying { leave_out: &leave_out, given_up: &given_up, went_away: None }.copy(from, into)
    }

    #[test]
    fn a_copy_is_as_its_original() {
        let directory = tempfile::tempdir().unwrap();
        let (from, into) = (directory.path().join("from"), directory.path().join("into"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&into).unwrap();
        fs::create_dir(from.join("out")).unwrap();
        fs::write(from.join("a/file"), "content").unwrap();
        fs::set_permissions(from.join("a/file"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(from.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        if rustix::process::geteuid().is_root() {
            lchown(from.join("link"), Some(1), Some(1)).unwrap();
            std::os::unix::fs::chown(from.join("a/file"), Some(1), Some(1)).unwrap();
        }
        let copied = copy(&from, &into).unwrap();
        assert_eq!(copied.keys().collect::<Vec<_>>(), ["a", "a/b", "a/file", "link"]);
        assert_eq!(fs::read(into.join("a/file")).unwrap(), b"content");
        for path in copied.keys() {
            let (one, other) = (from.join(path).symlink_metadata(), into.join(path).symlink_metadata());
            let (one, other) = (one.unwrap(), other.unwrap());
            assert_eq!(
                (one.mode(), one.uid(), one.gid()),
                (other.mode(), other.uid(), other.gid()),
                "{path}"
            );
        }
        assert_eq!(fs::read_link(into.join("link")).unwrap(), Path::new("/nowhere"));
        clear(&into).unwrap();
        assert_eq!(list(&into).unwrap(), List::new());
    }

    #[test]
    fn a_list_tells_every_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "one").unwrap();
        fs::create_dir(directory.path().join("empty")).unwrap();
        let before = list(directory.path()).unwrap();
        let touched = fs::File::options().write(true).open(&file).unwrap();
        touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let after = list(directory.path()).unwrap();
        assert_ne!(after, before);
        fs::remove_dir(directory.path().join("empty")).unwrap();
        assert_ne!(list(directory.path()).unwrap(), after);
    }

    #[test]
    fn what_is_no_file_is_not_copied_and_nobody_has_to_wait() {
        let directory = tempfile::tempdir().unwrap();
        let (from, into) = (directory.path().join("from"), directory.path().join("into"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&into).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        assert!(copy(&from, &into).unwrap_err().to_string().contains("neither file"));
        drop(socket);
        let (leave_out, given_up) = (|_: &str| false, AtomicBool::new(true));
        let copying = Copying { leave_out: &leave_out, given_up: &given_up, went_away: None };
        assert_eq!(copying.copy(&from, &into).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
    /// Somebody removes a file and a directory while they are copied: here, when the first is asked for.
    #[test]
    fn what_goes_away_under_the_copy_is_counted_where_that_may_be() {
        let directory = tempfile::tempdir().unwrap();
        for (name, went_away) in [("strict", None), ("live", Some(AtomicU64::new(0)))] {
            let (from, into) = (directory.path().join(name), directory.path().join(format!("{name}-copy")));
            fs::create_dir_all(from.join("dir/below")).unwrap();
            fs::create_dir(&into).unwrap();
            for file in ["dir/one", "dir/two", "stays"] {
                fs::write(from.join(file), file).unwrap();
            }
            let leave_out = |path: &str| {
                if path == "dir/one" || path == "dir/two" {
                    fs::remove_file(from.join(path)).unwrap();
                } else if path == "dir/below" {
                    fs::remove_dir(from.join(path)).unwrap();
                }
                false
            };
            let given_up = AtomicBool::new(false);
            let copying =
                Copying { leave_out: &leave_out, given_up: &given_up, went_away: went_away.as_ref() };
            let copied = copying.copy(&from, &into);
            match went_away {
                None => assert_eq!(copied.unwrap_err().kind(), io::ErrorKind::NotFound),
                Some(went_away) => {
                    assert!(copied.unwrap().keys().eq(["dir", "stays"]));
                    assert_eq!(went_away.into_inner(), 3);
                    assert_eq!(fs::read(into.join("stays")).unwrap(), b"stays");
                }
            }
        }
    }
}
