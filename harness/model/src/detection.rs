//! Who notices which fault: a table that is made from the records of drills with faults, and of nothing else.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::{CHECKS, Check};
use crate::code::{Code, Weight};
use crate::evidence::CheckStatus;
use crate::fault::Fault;
use crate::finding::{Finding, Stage};
use crate::run::Run;

/// The named fact by which a finding says that one of PostgreSQL's own programs made it.
pub const BY_PROGRAM: &str = "program";

/// Something that may notice a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// `pg_basebackup`, while it takes the backup.
    PgBasebackup,
    /// What brings WAL into the archive.
    Archiving,
    /// PostgreSQL's `pg_verifybackup` and `pg_waldump`.
    PgVerifybackup,
    /// What pgdrill knows of the manifest since the backup ended.
    KeptManifest,
    /// pgdrill's own reading of the backup and of the WAL in the archive.
    Verify,
    /// What unpacks the backup.
    Unpack,
    /// The restored server: it does not start, does not come to its end, or lets nobody in.
    ServerStart,
    /// PostgreSQL alone, told to stop at a mark.
    Target,
    /// Where recovery stopped, against where the WAL says that it had to.
    RecoveryPoint,
    /// The objectives: recovery time and recovery point.
    Objectives,
    /// A check of the recovered server.
    Check(Check),
}

impl Detector {
    /// All of them, in the order of a table's columns.
    pub fn all() -> Vec<Self> {
        let others = CHECKS
            .iter()
            .map(|entry| entry.check)
            .filter(|check| !matches!(check, Check::Manifest | Check::Verify))
            .map(Self::Check);
        [
            Self::PgBasebackup,
            Self::Archiving,
            Self::PgVerifybackup,
            Self::KeptManifest,
            Self::Verify,
            Self::Unpack,
            Self::ServerStart,
            Self::Target,
            Self::RecoveryPoint,
            Self::Objectives,
        ]
        .into_iter()
        .chain(others)
        .collect()
    }

    /// Its name, for people and in the JSON report.
    pub fn name(self) -> &'static str {
        match self {
            Self::PgBasebackup => "pg_basebackup",
            Self::Archiving => "archiving",
            Self::PgVerifybackup => "pg_verifybackup",
            Self::KeptManifest => "kept manifest",
            Self::Verify => "pgdrill verify",
            Self::Unpack => "unpacking",
            Self::ServerStart => "server start",
            Self::Target => "recovery target",
            Self::RecoveryPoint => "recovery point",
            Self::Objectives => "objectives",
            Self::Check(check) => check.name(),
        }
    }

    /// Whether a finding is this one's.
    fn made(self, finding: &Finding) -> bool {
        // That a check did not run notices nothing.
        if finding.weight == Weight::Notes || finding.code == Code::CheckNotRun {
            return false;
        }
        let program = finding.evidence.contains_key(BY_PROGRAM);
        match (self, finding.check, finding.code) {
            (Self::PgVerifybackup, Some(Check::Manifest), _) => program,
            (Self::KeptManifest, Some(Check::Manifest), _) => !program,
            (Self::Verify, Some(check), _) => check == Check::Verify,
            (Self::Check(own), Some(check), _) => own == check,
            (_, Some(_), _) => false,
            (Self::PgBasebackup, None, Code::BackupFailed | Code::ProgramKilled) => true,
            (Self::PgBasebackup, None, Code::PageChecksumFailed) => finding.stage == Stage::Backup,
            (Self::Archiving, None, code) => code == Code::ArchiveStalled,
            // Also of a backup that was passed over because it is not good.
            (Self::Verify, None, code) => {
                let of_a_backup = Check::Verify.entry().codes.contains(&code);
                (finding.stage == Stage::Recover && of_a_backup)
                    || matches!(
                        code,
                        Code::TargetBeyondArchive | Code::TargetAmbiguous | Code::TimelineUnrelated
                    )
                    || matches!(code, Code::WalGap | Code::WalDamaged | Code::BackupUnfit)
            }
            (Self::Unpack, None, code) => {
                matches!(code, Code::UnpackFailed | Code::TablespaceOutside | Code::DiskFull)
            }
            (Self::ServerStart, None, code) => {
                matches!(code, Code::RecoveryFailed | Code::ServerLost | Code::QuarantineBroken)
            }
            (Self::RecoveryPoint, None, code) => matches!(code, Code::TargetMissed | Code::WalNotGiven),
            (Self::Objectives, None, code) => {
                matches!(code, Code::RtoExceeded | Code::RpoExceeded | Code::OutageExceeded)
            }
            (Self::Check(Check::FirstWrite), None, code) => code == Code::FirstWriteFailed,
            (Self::Check(Check::ReadAll), None, code) => code == Code::TableUnreadable,
            _ => false,
        }
    }

    /// Whether it looked at all in a run in which it noticed nothing.
    fn looked(self, run: &Run) -> bool {
        let held = |check: Check| {
            run.checks.iter().any(|record| record.check == check && record.status != CheckStatus::NotRun)
        };
        let before =
            |stage: Stage| run.findings.iter().any(|finding| finding.stage <= stage && ends(finding));
        match self {
            // Nor has pg_dump looked at the files of a server.
            Self::PgBasebackup => !run.backups.is_empty() && !run.is_of_dumps(),
            Self::Archiving => run.recoveries.iter().any(|recovery| recovery.archive_end.is_some()),
            Self::PgVerifybackup | Self::KeptManifest => held(Check::Manifest),
            Self::Verify => held(Check::Verify),
            Self::Unpack => !run.recoveries.is_empty() && !before(Stage::Backup),
            Self::ServerStart => run.recoveries.iter().any(|recovery| recovery.looks_well == Some(true)),
            Self::Target => run.bare.as_ref().is_some_and(|bare| bare.promoted == Some(true)),
            Self::RecoveryPoint => run.recoveries.iter().any(|recovery| recovery.reached.is_some()),
            Self::Objectives => run.objectives.iter().any(|objective| objective.met == Some(true)),
            Self::Check(check) => held(check),
        }
    }

    /// What it made of a run.
    pub fn sight(self, run: &Run) -> Sight {
        let refused =
            self == Self::Target && run.bare.as_ref().is_some_and(|bare| bare.promoted == Some(false));
        if refused || run.findings.iter().any(|finding| self.made(finding)) {
            Sight::Seen
        } else if self.looked(run) {
            Sight::Blind
        } else {
            Sight::NotApplicable
        }
    }
}

/// Whether a finding ends a drill.
fn ends(finding: &Finding) -> bool {
    matches!(finding.code, Code::BackupFailed | Code::ArchiveStalled)
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a detector made of a fault.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// It did not come to look, or there was nothing for it to look at.
    NotApplicable,
    /// It looked and noticed nothing.
    Blind,
    /// Some runs of several.
    Sometimes,
    /// It noticed.
    Seen,
}

impl Sight {
    /// Of two runs with the same fault.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotApplicable, sight) | (sight, Self::NotApplicable) => sight,
            (one, other) if one == other => one,
            _ => Self::Sometimes,
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// In how many runs it was made.
    pub runs: usize,
    /// What each of [`Detector::all`] made of it.
    pub sights: Vec<Sight>,
}

impl Row {
    /// Those that noticed it in every run in which they looked, or in some.
    pub fn seen_by(&self) -> Vec<Detector> {
        self.having(&[Sight::Seen, Sight::Sometimes])
    }

    /// Those with one of these sights.
    pub fn having(&self, sights: &[Sight]) -> Vec<Detector> {
        let all = Detector::all().into_iter().zip(&self.sights);
        all.filter(|(_, sight)| sights.contains(sight)).map(|(detector, _)| detector).collect()
    }
}

/// The table: a row for each fault that was made alone in a run, in the catalogue's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    /// The rows.
    pub rows: Vec<Row>,
}

impl Matrix {
    /// The table of these runs. Runs with several faults tell nothing of one of them, and are left out.
    pub fn of<'r>(runs: impl IntoIterator<Item = &'r Run>) -> Self {
        let mut rows: BTreeMap<Fault, Row> = BTreeMap::new();
        for run in runs {
            let [made] = run.faults.as_slice() else { continue };
            let sights = Detector::all().into_iter().map(|detector| detector.sight(run)).collect::<Vec<_>>();
            rows.entry(made.fault)
                .and_modify(|row| {
                    row.runs += 1;
                    row.sights = row.sights.iter().zip(&sights).map(|(one, other)| one.and(*other)).collect();
                })
                .or_insert(Row { fault: made.fault, runs: 1, sights });
        }
        Self { rows: rows.into_values().collect() }
    }

    /// Faults that nobody noticed, although they do harm.
    pub fn unnoticed(&self) -> impl Iterator<Item = Fault> + '_ {
        let harmful = |row: &&Row| !row.fault.is_harmless() && row.seen_by().is_empty();
        self.rows.iter().filter(harmful).map(|row| row.fault)
    }

    /// Changes that do no harm, and that somebody noticed.
    pub fn false_alarms(&self) -> impl Iterator<Item = Fault> + '_ {
        let alarmed = |row: &&Row| row.fault.is_harmless() && !row.seen_by().is_empty();
        self.rows.iter().filter(alarmed).map(|row| row.fault)
    }

    /// What would survive without each detector: the faults that only it noticed.
    pub fn only_seen_by(&self) -> Vec<(Detector, Vec<Fault>)> {
        let mut only: BTreeMap<Detector, Vec<Fault>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| !row.fault.is_harmless()) {
            if let [detector] = row.seen_by().as_slice() {
                only.entry(*detector).or_default().push(row.fault);
            }
        }
        only.into_iter().collect()
    }
}
