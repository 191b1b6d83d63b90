//! `dump-truncated`: a dump's largest file ends somewhere in its middle.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored};
use super::dumps::largest;

pub(super) fn run(stored: &mut Stored) -> Done {
    let (path, name) = largest(stored)?;
    let mut content = fs::read(&path)?;
    let whole = content.len();
    let kept = whole / 4 + stored.below(whole / 2);
    content.truncate(kept);
    replace(&path, &content)?;
    Ok(format!("{name} has {kept} of its {whole} bytes"))
}
