//! The scenario file as it is written: the types from which both the reading and the JSON Schema come.
//!
//! Their comments are what editors show to the people who write scenarios.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::application::{ApplicationArguments, ApplicationWord};
use super::archive::ArchiveArguments;
use super::as_written::AsWrittenArguments;
use super::backup::{MaxRate, Switch};
use super::cluster::{FixtureTable, IcuLocale, Locale, SegmentSize, TablespaceName};
use super::disaster::DisasterArguments;
use super::dump::Jobs;
use super::given::FromArguments;
use super::mistake::quote;
use super::objectives::ObjectivesArguments;
use super::queries::QueryArguments;
use super::safety::{RollbackArguments, SafetyCopyArguments};
use super::slot::{Slot, TextOr, read_text_or};
use super::sweep::SweepArguments;
use super::target::{MarkName, TargetArguments, TimelineWord};
use super::triage::TriageArguments;
use super::value::{
    CheckName, Database, FaultName, FindingCode, Majors, Orders, Seed, SettingName, SettingValue, Span,
    Statement, Title,
};
use super::watch::{AlertArguments, WatchArguments};
use super::work::WorkArguments;
use super::wrong::Words;
use super::{
    Action, BackupFormat, BackupKind, BackupTool, CheckpointMode, Compress, ManifestChecksums, RecoverBy,
    RecoverFrom, WalMethod,
};
use crate::finding::Stage;
use crate::verdict::Verdict;

/// A restore drill: what is loaded, what is done, and what must come out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["title", "steps"]))]
pub(super) struct File {
    /// What the drill shows, in one line for people.
    pub(super) title: Slot<Title>,
    /// The PostgreSQL majors on which the scenario makes sense: 15, '>=13', '>=13 <18'. Default: everywhere.
    pub(super) postgres: Slot<Majors>,
    /// Where all chance comes from; the same seed gives the same data. Default: 42.
    pub(super) seed: Slot<Seed>,
    /// What is loaded before the first step.
    pub(super) data: Slot<DataArguments>,
    /// How the primary's cluster is made.
    pub(super) cluster: Slot<ClusterArguments>,
    /// Tablespaces of the primary, by name, each with the tables that are put there together with their indexes, as in
    /// { history: [AuditLog] }.
    pub(super) tablespaces: Slot<Entries<TablespaceName, Vec<Slot<FixtureTable>>>>,
    /// How WAL is archived.
    pub(super) archive: Slot<ArchiveArguments>,
    /// The application in front of the server, for the steps `application`. Default: a stand-in for a trading API and its
    /// web, which place orders through PgBouncer.
    pub(super) application: Slot<ApplicationArguments>,
    /// Settings of the primary, by name, beside those that pgdrill makes itself.
    pub(super) settings: Slot<Entries<SettingName, SettingValue>>,
    /// How long the whole drill may take, as in 30m. Default: 1h.
    pub(super) time_limit: Slot<Span>,
    /// What is done, in order: a disaster and a recovery after it, up to four times. Without a check after the last
    /// recovery, all are made.
    #[schemars(extend("minItems" = 1))]
    pub(super) steps: Slot<Vec<Slot<Step>>>,
    /// What the recovered server is asked, each query by itself and reading only, and must answer: the check `queries`. In a drill
    /// with data of its own the order of its first write is there as well.
    #[schemars(extend("minItems" = 1))]
    pub(super) queries: Slot<Vec<Slot<QueryArguments>>>,
    /// What the recovery must achieve.
    pub(super) objectives: Slot<ObjectivesArguments>,
    /// What `pgdrill run --mutants` may find: damaged copies of the drill's own backup and archive that its checks do not
    /// notice.
    pub(super) mutants: Slot<MutantsArguments>,
    /// How the drill must end, when that is not `proven`.
    pub(super) expect: Slot<ExpectArguments>,
}

/// What is loaded before the first step.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct DataArguments {
    /// Rows of the table "Order", as in 200_000; all other tables follow from it. Default: 10_000.
    pub(super) orders: Slot<Orders>,
}

/// How the primary's cluster is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ClusterArguments {
    /// A locale of the operating system that writes UTF-8, as in en_US.UTF-8. Default: C.
    pub(super) locale: Slot<Locale>,
    /// A locale of ICU that orders texts instead, as in en-US; from PostgreSQL 15 on. Default: none.
    pub(super) icu_locale: Slot<IcuLocale>,
    /// Whether pages have checksums. Default: on.
    pub(super) checksums: Slot<Switch>,
    /// The size of a WAL segment, as in 16MB. Default: 16MB.
    pub(super) wal_segment_size: Slot<SegmentSize>,
}

/// What the mutants of a drill may come to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct MutantsArguments {
    /// Mutants that may survive, each by its fault and with the reason why, as in { file-extra: we copy whole directories }.
    pub(super) survivors: Slot<Entries<FaultName, Title>>,
}

/// How the drill must end, when that is not `proven`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["verdict"], "dependentRequired" = { "stage": ["finding"] }))]
pub(super) struct ExpectArguments {
    /// With which verdict.
    pub(super) verdict: Slot<Verdict>,
    /// With which finding, as in RTO_EXCEEDED.
    pub(super) finding: Slot<FindingCode>,
    /// At which stage of the drill that finding at the latest.
    pub(super) stage: Slot<Stage>,
}

/// One step of the drill: an object with exactly one property.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(transform = super::choice::one_property)]
pub(super) enum Step {
    /// Takes a base backup, or names one that is there already.
    Backup(Box<BackupArguments>),
    /// Runs SQL on the server that is there: the primary, and after the recovery the recovered one.
    Sql(SqlArguments),
    /// Lets writers place orders, each transaction of which is written down outside the database once it is
    /// acknowledged; or stops those that go on behind.
    Work(WorkArguments),
    /// Takes note of an instant under this name, as a target for a recovery.
    Mark(MarkName),
    /// Kills the postmaster and starts it again: the server recovers by itself.
    Crash(CrashArguments),
    /// Loses the primary with its files, and lets the standby that streams from it take its place: the server of all later
    /// steps, on a timeline of its own, archiving into the same archive. The drill makes that standby at its beginning.
    Failover(FailoverArguments),
    /// Switches to a new WAL segment and waits until everything before it is in the archive.
    SwitchWal(SwitchWalArguments),
    /// Watches the server that is there for what the operations runbook alerts on, until it is recovered.
    Watch(WatchArguments),
    /// Waits for an alert, which must fire after its cause and not before: the last fault, disaster, SQL or crash above it
    /// that stands below the watch.
    Alert(AlertArguments),
    /// Asks what an operator asks in the first minutes, of the server, the pooler, the application, the disks and the
    /// archive, all at once, and says how bad it is and what is likely behind it.
    Triage(TriageArguments),
    /// Starts the application on the server that is there, behind PgBouncer, and uses it as a person would, or stops it. What
    /// was recovered is checked before the application is started on it. From its first start on it is asked again and again
    /// how it is, so that the outage is measured as its users see it.
    Application(ApplicationWord),
    /// Loses the server, or makes that it will be lost.
    Disaster(DisasterArguments),
    /// Puts aside what the disaster left of the server, before anything is restored: a copy that is compared with it.
    SafetyCopy(SafetyCopyArguments),
    /// Goes back to the safety copy, as where a recovery failed, or is not to be kept: it is what it was, its server comes
    /// back, and holds what it held. The last step.
    Rollback(RollbackArguments),
    /// Carries out a step of the restore runbook as it was written, or its corrected commands, on what a killed server left,
    /// and says what is there then.
    AsWritten(AsWrittenArguments),
    /// Damages something on purpose, at a place that the seed chooses: the server before it is lost, a backup while it is
    /// taken, the stored backup or the archive between the disaster and the recovery, the next recovery, or the recovered
    /// server.
    Fault(FaultName),
    /// Restores the newest backup that ends before the target, and recovers.
    Recover(RecoverArguments),
    /// Proves many recovery points for the price of about one replay.
    Sweep(SweepArguments),
    /// Compares the recovered server with what was there: all checks, or the chosen ones. Default: all.
    Check(CheckArguments),
}

impl Step {
    /// The name in the scenario language.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Backup(_) => "backup",
            Self::Sql(_) => "sql",
            Self::Work(_) => "work",
            Self::Mark(_) => "mark",
            Self::Crash(_) => "crash",
            Self::Failover(_) => "failover",
            Self::SwitchWal(_) => "switch-wal",
            Self::Watch(_) => "watch",
            Self::Alert(_) => "alert",
            Self::Triage(_) => "triage",
            Self::Application(_) => "application",
            Self::Disaster(_) => "disaster",
            Self::SafetyCopy(_) => "safety-copy",
            Self::Rollback(_) => "rollback",
            Self::AsWritten(_) => "as-written",
            Self::Fault(_) => "fault",
            Self::Recover(_) => "recover",
            Self::Sweep(_) => "sweep",
            Self::Check(_) => "check",
        }
    }
}

/// A backup.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct BackupArguments {
    /// With which program. Default: pg_basebackup.
    pub(super) tool: Slot<BackupTool>,
    /// In which form: plain or tar; of pg_dump also custom or directory. Default: tar, and custom for pg_dump.
    pub(super) format: Slot<BackupFormat>,
    /// What it holds, for pgbackrest: full, diff (what changed since the last full one), or incr (since the last one).
    /// Default: full.
    #[serde(rename = "type")]
    pub(super) kind: Slot<BackupKind>,
    /// Whether small files are put together, for pgbackrest from 2.39 on. Default: off.
    pub(super) bundle: Slot<Switch>,
    /// Whether all its files are of one moment, as those of a volume snapshot, for low-level: the server stands still while they are
    /// copied. Default: off, and they are copied one by one while it writes.
    pub(super) snapshot: Slot<Switch>,
    /// Compressed how, in pg_basebackup's notation: none, gzip, zstd:3, server-lz4, client-gzip:9. lz4, zstd and the
    /// server's side are for PostgreSQL 15 and later, 16 for dumps. Default: gzip for tar, custom and directory, none for plain
    /// and for a tar by pg_dump.
    pub(super) compress: Slot<Compress>,
    /// How the WAL that it needs comes into it. Default: stream.
    pub(super) wal: Slot<WalMethod>,
    /// Which checksums its manifest has of the files. Default: sha256.
    pub(super) manifest: Slot<ManifestChecksums>,
    /// How the checkpoint before it is made. Default: fast.
    pub(super) checkpoint: Slot<CheckpointMode>,
    /// Whether the server verifies the checksums of the pages that it sends. Default: on.
    pub(super) verify_checksums: Slot<Switch>,
    /// The most that is sent in a second, as in 32M. Default: no limit.
    pub(super) max_rate: Slot<MaxRate>,
    /// From which server it is taken, where the drill makes the standby that it needs; or where it lies, if it is there already:
    /// then the drill has no primary, and only recovers and checks. Default: primary.
    pub(super) from: Slot<FromArguments>,
    /// Whether it holds only what changed since the backup before it; from PostgreSQL 17 on. Default: off.
    pub(super) incremental: Slot<Switch>,
    /// By how many connections pg_dump takes a dump of format directory. Default: 1.
    pub(super) jobs: Slot<Jobs>,
}

/// SQL and where it runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["run"]))]
pub(super) struct SqlMapping {
    /// One or more statements.
    pub(super) run: Slot<Statement>,
    /// In which database. Default: the fixture's own.
    pub(super) database: Slot<Database>,
    /// Whether the next steps go on while it runs, as beside a query that hangs; it ends with the server at the latest.
    /// Default: off.
    pub(super) behind: Slot<Switch>,
}

/// SQL alone, or with the database in which it runs.
#[derive(Debug)]
pub(super) enum SqlArguments {
    Run(Statement),
    Mapping(SqlMapping),
}

read_text_or!(SqlArguments);

impl TextOr<'_> for SqlArguments {
    type Arguments = SqlMapping;
    const WANTED: &'static str = "SQL, or a mapping with the keys run, database, behind";
    const HINT: &'static str = "write `sql: DELETE FROM ...`; several statements are separated by semicolons";

    fn text(text: &str) -> Result<Self, Words> {
        Statement::read(text).map(Self::Run)
    }

    fn arguments(arguments: SqlMapping) -> Self {
        Self::Mapping(arguments)
    }
}

/// A switch of the WAL segment.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SwitchWalArguments {
    /// How long the archiver may take, as in 60s. Default: 60s.
    pub(super) within: Slot<Span>,
}

/// A crash of the server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CrashArguments {
    /// How long the server may take to come back, as in 2m. Default: 2m.
    pub(super) within: Slot<Span>,
}

/// A failover.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct FailoverArguments {
    /// How long it may take from the loss until the standby is promoted, as in 2m. Default: 2m.
    pub(super) within: Slot<Span>,
}

/// A recovery.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RecoverArguments {
    /// How the backup is unpacked. Default: tar for a tar backup, copy for a plain one, combine for an incremental one,
    /// pgbackrest for one by pgBackRest, barman for one by Barman, load for a dump.
    pub(super) by: Slot<RecoverBy>,
    /// From which backup: newest; last-good, which verifies them from the newest on and takes the first that is good; or
    /// last-proven, which recovers and checks each as well before it takes one.
    /// Default: newest.
    pub(super) from: Slot<RecoverFrom>,
    /// Where recovery stops: latest, immediate, baseline (where that of a backup which is there already belongs), the name of a
    /// mark that stands above, or a mapping. Default: latest.
    pub(super) to: Slot<TargetArguments>,
    /// Along which timeline: latest, current (the backup's), or a number. Default: latest.
    pub(super) timeline: Slot<TimelineWord>,
    /// What the server does at the target. Default: promote.
    pub(super) action: Slot<Action>,
    /// How long it may take, as in 10m. Default: 10m.
    pub(super) within: Slot<Span>,
}

/// All checks, which is also what nothing stands for, or the chosen ones.
#[derive(Debug)]
pub(super) enum CheckArguments {
    All,
    Chosen(Entries<CheckName, NoArguments>),
}

read_text_or!(CheckArguments);

impl TextOr<'_> for CheckArguments {
    type Arguments = Entries<CheckName, NoArguments>;
    const WANTED: &'static str = "'all' or a mapping of checks, as in { row-counts: all, fingerprints: all }";
    const HINT: &'static str = "write `check` alone for all of them";

    fn text(text: &str) -> Result<Self, Words> {
        if text == "all" {
            return Ok(Self::All);
        }
        let hint = if CheckName::read(text).is_ok() {
            format!("write check: {{ {text}: all }}")
        } else {
            String::new()
        };
        Err(Words::predicate(format!("must be {}; found {}", Self::WANTED, quote(text)), hint))
    }

    fn arguments(chosen: Self::Arguments) -> Self {
        Self::Chosen(chosen)
    }

    fn nothing() -> Result<Self, Words> {
        Ok(Self::All)
    }
}

/// The arguments of a check, which has none so far: `all`, `{}` or nothing.
#[derive(Debug)]
pub(super) struct NoArguments;

impl<'de> Deserialize<'de> for NoArguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = NoArguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("'all' or {}")
            }

            fn visit_unit<E: de::Error>(self) -> Result<NoArguments, E> {
                Ok(NoArguments)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NoArguments, E> {
                match text {
                    "all" => Ok(NoArguments),
                    _ => Err(E::custom(Words::predicate(
                        format!("must be 'all' or {{}}; found {}", quote(text)),
                        "a check looks at everything; leave it out if it should not run",
                    ))),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<NoArguments, A::Error> {
                match map.next_key::<String>()? {
                    None => Ok(NoArguments),
                    Some(key) => Err(de::Error::custom(Words::predicate(
                        format!("takes no arguments so far; found {}", quote(&key)),
                        "write all or {}",
                    ))),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// A mapping whose keys are not those of a struct, in the order of the file.
#[derive(Debug)]
pub(super) struct Entries<K, V>(pub(super) Vec<(Slot<K>, Slot<V>)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Reader<K, V> {
            type Value = Entries<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Reader(PhantomData))
    }
}
