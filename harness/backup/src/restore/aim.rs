//! Where recovery of what was restored will stop, told from the WAL before a server is started: whether it comes to its target
//! at all, and if not, how far.

use std::path::{Path, PathBuf};

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::scenario::Timeline;
use pgdrill_model::units::{Lsn, show_time};
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::wal::{Lineage, Reason};
use serde::Serialize;

use super::Settings;
use crate::verify::Facts;
use crate::wal::target::{self, Committed, Consistent, Stop, Stopped};
use crate::wal::timelines::{Place, Timelines, Unresolved, Wanted};
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
    let Some(wanted) = target::Target::of(&settings.target) else {
        return Told::Unknown("a mark is known to its scenario only".to_owned());
    };
    if archives.is_empty() {
        return Told::Unknown("no archive was named with --wal".to_owned());
    }
    let (Some(Lsn(start)), Some(timeline), Some(control)) = (facts.wal_start, facts.timeline, control) else {
        return Told::Unknown("the backup does not say where its WAL begins".to_owned());
    };
    let begin = Place { timeline, position: start };
    // A backup without a manifest says where it ends by a record of its WAL alone.
    let (end, consistent) = match facts.wal_end {
        Some(Lsn(end)) => (end, Consistent::At(end)),
        None => (start, Consistent::AtBackupEnd { start }),
    };
    // The checkpoint that the control file names was made before the backup was done: a commit before it may be in the files
    // already, and is not in the WAL that would have to stop it.
    if let target::Target::Time { micros, .. } = wanted
        && micros < control.checkpoint_time.saturating_mul(1_000_000)
    {
        let checkpoint = show_time(control.checkpoint_time.saturating_mul(1_000_000));
        let message = format!(
            "{} lies before the end of the backup, whose last checkpoint is of {checkpoint}",
            settings.target
        );
        return Told::Fails(Finding::new(Code::TargetBeforeBackup, Stage::Recover, message));
    }
    let own = into.join("pg_wal");
    let directories: Vec<&Path> = archives.iter().map(PathBuf::as_path).chain([own.as_path()]).collect();
    let store = match Store::open(&directories) {
        Ok(store) => store.of_segment_size(control.wal_segment_size),
        Err(error) => return Told::Unknown(error.to_string()),
    };
    let store = if settings.unpacks { store.with_compressed() } else { store };
    let timelines = match Timelines::of(&store) {
        Ok(timelines) => timelines,
        Err(error) => return Told::Unknown(error.to_string()),
    };
    let along = match settings.timeline {
        Timeline::Latest => Wanted::Latest,
        Timeline::Current => Wanted::Current,
        Timeline::Number(number) => Wanted::Number(number),
    };
    match timelines.resolve(along, begin, Place { timeline, position: end }) {
        Ok(lineage) => along_lineage(settings, &wanted, store, begin, consistent, lineage),
        Err(Unresolved::Damaged(error)) => {
            let message = format!("a timeline's history cannot be read: {error}");
            Told::Fails(Finding::new(Code::WalDamaged, Stage::Recover, message))
        }
        Err(why) => Told::Fails(Finding::new(Code::TimelineUnrelated, Stage::Recover, why.to_string())),
    }
}

fn along_lineage(
    settings: &Settings,
    wanted: &target::Target,
    store: Store,
    begin: Place,
    consistent: Consistent,
    lineage: Lineage,
) -> Told {
    let closely = match wanted {
        target::Target::Lsn { position, .. } => vec![*position],
        _ => Vec::new(),
    };
    let chronicle = Chronicle::read(store, begin, lineage, &closely);
    if let Reason::Unreadable { .. } = &chronicle.end().reason {
        return Told::Unknown(chronicle.end().to_string());
    }
    let stop = target::stop(&chronicle, wanted, consistent);
    meaning(settings, stop, || chronicle.end().to_string())
}

/// What a stop means; `why` the WAL ends where it does.
fn meaning(settings: &Settings, stop: Stop, why: impl FnOnce() -> String) -> Told {
    let target = &settings.target;
    match stop {
        Stop::At(stopped) => match stopped.ambiguity(target) {
            Some(message) => Told::Fails(Finding::new(Code::TargetAmbiguous, Stage::Recover, message)),
            None => Told::Comes(Aim::of(&stopped)),
        },
        Stop::TooEarly { stopped, consistent } => {
            let consistent = consistent.map_or_else(String::new, |at| format!(", which is at {}", Lsn(at)));
            let message = format!(
                "{target} lies before the end of the backup: recovery would stop at {}, before the backup is \
                 consistent{consistent}",
                Lsn(stopped.replayed_to)
            );
            Told::Fails(Finding::new(Code::TargetBeforeBackup, Stage::Recover, message))
        }
        Stop::NeverReached(reach) => Told::Fails(reach.beyond(target, &why())),
    }
}

impl Aim {
    fn of(stopped: &Stopped) -> Self {
        let Stopped { replayed_to, timeline, commits, last_commit, .. } = stopped;
        let last = last_commit.as_ref();
        Self {
            lsn: Lsn(*replayed_to),
            timeline: *timeline,
            commits: *commits,
            last_xid: last.map(|Committed { xid, .. }| *xid),
            last_commit_unix_us: last.map(|Committed { time, .. }| *time),
        }
    }
}
