//! What is done with the content of one file: its checksum, and small files that are looked into when all has been read.

use std::sync::Arc;

use pgdrill_model::code::Code;
use pgdrill_ondisk::manifest::{Algorithm, Checksum, Hasher};
use pgdrill_ondisk::relation::{self, RelationFile};

use super::incremental::PREFIX;
use super::names::MAP;
use super::observed::{Observed, Order, Unexplained};
use crate::flow::Work;

/// A file that is larger is not what it seems to be, and is not kept.
const KEPT_BYTES: u64 = 1 << 20;

/// The algorithms of which a manifest that comes last is likely to have one.
const LIKELY: [Algorithm; 2] = [Algorithm::Crc32c, Algorithm::Sha256];

/// Whether a file is looked into when all has been read.
pub fn is_kept(path: &[u8], size: u64) -> bool {
    let small = size <= KEPT_BYTES;
    let version = path == b"PG_VERSION" || path.ends_with(b"/PG_VERSION");
    let named = matches!(path, b"backup_label" | b"tablespace_map" | b"global/pg_control");
    small && (version || named || path.ends_with(MAP))
}

/// What a file holds pages of, by its path; nothing for one that holds none.
pub fn relation_of(path: &[u8]) -> Option<RelationFile> {
    relation::parse(name_among_relations(path)?)
}

/// Of which relation's file an incremental backup holds only some pages at a path; nothing where it does not.
pub fn incremental_of(path: &[u8]) -> Option<RelationFile> {
    relation::parse(name_among_relations(path)?.strip_prefix(PREFIX)?)
}

/// The name of a file that lies where relations do.
fn name_among_relations(path: &[u8]) -> Option<&str> {
    relation::locate(std::str::from_utf8(path).ok()?).map(|located| located.name)
}

/// Compares a file's checksum with its manifest's.
pub struct Comparing {
    observed: Arc<Observed>,
    path: Vec<u8>,
    /// The archive that holds it; none for a file of a plain backup.
    archive: Option<Arc<str>>,
    size: u64,
    read: u64,
    hasher: Hasher,
    cost: u64,
    expected: Vec<u8>,
}

impl Comparing {
    /// Of the file at `path`, of `size` bytes.
    pub fn new(
        observed: Arc<Observed>,
        path: &[u8],
        archive: Option<Arc<str>>,
        size: u64,
        expected: &Checksum<'_>,
    ) -> Self {
        Self {
            observed,
            path: path.to_vec(),
            archive,
            size,
            read: 0,
            hasher: expected.algorithm.hasher(),
            cost: if expected.algorithm == Algorithm::Crc32c { 1 } else { 10 },
            expected: expected.bytes.to_vec(),
        }
    }
}

impl Work for Comparing {
    fn cost(&self) -> u64 {
        self.cost
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.read += bytes.len() as u64;
    }

    fn end(self: Box<Self>) {
        // Who read it says why it is not whole.
        if self.read != self.size {
            return;
        }
        let computed = self.hasher.finish();
        self.observed.look().compared += 1;
        let name = String::from_utf8_lossy(&self.path);
        let place =
            self.archive.as_ref().map(|archive| format!(" in archive \"{archive}\"")).unwrap_or_default();
        let message = if computed.len() != self.expected.len() {
            let (found, expected) = (self.expected.len(), computed.len());
            format!("file \"{name}\"{place} has checksum of length {found}, but expected {expected}")
        } else if computed == self.expected {
            return;
        } else {
            format!("checksum mismatch for file \"{name}\"{place}")
        };
        self.observed.found(Order::Content, Code::ManifestMismatch, &self.path, message);
    }
}

/// Takes the likely checksums of a file whose manifest comes later.
pub struct Guessing {
    observed: Arc<Observed>,
    path: Vec<u8>,
    size: u64,
    hashers: Vec<(Algorithm, Hasher)>,
}

impl Guessing {
    /// Of the file at `path`.
    pub fn new(observed: Arc<Observed>, path: &[u8]) -> Self {
        let hashers = LIKELY.into_iter().map(|algorithm| (algorithm, algorithm.hasher())).collect();
        Self { observed, path: path.to_vec(), size: 0, hashers }
    }
}

impl Work for Guessing {
    fn cost(&self) -> u64 {
        11
    }

    fn take(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(bytes));
    }

    fn end(self: Box<Self>) {
        let checksums =
            self.hashers.into_iter().map(|(algorithm, hasher)| (algorithm, hasher.finish())).collect();
        self.observed.look().unexplained.push(Unexplained { path: self.path, size: self.size, checksums });
    }
}

/// Keeps the content of a small file.
pub struct Keeping {
    observed: Arc<Observed>,
    path: Vec<u8>,
    content: Vec<u8>,
}

impl Keeping {
    /// Of the file at `path`.
    pub fn new(observed: Arc<Observed>, path: &[u8]) -> Self {
        Self { observed, path: path.to_vec(), content: Vec::new() }
    }
}

impl Work for Keeping {
    fn cost(&self) -> u64 {
        1
    }

    fn take(&mut self, bytes: &[u8]) {
        self.content.extend_from_slice(bytes);
    }

    fn end(self: Box<Self>) {
        let mut inner = self.observed.look();
        let kept = if self.path.ends_with(MAP) { &mut inner.maps } else { &mut inner.kept };
        kept.insert(self.path, self.content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("base/5/16384", true)]
    #[case("base/5/16384.1", true)]
    #[case("global/1262_fsm", true)]
    #[case("pg_tblspc/16400/PG_15_202209061/5/16401_init", true)]
    #[case("global/pg_control", false)]
    #[case("base/5/PG_VERSION", false)]
    #[case("base/pgsql_tmp/5", false)]
    #[case("base/5/deeper/16384", false)]
    #[case("pg_xact/0000", false)]
    #[case("16384", false)]
    #[case("pg_tblspc/16400/5/16401", false)]
    fn what_holds_pages(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(relation_of(path.as_bytes()).is_some(), expected);
    }

    #[rstest]
    #[case("base/5/INCREMENTAL.16384", Some((16384, 0)))]
    #[case("global/INCREMENTAL.1262_vm", Some((1262, 0)))]
    #[case("pg_tblspc/16400/PG_17_202406281/5/INCREMENTAL.16401.2", Some((16401, 2)))]
    #[case("base/5/16384", None)]
    #[case("base/5/INCREMENTAL.config", None)]
    #[case("base/5/INCREMENTAL.INCREMENTAL.16384", None)]
    #[case("INCREMENTAL.16384", None)]
    #[case("INCREMENTAL.config", None)]
    fn what_holds_some_pages(#[case] path: &str, #[case] expected: Option<(u32, u32)>) {
        let relation = incremental_of(path.as_bytes());
        assert_eq!(relation.map(|file| (file.number, file.segment)), expected);
        assert_eq!(relation_of(path.as_bytes()).is_some(), path == "base/5/16384");
    }
}
