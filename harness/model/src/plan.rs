//! What a drill will do: a value that can be shown before anything is done. Steps that every drill has (making the
//! cluster, loading the data, capturing what is there) are in it too, so that a plan hides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::check::Check;
use crate::drift::Drift;
use crate::event::PlannedStep;
use crate::fault::{Fault, Site};
use crate::finding::Stage;
use crate::query::Query;
use crate::regression::Baseline;
use crate::scenario::{
    Action, Application, Archive, Awaited, Backup, Cluster, CopyBy, Crash, Data, Disaster, Expect, Failover,
    Given, RecoverBy, RecoverFrom, Rollback, Rpo, RunbookStep, Setting, Sql, Sweep, SwitchWal, Tablespace,
    Target, Timeline, Triage, Watch, Work,
};
use crate::units::Major;

mod again;
mod beginning;
mod compile;
mod majors;
mod words;

pub use again::{add_mutants, add_repetitions};
pub use compile::compile;

/// What one drill will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The scenario's id.
    pub scenario: String,
    /// The scenario's title.
    pub title: String,
    /// SHA-256 of the scenario file.
    pub scenario_sha256: String,
    /// The major version.
    pub postgres: Major,
    /// The runtime's name.
    pub runtime: String,
    /// Where all chance comes from.
    pub seed: u64,
    /// The steps, in order.
    pub steps: Vec<Planned>,
    /// What the recovered server is asked, and must answer.
    pub queries: Vec<Query>,
    /// How WAL is archived.
    pub archive: Archive,
    /// The recovery time objective.
    pub rto: Option<Duration>,
    /// The recovery point objective.
    pub rpo: Option<Rpo>,
    /// The outage objective.
    pub outage: Option<Duration>,
    /// How the drill must end, when that is not `proven`.
    pub expect: Option<Expect>,
    /// The recoveries that this one must not be slower than.
    pub compared_with: Option<Baseline>,
    /// What the rows of a backup that was there already are held against.
    pub drift: Option<Drift>,
    /// How long the whole drill may take.
    pub time_limit: Duration,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The line of the scenario file; none for a step that every drill has.
    pub line: Option<usize>,
    /// What will be done.
    pub act: Act,
}

/// What a step does, with nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make the primary's cluster, and start it.
    CreateCluster(NewCluster),
    /// Load the trading schema and its data.
    LoadData(Data),
    /// Make a standby of the primary, and wait until it has caught up.
    CreateStandby {
        /// Whether it is to take over later.
        takes_over: bool,
    },
    /// Take a base backup.
    Backup {
        /// Its name in the workspace.
        name: String,
        /// How it is taken.
        how: Backup,
        /// The backup that it builds upon, where it is incremental.
        upon: Option<String>,
        /// The server that is backed up, or whose standby is.
        on: Server,
    },
    /// Look at a backup that is there already.
    Given {
        /// What it is called.
        name: String,
        /// Where it lies, and its WAL.
        given: Given,
    },
    /// Run SQL on the server that is there.
    Sql {
        /// What to run.
        sql: Sql,
        /// On which server.
        on: Server,
    },
    /// Let writers place orders.
    Work {
        /// How many, how long.
        work: Work,
        /// On which server.
        on: Server,
    },
    /// Stop the writers that go on behind.
    StopWork,
    /// Take note of an instant.
    Mark {
        /// Its name.
        name: String,
        /// On which server.
        on: Server,
    },
    /// Kill a server and start it again.
    Crash {
        /// How long it may take to come back.
        crash: Crash,
        /// Which server.
        on: Server,
    },
    /// Lose the primary, and let its standby take its place.
    Failover {
        /// How long it may take.
        failover: Failover,
        /// The server that is lost.
        from: Server,
        /// The server that takes its place.
        to: Server,
    },
    /// Switch to a new WAL segment and wait until everything before it is in the archive.
    SwitchWal {
        /// How long that may take.
        switch: SwitchWal,
        /// On which server.
        on: Server,
    },
    /// Capture a quiet server's content, with its position.
    Capture {
        /// What the checks to come need.
        checks: Vec<Check>,
        /// Which server.
        on: Server,
    },
    /// Watch a server for what alerts, until it is recovered.
    Watch {
        /// How.
        watch: Watch,
        /// Which server.
        on: Server,
    },
    /// Wait for an alert.
    Alert {
        /// Which, and how long.
        awaited: Awaited,
        /// The number of the step that causes it.
        cause: usize,
    },
    /// Start the application on a server, behind PgBouncer, and use it.
    StartApplication {
        /// Which.
        application: Application,
        /// On which server.
        on: Server,
    },
    /// Stop it.
    StopApplication(Application),
    /// Find out what can be found out in the first minutes.
    Triage {
        /// How long it may take.
        triage: Triage,
        /// Of which server.
        of: Server,
        /// Whether it is lost.
        lost: bool,
    },
    /// Lose a server.
    Disaster {
        /// How.
        disaster: Disaster,
        /// Which server.
        on: Server,
    },
    /// Put aside what is left of a lost server.
    SafetyCopy {
        /// How.
        by: CopyBy,
        /// Which server.
        of: Server,
    },
    /// Put it back, and start on it.
    Rollback {
        /// How long that may take.
        rollback: Rollback,
        /// Which server.
        to: Server,
        /// Whether what it holds must be what was captured last: nothing else happened to it before it was lost.
        quiet: bool,
    },
    /// Carry out a step of the runbook.
    AsWritten {
        /// Which, and how.
        step: RunbookStep,
        /// The server whose files its commands work on, or from which they take a backup.
        of: Server,
        /// The newest backup there is, for commands that restore one.
        backup: Option<String>,
        /// The mark at which recovery is to stop, for commands that recover to a time.
        mark: Option<String>,
    },
    /// Damage something on purpose, or make that it will be damaged.
    Fault {
        /// What is done.
        fault: Fault,
        /// To which server, where it is done to one.
        on: Server,
        /// The newest backup there is, and before it those that are older; for a fault of what is stored.
        backups: Vec<Member>,
    },
    /// Restore a backup and recover.
    Recover(Recovery),
    /// Make the recovery again, and check it.
    Repeat(Repeat),
    /// Recover and check damaged copies of what the drill stored.
    Mutants(Mutants),
    /// See what PostgreSQL alone says when it is to stop at a mark.
    BareRecovery {
        /// The mark.
        mark: String,
    },
    /// Prove many recovery points.
    Sweep {
        /// How many.
        sweep: Sweep,
        /// Every backup that there is, each with those that it builds upon, the oldest first.
        backups: Vec<Vec<Member>>,
    },
    /// Compare with what was there.
    Check {
        /// What to compare, in the catalogue's order.
        checks: Vec<Check>,
        /// Which server.
        of: Server,
    },
}

/// How the primary's cluster is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCluster {
    /// How it is made.
    pub cluster: Cluster,
    /// Its tablespaces.
    pub tablespaces: Vec<Tablespace>,
    /// How its WAL is archived.
    pub archive: Archive,
    /// Whether the server summarizes its WAL, without which there is no incremental backup.
    pub summarize_wal: bool,
    /// Whether the archive is on a small disk of its own, so that it can be full.
    pub small_archive: bool,
    /// Whether the server's clock can be set.
    pub settable_clock: bool,
    /// The scenario's own settings.
    pub settings: BTreeMap<String, Setting>,
}

/// A recovery of a drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The backups that it can begin from, the oldest first; each with those that it builds upon, the full one first.
    /// The newest that ends before the target, and lies on a timeline that leads there, is taken.
    pub backups: Vec<Vec<Member>>,
    /// Whether its backup was there already.
    pub given: bool,
    /// How it is unpacked; none follows the backup.
    pub by: Option<RecoverBy>,
    /// Which of them is taken.
    pub from: RecoverFrom,
    /// By what each is checked before it is taken, where that is the last proven one.
    pub tried_by: Vec<Check>,
    /// Where it stops.
    pub to: Target,
    /// Along which timeline.
    pub timeline: Timeline,
    /// What the server does there.
    pub action: Action,
    /// How long it may take.
    pub within: Duration,
    /// The server that comes of it.
    pub server: Server,
    /// Whether that server goes on as the primary did, with an archive, since the drill loses it again.
    pub serves: bool,
}

/// A recovery that is made several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Which.
    pub recovery: Recovery,
    /// By what each is checked.
    pub checks: Vec<Check>,
    /// How often in all, the drill's own counted.
    pub times: u64,
}

/// Damaged copies of what a drill stored, each recovered and checked as the drill was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutants {
    /// How each is recovered.
    pub recovery: Recovery,
    /// By what each is checked.
    pub checks: Vec<Check>,
    /// What is done to them.
    pub faults: Vec<Fault>,
    /// Those that may survive, each with the reason why.
    pub survivors: BTreeMap<Fault, String>,
}

/// A backup of a drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name in the workspace.
    pub name: String,
    /// How it was taken.
    pub how: Backup,
}

/// A server of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// One that streams from the primary, so that backups can be taken from it, or that it can take its place.
    Standby,
    /// The one that is lost first.
    Primary,
    /// One that is recovered; the first is 1.
    Restored(u8),
    /// The one that a sweep moves through its targets.
    Sweep,
    /// One that is recovered without pgdrill's help, to hear what PostgreSQL itself says.
    Bare,
    /// The one on which the commands of a runbook are carried out.
    AsWritten,
    /// The archive host: `pg_receivewal`, which outlives the server whose WAL it receives.
    Receiver,
    /// PgBouncer, which outlives the servers that it leads to.
    Pooler,
}

impl Server {
    /// Its name in workspace, log files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Restored(1) => "restored",
            Self::Restored(2) => "restored-2",
            Self::Restored(3) => "restored-3",
            Self::Restored(_) => "restored-4",
            Self::Sweep => "sweep",
            Self::Bare => "bare",
            Self::AsWritten => "as-written",
            Self::Receiver => "receiver",
            Self::Pooler => "pooler",
        }
    }
}

impl Plan {
    /// The checks that it contains, in the catalogue's order; one that is made of two servers stands twice.
    pub fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<Check> = self
            .steps
            .iter()
            .flat_map(|step| match &step.act {
                Act::Check { checks, .. } => checks.as_slice(),
                _ => &[],
            })
            .copied()
            .collect();
        checks.sort_unstable();
        checks
    }

    /// The faults that it makes, in order.
    pub fn faults(&self) -> Vec<Fault> {
        let fault = |step: &Planned| match &step.act {
            Act::Fault { fault, .. } => Some(*fault),
            _ => None,
        };
        self.steps.iter().filter_map(fault).collect()
    }

    /// The faults by which damaged copies are made, in the catalogue's order.
    pub fn mutants(&self) -> Vec<Fault> {
        let mutants = |step: &Planned| match &step.act {
            Act::Mutants(mutants) => mutants.faults.clone(),
            _ => Vec::new(),
        };
        self.steps.iter().flat_map(mutants).collect()
    }

    /// The backup that is there already, where it has one.
    pub fn given(&self) -> Option<&Given> {
        self.steps
            .iter()
            .find_map(|step| if let Act::Given { given, .. } = &step.act { Some(given) } else { None })
    }

    /// How often its recovery is made.
    pub fn repeat(&self) -> u64 {
        let times = |step: &Planned| match &step.act {
            Act::Repeat(repeat) => Some(repeat.times),
            _ => None,
        };
        self.steps.iter().find_map(times).unwrap_or(1)
    }

    /// The rollback to which a recovery that failed is left: that of the last one. What comes before it knows no way back.
    pub fn rollback_after(&self, step: usize) -> Option<usize> {
        let acts = || self.steps.iter().map(|planned| &planned.act);
        let last = acts().rposition(|act| matches!(act, Act::Recover(_)))?;
        let rollback = acts().position(|act| matches!(act, Act::Rollback { .. }))?;
        (step == last && last < rollback).then_some(rollback)
    }

    /// Its steps as the record keeps them.
    pub fn outline(&self) -> Vec<PlannedStep> {
        self.steps.iter().map(Planned::outline).collect()
    }
}

impl Planned {
    /// The step as the record keeps it.
    pub fn outline(&self) -> PlannedStep {
        PlannedStep {
            name: self.act.name().to_owned(),
            stage: self.act.stage(),
            line: self.line,
            does: self.act.to_string(),
        }
    }
}

impl Act {
    /// Its name: that of the scenario language, where it has one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateCluster(_) => "create-cluster",
            Self::LoadData(_) => "load-data",
            Self::CreateStandby { .. } => "create-standby",
            Self::Backup { .. } | Self::Given { .. } => "backup",
            Self::Sql { .. } => "sql",
            Self::Work { .. } => "work",
            Self::StopWork => "stop-work",
            Self::Mark { .. } => "mark",
            Self::Crash { .. } => "crash",
            Self::Failover { .. } => "failover",
            Self::SwitchWal { .. } => "switch-wal",
            Self::Capture { .. } => "capture",
            Self::Watch { .. } => "watch",
            Self::Alert { .. } => "alert",
            Self::StartApplication { .. } => "start-application",
            Self::StopApplication(_) => "stop-application",
            Self::Triage { .. } => "triage",
            Self::Disaster { .. } => "disaster",
            Self::SafetyCopy { .. } => "safety-copy",
            Self::Rollback { .. } => "rollback",
            Self::AsWritten { .. } => "as-written",
            Self::Fault { .. } => "fault",
            Self::Recover(_) => "recover",
            Self::BareRecovery { .. } => "bare-recovery",
            Self::Repeat(_) => "repeat",
            Self::Mutants(_) => "mutants",
            Self::Sweep { .. } => "sweep",
            Self::Check { .. } => "check",
        }
    }

    /// The stage that it belongs to.
    pub fn stage(&self) -> Stage {
        match self {
            Self::CreateCluster(_) | Self::LoadData(_) => Stage::Prepare,
            Self::Given { .. } => Stage::Backup,
            Self::CreateStandby { .. }
            | Self::Backup { .. }
            | Self::SwitchWal { .. }
            | Self::Work { .. }
            | Self::StopWork
            | Self::Mark { .. }
            | Self::Watch { .. }
            | Self::Crash { .. }
            | Self::Failover { .. } => Stage::Backup,
            Self::Sql { on: Server::Primary | Server::Standby, .. }
            | Self::StartApplication { on: Server::Primary | Server::Standby, .. } => Stage::Backup,
            Self::Capture { .. } => Stage::Capture,
            Self::Fault { fault, .. } => match fault.site() {
                Site::Server | Site::Taking => Stage::Backup,
                Site::Backup | Site::Archive | Site::Restore => Stage::Disaster,
                Site::Recovered => Stage::Check,
            },
            Self::Disaster { .. }
            | Self::Alert { .. }
            | Self::Triage { .. }
            | Self::SafetyCopy { .. }
            | Self::AsWritten { .. }
            | Self::StopApplication(_) => Stage::Disaster,
            Self::Recover(_) | Self::Repeat(_) | Self::Sweep { .. } => Stage::Recover,
            Self::Sql { .. }
            | Self::StartApplication { .. }
            | Self::Check { .. }
            | Self::Rollback { .. }
            | Self::BareRecovery { .. }
            | Self::Mutants(_) => Stage::Check,
        }
    }
}
