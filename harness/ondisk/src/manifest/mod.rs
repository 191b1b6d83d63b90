//! The backup manifest (`doc/src/sgml/backup-manifest.sgml`), versions 1 and 2: all files of a backup with their sizes
//! and checksums, and the WAL that it needs. What PostgreSQL 18's `pg_verifybackup` takes is taken, and what it
//! refuses is refused with its words.

mod checksum;
pub mod edit;
mod files;
mod grammar;
mod json;
mod number;
mod parse;

use sha2::{Digest, Sha256};

pub use checksum::{Algorithm, Checksum, Hasher};
pub use files::{File, Files};
pub use json::{Mistake, Quoted};

/// A larger manifest is read in pieces of this size (`READ_CHUNK_SIZE`, `src/bin/pg_verifybackup/pg_verifybackup.c`).
const PIECE: usize = 128 << 10;

/// No line that lists a file is shorter on average; more memory than such a manifest needs is not set aside for one.
const SHORTEST_LINE: usize = 64;

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// 1 (servers 13 to 16) or 2.
    pub version: u32,
    /// Unique number of the cluster; version 1 does not say it.
    pub system_identifier: Option<u64>,
    /// All files, but for those of the WAL and the manifest itself.
    pub files: Files,
    /// The WAL that is needed to reach consistency, newest timeline first.
    pub wal: Vec<WalRange>,
    /// SHA-256 of the manifest up to its last line, which holds it.
    pub checksum: [u8; 32],
}

/// A piece of WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalRange {
    /// Its timeline.
    pub timeline: u32,
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// Why a manifest cannot be used, in the words of `pg_verifybackup`. Paths and pieces of the manifest in them are as
/// they are in the manifest, which may come from anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not JSON.
    #[error("could not parse backup manifest: {0}")]
    Json(#[from] Mistake),
    /// It is JSON, but does not say what a manifest must.
    #[error("could not parse backup manifest: {0}")]
    Content(&'static str),
    /// The checksum of a file is of a kind that does not exist.
    #[error("unrecognized checksum algorithm: \"{0}\"")]
    UnknownAlgorithm(Quoted),
    /// The checksum of a file is not made of hexadecimal digits.
    #[error("invalid checksum for file \"{path}\": \"{checksum}\"")]
    FileChecksum {
        /// The file.
        path: Quoted,
        /// What is given as its checksum.
        checksum: Quoted,
    },
    /// A path is there twice.
    #[error("duplicate path name in backup manifest: \"{0}\"")]
    Duplicate(Quoted),
    /// Its own checksum is not one.
    #[error("invalid manifest checksum: \"{0}\"")]
    OwnChecksum(Quoted),
    /// Its own checksum is not that of what it says.
    #[error("manifest checksum mismatch")]
    Mismatch,
    /// It is larger than 4 GB, which is more than PostgreSQL itself can read.
    #[error("backup manifest of {0} bytes is too large")]
    TooLarge(usize),
}

impl Manifest {
    /// Reads a manifest and verifies its own checksum.
    ///
    /// # Errors
    ///
    /// What is not a manifest, is of an unknown version, or does not match its checksum.
    pub fn read(bytes: &[u8]) -> Result<Self, Refused> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Refused::TooLarge(bytes.len()));
        }
        let mut reading = parse::Reading::new(files_in(bytes));
        let parsed = grammar::parse(bytes, bytes.len() > PIECE, &mut reading);
        // A path that was there already comes before whatever ended the reading.
        reading.index()?;
        parsed?;
        let Some(version) = reading.version.filter(|_| reading.is_whole()) else {
            return Err(Refused::Content("manifest ended unexpectedly"));
        };
        let checksum = verify(bytes, &reading.checksum)?;
        reading.files.shrink();
        Ok(Self {
            version,
            system_identifier: reading.system_identifier,
            files: reading.files,
            wal: reading.wal,
            checksum,
        })
    }
}

/// About how many files a manifest lists, if the rest of it is like its beginning.
fn files_in(bytes: &[u8]) -> usize {
    let beginning = &bytes[..bytes.len().min(PIECE)];
    let lines = beginning.iter().filter(|byte| **byte == b'\n').count();
    let length = (beginning.len() / lines.max(1)).max(SHORTEST_LINE);
    bytes.len() / length
}

/// Verifies a manifest's own checksum: that of all bytes up to the newline that ends the last line but one
/// (`verify_manifest_checksum`).
fn verify(bytes: &[u8], checksum: &[u8]) -> Result<[u8; 32], Refused> {
    let last_piece = last_piece(bytes);
    let newline = |before: usize| bytes[last_piece..before].iter().rposition(|byte| *byte == b'\n');
    let ultimate = newline(bytes.len()).map(|at| last_piece + at);
    let penultimate = ultimate.and_then(newline).map(|at| last_piece + at);
    let (Some(ultimate), Some(penultimate)) = (ultimate, penultimate) else {
        return Err(Refused::Content("expected at least 2 lines"));
    };
    if ultimate + 1 != bytes.len() {
        return Err(Refused::Content("last line not newline-terminated"));
    }
    let computed: [u8; 32] = Sha256::digest(&bytes[..=penultimate]).into();
    let mut stored = Vec::new();
    if checksum.len() != 2 * computed.len() || !parse::decode(checksum, &mut stored) {
        return Err(Refused::OwnChecksum(Quoted::new(checksum)));
    }
    if stored == computed { Ok(computed) } else { Err(Refused::Mismatch) }
}

/// Where the last piece begins in which PostgreSQL reads a manifest (`parse_manifest_file`): it looks for lines only
/// there.
fn last_piece(bytes: &[u8]) -> usize {
    if bytes.len() <= PIECE {
        return 0;
    }
    let mut at = 0;
    loop {
        let left = bytes.len() - at;
        match left {
            0..PIECE => return at,
            _ if left < 2 * PIECE => at += left / 2,
            _ => at += PIECE,
        }
    }
}
