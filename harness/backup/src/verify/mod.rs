//! Verifies a backup without a server, in one pass: its manifest, every file's presence, size and checksum, every data
//! page, what PostgreSQL needs to start on it, the WAL that it needs, and how far recovery would come with an archive.
//!
//! What `pg_verifybackup` of PostgreSQL 18 finds is found and said in its words
//! (`src/bin/pg_verifybackup/pg_verifybackup.c`, `astreamer_verify.c`); the rest is ours.

mod chain;
mod content;
mod given;
mod ignore;
mod incremental;
mod layout;
mod missing;
mod names;
mod observed;
mod pages;
mod plain;
mod reading;
mod report;
mod segments;
mod settle;
mod tars;
mod verification;
mod wal;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub use self::chain::{ChainReport, fit, verify_chain};
use self::given::Backup;
pub use self::layout::NEEDED;
use self::observed::Observed;
pub use self::reading::Also;
pub use self::report::{Counts, Facts, Report};
use self::verification::{Standing, Told, Verification};
pub use self::wal::of_survey;
use crate::parts::Part;
use crate::wal::range::Range;

/// Where a backup comes from.
pub enum Source {
    /// A directory: plain, or with archives.
    Directory(PathBuf),
    /// One archive.
    Archive(PathBuf),
    /// A data directory in one tar, which may hold its manifest.
    OneTar(Part),
    /// A tar that is streamed.
    Stream(Box<dyn Read + Send>),
}

/// In which format a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Files.
    Plain,
    /// Archives.
    Tar,
}

/// What is wanted of a verification.
#[derive(Clone, Debug)]
pub struct Options {
    /// The format; none to see for itself.
    pub format: Option<Format>,
    /// The manifest, where it does not lie in the backup.
    pub manifest: Option<PathBuf>,
    /// Paths that are not looked at.
    pub ignore: Vec<Vec<u8>>,
    /// Whether content is verified: checksums and pages.
    pub checksums: bool,
    /// Whether the WAL is verified that the backup needs.
    pub wal: bool,
    /// Where that lies, when not in the backup.
    pub wal_directory: Option<PathBuf>,
    /// Where WAL lies of which there is none in the backup: what is in it comes first.
    pub wal_elsewhere: Option<PathBuf>,
    /// The WAL that the backup needs, where there is no manifest to say so, and whoever took it knows.
    pub needs: Option<Range>,
    /// WAL archives, which recovery would read before what lies in the backup.
    pub archives: Vec<PathBuf>,
    /// Whether the first thing that is wrong ends it.
    pub stop_at_first: bool,
    /// How many threads work.
    pub jobs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: None,
            manifest: None,
            ignore: Vec::new(),
            checksums: true,
            wal: true,
            wal_directory: None,
            wal_elsewhere: None,
            needs: None,
            archives: Vec::new(),
            stop_at_first: false,
            jobs: 1,
        }
    }
}

/// How far a verification is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the backup's content that were read.
    pub done: AtomicU64,
    /// How many there are; 0 where nobody knows.
    pub total: AtomicU64,
    /// Set by whoever waits, to have it end early. What is said then is of no use.
    pub given_up: AtomicBool,
}

/// Verifies a backup. Whatever is wrong with it is in the report, and so is what could not be told.
pub fn verify(source: Source, options: &Options, progress: &Progress) -> Report {
    verify_and(source, options, progress, None)
}

/// The same, and does something more with its files on the way.
pub fn verify_and(source: Source, options: &Options, progress: &Progress, also: Option<&dyn Also>) -> Report {
    one(source, options, progress, also, Standing::Alone).0
}

fn one(
    source: Source,
    options: &Options,
    progress: &Progress,
    also: Option<&dyn Also>,
    standing: Standing,
) -> (Report, Told) {
    let observed = Arc::new(Observed::new(options.stop_at_first));
    let backup = Backup::of(source, options, &observed);
    let facts = Facts { path: backup.shown.clone(), ..Facts::default() };
    Verification {
        options,
        observed,
        facts,
        not_checked: Vec::new(),
        own_wal: None,
        layout: None,
        progress,
        standing,
    }
    .run(backup, also)
}
