//! `segment-of-another`: a segment that a recovery reads says in its header that another cluster wrote it
//! (`XLogLongPageHeaderData`).

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored, not_here};

/// Where a segment names its cluster.
const SYSTEM_IDENTIFIER: std::ops::Range<usize> = 24..32;

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let mut content = fs::read(&segment.path)?;
    let Some(identifier) = content.get_mut(SYSTEM_IDENTIFIER) else {
        return not_here(format!("{} is too short", segment.name));
    };
    identifier.reverse();
    replace(&segment.path, &content)?;
    Ok(format!("{} names another cluster", segment.name))
}
