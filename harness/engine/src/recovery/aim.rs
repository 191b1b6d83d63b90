//! The aim of a recovery, taken before any file is touched: from which backup it begins, along which timelines it goes,
//! what the server is told as its target, and where replay must stop. That is told from the WAL alone, which is read for
//! this once, and must come true.

use std::path::PathBuf;
use std::sync::Arc;

use pgdrill_backup::Unreadable;
use pgdrill_backup::wal::aim::{Aimed, Origin};
use pgdrill_backup::wal::chronicle::{Event, What};
use pgdrill_backup::wal::target::{self, Consistent, Stopped};
use pgdrill_backup::wal::timelines::{Place, Timelines, Unresolved};
use pgdrill_backup::wal::{Chronicle, Store};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, ForkEvidence, MarkEvidence, PointEvidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Recovery};
use pgdrill_model::scenario::{ArchiveBy, BackupFrom, MarkBy, Point, Target, Timeline};
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::control::Minima;
use pgdrill_ondisk::segment;
use pgdrill_ondisk::wal::{Lineage, Reason};

use crate::drill::{Drill, on_a_thread};
use crate::given::oracle;
use crate::recovery::{left_over, wal_end};

/// What a recovery begins from and goes to.
#[derive(Clone, Debug)]
pub struct Aim {
    /// The backup, and before it those that it builds upon, the full one first.
    pub chain: Vec<Member>,
    /// The target, as settings of the server.
    pub settings: Vec<(&'static str, String)>,
    /// Whether everything is wanted that the archive holds.
    pub to_the_end: bool,
    /// Whether it goes along the newest timeline, whichever that is.
    pub newest: bool,
    /// The timelines that recovery follows.
    pub lineage: Lineage,
    /// What the WAL says, from the beginning of the backup to its end.
    pub chronicle: Arc<Chronicle>,
    /// Where replay must stop.
    pub stop: Stopped,
}

/// A backup that recovery could begin from.
#[derive(Debug)]
pub struct Candidate {
    /// The backup, and before it those that it builds upon.
    pub chain: Vec<Member>,
    /// How recovery begins from it.
    pub origin: Origin,
}

/// Takes the aim of `recovery`; a finding when the archive cannot bring it there.
///
/// # Errors
///
/// `TARGET_BEFORE_BACKUP`, `TARGET_AMBIGUOUS`, `TIMELINE_UNRELATED`: recovery could only go somewhere else.
/// `WORKSPACE_UNUSABLE`: the archive cannot be read.
pub async fn take(
    drill: &Drill<'_>,
    recovery: &Recovery,
    evidence: &mut RecoveryEvidence,
) -> Result<Result<Aim, Finding>, Unable> {
    let store = store(drill)?;
    let timelines = Timelines::of(&store).map_err(|error| unreadable(&error))?;
    let wanted = match (&recovery.to.at, &drill.given) {
        (Point::Baseline, Some(taken)) => {
            oracle::target(taken, &store, &timelines, recovery.timeline).await?
        }
        _ => wanted(drill, &recovery.to)?,
    };
    let settings = settings(&wanted);
    let candidates: Vec<Candidate> =
        recovery.backups.iter().map(|chain| candidate(drill, chain)).collect::<Result<_, _>>()?;
    let (mut early, mut unreached, mut unresolved) = (None, None, None);
    // The newest first.
    for candidate in candidates.into_iter().rev() {
        let Candidate { chain, origin } = candidate;
        let (files, known, wanted, along) =
            (store.clone(), timelines.clone(), wanted.clone(), recovery.timeline);
        let aimed = on_a_thread(move || origin.aim(&files, &known, along, &wanted)).await?;
        if let Aimed::At(met) = &aimed {
            readable(&met.1)?;
        } else if let Aimed::NeverReached(met) = &aimed {
            readable(&met.0)?;
        }
        match aimed {
            Aimed::At(aimed) => {
                let (lineage, chronicle, stop) = *aimed;
                evidence.archive_end = Some(wal_end::evidence(drill, &store, &lineage, &chronicle));
                evidence.wanted = Some(point(drill, &stop));
                evidence.forks = forks(&lineage);
                let to_the_end = recovery.to.at == Point::Latest;
                let newest = recovery.timeline == Timeline::Latest;
                let aim = Aim {
                    chain,
                    settings,
                    to_the_end,
                    newest,
                    lineage,
                    chronicle: Arc::new(chronicle),
                    stop,
                };
                return match aim.stop.ambiguity(&recovery.to) {
                    None => Ok(Ok(aim)),
                    Some(message) => Err(Unable::new(Code::TargetAmbiguous, message)),
                };
            }
            // What the newest backup met is told, where no older one is better.
            Aimed::TooEarly => early = early.or(Some((origin, chain))),
            Aimed::NeverReached(met) => unreached = unreached.or(Some((met, chain))),
            Aimed::Unresolved(why) => unresolved = unresolved.or(Some(why)),
        }
    }
    if let Some((origin, chain)) = early {
        let backup = chain.last().map_or("the backup", |member| member.name.as_str());
        let message = format!("{}, and no older backup reaches it", origin.too_early(&recovery.to, backup));
        return Err(Unable::new(Code::TargetBeforeBackup, message));
    }
    if let Some((met, chain)) = unreached {
        let (chronicle, reach) = *met;
        evidence.backups = chain.iter().map(|member| member.name.clone()).collect();
        let end = wal_end::evidence(drill, &store, &Lineage::single(reach.timeline), &chronicle);
        let finding = reach.beyond(&recovery.to, &end.why);
        evidence.archive_end = Some(end);
        return Ok(Err(finding));
    }
    match unresolved {
        Some(why) => unrelated(&why, &timelines).map(Err),
        None => Err(Unable::bug("a recovery of no backup")),
    }
}

/// What it means that the timelines of an archive do not lead from a backup to where it is to go.
///
/// # Errors
///
/// `TIMELINE_UNRELATED`; damage is a finding.
pub fn unrelated(why: &Unresolved, timelines: &Timelines) -> Result<Finding, Unable> {
    if let Some(finding) = why.damage() {
        return Ok(finding);
    }
    let known: Vec<String> =
        [1].into_iter().chain(timelines.known()).map(|known| known.to_string()).collect();
    Err(Unable::new(Code::TimelineUnrelated, why.to_string())
        .hint(format!("the archive knows these timelines: {}", known.join(", "))))
}

/// Refuses to judge by WAL that is there and could not be read: nothing is known about it.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`.
pub fn readable(chronicle: &Chronicle) -> Result<(), Unable> {
    match &chronicle.end().reason {
        Reason::Unreadable { error } => {
            let message = format!("segment {} cannot be read: {error}", chronicle.end().segment);
            Err(Unable::new(Code::WorkspaceUnusable, message))
        }
        _ => Ok(()),
    }
}

/// The WAL that recovery will find: the archive, and what an operator could save beside it.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`.
pub fn store(drill: &Drill<'_>) -> Result<Store, Unable> {
    if let Some(taken) = &drill.given {
        return taken.store(drill.made.wal_segment_megabytes << 20).map_err(|error| unreadable(&error));
    }
    let mut directories = vec![drill.workspace.path("archive")];
    directories.extend(left_over::saved(drill.workspace));
    let directories: Vec<&std::path::Path> = directories.iter().map(PathBuf::as_path).collect();
    let store = Store::open(&directories).map_err(|error| unreadable(&error))?;
    let store = store.of_segment_size(drill.made.wal_segment_megabytes << 20);
    // What a receiver was writing when the server was lost is completed before recovery.
    if drill.made.archive.by != ArchiveBy::Receivewal {
        return Ok(store);
    }
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let unfinished = left_over::unfinished(&drill.workspace.path("archive"), size)?;
    Ok(store.with_partial(unfinished.into_iter().collect()))
}

/// Where the timelines of a lineage left each other.
fn forks(lineage: &Lineage) -> Vec<ForkEvidence> {
    let pairs = lineage.stretches().windows(2);
    pairs
        .filter_map(|pair| match pair {
            [parent, child] => {
                Some(ForkEvidence { timeline: child.timeline, parent: parent.timeline, at: Lsn(parent.end) })
            }
            _ => None,
        })
        .collect()
}

/// An archive that cannot be read.
pub fn unreadable(error: &Unreadable) -> Unable {
    Unable::new(Code::WorkspaceUnusable, format!("the archive cannot be read: {error}"))
}

/// A backup as what a recovery could begin from.
///
/// # Errors
///
/// A bug: a backup that was not taken.
pub fn candidate(drill: &Drill<'_>, chain: &[Member]) -> Result<Candidate, Unable> {
    if let Some(taken) = &drill.given {
        let origin = taken.origin.ok_or_else(|| Unable::bug("a recovery from a dump"))?;
        return Ok(Candidate { chain: chain.to_vec(), origin });
    }
    let newest = chain.last().ok_or_else(|| Unable::bug("a backup of no member"))?;
    let taken = drill.backups.get(&newest.name);
    let taken = taken.ok_or_else(|| Unable::bug("the plan recovers a backup before it is taken"))?;
    let BackupEvidence { start_lsn: Lsn(start), end_lsn: Lsn(end), timeline, ended_unix_us, .. } = *taken;
    Ok(Candidate {
        chain: chain.to_vec(),
        origin: Origin {
            begin: Place { timeline, position: start },
            end: Place { timeline, position: end },
            // One from a standby has no record of its end (`do_pg_backup_stop`, `xlog.c`).
            consistent: match newest.how.from {
                BackupFrom::Primary => Consistent::AtBackupEnd { start },
                BackupFrom::Standby => Consistent::At(end),
            },
            ended_unix_us,
        },
    })
}

/// A target as the server's own settings.
fn settings(wanted: &target::Target) -> Vec<(&'static str, String)> {
    let inclusive = if wanted.is_inclusive() { "on" } else { "off" };
    let one = wanted.setting();
    one.map(|one| vec![one, ("recovery_target_inclusive", inclusive.to_owned())]).unwrap_or_default()
}

/// What is looked for in the WAL: of a mark, what the server is given of it.
fn wanted(drill: &Drill<'_>, target: &Target) -> Result<target::Target, Unable> {
    let inclusive = target.inclusive;
    let Point::Mark(name, by) = &target.at else {
        return target::Target::of(target).ok_or_else(|| Unable::bug("a target that is nothing"));
    };
    let mark = mark(drill, name)?;
    Ok(match by {
        MarkBy::Name => target::Target::Name(mark.name.clone()),
        MarkBy::Lsn => target::Target::Lsn { position: mark.lsn.0, inclusive },
        MarkBy::Time => target::Target::Time { micros: mark.unix_us, inclusive },
        MarkBy::Xid => target::Target::Xid { xid: mark.xid, inclusive },
    })
}

/// A mark that was made.
///
/// # Errors
///
/// A bug: the parser knows every mark, and a step that could not make one ended the drill.
fn mark<'d>(drill: &'d Drill<'_>, name: &str) -> Result<&'d MarkEvidence, Unable> {
    drill.marks.get(name).ok_or_else(|| Unable::bug(format!("the plan recovers to {name} before it is made")))
}

fn point(drill: &Drill<'_>, stop: &Stopped) -> PointEvidence {
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    PointEvidence {
        lsn: stop.exact.then_some(Lsn(stop.replayed_to)),
        timeline: stop.timeline,
        xid: stop.last_commit.map(|commit| commit.xid),
        commit_unix_us: stop.last_commit.map(|commit| commit.time),
        segment: Some(segment::name(stop.timeline, stop.replayed_to.saturating_sub(1), size)),
    }
}

/// The limits that a server must have that replays these events: those of the backup's control file, and larger ones that
/// came later. One that meets a larger one while it lets readers in stops there (`RecoveryRequiresIntParameter`,
/// `xlogrecovery.c`).
pub fn limits<'a>(events: impl Iterator<Item = Event<'a>>, least: Minima) -> Minima {
    events.fold(least, |least, event| match event.what {
        What::Parameters(now) => Minima {
            max_connections: least.max_connections.max(now.max_connections),
            max_worker_processes: least.max_worker_processes.max(now.max_worker_processes),
            max_wal_senders: least.max_wal_senders.max(now.max_wal_senders),
            max_prepared_transactions: least.max_prepared_transactions.max(now.max_prepared_transactions),
            max_locks_per_transaction: least.max_locks_per_transaction.max(now.max_locks_per_transaction),
        },
        _ => least,
    })
}

impl Aim {
    /// The last transaction that committed in what was replayed up to a position.
    pub fn last_commit_before(&self, reached: u64) -> Option<u32> {
        self.commits().take_while(|(_, event)| event.end <= reached).last().map(|(xid, _)| xid)
    }

    /// The limits that a server must have that replays this WAL up to where it stops.
    pub fn limits(&self, least: Minima) -> Minima {
        limits(self.chronicle.events().take(self.stop.events), least)
    }

    /// How many transactions committed between two positions.
    pub fn commits_between(&self, one: u64, other: u64) -> u64 {
        let (from, to) = (one.min(other), one.max(other));
        self.commits().filter(|(_, event)| event.end > from && event.end <= to).count() as u64
    }

    /// Every commit of the WAL: its transaction and its record.
    pub fn commits(&self) -> impl Iterator<Item = (u32, Event<'_>)> {
        self.chronicle.events().filter_map(|event| match event.what {
            What::Commit(finished) => Some((finished.xid, event)),
            _ => None,
        })
    }
}
