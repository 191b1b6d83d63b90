//! `version-of-another`: `PG_VERSION` names another major.

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored};

const PATH: &str = "PG_VERSION";

/// A major that no drill runs.
const OTHER: &str = "12\n";

pub(super) fn run(stored: &mut Stored) -> Done {
    let was = String::from_utf8_lossy(&stored.content(PATH)?).trim().to_owned();
    stored.edit(PATH, Edit::Write(OTHER.as_bytes().to_vec()))?;
    Ok(format!("{PATH} says {} instead of {was}", OTHER.trim()))
}
