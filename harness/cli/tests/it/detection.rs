//! The alarm, rehearsed: every scenario below `scenarios/runbook/detection`, an alert that does not fire, and one that fired
//! before.

use rstest::rstest;

use crate::desk::{Cell, Desk, findings, shipped};

#[rstest]
#[case("connection-failures", Cell::LOCAL)]
#[case("connection-failures", Cell::docker(17))]
#[case("archiving-failures", Cell::LOCAL)]
#[case("size-growth", Cell::LOCAL)]
#[case("long-queries", Cell::LOCAL)]
fn each_alert_of_the_runbook_rings_for_its_cause_and_not_before(#[case] alert: &str, #[case] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let done = desk.drill_in(cell, &shipped(&format!("runbook/detection/{alert}")));
    done.ends_with(0);
    let record = desk.record();
    let alerts = record["alerts"].as_array().unwrap();
    let rang = alerts.iter().find(|rang| rang["alert"] == alert).unwrap();
    assert!(rang["detected_us"].as_u64().unwrap() > 0, "{rang}");
    assert_eq!((&rang["early"], &rang["scale"]), (&false.into(), &60.into()));
    // Quiet for as long as the writers were at work.
    assert!(rang["watched_us"].as_u64().unwrap() >= 2_000_000, "{rang}");
    assert!(done.stdout.contains(&format!("  {alert} ")), "{}", done.stdout);
}

#[rstest]
#[case::nothing_causes_it(
    "sql: SELECT 1",
    "ALERT_MISSED",
    "did not fire within 1.0 s after its cause, sql on line 6"
)]
#[case::it_had_fired_before(
    "sql: CREATE TABLE large AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 60000)\n  - sql: SELECT pg_sleep(1)",
    "ALERT_EARLY",
    "had fired before its cause, sql on line 7"
)]
fn an_alarm_that_cannot_be_trusted_disproves(#[case] cause: &str, #[case] code: &str, #[case] words: &str) {
    let desk = Desk::new();
    let text = format!(
        "title: t\ndata: {{ orders: 500 }}\nsteps:\n  - backup\n  - watch\n  - {cause}\n  - alert: {{ is: size-growth, within: 1s }}\n  \
         - switch-wal\n  - disaster: kill\n  - recover\n"
    );
    desk.drill(&text, &[]).ends_with(1);
    let found = findings(&desk.record());
    assert!(found.iter().any(|(found, _, said)| found == code && said.contains(words)), "{found:#?}");
}

#[test]
fn sql_that_cannot_begin_behind_is_told_with_its_line() {
    let desk = Desk::new();
    let text = "title: t\ndata: { orders: 500 }\nsteps:\n  - backup\n  - sql: { run: SELECT nonsense, behind: on }\n  - disaster: kill\n  - recover\n";
    desk.drill(text, &[]).ends_with(2);
    let found = findings(&desk.record());
    assert!(
        found.iter().any(|(code, _, said)| code == "SQL_FAILED" && said.contains("line 5")),
        "{found:#?}"
    );
}
