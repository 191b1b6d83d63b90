//! The WAL: its pages and records ([`pgdrill_ondisk::wal`]), and what is told of an archive of it
//! ([`pgdrill_backup::wal`]).

mod archive;
mod decoded;
mod mend;
mod told;

use std::collections::BTreeSet;

use pgdrill_ondisk::segment::{self, ArchiveFile};
use pgdrill_ondisk::wal::{Beginning, End, Reason, Record, Segments, Standing, Walker};

use self::archive::{Archive, SIZE};
use crate::chance::Chance;

/// Parts in which a segment is read: whole pages, however large these are.
const PARTS: [usize; 3] = [64 << 10, 256 << 10, 512 << 10];

/// The beginnings of some WAL segments of 1 MB, one behind the other: bytes of any length. A page with a long header
/// whose address is that of another segment begins one; what is not there of a segment is zero.
/// `src/backend/access/transam/xlogreader.c`.
///
/// # Panics
///
/// Where a record lies behind the data, reading depends on how the WAL is cut into parts or on where it begins, an
/// end lies before what was read, or what is told of the WAL does not fit its records.
pub fn wal(bytes: &[u8]) {
    let mut chance = Chance::of(bytes);
    let archive = Archive::of(bytes);
    check(&archive, &mut chance);
    let (mended, starts) = mend::mended(&archive);
    let (records, end) = check(&mended, &mut chance);
    let read: Vec<u64> = records.iter().map(|record| record.start).collect();
    assert_eq!(starts.get(..read.len()), Some(read.as_slice()), "records that are not there");
    let may_stop = matches!(
        end.reason,
        Reason::ResourceManager { .. } | Reason::Overwrite { .. } | Reason::Undecodable { .. }
    );
    assert!(may_stop || read.len() == starts.len(), "{} of {} records: {end}", read.len(), starts.len());
}

/// What was read of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    start: u64,
    end: u64,
    length: u32,
    crc: u32,
    timeline: u32,
    major: u8,
}

impl Seen {
    fn of(record: &Record<'_>) -> Self {
        Self {
            start: record.start,
            end: record.end,
            length: record.length(),
            crc: crc32c::crc32c(record.bytes()),
            timeline: record.file_timeline,
            major: record.major,
        }
    }
}

type Walked = (Vec<Seen>, End);

/// Reads on to the end.
fn walk(walker: &mut Walker<impl Segments>, mut each: impl FnMut(&Record<'_>)) -> Walked {
    let mut seen = Vec::new();
    loop {
        match walker.next() {
            Ok(record) => {
                each(&record);
                seen.push(Seen::of(&record));
            }
            Err(end) => return (seen, end),
        }
    }
}

/// Reads from the beginning of a segment.
fn from(archive: Archive, number: u64) -> (Walked, Beginning) {
    let lineage = archive.lineage();
    match Walker::at_segment(archive, lineage, number) {
        Ok(mut walker) => (walk(&mut walker, |_| {}), walker.beginning().clone()),
        Err(end) => ((Vec::new(), end), Beginning::default()),
    }
}

/// Asks all of an archive. Gives what was read of it.
fn check(archive: &Archive, chance: &mut Chance) -> Walked {
    let first = archive.first();
    let lineage = archive.lineage();
    let mut walker = match Walker::at_segment(archive.clone(), lineage.clone(), first) {
        Ok(walker) => walker,
        Err(end) => {
            is_there(&end, archive, first * u64::from(SIZE));
            return (Vec::new(), end);
        }
    };
    let begin = walker.position();
    let mut standings = vec![walker.standing()];
    let mut seen = Vec::new();
    let end = loop {
        match walker.next() {
            Ok(record) => {
                decoded::check(&record);
                seen.push(Seen::of(&record));
            }
            Err(end) => break end,
        }
        standings.push(walker.standing());
    };
    assert_eq!(walker.next().map(|record| record.start), Err(end.clone()), "the end does not stay");
    in_order(&seen, begin, archive);
    is_there(&end, archive, begin);
    assert_eq!(end.lsn, seen.last().map_or(begin, |last| last.end));
    let walked = (seen, end);
    let archive = archive.in_parts(PARTS[chance.below(PARTS.len())]);
    // Each of these reads all of it once more; together they would take too long.
    match chance.below(5) {
        0 => assert_eq!(from(archive, first).0, walked, "in parts"),
        1 => resumed(&archive, &standings, &walked, chance),
        2 => continued(&archive, &standings, &walked),
        3 => found(&archive, &walked, chance),
        _ => told::check(&archive, begin, &walked, chance),
    }
    walked
}

fn in_order(seen: &[Seen], begin: u64, archive: &Archive) {
    let mut position = begin;
    for record in seen {
        assert!(record.start >= position && record.start.is_multiple_of(8), "{record:?}");
        assert!(record.end - record.start >= u64::from(record.length).next_multiple_of(8), "{record:?}");
        assert!(archive.holds(record.start), "{record:?} begins behind the data");
        assert!(record.length >= 24, "{record:?}");
        position = record.end;
    }
}

/// Whether an end is a place of the WAL that was read, or the first behind it.
fn is_there(end: &End, archive: &Archive, begin: u64) {
    let size = u64::from(SIZE);
    assert!(end.at >= begin / size * size && end.at <= (archive.last() + 1) * size, "{end}");
    assert!(end.lsn >= begin && end.lsn <= (archive.last() + 1) * size, "{end}");
    assert_eq!(u64::from(end.offset), end.at % size);
    let named = segment::parse(&end.segment, size);
    assert!(matches!(named, Some(ArchiveFile::Segment { number, .. }) if number == end.at / size), "{end}");
    assert!(!end.to_string().is_empty() && end.postgres_says().is_none_or(|said| !said.is_empty()));
    // The WAL of no server ends within a record, or with anything but zeros.
    if end.is_clean() {
        assert!(!end.cuts_a_record && matches!(end.reason, Reason::Zeros { .. } | Reason::Missing { .. }));
    }
}

/// Who goes on where another one stood reads what that would have read.
fn resumed(archive: &Archive, standings: &[Standing], walked: &Walked, chance: &mut Chance) {
    let at = chance.below(standings.len());
    let mut walker = Walker::resume(archive.clone(), archive.lineage(), &standings[at]);
    let (rest, end) = walk(&mut walker, |_| {});
    assert_eq!(rest, walked.0[at..], "resumed at {:X}", standings[at].position);
    assert_eq!(end, walked.1, "resumed at {:X}", standings[at].position);
}

/// Where a walk that began in a later segment is said to be a continuation, it is.
fn continued(archive: &Archive, standings: &[Standing], walked: &Walked) {
    let numbers: BTreeSet<u64> = archive.segments.keys().map(|(_, number)| *number).collect();
    for number in numbers.into_iter().skip(1) {
        let (later, beginning) = from(archive.clone(), number);
        for (at, standing) in standings.iter().enumerate() {
            if standing.is_continued_by(&beginning) {
                assert_eq!(later, (walked.0[at..].to_vec(), walked.1.clone()), "from segment {number:X}");
            }
        }
    }
}

/// The first record behind a position is that which a walk from the beginning comes by first.
fn found(archive: &Archive, walked: &Walked, chance: &mut Chance) {
    let at = chance.below(walked.0.len());
    let Some(record) = walked.0.get(at) else { return };
    // On an earlier page there may be nothing, behind a switch of segments.
    let page = record.start - record.start % segment::PAGE as u64;
    let before = at.checked_sub(1).map_or(0, |before| walked.0[before].start + 1);
    let position = record.start - chance.below((record.start - page.max(before)) as usize + 1) as u64;
    let mut walker = match Walker::find(archive.clone(), archive.lineage(), position) {
        Ok(walker) => walker,
        Err(end) => {
            assert!(walked.0.is_empty(), "no record from {position:X} on: {end}");
            return;
        }
    };
    let (rest, _) = walk(&mut walker, |_| {});
    // It has not seen the pages before, and so can go further.
    assert_eq!(rest.get(..walked.0.len() - at), Some(&walked.0[at..]), "from {position:X} on");
}
