//! What the threads that read a backup have seen, put together. Memory does not grow with the backup: of what is good,
//! only numbers are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pgdrill_model::code::{Code, Weight};
use pgdrill_model::finding::{Finding, Stage};

use super::incremental::Claim;
use super::pages::{PagesSeen, Suspect};

/// More findings than this are only counted: nobody reads them.
const FINDINGS: usize = 10_000;

/// In which order findings are told: what `pg_verifybackup` sees while it walks, what is missing, what has changed, the
/// WAL, and what else is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// The backup as a whole, or a file that is not what it should be by its name, kind or size.
    Walk,
    /// A file that is not there.
    Missing,
    /// A file whose content changed.
    Content,
    /// The WAL that the backup needs.
    Wal,
    /// What PostgreSQL needs beside.
    Layout,
    /// Data pages.
    Pages,
}

/// What was seen; shared by all threads.
#[derive(Default)]
pub struct Observed {
    inner: Mutex<Inner>,
    /// Whether nothing more is wanted.
    stop: AtomicBool,
    /// Whether the first thing that is wrong ends it all.
    stop_at_first: bool,
}

/// What was seen.
#[derive(Default)]
pub struct Inner {
    /// What was found, with its place in the order of telling.
    pub findings: Vec<(Order, Finding)>,
    /// Findings that are only counted.
    pub more: u64,
    /// The worst of all, counted ones too.
    pub worst: Option<Weight>,
    /// Which files of the manifest are there, by number.
    pub there: Vec<bool>,
    /// Small files that are looked into later, by path.
    pub kept: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The maps of databases' catalogs, by path.
    pub maps: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Files that a manifest which comes last must explain: path, size and checksums.
    pub unexplained: Vec<Unexplained>,
    /// Directories.
    pub directories: BTreeSet<Vec<u8>>,
    /// Files and directories of a plain backup that could not be looked into, so that what lies below is not missing.
    pub unreached: Vec<Vec<u8>>,
    /// Archives that could not be read to their end.
    pub broken_archives: Vec<String>,
    /// Data pages.
    pub pages: PagesSeen,
    /// Pages that may be damaged, by their checksum alone.
    pub by_checksum: Vec<Suspect>,
    /// And by anything else.
    pub suspects: Vec<Suspect>,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files whose checksum was compared.
    pub compared: u64,
    /// WAL segments that lie among the other files of a tar.
    pub segments_within: u64,
    /// Links to tablespaces in the one tar of a data directory.
    pub linked: BTreeSet<Vec<u8>>,
    /// Members of an archive that lie beside the data directory in it.
    pub beside: u64,
    /// Those of a stream, which cannot be read again, as far as they are kept.
    pub segments_kept: BTreeMap<(u32, u64), Vec<u8>>,
    /// Whether some of them were too much to be kept.
    pub segments_dropped: bool,
    /// Files that hold only some pages.
    pub incremental_files: u64,
    /// The first of them, by name.
    pub first_incremental: Option<Vec<u8>>,
    /// The one of them that claims the longest file, where it was not known how long one can be.
    pub longest: Option<Claim>,
}

impl Inner {
    /// Takes out all pages that may be damaged.
    pub fn take_suspects(&mut self) -> Vec<Suspect> {
        self.suspects.append(&mut self.by_checksum);
        std::mem::take(&mut self.suspects)
    }

    /// Takes down that a file of the manifest is there; tells whether it was there before.
    pub fn comes(&mut self, index: usize) -> bool {
        if self.there.len() <= index {
            self.there.resize(index + 1, false);
        }
        std::mem::replace(&mut self.there[index], true)
    }

    /// Takes down that a file holds only some pages.
    pub fn incremental(&mut self, path: &[u8]) {
        self.incremental_files += 1;
        if self.first_incremental.as_deref().is_none_or(|first| path < first) {
            self.first_incremental = Some(path.to_vec());
        }
    }
}

/// A file that was read before there was a manifest.
#[derive(Clone, Debug)]
pub struct Unexplained {
    /// Its path.
    pub path: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// Its checksums, by the algorithms that a manifest is likely to have.
    pub checksums: Vec<(pgdrill_ondisk::manifest::Algorithm, Vec<u8>)>,
}

impl Observed {
    /// Nothing yet. `stop_at_first`: whether the first thing that is wrong ends it all.
    pub fn new(stop_at_first: bool) -> Self {
        Self { stop_at_first, ..Self::default() }
    }

    /// What was seen so far.
    pub fn look(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing more is wanted.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Takes down something that is wrong with `subject`.
    pub fn found(&self, order: Order, code: Code, subject: &[u8], message: impl Into<String>) {
        let subject = String::from_utf8_lossy(subject).into_owned();
        self.take(order, Finding::new(code, Stage::Check, message).about(subject));
    }

    /// Takes down a finding.
    pub fn take(&self, order: Order, finding: Finding) {
        let mut inner = self.look();
        if self.stop_at_first && finding.weight != Weight::Notes && self.stop.swap(true, Ordering::Relaxed) {
            return;
        }
        inner.worst = inner.worst.max(Some(finding.weight));
        if inner.findings.len() < FINDINGS {
            inner.findings.push((order, finding));
        } else {
            inner.more += 1;
        }
    }
}
