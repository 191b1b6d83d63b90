//! What a drill will do: a value that can be shown before anything is done. Steps that every drill has (making the
//! cluster, loading the data, capturing what is there) are in it too, so that a plan hides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::check::Check;
use crate::code::Code;
use crate::event::PlannedStep;
use crate::finding::{Stage, Unable};
use crate::scenario::{
    Backup, BackupFormat, Compress, Data, Disaster, Expect, Placed, RecoverBy, Scenario, Setting, Sql, Step,
    SwitchWal, Target,
};
use crate::units::{Major, show_count, show_duration};

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
    /// The recovery time objective.
    pub rto: Option<Duration>,
    /// How the drill must end, when that is not `proven`.
    pub expect: Option<Expect>,
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
    /// Make the primary's cluster, with page checksums, and start it.
    CreateCluster {
        /// The scenario's own settings.
        settings: BTreeMap<String, Setting>,
    },
    /// Load the trading schema and its data.
    LoadData(Data),
    /// Take a base backup.
    Backup {
        /// Its name in the workspace.
        name: String,
        /// How it is taken.
        how: Backup,
    },
    /// Run SQL on the server that is there.
    Sql {
        /// What to run.
        sql: Sql,
        /// On which server.
        on: Server,
    },
    /// Switch to a new WAL segment and wait until everything before it is in the archive.
    SwitchWal(SwitchWal),
    /// Capture the primary's content, with its position.
    Capture {
        /// What the checks to come need.
        checks: Vec<Check>,
    },
    /// Lose the primary.
    Disaster(Disaster),
    /// Restore a backup and recover.
    Recover {
        /// The backup's name in the workspace.
        backup: String,
        /// How it was taken.
        how: Backup,
        /// How it is unpacked.
        by: RecoverBy,
        /// Where recovery stops.
        to: Target,
        /// How long it may take.
        within: Duration,
    },
    /// Compare with what was there.
    Check {
        /// What to compare, in the catalogue's order.
        checks: Vec<Check>,
    },
}

/// A server of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The one that is lost.
    Primary,
    /// The one that is recovered.
    Restored,
}

impl Server {
    /// Its name in workspace, log files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Restored => "restored",
        }
    }
}

/// Compiles a scenario for one cell of the matrix.
///
/// # Errors
///
/// `MAJOR_OUT_OF_RANGE` when the scenario does not make sense on that major.
pub fn compile(
    scenario: &Scenario,
    postgres: Major,
    runtime: &str,
    seed: Option<u64>,
) -> Result<Plan, Unable> {
    if !scenario.postgres.contains(postgres) {
        return Err(Unable::new(
            Code::MajorOutOfRange,
            format!(
                "'{}' is for PostgreSQL {}, and {postgres} was asked for",
                scenario.id, scenario.postgres
            ),
        ));
    }
    let checks = in_order(scenario.steps.iter().filter_map(|step| match &step.what {
        Step::Check(checks) => Some(checks.as_slice()),
        _ => None,
    }));
    let mut steps = vec![
        Planned { line: None, act: Act::CreateCluster { settings: scenario.settings.clone() } },
        Planned { line: None, act: Act::LoadData(scenario.data) },
    ];
    let mut backups: Vec<(String, Backup)> = Vec::new();
    let mut server = Server::Primary;
    for Placed { line, what } in &scenario.steps {
        let act = match what {
            Step::Backup(how) => {
                let name = format!("backup-{}", backups.len() + 1);
                backups.push((name.clone(), *how));
                Act::Backup { name, how: *how }
            }
            Step::Sql(sql) => Act::Sql { sql: sql.clone(), on: server },
            Step::SwitchWal(switch) => Act::SwitchWal(*switch),
            Step::Disaster(disaster) => {
                steps.push(Planned { line: None, act: Act::Capture { checks: checks.clone() } });
                Act::Disaster(*disaster)
            }
            Step::Recover(recover) => {
                server = Server::Restored;
                let (backup, how) = backups.last().cloned().ok_or_else(|| {
                    Unable::bug(format!(
                        "{}:{line}: a recovery without a backup passed the parser",
                        scenario.id
                    ))
                })?;
                let by = recover.by.unwrap_or(match how.format {
                    BackupFormat::Tar => RecoverBy::Tar,
                    BackupFormat::Plain => RecoverBy::Copy,
                });
                Act::Recover { backup, how, by, to: recover.to, within: recover.within }
            }
            Step::Check(checks) => {
                let mut checks = checks.clone();
                checks.sort_unstable();
                Act::Check { checks }
            }
        };
        steps.push(Planned { line: Some(*line), act });
    }
    Ok(Plan {
        scenario: scenario.id.clone(),
        title: scenario.title.clone(),
        scenario_sha256: scenario.sha256.clone(),
        postgres,
        runtime: runtime.to_owned(),
        seed: seed.unwrap_or(scenario.seed),
        steps,
        rto: scenario.objectives.rto,
        expect: scenario.expect,
        time_limit: scenario.time_limit,
    })
}

/// Each check once, in the catalogue's order.
fn in_order<'a>(lists: impl Iterator<Item = &'a [Check]>) -> Vec<Check> {
    let mut checks: Vec<Check> = lists.flatten().copied().collect();
    checks.sort_unstable();
    checks.dedup();
    checks
}

impl Plan {
    /// The checks that it contains, in the catalogue's order.
    pub fn checks(&self) -> Vec<Check> {
        in_order(self.steps.iter().filter_map(|step| match &step.act {
            Act::Check { checks } => Some(checks.as_slice()),
            _ => None,
        }))
    }

    /// Its steps as the record keeps them.
    pub fn outline(&self) -> Vec<PlannedStep> {
        self.steps
            .iter()
            .map(|step| PlannedStep {
                name: step.act.name().to_owned(),
                stage: step.act.stage(),
                line: step.line,
                does: step.act.to_string(),
            })
            .collect()
    }
}

impl Act {
    /// Its name: that of the scenario language, where it has one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateCluster { .. } => "create-cluster",
            Self::LoadData(_) => "load-data",
            Self::Backup { .. } => "backup",
            Self::Sql { .. } => "sql",
            Self::SwitchWal(_) => "switch-wal",
            Self::Capture { .. } => "capture",
            Self::Disaster(_) => "disaster",
            Self::Recover { .. } => "recover",
            Self::Check { .. } => "check",
        }
    }

    /// The stage that it belongs to.
    pub fn stage(&self) -> Stage {
        match self {
            Self::CreateCluster { .. } | Self::LoadData(_) => Stage::Prepare,
            Self::Backup { .. } | Self::SwitchWal(_) => Stage::Backup,
            Self::Sql { on: Server::Primary, .. } => Stage::Backup,
            Self::Capture { .. } => Stage::Capture,
            Self::Disaster(_) => Stage::Disaster,
            Self::Recover { .. } => Stage::Recover,
            Self::Sql { on: Server::Restored, .. } | Self::Check { .. } => Stage::Check,
        }
    }
}

/// The first words of a statement: enough to know it again, never a whole one.
fn excerpt(sql: &str) -> String {
    const LONGEST: usize = 60;
    let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= LONGEST {
        return words;
    }
    let cut: String = words.chars().take(LONGEST - 3).collect();
    format!("{}...", cut.trim_end())
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateCluster { settings } => {
                write!(f, "initdb with page checksums, archive_command into archive/, start primary")?;
                for (name, setting) in settings {
                    write!(f, ", {name}={}", setting.value)?;
                }
                Ok(())
            }
            Self::LoadData(data) => {
                write!(f, "trading schema and {} orders by binary COPY", show_count(data.orders))
            }
            Self::Backup { name, how } => {
                let form = match (how.format, how.compress) {
                    (BackupFormat::Plain, _) => "plain",
                    (BackupFormat::Tar, Compress::None) => "tar",
                    (BackupFormat::Tar, Compress::Gzip) => "tar, gzip",
                };
                write!(f, "pg_basebackup ({form}, SHA256 manifest, WAL streamed) into backup/{name}")
            }
            Self::Sql { sql, on } => {
                write!(f, "on {}: {}", on.name(), excerpt(&sql.run))?;
                sql.database.as_ref().map_or(Ok(()), |database| write!(f, " (in {database})"))
            }
            Self::SwitchWal(switch) => {
                write!(f, "pg_switch_wal(), wait up to {} for the archive", show_duration(switch.within))
            }
            Self::Capture { .. } => write!(f, "content of the quiet primary, with its position in the WAL"),
            Self::Disaster(Disaster::Kill) => write!(f, "SIGKILL the primary; its files stay"),
            Self::Disaster(Disaster::LosePrimary) => {
                write!(f, "SIGKILL the primary and remove its data directory with all WAL in it")
            }
            Self::Recover { backup, by, to: Target::Latest, within, .. } => {
                let by = match by {
                    RecoverBy::Tar => "tar",
                    RecoverBy::Copy => "cp",
                };
                write!(
                    f,
                    "unpack backup/{backup} by {by}, replay the archive to its end on timeline latest, promote, \
                     first write as trading_app; within {}",
                    show_duration(*within)
                )
            }
            Self::Check { checks } => {
                let names: Vec<&str> = checks.iter().map(|check| check.name()).collect();
                write!(f, "{}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;

    const TEXT: &str = "
title: A drill
postgres: '>=14'
data: { orders: 1_000 }
steps:
  - backup: { format: plain }
  - backup: { format: tar, compress: gzip }
  - sql: SELECT 1
  - disaster: lose-primary
  - recover: {}
  - sql: SELECT 2
  - check: all
objectives: { rto: 30s }
";

    #[test]
    fn a_plan_hides_no_step_and_leaves_nothing_to_decide() {
        let scenario = parse("a", "a.yaml", TEXT).unwrap();
        let plan = compile(&scenario, Major(15), "local", Some(7)).unwrap();
        let names: Vec<&str> = plan.steps.iter().map(|step| step.act.name()).collect();
        assert_eq!(
            names,
            [
                "create-cluster",
                "load-data",
                "backup",
                "backup",
                "sql",
                "capture",
                "disaster",
                "recover",
                "sql",
                "check"
            ]
        );
        assert_eq!(plan.seed, 7);
        assert_eq!(plan.checks(), Check::all());
        let Act::Recover { backup, by, .. } = &plan.steps[7].act else { panic!("{:?}", plan.steps[7]) };
        assert_eq!((backup.as_str(), *by), ("backup-2", RecoverBy::Tar));
        assert!(matches!(plan.steps[4].act, Act::Sql { on: Server::Primary, .. }));
        assert!(matches!(plan.steps[8].act, Act::Sql { on: Server::Restored, .. }));
        assert_eq!(plan.steps[8].line, Some(11));
    }

    #[test]
    fn a_major_out_of_range_is_not_a_verdict_about_the_backup() {
        let scenario = parse("a", "a.yaml", TEXT).unwrap();
        let unable = compile(&scenario, Major(13), "local", None).unwrap_err();
        assert_eq!(unable.code, Code::MajorOutOfRange);
        assert_eq!(unable.message, "'a' is for PostgreSQL >=14, and 13 was asked for");
    }

    #[test]
    fn a_statement_is_shown_by_its_first_words() {
        assert_eq!(excerpt("SELECT  1\n  + 1"), "SELECT 1 + 1");
        assert_eq!(excerpt(&"x".repeat(80)), format!("{}...", "x".repeat(57)));
    }
}
