//! Why a path holds no backup that can be restored: what was looked for, what was found instead, and what to do now.

use std::path::{Path, PathBuf};

use crate::files::Trouble;

/// What was looked for in a directory, in the order in which it was.
pub(crate) const LOOKED_FOR: &str = "no PG_VERSION and global/pg_control of a data directory, no base.tar, no toc.dat of a dump, no \
    backup/STANZA/backup.info of pgBackRest, no base/ID/backup.info of Barman, no basebackups_005 of WAL-G, and neither base backups \
    nor dumps one level below";

/// What was looked for in a file.
pub(crate) const LOOKED_FOR_IN_A_FILE: &str =
    "no dump of pg_dump or pg_dumpall, and no tar of a data directory, packed or not";

/// Why a path holds no backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotABackup {
    /// There is nothing at the path.
    #[error("{}: there is no such file or directory", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The account may not read what must be read.
    #[error("{}: {what}; it may hold a backup, but this account may not read it", path.display())]
    Denied {
        /// What may not be read.
        path: PathBuf,
        /// What the system says.
        what: String,
    },
    /// The system could not read what must be read.
    #[error("{}: {what}", path.display())]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// None of what backups are made of was found.
    #[error("{}: it is no backup: {looked_for}; it holds {holds}", path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
        /// What was looked for.
        looked_for: &'static str,
        /// What is there instead.
        holds: String,
    },
    /// A part of a backup is there, and something without which it cannot be restored is not.
    #[error("{}: it is only a part of a backup: {what}", path.display())]
    HalfCopied {
        /// The path.
        path: PathBuf,
        /// What is there, and what is missing.
        what: String,
    },
    /// It lies within a repository, which only as a whole says what it is.
    #[error("{}: it is a part of {of}", path.display())]
    PartOf {
        /// The path.
        path: PathBuf,
        /// What it is a part of.
        of: &'static str,
        /// The path to give instead.
        whole: PathBuf,
    },
    /// It is neither built upon a backup at another path, nor is one there built upon it.
    #[error("{}: it is {is}, and only base backups in files of their own are built upon those at other paths", path.display())]
    NotBuiltUpon {
        /// The path.
        path: PathBuf,
        /// What it is.
        is: &'static str,
    },
    /// It is encrypted, and nothing says what it holds.
    #[error("{}: encrypted: needs {needs}", path.display())]
    Encrypted {
        /// What is encrypted.
        path: PathBuf,
        /// What is needed to read it.
        needs: String,
    },
    /// It is the data directory of a server, not a copy of one.
    #[error("{}: it is a server's own data directory, not a backup: {why}", path.display())]
    ServersOwn {
        /// The path.
        path: PathBuf,
        /// How it is known.
        why: String,
    },
    /// A repository without any backup.
    #[error("{}: {of} without any backup in it: {what}", path.display())]
    Empty {
        /// The path.
        path: PathBuf,
        /// What it is.
        of: &'static str,
        /// What was looked for.
        what: String,
    },
    /// The file that describes the backups is damaged, and there is no good copy.
    #[error("{}: it is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl NotABackup {
    /// What something that could not be read means for the path.
    pub(crate) fn of(path: &Path, trouble: Trouble) -> Self {
        let path = path.to_owned();
        match trouble {
            Trouble::Missing => Self::Missing { path },
            Trouble::Denied { what } => Self::Denied { path, what },
            other => Self::Unreadable { path, what: other.to_string() },
        }
    }

    /// What to do now.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { .. } => "check the path, and whether the storage is mounted".to_owned(),
            Self::NotBuiltUpon { .. } => {
                "name the directories of the full backup and of the incremental ones before the one that is meant".to_owned()
            }
            Self::Denied { .. } => {
                "run as an account that may read it, or give this one the right to: nothing is written there".to_owned()
            }
            Self::Unreadable { .. } => "look at the file and at the log of the system that keeps it".to_owned(),
            Self::Nothing { .. } => "give the directory that the backup was written to, or the file of the dump".to_owned(),
            Self::HalfCopied { .. } => {
                "copy it again, whole, or wait until whoever writes it is done; a part of a backup cannot be restored".to_owned()
            }
            Self::PartOf { whole, .. } => format!("give {} instead, and choose the backup by its label", whole.display()),
            Self::Encrypted { needs, .. } => {
                format!("put {needs} into the environment; it is never taken from a command line")
            }
            Self::ServersOwn { .. } => {
                "give a backup of it; where this is a copy whose server runs elsewhere or not at all, remove postmaster.pid from the \
                 copy"
                    .to_owned()
            }
            Self::Empty { .. } => "take a backup, or give the repository that has them".to_owned(),
            Self::Damaged { .. } => {
                "restore the file from where it was copied from, or let the tool that wrote it check its repository".to_owned()
            }
        }
    }
}
