//! `file-missing`: the file of the smallest table is gone. Where writers touched its rows since, WAL holds an image of its page
//! and makes it anew.

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::Kind;

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::Heap, 1)?;
    let Some((path, size)) = files.last() else { return not_here("there is no table") };
    stored.edit(path, Edit::Remove)?;
    Ok(format!("{path}, of {size} bytes, is gone"))
}
