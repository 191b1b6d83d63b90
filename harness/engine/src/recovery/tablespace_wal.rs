//! Refuses WAL that would make a tablespace outside the restored server: replaying CREATE TABLESPACE links to the
//! live directory, and replaying DROP TABLESPACE after that removes the live one's files.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use pgdrill_backup::inspect;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_backup::wal::{Store, first_tablespace_outside};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::segment::{self, ArchiveFile};

use crate::drill::on_a_thread;

/// Where the replay of the backup in `source` will begin, by its manifest; none without a good one.
///
/// # Errors
///
/// A bug, when a thread died.
pub async fn start_of_backup(source: &Path) -> Result<Option<Place>, Unable> {
    let directory = source.to_owned();
    let summary = on_a_thread(move || inspect::summary(&directory)).await?;
    let range = summary.ok().and_then(|summary| summary.manifest.wal.first().copied());
    Ok(range.map(|range| Place { timeline: range.timeline, position: range.start }))
}

/// Where the replay of a restored data directory will begin: as its label says, else its control file. None when
/// neither can be read; then no server starts on it either.
pub fn start_of_data(data: &Path) -> Option<Place> {
    let label = fs::read_to_string(data.join("backup_label")).ok().and_then(|label| {
        let value = |key: &str| label.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let position = value("START WAL LOCATION:")?.split(' ').next()?.parse().ok();
        Some(Place {
            timeline: value("START TIMELINE:")?.parse().ok()?,
            position: position.map(|Lsn(lsn)| lsn)?,
        })
    });
    label.or_else(|| {
        let control = Control::read(&fs::read(data.join("global/pg_control")).ok()?).ok()?;
        Some(Place { timeline: control.timeline, position: control.redo })
    })
}

/// Refuses WAL, with segments of so many bytes, that makes such a tablespace: from `start` on, and in all that there is of later
/// timelines. Of a file that is in several directories the first counts, as for a server.
///
/// # Errors
///
/// `TABLESPACE_OUTSIDE`; `WORKSPACE_UNUSABLE`: it cannot be read, and may make a tablespace anywhere.
pub async fn refuse(directories: Vec<PathBuf>, segment_size: u32, start: Place) -> Result<(), Unable> {
    let look = move || {
        let directories: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
        let store = Store::open(&directories)?.of_segment_size(segment_size);
        first_tablespace_outside(&store, start)
    };
    let found = on_a_thread(look).await?.map_err(|error| {
        let message = format!("the WAL to be replayed could not be looked through for tablespaces: {error}");
        Unable::new(Code::WorkspaceUnusable, message)
    })?;
    found.map_or(Ok(()), |path| Err(outside(&path.display(), "the restored server")))
}

/// Refuses the same in what was unpacked into a data directory, where that is not known yet: where the archive in `wal` lacks what
/// the backup brought, or nobody could tell before from where on it had to be `looked` through.
///
/// # Errors
///
/// As [`refuse`].
pub async fn refuse_unpacked(
    wal: PathBuf,
    segment_size: u32,
    data: &Path,
    looked: bool,
) -> Result<(), Unable> {
    let Some(start) = start_of_data(data) else { return Ok(()) };
    let own = data.join("pg_wal");
    let names = fs::read_dir(&own).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let of_wal = |name: &OsString| {
        segment::parse(&name.to_string_lossy(), u64::from(segment_size))
            .is_some_and(|file| matches!(file, ArchiveFile::Segment { .. }))
    };
    let brought = names.filter(of_wal).any(|name| !wal.join(name).exists());
    if looked && !brought {
        return Ok(());
    }
    refuse(vec![wal, own], segment_size, start).await
}

/// Why WAL is refused that makes a tablespace there.
pub fn outside(path: &dyn Display, server: &str) -> Unable {
    let message = format!(
        "the WAL to be replayed makes a tablespace in {path}, which is not {server}'s own; a server that replays it could \
         destroy the live tablespace"
    );
    Unable::new(Code::TablespaceOutside, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_where_replay_begins() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(start_of_data(data.path()), None);
        let label = "START WAL LOCATION: 0/C00028 (file 000000010000000000000003)\nCHECKPOINT LOCATION: 0/C00080\n\
                     BACKUP METHOD: streamed\nSTART TIMELINE: 1\n";
        fs::write(data.path().join("backup_label"), label).unwrap();
        assert_eq!(start_of_data(data.path()), Some(Place { timeline: 1, position: 0xC0_0028 }));
    }
}
