//! `history-missing`: the history of the newest timeline is gone, and its segments are there.

use std::fs;

use pgdrill_ondisk::segment::{self, ArchiveFile};

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let mut newest = None;
    for entry in fs::read_dir(&stored.archive)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(ArchiveFile::History { timeline }) = segment::parse(&name, stored.segment_size) {
            newest = newest.max(Some((timeline, name, path)));
        }
    }
    let Some((_, name, path)) = newest else { return not_here("the archive has no history of a timeline") };
    fs::remove_file(path)?;
    Ok(format!("{name} is gone"))
}
