//! Where reading begins: at a record, or at the first one behind a position.

use pgdrill_ondisk::wal::{Lineage, Reason, Segments, Walker, lsn};
use rstest::rstest;

use crate::archive::{archive, walk};

#[rstest]
fn every_record_after_a_position_is_found_from_any_position(#[values(13, 18)] major: u32) {
    let mut records = Vec::new();
    walk(&mut archive(major).walker(1), |record| records.push((record.start, record.length())));
    let archive = archive(major);
    let mut tried = 0;
    for (step, (start, length)) in records.iter().enumerate().skip(1) {
        let (before, _) = records[step - 1];
        // Within a long record, on each of its pages; within a short one, at its bytes in turn. Not behind a switch of
        // segments: there are no pages.
        let within = (0..u64::from(*length)).step_by(8191).map(|byte| start + byte);
        for position in within.chain([before + 1 + step as u64 % 23]) {
            let expected = records[records.partition_point(|(start, _)| *start < position)..].first();
            let mut walker = Walker::find(archive.clone(), Lineage::single(1), position).unwrap();
            let first = walker.next().map(|record| record.start).ok();
            assert_eq!(first.map(lsn), expected.map(|(start, _)| lsn(*start)), "from {}", lsn(position));
            tried += 1;
        }
    }
    assert!(tried > 400, "{tried}");
}

#[test]
fn reading_begins_only_where_a_record_does() {
    let archive = archive(15);
    let mut starts = Vec::new();
    walk(&mut archive.clone().walker(1), |record| starts.push((record.start, record.end)));
    let from = |position| {
        let mut walker = Walker::new(archive.clone(), Lineage::single(1), position);
        walker.next().map(|record| record.start).map_err(|end| end.reason)
    };
    assert_eq!(from(starts[5].0), Ok(starts[5].0));
    assert_eq!(from(starts[0].0 - 40), Ok(starts[0].0));
    assert!(matches!(from(starts[0].0 - 16), Err(Reason::NoRecordStart)));
    assert!(matches!(from(starts[5].0 + 4), Err(Reason::NoRecordStart)));
    assert!(from(starts[5].0 + 8).is_err());
}

/// The record begins in a segment of the first timeline, and ends in one that the second serves.
#[rstest]
fn reading_begins_at_a_record_that_crosses_to_another_timeline(#[values(13, 15, 17, 18)] major: u32) {
    let archive = archive(major);
    let size = u64::from(archive.segment_size());
    let (lineage, begin) = (archive.lineage(2), archive.begin(1));
    let left = lineage.left_at(1).unwrap() / size;
    let mut crossing = None;
    walk(&mut Walker::find(archive.clone(), lineage.clone(), begin).unwrap(), |record| {
        if record.start / size < left && (record.end - 1) / size == left {
            crossing = Some(record.start);
        }
    });
    let crossing = crossing.unwrap();
    let mut walker = Walker::find(archive, lineage, crossing).unwrap();
    assert_eq!(walker.next().unwrap().start, crossing);
}
