//! `heap-page-zeroed`: a page of the largest table is all zeros. It is in the first half, where nothing was written since.

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::{Kind, PAGE};

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::Heap, 4)?;
    let Some((path, size)) = files.first() else { return not_here("there is no table") };
    let mut content = stored.content(path)?;
    let block = stored.below(*size as usize / PAGE / 2);
    content[block * PAGE..(block + 1) * PAGE].fill(0);
    stored.edit(path, Edit::Write(content))?;
    Ok(format!("block {block} of {path} is all zeros"))
}
