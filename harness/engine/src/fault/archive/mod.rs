//! Faults of the WAL archive, one file each, and the table of them.

use pgdrill_model::fault::Fault;

use super::stored::{Done, Stored, not_here};

mod archive_forbidden;
mod archive_littered;
mod archive_not_mounted;
mod foreign_timeline;
mod history_garbage;
mod history_missing;
mod old_segment_damaged;
mod record_bit_flip;
mod segment_compressed;
mod segment_empty;
mod segment_missing;
mod segment_of_another;
mod segment_of_neighbour;
mod segment_partial;
mod segment_truncated;
mod segment_zeroed;

/// Makes one; says what was done.
pub(super) fn run(fault: Fault, stored: &mut Stored) -> Done {
    match fault {
        Fault::SegmentMissing => segment_missing::run(stored),
        Fault::SegmentZeroed => segment_zeroed::run(stored),
        Fault::SegmentTruncated => segment_truncated::run(stored),
        Fault::SegmentEmpty => segment_empty::run(stored),
        Fault::RecordBitFlip => record_bit_flip::run(stored),
        Fault::SegmentOfNeighbour => segment_of_neighbour::run(stored),
        Fault::SegmentOfAnother => segment_of_another::run(stored),
        Fault::SegmentPartial => segment_partial::run(stored),
        Fault::SegmentCompressed => segment_compressed::run(stored),
        Fault::HistoryGarbage => history_garbage::run(stored),
        Fault::HistoryMissing => history_missing::run(stored),
        Fault::ForeignTimeline => foreign_timeline::run(stored),
        Fault::ArchiveNotMounted => archive_not_mounted::run(stored),
        Fault::ArchiveForbidden => archive_forbidden::run(stored),
        Fault::OldSegmentDamaged => old_segment_damaged::run(stored),
        Fault::ArchiveLittered => archive_littered::run(stored),
        _ => not_here("it is no fault of an archive"),
    }
}
