//! Recovery to points in time under load, whole drills: that each scenario of the repository ends as it says, and that
//! what was changed afterwards is found by the ledger, with the transaction's name.

use std::fs;

use pgdrill_model::units::Lsn;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, Done, findings, shipped};

#[rstest]
#[case::accidental_delete("accidental-delete")]
#[case::archive_lags("archive-lags")]
#[case::beyond_the_archive("beyond-the-archive")]
#[case::crash_under_load("crash-under-load")]
#[case::dropped_table("dropped-table")]
#[case::exclusive_xid("exclusive-xid")]
#[case::failover("failover")]
#[case::hole_in_the_archive("hole-in-the-archive")]
#[case::immediate("immediate")]
#[case::larger_limits("larger-limits")]
#[case::old_branch("old-branch")]
#[case::older_backup("older-backup")]
#[case::own_commands("own-commands")]
#[case::packed_archive_plain_cp("packed-archive-plain-cp")]
#[case::position("position")]
#[case::prepared_transaction("prepared-transaction")]
#[case::restore_point("restore-point")]
#[case::rpo_command("rpo-command")]
#[case::rpo_receivewal("rpo-receivewal")]
#[case::rpo_synchronous("rpo-synchronous")]
#[case::saved_wal("saved-wal")]
#[case::second_disaster("second-disaster")]
fn each_scenario_ends_as_it_says(#[case] name: &str) {
    Desk::new().drill_in(Cell::LOCAL, &shipped(&format!("pitr/{name}"))).ends_with(0);
}

#[rstest]
#[case::accidental_delete("accidental-delete", 18)]
#[case::crash_under_load("crash-under-load", 17)]
#[case::own_commands("own-commands", 13)]
#[case::second_disaster("second-disaster", 17)]
#[case::rpo_synchronous("rpo-synchronous", 13)]
fn so_it_does_in_a_container(#[case] name: &str, #[case] major: u16) {
    let cell = Cell::docker(major);
    if cell.is_there() {
        Desk::new().drill_in(cell, &shipped(&format!("pitr/{name}"))).ends_with(0);
    }
}

/// What decides is where the new timeline is, however far the lost one went.
#[test]
fn a_second_recovery_stops_before_the_first_disaster_did() {
    let scenario = "title: little is done on the new timeline
data: { orders: 1_000 }
cluster: { wal-segment-size: 1MB }
steps:
  - backup
  - mark: first
  - work: { writers: 2, transactions: 600 }
  - switch-wal
  - disaster: lose-primary
  - recover: { to: first }
  - work: { writers: 2, transactions: 10 }
  - mark: second
  - work: { writers: 2, transactions: 10 }
  - switch-wal
  - disaster: lose-primary
  - recover: { to: second }
objectives: { rpo: 0 transactions }
";
    let desk = Desk::new();
    desk.drill(scenario, &[]).ends_with(0);
    let record = desk.record();
    let at = |lsn: &Value| lsn.as_str().unwrap().parse::<Lsn>().unwrap();
    let lost_at = at(&record["recoveries"][0]["archive_end"]["lsn"]);
    let reached = at(&record["recoveries"][1]["reached_lsn"]);
    assert!(reached < lost_at, "the new timeline came to {reached}, beyond {lost_at}, and tells nothing");
    let tally = &record["tallies"][0];
    assert_eq!(tally["recovered"], tally["required"]);
    assert_ne!(tally["required"], 0, "nothing of the new timeline was looked for");
}

/// A drill in which `then` happens after the work, and `sql` to the recovered server.
fn drill(then: &str, target: &str, sql: &str) -> String {
    format!(
        "title: somebody changes what the writers made
data: {{ orders: 2_000 }}
cluster: {{ wal-segment-size: 1MB }}
steps:
  - backup
  - work: {{ writers: 3, transactions: 300 }}
  - mark: here
  - work: {{ writers: 3, transactions: 300 }}
  - switch-wal
{then}
  - disaster: lose-primary
  - recover: {{ to: {target} }}
  - sql: {sql}
  - check: {{ row-counts: all, fingerprints: all, ledger: all, conservation: all }}
"
    )
}

fn ledger_says(done: &Done, desk: &Desk, code: &str, words: &str) {
    done.ends_with(1);
    let found = findings(&desk.record());
    assert!(
        found.iter().any(|(c, by, message)| c == code && by == "ledger" && message.contains(words)),
        "{code} that says {words}, among {found:#?}"
    );
}

/// The newest order of a writer, by the identity that its audit row has.
const ONE: &str = "(SELECT max(\\\"orderId\\\") FROM \\\"AuditLog\\\" WHERE \\\"detail\\\" ? 'writer')";

#[rstest]
#[case::changed(
    "UPDATE \\\"Order\\\" SET \\\"fee\\\" = \\\"fee\\\" + 1 WHERE \\\"id\\\" = ONE",
    "LEDGER_MISMATCH",
    "in \"Order\" are not what the server acknowledged: another content"
)]
#[case::removed("DELETE FROM \\\"AuditLog\\\" WHERE \\\"orderId\\\" = ONE", "LEDGER_MISMATCH", "of writer")]
#[case::added(
    "INSERT INTO \\\"AuditLog\\\" (\\\"userId\\\", \\\"action\\\", \\\"detail\\\") SELECT \\\"userId\\\", \\\"action\\\", \\\"detail\\\" FROM \\\"AuditLog\\\" WHERE \\\"orderId\\\" = ONE",
    "LEDGER_MISMATCH",
    "of writer"
)]
#[case::torn(
    "UPDATE \\\"Position\\\" SET \\\"quantity\\\" = \\\"quantity\\\" + 1 WHERE \\\"id\\\" = (SELECT min(\\\"id\\\") FROM \\\"Position\\\")",
    "LEDGER_MISMATCH",
    "\"Position\""
)]
fn what_is_changed_after_the_recovery_is_named(
    #[case] sql: &str,
    #[case] code: &str,
    #[case] words: &str,
    #[values("here", "latest")] target: &str,
) {
    let desk = Desk::new();
    let sql = format!("\"{}\"", sql.replace("ONE", ONE));
    let done = desk.drill(&drill("", target, &sql), &[]);
    ledger_says(&done, &desk, code, words);
}

/// Something that is done to the archive's segment number `segment`, counted from the end.
fn to_the_archive(command: &str) -> String {
    let segment = "$(ls | grep -xE '[0-9A-F]{24}' | tail -3 | head -1)";
    let command = command.replace("SEG", segment).replace('\'', "''");
    format!("  - sql: |\n      COPY (SELECT 1) TO PROGRAM 'cd ../archive && {command}'")
}

#[rstest]
#[case::removed("rm \"SEG\"", "WAL_GAP")]
#[case::only_compressed("gzip \"SEG\"", "WAL_GAP")]
#[case::only_partial("s=SEG && mv $s $s.partial", "WAL_GAP")]
#[case::zeroed("s=SEG && dd if=/dev/zero of=$s bs=1M count=1 conv=notrunc", "WAL_DAMAGED")]
#[case::one_byte("s=SEG && printf x | dd of=$s bs=1 seek=300000 conv=notrunc", "WAL_DAMAGED")]
#[case::of_another_cluster(
    "printf \"\\\\001\\\\002\\\\003\" | dd of=SEG bs=1 seek=24 conv=notrunc",
    "WAL_DAMAGED"
)]
#[case::its_neighbour("s=SEG && cp $(ls | grep -xE '[0-9A-F]{24}' | tail -2 | head -1) $s", "WAL_DAMAGED")]
fn damage_in_the_archive_is_named_although_the_server_looks_well(#[case] command: &str, #[case] code: &str) {
    let desk = Desk::new();
    let done = desk.drill(&drill(&to_the_archive(command), "latest", "SELECT 1"), &[]);
    done.ends_with(1);
    let record = desk.record();
    let found = findings(&record);
    assert!(found.iter().any(|(c, ..)| c == code), "{found:#?}");
    assert!(
        found.iter().any(|(c, _, words)| c == "TRANSACTIONS_LOST" && words.contains("are lost")),
        "{found:#?}"
    );
    let recovery = &record["recoveries"][0];
    assert_eq!(recovery["looks_well"], true);
    assert_eq!(recovery["archive_end"]["breaks"], true);
    assert!(record["tallies"][0]["lost"].as_u64().unwrap() > 0);
}

#[rstest]
#[case::truncated_file("s=SEG && truncate -s 500000 $s")]
fn a_segment_of_another_size_stops_the_server(#[case] command: &str) {
    let desk = Desk::new();
    let done = desk.drill(&drill(&to_the_archive(command), "latest", "SELECT 1"), &[]);
    done.ends_with(1);
    let found = findings(&desk.record());
    assert!(found.iter().any(|(c, ..)| c == "WAL_DAMAGED"), "{found:#?}");
    assert!(found.iter().any(|(c, ..)| c == "RECOVERY_FAILED"), "{found:#?}");
}

#[test]
fn a_ledger_that_was_cut_proves_nothing() {
    let desk = Desk::new();
    // No server can reach it, so it is cut from outside, while the drill waits.
    let mut child = desk.start(&drill("  - sql: SELECT pg_sleep(4)", "latest", "SELECT 1"));
    desk.wait_for_step(&mut child, 8);
    let workspace = desk.workspace().unwrap();
    let ledger = workspace.join("ledger/ledger");
    let bytes = fs::read(&ledger).unwrap();
    fs::write(&ledger, &bytes[..bytes.len() / 2]).unwrap();
    Done::of(&child.wait_with_output().unwrap()).ends_with(2);
    let record = desk.record();
    let found = findings(&record);
    assert!(found.iter().any(|(code, ..)| code == "LEDGER_DAMAGED"), "{found:#?}");
    desk.assert_clean();
}

#[rstest]
#[case::a_name_twice("{ name: twice }", "TARGET_AMBIGUOUS", 2, "more than once")]
#[case::no_such_name(
    "{ name: nowhere }",
    "TARGET_BEYOND_ARCHIVE",
    1,
    "the archive does not reach restore point nowhere"
)]
#[case::a_time_to_come(
    "{ time: '2999-01-01 00:00:00+00:00' }",
    "TARGET_BEYOND_ARCHIVE",
    1,
    "its last commit is transaction"
)]
#[case::a_time_long_ago(
    "{ time: '2001-01-01 00:00:00+00:00' }",
    "TARGET_BEFORE_BACKUP",
    2,
    "no older backup reaches it"
)]
#[case::a_position_to_come(
    "{ lsn: FF/0 }",
    "TARGET_BEYOND_ARCHIVE",
    1,
    "the archive does not reach position FF/0"
)]
#[case::a_position_long_ago("{ lsn: 0/28 }", "TARGET_BEFORE_BACKUP", 2, "lies before")]
#[case::an_unknown_timeline("latest, timeline: 9", "TIMELINE_UNRELATED", 2, "timeline 9 does not exist")]
fn what_cannot_be_reached_is_refused_before_anything_is_restored(
    #[case] target: &str,
    #[case] code: &str,
    #[case] ends: i32,
    #[case] words: &str,
) {
    let desk = Desk::new();
    let twice =
        "  - sql: SELECT pg_create_restore_point('twice'), pg_create_restore_point('twice')\n  - switch-wal";
    desk.drill(&drill(twice, target, "SELECT 1"), &[]).ends_with(ends);
    let record = desk.record();
    let found = findings(&record);
    assert!(found.iter().any(|(c, _, message)| c == code && message.contains(words)), "{found:#?}");
    // No place was opened for a server, and nothing was unpacked.
    assert!(
        record["places"].as_array().unwrap().iter().all(|place| place[0] == "primary"),
        "{}",
        record["places"]
    );
}

/// Where nothing comes back there is no last recovered acknowledgment to count from, and yet all of it is lost.
#[rstest]
#[case::in_time("1ms")]
#[case::in_bytes("1KiB")]
#[case::in_transactions("1 transaction")]
fn everything_lost_is_within_no_objective(#[case] rpo: &str) {
    let desk = Desk::new();
    let text = format!(
        "title: t\ndata: {{ orders: 10 }}\nsteps:\n  - backup: {{ format: plain }}\n  - work: {{ writers: 2, transactions: 50 }}\n  - disaster: lose-primary\n  - recover\n  - check: {{ row-counts: all, ledger: all }}\nobjectives: {{ rpo: {rpo} }}\n"
    );
    desk.drill(&text, &[]).ends_with(1);
    let record = desk.record();
    assert_eq!(record["tallies"][0]["recovered"], 0);
    assert_eq!(findings(&record)[0].0, "RPO_EXCEEDED", "{:?}", findings(&record));
}
