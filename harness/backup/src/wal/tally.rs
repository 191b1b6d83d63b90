//! What a run of WAL holds, in numbers: how many records and commits, and the first and the last of these.

use pgdrill_model::units::{Lsn, show_time};
use pgdrill_ondisk::wal::{Content, Finish, Lineage, Record};
use serde::Serialize;

use super::pieces::Gather;

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Position of its record.
    pub lsn: Lsn,
    /// End of its record.
    pub end: Lsn,
    /// The transaction.
    pub xid: u32,
    /// When, in microseconds since 1970.
    pub time_us: i64,
    /// The same as PostgreSQL writes it, in UTC.
    pub time: String,
}

/// Where replay leaves the timeline that it should follow: that one's files are missing, and its parent's are read on
/// instead, as PostgreSQL does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Strayed {
    /// The first record that should not be replayed.
    pub at: Lsn,
    /// The timeline whose file it was read from.
    pub timeline: u32,
    /// The timeline whose record it should be.
    pub expected: u32,
}

/// A commit, kept small.
#[derive(Clone, Copy, Debug)]
struct Noted {
    start: u64,
    end: u64,
    xid: u32,
    time: i64,
}

/// Counts records and commits.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    lineage: Lineage,
    /// The timeline of the file that is read, and where the lineage left it.
    file: (u32, u64),
    pub(super) records: u64,
    pub(super) commits: u64,
    pub(super) aborts: u64,
    first: Option<Noted>,
    last: Option<Noted>,
    pub(super) latest_time: Option<i64>,
    pub(super) strayed: Option<Strayed>,
    /// Where the first record starts.
    pub(super) begin: Option<u64>,
    /// Where the last one does, and its end.
    pub(super) reached: Option<(u64, u64)>,
    pub(super) major: u8,
    /// The timelines whose files were read, in order.
    pub(super) timelines: Vec<u32>,
}

impl Tally {
    pub(super) fn new(lineage: &Lineage) -> Self {
        Self {
            lineage: lineage.clone(),
            file: (0, u64::MAX),
            records: 0,
            commits: 0,
            aborts: 0,
            first: None,
            last: None,
            latest_time: None,
            strayed: None,
            begin: None,
            reached: None,
            major: 0,
            timelines: Vec::new(),
        }
    }

    pub(super) fn first_commit(&self) -> Option<Commit> {
        self.first.as_ref().map(Noted::told)
    }

    pub(super) fn last_commit(&self) -> Option<Commit> {
        self.last.as_ref().map(Noted::told)
    }

    fn commit(&mut self, record: &Record<'_>, finish: &Finish<'_>) {
        let noted = Noted { start: record.start, end: record.end, xid: finish.xid, time: finish.time };
        self.commits += 1;
        self.first.get_or_insert(noted);
        self.last = Some(noted);
        self.latest_time = self.latest_time.max(Some(finish.time));
    }
}

impl Noted {
    fn told(&self) -> Commit {
        Commit {
            lsn: Lsn(self.start),
            end: Lsn(self.end),
            xid: self.xid,
            time_us: self.time,
            time: show_time(self.time),
        }
    }
}

impl Gather for Tally {
    fn take(&mut self, record: &Record<'_>, content: &Content<'_>) {
        self.records += 1;
        self.begin.get_or_insert(record.start);
        self.reached = Some((record.start, record.end));
        let timeline = record.file_timeline;
        if self.file.0 != timeline {
            self.file = (timeline, self.lineage.left_at(timeline).unwrap_or(u64::MAX));
            self.timelines.push(timeline);
            self.major = record.major;
        }
        if record.start >= self.file.1 && self.strayed.is_none() {
            let expected = self.lineage.timeline_at(record.start).unwrap_or(timeline);
            self.strayed = Some(Strayed { at: Lsn(record.start), timeline, expected });
        }
        match content {
            Content::Commit(finish) => self.commit(record, finish),
            Content::Abort(_) => self.aborts += 1,
            _ => {}
        }
    }

    fn append(&mut self, later: Self) {
        self.records += later.records;
        self.commits += later.commits;
        self.aborts += later.aborts;
        self.first = self.first.or(later.first);
        self.last = later.last.or(self.last);
        self.latest_time = self.latest_time.max(later.latest_time);
        self.strayed = self.strayed.or(later.strayed);
        self.begin = self.begin.or(later.begin);
        self.reached = later.reached.or(self.reached);
        if later.records > 0 {
            (self.file, self.major) = (later.file, later.major);
            self.timelines.extend(later.timelines);
            self.timelines.dedup();
        }
    }
}
