//! Which files of a backup are tables and indexes of the fixture, told by their pages.

use pgdrill_ondisk::items::{self, Kind, PAGE};
use pgdrill_ondisk::relation::{locate, parse};

use super::super::stored::{Stored, Trouble, not_here};

/// Objects of users begin with this number (`FirstNormalObjectId`, `src/include/access/transam.h`).
const FIRST_NORMAL: u32 = 16384;

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
        .filter(|(_, page)| items::kind(page) == Some(kind))
        .filter_map(|(path, _)| sizes.get(&path).map(|size| (path.clone(), *size)))
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if found.is_empty() {
        return not_here(format!("{} has no such file of at least {pages} pages", stored.name));
    }
    Ok(found)
}
