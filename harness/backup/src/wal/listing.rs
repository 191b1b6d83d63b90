//! The transactions of an archive, one by one, for whoever looks for the moment before an accident.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::{End, Lineage, Reason, Segments, Walker};
use serde::Serialize;

use super::open::Open;
use super::replayed;
use super::run::Ending;
use super::store::Gradual;
use super::survey::{first_segment, newest};
use super::tally::Commit;
use super::timelines::Timelines;
use super::transaction::Transaction;
use super::{Files, Store, files};
use crate::Unreadable;

/// Which transactions are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// None that was committed before.
    pub from: Option<Bound>,
    /// None that was committed behind.
    pub to: Option<Bound>,
    /// Along this timeline; none for the newest.
    pub timeline: Option<u32>,
    /// At most so many of each list, the last ones.
    pub limit: usize,
    /// From how many rows on, removed or replaced in one relation, a transaction is notable.
    pub many: u64,
}

/// A bound of what is wanted, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A position.
    Position(u64),
    /// Microseconds since 1970.
    Time(i64),
}

/// The transactions of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The directories.
    pub directories: Vec<String>,
    /// Their files, by name.
    pub files: Files,
    /// Bytes per segment.
    pub segment_size: u32,
    /// The timeline that is followed.
    pub timeline: u32,
    /// The cluster whose WAL it is.
    pub system_identifier: Option<u64>,
    /// The major version that wrote it.
    pub major: Option<u8>,
    /// The first record that was read; none where there was none.
    pub begin: Option<Lsn>,
    /// The end of the last one.
    pub end: Option<Lsn>,
    /// Commits between the bounds.
    pub commits: u64,
    /// The last commit that was read, whatever the bounds are.
    pub last_commit: Option<Commit>,
    /// How many transactions between the bounds are notable.
    pub notable_count: u64,
    /// The last of these.
    pub notable: Vec<Transaction>,
    /// The last transactions between the bounds.
    pub transactions: Vec<Transaction>,
    /// Whether reading ended at the upper bound. What is behind was not looked at.
    pub to_the_bound: bool,
    /// How the WAL ends, or breaks; none where it was not read that far.
    pub ends: Option<Ending>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum Unlisted {
    /// A directory or a history file that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// There is nothing of a timeline.
    #[error("there is no WAL of timeline {0}")]
    NoTimeline(u32),
    /// There is no segment.
    #[error("there is no WAL segment")]
    Empty(Box<Files>),
}

/// Lists the transactions of archive directories. `progress` is told the bytes that are done.
///
/// # Errors
///
/// Where nothing can be listed at all. WAL that is damaged is no error: the list goes up to there.
pub fn list(directories: &[&Path], wanted: &Wanted, progress: &dyn Fn(u64)) -> Result<Listing, Unlisted> {
    let store = Store::open(directories)?.with_compressed();
    let files = files::look(&store, store.segment_size())?;
    let all: BTreeSet<(u32, u64)> = store.segments()?.into_iter().collect();
    if all.is_empty() {
        return Err(Unlisted::Empty(Box::new(files)));
    }
    let histories = Timelines::of(&store)?;
    let size = u64::from(store.segment_size());
    let lineage = match wanted.timeline {
        Some(timeline) if !all.iter().any(|(of, _)| *of == timeline) => {
            return Err(Unlisted::NoTimeline(timeline));
        }
        Some(timeline) => histories.lineage(timeline)?,
        None => newest(&histories, &all, None).0.unwrap_or_else(|| Lineage::single(1)),
    };
    let Some(first) = beginning(&all, &lineage, size, wanted.from) else {
        return Err(Unlisted::NoTimeline(lineage.timeline()));
    };
    let mut listing = Listing {
        directories: directories.iter().map(|directory| directory.display().to_string()).collect(),
        files,
        segment_size: store.segment_size(),
        timeline: lineage.timeline(),
        system_identifier: None,
        major: None,
        begin: None,
        end: None,
        commits: 0,
        last_commit: None,
        notable_count: 0,
        notable: Vec::new(),
        transactions: Vec::new(),
        to_the_bound: false,
        ends: None,
    };
    let end = listing.read(&store, &lineage, first, wanted, progress);
    listing.to_the_bound = end.is_none();
    listing.ends = end.map(|end| {
        let mut ending = Ending::of(&end);
        // Segments that wait for their use in a pg_wal are no more WAL.
        let waits = listing.files.pg_wal && ending.is_of_a_waiting_segment();
        let more = !waits && first_segment(&all, &lineage, size, end.at / size + 1).is_some();
        ending.settle(more, listing.files.pg_wal);
        ending
    });
    Ok(listing)
}

/// The segment to begin with: the oldest, or that which stands without a gap before the position that is asked for, so
/// that transactions which began earlier are known whole.
fn beginning(all: &BTreeSet<(u32, u64)>, lineage: &Lineage, size: u64, from: Option<Bound>) -> Option<u64> {
    let there = |number: &u64| lineage.candidates(*number, size, 0).any(|of| all.contains(&(of, *number)));
    let Some(Bound::Position(position)) = from else { return first_segment(all, lineage, size, 0) };
    let number = position / size;
    if !there(&number) {
        return first_segment(all, lineage, size, number);
    }
    let before = |number: &u64| number.checked_sub(1).filter(there);
    std::iter::successors(Some(number), before).last()
}

impl Listing {
    /// Reads to the upper bound, or to the end of the WAL, which is then told.
    fn read(
        &mut self,
        store: &Store,
        lineage: &Lineage,
        first: u64,
        wanted: &Wanted,
        progress: &dyn Fn(u64),
    ) -> Option<End> {
        let size = u64::from(store.segment_size());
        let mut walker = match Walker::at_segment(Gradual::of(store), lineage.clone(), first) {
            Ok(walker) => walker,
            Err(end) => return Some(end),
        };
        let begin = walker.position();
        let mut replayed = lineage.timeline_at(begin).unwrap_or(lineage.timeline());
        let (mut reached, mut segment) = (begin, first);
        let (mut open, mut lists) = (Open::default(), Lists::new(wanted));
        let end = loop {
            let record = match walker.next() {
                Ok(record) => record,
                Err(end) => break Some(end),
            };
            if matches!(wanted.to, Some(Bound::Position(to)) if record.start > to) {
                break None;
            }
            let undecodable =
                |error: pgdrill_ondisk::Malformed| Reason::Undecodable { what: error.to_string() };
            let taken = record.content().map_err(undecodable).and_then(|content| {
                if let Some(said) = replayed::said(&content) {
                    replayed::follow(&mut replayed, lineage, said)?;
                }
                open.take(&record, &content).map_err(undecodable)
            });
            match taken {
                Ok(None) => {}
                Ok(Some(transaction)) => lists.take(transaction),
                Err(reason) => break Some(replayed::end_at(&record, size, reached, reason)),
            }
            self.begin.get_or_insert(Lsn(record.start));
            self.end = Some(Lsn(record.end));
            self.major = Some(record.major);
            reached = record.end;
            if record.end / size != segment {
                segment = record.end / size;
                progress((segment - first) * size);
            }
        };
        self.system_identifier = walker.identity().map(|identity| identity.system_identifier);
        (self.commits, self.notable_count, self.last_commit) =
            (lists.commits, lists.notable_count, lists.last);
        (self.notable, self.transactions) = (lists.notable.into(), lists.transactions.into());
        end
    }
}

/// Lists that keep only their last entries.
struct Lists<'a> {
    wanted: &'a Wanted,
    commits: u64,
    last: Option<Commit>,
    notable_count: u64,
    notable: VecDeque<Transaction>,
    transactions: VecDeque<Transaction>,
}

impl<'a> Lists<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        let (notable, transactions) = (VecDeque::new(), VecDeque::new());
        Self { wanted, commits: 0, last: None, notable_count: 0, notable, transactions }
    }

    fn take(&mut self, transaction: Transaction) {
        self.last = Some(transaction.commit.clone());
        let of = &transaction.commit;
        let below = self.wanted.from.is_some_and(|from| match from {
            Bound::Position(position) => of.lsn.0 < position,
            Bound::Time(time) => of.time_us < time,
        });
        let above = matches!(self.wanted.to, Some(Bound::Time(time)) if of.time_us > time);
        if below || above {
            return;
        }
        self.commits += 1;
        if transaction.is_notable(self.wanted.many) {
            self.notable_count += 1;
            keep(&mut self.notable, transaction.clone(), self.wanted.limit);
        }
        keep(&mut self.transactions, transaction, self.wanted.limit);
    }
}

fn keep(list: &mut VecDeque<Transaction>, transaction: Transaction, limit: usize) {
    list.push_back(transaction);
    if list.len() > limit {
        list.pop_front();
    }
}
