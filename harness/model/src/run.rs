//! The record of a drill: the one thing that reports read. It is the fold of the drill's events.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::event::{Event, Happening, PlannedStep, StepStatus, Teardown};
use crate::evidence::{
    BackupEvidence, BaselineEvidence, CheckRecord, CheckStatus, Evidence, LoadEvidence, RecoveryEvidence,
};
use crate::finding::Finding;
use crate::scenario::Expect;
use crate::units::Major;
use crate::verdict::{self, Verdict};
use crate::world::PlaceFacts;

/// The name and version of the record's form. Fields may be added within a version; none is removed or changes
/// its meaning.
pub const SCHEMA: &str = "pgdrill.run/1";

/// What is known of a run when it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The run's id, unique on this host and beyond.
    pub id: String,
    /// pgdrill's version.
    pub version: String,
    /// The scenario's id.
    pub scenario: String,
    /// The scenario's title.
    pub title: String,
    /// SHA-256 of the scenario file.
    pub scenario_sha256: String,
    /// The major version that was asked for.
    pub postgres: Major,
    /// The runtime.
    pub runtime: String,
    /// Where all chance comes from.
    pub seed: u64,
    /// What was planned.
    pub plan: Vec<PlannedStep>,
    /// The checks that the plan contains.
    #[serde(rename = "planned_checks")]
    pub checks: Vec<Check>,
    /// The recovery time objective.
    #[serde(default)]
    pub rto_us: Option<u64>,
    /// How the drill must end, when that is not `proven`.
    #[serde(default)]
    pub expect: Option<Expect>,
    /// The machine.
    pub host: Host,
}

/// The machine that a drill ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Operating system: `linux`.
    pub os: String,
    /// Processor architecture: `x86_64`.
    pub arch: String,
    /// Logical processors.
    pub cpus: u64,
    /// Main memory in bytes; 0 where it is not known.
    pub memory_bytes: u64,
}

/// The record of one drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How each step of the plan ended.
    pub steps: Vec<StepRecord>,
    /// What was loaded.
    pub load: Option<LoadEvidence>,
    /// The backups that were taken.
    pub backups: Vec<BackupEvidence>,
    /// What was there before the disaster.
    pub baseline: Option<BaselineEvidence>,
    /// The recoveries.
    pub recoveries: Vec<RecoveryEvidence>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// `rto`.
    pub name: String,
    /// What exactly is measured.
    pub definition: String,
    /// The target, where there is one.
    pub target_us: Option<u64>,
    /// What was measured.
    pub measured_us: Option<u64>,
    /// Whether the target was met; none when there is no target or no measurement.
    pub met: Option<bool>,
}

impl Run {
    /// The checks whose holding the verdict rests on.
    pub fn proven_for(&self) -> Vec<Check> {
        self.checks.iter().filter(|c| c.status == CheckStatus::Held).map(|c| c.check).collect()
    }
}

/// Folds the events of one run into its record and judges it. None when the first event is not `RunStarted`.
/// Events that are missing at the end show as steps and checks that did not run.
pub fn fold(events: &[Event]) -> Option<Run> {
    let first = events.first()?;
    let Happening::RunStarted(header) = &first.what else { return None };
    let mut run = Run {
        schema: SCHEMA.to_owned(),
        header: Header::clone(header),
        started_unix_us: first.unix_us,
        took_us: events.last().map_or(0, |event| event.at_us.saturating_sub(first.at_us)),
        verdict: Verdict::Unverified,
        observed: Verdict::Unverified,
        reason: String::new(),
        interrupted: false,
        places: Vec::new(),
        steps: header
            .plan
            .iter()
            .map(|planned| StepRecord { planned: planned.clone(), status: StepStatus::NotRun, took_us: 0 })
            .collect(),
        load: None,
        backups: Vec::new(),
        baseline: None,
        recoveries: Vec::new(),
        checks: Vec::new(),
        objectives: Vec::new(),
        findings: Vec::new(),
        teardown: None,
        not_tested: Vec::new(),
        events: events.iter().filter(|event| event.what.lasting()).cloned().collect(),
    };
    let mut ended = false;
    for event in events {
        match &event.what {
            Happening::RunStarted(_) | Happening::Progress { .. } | Happening::TeardownStarted => {}
            Happening::PlaceOpened { server, facts } => run.places.push((server.clone(), facts.clone())),
            Happening::StepStarted { step } => set_step(&mut run, *step, StepStatus::Interrupted, 0),
            Happening::StepEnded { step, status, took_us } => set_step(&mut run, *step, *status, *took_us),
            Happening::Measured(evidence) => measured(&mut run, evidence),
            Happening::Found(finding) => run.findings.push(finding.clone()),
            Happening::TornDown(teardown) => run.teardown = Some(teardown.clone()),
            Happening::RunEnded { interrupted } => {
                ended = true;
                run.interrupted = *interrupted;
            }
        }
    }
    verdict::judge(&mut run, ended);
    Some(run)
}

fn set_step(run: &mut Run, step: usize, status: StepStatus, took_us: u64) {
    if let Some(record) = run.steps.get_mut(step) {
        record.status = status;
        record.took_us = took_us;
    }
}

fn measured(run: &mut Run, evidence: &Evidence) {
    match evidence {
        Evidence::Load(load) => run.load = Some(load.clone()),
        Evidence::Backup(backup) => run.backups.push(backup.clone()),
        Evidence::Baseline(baseline) => run.baseline = Some(baseline.clone()),
        Evidence::Recovery(recovery) => run.recoveries.push(recovery.clone()),
        Evidence::Check(check) => run.checks.push(check.clone()),
    }
}
