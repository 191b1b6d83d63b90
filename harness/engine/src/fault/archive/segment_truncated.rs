//! `segment-truncated`: a segment that a recovery reads ends at its half.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let mut content = fs::read(&segment.path)?;
    let whole = content.len();
    content.truncate(whole / 2);
    replace(&segment.path, &content)?;
    Ok(format!("{} has {} of its {whole} bytes", segment.name, whole / 2))
}
