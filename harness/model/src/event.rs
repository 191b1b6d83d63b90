//! What happens in a drill, as it happens. A run is the fold of its events, so a journal of them is enough to
//! seal the record of a run that died.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::drift::Drift;
use crate::evidence::{Evidence, PlaceFacts};
use crate::fault::Fault;
use crate::finding::{Finding, Stage};
use crate::regression::Baseline;
use crate::scenario::{Expect, Rpo};
use crate::units::{Major, show_bytes};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Event {
    /// Microseconds since the run began.
    pub at_us: u64,
    /// Wall-clock time, microseconds since 1970 UTC.
    pub unix_us: i64,
    /// What happened.
    pub what: Happening,
}

/// The vocabulary of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a drill has some hundreds of them, and a box would be in everybody's way"
)]
pub enum Happening {
    /// The run began; always first.
    RunStarted(Box<Header>),
    /// A place was opened for a server.
    PlaceOpened {
        /// The server's name within the run.
        server: String,
        /// What the place says of itself.
        facts: PlaceFacts,
    },
    /// A step of the plan began.
    StepStarted {
        /// Its index in the plan, from 0.
        step: usize,
    },
    /// A long step came further. Not journaled and not in the record.
    Progress {
        /// What is being done: `copy "Order"`.
        what: String,
        /// How much is done.
        done: u64,
        /// Of how much, where that is known.
        total: Option<u64>,
        /// In which unit.
        unit: Unit,
    },
    /// Something was measured.
    Measured(Evidence),
    /// Something was seen.
    Found(Finding),
    /// A step ended.
    StepEnded {
        /// Its index in the plan, from 0.
        step: usize,
        /// How.
        status: StepStatus,
        /// How long it took.
        took_us: u64,
    },
    /// Servers are being stopped and files removed.
    TeardownStarted,
    /// That is done.
    TornDown(Teardown),
    /// The run ended; always last.
    RunEnded {
        /// Whether a person ended it.
        interrupted: bool,
    },
}

/// What is known of a run when it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// The faults that the plan makes, in order.
    #[serde(default, rename = "planned_faults", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// The faults by which damaged copies are made once the drill is proven.
    #[serde(default, rename = "planned_mutants", skip_serializing_if = "Vec::is_empty")]
    pub mutants: Vec<Fault>,
    /// How WAL was archived. Empty in records from before it could be chosen: by archive_command.
    #[serde(default)]
    pub archive: String,
    /// The recovery time objective.
    #[serde(default)]
    pub rto_us: Option<u64>,
    /// The recovery point objective; none: nothing may be lost of what the ledger holds.
    #[serde(default)]
    pub rpo: Option<Rpo>,
    /// The outage objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage_us: Option<u64>,
    /// How the drill must end, when that is not `proven`.
    #[serde(default)]
    pub expect: Option<Expect>,
    /// How often the recovery is made in all.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeat: u64,
    /// The recoveries that it must not be slower than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<Baseline>,
    /// What the rows of a backup that was there already are held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// The machine.
    pub host: Host,
    /// How many drills shared the machine. With more than one, times are measured but objectives are not judged.
    #[serde(default = "once")]
    pub jobs: u64,
}

/// What records say that do not say it.
fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_once(number: &u64) -> bool {
    *number == 1
}

/// The machine that a drill ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Host {
    /// Operating system: `linux`.
    pub os: String,
    /// Processor architecture: `x86_64`.
    pub arch: String,
    /// Logical processors.
    pub cpus: u64,
    /// Main memory in bytes; 0 where it is not known.
    pub memory_bytes: u64,
    /// What each server of the drill may take of it at the most.
    #[serde(default, skip_serializing_if = "Limits::are_none")]
    pub limits: Limits,
}

/// What a server may take of a machine at the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Limits {
    /// Bytes of memory, with the pages of files that it reads and writes; none where there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor; none where there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory_bytes.map(|bytes| format!("{} of memory", show_bytes(bytes)));
        let cpus = self.cpu_millis.map(|millis| format!("{} CPUs", millis as f64 / 1_000.0));
        let limits: Vec<String> = memory.into_iter().chain(cpus).collect();
        f.write_str(&limits.join(" and "))
    }
}

/// The unit of a progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Rows.
    Rows,
    /// Tables.
    Tables,
    /// WAL segments.
    Segments,
    /// Transactions.
    Transactions,
    /// Recovery points.
    Points,
    /// Damaged copies.
    Mutants,
    /// Recoveries.
    Recoveries,
    /// Backups.
    Backups,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It did what it says. What it found is in the findings.
    Done,
    /// It could not do what it says, and no later step was tried.
    Failed,
    /// It was not tried.
    NotRun,
    /// A person ended it.
    Interrupted,
}

/// What teardown did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Teardown {
    /// Servers that were stopped.
    pub servers: Vec<String>,
    /// The workspace, where it was kept; none when it is gone.
    pub kept: Option<String>,
    /// Bytes that the workspace took at the end.
    pub workspace_bytes: u64,
    /// How long it took.
    pub took_us: u64,
}

impl Happening {
    /// Whether it belongs in the journal and in the record.
    pub fn lasting(&self) -> bool {
        !matches!(self, Self::Progress { .. })
    }
}

/// A step of the plan, as the record keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedStep {
    /// Its name: `backup`, `disaster`, `load data`.
    pub name: String,
    /// Its stage.
    pub stage: Stage,
    /// The line of the scenario file; none for a step that every drill has.
    #[serde(default)]
    pub line: Option<usize>,
    /// What it will do, in one line.
    pub does: String,
}
