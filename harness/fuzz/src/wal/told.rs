//! What is told of an archive: the chronicle of it, where a recovery would stop, and the list of its transactions.
//! All of it must fit the records that were read.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use pgdrill_backup::wal::Chronicle;
use pgdrill_backup::wal::chronicle::What;
use pgdrill_backup::wal::listing::{self, Listing, Wanted};
use pgdrill_backup::wal::target::{self, Consistent, Stop, Target};
use pgdrill_backup::wal::timelines::Place;
use pgdrill_ondisk::segment;
use pgdrill_ondisk::wal::lsn;

use super::Walked;
use super::archive::{Archive, SIZE};
use crate::chance::Chance;

/// No list is longer than this.
const LIMIT: usize = 5;

/// Asks what is told of an archive that was read from `begin` on.
///
/// # Panics
///
/// Where events lie elsewhere than records, do not ascend, or are counted differently.
pub fn check(archive: &Archive, begin: u64, walked: &Walked, chance: &mut Chance) {
    let lineage = archive.lineage();
    let timeline = lineage.timeline_at(begin).unwrap_or(lineage.timeline());
    let close = walked.0.get(chance.below(walked.0.len())).map_or(begin, |record| record.start);
    let place = Place { timeline, position: begin };
    let chronicle = Chronicle::read(archive.clone(), place, lineage, &[close]);
    assert!(chronicle.reached() <= walked.1.lsn, "{} was not read", lsn(chronicle.reached()));
    assert!(chronicle.len() <= walked.0.len());
    let mut before = 0;
    for (number, event) in chronicle.events().enumerate() {
        assert!(event.start >= before && event.end > event.start, "{event:?}");
        let record = walked.0.binary_search_by_key(&event.start, |record| record.start);
        assert_eq!(record.map(|at| walked.0[at].end), Ok(event.end), "{event:?} is no record");
        assert_eq!(chronicle.get(number), Some(event));
        assert_eq!(chronicle.first_from(event.start), number);
        before = event.end;
    }
    assert!(chronicle.near(close).is_some());
    stops(&chronicle, close, chance);
    if archive.segments.keys().all(|(of, _)| *of == timeline) && chance.is_one_of(8) {
        listed(archive, &chronicle, chance);
    }
}

/// Wherever a recovery stops, it has replayed the events before.
fn stops(chronicle: &Chronicle, close: u64, chance: &mut Chance) {
    let event = chronicle.get(chance.below(chronicle.len()));
    let inclusive = chance.is_one_of(2);
    let (mut xid, mut name, mut start) = (3, String::new(), 0);
    match event.map(|event| event.what) {
        Some(What::Commit(finished) | What::Abort(finished)) => xid = finished.xid,
        Some(What::RestorePoint { name: of }) => of.clone_into(&mut name),
        Some(What::BackupEnd { start: of }) => start = of,
        _ => {}
    }
    let micros = event.and_then(|event| event.time).unwrap_or_default();
    let targets = [
        Target::Immediate,
        Target::Latest,
        Target::Name(name),
        Target::Time { micros, inclusive },
        Target::Xid { xid, inclusive },
        Target::Lsn { position: close, inclusive },
    ];
    for consistent in [Consistent::AtBackupEnd { start }, Consistent::At(close)] {
        for target in &targets {
            let (Stop::At(stopped) | Stop::TooEarly { stopped, .. }) =
                target::stop(chronicle, target, consistent)
            else {
                continue;
            };
            assert!(stopped.events <= chronicle.len(), "{target:?}: {stopped:?}");
            let commits =
                chronicle.events().take(stopped.events).filter(|event| is_commit(&event.what)).count();
            assert_eq!(stopped.commits, commits as u64, "{target:?}: {stopped:?}");
            assert!(!stopped.exact || stopped.replayed_to <= chronicle.reached(), "{target:?}: {stopped:?}");
        }
    }
}

fn is_commit(what: &What<'_>) -> bool {
    matches!(what, What::Commit(_))
}

fn listed(archive: &Archive, chronicle: &Chronicle, chance: &mut Chance) {
    let directory = tempfile::tempdir();
    let listing = directory.and_then(|directory| {
        for ((timeline, number), pages) in archive.segments.iter() {
            let name = segment::name(*timeline, number * u64::from(SIZE), SIZE.into());
            put(&directory.path().join(name), pages, archive.mark(pages.len()))?;
        }
        let many = chance.below(3) as u64;
        let wanted = Wanted { from: None, to: None, timeline: None, limit: LIMIT, many };
        listing::list(&[directory.path()], &wanted, &|_| {}).map_err(io::Error::other)
    });
    let listing: Listing = match listing {
        Ok(listing) => listing,
        Err(error) => {
            assert!(archive.segments.is_empty(), "{error}");
            return;
        }
    };
    assert!(listing.transactions.len() <= LIMIT && listing.notable.len() <= LIMIT);
    assert!(listing.notable_count <= listing.commits);
    // A segment that says another size is none of 1 MB.
    if listing.segment_size != SIZE {
        return;
    }
    let commits = chronicle.events().filter(|event| is_commit(&event.what)).count() as u64;
    // It looks into more of each record, and so can end earlier.
    assert!(listing.commits <= commits, "{} commits are listed, and there are {commits}", listing.commits);
    let ends = listing.end.map_or(chronicle.begin().position, |end| end.0);
    if ends == chronicle.reached() {
        assert_eq!(listing.commits, commits);
    }
    for transaction in &listing.transactions {
        let (first, stop) = (transaction.first.0, transaction.stop_before.0);
        assert!(first <= stop && stop <= transaction.commit.lsn.0, "{transaction:?}");
    }
}

/// Writes a segment: what is not there of it takes no place on disk.
fn put(path: &Path, pages: &[u8], mark: Option<usize>) -> io::Result<()> {
    let file = fs::File::create(path)?;
    file.set_len(SIZE.into())?;
    file.write_all_at(pages, 0)?;
    mark.map_or(Ok(()), |mark| file.write_all_at(&[1], mark as u64))
}
