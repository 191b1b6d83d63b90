//! Tablespaces that WAL makes with a path: replaying CREATE TABLESPACE links to the directory that it names, wherever that is
//! (`tblspc_redo`, `src/backend/commands/tablespace.c`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgdrill_ondisk::wal::{Content, End, Lineage, Reason, Segments, Walker};

use super::Store;
use super::store::Gradual;
use super::timelines::Place;
use crate::Unreadable;

/// The first tablespace with a path that the WAL makes from a place on. All that there is of its timeline and of later ones is
/// read, behind a break as well: which of them replay will follow, and what it has from elsewhere, is not for this to know.
///
/// # Errors
///
/// A directory, or a segment, that cannot be read: nobody knows what is in it.
pub fn first_tablespace_outside(store: &Store, from: Place) -> Result<Option<PathBuf>, Unreadable> {
    let size = u64::from(store.segment_size()).max(1);
    let mut timelines: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (timeline, number) in store.segments()? {
        let first = if timeline == from.timeline { from.position / size } else { 0 };
        if timeline >= from.timeline && number >= first {
            timelines.entry(timeline).or_default().push(number);
        }
    }
    for (timeline, numbers) in timelines {
        let lineage = Lineage::alone(timeline);
        let mut next = numbers.first().copied();
        while let Some(number) = next {
            let segments = Gradual::of(store);
            let within = timeline == from.timeline && number == from.position / size;
            let walker = if within {
                Ok(Walker::new(segments, lineage.clone(), from.position))
            } else {
                Walker::at_segment(segments, lineage.clone(), number)
            };
            let end = match walker.map(first_of) {
                Ok(Ok(path)) => return Ok(Some(path)),
                Ok(Err(end)) | Err(end) => end,
            };
            if let Reason::Unreadable { error } = end.reason {
                return Err(Unreadable::new(Path::new(&end.segment), error));
            }
            next = numbers.iter().copied().find(|other| *other > number && *other >= end.at / size);
        }
    }
    Ok(None)
}

/// The first that a walk meets, or how the walk ends.
fn first_of(mut walker: Walker<Gradual<'_>>) -> Result<PathBuf, End> {
    loop {
        // What else a record says, and whether that can be understood, makes no tablespace.
        if let Ok(Content::CreateTablespace { path, .. }) = walker.next()?.content()
            && !path.is_empty()
        {
            return Ok(PathBuf::from(String::from_utf8_lossy(path).into_owned()));
        }
    }
}
