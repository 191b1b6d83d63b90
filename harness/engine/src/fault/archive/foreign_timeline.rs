//! `foreign-timeline`: a server that was restored from this archive, and should not have archived into it, left its own
//! timeline there: a history, and the segment in which it began, with the parent's WAL up to there and nothing behind it
//! (`exitArchiveRecovery`, `src/backend/access/transam/xlog.c`).

use std::fs;

use pgdrill_backup::members::replace;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::history::{self, Ancestor};
use pgdrill_ondisk::segment;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let parent = stored.segment()?;
    let newest = stored.archived()?.iter().map(|segment| segment.timeline).max();
    let timeline = newest.unwrap_or(stored.timeline) + 1;
    let mut content = fs::read(&parent.path)?;
    // Where its WAL has no byte any more, a segment that was switched has only zeros.
    let Some(written) = content.iter().rposition(|byte| *byte != 0) else {
        return not_here(format!("{} has no WAL in it", parent.name));
    };
    // A recovery to a point before the fork would not notice, and need not.
    let fork = (written.min(stored.needed(&parent)) / 2).next_multiple_of(8);
    content[fork..].fill(0);
    let start = parent.number * stored.segment_size;
    let at = Lsn(start + fork as u64);
    let name = format!("{timeline:08X}.history");
    let own = segment::name(timeline, start, stored.segment_size);
    replace(&stored.archive.join(&own), &content)?;
    let left = Ancestor { timeline: parent.timeline, switched_at: at.0 };
    let text = history::write(&[left], "no recovery target specified");
    replace(&stored.archive.join(&name), text.as_bytes())?;
    Ok(format!(
        "{name} says that timeline {timeline} left timeline {} at {at}; {own} is there",
        parent.timeline
    ))
}
