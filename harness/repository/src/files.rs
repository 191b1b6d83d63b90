//! Files below one directory, read within bounds: never through a link that leads out, never a pipe or a device, and never
//! more than was asked for. What is looked at was made by somebody else.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Entries of one directory that are looked at.
pub(crate) const MOST_ENTRIES: usize = 1_000_000;

/// Why something below the path was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It is not there.
    #[error("it is not there")]
    Missing,
    /// A link on the way leads out of the path that is looked at.
    #[error("a link leads out of the path, to {}; it is not followed", to.display())]
    LeadsOut {
        /// Where it leads.
        to: PathBuf,
    },
    /// The account may not read it.
    #[error("{what}")]
    Denied {
        /// What the system says.
        what: String,
    },
    /// The system could not read it.
    #[error("{what}")]
    Unreadable {
        /// What the system says.
        what: String,
    },
    /// It is a directory, a pipe or a device where a file should be.
    #[error("it is no regular file")]
    NoFile,
    /// It is larger than such a file ever is.
    #[error("it has {bytes} bytes, and no more than {limit} are read of such a file")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is read at most.
        limit: u64,
    },
    /// A directory has more entries than are looked at.
    #[error("it has more than {MOST_ENTRIES} entries, which are not looked at")]
    TooMany,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::Missing,
            ErrorKind::PermissionDenied => Self::Denied { what: error.to_string() },
            _ => Self::Unreadable { what: error.to_string() },
        }
    }
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file of so many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A link, wherever it leads.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

/// An entry of a directory, whose name is UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A directory that is looked at, and nothing outside of it.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree below a directory, with the links on the way to it followed.
    pub(crate) fn open(path: &Path) -> Result<Self, Trouble> {
        Ok(Self { root: fs::canonicalize(path)? })
    }

    /// Where it is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A directory of it as a tree of its own, whose links must not lead out of that.
    pub(crate) fn below(&self, relative: &str) -> Result<Self, Trouble> {
        Ok(Self { root: self.resolve(relative)? })
    }

    /// Where something really is.
    pub(crate) fn resolve(&self, relative: &str) -> Result<PathBuf, Trouble> {
        let to = fs::canonicalize(self.root.join(relative))?;
        if to.starts_with(&self.root) { Ok(to) } else { Err(Trouble::LeadsOut { to }) }
    }

    fn metadata(&self, relative: &str) -> Result<(PathBuf, Metadata), Trouble> {
        let path = self.resolve(relative)?;
        let metadata = fs::metadata(&path)?;
        Ok((path, metadata))
    }

    /// Whether it has a regular file of this name, which can be seen.
    pub(crate) fn has_file(&self, relative: &str) -> bool {
        self.metadata(relative).is_ok_and(|(_, metadata)| metadata.is_file())
    }

    /// Whether it has a directory of this name, which can be seen.
    pub(crate) fn has_directory(&self, relative: &str) -> bool {
        self.metadata(relative).is_ok_and(|(_, metadata)| metadata.is_dir())
    }

    /// The size of a file and when it was last changed, in microseconds since 1970.
    pub(crate) fn stat(&self, relative: &str) -> Result<(u64, Option<i64>), Trouble> {
        let (_, metadata) = self.metadata(relative)?;
        Ok((metadata.len(), modified(&metadata)))
    }

    /// A regular file, opened.
    pub(crate) fn file(&self, relative: &str) -> Result<File, Trouble> {
        open(&self.resolve(relative)?)
    }

    /// A whole file, which may have at most `limit` bytes.
    pub(crate) fn read(&self, relative: &str, limit: u64) -> Result<Vec<u8>, Trouble> {
        whole(self.file(relative)?, limit)
    }

    /// The beginning of a file: at most `limit` bytes.
    pub(crate) fn beginning(&self, relative: &str, limit: u64) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        self.file(relative)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The entries of a directory in the order of their names; those whose names are not UTF-8 are left out, since no
    /// program of PostgreSQL makes any.
    pub(crate) fn entries(&self, relative: &str) -> Result<Vec<Entry>, Trouble> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.resolve(relative)?)? {
            if entries.len() >= MOST_ENTRIES {
                return Err(Trouble::TooMany);
            }
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // What goes away meanwhile was half gone already.
            let Ok(metadata) = entry.metadata() else { continue };
            let kind = match metadata.file_type() {
                kind if kind.is_file() => Kind::File(metadata.len()),
                kind if kind.is_dir() => Kind::Directory,
                kind if kind.is_symlink() => Kind::Link,
                _ => Kind::Other,
            };
            entries.push(Entry { name, kind });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// The names of its directories.
    pub(crate) fn directories(&self, relative: &str) -> Result<Vec<String>, Trouble> {
        let entries = self.entries(relative)?;
        Ok(entries
            .into_iter()
            .filter(|entry| entry.kind == Kind::Directory)
            .map(|entry| entry.name)
            .collect())
    }
}

/// When a file was last changed, in microseconds since 1970.
pub(crate) fn modified(metadata: &Metadata) -> Option<i64> {
    let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

/// Opens a regular file. A pipe that nobody writes to would be waited for.
pub(crate) fn open(path: &Path) -> Result<File, Trouble> {
    let without_waiting = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(Trouble::NoFile) }
}

/// Reads a file that may have at most `limit` bytes.
pub(crate) fn whole(file: File, limit: u64) -> Result<Vec<u8>, Trouble> {
    let bytes = file.metadata()?.len();
    if bytes > limit {
        return Err(Trouble::TooLarge { bytes, limit });
    }
    let mut read = Vec::new();
    // It may grow meanwhile.
    file.take(limit).read_to_end(&mut read)?;
    Ok(read)
}

/// A name from elsewhere as it can be shown: in one line, without what a terminal obeys, and not too long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let plain: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() || is_turning(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() { format!("{plain}...") } else { plain }
}

/// Characters that turn the direction of a line, and so what it seems to say.
fn is_turning(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_followed_within_and_never_out() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "x").unwrap();
        fs::write(inside.path().join("own"), "y").unwrap();
        symlink("own", inside.path().join("within")).unwrap();
        symlink(outside.path(), inside.path().join("out")).unwrap();
        let tree = Tree::open(inside.path()).unwrap();
        assert_eq!(tree.read("within", 10), Ok(b"y".to_vec()));
        let to = fs::canonicalize(outside.path()).unwrap();
        assert_eq!(tree.read("out/secret", 10), Err(Trouble::LeadsOut { to: to.join("secret") }));
        assert!(tree.read("../../etc/passwd", 10).is_err());
        assert!(!tree.has_directory("out") && !tree.has_file("out/secret"));
        assert_eq!(tree.entries("out").unwrap_err(), Trouble::LeadsOut { to });
    }

    #[test]
    fn a_pipe_is_not_waited_for_and_a_large_file_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::write(directory.path().join("large"), "12345").unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        assert_eq!(tree.read("pipe", 10), Err(Trouble::NoFile));
        assert_eq!(tree.read("large", 4), Err(Trouble::TooLarge { bytes: 5, limit: 4 }));
        assert_eq!(tree.beginning("large", 4), Ok(b"1234".to_vec()));
        assert_eq!(tree.read("large/below", 4), Err(Trouble::Missing));
    }

    #[test]
    fn what_may_not_be_read_is_told_from_what_is_not_there() {
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert_eq!(Trouble::from(denied), Trouble::Denied { what: "permission denied".to_owned() });
        assert_eq!(Trouble::from(io::Error::from(ErrorKind::NotFound)), Trouble::Missing);
    }

    #[test]
    fn names_are_shown_in_one_line() {
        assert_eq!(shown("a\u{1b}[2J\nb"), "a\u{FFFD}[2J\u{FFFD}b");
        assert_eq!(shown("gpj\u{202E}exe"), "gpj\u{FFFD}exe");
        assert_eq!(shown(&"x".repeat(300)).len(), 203);
    }
}
