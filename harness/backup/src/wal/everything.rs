//! Everything that directories of WAL hold from a place on, and the tablespaces that it makes with a path: replaying CREATE
//! TABLESPACE links to the directory that it names, wherever that is (`tblspc_redo`, `src/backend/commands/tablespace.c`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pgdrill_ondisk::wal::{Content, End, Lineage, Reason, Record, Segments, Walker};

use super::Store;
use super::store::Gradual;
use super::timelines::Place;
use crate::Unreadable;

/// Gives every record from a place on that there is of its timeline and of later ones, behind a break as well, until `visit` has
/// enough: which of them a replay will follow, and what it has from elsewhere, is not for this to know.
///
/// # Errors
///
/// A directory, or a segment, that cannot be read: nobody knows what is in it. What `visit` says of a record.
pub fn each_record(
    store: &Store,
    from: Place,
    mut visit: impl FnMut(&Record<'_>) -> Result<ControlFlow<()>, Unreadable>,
) -> Result<(), Unreadable> {
    let size = u64::from(store.segment_size()).max(1);
    let mut timelines: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (timeline, number) in store.segments()? {
        let first = if timeline == from.timeline { from.position / size } else { 0 };
        if timeline >= from.timeline && number >= first {
            timelines.entry(timeline).or_default().push(number);
        }
    }
    for (timeline, numbers) in timelines {
        let mut next = numbers.first().copied();
        while let Some(number) = next {
            let (segments, lineage) = (Gradual::of(store), Lineage::alone(timeline));
            let walker = if timeline == from.timeline && number == from.position / size {
                Ok(Walker::new(segments, lineage, from.position))
            } else {
                Walker::at_segment(segments, lineage, number)
            };
            let end = match walker {
                Ok(walker) => match walk(walker, &mut visit)? {
                    Some(end) => end,
                    None => return Ok(()),
                },
                Err(end) => end,
            };
            if let Reason::Unreadable { error } = end.reason {
                return Err(Unreadable::new(Path::new(&end.segment), error));
            }
            next = numbers.iter().copied().find(|other| *other > number && *other >= end.at / size);
        }
    }
    Ok(())
}

/// How a walk ends; none where `visit` has enough.
fn walk(
    mut walker: Walker<Gradual<'_>>,
    visit: &mut impl FnMut(&Record<'_>) -> Result<ControlFlow<()>, Unreadable>,
) -> Result<Option<End>, Unreadable> {
    loop {
        match walker.next() {
            Ok(record) if visit(&record)?.is_break() => return Ok(None),
            Ok(_) => {}
            Err(end) => return Ok(Some(end)),
        }
    }
}

/// The first tablespace with a path that the WAL makes from a place on.
///
/// # Errors
///
/// As [`each_record`]; also a record that may make one, and cannot be understood.
pub fn first_tablespace_outside(store: &Store, from: Place) -> Result<Option<PathBuf>, Unreadable> {
    let size = u64::from(store.segment_size()).max(1);
    let mut found = None;
    each_record(store, from, |record| {
        let content = record.content().map_err(|error| {
            let segment = store.name(record.file_timeline, record.start / size);
            Unreadable::new(Path::new(&segment), error.to_string())
        })?;
        Ok(match content {
            Content::CreateTablespace { path, .. } if !path.is_empty() => {
                found = Some(PathBuf::from(String::from_utf8_lossy(path).into_owned()));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
    })?;
    Ok(found)
}
