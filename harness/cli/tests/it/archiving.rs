//! The ways of archiving, and what is saved after a disaster: drills on real servers in which something must be there
//! that a simpler way would lose, or must be lost, and is said to be.

use std::fs;

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, Done, findings};

/// A drill of little data.
fn text(archive: &str, steps: &[&str]) -> String {
    let steps: String = steps.iter().map(|step| format!("  - {step}\n")).collect();
    format!("title: t\ndata: {{ orders: 200 }}\narchive: {archive}\nsteps:\n{steps}")
}

/// The same with the checks that look at what is there; none where the cell is not there.
fn drill(cell: Cell, archive: &str, steps: &[&str]) -> Option<(Done, Value)> {
    if !cell.is_there() {
        return None;
    }
    let desk = Desk::new();
    let done = desk.drill_in(cell, &text(archive, steps));
    let record = desk.record();
    Some((done, record))
}

/// The names of what was put into the WAL of the last recovery, and where it was.
fn left_over(record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let last = record["recoveries"].as_array().unwrap().last().unwrap();
    let found = last["left_over"].as_array().into_iter().flatten();
    found.map(|file| (text(&file["name"]), text(&file["from"]))).collect()
}

const ONE: &str = "sql: CREATE TABLE one AS SELECT generate_series(1, 1000) AS n";
const TWO: &str = "sql: CREATE TABLE two AS SELECT generate_series(1, 1000) AS n";
const ALL: &str = "check: all";

/// Ends with an error where a table has not so many rows.
fn has(table: &str, rows: u64) -> String {
    format!("sql: SELECT 1 / (count(*) = {rows})::int FROM {table}")
}

/// Waits until the segment that the last statement wrote to is archived, without ending it.
const ARCHIVED: &str = "sql: |
      DO $$
      DECLARE wanted text := pg_walfile_name(pg_current_wal_flush_lsn() - 1);
      BEGIN
        WHILE (SELECT coalesce(last_archived_wal, '') < wanted FROM pg_stat_archiver) LOOP
          PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
        END LOOP;
      END $$";

#[rstest]
fn a_segment_that_is_not_full_is_archived_after_the_timeout(
    #[values(Cell::LOCAL, Cell::docker(18))] cell: Cell,
) {
    let steps = ["backup", ONE, ARCHIVED, "disaster: lose-primary", "recover", ALL];
    let Some((done, record)) = drill(cell, "{ timeout: 1s }", &steps) else { return };
    done.ends_with(0);
    assert_eq!(left_over(&record), []);
}

/// Without it, and without a switch, it is lost: what the other tests here prove is not a matter of course.
#[rstest]
fn without_a_timeout_what_was_not_archived_is_lost(#[values(Cell::LOCAL, Cell::docker(18))] cell: Cell) {
    let steps = ["backup", ONE, "disaster: lose-primary", "recover", "check: { row-counts: all }"];
    let Some((done, record)) = drill(cell, "{ by: command }", &steps) else { return };
    done.ends_with(1);
    assert!(findings(&record).iter().any(|(code, _, _)| code == "TABLE_MISSING"), "{:?}", findings(&record));
}

#[rstest]
fn what_was_received_is_there_to_the_last_commit(
    #[values("{ by: receivewal }", "{ by: receivewal, synchronous: on }")] archive: &str,
    #[values(Cell::LOCAL, Cell::docker(13), Cell::docker(18))] cell: Cell,
) {
    let steps = ["backup", ONE, "switch-wal", "crash", TWO, "disaster: lose-primary", "recover", ALL];
    let Some((done, record)) = drill(cell, archive, &steps) else { return };
    done.ends_with(0);
    let [(name, from)] = left_over(&record).try_into().unwrap();
    assert_eq!(from, format!("archive/{name}.partial"));
    let places: Vec<&str> =
        record["places"].as_array().unwrap().iter().map(|place| place[0].as_str().unwrap()).collect();
    assert_eq!(places, ["primary", "receiver", "restored"]);
}

/// A server whose WAL is received does not wait for the end of a backup in the archive; the drill does.
#[rstest]
fn a_backup_without_wal_has_what_it_needs_in_the_archive(
    #[values(Cell::LOCAL, Cell::docker(13), Cell::docker(18))] cell: Cell,
) {
    let steps =
        ["backup: { wal: none }", "disaster: archive-stops", "disaster: lose-primary", "recover", ALL];
    let Some((done, record)) = drill(cell, "{ by: receivewal }", &steps) else { return };
    done.ends_with(0);
    let found = findings(&record);
    assert!(found.iter().all(|(code, _, _)| code == "RECOVERY_SHORT"), "{found:?}");
}

#[rstest]
fn what_was_not_archived_is_taken_from_the_saved_wal(#[values(Cell::LOCAL, Cell::docker(18))] cell: Cell) {
    // Checkpoints recycle old segments under names to come: these are no WAL and stay behind.
    let churn = "sql: SELECT pg_switch_wal()";
    let steps = [
        "backup",
        ONE,
        churn,
        "sql: CHECKPOINT",
        TWO,
        churn,
        "sql: CHECKPOINT",
        "switch-wal",
        "disaster: archive-stops",
        "sql: CREATE TABLE three AS SELECT generate_series(1, 200000) AS n",
        "disaster: lose-data-keep-wal",
        "recover",
        ALL,
    ];
    let Some((done, record)) = drill(cell, "{ by: command }", &steps) else { return };
    done.ends_with(0);
    let found = left_over(&record);
    assert!(!found.is_empty() && found.len() < 3, "{found:?}");
    assert!(found.iter().all(|(name, from)| *from == format!("saved-wal/primary/{name}")), "{found:?}");
}

#[rstest]
fn what_comes_after_archiving_stopped_is_lost_with_the_primary(
    #[values("command", "receivewal")] by: &str,
    #[values(Cell::LOCAL, Cell::docker(18))] cell: Cell,
) {
    let one = has("one", 1000);
    let steps = |disaster| {
        ["backup", ONE, "switch-wal", "disaster: archive-stops", TWO, disaster, "recover", &one, ALL]
    };
    let archive = format!("{{ by: {by} }}");
    let Some((done, record)) = drill(cell, &archive, &steps("disaster: lose-primary")) else { return };
    done.ends_with(1);
    let missing: Vec<String> = findings(&record)
        .into_iter()
        .filter(|(code, check, _)| code == "TABLE_MISSING" && check == "row-counts")
        .map(|(_, _, message)| message)
        .collect();
    assert!(missing.len() == 1 && missing[0].contains("two"), "{missing:?}");
    // With its WAL saved nothing is lost.
    let Some((done, _)) = drill(cell, &archive, &steps("disaster: lose-data-keep-wal")) else { return };
    done.ends_with(0);
}

fn undone(accident: &str, by: &str, cell: Cell) {
    let accident = format!("disaster: {{ bad-sql: '{accident} \"AuditLog\"' }}");
    let archive = format!("{{ by: {by} }}");
    let steps = ["backup", ONE, "mark: before", &accident, "recover: { to: before }", ALL];
    let Some((done, _)) = drill(cell, &archive, &steps) else { return };
    done.ends_with(0);
}

#[rstest]
fn an_accident_is_undone_by_a_mark_before_it(
    #[values("DELETE FROM", "DROP TABLE", "TRUNCATE")] accident: &str,
    #[values("command", "receivewal", "receivewal, synchronous: on")] by: &str,
) {
    undone(accident, by, Cell::LOCAL);
}

/// Each accident once, and each way of archiving once: how they go together has nothing to do with the place.
#[rstest]
#[case("DELETE FROM", "receivewal")]
#[case("DROP TABLE", "receivewal, synchronous: on")]
#[case("TRUNCATE", "command")]
fn so_it_is_in_a_container(#[case] accident: &str, #[case] by: &str, #[values(Cell::docker(18))] cell: Cell) {
    undone(accident, by, cell);
}

/// The orderly stop leaves everything in the archive, the accident too.
#[rstest]
fn an_accident_is_replayed_by_a_recovery_to_the_end(
    #[values("command", "receivewal")] by: &str,
    #[values(Cell::LOCAL, Cell::docker(18))] cell: Cell,
) {
    let accident = "disaster: { bad-sql: 'DROP TABLE \"AuditLog\"; CREATE TABLE late AS SELECT 1 AS n' }";
    let late = has("late", 1);
    let steps = ["backup", "mark: before", accident, "recover", &late, "check: { conservation: all }"];
    let Some((done, record)) = drill(cell, &format!("{{ by: {by} }}"), &steps) else { return };
    // The application cannot place an order without its audit log; the statement above could be run.
    done.ends_with(1);
    let codes: Vec<String> = findings(&record).into_iter().map(|(code, _, _)| code).collect();
    assert!(!codes.contains(&"SQL_FAILED".to_owned()), "{:?}", findings(&record));
}

#[rstest]
fn a_crash_loses_nothing_that_was_committed(
    #[values("{ by: command }", "{ by: receivewal, synchronous: on }")] archive: &str,
    #[values(Cell::LOCAL, Cell::docker(18))] cell: Cell,
) {
    let steps =
        ["backup", ONE, "crash", TWO, "crash", "switch-wal", "disaster: lose-primary", "recover", ALL];
    let Some((done, _)) = drill(cell, archive, &steps) else { return };
    done.ends_with(0);
}

#[rstest]
fn a_recovered_server_is_archived_by_the_same_means(
    #[values("{ by: receivewal }", "{ by: receivewal, synchronous: on }", "{ by: command }")] archive: &str,
    #[values("recover: { to: there }", "recover")] first: &str,
) {
    archived_again(archive, first, Cell::LOCAL);
}

#[rstest]
#[case("{ by: receivewal }", "recover: { to: there }")]
#[case("{ by: receivewal, synchronous: on }", "recover")]
#[case("{ by: command }", "recover: { to: there }")]
fn so_is_one_in_a_container(
    #[case] archive: &str,
    #[case] first: &str,
    #[values(Cell::docker(13), Cell::docker(18))] cell: Cell,
) {
    archived_again(archive, first, cell);
}

/// The recovered server goes on, is archived as the primary was, and is lost in its turn.
fn archived_again(archive: &str, first: &str, cell: Cell) {
    let lost =
        if archive.contains("command") { "disaster: lose-data-keep-wal" } else { "disaster: lose-primary" };
    // Enough to leave the segment in which the first recovery stops, so that the old timeline is ahead of the new.
    let ahead = "sql: CREATE TABLE ahead AS SELECT generate_series(1, 400000) AS n";
    let (one, two) = (has("one", 1000), has("two", 1000));
    let steps = [
        "backup",
        ONE,
        "mark: there",
        ahead,
        lost,
        first,
        &one,
        "check: { archive-untouched: all }",
        TWO,
        "crash",
        "sql: INSERT INTO one SELECT 1",
        lost,
        "recover",
        &two,
        "sql: SELECT 1 / (count(*) = 1001)::int FROM one",
        "check: { read-all: all, amcheck: all, catalog: all, conservation: all }",
    ];
    let Some((done, record)) = drill(cell, archive, &steps) else { return };
    done.ends_with(0);
    assert_eq!(record["recoveries"][1]["timeline"], 3);
}

/// What is put beside the archived WAL is looked through as that is.
#[rstest]
fn a_tablespace_outside_is_refused_in_saved_wal_too(
    #[values(("{ by: receivewal }", "lose-primary"), ("{ by: command }", "lose-data-keep-wal"))] how: (
        &str,
        &str,
    ),
) {
    let desk = Desk::new();
    let live = desk.path("live");
    fs::create_dir(&live).unwrap();
    fs::set_permissions(&live, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let place = live.join("ts").display().to_string();
    let make = format!("sql: \"COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; mkdir -p {place}'\"");
    let create = format!("sql: \"CREATE TABLESPACE ts LOCATION '{place}'\"");
    let disaster = format!("disaster: {}", how.1);
    let done = desk.drill_in(
        Cell::LOCAL,
        &text(how.0, &["backup", "switch-wal", &make, &create, &disaster, "recover", ALL]),
    );
    done.ends_with(2);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "TABLESPACE_OUTSIDE", "{found:?}");
}

/// What a recovered server wrote on its own timeline is looked through before the next recovery.
#[test]
fn a_tablespace_outside_is_refused_on_a_later_timeline_too() {
    let desk = Desk::new();
    let live = desk.path("live");
    fs::create_dir(&live).unwrap();
    fs::set_permissions(&live, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let place = live.join("ts").display().to_string();
    let make = format!("sql: \"COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; mkdir -p {place}'\"");
    let create = format!("sql: \"CREATE TABLESPACE ts LOCATION '{place}'\"");
    let kill = "disaster: lose-primary";
    let steps = ["backup", "switch-wal", kill, "recover", &make, &create, "switch-wal", kill, "recover", ALL];
    let done = desk.drill_in(Cell::LOCAL, &text("{ by: command }", &steps));
    done.ends_with(2);
    let found = findings(&desk.record());
    assert!(found.iter().any(|(code, _, _)| code == "TABLESPACE_OUTSIDE"), "{found:?}");
    // Nothing was started on it: the live place is as the recovered server left it.
    assert_eq!(fs::read_dir(live.join("ts")).unwrap().count(), 1);
}

/// An archive of the scenario's own, in which a later command finds what an earlier one made; all in `steps` follows a
/// backup.
fn own(command: &str, restore: &str, steps: &[&str]) -> (Done, Value) {
    let archive = format!("{{ command: '{command}', restore: '{restore}' }}");
    drill(Cell::LOCAL, &archive, &[&["backup", ONE], steps].concat()).unwrap()
}

const LOST: [&str; 4] = ["switch-wal", "disaster: lose-primary", "recover", ALL];

#[rstest]
#[case::not_found("cp $ARCHIVE/%f %p", "it ended with exit code 1")]
#[case::in_words_only("true $ARCHIVE/%f %p", "it said that it had, and there was no file")]
fn a_segment_that_an_own_command_does_not_give_is_named(#[case] restore: &str, #[case] words: &str) {
    let (done, record) = own("gzip < %p > $ARCHIVE/%f.gz", restore, &LOST);
    done.ends_with(1);
    let found = findings(&record);
    let given =
        found.iter().find(|(code, ..)| code == "WAL_NOT_GIVEN").unwrap_or_else(|| panic!("{found:?}"));
    assert!(given.2.ends_with(words) && given.2.contains("segment 00000001000000000000000"), "{given:?}");
    assert_eq!(record["recoveries"][0]["looks_well"], true);
}

#[test]
fn an_own_command_that_breaks_down_ends_the_recovery() {
    // It is asked for a history first.
    let restore = "case %f in *.history) exit 1;; esac; exit 200 # $ARCHIVE %p";
    let (done, record) = own("gzip < %p > $ARCHIVE/%f.gz", restore, &LOST);
    done.ends_with(1);
    let found = findings(&record);
    assert!(found.iter().any(|(code, ..)| code == "RECOVERY_FAILED"), "{found:?}");
    let words = "it ended with exit code 200";
    assert!(
        found.iter().any(|(code, _, said)| code == "WAL_NOT_GIVEN" && said.ends_with(words)),
        "{found:?}"
    );
}

#[rstest]
#[case::it_fails("false $ARCHIVE/%f %p", &["switch-wal: { within: 3s }"])]
#[case::it_is_not_there("no-such-program %p $ARCHIVE/%f", &["switch-wal: { within: 3s }"])]
#[case::it_stops("cp %p $ARCHIVE/%f", &["disaster: archive-stops", "switch-wal: { within: 3s }"])]
fn what_an_own_command_does_not_take_is_not_archived(#[case] command: &str, #[case] then: &[&str]) {
    let steps = [then, &LOST[1..]].concat();
    let (done, record) = own(command, "cp $ARCHIVE/%f %p", &steps);
    done.ends_with(2);
    assert!(findings(&record).iter().any(|(code, ..)| code == "ARCHIVE_STALLED"), "{:?}", findings(&record));
}

/// What stands in the way of the shell and of the configuration file.
#[test]
fn an_own_command_may_go_over_lines_and_quote() {
    let archive = r#"
  command: |
    # It's the desk's own.
    f="$ARCHIVE/100%% %f"
    test ! -f "$f" && cp -- '%p' "$f"
  restore: |
    test -f "${ARCHIVE}/100%% %f" || exit 1
    cp -- "$ARCHIVE/100%% %f" '%p' # it\'s \\ back"#;
    let (done, _) = drill(Cell::LOCAL, archive, &[&["backup", ONE][..], &LOST].concat()).unwrap();
    done.ends_with(0);
}
