//! A run of WAL: as far as it can be read without a break, and how it ends.

use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::page::Identity;
use pgdrill_ondisk::wal::{End, Reason};
use serde::Serialize;

use super::tally::{Commit, Strayed, Tally};

/// WAL that can be read record by record, from the first record to where it ends or breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The newest timeline of the lineage that was followed.
    pub timeline: u32,
    /// The timelines whose files were read, in order.
    pub timelines: Vec<u32>,
    /// The cluster whose WAL it is; none when not even the first page could be read.
    pub system_identifier: Option<u64>,
    /// The major version that wrote it.
    pub major: Option<u8>,
    /// The segment with which it begins.
    pub first_segment: String,
    /// The last segment of which there is anything in it.
    pub last_segment: String,
    /// From the one to the other.
    pub segments: u64,
    /// Where its first record starts; where reading began when there is none.
    pub begin: Lsn,
    /// The end of its last record: as far as replay goes.
    pub end: Lsn,
    /// Records.
    pub records: u64,
    /// Commits.
    pub commits: u64,
    /// Transactions that were rolled back.
    pub aborts: u64,
    /// The first commit.
    pub first_commit: Option<Commit>,
    /// The last one, in the order of the WAL: what a recovery to the end of the run brings back.
    pub last_commit: Option<Commit>,
    /// The latest time of a commit, which need not be that of the last one; microseconds since 1970.
    pub latest_time_us: Option<i64>,
    /// Where replay leaves the timeline that it should follow.
    pub strayed: Option<Strayed>,
    /// How it ends.
    pub ends: Ending,
}

/// How a run of WAL ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// What that means.
    pub kind: Kind,
    /// Position of what is wrong: a record, or the page on which one should go on.
    pub at: Lsn,
    /// The segment that holds it.
    pub segment: String,
    /// Byte within that segment.
    pub offset: u32,
    /// Whether a record that has begun is cut off there.
    pub cuts_a_record: bool,
    /// What is wrong, in words.
    pub why: String,
    /// How the line begins that PostgreSQL logs about it, where it logs one.
    pub postgres_says: Option<String>,
    /// The same, for programs that know the WAL.
    #[serde(skip)]
    pub reason: Reason,
}

/// What the end of a run means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The WAL was not written or archived any further: nothing is wrong, as far as can be told.
    Clean,
    /// The next segment is there only as a file that PostgreSQL does not read: `.partial`, which was not filled when the
    /// archiver ended.
    Partial,
    /// The next segment could not be read by us, which says nothing about it.
    Unread,
    /// The WAL is damaged there, or something is missing.
    Broken,
}

impl Run {
    pub(super) fn new(
        lineage: (u32, &str, &str),
        segments: u64,
        begin: u64,
        tally: &Tally,
        identity: Option<Identity>,
        end: &End,
    ) -> Self {
        let (timeline, first_segment, last_segment) = lineage;
        Self {
            timeline,
            timelines: tally.timelines.clone(),
            system_identifier: identity.map(|identity| identity.system_identifier),
            major: (tally.major != 0).then_some(tally.major),
            first_segment: first_segment.to_owned(),
            last_segment: last_segment.to_owned(),
            segments,
            begin: Lsn(tally.begin.unwrap_or(begin)),
            end: Lsn(tally.reached.map_or(begin, |(_, end)| end)),
            records: tally.records,
            commits: tally.commits,
            aborts: tally.aborts,
            first_commit: tally.first_commit(),
            last_commit: tally.last_commit(),
            latest_time_us: tally.latest_time,
            strayed: tally.strayed,
            ends: Ending::of(end),
        }
    }
}

impl Ending {
    /// The end of reading, as it is told.
    pub fn of(end: &End) -> Self {
        Self {
            kind: Kind::of(end),
            at: Lsn(end.at),
            segment: end.segment.clone(),
            offset: end.offset,
            cuts_a_record: end.cuts_a_record,
            why: match &end.reason {
                Reason::Missing { instead: Some(file) } => {
                    format!("the segment is missing; it is there only as {file}")
                }
                reason => reason.to_string(),
            },
            postgres_says: end.postgres_says(),
            reason: end.reason.clone(),
        }
    }
}

impl Ending {
    /// Looks again with what is known beside the run: whether more segments follow (then nothing ends there in good
    /// order), and whether it is a `pg_wal`, where a segment that waits for its use ends the WAL.
    pub(super) fn settle(&mut self, more: bool, pg_wal: bool) {
        if more && matches!(self.kind, Kind::Clean | Kind::Partial) {
            self.kind = Kind::Broken;
        }
        if !more && pg_wal && self.is_of_a_waiting_segment() {
            self.kind = Kind::Clean;
        }
        // Records go on from segment to segment, so an archive ends in good order within one.
        if !more && self.cuts_a_record && matches!(self.reason, Reason::Missing { instead: None }) {
            self.kind = Kind::Clean;
            self.why = "the last record goes on in the next segment, which is not there yet".to_owned();
        }
    }

    /// Whether reading came to a segment of a `pg_wal` that is kept for later: with the pages of an earlier position, or
    /// not used yet at all.
    pub(super) fn is_of_a_waiting_segment(&self) -> bool {
        match self.reason {
            Reason::PageAddress { found } => found < self.at.0,
            Reason::Zeros { to_the_end } => to_the_end,
            _ => false,
        }
    }
}

impl Kind {
    fn of(end: &End) -> Self {
        match &end.reason {
            _ if end.is_clean() => Self::Clean,
            Reason::Unreadable { .. } => Self::Unread,
            Reason::Missing { instead: Some(file) } if file.ends_with(".partial") => Self::Partial,
            Reason::Missing { instead: Some(_) } => Self::Unread,
            _ => Self::Broken,
        }
    }
}
