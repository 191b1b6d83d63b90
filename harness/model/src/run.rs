//! The record of a drill: the one thing that reports read.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::event::{Event, Header, PlannedStep, StepStatus, Teardown};
use crate::evidence::{
    BackupEvidence, BaselineEvidence, CheckRecord, CheckStatus, LoadEvidence, PlaceFacts, RecoveryEvidence,
    ServerEvidence,
};
use crate::finding::Finding;
use crate::verdict::Verdict;

/// The name and version of the record's form. Fields may be added within a version; none is removed or changes
/// its meaning.
pub const SCHEMA: &str = "pgdrill.run/1";

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
    /// What its servers said of themselves.
    #[serde(default)]
    pub servers: Vec<ServerEvidence>,
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
