//! What a drill will do: a value that can be shown before anything is done. Steps that every drill has (making the
//! cluster, loading the data, capturing what is there) are in it too, so that a plan hides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::check::Check;
use crate::code::Code;
use crate::event::PlannedStep;
use crate::finding::{Stage, Unable};
use crate::scenario::{
    Backup, BackupFrom, Cluster, Data, Disaster, Expect, Placed, RecoverBy, Scenario, Setting, Sql, Step,
    SwitchWal, Tablespace, Target,
};
use crate::units::Major;

mod majors;
mod words;

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
    /// Make the primary's cluster, and start it.
    CreateCluster {
        /// How it is made.
        cluster: Cluster,
        /// Its tablespaces.
        tablespaces: Vec<Tablespace>,
        /// Whether the server summarizes its WAL, without which there is no incremental backup.
        summarize_wal: bool,
        /// The scenario's own settings.
        settings: BTreeMap<String, Setting>,
    },
    /// Load the trading schema and its data.
    LoadData(Data),
    /// Make a standby of the primary, and wait until it has caught up.
    CreateStandby,
    /// Take a base backup.
    Backup {
        /// Its name in the workspace.
        name: String,
        /// How it is taken.
        how: Backup,
        /// The backup that it builds upon, where it is incremental.
        upon: Option<String>,
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
        /// The backup, and before it those that it builds upon, the full one first.
        chain: Vec<Member>,
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

/// A backup of a drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name in the workspace.
    pub name: String,
    /// How it was taken.
    pub how: Backup,
}

/// A server of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The one that is lost.
    Primary,
    /// One that streams from the primary, so that backups can be taken from it.
    Standby,
    /// The one that is recovered.
    Restored,
}

impl Server {
    /// Its name in workspace, log files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Restored => "restored",
        }
    }
}

/// Compiles a scenario for one cell of the matrix.
///
/// # Errors
///
/// `MAJOR_OUT_OF_RANGE` when the scenario does not make sense on that major, or asks for what that major cannot do.
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
    majors::check(scenario, postgres)?;
    let mut checks = in_order(scenario.steps.iter().filter_map(|step| match &step.what {
        Step::Check(checks) => Some(checks.as_slice()),
        _ => None,
    }));
    // A recovery that nobody looks at proves nothing: where the scenario names no check, every check is made.
    let unasked = checks.is_empty();
    if unasked {
        checks = Check::all();
    }
    let incremental = |step: &Placed<Step>| matches!(&step.what, Step::Backup(how) if how.incremental);
    let create = Act::CreateCluster {
        cluster: scenario.cluster.clone(),
        tablespaces: scenario.tablespaces.clone(),
        summarize_wal: scenario.steps.iter().any(incremental),
        settings: scenario.settings.clone(),
    };
    let mut steps =
        vec![Planned { line: None, act: create }, Planned { line: None, act: Act::LoadData(scenario.data) }];
    let mut chain: Vec<Member> = Vec::new();
    let mut backups = 0;
    let mut standby = false;
    let mut server = Server::Primary;
    for Placed { line, what } in &scenario.steps {
        let act = match what {
            Step::Backup(how) => {
                if how.from == BackupFrom::Standby && !standby {
                    standby = true;
                    steps.push(Planned { line: None, act: Act::CreateStandby });
                }
                backups += 1;
                let name = format!("backup-{backups}");
                if !how.incremental {
                    chain.clear();
                }
                let upon = chain.last().map(|member| member.name.clone());
                chain.push(Member { name: name.clone(), how: *how });
                Act::Backup { name, how: *how, upon }
            }
            Step::Sql(sql) => Act::Sql { sql: sql.clone(), on: server },
            Step::SwitchWal(switch) => Act::SwitchWal(*switch),
            Step::Disaster(disaster) => {
                steps.push(Planned { line: None, act: Act::Capture { checks: checks.clone() } });
                Act::Disaster(*disaster)
            }
            Step::Recover(recover) => {
                server = Server::Restored;
                let newest = chain.last().ok_or_else(|| {
                    Unable::bug(format!(
                        "{}:{line}: a recovery without a backup passed the parser",
                        scenario.id
                    ))
                })?;
                let by = recover.by.unwrap_or_else(|| RecoverBy::fitting(&newest.how));
                Act::Recover { chain: chain.clone(), by, to: recover.to, within: recover.within }
            }
            Step::Check(checks) => {
                let mut checks = checks.clone();
                checks.sort_unstable();
                Act::Check { checks }
            }
        };
        steps.push(Planned { line: Some(*line), act });
    }
    if unasked {
        steps.push(Planned { line: None, act: Act::Check { checks } });
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
            Self::CreateStandby => "create-standby",
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
            Self::CreateStandby | Self::Backup { .. } | Self::SwitchWal(_) => Stage::Backup,
            Self::Sql { on: Server::Primary | Server::Standby, .. } => Stage::Backup,
            Self::Capture { .. } => Stage::Capture,
            Self::Disaster(_) => Stage::Disaster,
            Self::Recover { .. } => Stage::Recover,
            Self::Sql { on: Server::Restored, .. } | Self::Check { .. } => Stage::Check,
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
        let Act::Recover { chain, by, .. } = &plan.steps[7].act else { panic!("{:?}", plan.steps[7]) };
        assert_eq!((chain.len(), chain[0].name.as_str(), *by), (1, "backup-2", RecoverBy::Tar));
        assert!(matches!(plan.steps[4].act, Act::Sql { on: Server::Primary, .. }));
        assert!(matches!(plan.steps[8].act, Act::Sql { on: Server::Restored, .. }));
        assert_eq!(plan.steps[8].line, Some(11));
    }

    #[test]
    fn a_recovery_that_is_not_checked_is_checked_by_everything() {
        let text = TEXT.replace("  - check: all\n", "");
        let plan = compile(&parse("a", "a.yaml", &text).unwrap(), Major(15), "local", None).unwrap();
        let last = plan.steps.last().unwrap();
        assert_eq!((last.line, &last.act), (None, &Act::Check { checks: Check::all() }));
        assert!(plan.steps.iter().any(|step| step.act == Act::Capture { checks: Check::all() }));
        let bare = TEXT.replace("  - check: all\n", "  - check\n");
        let plan = compile(&parse("a", "a.yaml", &bare).unwrap(), Major(15), "local", None).unwrap();
        assert_eq!((plan.steps.last().unwrap().line, plan.checks()), (Some(12), Check::all()));
    }

    #[test]
    fn a_major_out_of_range_is_not_a_verdict_about_the_backup() {
        let scenario = parse("a", "a.yaml", TEXT).unwrap();
        let unable = compile(&scenario, Major(13), "local", None).unwrap_err();
        assert_eq!(unable.code, Code::MajorOutOfRange);
        assert_eq!(unable.message, "'a' is for PostgreSQL >=14, and 13 was asked for");
    }
}
