//! Changes to the recovered server, each of which must be found, by the check that is there for it, with the
//! table's name. A check that cannot fail is worth nothing.

use rstest::rstest;

use crate::desk::{Desk, findings};

fn drill(sql: &str, checks: &str) -> String {
    let sql = sql.replace('\n', "\n      ");
    format!(
        "title: somebody changes the recovered server
data: {{ orders: 2_500 }}
steps:
  - backup: {{ format: plain }}
  - disaster: lose-primary
  - recover
  - sql: |
      {sql}
  - check: {checks}
"
    )
}

#[rstest]
#[case::one_row_deleted(
    "DELETE FROM \"AuditLog\" WHERE \"id\" = 77",
    &[("ROW_COUNT_MISMATCH", "row-counts", "AuditLog"), ("FINGERPRINT_MISMATCH", "fingerprints", "AuditLog"),
      ("CONSERVATION_BROKEN", "conservation", "AuditLog")]
)]
#[case::one_value_changed(
    "UPDATE \"Order\" SET \"symbol\" = 'ETH-EUR' WHERE \"id\" = 78 AND \"filledQuantity\" >= 0",
    &[("FINGERPRINT_MISMATCH", "fingerprints", "Order")]
)]
#[case::a_value_swapped_between_two_rows(
    "UPDATE \"Order\" SET \"fee\" = CASE \"id\" WHEN 5 THEN (SELECT \"fee\" FROM \"Order\" WHERE \"id\" = 9) \
     ELSE (SELECT \"fee\" FROM \"Order\" WHERE \"id\" = 5) END WHERE \"id\" IN (5, 9)",
    &[("FINGERPRINT_MISMATCH", "fingerprints", "Order")]
)]
#[case::the_same_number_with_another_scale(
    "UPDATE \"Order\" SET \"quantity\" = \"quantity\" + 0.00000 WHERE \"id\" = 100",
    &[("FINGERPRINT_MISMATCH", "fingerprints", "Order")]
)]
#[case::an_index_dropped(
    "DROP INDEX \"Order_createdAt_idx\"",
    &[("CATALOG_MISMATCH", "catalog", "Order")]
)]
#[case::a_foreign_key_dropped(
    "ALTER TABLE \"Order\" DROP CONSTRAINT \"Order_userId_fkey\"",
    &[("CATALOG_MISMATCH", "catalog", "Order")]
)]
#[case::a_grant_widened(
    "GRANT DELETE ON \"AuditLog\" TO trading_app",
    &[("CATALOG_MISMATCH", "catalog", "AuditLog")]
)]
#[case::a_torn_transaction(
    "UPDATE \"Position\" SET \"quantity\" = \"quantity\" + 1 WHERE \"id\" = (SELECT min(\"id\") FROM \"Position\")",
    &[("FINGERPRINT_MISMATCH", "fingerprints", "Position"), ("CONSERVATION_BROKEN", "conservation", "Position")]
)]
#[case::a_table_dropped(
    "DROP TABLE \"Position\"",
    &[("TABLE_MISSING", "row-counts", "Position"), ("CONSERVATION_BROKEN", "conservation", "Position")]
)]
#[case::a_table_too_many(
    "CREATE TABLE \"Extra\" AS SELECT 1 AS n",
    &[("TABLE_UNEXPECTED", "row-counts", "Extra")]
)]
#[case::the_first_write_removed(
    "DELETE FROM \"AuditLog\" WHERE \"orderId\" = 2501; DELETE FROM \"Order\" WHERE \"id\" = 2501",
    &[("FIRST_WRITE_FAILED", "first-write", "2501")]
)]
#[case::a_session_that_the_server_ends(
    "DO $$ BEGIN RAISE LOG 'before'; PERFORM pg_terminate_backend(pg_backend_pid()); EXCEPTION WHEN OTHERS THEN NULL; END $$",
    &[]
)]
fn every_change_is_found(#[case] sql: &str, #[case] expected: &[(&str, &str, &str)]) {
    let desk = Desk::new();
    let done = desk.drill(&drill(sql, "all"), &[]);
    let record = desk.record();
    if expected.is_empty() {
        // A server that ends our own session is not the one that was asked for: nothing was learnt.
        done.ends_with(2);
        assert_eq!(findings(&record)[0].0, "SQL_FAILED");
        return;
    }
    done.ends_with(1);
    let found = findings(&record);
    for (code, check, names) in expected {
        assert!(
            found.iter().any(|(c, by, message)| c == code && by == check && message.contains(names)),
            "{code} by {check} that names {names}, among {found:#?}"
        );
        assert!(done.stdout.contains(code), "{}", done.stdout);
    }
}

/// Damage on disk, behind the server's back: the page is not in memory, so the server has not met it yet.
#[test]
fn a_damaged_page_is_found_by_its_checksum_and_by_reading() {
    let desk = Desk::new();
    let sql = "CHECKPOINT;\nDO $$ DECLARE f text := current_setting('data_directory') || '/' || pg_relation_filepath('\"Strategy\"'); \
               BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', \
               'cat >/dev/null; printf XXXXXXXX | dd of=' || f || ' bs=1 seek=4096 conv=notrunc 2>/dev/null'); END $$";
    let done = desk.drill(&drill(sql, "{ page-checksums: all }"), &[]);
    done.ends_with(1);
    let found = findings(&desk.record());
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("PAGE_CHECKSUM_FAILED", "page-checksums"));
    assert!(found[0].2.contains("block 0"), "{found:?}");
}

#[test]
fn a_changed_archive_is_found() {
    let desk = Desk::new();
    let sql = "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd ../archive && touch 000000010000000000000099'";
    desk.drill(&drill(sql, "{ archive-untouched: all }"), &[]).ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "ARCHIVE_CHANGED");
    assert!(found[0].2.contains("000000010000000000000099"), "{found:?}");
}

#[test]
fn an_error_of_the_server_is_found_in_its_log() {
    let desk = Desk::new();
    // Another session's error, as a background job would cause it: the step itself succeeds.
    let sql = "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; psql -h $PWD/../socket/restored -U postgres -c \"SELECT 1/0\" >/dev/null 2>&1 || true'";
    desk.drill(&drill(sql, "{ server-log: all }"), &[]).ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "SERVER_LOG_ERROR");
    assert!(found[0].2.contains("division by zero"), "{found:?}");
}

/// What was written after the last archived segment is lost with the primary: the drill must say so, and may not be
/// green because the server came up.
#[test]
fn changes_that_never_reached_the_archive_are_missed() {
    let desk = Desk::new();
    let done = desk.drill(
        "title: t
data: { orders: 500 }
steps:
  - backup: { format: plain }
  - sql: DELETE FROM \"AuditLog\" WHERE \"id\" > 400
  - disaster: lose-primary
  - recover
  - check: all
",
        &[],
    );
    done.ends_with(1);
    let found = findings(&desk.record());
    assert!(
        found.iter().any(|(code, _, message)| code == "ROW_COUNT_MISMATCH" && message.contains("AuditLog"))
    );
    assert!(found.iter().any(|(code, _, _)| code == "RECOVERY_SHORT"), "{found:?}");
}

/// A scenario may say what must come: then it is proven when it comes, and disproven when it does not.
#[rstest]
#[case::it_comes("DELETE FROM \"AuditLog\" WHERE \"id\" = 77", 0, "proven")]
#[case::it_does_not("SELECT 1", 1, "disproven")]
fn an_expectation_decides(#[case] sql: &str, #[case] code: i32, #[case] verdict: &str) {
    let desk = Desk::new();
    let expectation = "expect: { verdict: disproven, finding: ROW_COUNT_MISMATCH, stage: check }\n";
    desk.drill(&format!("{}{expectation}", drill(sql, "all")), &[]).ends_with(code);
    assert_eq!(desk.record()["verdict"], verdict);
}
