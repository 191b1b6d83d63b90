//! The backup manifest (`doc/src/sgml/backup-manifest.sgml`), versions 1 and 2, as far as a drill needs it: how
//! much it lists, which WAL it needs, and whether its own checksum holds.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Malformed, position};

const FORMAT: &str = "backup_manifest";

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// 1 (servers 13 to 16) or 2.
    pub version: u32,
    /// Unique number of the cluster; version 1 does not say it.
    pub system_identifier: Option<u64>,
    /// Number of files.
    pub files: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
    /// The WAL that is needed to reach consistency, newest timeline first.
    pub wal: Vec<WalRange>,
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

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "PostgreSQL-Backup-Manifest-Version")]
    version: u32,
    #[serde(rename = "System-Identifier", default)]
    system_identifier: Option<u64>,
    #[serde(rename = "Files")]
    files: Vec<RawFile>,
    #[serde(rename = "WAL-Ranges")]
    wal: Vec<RawRange>,
    #[serde(rename = "Manifest-Checksum")]
    checksum: String,
}

#[derive(Deserialize)]
struct RawFile {
    #[serde(rename = "Size")]
    size: u64,
}

#[derive(Deserialize)]
struct RawRange {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

impl Manifest {
    /// Reads a manifest and verifies its own checksum: SHA-256 of all bytes up to the newline that ends the last
    /// line but one.
    ///
    /// # Errors
    ///
    /// What is not a manifest, is of an unknown version, or does not match its checksum.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| Malformed::new(FORMAT, error.to_string()))?;
        if !(1..=2).contains(&raw.version) {
            return Err(Malformed::new(FORMAT, format!("unknown version {}", raw.version)));
        }
        let body = bytes.strip_suffix(b"\n").and_then(|body| {
            let end = body.iter().rposition(|byte| *byte == b'\n')?;
            Some(&bytes[..=end])
        });
        let body = body.ok_or_else(|| Malformed::new(FORMAT, "its last line is not ended by a newline"))?;
        let computed: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        if !computed.eq_ignore_ascii_case(&raw.checksum) {
            return Err(Malformed::new(FORMAT, "its checksum does not match its content"));
        }
        let wal = raw.wal.iter().map(|range| {
            let position = |text: &str| {
                position(text)
                    .ok_or_else(|| Malformed::new(FORMAT, format!("'{text}' is not a log position")))
            };
            Ok(WalRange {
                timeline: range.timeline,
                start: position(&range.start)?,
                end: position(&range.end)?,
            })
        });
        Ok(Self {
            version: raw.version,
            system_identifier: raw.system_identifier,
            files: raw.files.len() as u64,
            bytes: raw.files.iter().map(|file| file.size).sum(),
            wal: wal.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let body = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{ \"Path\": \"PG_VERSION\", \"Size\": 3, \
                    \"Last-Modified\": \"2026-01-01 00:00:00 GMT\" }\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \
                    \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n],\n";
        let sum: String = Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{body}\"Manifest-Checksum\": \"{sum}\"}}\n")
    }

    #[test]
    fn what_it_lists_and_what_wal_it_needs() {
        let manifest = Manifest::read(sample().as_bytes()).unwrap();
        assert_eq!((manifest.version, manifest.files, manifest.bytes), (1, 1, 3));
        assert_eq!(manifest.wal, [WalRange { timeline: 1, start: 0x200_0028, end: 0x200_0100 }]);
    }

    #[test]
    fn one_changed_digit_shows() {
        let changed = sample().replace("\"Size\": 3", "\"Size\": 4");
        let error = Manifest::read(changed.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "backup_manifest: its checksum does not match its content");
        assert!(Manifest::read(b"{}").is_err());
        assert!(Manifest::read(sample().trim_end().as_bytes()).is_err());
    }
}
