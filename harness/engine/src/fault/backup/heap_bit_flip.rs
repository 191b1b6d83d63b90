//! `heap-bit-flip`: one bit of a page of a table. The page is in the first half of the largest table, where nothing was
//! written since: WAL holds no image of it that would mend it.

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::{Kind, PAGE, all_items};

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

pub(super) fn run(stored: &mut Stored) -> Done {
    flip(stored, Kind::Heap)
}

/// Flips a bit within a row or an entry of a page of the largest file of this kind.
pub(super) fn flip(stored: &mut Stored, kind: Kind) -> Done {
    let files = of_fixture(stored, kind, 4)?;
    let Some((path, size)) = files.first() else { return not_here("there is no such file") };
    let mut content = stored.content(path)?;
    // The first page of an index says where its root is.
    let block = 1 + stored.below(*size as usize / PAGE / 2);
    let page = block * PAGE;
    let places: Vec<usize> = all_items(&content[page..page + PAGE]).map(|at| page + at).collect();
    let what = stored.flip(&mut content, &places)?;
    stored.edit(path, Edit::Write(content))?;
    Ok(format!("{what} of {path}, in block {block}, is another"))
}
