//! `segment-zeroed`: a segment that a recovery reads is all zeros, in its right size.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let size = fs::metadata(&segment.path)?.len();
    replace(&segment.path, &vec![0; size as usize])?;
    Ok(format!("{} is all zeros", segment.name))
}
