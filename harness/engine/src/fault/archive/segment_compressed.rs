//! `segment-compressed`: a segment that a recovery reads is there only compressed, under another name.

use std::fs;

use pgdrill_backup::members::{packed, replace};
use pgdrill_backup::parts::Packed;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let compressed = format!("{}.gz", segment.name);
    replace(&stored.archive.join(&compressed), &packed(&fs::read(&segment.path)?, Packed::Gzip)?)?;
    fs::remove_file(&segment.path)?;
    Ok(format!("{} is there as {compressed}", segment.name))
}
