//! A backup that was there before the drill: it is read where it lies, and nothing is ever written there. What a server is to see
//! of its WAL is put into the drill's own archive first, unpacked if need be.
//!
//! Programs that made a backup, and commands that give its WAL, are run beside the quarantine, as the account of pgdrill: they must
//! reach where it lies. The recovered server reaches nothing.

pub mod chain;
mod command;
pub mod dump;
pub mod evidence;
pub mod one_tar;
pub mod oracle;
pub mod origin;
pub mod pgbackrest;
mod program;
mod staging;
mod text;
mod untouched;
mod view;
pub mod wal;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_backup::Unreadable;
use pgdrill_backup::wal::Store;
use pgdrill_backup::wal::aim::Origin;
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::Backup;
use pgdrill_model::witness::Entry;
use pgdrill_repository::Layout;

pub use chain::Link;
pub use command::fetch;
pub use staging::stage;
pub use text::{Kept, copy_sql};
pub use untouched::Seen;
pub use view::{TOGETHER, view, with_tablespaces};

/// Where the WAL that a backup brings in a tar is unpacked, within the workspace.
pub const OWN_WAL: &str = "own-wal";

/// A backup that was there already, as far as the drill must know it.
#[derive(Debug)]
pub struct Taken {
    /// What it is called.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// How it is restored.
    pub made: Made,
    /// What it is.
    pub how: Backup,
    /// How recovery begins from it; none from a dump, which has no WAL.
    pub origin: Option<Origin>,
    /// Directories with its WAL, in the order in which a server reads them: archives, then what it brings itself.
    pub wal: Vec<PathBuf>,
    /// What gives WAL that lies in no directory.
    pub command: Option<String>,
    /// What production held at a moment.
    pub baseline: Option<crate::live::baseline::Baseline>,
    /// What production was told of its beats.
    pub witness: Option<Vec<Entry>>,
    /// How old the newest beat may be that comes back.
    pub max_age: Option<Duration>,
    /// The databases that may hold no row.
    pub empty: Vec<String>,
    /// What the databases of its cluster share, beside a dump.
    pub globals: Option<PathBuf>,
    /// The `pg_wal` of a server that was shut down, whose last segment is not full; none of a backup of one that ran.
    pub saved: Option<PathBuf>,
    /// Segments that were still being copied into its archive when the drill came, and are taken as not there.
    pub unfinished: BTreeSet<String>,
    /// What of it, and of its WAL that recovery can ask for, lay where it lies when the drill began.
    pub seen: Seen,
}

/// How a backup is restored that was there already.
#[derive(Clone, Debug)]
pub enum Made {
    /// By pgdrill itself, from the files of a base backup.
    Files,
    /// By pgdrill itself, from the one tar of a data directory.
    OneTar(one_tar::Packed),
    /// By `pg_combinebackup`, of these, the full one first, each of which pgdrill restores before.
    Chain(Vec<Link>),
    /// By pgBackRest.
    PgBackRest(Layout),
    /// By `pg_restore` or `psql`.
    Dump(Layout),
}

impl Taken {
    /// Its WAL.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn store(&self, segment_size: u32) -> Result<Store, Unreadable> {
        let directories: Vec<&Path> = self.wal.iter().map(PathBuf::as_path).collect();
        let store = Store::open(&directories)?.with_compressed().of_segment_size(segment_size);
        Ok(store.without(self.unfinished.clone()))
    }

    /// Whether a segment was archived, so that it is full or ends with a switch to the next.
    pub fn archived(&self, name: &str) -> bool {
        let archives: Vec<&Path> =
            self.wal.iter().filter(|path| Some(*path) != self.saved.as_ref()).map(PathBuf::as_path).collect();
        let left_out = self.unfinished.contains(name);
        !left_out && Store::open(&archives).is_ok_and(|store| store.with_compressed().has(name))
    }

    /// The backup as a plan names it, now that it is known what it is.
    pub fn member(&self) -> Member {
        Member { name: self.name.clone(), how: self.how }
    }
}
