//! Where recovery of what was restored will stop, told from the WAL before a server is started: whether it comes to its target
//! at all, and if not, how far.

use std::path::{Path, PathBuf};

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::wal::Reason;
use serde::Serialize;

use super::Settings;
use crate::verify::Facts;
use crate::wal::aim::{Aimed, Origin};
use crate::wal::target::{Consistent, Stopped, Target};
use crate::wal::timelines::{Place, Timelines};
use crate::wal::{Chronicle, Store};

/// Where recovery will stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aim {
    /// The end of the last record that is replayed.
    pub lsn: Lsn,
    /// Its timeline.
    pub timeline: u32,
    /// How many transactions are committed on the way from the backup.
    pub commits: u64,
    /// The last of them.
    pub last_xid: Option<u32>,
    /// When that was, microseconds since 1970 UTC.
    pub last_commit_unix_us: Option<i64>,
}

/// What was restored, and from where a server on it gets its WAL.
pub struct Restored<'a> {
    /// What its backup says of itself.
    pub facts: &'a Facts,
    /// Its control file; none where that cannot be read, which is told elsewhere.
    pub control: Option<Control>,
    /// Its data directory, whose `pg_wal` a server reads where the archives have nothing.
    pub into: &'a Path,
    /// The archives.
    pub archives: &'a [PathBuf],
}

/// What can be told of a recovery.
pub enum Told {
    /// It stops there.
    Comes(Aim),
    /// It does not come to its target, or not to what was meant.
    Fails(Finding),
    /// Nothing, and why.
    Unknown(String),
}

/// Tells it.
pub fn take(settings: &Settings, restored: &Restored<'_>) -> Told {
    let Restored { facts, control, into, archives } = restored;
    let fails = |code, message: String| Told::Fails(Finding::new(code, Stage::Recover, message));
    let Some(wanted) = Target::of(&settings.target) else {
        return Told::Unknown("a mark is known to its scenario only".to_owned());
    };
    if archives.is_empty() {
        return Told::Unknown("no archive was named with --wal".to_owned());
    }
    let Some((origin, segment_size)) = origin(facts, control.as_ref()) else {
        return Told::Unknown("the backup does not say where its WAL begins".to_owned());
    };
    let own = into.join("pg_wal");
    let directories: Vec<&Path> = archives.iter().map(PathBuf::as_path).chain([own.as_path()]).collect();
    let opened = Store::open(&directories).and_then(|store| Ok((Timelines::of(&store)?, store)));
    let (timelines, store) = match opened {
        Ok((timelines, store)) => (timelines, store.of_segment_size(segment_size)),
        Err(error) => return Told::Unknown(error.to_string()),
    };
    let store = if settings.unpacks { store.with_compressed() } else { store };
    match origin.aim(&store, &timelines, settings.timeline, &wanted) {
        Aimed::At(met) if is_unread(&met.1) => Told::Unknown(met.1.end().to_string()),
        Aimed::NeverReached(met) if is_unread(&met.0) => Told::Unknown(met.0.end().to_string()),
        Aimed::At(met) => match met.2.ambiguity(&settings.target) {
            Some(message) => fails(Code::TargetAmbiguous, message),
            None => Told::Comes(Aim::of(&met.2)),
        },
        Aimed::TooEarly => fails(Code::TargetBeforeBackup, origin.too_early(&settings.target, "the backup")),
        Aimed::NeverReached(met) => Told::Fails(met.1.beyond(&settings.target, &met.0.end().to_string())),
        Aimed::Unresolved(why) => match why.damage() {
            Some(finding) => Told::Fails(finding),
            None => fails(Code::TimelineUnrelated, why.to_string()),
        },
    }
}

/// How recovery begins from what was restored, and bytes of its WAL segments.
fn origin(facts: &Facts, control: Option<&Control>) -> Option<(Origin, u32)> {
    let (Lsn(start), timeline, control) = (facts.wal_start?, facts.timeline?, control?);
    let consistent = match facts.from_standby {
        true => Consistent::At(control.min_recovery_point),
        false => Consistent::AtBackupEnd { start },
    };
    let origin = Origin {
        begin: Place { timeline, position: start },
        // Without a manifest only a record of the WAL says where it ended.
        end: Place { timeline, position: facts.wal_end.map_or(start, |Lsn(end)| end) },
        consistent,
        // That checkpoint was made before the backup was done.
        ended_unix_us: control.checkpoint_time.saturating_mul(1_000_000),
    };
    Some((origin, control.wal_segment_size))
}

/// Whether there is WAL that could not be read, so that nothing is known.
fn is_unread(chronicle: &Chronicle) -> bool {
    matches!(chronicle.end().reason, Reason::Unreadable { .. })
}

impl Aim {
    fn of(stopped: &Stopped) -> Self {
        Self {
            lsn: Lsn(stopped.replayed_to),
            timeline: stopped.timeline,
            commits: stopped.commits,
            last_xid: stopped.last_commit.map(|commit| commit.xid),
            last_commit_unix_us: stopped.last_commit.map(|commit| commit.time),
        }
    }
}
