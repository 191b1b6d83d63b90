//! Manifests as a server writes them (`src/backend/backup/backup_manifest.c`).

use std::fmt::Write as _;
use std::io::Read;

use pgdrill_ondisk::manifest::Algorithm;
use sha2::{Digest, Sha256};

/// A file that is to be in a manifest.
#[derive(Clone, Debug)]
pub struct Listed {
    pub path: Vec<u8>,
    pub size: u64,
    pub checksum: Option<(Algorithm, Vec<u8>)>,
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a server writes before the checksum of all: paths that are not UTF-8 in hexadecimal.
pub fn body(system_identifier: Option<u64>, files: &[Listed], wal: &[(u32, u64, u64)]) -> String {
    let mut text = match system_identifier {
        Some(number) => {
            format!("{{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": {number},\n")
        }
        None => "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n".to_owned(),
    };
    text.push_str("\"Files\": [");
    for (number, file) in files.iter().enumerate() {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        match std::str::from_utf8(&file.path) {
            Ok(path) => write!(text, "{{ \"Path\": {}, ", escaped(path)).unwrap(),
            Err(_) => write!(text, "{{ \"Encoded-Path\": \"{}\", ", hexadecimal(&file.path)).unwrap(),
        }
        write!(text, "\"Size\": {}, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\"", file.size).unwrap();
        if let Some((algorithm, checksum)) = &file.checksum {
            let checksum = hexadecimal(checksum);
            write!(text, ", \"Checksum-Algorithm\": \"{algorithm}\", \"Checksum\": \"{checksum}\"").unwrap();
        }
        text.push_str(" }");
    }
    text.push_str("\n],\n\"WAL-Ranges\": [");
    for (number, (timeline, start, end)) in wal.iter().enumerate() {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        let (start, end) = (position(*start), position(*end));
        write!(text, "{{ \"Timeline\": {timeline}, \"Start-LSN\": \"{start}\", \"End-LSN\": \"{end}\" }}")
            .unwrap();
    }
    text.push_str("\n],\n");
    text
}

/// Ends a manifest with its checksum.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let mut all = body.to_vec();
    let last = format!("\"Manifest-Checksum\": \"{}\"}}\n", hexadecimal(&Sha256::digest(body)));
    all.extend_from_slice(last.as_bytes());
    all
}

/// A manifest that a server of this major has written.
pub fn real(major: u32) -> Vec<u8> {
    let packed = std::fs::read(format!("../../fixtures/ondisk/backup_manifest-{major}.gz")).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn position(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position as u32)
}

/// `escape_json`, `src/backend/utils/adt/json.c`
fn escaped(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if control < ' ' => write!(quoted, "\\u{:04x}", u32::from(control)).unwrap(),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
