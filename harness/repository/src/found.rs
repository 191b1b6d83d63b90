//! What a path was found to hold: backups, in the order in which they were taken, and where WAL for them lies.

use std::path::PathBuf;

use pgdrill_model::units::{Lsn, Major};

use crate::barman::Barman;
use crate::base::Base;
use crate::dump::Dump;
use crate::pgbackrest::PgBackRest;
use crate::walg::WalG;

/// What a path holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The path, with links followed.
    pub path: PathBuf,
    /// What it is as a whole.
    pub kind: Kind,
    /// The backups in it, the oldest first.
    pub backups: Vec<Backup>,
    /// Backups elsewhere that some of these may be built on, and that nobody means by themselves.
    pub upon: Vec<Backup>,
    /// Where the layout says that WAL for them lies, beside what they hold of it themselves.
    pub wal: Vec<WalPlace>,
    /// What somebody who relies on it should know, one sentence each.
    pub remarks: Vec<String>,
}

/// What a path is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One base backup.
    BaseBackup,
    /// One dump.
    Dump,
    /// A directory with base backups or dumps in it.
    Set,
    /// A repository of pgBackRest.
    PgBackRest,
    /// What Barman keeps of one server or of several.
    Barman,
    /// A storage of WAL-G.
    WalG,
}

impl Kind {
    /// What it is, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::BaseBackup => "a base backup",
            Self::Dump => "a dump",
            Self::Set => "a directory of backups",
            Self::PgBackRest => "a pgBackRest repository",
            Self::Barman => "a Barman directory",
            Self::WalG => "a WAL-G storage",
        }
    }
}

/// One backup.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// By what it is chosen: the label of pgBackRest, the ID of Barman, the name of WAL-G, of a directory or of a file.
    pub label: String,
    /// Whose it is where a path holds those of several: pgBackRest's stanza, Barman's server.
    pub server: Option<String>,
    /// A name that people gave to it.
    pub name: Option<String>,
    /// Where it lies.
    pub path: PathBuf,
    /// The major version of the server, as the backup itself says.
    pub major: Option<Major>,
    /// The cluster's unique number.
    pub system_identifier: Option<u64>,
    /// The timeline on which it began.
    pub timeline: Option<u32>,
    /// Where the WAL begins that it needs.
    pub start: Option<Lsn>,
    /// Where the WAL ends that it needs at least.
    pub stop: Option<Lsn>,
    /// When it began, in microseconds since 1970.
    pub started_us: Option<i64>,
    /// When it was done, in microseconds since 1970.
    pub finished_us: Option<i64>,
    /// Bytes of the cluster that it holds.
    pub bytes: Option<u64>,
    /// Bytes that it takes where it lies.
    pub stored_bytes: Option<u64>,
    /// The label of the backup without which it cannot be restored.
    pub prior: Option<String>,
    /// Whether it can be restored, as far as its description tells.
    pub state: State,
    /// What only backups of its kind have.
    pub held: Held,
}

/// Whether a backup can be restored, as far as its own description tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It says that it is complete.
    Complete,
    /// It is not, and why.
    Unfit(String),
}

/// What only backups of a kind have.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// A base backup in files of its own.
    Base(Base),
    /// One in a pgBackRest repository.
    PgBackRest(PgBackRest),
    /// One that Barman keeps.
    Barman(Barman),
    /// A dump.
    Dump(Dump),
    /// One in a WAL-G storage.
    WalG(WalG),
}

/// A place with WAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalPlace {
    /// The directory.
    pub path: PathBuf,
    /// Whose WAL it is, as in [`Backup::server`].
    pub server: Option<String>,
    /// The cluster whose WAL it is, where that is known.
    pub system_identifier: Option<u64>,
    /// How files are named and packed in it.
    pub layout: WalLayout,
    /// The first segment in it, by the order of names.
    pub first: Option<String>,
    /// The last one.
    pub last: Option<String>,
    /// How many there are.
    pub segments: u64,
}

/// How WAL lies in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalLayout {
    /// As PostgreSQL names it, and packed as endings say.
    Plain,
    /// In directories of pgBackRest, with a hash in each name: only `pgbackrest archive-get` gives it back.
    PgBackRest,
    /// In directories of Barman: segments that are packed have no ending.
    Barman,
    /// In WAL-G's own: `wal-g wal-fetch` gives it back.
    WalG,
}

impl Backup {
    /// A backup of which nothing more is known.
    pub(crate) fn new(label: impl Into<String>, path: PathBuf, held: Held) -> Self {
        Self {
            label: label.into(),
            server: None,
            name: None,
            path,
            major: None,
            system_identifier: None,
            timeline: None,
            start: None,
            stop: None,
            started_us: None,
            finished_us: None,
            bytes: None,
            stored_bytes: None,
            prior: None,
            state: State::Complete,
            held,
        }
    }

    /// When it was done, or when it began where nothing tells that.
    pub fn time_us(&self) -> Option<i64> {
        self.finished_us.or(self.started_us)
    }

    /// Whether it can be restored, as far as its own description tells.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Takes down why it cannot be restored, unless something was wrong before.
    pub(crate) fn unfit(&mut self, why: impl Into<String>) {
        if self.is_complete() {
            self.state = State::Unfit(why.into());
        }
    }
}

impl Found {
    /// Puts backups in the order in which they were taken; those of unknown time come first, and equal ones by label.
    pub(crate) fn sort(&mut self) {
        self.backups.sort_by(|one, other| {
            let key = |backup: &Backup| (backup.time_us(), backup.start);
            key(one).cmp(&key(other)).then_with(|| one.label.cmp(&other.label))
        });
    }

    /// The servers whose backups it holds, each once.
    pub fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> =
            self.backups.iter().filter_map(|backup| backup.server.as_deref()).collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }

    /// The same with nothing but the backups and the WAL of one server.
    #[must_use]
    pub fn of_server(mut self, server: &str) -> Self {
        self.backups.retain(|backup| backup.server.as_deref() == Some(server));
        self.wal.retain(|place| place.server.as_deref() == Some(server));
        self
    }
}
