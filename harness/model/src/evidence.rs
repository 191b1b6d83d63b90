//! What a drill measured, as plain data. Times are whole microseconds (`_us`), sizes are bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::units::Lsn;

mod alert;
mod application;
mod as_written;
mod failover;
mod fault;
mod point_in_time;
mod repetition;
mod safety;
mod source;
mod triage;

pub use alert::AlertEvidence;
pub use application::{ApplicationEvidence, OutageEvidence, RequestEvidence};
pub use as_written::{AsWrittenEvidence, AskedEvidence, CommandEvidence, FoundEvidence};
pub use fault::{BareEvidence, FaultEvidence, MutantEvidence, MutantOutcome};
pub use point_in_time::{
    ForkEvidence, LossEvidence, MarkEvidence, PointEvidence, SweepEvidence, TallyEvidence, WalEndEvidence,
    WorkEvidence,
};

pub use failover::FailoverEvidence;
pub use repetition::{RedoEvidence, RepetitionEvidence};
pub use safety::{RollbackEvidence, SafetyCopyEvidence};
pub use source::{CountsEvidence, HeldEvidence, SourceEvidence};
pub use triage::TriageEvidence;

/// What a place says of itself; part of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlaceFacts {
    /// The runtime's name.
    pub runtime: String,
    /// What `postgres --version` prints.
    pub postgres: String,
    /// The directory of PostgreSQL's programs.
    pub bin_dir: PathBuf,
    /// The account that processes run as.
    pub user: String,
    /// What the place does not isolate, as nouns; empty for a container without network.
    pub shared: Vec<String>,
    /// The container image, as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What the image is for ever: its digest in a registry, or else its id, both as `sha256:...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// The container engine and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// One thing that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a drill has a few dozen of them, and a box would be in everybody's way"
)]
pub enum Evidence {
    /// Data was loaded.
    Load(LoadEvidence),
    /// What there is to choose from was looked at.
    Source(SourceEvidence),
    /// A backup was taken.
    Backup(BackupEvidence),
    /// The expected content was captured.
    Baseline(BaselineEvidence),
    /// A server was recovered.
    Recovery(RecoveryEvidence),
    /// The rows of a recovered server were counted.
    Counts(CountsEvidence),
    /// A check ran, or did not.
    Check(CheckRecord),
    /// A running server said what it is, and by which versions it orders text.
    Server(ServerEvidence),
    /// Writers ended.
    Work(WorkEvidence),
    /// An instant was marked.
    Mark(MarkEvidence),
    /// The ledger was compared with a recovered server.
    Tally(TallyEvidence),
    /// Recovery points were swept over.
    Sweep(SweepEvidence),
    /// Something was damaged on purpose.
    Fault(FaultEvidence),
    /// PostgreSQL alone was sent to a mark.
    Bare(BareEvidence),
    /// A damaged copy was recovered and checked.
    Mutant(MutantEvidence),
    /// The recovery was repeated.
    Repetition(RepetitionEvidence),
    /// An alert was waited for.
    Alert(AlertEvidence),
    /// What a disaster left was put aside.
    SafetyCopy(SafetyCopyEvidence),
    /// The standby took the place of the primary.
    Failover(FailoverEvidence),
    /// It was put back.
    Rollback(RollbackEvidence),
    /// What could be found out in the first minutes was.
    Triage(TriageEvidence),
    /// The application was started.
    Application(ApplicationEvidence),
    /// A step of the runbook was carried out.
    AsWritten(AsWrittenEvidence),
    /// The first steps are those of another run.
    Beginning(BeginningEvidence),
}

/// What a drill did not do itself, since another one of the same command had just done the very same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BeginningEvidence {
    /// The run that did it: its record tells of the same steps, and the events of this one are its own.
    pub run: String,
    /// How many steps, from the first.
    pub steps: u64,
    /// How long they took that run: since its own beginning, which is this run's, too, in its events and its length.
    pub took_us: u64,
    /// How long the copy of what they had left took.
    pub copied_us: u64,
}

/// What a running server said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerEvidence {
    /// Its name in the drill: `primary`, `restored`.
    pub server: String,
    /// `SHOW server_version`: `15.14 (Debian 15.14-0+deb12u1)`.
    pub version: String,
    /// By database: its default collation, and the collations that its columns, indexes and partition keys use.
    pub databases: BTreeMap<String, DatabaseCollations>,
}

/// By what a database orders text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DatabaseCollations {
    /// The default.
    pub default: CollationVersion,
    /// Named collations in use, by `schema.collation`.
    #[serde(default)]
    pub used: BTreeMap<String, CollationVersion>,
}

/// A collation with the version that a database recorded, and the one that its library has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CollationVersion {
    /// `libc`, `icu` or `builtin`.
    pub provider: String,
    /// The library's name for it: `en_US.UTF-8`, `und`.
    pub locale: String,
    /// What the database recorded; none where it records nothing, as for C, and for the default before 15.
    pub recorded: Option<String>,
    /// What the library has; none where it has no versions.
    pub actual: Option<String>,
    /// How many columns, indexes and partition keys use it.
    pub uses: u64,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadEvidence {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Bytes of the binary COPY streams.
    pub bytes: u64,
    /// SHA-256 over the COPY streams, table by table in the order of `rows`: the same for the same seed and size
    /// on every machine and version.
    pub sha256: String,
    /// How long COPY took, indexes and constraints included; where the cluster was copied, how long that took.
    pub took_us: u64,
    /// The template that the cluster was copied from with its data, by the first characters of its key: then nothing was
    /// loaded in this run, and the rest is from the run that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// A base backup that was taken, or was there already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BackupEvidence {
    /// Its name in the workspace.
    pub name: String,
    /// Where it lies, where it was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The label of pgBackRest, the ID of Barman; of another that was there already by what it was chosen, as the name of its directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `pg_basebackup`, `pgBackRest`, `Barman`, `low-level`, `pg_dump`; of one that was there already also nothing where nobody knows.
    pub tool: String,
    /// `plain` or `tar`; of pgBackRest its type: `full`, `diff` or `incr`.
    pub format: String,
    /// `none`, `gzip`, `lz4` or `zstd`.
    pub compress: String,
    /// Who compressed: `client` or `server`; empty where nobody did.
    #[serde(default)]
    pub compress_side: String,
    /// How, where the scenario says more, in `pg_basebackup`'s notation: `level=3,workers=2`.
    #[serde(default)]
    pub compress_detail: String,
    /// How the WAL that it needs came into it: `stream`, `fetch` or `none`. Empty in records from before it could be
    /// chosen: streamed.
    #[serde(default)]
    pub wal: String,
    /// Which checksums its manifest has of the files: `SHA256`, `NONE`. Empty in the same records: SHA256.
    #[serde(default)]
    pub manifest_checksums: String,
    /// The server that it was taken from: `primary`, `standby`. Empty in the same records: the primary.
    #[serde(default)]
    pub from: String,
    /// The backup that it builds upon, where it is incremental.
    #[serde(default)]
    pub incremental_of: Option<String>,
    /// Tablespaces in it, beside the cluster's own two.
    #[serde(default)]
    pub tablespaces: u64,
    /// What they take on disk, which is part of `bytes`.
    #[serde(default)]
    pub tablespace_bytes: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Files that the manifest lists; where the low-level API took it, those that were copied.
    pub files: u64,
    /// Sum of their sizes.
    pub content_bytes: u64,
    /// SHA-256 of the manifest, taken when the backup ended: later tampering shows. Empty where it has none.
    pub manifest_sha256: String,
    /// Where replay must begin.
    pub start_lsn: Lsn,
    /// Where it is consistent.
    pub end_lsn: Lsn,
    /// When it was done, microseconds since 1970 UTC. 0 in records from before it was taken down.
    #[serde(default)]
    pub ended_unix_us: i64,
    /// The timeline.
    pub timeline: u32,
    /// How long it took.
    pub took_us: u64,
    /// How its files were copied, where the low-level API took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<CopiedEvidence>,
}

/// How the files of a backup by the low-level API were copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CopiedEvidence {
    /// Whether all of them are of one moment, at which the server stood still; else it wrote while they were copied.
    pub snapshot: bool,
    /// How long it stood still.
    pub paused_us: u64,
    /// Files and directories that went away under the copy.
    pub went_away: u64,
}

/// What was there before the disaster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BaselineEvidence {
    /// The primary's WAL insert position before and after the measurement, which are equal on a quiet server.
    pub lsn: Lsn,
    /// Tables measured.
    pub tables: u64,
    /// Rows measured.
    pub rows: u64,
    /// Definitions measured.
    pub definitions: u64,
    /// Sequences measured.
    #[serde(default)]
    pub sequences: u64,
    /// Each table's expected content, by `database.schema.table`.
    pub content: BTreeMap<String, TableContent>,
    /// How long the measurement took.
    pub took_us: u64,
}

/// The content of one table, without any of its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TableContent {
    /// Number of rows.
    pub rows: u64,
    /// The two sums of row hashes, in decimal; empty for a table without rows.
    pub fingerprint: String,
}

/// A recovery, as far as it got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RecoveryEvidence {
    /// How the backup was unpacked: `tar`, `copy`, `combine`, `native`.
    pub by: String,
    /// What was verified while it was unpacked, where pgdrill did that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<VerifiedEvidence>,
    /// The backups that were restored, the full one first. Empty in records from before there was more than one.
    #[serde(default)]
    pub backups: Vec<String>,
    /// Newer backups that are not good, the newest first, where the last good or proven one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOverEvidence>,
    /// How long the backup that was taken had been recovered and checked before, where the last proven one was asked for. In no
    /// phase: who recovers by hand keeps what was proven.
    #[serde(default)]
    pub tried_us: u64,
    /// Tablespaces that were put into the restored server's own tree.
    #[serde(default)]
    pub tablespaces: u64,
    /// The target that was asked for: `latest`.
    pub target: String,
    /// The state that was reached: `promoted`, or none.
    pub state: Option<String>,
    /// Where the old timeline ended.
    pub reached_lsn: Option<Lsn>,
    /// The server that came of it. Empty in records from before there could be more than one: `restored`.
    #[serde(default)]
    pub server: String,
    /// The timeline that was asked for: `latest`, `current`, `2`. Empty in the same records: latest.
    #[serde(default)]
    pub target_timeline: String,
    /// What the server was to do at the target: `promote`, `pause`, `shutdown`. Empty in the same records: promote.
    #[serde(default)]
    pub action: String,
    /// Where the server paused at its target, where it was to do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Lsn>,
    /// Whether the server shut down at its target, where it was to do so.
    #[serde(default)]
    pub shut_down: bool,
    /// Where replay had to stop, by the WAL itself.
    #[serde(default)]
    pub wanted: Option<PointEvidence>,
    /// Where the timelines that it follows came from, by the histories in the archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<ForkEvidence>,
    /// Where it stopped, by what the server says.
    #[serde(default)]
    pub reached: Option<PointEvidence>,
    /// How far the archive reaches.
    #[serde(default)]
    pub archive_end: Option<WalEndEvidence>,
    /// Whether everything that a monitoring would ask looked well: the server started, answers, and is promoted.
    #[serde(default)]
    pub looks_well: Option<bool>,
    /// Whether its pages have checksums; none where nobody could tell, and in records from before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_checksums: Option<bool>,
    /// The timeline after promotion.
    pub timeline: Option<u32>,
    /// What the archive lacked and was put into the server's own WAL before it was started, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_over: Vec<LeftOverEvidence>,
    /// A segment that was archived, and that `restore_command` did not give when the server asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_given: Option<NotGivenEvidence>,
    /// WAL segments fetched from the archive.
    pub segments: u64,
    /// The last of them.
    pub last_segment: Option<String>,
    /// How long pgdrill read the WAL before it let anything begin. It is in no phase.
    #[serde(default)]
    pub aim_us: u64,
    /// The phases of the recovery time, in order, without gaps.
    pub phases: Vec<Phase>,
    /// From the disaster to the first application write; none when there was none.
    pub rto_us: Option<u64>,
    /// What the server says that replay took; none before 14, and where nothing was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redo: Option<RedoEvidence>,
    /// What the witness of production says of it, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<WitnessEvidence>,
    /// The running server's answers about settings that must be off.
    pub quarantine: BTreeMap<String, String>,
}

/// What the beats of production say of what came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WitnessEvidence {
    /// The number of the newest beat that came back.
    pub returned: Option<u64>,
    /// When it was written, microseconds since 1970 UTC.
    pub returned_unix_us: Option<i64>,
    /// How old it was when it was looked at.
    pub age_us: Option<i64>,
    /// Beats in the database that the file knows.
    pub known: u64,
    /// Beats before the recovery point that are not there.
    pub lost: u64,
    /// Beats that production was told of after the recovery point.
    pub beyond: u64,
}

/// A backup that was not taken because it is not good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PassedOverEvidence {
    /// Its name in the workspace.
    pub backup: String,
    /// What is wrong with it, the worst first.
    pub why: String,
    /// Whether it was recovered and checked, to find that out; else it was only verified.
    #[serde(default)]
    pub tried: bool,
    /// How long it took to find that out.
    pub took_us: u64,
    /// The WAL that has to be replayed in addition with the backup before it: what would be lost without the archive.
    pub wal_bytes: u64,
}

/// How much of a backup was verified on its way to disk.
#[derive(Clone, Default, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VerifiedEvidence {
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files whose checksum is the manifest's.
    pub checksums: u64,
    /// Data pages.
    pub pages: u64,
    /// Records of the WAL that the backup needs.
    pub wal_records: u64,
}

/// A file of WAL that was not in the archive and was saved elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LeftOverEvidence {
    /// Its name, as the server asks for it.
    pub name: String,
    /// Where it was, within the workspace: `archive/000000010000000000000004.partial`.
    pub from: String,
}

/// A segment that was archived and not given to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NotGivenEvidence {
    /// Its name.
    pub segment: String,
    /// What `restore_command` ended with; none where it said that it gave the file, and there was none.
    pub exit_code: Option<i32>,
}

/// One phase of the recovery time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Phase {
    /// `detect`, `fetch`, `unpack`, `combine` (of an incremental backup), `start`, `load` (of a dump), `replay`, `promote` or
    /// `first-write`.
    pub name: String,
    /// How long it took.
    pub took_us: u64,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// It looked at something, and found nothing wrong.
    Held,
    /// It has findings.
    Failed,
    /// It did not run, or had nothing to look at: never green.
    NotRun,
}

/// One check of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckRecord {
    /// Which.
    pub check: Check,
    /// Of which server. Empty in records from before there could be more than one: `restored`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// How it ended.
    pub status: CheckStatus,
    /// How many things it looked at, in the unit of its catalogue row.
    pub examined: u64,
    /// One line: what it saw, or why it did not run.
    pub summary: String,
    /// How long it took.
    pub took_us: u64,
}
