//! Which timeline is replayed: it changes with the record that says so, and not with the file (`ApplyWalRecord` and
//! `checkTimeLineSwitch`, `src/backend/access/transam/xlogrecovery.c`).

use pgdrill_ondisk::segment;
use pgdrill_ondisk::wal::{Content, End, Lineage, Reason, Record};

/// What a record says of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The timeline from then on.
    pub now: u32,
    /// The one before; the same where none is left.
    pub from: u32,
}

/// What a record says of the timeline; most say nothing.
pub(super) fn said(content: &Content<'_>) -> Option<Said> {
    match content {
        Content::Checkpoint(checkpoint) if checkpoint.shutdown => {
            Some(Said { now: checkpoint.timeline, from: checkpoint.previous })
        }
        Content::EndOfRecovery { timeline, previous, .. } => Some(Said { now: *timeline, from: *previous }),
        _ => None,
    }
}

/// Takes the change of timeline that a record says; true when there is one.
pub(super) fn follow(replayed: &mut u32, lineage: &Lineage, said: Said) -> Result<bool, Reason> {
    let Said { now, from } = said;
    if now == *replayed {
        return Ok(false);
    }
    if from != *replayed || now < *replayed || !lineage.contains(now) {
        return Err(Reason::TimelineSwitch { from, to: now, replayed: *replayed });
    }
    *replayed = now;
    Ok(true)
}

/// The end of reading at a record that is whole, and says what cannot be.
pub(super) fn end_at(record: &Record<'_>, segment_size: u64, reached: u64, reason: Reason) -> End {
    End {
        lsn: reached,
        at: record.start,
        segment: segment::name(record.file_timeline, record.start, segment_size),
        offset: (record.start % segment_size) as u32,
        cuts_a_record: false,
        reason,
    }
}
