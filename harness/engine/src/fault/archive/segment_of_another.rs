//! `segment-of-another`: a segment that a recovery reads says in its header that another cluster wrote it.

use std::fs;

use pgdrill_backup::members::replace;
use pgdrill_ondisk::wal::page::SYSTEM_IDENTIFIER;

use super::super::stored::{Done, Stored, not_here};

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
