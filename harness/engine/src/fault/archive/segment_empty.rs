//! `segment-empty`: a segment that a recovery reads has no bytes.

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    replace(&segment.path, &[])?;
    Ok(format!("{} has no bytes", segment.name))
}
