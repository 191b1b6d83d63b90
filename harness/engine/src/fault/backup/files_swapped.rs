//! `files-swapped`: the files of two indexes have each other's content. Each page has a right checksum: which file it
//! belongs to is not part of that.

use std::collections::BTreeMap;

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::Kind;

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::BTree, 2)?;
    // The smallest: those of tables that nobody writes to.
    let [.., (one, _), (other, _)] = files.as_slice() else { return not_here("there are no two indexes") };
    let (first, second) = (stored.content(one)?, stored.content(other)?);
    stored
        .backup
        .edit(BTreeMap::from([(one.clone(), Edit::Write(second)), (other.clone(), Edit::Write(first))]))?;
    Ok(format!("{one} and {other} have each other's content"))
}
