//! Backups that are made by hand: what all of them need.
#![allow(dead_code, reason = "each test program takes what it needs")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// Directories without which PostgreSQL does not work, with those above them.
pub const DIRECTORIES: [&str; 16] = [
    "base",
    "base/5",
    "global",
    "pg_commit_ts",
    "pg_logical",
    "pg_logical/mappings",
    "pg_logical/snapshots",
    "pg_multixact",
    "pg_multixact/members",
    "pg_multixact/offsets",
    "pg_notify",
    "pg_replslot",
    "pg_subtrans",
    "pg_tblspc",
    "pg_twophase",
    "pg_xact",
];

/// A file that a server has made.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/ondisk").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The control file of a cluster, with or without page checksums.
pub fn control(name: &str, checksums: u32, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut control = fixture(name);
    control[252..256].copy_from_slice(&checksums.to_le_bytes());
    change(&mut control);
    let crc = crc32c::crc32c(&control[..288]);
    control[288..292].copy_from_slice(&crc.to_le_bytes());
    control
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a manifest says of a file.
pub fn line(name: &str, bytes: &[u8]) -> String {
    let (size, sum) = (bytes.len(), hex(&Sha256::digest(bytes)));
    format!(
        "{{ \"Path\": \"{name}\", \"Size\": {size}, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \
         \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"{sum}\" }}"
    )
}

/// A manifest of these lines, with `head` behind its version, and these ranges of WAL on timeline 1.
pub fn manifest(version: u32, head: &str, lines: &[String], ranges: &[(String, String)]) -> String {
    let ranges: Vec<String> = ranges
        .iter()
        .map(|(start, end)| {
            format!("{{ \"Timeline\": 1, \"Start-LSN\": \"{start}\", \"End-LSN\": \"{end}\" }}")
        })
        .collect();
    let body = format!(
        "{{ \"PostgreSQL-Backup-Manifest-Version\": {version},\n{head}\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{}\n],\n",
        lines.join(",\n"),
        ranges.join(",\n")
    );
    let sum = hex(&Sha256::digest(body.as_bytes()));
    format!("{body}\"Manifest-Checksum\": \"{sum}\"}}\n")
}

/// A backup in tar format that is being made.
pub struct Making {
    directory: TempDir,
    base: tar::Builder<Vec<u8>>,
    lines: Vec<String>,
    /// Its control file.
    pub control: Vec<u8>,
    /// The WAL that its manifest asks for.
    pub ranges: Vec<(String, String)>,
}

impl Making {
    /// One with all that a backup must have, but for the control file, which comes last.
    pub fn new() -> Self {
        let mut making = Self {
            directory: TempDir::new().unwrap(),
            base: tar::Builder::new(Vec::new()),
            lines: Vec::new(),
            control: fixture("pg_control-15"),
            ranges: vec![("0/2000028".to_owned(), "0/2000100".to_owned())],
        };
        let label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n\
                     BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-01-01 00:00:00 UTC\nLABEL: made\n\
                     START TIMELINE: 1\n";
        making.file("backup_label", label.as_bytes());
        for name in DIRECTORIES {
            making.member(name, EntryType::Directory, 0o700, None, &[]);
        }
        making.file("PG_VERSION", b"15\n");
        making.file("base/5/PG_VERSION", b"15\n");
        making
    }

    /// Adds a member that the manifest does not list.
    pub fn member(&mut self, name: &str, kind: EntryType, mode: u32, link: Option<&str>, bytes: &[u8]) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        // As it is, whatever it is.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        self.base.append(&header, bytes).unwrap();
    }

    /// Adds a file.
    pub fn file(&mut self, name: &str, bytes: &[u8]) {
        self.member(name, EntryType::Regular, 0o600, None, bytes);
        self.list(name, bytes);
    }

    /// Lists a file that is not there, or has another content.
    pub fn list(&mut self, name: &str, bytes: &[u8]) {
        self.lines.push(line(name, bytes));
    }

    /// Adds the control file, and writes it all; `cut` bytes of the base are kept.
    pub fn done(mut self, cut: Option<usize>) -> TempDir {
        let control = std::mem::take(&mut self.control);
        self.file("global/pg_control", &control);
        let manifest = manifest(1, "", &self.lines, &self.ranges);
        fs::write(self.directory.path().join("backup_manifest"), manifest).unwrap();
        let mut base = self.base.into_inner().unwrap();
        base.truncate(cut.unwrap_or(base.len()));
        gzip(&self.directory.path().join("base.tar.gz"), &base);
        self.directory
    }
}

/// Writes a file, packed by gzip.
pub fn gzip(path: &Path, bytes: &[u8]) {
    let mut gzip = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap();
}
