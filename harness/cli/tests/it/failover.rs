//! A failover between a backup and what is wanted back: recovery from a backup of the first timeline to everywhere, and what is
//! said when the archive lacks what leads there.

use pgdrill_model::units::Lsn;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings, shipped};

/// A drill with a failover, of which `then` comes between the second disaster and the end.
fn text(then: &str) -> String {
    format!(
        "title: t
data: {{ orders: 1_000 }}
cluster: {{ wal-segment-size: 1MB }}
steps:
  - backup
  - work: {{ writers: 2, transactions: 300 }}
  - mark: before
  - work: {{ writers: 2, transactions: 300 }}
  - switch-wal
  - failover
  - work: {{ writers: 2, transactions: 300 }}
  - mark: after
  - work: {{ writers: 2, transactions: 600 }}
  - switch-wal
  - disaster: lose-primary
{then}"
    )
}

fn proven(text: &str) -> Value {
    let desk = Desk::new();
    desk.drill_in(Cell::LOCAL, text).ends_with(0);
    let record = desk.record();
    assert_eq!((findings(&record), record["verdict"].as_str()), (vec![], Some("proven")));
    desk.assert_nothing_left();
    record
}

#[rstest]
#[case::everything("latest", true, 1500)]
#[case::a_mark_behind_it("after", true, 900)]
#[case::its_time("{ mark: after, by: time }", true, 900)]
#[case::a_mark_before_it("before", false, 300)]
fn a_backup_from_before_a_failover_leads_everywhere(
    #[case] to: &str,
    #[case] behind: bool,
    #[case] acknowledged: u64,
) {
    let record =
        proven(&text(&format!("  - recover: {{ to: {to} }}\nobjectives: {{ rpo: 0 transactions }}\n")));
    let failover = &record["failovers"][0];
    assert_eq!(
        (&failover["from"], &failover["to"], &failover["timeline"]),
        (&Value::from("primary"), &Value::from("standby"), &Value::from(2))
    );
    let recovery = &record["recoveries"][0];
    assert_eq!((&recovery["timeline"], &recovery["forks"][0]["at"]), (&Value::from(3), &failover["at"]));
    let at = |lsn: &Value| lsn.as_str().unwrap().parse::<Lsn>().unwrap();
    assert_eq!(at(&recovery["reached_lsn"]) > at(&failover["at"]), behind, "{recovery}");
    let tally = &record["tallies"][0];
    assert!(tally["required"].as_u64() >= Some(acknowledged * 9 / 10), "{tally}");
    assert_eq!((&tally["recovered"], &tally["loss"]["transactions"]), (&tally["required"], &Value::from(0)));
    let works: Vec<&str> =
        record["work"].as_array().unwrap().iter().map(|work| work["server"].as_str().unwrap()).collect();
    assert_eq!(works, ["primary", "primary", "standby", "standby"]);
}

/// The promoted server is backed up, crashes, and has tablespaces, as any other.
#[rstest]
#[case("{ format: plain }")]
#[case("{ tool: low-level, snapshot: on }")]
fn the_promoted_server_is_backed_up(#[case] backup: &str) {
    let text = text("  - recover: { to: after }\n")
        .replace("  - mark: after\n", &format!("  - backup: {backup}\n  - crash\n  - mark: after\n"))
        .replace("  - backup\n", &format!("  - backup: {backup}\n"))
        .replace("steps:\n", "tablespaces: { history: [AuditLog] }\nsteps:\n");
    let record = proven(&text);
    assert_eq!(
        (&record["backups"][1]["timeline"], &record["backups"][1]["from"]),
        (&Value::from(2), &Value::from("promoted"))
    );
    assert_eq!(record["recoveries"][0]["backups"], Value::from(vec!["backup-2"]));
}

/// Both a recovery after it and another disaster: the history has three timelines by then.
#[test]
fn what_was_recovered_after_a_failover_is_lost_and_recovered_again() {
    let again = "  - recover: { to: after }\n  - work: { transactions: 100 }\n  - switch-wal\n  - disaster: lose-primary\n  \
                 - recover\nobjectives: { rpo: 0 transactions }\n";
    let record = proven(&text(again));
    assert_eq!(record["recoveries"][1]["timeline"], 4);
}

/// What it finds when the archive is damaged, with each code.
fn disproven(text: &str) -> Vec<String> {
    let desk = Desk::new();
    desk.drill_in(Cell::LOCAL, text).ends_with(1);
    let found = findings(&desk.record());
    desk.assert_nothing_left();
    found.into_iter().map(|(code, _, message)| format!("{code}: {message}")).collect()
}

/// To PostgreSQL there is no second timeline then: it starts and promotes, and all that came after the failover is not there.
#[test]
fn without_the_history_of_the_failover_the_drill_is_disproven() {
    let found = disproven(&text("  - fault: history-missing\n  - recover\n"));
    assert!(
        found[0]
            .starts_with("WAL_GAP: the lost server was on timeline 2, and the archive has no history of it"),
        "{found:?}"
    );
}

#[test]
fn without_the_wal_of_the_second_timeline_the_drill_is_disproven() {
    // Of the segments of the second timeline, one that others follow.
    let remove = "cd ../archive && rm $(ls | grep ^00000002 | grep -v [.] | tail -n 3 | head -n 1)";
    let text = text("  - recover\n").replacen(
        "  - disaster",
        &format!(
            "  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; {remove}'\n  - switch-wal\n  - disaster"
        ),
        1,
    );
    let found = disproven(&text);
    assert!(
        found.iter().any(|found| found.starts_with("WAL_GAP: ") && found.contains("00000002")),
        "{found:?}"
    );
}

/// A standby that is promoted archives what it writes, and not what it was sent: what the primary had not archived yet is in
/// no archive (`XLogWalRcvClose`, `src/backend/replication/walreceiver.c`).
#[test]
fn what_the_lost_primary_had_not_archived_is_a_gap() {
    let text = text("  - recover\n").replacen(
        "  - switch-wal\n  - failover\n",
        "  - switch-wal\n  - disaster: archive-stops\n  - work: { writers: 2, wal: 3MiB }\n  - failover\n",
        1,
    );
    let found = disproven(&text);
    assert!(found[0].starts_with("WAL_GAP: ") && found[0].contains("00000001"), "{found:?}");
}

#[rstest]
fn it_is_proven_in_containers(#[values(13, 17)] major: u16) {
    let cell = Cell::docker(major);
    if cell.is_there() {
        let text =
            shipped("pitr/failover").replace("20_000", "2_000").replace("for: 1s", "transactions: 300");
        Desk::new().drill_in(cell, &text).ends_with(0);
    }
}
