//! Drills whose backups are dumps that they take: in every format, with what comes back of them and what does not, and with each
//! way in which a dump is no good.

use pgdrill_model::fault::Fault;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings};

/// A drill that takes a dump, with steps above and below it.
fn drill(above: &str, how: &str, below: &str) -> String {
    format!("title: t\ndata: {{ orders: 500 }}\nsteps:\n{above}  - backup: {{ tool: pg_dump{how} }}\n{below}")
}

const LOST: &str = "  - disaster: lose-primary\n  - recover\n";

/// What the record of a drill says that ends with this code.
fn record(cell: Cell, text: &str, code: i32) -> Value {
    let desk = Desk::new();
    desk.drill_in(cell, text).ends_with(code);
    desk.record()
}

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

/// Whatever a database is called, and what is set and said of the one that every cluster has, comes back in every format.
#[rstest]
#[case::custom(Cell::LOCAL, "", ["custom", "gzip", "pg_restore"])]
#[case::directory(Cell::LOCAL, ", format: directory, compress: 'gzip:9', jobs: 2", ["directory", "gzip", "pg_restore"])]
#[case::tar(Cell::LOCAL, ", format: tar", ["tar", "none", "pg_restore"])]
#[case::sql(Cell::LOCAL, ", format: plain", ["plain", "none", "psql"])]
#[case::packed_sql(Cell::docker(13), ", format: plain, compress: gzip", ["plain", "gzip", "psql"])]
#[case::custom_by_zstd(Cell::docker(17), ", compress: 'zstd:3'", ["custom", "zstd", "pg_restore"])]
#[case::sql_by_zstd(Cell::docker(17), ", format: plain, compress: zstd", ["plain", "zstd", "psql"])]
#[case::directory_by_lz4(Cell::docker(18), ", format: directory, compress: lz4", ["directory", "lz4", "pg_restore"])]
fn a_dump_in_every_format_is_proven(#[case] cell: Cell, #[case] how: &str, #[case] says: [&str; 3]) {
    if !cell.is_there() {
        return;
    }
    let above = "  - sql: CREATE ROLE clerk
  - sql: CREATE DATABASE \"we'ird =/ na\\me\" OWNER clerk
  - sql:
      run: |
        CREATE TABLE t AS SELECT generate_series(1, 10) AS a;
        ALTER DATABASE postgres SET work_mem = '5MB';
        COMMENT ON DATABASE postgres IS 'ours'
      database: postgres
";
    let record = record(cell, &drill(above, how, LOST), 0);
    assert_eq!((findings(&record), record["verdict"].as_str()), (vec![], Some("proven")));
    let (backup, recovery) = (&record["backups"][0], &record["recoveries"][0]);
    assert_eq!(["format", "compress"].map(|key| backup[key].as_str().unwrap()), says[..2]);
    assert_eq!((backup["tool"].as_str(), backup["wal"].as_str()), (Some("pg_dump"), Some("")));
    assert!(backup["bytes"].as_u64() > Some(1000), "{backup}");
    assert_eq!(recovery["by"], says[2]);
    assert_eq!(names(&recovery["phases"], "name"), ["detect", "fetch", "start", "load", "first-write"]);
    let checks = names(&record["checks"], "check");
    assert!(checks.contains(&"catalog") && checks.contains(&"archive-untouched"), "{checks:?}");
    assert!(!["manifest", "verify", "collations"].iter().any(|check| checks.contains(check)), "{checks:?}");
}

/// By design it does not come back; a drill says so, and counts it where an objective bounds it.
#[rstest]
#[case::not_bounded("", 0)]
#[case::bounded("objectives: { rpo: 0 transactions }\n", 1)]
#[case::within("objectives: { rpo: 60 transactions }\n", 0)]
fn what_is_written_after_a_dump_is_lost_and_counted(#[case] objectives: &str, #[case] code: i32) {
    let work = "  - work: { writers: 2, transactions: 50 }\n";
    let text = drill(work, "", &format!("{work}{LOST}{objectives}"));
    let record = record(Cell::LOCAL, &text, code);
    let tally = &record["tallies"][0];
    let count = |key: &str| tally[key].as_u64().unwrap();
    assert!(count("recovered") > 0 && count("unexpected") == 0, "{tally}");
    assert_eq!(tally["by_wal"], false);
    let found = findings(&record);
    if objectives.is_empty() {
        assert!(count("after_target") > 0 && count("lost") == 0 && found.is_empty(), "{tally}: {found:?}");
    } else {
        assert!(count("lost") > 0 && count("after_target") == 0, "{tally}");
        assert_eq!(count("required"), count("recovered") + count("lost"));
    }
    assert_eq!(found.iter().any(|(code, ..)| code == "RPO_EXCEEDED"), code == 1, "{found:?}");
    assert!(record["not_tested"].to_string().contains("what was written after the dump"), "{record}");
}

/// Compressed ones are in `scenarios/fault`: their checksums tell. What has none still does not come back as it was.
#[rstest]
#[case::custom(", compress: none")]
#[case::directory(", format: directory, compress: none")]
#[case::tar(", format: tar")]
#[case::sql(", format: plain")]
#[case::packed_sql(", format: plain, compress: gzip")]
fn a_damaged_dump_is_disproven(
    #[case] how: &str,
    #[values(Fault::DumpBitFlip, Fault::DumpTruncated)] fault: Fault,
) {
    let below = format!("  - disaster: lose-primary\n  - fault: {fault}\n  - recover\n");
    let record = record(Cell::LOCAL, &drill("", how, &below), 1);
    let found = findings(&record);
    let noticed = found.iter().any(|(code, ..)| fault.entry().codes.iter().any(|of| of.name() == code));
    assert!(noticed, "{found:?}");
}

#[rstest]
#[case("row-deleted", "row-counts", "ROW_COUNT_MISMATCH")]
#[case("values-swapped", "fingerprints", "FINGERPRINT_MISMATCH")]
fn a_change_of_what_was_loaded_is_caught(#[case] fault: &str, #[case] check: &str, #[case] code: &str) {
    let below = format!("{LOST}  - fault: {fault}\n  - check: {{ {check}: all }}\n");
    let found = findings(&record(Cell::LOCAL, &drill("", "", &below), 1));
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), (code, check), "{found:?}");
}

/// `pg_dump` ends at it, and leaves no dump.
#[test]
fn a_damaged_page_of_the_source_is_a_finding() {
    let found = findings(&record(Cell::LOCAL, &drill("  - fault: heap-page-damaged\n", "", LOST), 1));
    let told = |code: &str, words: &str| {
        found.iter().any(|(found, _, message)| found == code && message.contains(words))
    };
    assert!(
        told("PAGE_CHECKSUM_FAILED", "the primary has a damaged page: invalid page in block "),
        "{found:?}"
    );
    assert!(told("BACKUP_FAILED", "pg_dump ended with exit code 1: "), "{found:?}");
}

/// Nobody dumps templates; who has something there hears of it.
#[test]
fn what_lies_in_a_template_is_missed() {
    let above = "  - sql: { run: CREATE TABLE t AS SELECT 1 AS a, database: template1 }\n";
    let found = findings(&record(Cell::LOCAL, &drill(above, "", LOST), 1));
    assert_eq!(
        (found[0].0.as_str(), found[0].2.contains("template1.public.t")),
        ("TABLE_MISSING", true),
        "{found:?}"
    );
}

/// Somebody waits until pg_dump is there, and writes then.
#[test]
fn a_dump_of_a_server_that_is_written_to_proves_nothing() {
    let above = "  - sql: CREATE TABLE note (a int)
  - sql:
      run: |
        DO $$ BEGIN
          WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump') LOOP
            PERFORM pg_sleep(0.005), pg_stat_clear_snapshot();
          END LOOP;
          INSERT INTO note VALUES (1);
        END $$
      behind: on
";
    let found = findings(&record(Cell::LOCAL, &drill(above, "", LOST), 2));
    assert_eq!(found[0].0, "BASELINE_UNSTABLE", "{found:?}");
    assert!(
        found[0]
            .2
            .contains("something wrote while the dump was taken: the content of table trading.public.note"),
        "{found:?}"
    );
}

/// Each recovery from it is as good.
#[test]
fn a_dump_is_loaded_again() {
    let desk = Desk::new();
    desk.drill(&drill("", "", LOST), &["--repeat", "2"]).ends_with(0);
    assert_eq!(desk.record()["repetitions"][0]["observed"], "proven");
}

/// Copies of it are damaged as those of a base backup are.
#[test]
fn damaged_copies_of_a_dump_are_noticed() {
    let desk = Desk::new();
    desk.drill(&drill("", "", LOST), &["--mutants"]).ends_with(0);
    let mutants = &desk.record()["mutants"];
    assert_eq!(names(mutants, "fault"), ["dump-bit-flip", "dump-truncated"]);
    assert_eq!(names(mutants, "outcome"), ["killed"; 2]);
}
