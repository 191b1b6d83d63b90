//! `dump-bit-flip`: one bit of the rows in a dump's largest file is another.

use std::fs;

use pgdrill_backup::members::replace;
use pgdrill_repository::dump::rows;

use super::super::stored::{Done, Stored, not_here};
use super::dumps::largest;

pub(super) fn run(stored: &mut Stored) -> Done {
    let (path, name) = largest(stored)?;
    let mut content = fs::read(&path)?;
    let rows = rows(&path, &content);
    let Some(place) = stored.one_of(&rows.places).copied() else {
        return not_here(format!("{name} holds no rows"));
    };
    // The lowest bit of a digit makes it another digit.
    let bit = if rows.packed { stored.below(8) } else { 0 };
    content[place] ^= 1 << bit;
    replace(&path, &content)?;
    Ok(format!("bit {bit} of byte {place} of {name} is another"))
}
