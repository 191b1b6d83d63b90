//! From a scenario to the plan of one cell of the matrix.

use super::{Act, Member, NewCluster, Plan, Planned, Recovery, Server, majors};
use crate::as_written::Stands;
use crate::check::Check;
use crate::code::Code;
use crate::drift::Drift;
use crate::fault::{Fault, Site};
use crate::finding::Unable;
use crate::scenario::{
    Backup, BackupFrom, BackupKind, BackupTool, Disaster, Given, Origins, Placed, Point, Recover,
    RecoverFrom, RunbookStep, Scenario, Step,
};
use crate::units::Major;

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
    let mut walk = Walk::new(scenario);
    for (index, step) in scenario.steps.iter().enumerate() {
        walk.take(index, step)?;
    }
    Ok(Plan {
        scenario: scenario.id.clone(),
        title: scenario.title.clone(),
        scenario_sha256: scenario.sha256.clone(),
        postgres,
        runtime: runtime.to_owned(),
        seed: seed.unwrap_or(scenario.seed),
        steps: walk.end(),
        queries: scenario.queries.clone(),
        archive: scenario.archive.clone(),
        rto: scenario.objectives.rto,
        rpo: scenario.objectives.rpo,
        outage: scenario.objectives.outage,
        expect: scenario.expect,
        compared_with: None,
        drift: scenario.given().map(|given| Drift { before: None, at_most_percent: given.max_drift }),
        time_limit: scenario.time_limit,
    })
}

/// Where the compiler is in a scenario.
struct Walk<'s> {
    scenario: &'s Scenario,
    steps: Vec<Planned>,
    /// Every check that the scenario makes, once.
    checks: Vec<Check>,
    /// Every check that can be made of it.
    every_check: Vec<Check>,
    /// The server that is there.
    server: Server,
    /// Every backup so far, each with those that it builds upon.
    backups: Vec<Vec<Member>>,
    /// From which of them a recovery may begin.
    origins: Origins,
    standby: bool,
    /// Whether the content may be another than the one that was captured last, in a way that no ledger tells.
    unknown: bool,
    /// Whether writers go on behind.
    behind: bool,
    recoveries: u8,
    /// Whether there is no server.
    is_lost: bool,
    /// The server that was lost last, and whether what it held then is what was captured last.
    lost: (Server, bool),
    /// Whether the last recovery was checked.
    checked: bool,
}

impl<'s> Walk<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        let steps = || scenario.steps.iter().map(|step| &step.what);
        let mut checks: Vec<Check> = steps()
            .filter_map(
                |step| if let Step::Check(checks) = step { Some(checks.iter().copied()) } else { None },
            )
            .flatten()
            .collect();
        checks.sort_unstable();
        checks.dedup();
        // A recovery that nobody looks at proves nothing: where the scenario names no check, every check is made.
        let given = scenario.given().is_some();
        let every_check = scenario.every_check();
        if checks.is_empty() || !last_recovery_is_checked(scenario) {
            checks.clone_from(&every_check);
        }
        let cluster = NewCluster {
            cluster: scenario.cluster.clone(),
            tablespaces: scenario.tablespaces.clone(),
            archive: scenario.archive.clone(),
            summarize_wal: steps().any(|step| matches!(step, Step::Backup(how) if how.incremental && how.tool == BackupTool::PgBasebackup)),
            small_archive: steps().any(|step| *step == Step::Fault(Fault::ArchiveDiskFull)),
            settable_clock: steps().any(|step| *step == Step::Fault(Fault::ClockSetBack)),
            settings: scenario.settings.clone(),
        };
        // It has streamed from the beginning when it takes over.
        let takes_over = steps().any(|step| matches!(step, Step::Failover(_)));
        let standby = takes_over.then_some(Act::CreateStandby { takes_over });
        let acts = [Act::CreateCluster(cluster), Act::LoadData(scenario.data)].into_iter().chain(standby);
        let steps = if given { Vec::new() } else { acts.map(|act| Planned { line: None, act }).collect() };
        Self {
            scenario,
            steps,
            checks,
            every_check,
            server: Server::Primary,
            backups: Vec::new(),
            origins: Origins::default(),
            standby: takes_over,
            unknown: true,
            behind: false,
            recoveries: 0,
            is_lost: false,
            lost: (Server::Primary, false),
            checked: true,
        }
    }

    /// Takes the next step.
    fn take(&mut self, index: usize, Placed { line, what }: &Placed<Step>) -> Result<(), Unable> {
        let on = self.server;
        let act = match what {
            Step::Backup(how) => {
                // What a recovery to its end must bring back.
                let at_once = |step: &Placed<Step>| matches!(&step.what, Step::Recover(recover) if recover.to.at == Point::Immediate);
                if how.is_dump() {
                    // Whatever the ledger tells: this is what the dump holds, and comes back of all that was there.
                    self.unknown = true;
                    self.capture();
                } else if self.scenario.steps.iter().any(at_once) {
                    self.capture();
                }
                self.backup(*how)
            }
            Step::Given(given) => self.given(given),
            Step::Sql(sql) => {
                self.unknown = true;
                Act::Sql { sql: sql.clone(), on }
            }
            Step::Work(work) => {
                self.capture_between();
                self.behind = work.behind;
                Act::Work { work: work.clone(), on }
            }
            Step::StopWork => {
                self.behind = false;
                Act::StopWork
            }
            Step::Mark(name) => {
                self.capture_between();
                self.origins.mark(name);
                Act::Mark { name: name.clone(), on }
            }
            Step::SafetyCopy(by) => Act::SafetyCopy { by: *by, of: self.lost.0 },
            Step::Rollback(rollback) => {
                // Once it is gone back, nobody can look at what was recovered.
                self.check();
                let (to, quiet) = self.lost;
                self.server = to;
                Act::Rollback { rollback: *rollback, to, quiet }
            }
            Step::StartApplication => {
                // It places an order, so what was recovered is checked before.
                self.check();
                self.unknown = true;
                Act::StartApplication { application: self.scenario.application.clone(), on: self.server }
            }
            Step::Triage(triage) => {
                let (of, lost) = if self.is_lost { (self.lost.0, true) } else { (on, false) };
                Act::Triage { triage: *triage, of, lost }
            }
            Step::StopApplication => Act::StopApplication(self.scenario.application.clone()),
            Step::AsWritten(step) => {
                if step.row.entry().stands == Stands::Live {
                    self.capture();
                }
                self.as_written(index, *step)
            }
            Step::Watch(watch) => Act::Watch { watch: *watch, on },
            Step::Alert(awaited) => Act::Alert { awaited: *awaited, cause: self.cause() },
            Step::Crash(crash) => Act::Crash { crash: *crash, on },
            Step::Failover(failover) => {
                // What the standby must have, and all that a recovery to before it must bring back.
                self.capture();
                self.server = Server::Standby;
                Act::Failover { failover: *failover, from: on, to: Server::Standby }
            }
            Step::SwitchWal(switch) => Act::SwitchWal { switch: *switch, on },
            Step::Disaster(disaster) => {
                if disaster.loses_the_server() {
                    self.is_lost = true;
                    self.lost = (on, *disaster == Disaster::Kill && !self.behind && !self.scenario.dumps());
                    // Also where nothing is unknown: that the ledger agrees with the primary is worth to be shown.
                    self.unknown |= !self.behind;
                    self.capture_between();
                    self.behind = false;
                    // What was recovered before is gone with it.
                    self.checked = true;
                }
                Act::Disaster { disaster: disaster.clone(), on }
            }
            Step::Fault(fault) => {
                // What is made on the live server is part of what it holds.
                self.unknown |= fault.site() == Site::Server;
                let newest = self.backups.iter().rev().filter_map(|chain| chain.last().cloned());
                Act::Fault { fault: *fault, on, backups: newest.collect() }
            }
            Step::Recover(recover) => self.recover(index, *line, recover)?,
            Step::Sweep(sweep) => Act::Sweep { sweep: *sweep, backups: self.backups.clone() },
            Step::Check(checks) => {
                self.checked = true;
                let mut checks = checks.clone();
                checks.sort_unstable();
                Act::Check { checks, of: on }
            }
        };
        self.steps.push(Planned { line: Some(*line), act });
        Ok(())
    }

    /// The step that causes an alert: the last that does something to the server, of those below the watch.
    fn cause(&self) -> usize {
        let causes = |planned: &Planned| {
            matches!(
                planned.act,
                Act::Sql { .. } | Act::Fault { .. } | Act::Disaster { .. } | Act::Crash { .. }
            )
        };
        self.steps.iter().rposition(causes).unwrap_or_default()
    }

    /// Captures the content of the server that is there, where it is not known.
    fn capture(&mut self) {
        if self.unknown && !self.behind {
            let act = Act::Capture { checks: self.checks.clone(), on: self.server };
            self.steps.push(Planned { line: None, act });
            self.unknown = false;
        }
    }

    /// The same where a recovery could go to; from a dump it goes only to the moment of that.
    fn capture_between(&mut self) {
        if !self.scenario.dumps() {
            self.capture();
        }
    }

    fn backup(&mut self, how: Backup) -> Act {
        if how.from == BackupFrom::Standby && !self.standby {
            self.standby = true;
            self.steps.push(Planned { line: None, act: Act::CreateStandby { takes_over: false } });
        }
        let name = format!("backup-{}", self.backups.len() + 1);
        // A differential backup leaves out those between it and the full one.
        let whole = how.kind == BackupKind::Diff;
        let before = self.backups.iter().rev().find(|chain| !whole || chain.len() == 1);
        let mut chain = before.filter(|_| how.incremental).cloned().unwrap_or_default();
        let upon = chain.last().map(|member| member.name.clone());
        chain.push(Member { name: name.clone(), how });
        self.backups.push(chain);
        self.origins.backup();
        Act::Backup { name, how, upon, on: self.server }
    }

    fn given(&mut self, given: &Given) -> Act {
        let name = "backup-1".to_owned();
        self.backups.push(vec![Member { name: name.clone(), how: Backup::BARE }]);
        self.origins.backup();
        Act::Given { name, given: given.clone() }
    }

    fn as_written(&self, index: usize, step: RunbookStep) -> Act {
        let of = if step.row.entry().stands == Stands::Live { self.server } else { self.lost.0 };
        let backup = self.backups.last().and_then(|chain| chain.last()).map(|member| member.name.clone());
        let mark = self.scenario.steps[..index].iter().rev().find_map(|step| match &step.what {
            Step::Mark(name) => Some(name.clone()),
            _ => None,
        });
        Act::AsWritten { step, of, backup, mark }
    }

    fn recover(&mut self, index: usize, line: usize, recover: &Recover) -> Result<Act, Unable> {
        // A recovery that is not checked before its server is lost again is checked by the next.
        self.recoveries += 1;
        self.is_lost = false;
        self.checked = false;
        self.unknown = true;
        self.server = Server::Restored(self.recoveries);
        let range = self.origins.of(&recover.to, recover.timeline);
        // Where the newest is not good, any before it may be.
        let first = if recover.from.steps_back() { 0 } else { range.start };
        let backups = self.backups.get(first..range.end).unwrap_or_default().to_vec();
        self.origins.recover(&recover.to, recover.timeline);
        if backups.is_empty() {
            return Err(Unable::bug(format!(
                "{}:{line}: a recovery without a backup passed the parser",
                self.scenario.id
            )));
        }
        Ok(Act::Recover(Recovery {
            backups,
            given: self.scenario.given().is_some(),
            by: recover.by,
            from: recover.from,
            tried_by: if recover.from == RecoverFrom::LastProven {
                self.checks_of(index)
            } else {
                Vec::new()
            },
            to: recover.to.clone(),
            timeline: recover.timeline,
            action: recover.action,
            within: recover.within,
            server: self.server,
            serves: self.scenario.steps[index..]
                .iter()
                .any(|step| matches!(&step.what, Step::Disaster(disaster) if disaster.loses_the_server())),
        }))
    }

    /// By what the recovery of a step is checked.
    fn checks_of(&self, recovery: usize) -> Vec<Check> {
        let behind = self.scenario.steps.iter().skip(recovery + 1).map(|step| &step.what);
        let mut checks: Vec<Check> = behind
            .take_while(|step| !matches!(step, Step::Recover(_)))
            .filter_map(|step| if let Step::Check(checks) = step { Some(checks.clone()) } else { None })
            .flatten()
            .collect();
        if checks.is_empty() {
            checks.clone_from(&self.every_check);
        }
        checks.sort_unstable();
        checks.dedup();
        checks
    }

    /// Checks the last recovery, where the scenario does not.
    fn check(&mut self) {
        if !self.checked {
            let checks = self.every_check.clone();
            self.steps.push(Planned { line: None, act: Act::Check { checks, of: self.server } });
            self.checked = true;
        }
    }

    /// The whole plan.
    fn end(mut self) -> Vec<Planned> {
        self.check();
        if let Some(mark) = bare(self.scenario) {
            self.steps.push(Planned { line: None, act: Act::BareRecovery { mark } });
        }
        self.steps
    }
}

/// The mark to which PostgreSQL alone is sent, where a fault could keep it from there: the last that stands between a
/// backup and the last disaster.
fn bare(scenario: &Scenario) -> Option<String> {
    let steps = || scenario.steps.iter().map(|step| &step.what);
    steps().find(|step| matches!(step, Step::Fault(fault) if fault.site() != Site::Recovered))?;
    if scenario.dumps() || steps().any(|step| matches!(step, Step::Rollback(_))) {
        return None;
    }
    steps().rfind(|step| matches!(step, Step::Recover(_)))?;
    let lost = steps().collect::<Vec<_>>();
    let lost = &lost[..lost
        .iter()
        .rposition(|step| matches!(step, Step::Disaster(disaster) if disaster.loses_the_server()))?];
    let backup = lost.iter().position(|step| matches!(step, Step::Backup(_)))?;
    lost[backup..].iter().rev().find_map(|step| match step {
        Step::Mark(name) => Some(name.clone()),
        _ => None,
    })
}

/// Whether a check stands below the last recovery.
fn last_recovery_is_checked(scenario: &Scenario) -> bool {
    let last = scenario.steps.iter().rposition(|step| matches!(step.what, Step::Recover(_)));
    last.is_none_or(|last| scenario.steps[last..].iter().any(|step| matches!(step.what, Step::Check(_))))
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
        assert_eq!(plan.checks(), Check::all_of(false));
        let Act::Recover(recovery) = &plan.steps[7].act else { panic!("{:?}", plan.steps[7]) };
        let names: Vec<&str> = recovery.backups.iter().map(|chain| chain[0].name.as_str()).collect();
        assert_eq!((names, recovery.serves), (vec!["backup-2"], false));
        assert!(matches!(plan.steps[4].act, Act::Sql { on: Server::Primary, .. }));
        assert!(matches!(plan.steps[8].act, Act::Sql { on: Server::Restored(1), .. }));
        assert_eq!(plan.steps[8].line, Some(11));
    }

    #[test]
    fn a_recovery_that_is_not_checked_is_checked_by_everything() {
        let text = TEXT.replace("  - check: all\n", "");
        let plan = compile(&parse("a", "a.yaml", &text).unwrap(), Major(15), "local", None).unwrap();
        let last = plan.steps.last().unwrap();
        let all = Check::all_of(false);
        assert_eq!(
            (last.line, &last.act),
            (None, &Act::Check { checks: all.clone(), of: Server::Restored(1) })
        );
        let capture = Act::Capture { checks: all, on: Server::Primary };
        assert!(plan.steps.iter().any(|step| step.act == capture));
        let bare = TEXT.replace("  - check: all\n", "  - check\n");
        let plan = compile(&parse("a", "a.yaml", &bare).unwrap(), Major(15), "local", None).unwrap();
        assert_eq!((plan.steps.last().unwrap().line, plan.checks()), (Some(12), Check::all_of(false)));
    }

    #[test]
    fn a_recovered_server_that_is_lost_again_is_not_checked_behind_that() {
        let again = "  - disaster: lose-primary\n  - sweep: { targets: 5 }\n";
        let text = TEXT.replace("  - check: all\nobjectives: { rto: 30s }\n", again);
        let plan = compile(&parse("a", "a.yaml", &text).unwrap(), Major(15), "local", None).unwrap();
        assert_eq!(plan.steps.last().unwrap().act.name(), "sweep");
        let text = TEXT.replace("  - check: all\n", "  - disaster: lose-primary\n  - recover\n");
        let plan = compile(&parse("a", "a.yaml", &text).unwrap(), Major(15), "local", None).unwrap();
        let of = Server::Restored(2);
        assert!(matches!(&plan.steps.last().unwrap().act, Act::Check { of: on, .. } if *on == of));
    }

    #[test]
    fn a_major_out_of_range_is_not_a_verdict_about_the_backup() {
        let scenario = parse("a", "a.yaml", TEXT).unwrap();
        let unable = compile(&scenario, Major(13), "local", None).unwrap_err();
        assert_eq!(unable.code, Code::MajorOutOfRange);
        assert_eq!(unable.message, "'a' is for PostgreSQL >=14, and 13 was asked for");
    }
}
