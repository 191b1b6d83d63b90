//! Refuses WAL that would make a tablespace outside the restored server: replaying CREATE TABLESPACE links to the
//! live directory, and replaying DROP TABLESPACE after that removes the live one's files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Lsn;
use pgdrill_model::world::{Command, Place};
use pgdrill_ondisk::segment::{self, ArchiveFile};

use crate::drill::on_a_thread;
use crate::workspace::Workspace;

const LIMIT: Duration = Duration::from_secs(600);

/// Looks through the archived WAL from the start of the backup in `source` on. Reading stops at the end of the
/// archive, as replay would.
///
/// # Errors
///
/// What the place cannot do. A refusal is in the result.
pub async fn refuse(
    workspace: &Workspace,
    place: &dyn Place,
    source: &Path,
) -> Result<Option<Unable>, Unable> {
    let directory = source.to_owned();
    // A backup without a good manifest is for the unpacking to judge.
    let Ok(summary) = on_a_thread(move || inspect::summary(&directory)).await? else { return Ok(None) };
    let Some(range) = summary.manifest.wal.first() else { return Ok(None) };
    let archive = workspace.path("archive");
    let Some(end) = end_of(&archive, range.timeline) else { return Ok(None) };
    let command = Command::postgres(
        "pg_waldump",
        [
            "--rmgr=Tablespace".to_owned(),
            format!("--path={}", archive.display()),
            format!("--timeline={}", range.timeline),
            format!("--start={}", Lsn(range.start)),
            // Without an end it would wait five seconds for the segment after the last one.
            format!("--end={}", Lsn(end)),
        ],
    )
    .within(LIMIT);
    let exit = place.run(&command).await?;
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

/// Where the archived segments of a timeline end; none when there are none.
fn end_of(archive: &Path, timeline: u32) -> Option<u64> {
    fs::read_dir(archive)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let size = entry.metadata().ok()?.len();
            match segment::parse(&entry.file_name().to_string_lossy(), size.max(1)) {
                Some(ArchiveFile::Segment { timeline: found, number }) if found == timeline => {
                    Some((number + 1) * size)
                }
                _ => None,
            }
        })
        .max()
}
