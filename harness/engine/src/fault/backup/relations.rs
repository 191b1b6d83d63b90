//! Which files of a backup are tables and indexes of the fixture, told by their pages.

use pgdrill_ondisk::relation::{locate, parse};

use super::super::stored::{Stored, Trouble, not_here};

/// Bytes of a page, in every build that is not made with another on purpose.
pub(super) const PAGE: usize = 8192;

/// Objects of users begin with this number (`FirstNormalObjectId`, `src/include/access/transam.h`).
const FIRST_NORMAL: u32 = 16384;

/// Bytes of what only a B-tree keeps at the end of a page (`BTPageOpaqueData`, `src/include/access/nbtree.h`).
const BTREE_OPAQUE: usize = 16;

/// What a relation's file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows.
    Heap,
    /// A B-tree.
    BTree,
}

/// The files of one kind that the fixture's tables and indexes have, with at least `pages` pages, the largest first.
pub(super) fn of_fixture(stored: &Stored, kind: Kind, pages: u64) -> Result<Vec<(String, u64)>, Trouble> {
    let own = |path: &str| {
        let located = locate(path).filter(|located| located.database >= FIRST_NORMAL);
        let file = located.and_then(|located| parse(located.name));
        file.is_some_and(|file| file.fork == "main" && file.segment == 0 && file.number >= FIRST_NORMAL)
    };
    let heads = stored.backup.heads(PAGE as u64, |path, size| own(path) && size >= pages * PAGE as u64)?;
    let sizes = stored.backup.list()?;
    let mut found: Vec<(String, u64)> = heads
        .into_iter()
        .filter(|(_, page)| kind_of(page) == Some(kind))
        .filter_map(|(path, _)| sizes.get(&path).map(|size| (path.clone(), *size)))
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if found.is_empty() {
        return not_here(format!("{} has no such file of at least {pages} pages", stored.name));
    }
    Ok(found)
}

/// A page's kind, by what it keeps at its end.
fn kind_of(page: &[u8]) -> Option<Kind> {
    let special = u16::from_le_bytes([*page.get(16)?, *page.get(17)?]);
    match PAGE.checked_sub(usize::from(special))? {
        0 => Some(Kind::Heap),
        BTREE_OPAQUE => Some(Kind::BTree),
        _ => None,
    }
}

/// Where the rows of a page are, within it.
pub(super) fn rows(page: &[u8]) -> std::ops::Range<usize> {
    let half = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
    half(14).min(page.len())..half(16).min(page.len())
}
