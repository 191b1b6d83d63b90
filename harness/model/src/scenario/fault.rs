//! Where a fault may stand, and what it must have: one that cannot be made is told before anything is done.

use std::collections::BTreeMap;

use super::file::{MutantsArguments, Step as Written};
use super::mistake::{Note, Span};
use super::slot::{At, Slot};
use super::value::FaultName;
use super::{ArchiveBy, Backup, BackupFormat, BackupTool, MarkBy, Method, Point, Scenario, Step, WalMethod};
use crate::fault::{Fault, Need, Site};

/// Where the faults stand, in order.
pub(super) fn places(written: &[Slot<Written>]) -> Vec<Span> {
    let place = |step: &Slot<Written>| match &step.0 {
        Some(At { span, what: Written::Fault(_) }) => Some(*span),
        _ => None,
    };
    written.iter().filter_map(place).collect()
}

/// Tells of each fault that cannot be made where it stands.
pub(super) fn check(scenario: &Scenario, places: &[Span], notes: &mut Vec<Note>) {
    let faults = scenario.steps.iter().enumerate().filter_map(|(at, step)| match step.what {
        Step::Fault(fault) => Some((at, fault)),
        _ => None,
    });
    for ((at, fault), place) in faults.zip(places) {
        let around = Around { scenario, at };
        if let Some((message, hint)) = around.misplaced(fault).or_else(|| around.missing(fault)) {
            notes.push(Note::new(*place, message).hint(hint));
        }
    }
}

/// Whether a fault can be done to what a scenario has stored before its step `at`.
pub(crate) fn applies(scenario: &Scenario, at: usize, fault: Fault) -> bool {
    Around { scenario, at }.missing(fault).is_none()
}

/// The mutants that may survive, each with the reason why.
pub(super) fn survivors(written: Option<MutantsArguments>, notes: &mut Vec<Note>) -> BTreeMap<Fault, String> {
    let mut survivors = BTreeMap::new();
    let entries =
        written.and_then(|mutants| mutants.survivors.what()).map(|entries| entries.0).unwrap_or_default();
    for (name, why) in entries {
        let (Some(At { span, what: FaultName(fault) }), Some(why)) = (name.0, why.what()) else { continue };
        if !fault.makes_mutants() {
            notes.push(
                Note::new(
                    span,
                    format!("`{fault}` makes no mutant: it is not done to a stored backup or archive"),
                )
                .hint("leave it out; `pgdrill explain` lists the faults with what they are done to"),
            );
        }
        survivors.insert(fault, why.0);
    }
    survivors
}

/// A step of a scenario, and what stands above and below it.
struct Around<'s> {
    scenario: &'s Scenario,
    at: usize,
}

impl Around<'_> {
    fn above(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.scenario.steps[..self.at].iter().map(|step| &step.what)
    }

    fn below(&self) -> impl Iterator<Item = &Step> {
        self.scenario.steps[self.at..].iter().map(|step| &step.what)
    }

    /// Whether the server is lost here, and nothing recovered yet.
    fn lost(&self) -> bool {
        let last = self.above().rev().find(|step| loses(step) || matches!(step, Step::Recover(_)));
        last.is_some_and(loses)
    }

    /// Why a fault cannot stand here.
    fn misplaced(&self, fault: Fault) -> Option<(String, String)> {
        let name = fault.name();
        let lost = self.lost();
        let recovered = !lost && self.above().any(|step| matches!(step, Step::Recover(_)));
        let will_be_lost = self.below().any(loses);
        let told = |where_: &str, hint: &str| Some((format!("`{name}` {where_}"), hint.to_owned()));
        match fault.site() {
            Site::Server if lost || !will_be_lost => told(
                "is done to a server that will be lost, and there is none here",
                "move it above the disaster",
            ),
            Site::Taking if lost || !self.takes_a_backup() => {
                told("is done to the backup that is taken next, and none is", "move it above a `- backup`")
            }
            Site::Backup | Site::Archive | Site::Restore if !lost => told(
                "is done between a disaster and the recovery from it",
                "move it below the disaster and above `- recover`",
            ),
            Site::Recovered if !recovered || will_be_lost => told(
                "is done to the server that is recovered last, and there is none here",
                "move it below the last `- recover`, and above its checks",
            ),
            Site::Recovered if self.above().any(|step| matches!(step, Step::Check(_))) => {
                told("stands below the checks that should notice it", "move it above them")
            }
            _ => None,
        }
    }

    fn takes_a_backup(&self) -> bool {
        self.below().take_while(|step| !loses(step)).any(|step| matches!(step, Step::Backup(_)))
    }

    /// What the scenario lacks for a fault.
    fn missing(&self, fault: Fault) -> Option<(String, String)> {
        let needs = fault.entry().needs;
        let of_a_base_backup = |need: &Need| {
            matches!(need, Need::Full | Need::Tar | Need::Plain | Need::Compressed | Need::OwnWal)
        };
        let stored = matches!(fault.site(), Site::Backup | Site::Taking) && !needs.contains(&Need::Dump);
        let tool = self.scenario.tool();
        let own = matches!(tool, BackupTool::PgBackRest | BackupTool::Barman);
        if own && (stored || needs.iter().any(of_a_base_backup)) {
            return Some((
                format!(
                    "`{}` does not apply: it is of a base backup, and {} takes this one",
                    fault.name(),
                    tool.name()
                ),
                "leave it out, or write `tool: pg_basebackup`".to_owned(),
            ));
        }
        if self.scenario.dumps()
            && let Some((why, hint)) = beside_dumps(fault)
        {
            return Some((format!("`{}` does not apply: {why}", fault.name()), hint.to_owned()));
        }
        let (lacks, mut hint) = needs.iter().find_map(|need| self.lacks(*need))?;
        let of_a_program = |need: &Need| {
            matches!(need, Need::Manifest | Need::Program | Need::Tar | Need::Compressed | Need::OwnWal)
        };
        if self.scenario.tool() == BackupTool::LowLevel && needs.iter().any(of_a_program) {
            hint = "leave it out, or write `tool: pg_basebackup`";
        }
        Some((format!("`{}` does not apply: {lacks}", fault.name()), hint.to_owned()))
    }

    fn lacks(&self, need: Need) -> Option<(&'static str, &'static str)> {
        let backups = || {
            self.above().filter_map(|step| match step {
                Step::Backup(backup) => Some(backup),
                _ => None,
            })
        };
        let newest = backups().next_back();
        let scenario = self.scenario;
        let archive = &scenario.archive;
        let (there, lacks, hint) = match need {
            Need::Full => (
                newest.is_some_and(|backup| !backup.incremental),
                "the newest backup is incremental",
                "take a full one",
            ),
            Need::Manifest => (
                scenario.tool() != BackupTool::LowLevel,
                "a backup by the low-level API has no manifest, so nobody can notice",
                "leave it out, or write `tool: pg_basebackup`",
            ),
            Need::Program => (
                scenario.tool() != BackupTool::LowLevel,
                "it is about the program that takes a backup, and the low-level API is none",
                "leave it out, or write `tool: pg_basebackup`",
            ),
            Need::Tar => (
                newest.is_some_and(|backup| backup.format == BackupFormat::Tar),
                "the newest backup is plain, and has no tar",
                "write `format: tar`",
            ),
            Need::Plain => (
                newest.is_some_and(|backup| backup.format == BackupFormat::Plain),
                "the newest backup is in tar format",
                "write `format: plain`",
            ),
            Need::Compressed => (
                newest.is_some_and(|backup| backup.compress.method != Method::None),
                "the newest backup is not compressed",
                "write `compress: gzip`",
            ),
            Need::OwnWal => (
                newest.is_some_and(|backup| backup.wal == WalMethod::Stream),
                "the newest backup has no WAL of its own",
                "write `wal: stream`",
            ),
            Need::Dump => (
                newest.is_some_and(Backup::is_dump),
                "the newest backup is no dump",
                "write `- backup: { tool: pg_dump }`",
            ),
            Need::OlderBackup => (
                backups().filter(|backup| !backup.incremental).count() > 1,
                "there is no older backup",
                "take a full backup above it",
            ),
            Need::Tablespace => (
                !scenario.tablespaces.is_empty(),
                "the scenario has no tablespace",
                "write `tablespaces: { history: [AuditLog] }`",
            ),
            Need::Checksums => (
                scenario.cluster.checksums,
                "the cluster has no page checksums, so nobody can notice",
                "leave `checksums: off` out",
            ),
            Need::Work => (
                self.above().any(|step| matches!(step, Step::Work(work) if !work.behind)),
                "no writers have ended above it",
                "write `- work: { for: 1s }` above it",
            ),
            Need::PlainArchive if archive.by == ArchiveBy::PgBackRest => (
                false,
                "the archive is a repository of pgBackRest",
                "leave `archive: { by: pgbackrest }` out",
            ),
            Need::PlainArchive => (
                archive.command.is_none(),
                "the archive is what the scenario's own archive_command makes of it",
                "leave `archive: { command: ... }` out",
            ),
            Need::ArchiveCommand => (
                archive.by == ArchiveBy::Command && archive.command.is_none(),
                "the server does not archive by pgdrill's archive_command",
                "leave `archive` out",
            ),
            Need::Receiver => (
                archive.by == ArchiveBy::Receivewal,
                "there is no pg_receivewal",
                "write `archive: { by: receivewal }`",
            ),
            Need::OwnFetch if archive.by == ArchiveBy::PgBackRest => {
                (false, "pgBackRest gives the WAL back", "leave `archive: { by: pgbackrest }` out")
            }
            Need::OwnFetch => (
                archive.restore.is_none(),
                "the scenario has a restore_command of its own",
                "leave `archive: { restore: ... }` out",
            ),
            Need::Timeline => (
                self.above().any(|step| matches!(step, Step::Recover(_) | Step::Failover(_))),
                "nothing was recovered before, so there is one timeline",
                "recover above it, and lose the server again, or write `- failover` above it",
            ),
            Need::TimeTarget => (
                self.goes_to_a_time(),
                "the next recovery does not go to a time",
                "write `recover: { to: { mark: ..., by: time } }`",
            ),
            Need::RecoveryTime => (
                scenario.objectives.rto.is_some(),
                "no objective bounds the recovery time",
                "write `objectives: { rto: 5s }`",
            ),
            Need::Collation => (
                scenario.cluster.locale.as_ref().is_some_and(|locale| has_versions(&locale.what))
                    || scenario.cluster.icu_locale.is_some(),
                "the cluster orders text as C does, which has no versions",
                "write `cluster: { locale: en_US.UTF-8 }`",
            ),
            Need::Primary => (
                !self.above().any(|step| matches!(step, Step::Recover(_) | Step::Failover(_))),
                "the server here is not the first one, and only that one's clock can be set",
                "move it above the first disaster, or the failover",
            ),
            Need::LaterMark => (
                self.goes_to_the_time_of_a_later_mark(),
                "the next recovery does not go to the time of a mark from after it",
                "write `- mark: NAME` below it, and `recover: { to: { mark: NAME, by: time } }`",
            ),
        };
        (!there).then_some((lacks, hint))
    }

    /// Where the next recovery goes.
    fn target(&self) -> Option<&Point> {
        self.below().find_map(|step| match step {
            Step::Recover(recover) => Some(&recover.to.at),
            _ => None,
        })
    }

    fn goes_to_a_time(&self) -> bool {
        matches!(self.target(), Some(Point::Time(_) | Point::Mark(_, MarkBy::Time)))
    }

    fn goes_to_the_time_of_a_later_mark(&self) -> bool {
        let Some(Point::Mark(name, MarkBy::Time)) = self.target() else { return false };
        self.below().any(|step| matches!(step, Step::Mark(mark) if mark == name))
    }
}

fn loses(step: &Step) -> bool {
    matches!(step, Step::Disaster(disaster) if disaster.loses_the_server())
}

/// Why a fault can do nothing to a drill whose backups are dumps, or would be unnoticed there with good reason.
fn beside_dumps(fault: Fault) -> Option<(&'static str, &'static str)> {
    let leave = "leave it out, or take a base backup";
    match fault.site() {
        Site::Backup if fault.entry().needs.contains(&Need::Dump) => None,
        Site::Backup | Site::Taking => Some(("it is of a base backup, and pg_dump takes this one", leave)),
        Site::Archive => Some(("a dump is loaded without the archive", leave)),
        Site::Restore => Some(("it is of a restore of files and a replay, and a dump is loaded", leave)),
        Site::Recovered if fault == Fault::ArchiveWritten => {
            Some(("what a dump is loaded into has no timeline of its own", leave))
        }
        Site::Recovered => None,
        Site::Server => match fault {
            Fault::ArchiverFails | Fault::ArchiveDiskFull | Fault::ReceiverKilled | Fault::ClockSetBack => {
                Some(("a dump is loaded without the archive", leave))
            }
            Fault::IndexOutOfOrder | Fault::RowBehindIndex => {
                Some(("a dump has rows, of which indexes are made anew", leave))
            }
            Fault::InvalidDatabase => {
                Some(("a dump leaves out a database that nobody can connect to", leave))
            }
            _ => None,
        },
    }
}

/// Whether the C library gives a version for a locale (`get_collation_actual_version`, `pg_locale.c`).
fn has_versions(locale: &str) -> bool {
    !["C", "POSIX"].iter().any(|plain| locale == *plain || locale.starts_with(&format!("{plain}.")))
}
