//! The directory that is fetched into: every file and directory in it is reached without following a symbolic link.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::trouble::Trouble;

/// Directories of ours are for our account alone, and files too.
const DIRECTORY: Mode = Mode::RWXU;
const FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory, by its descriptor.
#[derive(Debug)]
pub(crate) struct Tree {
    path: PathBuf,
    root: OwnedFd,
}

impl Tree {
    /// Opens the directory, and makes it where it is missing. Those above it must be there.
    ///
    /// # Errors
    ///
    /// `Kind::Local`: it cannot be made, or is a symbolic link or a file.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let opened = match fs::mkdir(path, DIRECTORY) {
            Ok(()) | Err(Errno::EXIST) => fs::open(path, directory(), Mode::empty()),
            Err(error) => Err(error),
        };
        match opened {
            Ok(root) => Ok(Self { path: path.to_owned(), root }),
            Err(error) => Err(Trouble::local("use the directory", path, &error.into())),
        }
    }

    /// Where a name lies, for messages.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names at the top of it.
    pub fn top(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.root)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Makes a directory and those above it, where they are missing.
    pub fn make_directory(&self, name: &str) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for segment in name.split('/').filter(|segment| !segment.is_empty()) {
            match fs::mkdirat(&at, segment, DIRECTORY) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            at = fs::openat(&at, segment, directory(), Mode::empty())?;
        }
        Ok(at)
    }

    /// The directory that a name lies in, which is made where it is missing, and its last part.
    fn parent<'a>(&self, name: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (directory, last) = name.rsplit_once('/').unwrap_or(("", name));
        Ok((self.make_directory(directory)?, last))
    }

    /// Opens a file for reading and writing, and makes it where it is missing.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let (parent, last) = self.parent(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        regular(fs::openat(&parent, last, flags, FILE)?.into())
    }

    /// Opens a file that is there; none where it is not.
    pub fn existing(&self, name: &str) -> io::Result<Option<File>> {
        let (parent, last) = self.parent(name)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match fs::openat(&parent, last, flags, Mode::empty()) {
            Ok(file) => regular(file.into()).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file another name within the directory.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_parent, from) = self.parent(from)?;
        let (to_parent, to) = self.parent(to)?;
        Ok(fs::renameat(&from_parent, from, &to_parent, to)?)
    }

    /// Removes a file; it may be gone already.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let (parent, last) = self.parent(name)?;
        match fs::unlinkat(&parent, last, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a directory with the files right in it.
    pub fn remove_directory(&self, name: &str) -> io::Result<()> {
        let below = self.make_directory(name)?;
        for entry in fs::Dir::read_from(&below)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                fs::unlinkat(&below, entry.file_name(), AtFlags::empty())?;
            }
        }
        let (parent, last) = self.parent(name)?;
        Ok(fs::unlinkat(&parent, last, AtFlags::REMOVEDIR)?)
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Anything but a regular file is not one of ours.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// What is free where `path` is, or will be: bytes and files. Nothing where the system does not tell.
pub(crate) fn free(path: &Path) -> Option<(u64, u64)> {
    let there = path.ancestors().find(|above| above.exists()).filter(|above| !above.as_os_str().is_empty());
    let system = fs::statvfs(there.unwrap_or(Path::new("."))).ok()?;
    // File systems without a fixed number of inodes say that they have none at all.
    let files = if system.f_files == 0 { u64::MAX } else { system.f_favail };
    Some((system.f_bavail.saturating_mul(system.f_frsize), files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn files_and_directories_are_for_our_account_alone() {
        let base = tempfile::tempdir().unwrap();
        let tree = Tree::open(&base.path().join("into")).unwrap();
        tree.file("a/b/c").unwrap().write_all(b"x").unwrap();
        let mode = |name: &str| std::fs::metadata(base.path().join(name)).unwrap().mode() & 0o7777;
        assert_eq!(
            [mode("into"), mode("into/a"), mode("into/a/b"), mode("into/a/b/c")],
            [0o700, 0o700, 0o700, 0o600]
        );
    }

    #[test]
    fn nothing_is_reached_through_a_symbolic_link() {
        let base = tempfile::tempdir().unwrap();
        let elsewhere = base.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("precious"), b"precious").unwrap();
        let into = base.path().join("into");
        let tree = Tree::open(&into).unwrap();
        symlink(&elsewhere, into.join("directory")).unwrap();
        symlink(elsewhere.join("precious"), into.join("file")).unwrap();
        assert!(tree.file("directory/new").is_err());
        assert!(tree.file("file").is_err());
        assert!(tree.existing("file").is_err());
        assert!(tree.make_directory("directory/below").is_err());
        std::fs::write(into.join("mine"), b"mine").unwrap();
        assert!(tree.rename("mine", "directory/mine").is_err());
        // A link in the place of a file is replaced, not followed.
        tree.rename("mine", "file").unwrap();
        assert_eq!(std::fs::read(elsewhere.join("precious")).unwrap(), b"precious");
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1);
        assert!(Tree::open(&into.join("directory")).is_err());
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let base = tempfile::tempdir().unwrap();
        let tree = Tree::open(base.path()).unwrap();
        tree.make_directory("directory").unwrap();
        fs::mkfifoat(&tree.root, "fifo", FILE).unwrap();
        assert!(tree.file("fifo").is_err());
        assert!(tree.file("directory").is_err());
    }
}
