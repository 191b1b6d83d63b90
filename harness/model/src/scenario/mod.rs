//! What a scenario file says, once it has been read without a mistake.
//!
//! `parse` turns text into a [`Scenario`] or into every mistake that can be told at once; `plan::compile`
//! turns a `Scenario` into what will be done.

mod application;
mod archive;
mod as_written;
mod backup;
mod barman;
mod choice;
mod cluster;
mod compress;
mod disaster;
mod dump;
mod fault;
mod file;
mod given;
mod low_level;
mod meaning;
mod mistake;
mod objectives;
mod origins;
mod pgbackrest;
mod point;
mod precautions;
mod queries;
mod safety;
mod schema;
mod setting;
mod size;
mod slot;
mod sweep;
mod syntax;
mod target;
mod tree;
mod triage;
mod value;
mod walk;
mod walkthrough;
mod watch;
mod work;
mod wrong;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::check::Check;
use crate::code::Code;
use crate::fault::Fault;
use crate::finding::Stage;
use crate::query::Query;
use crate::units::MajorRange;
use crate::verdict::Verdict;

pub use application::{Application, OwnApplication};
pub use archive::{Archive, ArchiveBy};
pub use as_written::RunbookStep;
pub use backup::{
    Backup, BackupFormat, BackupFrom, BackupTool, CheckpointMode, ManifestChecksums, WalMethod,
};
pub use cluster::{Cluster, FIXTURE_TABLES, Tablespace};
pub use compress::{Compress, Method, Side};
pub use disaster::Disaster;
pub(crate) use fault::applies;
pub use given::Given;
pub use mistake::{Mistake, Mistakes};
pub use objectives::{Objectives, Rpo};
pub(crate) use origins::Origins;
pub use pgbackrest::BackupKind;
pub use queries::parse_queries;
pub use safety::{CopyBy, Rollback};
pub use schema::schema;
pub use size::as_written;
pub use sweep::Sweep;
pub use target::{Action, MarkBy, Point, Target, Timeline};
pub use triage::Triage;
pub use value::MOST_ORDERS;
pub use watch::{Awaited, Watch};
pub use work::{SynchronousCommit, Work, WorkUntil};

/// Reads the text of a scenario file. `id` is the scenario's, `file` is what messages call the file.
///
/// Mistakes of YAML itself come first, then everything that is written wrongly, then everything that makes no
/// sense: each group is told whole, and hides the ones after it.
pub fn parse(id: &str, file: &str, text: &str) -> Result<Scenario, Mistakes> {
    let mistakes = |text: &str, notes: Vec<mistake::Note>| Mistakes::place(file, text, notes);
    // Some editors put a byte order mark there; it means nothing.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = tree::read(body).map_err(|notes| mistakes(body, notes))?;
    if matches!(root.kind, tree::Kind::Null) {
        return Err(mistakes(body, vec![tree::empty()]));
    }
    let (written, notes) = walk::Walk::whole::<file::File>(&root);
    let Some(written) = written.filter(|_| notes.is_empty()) else {
        return Err(mistakes(body, notes));
    };
    let lines = mistake::Lines::of(body);
    let scenario = meaning::scenario(written, &lines).map_err(|notes| mistakes(body, notes))?;
    let sha256 = hex::encode(Sha256::digest(text.as_bytes()));
    Ok(Scenario { id: id.to_owned(), sha256, ..scenario })
}

/// A scenario without a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The path of its file without the ending, relative to where it was looked for:
    /// `smoke/restore-tar-gzip`.
    pub id: String,
    /// SHA-256 of the file's text, in hexadecimal: a changed scenario is another drill.
    pub sha256: String,
    /// One line for people.
    pub title: String,
    /// The majors on which it makes sense.
    pub postgres: MajorRange,
    /// Where all chance comes from.
    pub seed: u64,
    /// What is loaded before the first step.
    pub data: Data,
    /// How the primary's cluster is made.
    pub cluster: Cluster,
    /// Its tablespaces.
    pub tablespaces: Vec<Tablespace>,
    /// How WAL is archived.
    pub archive: Archive,
    /// The application in front of the server.
    pub application: Application,
    /// Settings of the primary beside pgdrill's own, by name, each with the line that it stands on.
    pub settings: BTreeMap<String, Setting>,
    /// What is done, in order.
    pub steps: Vec<Placed<Step>>,
    /// What the recovered server is asked, and must answer.
    pub queries: Vec<Query>,
    /// What recovery must achieve.
    pub objectives: Objectives,
    /// The mutants that may survive, each with the reason why.
    pub survivors: BTreeMap<Fault, String>,
    /// How the drill must end, when that is not `proven`.
    pub expect: Option<Expect>,
    /// How long the whole drill may take.
    pub time_limit: Duration,
}

impl Scenario {
    /// The backup that is there already, where it has one.
    pub fn given(&self) -> Option<&Given> {
        given::of(&self.steps)
    }

    /// The same, whose backup that is there already is called so in records: its path is only of a copy.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        for step in &mut self.steps {
            if let Step::Given(given) = &mut step.what {
                given.called = Some(name.to_owned());
            }
        }
        self
    }

    /// What takes its backups: all of one drill are taken alike.
    pub(crate) fn tool(&self) -> BackupTool {
        let tool =
            |step: &Placed<Step>| if let Step::Backup(how) = &step.what { Some(how.tool) } else { None };
        self.steps.iter().find_map(tool).unwrap_or(BackupTool::PgBasebackup)
    }

    /// Whether its backups are dumps.
    pub(crate) fn dumps(&self) -> bool {
        self.tool() == BackupTool::PgDump
    }

    /// Every check that can be made of it.
    pub(crate) fn every_check(&self) -> Vec<Check> {
        let works = self.steps.iter().any(|step| matches!(step.what, Step::Work(_)));
        let own = match self.given() {
            Some(given) => Check::all_of_given(given.baseline.is_some()),
            None => Check::all_of_tool(self.tool(), works),
        };
        Check::and_queries(own, !self.queries.is_empty())
    }
}

/// Something with the line of the scenario file that it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub what: T,
}

/// What is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Data {
    /// Rows of `"Order"`; all other tables follow from it.
    pub orders: u64,
}

/// A setting of the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its value as written.
    pub value: String,
    /// The line of the scenario file.
    pub line: usize,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a scenario has a few dozen of them, and a box would be in everybody's way"
)]
pub enum Step {
    /// Take a base backup.
    Backup(Backup),
    /// Take one that is there already.
    Given(Given),
    /// Run SQL on the server that is there: the primary before the disaster, the recovered one after.
    Sql(Sql),
    /// Let writers place orders.
    Work(Work),
    /// Stop the writers that go on behind.
    StopWork,
    /// Take note of an instant, as a target for a recovery.
    Mark(String),
    /// SIGKILL of the postmaster, and a start in the same place: the server recovers by itself.
    Crash(Crash),
    /// Lose the primary, and let its standby take its place.
    Failover(Failover),
    /// Switch to a new WAL segment and wait until everything before it is in the archive.
    SwitchWal(SwitchWal),
    /// Watch the server that is there for what alerts.
    Watch(Watch),
    /// Wait for an alert.
    Alert(Awaited),
    /// Find out what can be found out in the first minutes.
    Triage(Triage),
    /// Start the application on the server that is there.
    StartApplication,
    /// Stop it.
    StopApplication,
    /// Lose the server.
    Disaster(Disaster),
    /// Put aside what the disaster left.
    SafetyCopy(CopyBy),
    /// Put it back, and start on it.
    Rollback(Rollback),
    /// Carry out a step of the runbook, as it was written or corrected.
    AsWritten(RunbookStep),
    /// Damage something on purpose.
    Fault(Fault),
    /// Restore a backup and recover.
    Recover(Recover),
    /// Prove many recovery points.
    Sweep(Sweep),
    /// Compare with what was there.
    Check(Vec<Check>),
}

/// SQL to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sql {
    /// One or more statements.
    pub run: String,
    /// In which database; the fixture's own by default.
    pub database: Option<String>,
    /// Whether the next steps go on beside it.
    #[serde(default)]
    pub behind: bool,
}

/// A switch of the WAL segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SwitchWal {
    /// How long the archiver may take.
    pub within: Duration,
}

/// A crash of the server, after which it recovers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Crash {
    /// How long it may take to come back.
    pub within: Duration,
}

/// A loss of the primary after which its standby is the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failover {
    /// How long it may take.
    pub within: Duration,
}

/// A recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Recover {
    /// How the backup is unpacked; none follows the backup's format.
    pub by: Option<RecoverBy>,
    /// From which backup.
    #[serde(default)]
    pub from: RecoverFrom,
    /// Where recovery stops.
    pub to: Target,
    /// Along which timeline.
    pub timeline: Timeline,
    /// What the server does there.
    pub action: Action,
    /// How long it may take.
    pub within: Duration,
}

/// From which of the backups that lead to its target a recovery begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecoverFrom {
    /// The newest.
    #[default]
    Newest,
    /// The newest that is good: each is verified before it is taken, and one with a finding is passed over.
    LastGood,
    /// The newest that is proven: each is verified, recovered and checked before it is taken, and one of which anything but
    /// good comes is passed over. The oldest is only verified: behind it there is nothing to step back to.
    LastProven,
}

impl RecoverFrom {
    /// Whether any backup before the newest may be taken.
    pub fn steps_back(self) -> bool {
        self != Self::Newest
    }
}

/// How a backup is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecoverBy {
    /// `tar`, as an operator would.
    Tar,
    /// `cp -a` of a plain backup.
    Copy,
    /// `pg_combinebackup` of an incremental backup and those that it builds upon, each unpacked first if need be.
    Combine,
    /// pgdrill itself, as `pgdrill restore` does: verified by the time it is on disk.
    Native,
    /// pgBackRest, of what it took itself.
    #[serde(rename = "pgbackrest")]
    PgBackRest,
    /// Barman, of what it took itself.
    Barman,
    /// `pg_restore` of a dump into a new cluster, or `psql` where it is SQL.
    Load,
}

impl RecoverBy {
    /// How a backup is unpacked, by what it is.
    pub fn fitting(backup: &Backup) -> Self {
        match (backup.incremental, backup.format) {
            _ if backup.tool == BackupTool::PgBackRest => Self::PgBackRest,
            _ if backup.tool == BackupTool::Barman => Self::Barman,
            _ if backup.is_dump() => Self::Load,
            (true, _) => Self::Combine,
            (false, BackupFormat::Tar) => Self::Tar,
            (false, _) => Self::Copy,
        }
    }

    /// Whether a backup can be unpacked so.
    pub fn fits(self, backup: &Backup) -> bool {
        let fitting = Self::fitting(backup);
        let unpacked = !matches!(fitting, Self::Combine | Self::PgBackRest | Self::Barman | Self::Load);
        self == fitting || (self == Self::Native && unpacked)
    }

    /// Its name in the scenario language and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Copy => "copy",
            Self::Combine => "combine",
            Self::Native => "native",
            Self::PgBackRest => "pgbackrest",
            Self::Barman => "barman",
            Self::Load => "load",
        }
    }
}

/// How a drill must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Expect {
    /// With which verdict.
    pub verdict: Verdict,
    /// With which finding among its findings.
    #[serde(default)]
    pub finding: Option<Code>,
    /// At which stage that finding at the latest.
    #[serde(default)]
    pub stage: Option<Stage>,
}
