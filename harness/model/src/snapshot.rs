//! The position in the WAL that a snapshot of a running server belongs to: the one at which the commits that were replayed
//! are those that the snapshot sees. Often there is none, and never is it just where the WAL stood at the time.
//!
//! A transaction first writes its commit record and then leaves the list of running transactions; only then others see it.
//! Between the two it can wait for a standby, for as long as that takes. So the order of commits in the WAL is not the order
//! in which they are seen. What holds:
//!
//! - Whatever a snapshot sees has its record before the position that is asked for after the snapshot.
//! - What it does not see may have its record anywhere, also before the position that was asked for before the snapshot; but
//!   then it held the lock on its own number at that time. So these numbers are kept, and those whose end is not found in the
//!   WAL must not be committed on a restored server ([`Span::unresolved`]).
//! - Subtransactions have no commit record of their own: only the numbers of whole transactions count, which are the only ones
//!   that `pg_current_snapshot()` lists. A prepared transaction runs until it is committed, by a record like any other.
//! - While a server recovers, `pg_current_snapshot()` lists nobody. There only a paused replay has a position.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::recovery_point::{Ended, RecoveryPoint, Wal};
use crate::scenario::{Point, Target};
use crate::units::Lsn;

/// A snapshot, as `pg_current_snapshot()` tells it: which transactions it sees, by their full numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything below was over.
    pub xmin: u64,
    /// Nothing from here on was over.
    pub xmax: u64,
    /// What was not over in between.
    pub running: Vec<u64>,
}

impl Snapshot {
    /// Whether it sees what this transaction did, where that was committed.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && (xid < self.xmin || !self.running.contains(&xid))
    }

    /// The full number of a transaction of whose number the WAL has the lower half: the one that is nearest.
    pub fn full(&self, xid: u32) -> u64 {
        const EPOCH: u64 = 1 << 32;
        let here = (self.xmax & !(EPOCH - 1)) | u64::from(xid);
        if here > self.xmax + EPOCH / 2 && here >= EPOCH {
            here - EPOCH
        } else if here + EPOCH / 2 < self.xmax {
            here + EPOCH
        } else {
            here
        }
    }

    fn sees_end(&self, ended: &Ended) -> bool {
        self.sees(self.full(ended.xid))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running: Vec<String> = self.running.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.xmin, self.xmax, running.join(","))
    }
}

impl FromStr for Snapshot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("'{text}' is no snapshot (as in 10:20:10,14)");
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let mut parts = text.split(':');
        let (Some(xmin), Some(xmax), Some(running), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let running = running.split(',').filter(|each| !each.is_empty()).map(number);
        let snapshot =
            Self { xmin: number(xmin)?, xmax: number(xmax)?, running: running.collect::<Result<_, _>>()? };
        let within = |xid: &u64| (snapshot.xmin..snapshot.xmax).contains(xid);
        if snapshot.xmin > snapshot.xmax || !snapshot.running.iter().all(within) {
            return Err(wrong());
        }
        Ok(snapshot)
    }
}

impl Serialize for Snapshot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a running server was asked around a snapshot, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The timeline.
    pub timeline: u32,
    /// Where the WAL stands.
    pub before: Lsn,
    /// Who holds the lock on a transaction's number.
    pub holding: Vec<u64>,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Where the WAL stands.
    pub after: Lsn,
    /// Who holds the lock on a transaction's number.
    pub holding_after: Vec<u64>,
    /// Another snapshot.
    pub snapshot_after: Snapshot,
}

impl Asked {
    /// Where the content that the snapshot sees belongs. It is exactly where the WAL stood after it when nobody was on the way
    /// from its commit record to being seen: who is, holds its lock until it is seen, and whoever ceased to hold one moves the
    /// end of the next snapshot.
    pub fn position(self) -> Position {
        let Self { timeline, before, holding, snapshot, after, holding_after, snapshot_after } = self;
        let nobody = snapshot.running.is_empty() && holding_after.is_empty();
        if nobody && snapshot.xmax == snapshot_after.xmax {
            return Position::Exact { timeline, lsn: after };
        }
        Position::InTheWal { timeline, before, after, snapshot, holding }
    }
}

/// Where in the WAL content was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "known", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Position {
    /// Exactly here: no transaction was about to be seen, or replay was paused.
    Exact {
        /// The timeline.
        timeline: u32,
        /// The end of what was there.
        lsn: Lsn,
    },
    /// The WAL has to be asked.
    InTheWal {
        /// The timeline.
        timeline: u32,
        /// Where the WAL stood before.
        before: Lsn,
        /// Where it stood after.
        after: Lsn,
        /// What was seen.
        snapshot: Snapshot,
        /// Transactions, and subtransactions, that had a number and were not over between `before` and the snapshot.
        holding: Vec<u64>,
    },
}

/// Positions that are all the same to a snapshot: replay that stops at `from`, at `to` or in between brings back what it sees
/// and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The timeline.
    pub timeline: u32,
    /// The end of the last commit that is seen.
    pub from: Lsn,
    /// The beginning of the first that is not; none where the WAL has none.
    pub to: Option<Lsn>,
    /// Transactions that the snapshot does not see and of whose end the WAL says nothing. A restored server must not have
    /// them as committed (`pg_xact_status`), or else the content is not comparable.
    pub unresolved: Vec<u64>,
}

/// Why a snapshot has no position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// There is no WAL to ask.
    NoWal,
    /// The WAL begins too late.
    BeginsLate {
        /// From where it should.
        wanted: Lsn,
        /// From where it does.
        from: Lsn,
    },
    /// The WAL ends too early.
    EndsEarly {
        /// How far it should reach.
        wanted: Lsn,
        /// How far it does.
        to: Lsn,
    },
    /// It was measured on a part of a timeline that was given up.
    OtherHistory {
        /// The timeline.
        timeline: u32,
    },
    /// No prefix of the commits is what the snapshot sees.
    OutOfOrder {
        /// A transaction that it does not see.
        unseen: u32,
        /// One that was committed after that one, and that it sees.
        seen: u32,
    },
}

impl fmt::Display for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWal => f.write_str("its position in the WAL is not known without the WAL of that time"),
            Self::BeginsLate { wanted, from } => {
                write!(f, "the WAL is there from {from} on, and its position can lie as early as {wanted}")
            }
            Self::EndsEarly { wanted, to } => {
                write!(f, "the WAL is there up to {to}, and its position can lie as far as {wanted}")
            }
            Self::OtherHistory { timeline } => {
                write!(
                    f,
                    "it was captured on a part of timeline {timeline} that the recovery does not follow"
                )
            }
            Self::OutOfOrder { unseen, seen } => write!(
                f,
                "it belongs to no position in the WAL: it does not hold transaction {unseen}, and holds {seen}, which was \
                 committed later; capture another"
            ),
        }
    }
}

impl Position {
    /// The timeline.
    pub fn timeline(&self) -> u32 {
        match self {
            Self::Exact { timeline, .. } | Self::InTheWal { timeline, .. } => *timeline,
        }
    }

    /// A position behind which everything that was seen lies.
    pub fn after(&self) -> Lsn {
        match self {
            Self::Exact { lsn, .. } => *lsn,
            Self::InTheWal { after, .. } => *after,
        }
    }

    /// Finds the positions that belong to it, in the WAL along the path of a recovery; without any only what is exact is known.
    ///
    /// # Errors
    ///
    /// There is none, or the WAL does not tell.
    pub fn locate(&self, wal: Option<&Wal>) -> Result<Span, Nowhere> {
        let timeline = self.timeline();
        if let Some(wal) = wal
            && wal.path.left(timeline).is_none_or(|left| left < self.after())
        {
            return Err(Nowhere::OtherHistory { timeline });
        }
        match (self, wal) {
            (Self::Exact { lsn, .. }, Some(wal)) if (wal.from..=wal.to).contains(lsn) => {
                let from =
                    wal.commits().rev().find(|ended| ended.start < *lsn).map_or(*lsn, |ended| ended.end);
                let to = wal.commits().find(|ended| ended.start >= *lsn).map(|ended| ended.start);
                Ok(Span { timeline, from, to, unresolved: Vec::new() })
            }
            (Self::Exact { lsn, .. }, _) => {
                Ok(Span { timeline, from: *lsn, to: Some(*lsn), unresolved: Vec::new() })
            }
            (Self::InTheWal { .. }, None) => Err(Nowhere::NoWal),
            (Self::InTheWal { before, after, snapshot, holding, .. }, Some(wal)) => {
                if wal.from > *before {
                    return Err(Nowhere::BeginsLate { wanted: *before, from: wal.from });
                }
                if wal.to < *after {
                    return Err(Nowhere::EndsEarly { wanted: *after, to: wal.to });
                }
                search(timeline, *before, snapshot, holding, wal)
            }
        }
    }
}

/// The last commit that is seen must come before the first that is not.
fn search(
    timeline: u32,
    before: Lsn,
    snapshot: &Snapshot,
    holding: &[u64],
    wal: &Wal,
) -> Result<Span, Nowhere> {
    let last_seen = wal.commits().rev().find(|ended| snapshot.sees_end(ended));
    let first_unseen = wal.commits().find(|ended| !snapshot.sees_end(ended));
    if let (Some(seen), Some(unseen)) = (last_seen, first_unseen)
        && unseen.start < seen.start
    {
        return Err(Nowhere::OutOfOrder { unseen: unseen.xid, seen: seen.xid });
    }
    let to = first_unseen.map(|ended| ended.start);
    // Without a commit that is seen every position up to the first unseen one will do; the WAL before it was read is in
    // the backup.
    let from = last_seen.map_or_else(|| to.unwrap_or(before).min(before), |ended| ended.end);
    let lower_half = |xid: u64| (xid & u64::from(u32::MAX)) as u32;
    let unresolved = holding.iter().copied();
    let unresolved =
        unresolved.filter(|xid| !snapshot.sees(*xid) && wal.end_of(lower_half(*xid)).is_none()).collect();
    Ok(Span { timeline, from, to, unresolved })
}

/// What a baseline is worth where a recovery stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Everything must be as it was, in every row.
    Exact,
    /// The recovery went further: what is there has changed since by so many transactions, and nothing can be required
    /// exactly.
    Earlier {
        /// Commits in between, where the WAL was read.
        commits: Option<u64>,
    },
    /// The recovery stopped before: nothing of it can be required.
    Later {
        /// Commits in between that were not recovered, where the WAL was read.
        commits: Option<u64>,
    },
    /// It belongs to another history than the one that was recovered.
    Elsewhere,
}

impl Span {
    /// What must hold of a server that was recovered to `point`.
    pub fn compare(&self, point: &RecoveryPoint, wal: Option<&Wal>) -> Comparison {
        let end = self.to.unwrap_or(self.from);
        let within = |from: Lsn, to: Lsn| {
            wal.map(|wal| wal.commits().filter(|ended| ended.end > from && ended.end <= to).count() as u64)
        };
        match point.path.left(self.timeline) {
            None => Comparison::Elsewhere,
            Some(left) if left < self.from => Comparison::Elsewhere,
            Some(_) if point.lsn < self.from => Comparison::Later { commits: within(point.lsn, self.from) },
            Some(_) if self.to.is_some() && point.lsn > end => {
                Comparison::Earlier { commits: within(self.from, point.lsn) }
            }
            Some(_) => Comparison::Exact,
        }
    }

    /// The target by which a recovery comes exactly here, as near to `preferred` as can be. It is exclusive: of all records
    /// PostgreSQL replays those that begin before it.
    pub fn target(&self, preferred: Lsn) -> Target {
        let lsn = preferred.max(self.from).min(self.to.unwrap_or(Lsn(u64::MAX)));
        Target { at: Point::Lsn(lsn), inclusive: false }
    }

    /// Where several belong together, such as those of the databases of one server: the positions that are all of theirs.
    pub fn common<'a>(spans: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut spans = spans.into_iter();
        let first = spans.next()?.clone();
        let both = spans.try_fold(first, |mut both, span| {
            both.from = both.from.max(span.from);
            both.to = match (both.to, span.to) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            both.unresolved.extend(&span.unresolved);
            (both.timeline == span.timeline).then_some(both)
        })?;
        both.to.is_none_or(|to| both.from <= to).then_some(both)
    }
}

/// The position itself where PostgreSQL tells the one behind the header of a page or segment, in which there is nothing yet
/// (`SizeOfXLogShortPHD`, `SizeOfXLogLongPHD`, `src/include/access/xlog_internal.h`).
pub fn without_header(lsn: Lsn, page_size: u64, segment_size: u64) -> Lsn {
    const SHORT: u64 = 24;
    const LONG: u64 = 40;
    let within = |size: u64| lsn.0.checked_rem(size);
    match (within(segment_size), within(page_size)) {
        (Some(LONG), _) => Lsn(lsn.0 - LONG),
        (Some(begins), Some(SHORT)) if begins != SHORT => Lsn(lsn.0 - SHORT),
        _ => lsn,
    }
}
