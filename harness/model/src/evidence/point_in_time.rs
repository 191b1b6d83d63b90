//! What a drill measured about points in time: what writers did, marks, where recovery stopped, what was lost.

use serde::{Deserialize, Serialize};

use crate::units::Lsn;

/// What writers did, as they saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkEvidence {
    /// The server that they wrote to.
    pub server: String,
    /// How many there were.
    pub writers: u64,
    /// Whether they went on behind other steps.
    pub behind: bool,
    /// Transactions whose COMMIT the server acknowledged.
    pub acknowledged: u64,
    /// Transactions that they rolled back.
    pub rolled_back: u64,
    /// Transactions that the server refused.
    pub failed: u64,
    /// Transactions whose COMMIT was sent and never answered.
    pub unanswered: u64,
    /// Transactions that were acknowledged although the wait for a synchronous standby was cancelled.
    pub cancelled_waits: u64,
    /// How long they worked.
    pub took_us: u64,
    /// Why they ended before they should have; none where they did not.
    #[serde(default)]
    pub ended_by: Option<String>,
}

/// A named instant, by everything that a recovery can be given as its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MarkEvidence {
    /// Its name, which is also that of its restore point.
    pub name: String,
    /// The server that it was made on.
    pub server: String,
    /// The timeline.
    pub timeline: u32,
    /// The end of its restore point's record: what comes after the mark begins here or later.
    pub lsn: Lsn,
    /// A transaction that committed just before.
    pub xid: u32,
    /// The server's time just after, microseconds since 1970 UTC.
    pub unix_us: i64,
}

/// A point in the WAL at which replay stops, or stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PointEvidence {
    /// The end of the last record that is replayed.
    pub lsn: Option<Lsn>,
    /// Its timeline.
    pub timeline: u32,
    /// The last transaction that committed before it.
    pub xid: Option<u32>,
    /// When that one committed, microseconds since 1970 UTC.
    pub commit_unix_us: Option<i64>,
    /// The segment that holds the last replayed byte.
    pub segment: Option<String>,
}

/// How far the archived WAL reaches, and why it ends there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WalEndEvidence {
    /// The end of the last record that can be read.
    pub lsn: Option<Lsn>,
    /// The timeline.
    pub timeline: u32,
    /// The last commit before it, microseconds since 1970 UTC.
    pub commit_unix_us: Option<i64>,
    /// Commits between the beginning of what was read and there.
    pub commits: u64,
    /// The segment in which it ends, or that is missing.
    pub segment: Option<String>,
    /// Why it ends there, in words.
    pub why: String,
    /// Whether that is because the segment is missing; if not, it cannot be read to its end.
    #[serde(default)]
    pub missing: bool,
    /// Whether later segments of the timeline are in the archive: then it does not end there, it breaks there.
    pub breaks: bool,
}

/// What became of the transactions of the drill's writers, by the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TallyEvidence {
    /// The server that was looked at.
    pub server: String,
    /// Acknowledged before the disaster.
    pub acknowledged: u64,
    /// Of these, before the recovery point.
    pub required: u64,
    /// Of these, there.
    pub recovered: u64,
    /// Acknowledged before the disaster, wanted, and not there.
    pub lost: u64,
    /// There, and should not be.
    pub unexpected: u64,
    /// Nobody can know whether they were committed; they may be there or not.
    pub indeterminate: u64,
    /// Of these, there.
    pub indeterminate_found: u64,
    /// Acknowledged after the point that recovery was to stop at: not wanted, and not there.
    pub after_target: u64,
    /// Acknowledged before they were on disk (`synchronous_commit = off`) and not there: nobody promised them.
    pub not_promised: u64,
    /// Rolled back, or refused by the server.
    pub rolled_back: u64,
    /// What the lost ones amount to.
    pub loss: LossEvidence,
    /// Commit records of the WAL that were compared with the ledger.
    pub wal_commits: u64,
    /// Whether the WAL could be read as the second oracle.
    pub by_wal: bool,
}

/// What was lost of what had been acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LossEvidence {
    /// Transactions.
    pub transactions: u64,
    /// Rows that they inserted or changed.
    pub rows: u64,
    /// From the last recovered acknowledgment to the last one before the disaster; from the first one where none was recovered.
    pub time_us: u64,
    /// Bytes of WAL between the recovery point and the last acknowledged commit.
    pub wal_bytes: u64,
}

/// A sweep over recovery points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SweepEvidence {
    /// Targets that were asked for.
    #[serde(default)]
    pub asked: u64,
    /// Targets that were drawn: fewer than asked for where the WAL has not so many boundaries.
    pub targets: u64,
    /// Of these, proven.
    pub proven: u64,
    /// Targets of which every row was compared, by fingerprints.
    pub fingerprinted: u64,
    /// WAL segments between the first target and the last.
    pub segments: u64,
    /// Targets that were repeated as real recoveries.
    pub repeated: u64,
    /// Of these, that agreed.
    pub agreed: u64,
    /// The first target, and the last.
    pub range: Option<(Lsn, Lsn)>,
    /// The first target that was not proven, in words.
    pub first_failure: Option<String>,
    /// How long the moving server took for all of them, unpacking included.
    pub took_us: u64,
    /// Of that, until each of them was replayed, unpacking not included.
    #[serde(default)]
    pub replaying_us: u64,
    /// Of that, comparing what was there.
    #[serde(default)]
    pub looking_us: u64,
    /// How long the repeated ones took in all.
    pub repeats_took_us: u64,
    /// Of that, what an operator would have waited for: from unpacking to the first write.
    #[serde(default)]
    pub restores_took_us: u64,
    /// Targets that no recovery can reach, because the WAL breaks before them.
    #[serde(default)]
    pub beyond: u64,
    /// Bytes of WAL in which no target was drawn, because something wrote there that no ledger tells: nobody knows what
    /// must be there.
    #[serde(default)]
    pub left_out_bytes: u64,
    /// Transactions of the ledger that must be there at the last target.
    #[serde(default)]
    pub transactions: u64,
}

/// Where a timeline left the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ForkEvidence {
    /// The timeline.
    pub timeline: u32,
    /// The one that it left.
    pub parent: u32,
    /// Where.
    pub at: Lsn,
}
