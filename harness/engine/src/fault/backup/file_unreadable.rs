//! `file-unreadable`: the file of the smallest table may be read by nobody.

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::Kind;

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::Heap, 1)?;
    let Some((path, _)) = files.last() else { return not_here("there is no table") };
    stored.edit(path, Edit::Mode(0))?;
    Ok(format!("{path} has mode 0000"))
}
