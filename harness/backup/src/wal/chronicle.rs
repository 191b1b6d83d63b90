//! What happened in the WAL, from where recovery begins to where the WAL ends: commits, aborts, restore points and what
//! else decides where recovery stops. Kept in about 40 bytes each, so that ten million commits fit in memory.

mod reading;

use pgdrill_ondisk::wal::page::Identity;
use pgdrill_ondisk::wal::{End, Lineage, Parameters, Segments, Walker};

use self::reading::Reading;
use super::replayed;
use super::timelines::Place;

/// Events in one piece of memory: a list that grows without being moved never needs twice its size.
const CHUNK: usize = 1 << 16;

/// No further content.
const NOTHING: u32 = u32::MAX;

/// What happened in the WAL, in order.
#[derive(Clone, Debug)]
pub struct Chronicle {
    entries: Vec<Vec<Entry>>,
    timelines: Vec<u32>,
    /// Numbers of subtransactions: how many, then the numbers, again and again.
    subxids: Vec<u32>,
    extras: Vec<Extra>,
    begin: Place,
    last: Option<Last>,
    near: Vec<Near>,
    strayed: Option<Strayed>,
    identity: Option<Identity>,
    major: u8,
    end: End,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Position of its record.
    pub start: u64,
    /// End of its record, where PostgreSQL looks for the next.
    pub end: u64,
    /// Position of the record before it, of whatever kind.
    pub previous: u64,
    /// End of the record before it: how far WAL was replayed when recovery stops before this one.
    pub replayed_before: u64,
    /// The timeline that is replayed with it. A change of timeline belongs to the new one.
    pub timeline: u32,
    /// When, in microseconds since 1970; none where the record does not tell.
    pub time: Option<i64>,
    /// What.
    pub what: What<'a>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What<'a> {
    /// A transaction was committed.
    Commit(Finished<'a>),
    /// A transaction was rolled back.
    Abort(Finished<'a>),
    /// A transaction was prepared.
    Prepare(Finished<'a>),
    /// A restore point.
    RestorePoint {
        /// Its name.
        name: &'a str,
    },
    /// A base backup ended.
    BackupEnd {
        /// Where it began: the position in its label.
        start: u64,
    },
    /// The server was shut down, or ended a recovery.
    Shutdown {
        /// The timeline before, when it began another one.
        from: Option<u32>,
    },
    /// A recovery ended without a checkpoint, and began another timeline.
    EndOfRecovery {
        /// The timeline before.
        from: u32,
    },
    /// Settings that a recovering server must not have smaller changed.
    Parameters(Parameters),
    /// A tablespace was made.
    CreateTablespace {
        /// Its OID.
        oid: u32,
        /// Its directory; empty for one within the data directory.
        path: &'a str,
    },
    /// A tablespace was dropped.
    DropTablespace {
        /// Its OID.
        oid: u32,
    },
    /// A record that was not written to its end before a crash was left out.
    Overwritten {
        /// That record.
        record: u64,
    },
}

/// The end of a transaction, or its preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished<'a> {
    /// The transaction.
    pub xid: u32,
    /// Its subtransactions.
    pub subxids: &'a [u32],
    /// The name under which it was prepared; none when it was not. Empty when it was prepared before the WAL that was
    /// read.
    pub gid: Option<&'a str>,
}

/// How far the WAL reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Position of the last record.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// Its resource manager.
    pub rmgr: u8,
    /// Its timeline.
    pub timeline: u32,
}

/// The records on both sides of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// The position.
    pub position: u64,
    /// The last record that starts before it, with its end; none when the first record read starts later.
    pub before: Option<(u64, u64)>,
    /// Resource manager of that record.
    pub before_rmgr: u8,
    /// The first record that starts at the position or behind it, with its end; none when the WAL does not reach it.
    pub from: Option<(u64, u64)>,
}

/// Where replay leaves the lineage that it should follow: the files of a timeline are missing, and its parent's are read
/// on instead, as PostgreSQL does (`XLogFileReadAnyTLI`, `src/backend/access/transam/xlogrecovery.c`). What follows never
/// happened on the timeline that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strayed {
    /// The first record that should not be replayed.
    pub at: u64,
    /// The timeline whose file it was read from.
    pub timeline: u32,
    /// The timeline whose record it should be.
    pub expected: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    time: i64,
    length: u32,
    since_previous: u32,
    gap: u32,
    xid: u32,
    extra: u32,
    timeline: u16,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Commit,
    Abort,
    /// With an [`Extra`].
    Other,
}

#[derive(Clone, Debug)]
enum Extra {
    Prepare { gid: Box<str>, subxids: u32 },
    CommitPrepared { gid: Box<str>, subxids: u32 },
    AbortPrepared { gid: Box<str>, subxids: u32 },
    RestorePoint(Box<str>),
    BackupEnd(u64),
    Shutdown(Option<u32>),
    EndOfRecovery(u32),
    Parameters(Parameters),
    CreateTablespace(Box<str>),
    DropTablespace,
    Overwritten(u64),
}

impl Chronicle {
    /// Reads the WAL of `lineage` from `begin`, the position from which a backup is replayed, to its end. `closely`:
    /// positions whose neighbouring records are kept, so that [`super::target::stop`] can tell for these exactly to
    /// which byte replay goes.
    ///
    /// It never fails: that the WAL ends, and why, is what it tells ([`Chronicle::end`]).
    pub fn read(segments: impl Segments, begin: Place, lineage: Lineage, closely: &[u64]) -> Self {
        let mut reading = Reading::new(begin, &lineage, closely);
        let segment_size = u64::from(segments.segment_size());
        let mut walker = Walker::new(segments, lineage, begin.position);
        let end = loop {
            match walker.next() {
                Ok(record) => {
                    if let Err(reason) = reading.take(&record) {
                        break replayed::end_at(&record, segment_size, reading.chronicle.reached(), reason);
                    }
                }
                Err(end) => break end,
            }
        };
        reading.chronicle.identity = walker.identity();
        reading.finish(end)
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |last| (self.entries.len() - 1) * CHUNK + last.len())
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All events, in order.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = Event<'_>> {
        self.entries.iter().flatten().map(|entry| self.event(entry))
    }

    /// The event of a number; none behind the last.
    pub fn get(&self, number: usize) -> Option<Event<'_>> {
        self.entries.get(number / CHUNK)?.get(number % CHUNK).map(|entry| self.event(entry))
    }

    /// The number of the first event whose record starts at `position` or behind it.
    pub fn first_from(&self, position: u64) -> usize {
        let chunk =
            self.entries.partition_point(|chunk| chunk.last().is_some_and(|entry| entry.start < position));
        let within =
            self.entries.get(chunk).map_or(0, |chunk| chunk.partition_point(|entry| entry.start < position));
        (chunk * CHUNK + within).min(self.len())
    }

    /// The last commit, in the order of the WAL; none when there is not one.
    pub fn last_commit(&self) -> Option<Event<'_>> {
        self.events().rev().find(|event| matches!(event.what, What::Commit(_)))
    }

    /// Where reading began.
    pub fn begin(&self) -> Place {
        self.begin
    }

    /// Where and why the WAL ends. An end for the reason [`Unreadable`](pgdrill_ondisk::wal::Reason::Unreadable) says
    /// nothing about the WAL.
    pub fn end(&self) -> &End {
        &self.end
    }

    /// The last record; none when there was not one.
    pub fn last(&self) -> Option<Last> {
        self.last
    }

    /// How far replay of everything would go: the end of the last record.
    pub fn reached(&self) -> u64 {
        self.last.map_or(self.begin.position, |last| last.end)
    }

    /// The records around a position that was looked at closely.
    pub fn near(&self, position: u64) -> Option<Near> {
        self.near.iter().find(|near| near.position == position).copied()
    }

    /// Where replay leaves the lineage that it should follow; none where it does not.
    pub fn strayed(&self) -> Option<Strayed> {
        self.strayed
    }

    /// Whose WAL it is; none when not even its first segment could be read.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// The major version that wrote it; 0 when there is no record.
    pub fn major(&self) -> u8 {
        self.major
    }

    fn subxids(&self, at: u32) -> &[u32] {
        let Some((count, rest)) = self.subxids.get(at as usize..).and_then(<[u32]>::split_first) else {
            return &[];
        };
        rest.get(..*count as usize).unwrap_or_default()
    }

    fn event(&self, entry: &Entry) -> Event<'_> {
        let plain = || Finished { xid: entry.xid, subxids: self.subxids(entry.extra), gid: None };
        let prepared =
            |gid, subxids: &u32| Finished { xid: entry.xid, subxids: self.subxids(*subxids), gid: Some(gid) };
        let what = match (entry.kind, self.extras.get(entry.extra as usize)) {
            (Kind::Abort, _) => What::Abort(plain()),
            // The others always have an extra; a commit may share its number with one, and has none.
            (Kind::Commit, _) | (Kind::Other, None) => What::Commit(plain()),
            (Kind::Other, Some(extra)) => match extra {
                Extra::Prepare { gid, subxids } => What::Prepare(prepared(gid, subxids)),
                Extra::CommitPrepared { gid, subxids } => What::Commit(prepared(gid, subxids)),
                Extra::AbortPrepared { gid, subxids } => What::Abort(prepared(gid, subxids)),
                Extra::RestorePoint(name) => What::RestorePoint { name },
                Extra::BackupEnd(start) => What::BackupEnd { start: *start },
                Extra::Shutdown(from) => What::Shutdown { from: *from },
                Extra::EndOfRecovery(from) => What::EndOfRecovery { from: *from },
                Extra::Parameters(parameters) => What::Parameters(*parameters),
                Extra::CreateTablespace(path) => What::CreateTablespace { oid: entry.xid, path },
                Extra::DropTablespace => What::DropTablespace { oid: entry.xid },
                Extra::Overwritten(record) => What::Overwritten { record: *record },
            },
        };
        Event {
            start: entry.start,
            end: entry.start + u64::from(entry.length),
            previous: entry.start.saturating_sub(entry.since_previous.into()),
            replayed_before: entry.start - u64::from(entry.gap),
            timeline: self.timelines.get(usize::from(entry.timeline)).copied().unwrap_or(self.begin.timeline),
            time: (entry.time != i64::MIN).then_some(entry.time),
            what,
        }
    }
}

#[cfg(test)]
impl Chronicle {
    /// A chronicle of these events, each with its position, transaction and time. Every record takes 0x30 bytes, and
    /// directly before each event there is one of 0x20 bytes that is no event.
    pub(super) fn sketch(events: &[(u64, u32, i64, Sketch<'_>)]) -> Self {
        let begin = Place { timeline: 1, position: events[0].0 - 0x20 };
        let mut chronicle = Reading::new(begin, &Lineage::single(1), &[]).chronicle;
        for (start, xid, time, what) in events {
            let gid = || "gid".into();
            let extra = match what {
                Sketch::Commit | Sketch::Abort => None,
                Sketch::Prepare => Some(Extra::Prepare { gid: gid(), subxids: NOTHING }),
                Sketch::CommitPrepared => Some(Extra::CommitPrepared { gid: gid(), subxids: NOTHING }),
                Sketch::AbortPrepared => Some(Extra::AbortPrepared { gid: gid(), subxids: NOTHING }),
                Sketch::Point(name) => Some(Extra::RestorePoint((*name).into())),
                Sketch::BackupEnd(start) => Some(Extra::BackupEnd(*start)),
            };
            let kind = match what {
                Sketch::Commit => Kind::Commit,
                Sketch::Abort => Kind::Abort,
                _ => Kind::Other,
            };
            let at = chronicle.extras.len() as u32;
            let entry = Entry {
                start: *start,
                time: *time,
                length: 0x30,
                since_previous: 0x20,
                gap: 0,
                xid: *xid,
                extra: if extra.is_some() { at } else { NOTHING },
                timeline: 0,
                kind,
            };
            chronicle.extras.extend(extra);
            if chronicle.entries.is_empty() {
                chronicle.entries.push(Vec::new());
            }
            chronicle.entries[0].push(entry);
            let transaction = !matches!(what, Sketch::Point(_) | Sketch::BackupEnd(_));
            let rmgr = if transaction { pgdrill_ondisk::wal::rmgr::TRANSACTION } else { 0 };
            chronicle.last = Some(Last { start: *start, end: start + 0x30, rmgr, timeline: 1 });
        }
        chronicle
    }
}

/// What happened in a sketched chronicle.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(super) enum Sketch<'a> {
    Commit,
    Abort,
    Prepare,
    CommitPrepared,
    AbortPrepared,
    Point(&'a str),
    BackupEnd(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_takes_forty_bytes() {
        assert_eq!(size_of::<Entry>(), 40);
    }
}
