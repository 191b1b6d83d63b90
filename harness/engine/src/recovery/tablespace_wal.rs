//! Refuses WAL that would make a tablespace outside the restored server: replaying CREATE TABLESPACE links to the
//! live directory, and replaying DROP TABLESPACE after that removes the live one's files.

use std::fs;
use std::path::Path;

use pgdrill_backup::inspect;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_backup::wal::{Store, first_tablespace_outside};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::control::Control;

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

/// Refuses the WAL in the directory `wal`, with segments of so many bytes, where it makes such a tablespace: from `start` on,
/// and in all that there is of later timelines.
///
/// # Errors
///
/// `TABLESPACE_OUTSIDE`; `WORKSPACE_UNUSABLE`: it cannot be read, and may make a tablespace anywhere.
pub async fn refuse(wal: &Path, segment_size: u32, start: Place) -> Result<(), Unable> {
    let wal = wal.to_owned();
    let look = move || {
        let store = Store::open(&[&wal])?.of_segment_size(segment_size);
        first_tablespace_outside(&store, start)
    };
    let found = on_a_thread(look).await?.map_err(|error| {
        let message = format!("the WAL to be replayed could not be looked through for tablespaces: {error}");
        Unable::new(Code::WorkspaceUnusable, message)
    })?;
    found.map_or(Ok(()), |path| {
        let message = format!(
            "the WAL to be replayed makes a tablespace in {}, which is not the restored server's own; a server that \
             replays it could destroy the live tablespace",
            path.display()
        );
        Err(Unable::new(Code::TablespaceOutside, message))
    })
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
