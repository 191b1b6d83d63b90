//! Names of the files of an archive ([`pgdrill_ondisk::segment`]), of relations ([`pgdrill_ondisk::relation`]), and
//! paths of the members of a tar ([`pgdrill_backup::tarball::within`]).

use pgdrill_backup::tarball;
use pgdrill_ondisk::relation;
use pgdrill_ondisk::segment::{self, ArchiveFile};

use crate::again::again;

/// Names, one a line; bytes of any length. `src/include/access/xlog_internal.h`, `src/common/relpath.c`.
///
/// # Panics
///
/// Where a name that was taken apart and is put together again is another one, or a path leads out.
pub fn names(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        path(line);
        let name = String::from_utf8_lossy(line);
        for size in [1 << 20, 16 << 20, 1 << 30] {
            archive(&name, size);
        }
        file(&name);
    }
}

fn path(written: &[u8]) {
    let Some(path) = again(|| tarball::within(written)) else { return };
    assert!(path.len() <= written.len() && !path.contains(&0));
    let leads_out = |part: &[u8]| part.is_empty() || part == b"." || part == b"..";
    assert!(path.is_empty() || !path.split(|byte| *byte == b'/').any(leads_out), "{path:?}");
    assert_eq!(tarball::within(&path), Some(path), "a plain path stays what it is");
}

fn archive(name: &str, size: u64) {
    match again(|| segment::parse(name, size)) {
        Some(ArchiveFile::Segment { timeline, number }) => {
            let low = u64::from_str_radix(&name[16..], 16).unwrap_or(u64::MAX);
            // PostgreSQL takes names whose last part is beyond what it writes (`IsXLogFileName`).
            if let Some(position) = number.checked_mul(size).filter(|_| low < 0x1_0000_0000 / size) {
                assert_eq!(segment::name(timeline, position, size), name);
            }
        }
        Some(ArchiveFile::History { timeline }) => assert_eq!(format!("{timeline:08X}.history"), name),
        Some(ArchiveFile::Partial) => assert!(name.ends_with(".partial")),
        Some(ArchiveFile::BackupLabel) => assert!(name.ends_with(".backup")),
        None => {}
    }
}

fn file(name: &str) {
    let Some(file) = again(|| relation::parse(name)) else { return };
    let fork = if file.fork == "main" { String::new() } else { format!("_{}", file.fork) };
    let segment = if file.segment == 0 { String::new() } else { format!(".{}", file.segment) };
    let written = format!("{}{fork}{segment}", file.number);
    assert_eq!(relation::parse(&written), Some(file), "{written} is read as another file than {name}");
}
