//! What the steps of the runbook are compiled to: the alarm, the application, the rollback, and the last good backup.

use pgdrill_model::check::Check;
use pgdrill_model::plan::{Act, Planned};

use super::{placed, plan, recoveries};

#[test]
fn what_was_recovered_is_checked_before_the_application_writes_to_it() {
    let steps = "
        application: start
        backup
        application: stop
        disaster: kill
        recover
        application: start
        backup
        application: stop
        disaster: kill
        recover
    ";
    assert_eq!(
        placed(steps),
        [
            "start-application primary",
            "backup primary",
            "stop-application",
            "capture primary",
            "disaster primary",
            "recover restored",
            "check restored",
            "start-application restored",
            "backup restored",
            "stop-application",
            "capture restored",
            "disaster restored",
            "recover restored-2",
            "check restored-2"
        ]
    );
}

#[test]
fn after_a_rollback_the_application_is_started_on_the_server_that_came_back() {
    let steps = "
        backup
        disaster: kill
        safety-copy
        recover
        rollback
        application: start
    ";
    assert_eq!(placed(steps)[6..], ["rollback primary", "start-application primary"]);
}

#[test]
fn the_last_good_backup_may_be_any_and_the_newest_only_one() {
    let steps = "
        backup
        backup
        disaster: kill
        recover
    ";
    assert_eq!(recoveries(steps)[0].backups.len(), 1);
    assert_eq!(recoveries(&steps.replace("recover", "recover: { from: last-good }"))[0].backups.len(), 2);
}

#[test]
fn the_last_proven_backup_is_tried_by_what_it_is_checked_by_then() {
    let steps = "
        backup
        backup
        disaster: kill
        recover: { from: last-proven }
        check: { row-counts: all }
        disaster: kill
        recover
        check: { fingerprints: all }
    ";
    let of = |steps: &str| recoveries(steps).remove(0);
    assert_eq!((of(steps).backups.len(), of(steps).tried_by), (2, vec![Check::RowCounts]));
    let unchecked = steps.replace("check: { row-counts: all }", "sql: SELECT 1");
    assert_eq!(of(&unchecked).tried_by, Check::all_of(false));
    assert_eq!(of(&steps.replace("last-proven", "last-good")).tried_by, []);
}

#[test]
fn an_alert_is_caused_by_the_last_step_that_does_something_to_the_server() {
    let causes = |steps: &str| -> Vec<&'static str> {
        let plan = plan(steps);
        let cause = |planned: &Planned| match planned.act {
            Act::Alert { cause, .. } => Some(plan.steps[cause].act.name()),
            _ => None,
        };
        plan.steps.iter().filter_map(cause).collect()
    };
    let steps = "
        backup
        watch
        sql: ALTER SYSTEM SET archive_command = 'false'
        work: { for: 1s }
        mark: here
        alert: archiving-failures
        disaster: kill
        alert: { is: connection-failures, within: 5s }
        recover";
    assert_eq!(causes(steps), ["sql", "disaster"]);
}

#[test]
fn only_the_last_recovery_is_left_for_the_rollback() {
    let steps = "
        backup
        disaster: kill
        recover
        disaster: kill
        safety-copy
        recover
        rollback";
    let plan = plan(steps);
    let at = |name: &str| -> Vec<usize> {
        let named = plan.steps.iter().enumerate().filter(|(_, planned)| planned.act.name() == name);
        named.map(|(at, _)| at).collect()
    };
    let recoveries = at("recover");
    let (first, last, rollback) = (recoveries[0], recoveries[1], at("rollback")[0]);
    assert_eq!(plan.rollback_after(first), None);
    assert_eq!(plan.rollback_after(last), Some(rollback));
    assert_eq!(plan.rollback_after(rollback), None);
}
