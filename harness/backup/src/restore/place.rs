//! Where a backup may be restored to: nowhere that holds anything, and nowhere that was not named.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pgdrill_ondisk::tablespace;
use serde::Serialize;

use crate::parts::Part;

/// Where a tablespace lay, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// Where it lay.
    pub from: PathBuf,
    /// Where it goes.
    pub to: PathBuf,
}

/// Why a restore was not begun.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is something already.
    #[error("directory \"{}\" exists but is not empty: a backup is never restored over anything", .0.display())]
    NotEmpty(PathBuf),
    /// It is no directory.
    #[error("\"{}\" exists but is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// It cannot be made or looked into.
    #[error("cannot use directory \"{}\": {error}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A tablespace would go where nobody said that it may.
    #[error(
        "tablespace {oid} lay in \"{path}\", outside of the data directory: say where it is to go, with \
         --tablespace-mapping={path}=NEW"
    )]
    Unmapped {
        /// The tablespace.
        oid: String,
        /// Where it lay.
        path: String,
    },
    /// A tablespace of which nobody knows where it lay.
    #[error("\"{archive}\" holds a tablespace that tablespace_map does not name")]
    Unknown {
        /// Its archive.
        archive: String,
    },
    /// A mapping whose new path is not absolute, as a link must be.
    #[error("new directory is not an absolute path in tablespace mapping: \"{}\"", .0.display())]
    Relative(PathBuf),
    /// A mapping for which there is no tablespace.
    #[error("no tablespace of the backup lay in \"{}\": it has {has}", from.display())]
    NoSuchTablespace {
        /// The path.
        from: PathBuf,
        /// What there is.
        has: String,
    },
    /// Two things would go to the same place, or one into the other.
    #[error("\"{}\" and \"{}\" would lie in each other", .0.display(), .1.display())]
    Overlap(PathBuf, PathBuf),
}

/// Whether the backup's map names each tablespace that it has an archive of.
///
/// # Errors
///
/// One that it does not.
pub fn all_known(parts: &[Part], theirs: &[tablespace::Mapping]) -> Result<(), Refused> {
    let known = |part: &&Part| theirs.iter().any(|their| their.oid == part.stem);
    match parts.iter().filter(|part| part.is_tablespace()).find(|part| !known(part)) {
        Some(part) => Err(Refused::Unknown { archive: part.name() }),
        None => Ok(()),
    }
}

/// Where each tablespace goes, by its OID.
///
/// # Errors
///
/// A tablespace without a place, and a place without a tablespace.
pub fn map(theirs: &[tablespace::Mapping], wanted: &[Mapping]) -> Result<Vec<(String, Mapping)>, Refused> {
    if let Some(mapping) = wanted.iter().find(|mapping| !mapping.to.is_absolute()) {
        return Err(Refused::Relative(mapping.to.clone()));
    }
    for mapping in wanted {
        if !theirs.iter().any(|their| Path::new(&their.path) == mapping.from) {
            let has: Vec<&str> = theirs.iter().map(|their| their.path.as_str()).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(Refused::NoSuchTablespace { from: mapping.from.clone(), has });
        }
    }
    let mapped = theirs.iter().map(|their| {
        match wanted.iter().find(|mapping| mapping.from == Path::new(&their.path)) {
            Some(mapping) => Ok((their.oid.clone(), mapping.clone())),
            None => Err(Refused::Unmapped { oid: their.oid.clone(), path: their.path.clone() }),
        }
    });
    mapped.collect()
}

/// Directories that were made for a restore, in order.
#[derive(Debug, Default)]
pub struct Made(Vec<PathBuf>);

impl Made {
    /// Makes these directories, or takes empty ones. What lies above them is open to the servers' account, too.
    ///
    /// # Errors
    ///
    /// One that holds something, or cannot be made. Those that were made are removed again.
    pub fn of(directories: &[&Path]) -> Result<Self, Refused> {
        for (index, directory) in directories.iter().enumerate() {
            if let Some(other) = directories[..index]
                .iter()
                .find(|other| other.starts_with(directory) || directory.starts_with(other))
            {
                return Err(Refused::Overlap(other.to_path_buf(), directory.to_path_buf()));
            }
            look(directory)?;
        }
        let mut made = Self::default();
        for directory in directories {
            if let Err(error) = made.make(directory) {
                made.undo();
                return Err(Refused::Unusable { path: directory.to_path_buf(), error });
            }
        }
        Ok(made)
    }

    fn make(&mut self, directory: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = directory.ancestors().take_while(|above| !above.exists()).collect();
        while let Some(above) = missing.pop() {
            fs::create_dir(above)?;
            self.0.push(above.to_owned());
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
    }

    /// Removes what was made, as far as nothing is in it.
    pub fn undo(self) {
        for directory in self.0.iter().rev() {
            // Whoever has put something there wants to keep it.
            _ = fs::remove_dir(directory);
        }
    }
}

/// Whether something may be put into a directory.
fn look(directory: &Path) -> Result<(), Refused> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Refused::NotEmpty(directory.to_owned())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(Refused::NotADirectory(directory.to_owned()))
        }
        Err(error) => Err(Refused::Unusable { path: directory.to_owned(), error }),
    }
}
