//! `file-truncated`: the file of the largest table ends at half of its pages.

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::{Kind, PAGE};

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::Heap, 4)?;
    let Some((path, size)) = files.first() else { return not_here("there is no table") };
    let mut content = stored.content(path)?;
    let pages = *size as usize / PAGE;
    content.truncate(pages / 2 * PAGE);
    stored.edit(path, Edit::Write(content))?;
    Ok(format!("{path} has {} of its {pages} pages", pages / 2))
}
