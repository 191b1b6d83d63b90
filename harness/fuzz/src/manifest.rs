//! `backup_manifest` ([`pgdrill_ondisk::manifest`]).

use std::fmt::Write as _;

use pgdrill_ondisk::manifest::{File, Manifest, Refused};
use pgdrill_ondisk::wal::lsn;
use sha2::{Digest, Sha256};

use crate::again::again;
use crate::chance::Chance;

/// The longest message: twice a thousand bytes of a manifest, of which each may become three, and words around them.
const LONGEST_MESSAGE: usize = 7000;

/// Bytes of the shortest file that can be listed: `{"Path":"","Size":""}`.
const SHORTEST_FILE: usize = 21;

/// Bytes of the shortest range of WAL: `{"Timeline":"","Start-LSN":"0/0","End-LSN":"0/0"}`.
const SHORTEST_RANGE: usize = 49;

/// A manifest that is larger is read in pieces (`READ_CHUNK_SIZE`, `src/bin/pg_verifybackup/pg_verifybackup.c`).
const PIECE: usize = 128 << 10;

/// A manifest: bytes of any length. `src/common/parse_manifest.c`, `src/common/jsonapi.c`.
///
/// # Panics
///
/// Where more is told than the bytes hold, a file is not found by its path, a changed byte is not seen, or what was
/// read and is written again is read differently.
pub fn manifest(bytes: &[u8]) {
    let mut chance = Chance::of(bytes);
    check(bytes, &mut chance);
    let sealed = sealed(bytes);
    let read = check(&sealed, &mut chance);
    // Blanks say nothing, but make it one that is read in pieces.
    if chance.is_one_of(16) && bytes.len() < PIECE / 2 {
        let padded = self::sealed(&[&vec![b' '; PIECE], sealed.as_slice()].concat());
        let large = Manifest::read(&padded).ok();
        assert_eq!(large.map(|large| Manifest { checksum: [0; 32], ..large }), read.map(without_checksum));
    }
}

fn without_checksum(manifest: Manifest) -> Manifest {
    Manifest { checksum: [0; 32], ..manifest }
}

fn check(bytes: &[u8], chance: &mut Chance) -> Option<Manifest> {
    let manifest = match again(|| Manifest::read(bytes)) {
        Ok(manifest) => manifest,
        Err(refused) => {
            assert!(refused.to_string().len() <= LONGEST_MESSAGE, "{refused}");
            return None;
        }
    };
    assert!(matches!(manifest.version, 1 | 2));
    let files = &manifest.files;
    assert!(files.len() * SHORTEST_FILE <= bytes.len(), "more files than it can list");
    assert!(manifest.wal.len() * SHORTEST_RANGE <= bytes.len(), "more WAL than it can list");
    let told = files.iter().map(|file| file.path.len() + file.checksum.map_or(0, |sum| sum.bytes.len()));
    assert!(told.sum::<usize>() <= bytes.len(), "more text than there is");
    let size = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
    assert_eq!(files.bytes(), size);
    assert_eq!(files.is_empty(), files.iter().next().is_none());
    for (index, file) in files.iter().enumerate() {
        assert!(!file.path.contains(&0), "{file:?}");
        assert_eq!(files.find(file.path), Some(index), "{file:?}");
        assert_eq!(files.get(index), Some(file));
    }
    assert_eq!(files.get(files.len()), None);
    let body = body(bytes);
    assert_eq!(manifest.checksum.as_slice(), Sha256::digest(body).as_slice());
    let mut changed = bytes.to_vec();
    let at = chance.below(body.len());
    changed[at] ^= 1 + chance.below(255) as u8;
    assert!(Manifest::read(&changed).is_err(), "a changed byte at {at} is not seen");
    let mut other = [body, b"\"Manifest-Checksum\": \"", &[b'0'; 64], b"\"}\n"].concat();
    assert!(matches!(
        Manifest::read(&other),
        Err(Refused::Mismatch | Refused::Content(_) | Refused::Json(_))
    ));
    other = written(&manifest);
    let again = Manifest::read(&other).map(without_checksum);
    let expected = without_checksum(manifest.clone());
    assert_eq!(again, Ok(expected), "not what was written: {}", String::from_utf8_lossy(&other));
    Some(manifest)
}

/// What the checksum of a manifest covers: all but its last line.
fn body(bytes: &[u8]) -> &[u8] {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(text.len(), |newline| newline + 1);
    &text[..end]
}

/// The manifest with a last line that holds the checksum of the others.
pub fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut all = body(bytes).to_vec();
    if all.last() != Some(&b'\n') {
        all.push(b'\n');
    }
    let sum = hexadecimal(&Sha256::digest(&all));
    all.extend(format!("\"Manifest-Checksum\": \"{sum}\"}}\n").bytes());
    all
}

/// A manifest that says the same, as a server writes it (`src/backend/backup/backup_manifest.c`).
fn written(manifest: &Manifest) -> Vec<u8> {
    let mut text = format!("{{ \"PostgreSQL-Backup-Manifest-Version\": {},\n", manifest.version);
    if let Some(number) = manifest.system_identifier {
        text.push_str(&format!("\"System-Identifier\": {number},\n"));
    }
    let files: Vec<String> = manifest.files.iter().map(line).collect();
    let ranges: Vec<String> = manifest
        .wal
        .iter()
        .map(|of| {
            let (timeline, start, end) = (of.timeline, lsn(of.start), lsn(of.end));
            format!("{{ \"Timeline\": {timeline}, \"Start-LSN\": \"{start}\", \"End-LSN\": \"{end}\" }}")
        })
        .collect();
    let (files, ranges) = (files.join(",\n"), ranges.join(",\n"));
    text.push_str(&format!("\"Files\": [\n{files}\n],\n\"WAL-Ranges\": [\n{ranges}\n],\n\n"));
    sealed(text.as_bytes())
}

fn line(file: File<'_>) -> String {
    let mut line = match std::str::from_utf8(file.path) {
        Ok(path) => format!("{{ \"Path\": {}, ", escaped(path)),
        Err(_) => format!("{{ \"Encoded-Path\": \"{}\", ", hexadecimal(file.path)),
    };
    line.push_str(&format!("\"Size\": {}, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\"", file.size));
    if let Some(checksum) = file.checksum {
        let (algorithm, sum) = (checksum.algorithm, hexadecimal(checksum.bytes));
        line.push_str(&format!(", \"Checksum-Algorithm\": \"{algorithm}\", \"Checksum\": \"{sum}\""));
    }
    line.push_str(" }");
    line
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// `escape_json`, `src/backend/utils/adt/json.c`
fn escaped(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
