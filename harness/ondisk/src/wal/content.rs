//! What the records say that recovery asks for: ends of transactions (`src/include/access/xact.h`,
//! `ParseCommitRecord` in `src/backend/access/rmgrdesc/xactdesc.c`), restore points, ends of backups, checkpoints,
//! changes of timeline (`src/include/catalog/pg_control.h`, `src/include/access/xlog_internal.h`), tablespaces
//! (`src/include/commands/tablespace.h`).

use super::change::relation;
use super::fields::{Fields, u32_at};
use super::record::{Record, Relation, rmgr};
use crate::Malformed;

/// What a record says, as far as recovery asks for it. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// A transaction, maybe a prepared one, was committed.
    Commit(Finish<'a>),
    /// A transaction, maybe a prepared one, was rolled back.
    Abort(Finish<'a>),
    /// A transaction was prepared.
    Prepare(Prepare<'a>),
    /// `pg_create_restore_point`.
    RestorePoint {
        /// When.
        time: i64,
        /// Its name.
        name: &'a [u8],
    },
    /// The end of a base backup.
    BackupEnd {
        /// Where that backup began: the position in its label.
        start: u64,
    },
    /// The rest of the segment is not used.
    Switch,
    /// A checkpoint.
    Checkpoint(Checkpoint),
    /// The position from which a checkpoint that follows is replayed, from 17 on.
    CheckpointRedo,
    /// A promotion without a checkpoint: what follows belongs to the new timeline.
    EndOfRecovery {
        /// When.
        time: i64,
        /// The new timeline.
        timeline: u32,
        /// The one that it left.
        previous: u32,
    },
    /// Settings that a standby must not have smaller.
    ParameterChange(Parameters),
    /// A record that was not written to its end before a crash, and is left out.
    Overwrite {
        /// That record.
        overwritten: u64,
        /// When it was left out.
        time: i64,
    },
    /// A tablespace was made.
    CreateTablespace {
        /// Its OID.
        oid: u32,
        /// Its directory; empty for one within the data directory.
        path: &'a [u8],
    },
    /// A tablespace was dropped.
    DropTablespace {
        /// Its OID.
        oid: u32,
    },
    /// Something else.
    Other,
}

/// The end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish<'a> {
    /// The transaction: of a prepared one its own, not that of the command that ended it.
    pub xid: u32,
    /// When.
    pub time: i64,
    /// Its subtransactions: all that were committed with it, or rolled back with it.
    pub subxids: Xids<'a>,
    /// Whether it was prepared before.
    pub prepared: bool,
    /// The name under which it was prepared. Only with `wal_level` logical; its [`Prepare`] always has it.
    pub gid: &'a [u8],
    /// How many files of relations are removed with it.
    pub dropped_files: u32,
    /// Which.
    pub dropped: Relations<'a>,
    /// Where it comes from, when it was replicated.
    pub origin: Option<Origin>,
}

/// A transaction that was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepare<'a> {
    /// The transaction.
    pub xid: u32,
    /// When.
    pub time: i64,
    /// Its name.
    pub gid: &'a [u8],
    /// Its subtransactions.
    pub subxids: Xids<'a>,
    /// OID of its database.
    pub database: u32,
}

/// The commit on another server that a transaction repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its position there.
    pub lsn: u64,
    /// Its time there.
    pub time: i64,
}

/// A checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// From where it is replayed.
    pub redo: u64,
    /// The timeline.
    pub timeline: u32,
    /// The timeline before: another one only when the checkpoint begins a timeline.
    pub previous: u32,
    /// Whether the server was shut down with it, or ended its recovery.
    pub shutdown: bool,
    /// When.
    pub time: i64,
}

/// `XLOG_PARAMETER_CHANGE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `max_connections`
    pub max_connections: u32,
    /// `max_worker_processes`
    pub max_worker_processes: u32,
    /// `max_wal_senders`
    pub max_wal_senders: u32,
    /// `max_prepared_transactions`
    pub max_prepared_transactions: u32,
    /// `max_locks_per_transaction`
    pub max_locks_per_transaction: u32,
    /// `wal_level`: 0 minimal, 1 replica, 2 logical.
    pub wal_level: u32,
}

/// Numbers of transactions, as they lie in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xids<'a>(&'a [u8]);

impl Xids<'_> {
    /// The numbers.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.chunks_exact(4).map(|four| u32_at(four, 0))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len() / 4
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Files of relations, as they lie in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relations<'a>(&'a [u8]);

impl Relations<'_> {
    /// The relations.
    pub fn iter(&self) -> impl Iterator<Item = Relation> + '_ {
        self.0.chunks_exact(12).filter_map(|twelve| relation(&mut Fields(twelve)))
    }
}

/// Flags and kinds of `xact.h`.
mod xact {
    pub(super) const KIND: u8 = 0x70;
    pub(super) const COMMIT: u8 = 0x00;
    pub(super) const PREPARE: u8 = 0x10;
    pub(super) const ABORT: u8 = 0x20;
    pub(super) const COMMIT_PREPARED: u8 = 0x30;
    pub(super) const ABORT_PREPARED: u8 = 0x40;
    pub(super) const HAS_INFO: u8 = 0x80;

    pub(super) const HAS_DATABASE: u32 = 1 << 0;
    pub(super) const HAS_SUBXACTS: u32 = 1 << 1;
    pub(super) const HAS_RELATIONS: u32 = 1 << 2;
    pub(super) const HAS_INVALIDATIONS: u32 = 1 << 3;
    pub(super) const HAS_TWO_PHASE: u32 = 1 << 4;
    pub(super) const HAS_ORIGIN: u32 = 1 << 5;
    pub(super) const HAS_GID: u32 = 1 << 7;
    pub(super) const HAS_DROPPED_STATISTICS: u32 = 1 << 8;
}

impl<'a> Record<'a> {
    /// What the record says.
    ///
    /// # Errors
    ///
    /// A record of a kind that is known, but whose parts do not fit together.
    pub fn content(&self) -> Result<Content<'a>, Malformed> {
        let content = match self.rmgr() {
            rmgr::TRANSACTION => match self.info() & xact::KIND {
                xact::COMMIT => self.finish(false).map(Content::Commit),
                xact::COMMIT_PREPARED => self.finish(true).map(Content::Commit),
                xact::ABORT => self.finish(false).map(Content::Abort),
                xact::ABORT_PREPARED => self.finish(true).map(Content::Abort),
                xact::PREPARE => self.prepare().map(Content::Prepare),
                _ => return Ok(Content::Other),
            },
            rmgr::XLOG => self.about_the_wal(),
            rmgr::TABLESPACE => self.tablespace(),
            _ => return Ok(Content::Other),
        };
        content.ok_or_else(|| {
            let (rmgr, info) = (rmgr::name(self.rmgr()).unwrap_or("?"), self.info());
            Malformed::new("WAL record", format!("{rmgr} {info:02X} is too short for what it should say"))
        })
    }

    fn finish(&self, prepared: bool) -> Option<Finish<'a>> {
        let mut fields = Fields(self.body().ok()?.main);
        let time = fields.time()?;
        let info = if self.info() & xact::HAS_INFO == 0 { 0 } else { fields.u32()? };
        let has = |flag| info & flag != 0;
        let none = Xids(&[]);
        let mut finish = Finish {
            xid: self.xid(),
            time,
            subxids: none,
            prepared,
            gid: &[],
            dropped_files: 0,
            dropped: Relations(&[]),
            origin: None,
        };
        if has(xact::HAS_DATABASE) {
            fields.take(8)?;
        }
        if has(xact::HAS_SUBXACTS) {
            finish.subxids = Xids(fields.counted(4)?);
        }
        if has(xact::HAS_RELATIONS) {
            finish.dropped = Relations(fields.counted(12)?);
            finish.dropped_files = u32::try_from(finish.dropped.0.len() / 12).ok()?;
        }
        if has(xact::HAS_DROPPED_STATISTICS) {
            // 18 made the object's number twice as long.
            fields.counted(if self.major < 18 { 12 } else { 16 })?;
        }
        if has(xact::HAS_INVALIDATIONS) {
            fields.counted(16)?;
        }
        if has(xact::HAS_TWO_PHASE) {
            finish.xid = fields.u32()?;
            if has(xact::HAS_GID) {
                finish.gid = fields.text()?;
            }
        }
        if has(xact::HAS_ORIGIN) {
            finish.origin = Some(Origin { lsn: fields.u64()?, time: fields.time()? });
        }
        Some(finish)
    }

    /// `xl_xact_prepare`, and what follows it (`ParsePrepareRecord`).
    fn prepare(&self) -> Option<Prepare<'a>> {
        let mut fields = Fields(self.body().ok()?.main);
        fields.take(8)?;
        let (xid, database, time) = (fields.u32()?, fields.u32()?, fields.time()?);
        fields.take(4)?;
        let subxids = fields.u32()?;
        // Files to remove at commit and abort, from 15 on statistics likewise, invalidations, a flag.
        fields.take(if self.major < 15 { 14 } else { 22 })?;
        let gid_length = usize::from(fields.u16()?);
        fields.take(16)?;
        let gid = fields.take(gid_length.next_multiple_of(8))?.get(..gid_length)?;
        let subxids = Xids(fields.take(usize::try_from(subxids).ok()?.checked_mul(4)?)?);
        Some(Prepare { xid, time, gid: gid.strip_suffix(&[0])?, subxids, database })
    }

    fn about_the_wal(&self) -> Option<Content<'a>> {
        let kind = self.info() & 0xF0;
        if matches!(kind, 0x20 | 0x30 | 0x80 | 0xA0 | 0xB0) {
            return Some(Content::Other);
        }
        let mut fields = Fields(self.body().ok()?.main);
        Some(match kind {
            0x00 | 0x10 => {
                let (redo, timeline, previous) = (fields.u64()?, fields.u32()?, fields.u32()?);
                // The time is in seconds since 1970, behind thirteen numbers of four bytes, aligned to eight.
                fields.take(48)?;
                let time = fields.u64()?.cast_signed().saturating_mul(1_000_000);
                Content::Checkpoint(Checkpoint { redo, timeline, previous, shutdown: kind == 0x00, time })
            }
            0x40 => Content::Switch,
            0x50 => Content::BackupEnd { start: fields.u64()? },
            0x60 => Content::ParameterChange(Parameters {
                max_connections: fields.u32()?,
                max_worker_processes: fields.u32()?,
                max_wal_senders: fields.u32()?,
                max_prepared_transactions: fields.u32()?,
                max_locks_per_transaction: fields.u32()?,
                wal_level: fields.u32()?,
            }),
            0x70 => Content::RestorePoint { time: fields.time()?, name: fields.text()? },
            0x90 => Content::EndOfRecovery {
                time: fields.time()?,
                timeline: fields.u32()?,
                previous: fields.u32()?,
            },
            0xD0 => Content::Overwrite { overwritten: fields.u64()?, time: fields.time()? },
            0xE0 => Content::CheckpointRedo,
            _ => Content::Other,
        })
    }

    fn tablespace(&self) -> Option<Content<'a>> {
        let mut fields = Fields(self.body().ok()?.main);
        Some(match self.info() & 0xF0 {
            0x00 => Content::CreateTablespace { oid: fields.u32()?, path: fields.text()? },
            0x10 => Content::DropTablespace { oid: fields.u32()? },
            _ => Content::Other,
        })
    }
}
