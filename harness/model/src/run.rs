//! The record of a drill: the one thing that reports read.

use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::event::{Event, Header, PlannedStep, StepStatus, Teardown};
use crate::evidence::{
    AlertEvidence, ApplicationEvidence, AsWrittenEvidence, BackupEvidence, BareEvidence, BaselineEvidence,
    BeginningEvidence, CheckRecord, CheckStatus, CountsEvidence, FailoverEvidence, FaultEvidence,
    LoadEvidence, LossEvidence, MarkEvidence, MutantEvidence, Phase, PlaceFacts, RecoveryEvidence,
    RedoEvidence, RepetitionEvidence, RollbackEvidence, SafetyCopyEvidence, ServerEvidence, SourceEvidence,
    SweepEvidence, TallyEvidence, TriageEvidence, WorkEvidence,
};
use crate::finding::Finding;
use crate::scenario::{BackupTool, Rpo};
use crate::times::Times;
use crate::units::Lsn;
use crate::verdict::Verdict;

/// The name and version of the record's form. Fields may be added within a version; none is removed or changes
/// its meaning.
pub const SCHEMA: &str = "pgdrill.run/1";

/// The record of one drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Run {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What was known when it began.
    #[serde(flatten)]
    pub header: Header,
    /// When it began, microseconds since 1970 UTC.
    pub started_unix_us: i64,
    /// How long it took, teardown included.
    pub took_us: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// What was seen, before `expect` was taken into account.
    pub observed: Verdict,
    /// One sentence: why this verdict.
    pub reason: String,
    /// Whether a person ended it.
    pub interrupted: bool,
    /// The places of its servers, by server.
    pub places: Vec<(String, PlaceFacts)>,
    /// What its servers said of themselves.
    #[serde(default)]
    pub servers: Vec<ServerEvidence>,
    /// How each step of the plan ended.
    pub steps: Vec<StepRecord>,
    /// The run whose first steps it went on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beginning: Option<BeginningEvidence>,
    /// What was loaded.
    pub load: Option<LoadEvidence>,
    /// Where the backup came from that was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceEvidence>,
    /// The backups that were taken.
    pub backups: Vec<BackupEvidence>,
    /// What was there before the disaster: of several captures the last.
    pub baseline: Option<BaselineEvidence>,
    /// What writers did.
    #[serde(default)]
    pub work: Vec<WorkEvidence>,
    /// Named instants.
    #[serde(default)]
    pub marks: Vec<MarkEvidence>,
    /// What became of the transactions of the ledger, by recovered server.
    #[serde(default)]
    pub tallies: Vec<TallyEvidence>,
    /// Sweeps over recovery points.
    #[serde(default)]
    pub sweeps: Vec<SweepEvidence>,
    /// What was damaged on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultEvidence>,
    /// What PostgreSQL alone said when it was to stop at a mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<BareEvidence>,
    /// Damaged copies of the drill's own backup and archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mutants: Vec<MutantEvidence>,
    /// The alerts that were waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertEvidence>,
    /// What was found out in the first minutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triages: Vec<TriageEvidence>,
    /// Standbys that took the place of their primary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failovers: Vec<FailoverEvidence>,
    /// What was put aside of lost servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub safety_copies: Vec<SafetyCopyEvidence>,
    /// The return to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackEvidence>,
    /// The application, each time that it was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<ApplicationEvidence>,
    /// Steps of the runbook that were carried out, as written or corrected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub as_written: Vec<AsWrittenEvidence>,
    /// The recoveries.
    pub recoveries: Vec<RecoveryEvidence>,
    /// The last of them, repeated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repetitions: Vec<RepetitionEvidence>,
    /// The rows of what came of a backup that was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<CountsEvidence>,
    /// How each check of the plan ended.
    pub checks: Vec<CheckRecord>,
    /// The objectives, measured.
    pub objectives: Vec<Objective>,
    /// What was seen, worst first.
    pub findings: Vec<Finding>,
    /// What teardown did; none where it did not come that far.
    pub teardown: Option<Teardown>,
    /// What this drill says nothing about.
    pub not_tested: Vec<String>,
    /// Everything that happened, in order.
    pub events: Vec<Event>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepRecord {
    /// What was planned.
    #[serde(flatten)]
    pub planned: PlannedStep,
    /// How it ended.
    pub status: StepStatus,
    /// How long it took.
    pub took_us: u64,
}

/// An objective and what was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Objective {
    /// `rto`, `rpo` or `outage`.
    pub name: String,
    /// What exactly is measured.
    pub definition: String,
    /// The target, where there is one.
    pub target_us: Option<u64>,
    /// What was measured.
    pub measured_us: Option<u64>,
    /// Whether the target was met; none when there is no target or no measurement.
    pub met: Option<bool>,
    /// The target of an RPO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_rpo: Option<Rpo>,
    /// What was measured of an RPO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossEvidence>,
}

/// The JSON Schema of a record as it is written: one reference, and what it refers to in `$defs`.
pub fn schema() -> serde_json::Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let run = generator.subschema_for::<Run>();
    serde_json::json!({ "$ref": run.get("$ref"), "$defs": generator.take_definitions(true) })
}

/// A recovery whose time was measured to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured<'r> {
    /// The phases, in order, without gaps.
    pub phases: &'r [Phase],
    /// The recovery time in microseconds.
    pub took_us: u64,
    /// What the server says that replay took.
    pub redo: Option<RedoEvidence>,
}

impl Run {
    /// Whether it is about a backup that was there already.
    pub fn is_of_given(&self) -> bool {
        self.backups.iter().any(|backup| backup.path.is_some())
    }

    /// Whether pgBackRest took its backups, in the drill itself.
    pub fn is_of_repository(&self) -> bool {
        self.takes(BackupTool::PgBackRest)
    }

    /// Whether its backups have no manifest, since the low-level API took them, in the drill itself.
    pub fn is_low_level(&self) -> bool {
        self.takes(BackupTool::LowLevel)
    }

    /// Whether Barman took its backups, in the drill itself.
    pub fn is_of_barman(&self) -> bool {
        self.takes(BackupTool::Barman)
    }

    fn takes(&self, tool: BackupTool) -> bool {
        self.backups.iter().any(|backup| backup.path.is_none() && backup.tool == tool.name())
    }

    /// Whether its backups are dumps that it took itself.
    pub fn is_of_dumps(&self) -> bool {
        self.backups.iter().any(|backup| backup.path.is_none() && backup.tool == BackupTool::PgDump.name())
    }

    /// The last recovery and its repetitions, those that came to an end: what is measured several times.
    pub fn measured(&self) -> impl Iterator<Item = Measured<'_>> {
        let first = self.recoveries.last().and_then(|recovery| {
            Some(Measured { phases: &recovery.phases, took_us: recovery.rto_us?, redo: recovery.redo })
        });
        let again = self.repetitions.iter().filter_map(|repetition| {
            Some(Measured { phases: &repetition.phases, took_us: repetition.rto_us?, redo: repetition.redo })
        });
        first.into_iter().chain(again)
    }

    /// Their times.
    pub fn times(&self) -> Option<Times> {
        Times::of(self.measured().map(|recovery| recovery.took_us).collect())
    }

    /// The checks whose holding the verdict rests on: each once, of however many servers.
    pub fn proven_for(&self) -> Vec<Check> {
        let held = self.checks.iter().filter(|check| check.status == CheckStatus::Held);
        let mut checks: Vec<Check> = held.map(|held| held.check).collect();
        checks.dedup();
        checks
    }

    /// Whether a recovery stopped where it had to by the WAL. None where one of the two is not known.
    pub fn stopped_as_the_wal_says(&self, recovery: &RecoveryEvidence) -> Option<bool> {
        let (wanted, reached) = (recovery.wanted.as_ref()?, recovery.reached.as_ref()?);
        // Where the WAL leaves it open where exactly replay stops, it names no position.
        let there = wanted.lsn.is_none() || wanted.lsn == reached.lsn;
        let at = wanted.lsn.or(reached.lsn);
        let along = wanted.timeline == reached.timeline
            || at.is_some_and(|at| self.is_shared(wanted.timeline, reached.timeline, at));
        Some(there && along)
    }

    /// Whether a position lies before the recoveries of this run, or by the histories that they met somebody else, made
    /// `child` of `ancestor`: up to there both are the same
    /// WAL. A server that goes back to before a fork names the timeline that it was to follow, and the WAL the one that
    /// the records are on.
    fn is_shared(&self, ancestor: u32, child: u32, at: Lsn) -> bool {
        let fork = |timeline: u32| {
            self.recoveries.iter().find_map(|recovery| {
                let told = recovery.forks.iter().find(|fork| fork.timeline == timeline);
                // Its own is in no history that it met.
                let own = || {
                    let left = recovery.reached.as_ref().filter(|left| left.timeline < timeline)?;
                    (recovery.timeline == Some(timeline)).then_some((left.timeline, left.lsn?))
                };
                told.map(|fork| (fork.parent, fork.at)).or_else(own)
            })
        };
        let mut timeline = child;
        while timeline != ancestor {
            match fork(timeline) {
                Some((parent, left_at)) if at <= left_at => timeline = parent,
                _ => return false,
            }
        }
        true
    }
}
