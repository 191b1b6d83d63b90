//! What the files of an archive are, by their names: how many of each kind, and which do not belong there.

use std::path::Path;

use pgdrill_ondisk::segment::{self, ArchiveFile};
use serde::Serialize;

use super::{Store, packed};
use crate::Unreadable;

/// How many names are told at most.
const TOLD: usize = 20;

/// The files of the directories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Whole segments that are not packed.
    pub segments: u64,
    /// Segments that are packed by gzip, LZ4 or Zstandard: PostgreSQL needs a `restore_command` that unpacks them.
    pub compressed: u64,
    /// Segments that are packed in another way, and were not read.
    pub unread: u64,
    /// Segments that were not filled. PostgreSQL never reads them.
    pub partial: Vec<String>,
    /// Timeline history files.
    pub histories: u64,
    /// Labels of backups, kept for people.
    pub labels: u64,
    /// Bytes of all these.
    pub bytes: u64,
    /// What does not belong into an archive, some names of it.
    pub foreign: Vec<String>,
    /// How much there is of that.
    pub foreign_count: u64,
    /// Whether it looks like a data directory, whose WAL is in `pg_wal`.
    pub data_directory: bool,
    /// Whether it looks like the `pg_wal` of a server, which keeps old segments under the names of those to come.
    pub pg_wal: bool,
}

/// Looks at the names.
pub(super) fn look(store: &Store, segment_size: u32) -> Result<Files, Unreadable> {
    let mut files = Files::default();
    for (directory, name) in store.names()? {
        files.data_directory |= name == "PG_VERSION";
        files.pg_wal |= name == "archive_status";
        let (stem, packed) = match packed::parse(&name) {
            Some((stem, _)) => (stem, true),
            None => (name.as_str(), false),
        };
        let unread = packed::UNREAD.iter().find_map(|ending| name.strip_suffix(ending));
        match segment::parse(unread.unwrap_or(stem), segment_size.into()) {
            Some(ArchiveFile::Segment { .. }) if unread.is_some() => files.unread += 1,
            Some(ArchiveFile::Segment { .. }) if packed => files.compressed += 1,
            Some(ArchiveFile::Segment { .. }) => files.segments += 1,
            Some(ArchiveFile::Partial) => files.partial.push(name.clone()),
            Some(ArchiveFile::History { .. }) => files.histories += 1,
            Some(ArchiveFile::BackupLabel) => files.labels += 1,
            None => {
                // What PostgreSQL itself keeps beside the segments in pg_wal.
                if name != "archive_status" && name != "summaries" {
                    files.foreign_count += 1;
                    if files.foreign.len() < TOLD {
                        files.foreign.push(name);
                    }
                }
                continue;
            }
        }
        files.bytes += size(&directory.join(&name));
    }
    Ok(files)
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
