//! A manifest as a server writes it (`AddFileToBackupManifest`, `src/backend/backup/backup_manifest.c`).

use std::fmt::Write as _;

use pgdrill_ondisk::manifest::Algorithm;

/// What a manifest says of a file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, relative to the data directory.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Its checksum, in hexadecimal digits.
    pub sha256: String,
}

/// A manifest of these files, of version 1 and without WAL.
pub fn text(files: impl Iterator<Item = File>) -> String {
    let mut text = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n".to_owned();
    for (index, File { path, size, sha256 }) in files.enumerate() {
        let comma = if index == 0 { "" } else { ",\n" };
        let _ = write!(
            text,
            "{comma}{{ \"Path\": \"{path}\", \"Size\": {size}, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \
             \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"{sha256}\" }}"
        );
    }
    text.push_str("\n],\n\"WAL-Ranges\": [\n],\n");
    let sum = sha256(text.as_bytes());
    text + &format!("\"Manifest-Checksum\": \"{sum}\"}}\n")
}

/// The checksum of a file, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(bytes);
    hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}
