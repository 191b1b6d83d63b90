//! `record-bit-flip`: one bit of a record in a segment that a recovery reads.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored, not_zero};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let mut content = fs::read(&segment.path)?;
    let mut places = not_zero(&content);
    // What lies behind the target is read by nobody.
    places.retain(|at| *at < stored.needed(&segment));
    let what = stored.flip(&mut content, &places)?;
    replace(&segment.path, &content)?;
    Ok(format!("{what} of {} is another", segment.name))
}
