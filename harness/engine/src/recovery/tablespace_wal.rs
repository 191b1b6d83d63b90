//! Refuses WAL that would make a tablespace outside the restored server: replaying CREATE TABLESPACE links to the
//! live directory, and replaying DROP TABLESPACE after that removes the live one's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Lsn;
use pgdrill_model::world::{Command, Exit, Place};
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::segment::{self, ArchiveFile};

use crate::drill::{disk_full, on_a_thread};

/// How many characters the name of a segment has.
const SEGMENT_NAME: usize = 24;

const LIMIT: Duration = Duration::from_secs(600);

/// Where replay will begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    timeline: u32,
    position: u64,
}

/// Where the replay of the backup in `source` will begin, by its manifest; none without a good one.
///
/// # Errors
///
/// A bug, when a thread died.
pub async fn start_of_backup(source: &Path) -> Result<Option<Start>, Unable> {
    let directory = source.to_owned();
    let summary = on_a_thread(move || inspect::summary(&directory)).await?;
    let range = summary.ok().and_then(|summary| summary.manifest.wal.first().copied());
    Ok(range.map(|range| Start { timeline: range.timeline, position: range.start }))
}

/// Where the replay of a restored data directory will begin: as its label says, else its control file. None when
/// neither can be read; then no server starts on it either.
pub fn start_of_data(data: &Path) -> Option<Start> {
    let label = fs::read_to_string(data.join("backup_label")).ok().and_then(|label| {
        let value = |key: &str| label.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let position = value("START WAL LOCATION:")?.split(' ').next()?.parse().ok();
        Some(Start {
            timeline: value("START TIMELINE:")?.parse().ok()?,
            position: position.map(|Lsn(lsn)| lsn)?,
        })
    });
    label.or_else(|| {
        let control = Control::read(&fs::read(data.join("global/pg_control")).ok()?).ok()?;
        Some(Start { timeline: control.timeline, position: control.redo })
    })
}

/// Looks through the WAL in the directory `wal` from `start` on, and through all that there is of later timelines: which of
/// them replay will follow is not for this to know. Reading a timeline stops at its end, as replay would.
///
/// # Errors
///
/// What the place cannot do. A refusal is in the result.
pub async fn refuse(wal: &Path, place: &dyn Place, start: Start) -> Result<Option<Unable>, Unable> {
    let (size, timelines) = timelines(wal);
    for (timeline, (first, last)) in timelines.range(start.timeline..) {
        let begin = if *timeline == start.timeline { start.position } else { first * size };
        let start = Start { timeline: *timeline, position: begin };
        let found = refuse_timeline(wal, place, start, (last + 1) * size, size).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Looks through the WAL of one timeline from `start` up to `end`.
async fn refuse_timeline(
    wal: &Path,
    place: &dyn Place,
    start: Start,
    end: u64,
    size: u64,
) -> Result<Option<Unable>, Unable> {
    if start.position >= end {
        return Ok(None);
    }
    let name = |position: u64| segment::name(start.timeline, position, size);
    let command = Command::postgres(
        "pg_waldump",
        [
            "--rmgr=Tablespace".to_owned(),
            format!("--path={}", wal.display()),
            format!("--start={}", Lsn(start.position)),
            // Without an end it would wait five seconds for the segment after the last one.
            format!("--end={}", Lsn(end)),
            // Where no segment is named, it takes the size of all from any that is there, which may be damaged and not needed
            // (`identify_target_directory`, `pg_waldump.c`).
            name(start.position),
            name(end - 1),
        ],
    )
    .within(LIMIT);
    let exit = place.run(&command).await?;
    if !exit.success() && !reads_no_further(&exit.stderr) {
        return Err(not_looked_through(&exit));
    }
    let path = exit.stdout.lines().find_map(|line| {
        let (_, description) = line.split_once("desc: CREATE ")?;
        let (_, path) = description.split_once(" \"")?;
        // One without a path lies within the data directory (`allow_in_place_tablespaces`).
        Some(path.trim_end_matches('"').to_owned()).filter(|path| !path.is_empty())
    });
    Ok(path.map(|path| {
        let message = format!(
            "the WAL to be replayed makes a tablespace in {path}, which is not the restored server's own; a server \
             that replays it could destroy the live tablespace"
        );
        Unable::new(Code::TablespaceOutside, message)
    }))
}

/// Whether `pg_waldump` ended where the WAL cannot be read any further (`src/bin/pg_waldump/pg_waldump.c`, 13 to 18).
/// That is where replay would end, too.
fn reads_no_further(words: &str) -> bool {
    [
        "error in WAL record at",
        "could not find a valid record after",
        "could not find file",
        // What the account of the server may not read, the server does not replay.
        "could not open file",
        "WAL segment size",
        "could not read from file",
        "could not read file",
    ]
    .iter()
    .any(|known| words.contains(known))
}

/// The WAL may make a tablespace anywhere, and nobody could look: the server must not be started.
fn not_looked_through(exit: &Exit) -> Unable {
    let code = if disk_full(&exit.stderr) {
        Code::DiskFull
    } else if exit.killed() {
        Code::ProgramKilled
    } else {
        Code::ProgramMissing
    };
    let message = format!(
        "the WAL to be replayed could not be looked through for tablespaces: pg_waldump ended with {}: {}",
        exit.describe(),
        exit.last_words()
    );
    Unable::new(code, message)
}

/// The segments in a directory: the size of one in bytes, and the numbers of the first and the last of each timeline. One
/// that is cut off is smaller than the others.
fn timelines(wal: &Path) -> (u64, BTreeMap<u32, (u64, u64)>) {
    let named = |path: &Path| path.file_name().is_some_and(|name| name.len() == SEGMENT_NAME);
    let entries = || {
        fs::read_dir(wal).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| named(path))
    };
    let size = entries().filter_map(|path| Some(fs::metadata(path).ok()?.len())).max().unwrap_or(0).max(1);
    let mut found = BTreeMap::new();
    for path in entries() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(ArchiveFile::Segment { timeline, number }) = segment::parse(&name, size) {
            let (first, last) = found.entry(timeline).or_insert((number, number));
            (*first, *last) = (number.min(*first), number.max(*last));
        }
    }
    (size, found)
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
        assert_eq!(start_of_data(data.path()), Some(Start { timeline: 1, position: 0xC0_0028 }));
    }
}
