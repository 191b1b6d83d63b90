//! What is done once more after a drill: its recovery, to know how its time is spread; or one of damaged copies of its own backup
//! and archive. What of these survives shows what its checks would not have noticed.

use super::{Act, Mutants, Plan, Planned, Recovery, Repeat};
use crate::check::Check;
use crate::fault::{FAULTS, Fault};
use crate::scenario::{BackupTool, RecoverFrom, Scenario, Step, applies};
use crate::verdict::Verdict;

/// Lets a plan end with mutants; or says why it can have none, and leaves it as it is.
///
/// # Errors
///
/// Why, in words.
pub fn add_mutants(plan: &mut Plan, scenario: &Scenario) -> Result<(), &'static str> {
    if scenario.given().is_some() {
        return Err("its backup was there already: only what a drill stored itself is damaged");
    }
    let (mut recovery, checks) = last_recovery(plan, scenario)?;
    let at =
        scenario.steps.iter().rposition(|step| matches!(step.what, Step::Recover(_))).unwrap_or_default();
    if recovery.from == RecoverFrom::LastProven {
        // Of a mutant one wants to know what comes of it: it is no use to try it before.
        recovery = Recovery { from: RecoverFrom::LastGood, tried_by: Vec::new(), ..recovery };
    }
    let faults: Vec<Fault> = FAULTS
        .iter()
        .map(|entry| entry.fault)
        .filter(|fault| fault.makes_mutants() && applies(scenario, at, *fault))
        .collect();
    if faults.is_empty() {
        return Err(match scenario.tool() {
            BackupTool::Barman => {
                "what it stored is Barman's, and an archive of its own command: pgdrill damages nothing in these"
            }
            _ => "what it stored is a repository of pgBackRest, in which pgdrill damages nothing",
        });
    }
    // What survives is tried on every other check, which need to know what was there.
    let works = scenario.steps.iter().any(|step| matches!(step.what, Step::Work(_)));
    let every_check = Check::all_of_tool(scenario.tool(), works);
    for step in &mut plan.steps {
        if let Act::Capture { checks, .. } = &mut step.act {
            checks.clone_from(&every_check);
        }
    }
    let mutants = Mutants { recovery, checks, faults, survivors: scenario.survivors.clone() };
    plan.steps.push(Planned { line: None, act: Act::Mutants(mutants) });
    Ok(())
}

/// Lets a plan end with its last recovery made again until there are `times` of it, each checked as the first; or says why it
/// cannot, and leaves it as it is.
///
/// # Errors
///
/// Why, in words.
pub fn add_repetitions(plan: &mut Plan, scenario: &Scenario, times: u64) -> Result<(), &'static str> {
    let (recovery, checks) = last_recovery(plan, scenario)?;
    let after = plan.steps.iter().rev().take_while(|step| !matches!(step.act, Act::Recover(_)));
    if after.into_iter().any(|step| !matches!(step.act, Act::Check { .. } | Act::BareRecovery { .. })) {
        return Err("the scenario does more to what it recovered last than to check it");
    }
    if times > 1 {
        plan.time_limit = plan.time_limit.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
        plan.steps.push(Planned { line: None, act: Act::Repeat(Repeat { recovery, checks, times }) });
    }
    Ok(())
}

/// The last recovery of a plan that can be made again, and its checks.
fn last_recovery(plan: &Plan, scenario: &Scenario) -> Result<(Recovery, Vec<Check>), &'static str> {
    if scenario.expect.is_some_and(|expect| expect.verdict != Verdict::Proven) {
        return Err("the scenario says that it must not be proven");
    }
    if !plan.faults().is_empty() {
        return Err("the scenario makes faults of its own");
    }
    let recovery = plan.steps.iter().rev().find_map(|step| match &step.act {
        Act::Recover(recovery) => Some(recovery.clone()),
        _ => None,
    });
    let checks = plan.steps.iter().rev().find_map(|step| match &step.act {
        Act::Check { checks, .. } => Some(checks.clone()),
        _ => None,
    });
    recovery.zip(checks).ok_or("the scenario recovers nothing that it checks")
}
