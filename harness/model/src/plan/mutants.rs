//! The mutants of a drill: once it is proven, damaged copies of its own backup and archive are recovered and checked in the
//! same way. What survives shows what its checks would not have noticed.

use super::{Act, Mutants, Plan, Planned, Recovery};
use crate::check::Check;
use crate::fault::FAULTS;
use crate::scenario::{RecoverFrom, Scenario, Step, applies};
use crate::verdict::Verdict;

/// Lets a plan end with mutants; or says why it can have none, and leaves it as it is.
///
/// # Errors
///
/// Why, in words.
pub fn add_mutants(plan: &mut Plan, scenario: &Scenario) -> Result<(), &'static str> {
    if scenario.expect.is_some_and(|expect| expect.verdict != Verdict::Proven) {
        return Err("the scenario says that it must not be proven");
    }
    if !plan.faults().is_empty() {
        return Err("the scenario makes faults of its own");
    }
    let recovery = plan.steps.iter().rev().find_map(|step| match &step.act {
        // Of a mutant one wants to know what comes of it: it is no use to try it before.
        Act::Recover(recovery) if recovery.from == RecoverFrom::LastProven => {
            Some(Recovery { from: RecoverFrom::LastGood, tried_by: Vec::new(), ..recovery.clone() })
        }
        Act::Recover(recovery) => Some(recovery.clone()),
        _ => None,
    });
    let checks = plan.steps.iter().rev().find_map(|step| match &step.act {
        Act::Check { checks, .. } => Some(checks.clone()),
        _ => None,
    });
    let at = scenario.steps.iter().rposition(|step| matches!(step.what, Step::Recover(_)));
    let (Some(recovery), Some(checks), Some(at)) = (recovery, checks, at) else {
        return Err("the scenario recovers nothing that it checks");
    };
    // What survives is tried on every other check, which need to know what was there.
    let works = scenario.steps.iter().any(|step| matches!(step.what, Step::Work(_)));
    for step in &mut plan.steps {
        if let Act::Capture { checks, .. } = &mut step.act {
            *checks = Check::all_of(works);
        }
    }
    let mutants = Mutants {
        recovery,
        checks,
        faults: FAULTS
            .iter()
            .map(|entry| entry.fault)
            .filter(|fault| fault.makes_mutants() && applies(scenario, at, *fault))
            .collect(),
        survivors: scenario.survivors.clone(),
    };
    plan.steps.push(Planned { line: None, act: Act::Mutants(mutants) });
    Ok(())
}
