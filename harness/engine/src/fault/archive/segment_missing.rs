//! `segment-missing`: a segment that a recovery reads is not in the archive, and later ones are.

use std::fs;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    fs::remove_file(&segment.path)?;
    Ok(format!("{} is gone", segment.name))
}
