//! `record-bit-flip`: one bit of a record in a segment that a recovery reads.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let mut content = fs::read(&segment.path)?;
    // Zeros may stand between two records or behind the last, where no checksum is over them.
    let places: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
    let what = stored.flip(&mut content, &places)?;
    replace(&segment.path, &content)?;
    Ok(format!("{what} of {} is another", segment.name))
}
