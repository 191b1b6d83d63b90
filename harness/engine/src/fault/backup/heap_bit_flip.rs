//! `heap-bit-flip`: one bit of a page of a table. Nothing was written to the page since the backup, as far as the archive tells:
//! the WAL holds no image of it that would mend it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use pgdrill_backup::members::Edit;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_backup::wal::{Store, each_record};
use pgdrill_ondisk::items::{Kind, PAGE, all_items};
use pgdrill_ondisk::relation::{locate, parse};

use super::super::stored::{Done, Stored, Trouble, not_here};
use super::relations::of_fixture;

pub(super) fn run(stored: &mut Stored) -> Done {
    flip(stored, Kind::Heap)
}

/// Flips a bit within a row or an entry of a page in the first half of a file of this kind, the largest that has one to which
/// nothing was written.
pub(super) fn flip(stored: &mut Stored, kind: Kind) -> Done {
    let files = of_fixture(stored, kind, 4)?;
    let written = written(stored)?;
    for (path, size) in &files {
        // The first page of an index says where its root is.
        let blocks = 1..=(*size as usize / PAGE / 2) as u32;
        let spared = |block: &u32| number(path).is_some_and(|of| !written.contains(&(of, *block)));
        let blocks: Vec<u32> = blocks.filter(spared).collect();
        let Some(block) = stored.one_of(&blocks).copied() else { continue };
        let mut content = stored.content(path)?;
        let page = block as usize * PAGE;
        let places: Vec<usize> = all_items(&content[page..page + PAGE]).map(|at| page + at).collect();
        let what = stored.flip(&mut content, &places)?;
        stored.edit(path, Edit::Write(content))?;
        return Ok(format!("{what} of {path}, in block {block}, is another"));
    }
    not_here(format!("every page of every such file of {} was written to since", stored.name))
}

/// The number of the relation that a file belongs to.
fn number(path: &str) -> Option<u32> {
    parse(locate(path)?.name).map(|file| file.number)
}

/// The pages that the archived WAL writes to, by the number of their relation and their own.
fn written(stored: &Stored) -> Result<BTreeSet<(u32, u32)>, Trouble> {
    let mut written = BTreeSet::new();
    let store = Store::open(&[&stored.archive])?.of_segment_size(stored.segment_size as u32);
    let from = Place { timeline: stored.timeline, position: stored.begin.0 };
    each_record(&store, from, |record| {
        // What cannot be understood is replayed by nobody.
        let _ = record.each_block(|block| {
            written.insert((block.relation.number, block.number));
        });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(written)
}
