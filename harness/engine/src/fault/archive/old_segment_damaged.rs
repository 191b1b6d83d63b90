//! `old-segment-damaged`: a segment from before the newest backup is all zeros. No recovery from that backup reads it.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let first = stored.begin.0 / stored.segment_size;
    let mut old = stored.archived()?;
    old.retain(|segment| segment.number < first);
    let Some(segment) = stored.one_of(&old).cloned() else {
        return not_here(format!("the archive has no segment from before {}", stored.name));
    };
    let size = fs::metadata(&segment.path)?.len();
    replace(&segment.path, &vec![0; size as usize])?;
    Ok(format!("{}, from before {}, is all zeros", segment.name, stored.name))
}
