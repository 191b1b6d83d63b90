//! `segment-of-neighbour`: a segment that a recovery reads has the content of the one that follows it.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let segment = stored.segment()?;
    let all = stored.segments()?;
    let Some(next) = all.iter().find(|other| other.number > segment.number) else {
        return not_here(format!("no segment follows {}", segment.name));
    };
    replace(&segment.path, &fs::read(&next.path)?)?;
    Ok(format!("{} has the content of {}", segment.name, next.name))
}
