//! `segment-partial`: a segment that a recovery reads has the name of one that was not filled.

use std::fs;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let partial = format!("{}.partial", segment.name);
    fs::rename(&segment.path, stored.archive.join(&partial))?;
    Ok(format!("{} is called {partial}", segment.name))
}
