//! A backup that was there before the drill: it is read where it lies, and nothing is ever written there. What a server is to see
//! of its WAL is put into the drill's own archive first, unpacked if need be.

mod command;
mod staging;
mod untouched;

use std::path::{Path, PathBuf};

use pgdrill_backup::Unreadable;
use pgdrill_backup::wal::Store;
use pgdrill_backup::wal::aim::Origin;
use pgdrill_model::finding::Finding;
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::Backup;

pub use command::fetch;
pub use staging::stage;
pub use untouched::Seen;

/// Where the WAL that a backup brings in a tar is unpacked, within the workspace.
pub const OWN_WAL: &str = "own-wal";

/// A backup that was there already, as far as the drill must know it.
#[derive(Debug)]
pub struct Taken {
    /// What it is called.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What it is.
    pub how: Backup,
    /// How recovery begins from it.
    pub origin: Origin,
    /// Directories with its WAL, in the order in which a server reads them: archives, then what it brings itself.
    pub wal: Vec<PathBuf>,
    /// What gives WAL that lies in no directory.
    pub command: Option<String>,
    /// What was where it lies before anything was read.
    pub seen: Vec<Seen>,
}

impl Taken {
    /// Its WAL.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn store(&self, segment_size: u32) -> Result<Store, Unreadable> {
        let directories: Vec<&Path> = self.wal.iter().map(PathBuf::as_path).collect();
        Ok(Store::open(&directories)?.with_compressed().of_segment_size(segment_size))
    }

    /// The backup as a plan names it, now that it is known what it is.
    pub fn member(&self) -> Member {
        Member { name: self.name.clone(), how: self.how }
    }

    /// What is not as it was where it lies: how many files were compared, and a finding for each difference.
    ///
    /// # Errors
    ///
    /// What cannot be read any more.
    pub fn touched(&self) -> Result<(u64, Vec<Finding>), Unreadable> {
        let (mut files, mut found) = (0, Vec::new());
        for seen in &self.seen {
            let now = Seen::of(&seen.root)?;
            files += now.files.len() as u64;
            found.extend(seen.differences(&now));
        }
        Ok((files, found))
    }
}
