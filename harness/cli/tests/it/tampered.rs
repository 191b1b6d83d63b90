//! Changes to the recovered server, each of which must be found by the checks that are there for it, with its name,
//! and by no other. A check that cannot fail is worth nothing; neither is one that fails with everything.

use pgdrill_model::check::Check;
use rstest::rstest;

use crate::desk::{Cell, Desk, Done, findings};

/// What the primary has beside the fixture: something of each kind that a change can touch.
const SETUP: &str = r#"
CREATE VIEW "Open" AS SELECT "id" FROM "Order" WHERE "status" = 'NEW';
CREATE FUNCTION twice(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END';
CREATE INDEX "Order_twice_idx" ON "Order" (twice("fee"));
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON "User" FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE "User" ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON "User" USING (true);
CREATE ROLE auditor NOLOGIN;
GRANT SELECT ON "AuditLog" TO auditor;
ALTER ROLE auditor SET work_mem = '8MB';
CREATE EXTENSION amcheck;
CREATE TABLE "Note" ("body" text COLLATE "und-x-icu");
INSERT INTO "Note" SELECT 'note ' || n FROM generate_series(1, 100) AS n;
CREATE INDEX "Note_body_idx" ON "Note" ("body");
CREATE SEQUENCE tickets;
SELECT setval('tickets', 900);
COMMENT ON TABLE "Note" IS 'what people write';
"#;

fn indented(sql: &str) -> String {
    sql.trim().replace('\n', "\n      ")
}

/// A drill in which `backup` is what happens to the backup, and `sql` to the recovered server.
fn drill(backup: &str, sql: &str, checks: &str) -> String {
    format!(
        "title: somebody changes the recovered server
data: {{ orders: 2_500 }}
steps:
  - sql: |
      {}
{backup}
  - disaster: lose-primary
  - recover
  - sql: |
      {}
  - check: {checks}
",
        indented(SETUP),
        indented(sql),
    )
}

const PLAIN: &str = "  - backup: { format: plain }";

/// What must be found: code, check, and a name in the message.
type Expected<'a> = &'a [(&'a str, &'a str, &'a str)];

/// The drill is disproven by these findings; every check that has none of them held.
fn assert_found(desk: &Desk, done: &Done, expected: Expected<'_>) {
    done.ends_with(1);
    let record = desk.record();
    let found = findings(&record);
    for (code, check, names) in expected {
        assert!(
            found.iter().any(|(c, by, message)| c == code && by == check && message.contains(names)),
            "{code} by {check} that names {names}, among {found:#?}"
        );
    }
    // A report shows the first of many.
    assert!(done.stdout.contains(&found[0].0), "{}", done.stdout);
    for check in record["checks"].as_array().unwrap() {
        let name = check["check"].as_str().unwrap();
        let wanted = if expected.iter().any(|(_, by, _)| *by == name) { "failed" } else { "held" };
        assert_eq!(check["status"], wanted, "{name}, with {found:#?}");
    }
}

#[rstest]
#[case::one_row_deleted(
    "DELETE FROM \"AuditLog\" WHERE \"id\" = 77",
    &[("ROW_COUNT_MISMATCH", "row-counts", "AuditLog"), ("FINGERPRINT_MISMATCH", "fingerprints", "AuditLog"),
      ("CONSERVATION_BROKEN", "conservation", "AuditLog"), ("INTEGRITY_FAILED", "integrity", "audit failed")]
)]
#[case::one_value_changed(
    "UPDATE \"Order\" SET \"symbol\" = 'ETH-EUR' WHERE \"id\" = (SELECT min(\"id\") FROM \"Order\" WHERE \"filledQuantity\" = 0)",
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
#[case::a_torn_transaction(
    "UPDATE \"Position\" SET \"quantity\" = \"quantity\" + 1 WHERE \"id\" = (SELECT min(\"id\") FROM \"Position\")",
    &[("FINGERPRINT_MISMATCH", "fingerprints", "Position"), ("CONSERVATION_BROKEN", "conservation", "Position"),
      ("INTEGRITY_FAILED", "integrity", "conservation failed")]
)]
#[case::a_table_dropped(
    "DROP TABLE \"Position\"",
    &[("TABLE_MISSING", "row-counts", "Position"), ("TABLE_MISSING", "fingerprints", "Position"),
      ("CATALOG_MISMATCH", "catalog", "Position"), ("CONSERVATION_BROKEN", "conservation", "Position"),
      ("INTEGRITY_FAILED", "integrity", "there is no table Position")]
)]
#[case::a_table_too_many(
    "CREATE TABLE \"Extra\" AS SELECT 1 AS n",
    &[("TABLE_UNEXPECTED", "row-counts", "Extra"), ("TABLE_UNEXPECTED", "fingerprints", "Extra"),
      ("CATALOG_MISMATCH", "catalog", "Extra")]
)]
#[case::an_index_dropped("DROP INDEX \"Order_createdAt_idx\"", &[("CATALOG_MISMATCH", "catalog", "Order_createdAt_idx")])]
#[case::an_index_that_is_not_valid(
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"Order_createdAt_idx\"'::regclass",
    &[("CATALOG_MISMATCH", "catalog", "Order_createdAt_idx"), ("INTEGRITY_FAILED", "integrity", "Order_createdAt_idx")]
)]
#[case::a_foreign_key_dropped(
    "ALTER TABLE \"Order\" DROP CONSTRAINT \"Order_userId_fkey\"",
    &[("CATALOG_MISMATCH", "catalog", "Order_userId_fkey")]
)]
#[case::a_foreign_key_that_nobody_keeps(
    "ALTER TABLE \"Order\" DISABLE TRIGGER ALL",
    &[("CATALOG_MISMATCH", "catalog", "Order_userId_fkey")]
)]
#[case::a_default_changed(
    "ALTER TABLE \"Order\" ALTER \"fee\" SET DEFAULT 1",
    &[("CATALOG_MISMATCH", "catalog", "Order.fee")]
)]
#[case::a_grant_widened("GRANT DELETE ON \"AuditLog\" TO trading_app", &[("CATALOG_MISMATCH", "catalog", "AuditLog")])]
#[case::a_grant_revoked("REVOKE SELECT ON \"AuditLog\" FROM auditor", &[("CATALOG_MISMATCH", "catalog", "AuditLog")])]
#[case::a_policy_dropped("DROP POLICY everybody ON \"User\"", &[("CATALOG_MISMATCH", "catalog", "everybody")])]
#[case::row_security_off(
    "ALTER TABLE \"User\" DISABLE ROW LEVEL SECURITY",
    &[("CATALOG_MISMATCH", "catalog", "User")]
)]
#[case::a_trigger_disabled(
    "ALTER TABLE \"User\" DISABLE TRIGGER touched",
    &[("CATALOG_MISMATCH", "catalog", "touched")]
)]
#[case::a_view_changed(
    "CREATE OR REPLACE VIEW \"Open\" AS SELECT \"id\" FROM \"Order\"",
    &[("CATALOG_MISMATCH", "catalog", "Open")]
)]
#[case::a_function_changed(
    "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    &[("CATALOG_MISMATCH", "catalog", "touch()")]
)]
#[case::a_comment_changed(
    "COMMENT ON TABLE \"Note\" IS NULL",
    &[("CATALOG_MISMATCH", "catalog", "the comment table public.\"Note\"")]
)]
#[case::an_extension_dropped("DROP EXTENSION amcheck", &[("CATALOG_MISMATCH", "catalog", "the extension amcheck")])]
#[case::a_role_that_may_log_in("ALTER ROLE auditor LOGIN", &[("CATALOG_MISMATCH", "catalog", "the role auditor is")])]
#[case::a_setting_of_a_role("ALTER ROLE auditor RESET ALL", &[("CATALOG_MISMATCH", "catalog", "the setting of auditor work_mem")])]
#[case::a_membership("GRANT auditor TO trading_app", &[("CATALOG_MISMATCH", "catalog", "trading_app of auditor")])]
#[case::a_sequence_behind_its_column(
    "SELECT setval('\"Order_id_seq\"', 5)",
    &[("SEQUENCE_BEHIND", "sequences", "would give 6 next, and column id of table trading.public.Order holds 2501"),
      ("INTEGRITY_FAILED", "integrity", "Order_id_seq")]
)]
#[case::a_sequence_behind_the_primary(
    "SELECT setval('tickets', 899)",
    &[("SEQUENCE_BEHIND", "sequences", "trading.public.tickets would give 900 next, and the primary's would have given 901")]
)]
#[case::a_collation_of_another_version(
    "UPDATE pg_collation SET collversion = '0.0' WHERE collname = 'und-x-icu'",
    &[("COLLATION_MISMATCH", "collations", "und-x-icu")]
)]
// The index is filled by another function, which then is again what it was.
#[case::an_index_that_does_not_agree_with_its_table(
    "CREATE OR REPLACE FUNCTION twice(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 3; END';
REINDEX INDEX \"Order_twice_idx\";
CREATE OR REPLACE FUNCTION twice(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END'",
    &[("RELATION_CORRUPT", "amcheck", "Order_twice_idx"), ("INTEGRITY_FAILED", "integrity", "amcheck failed")]
)]
#[case::the_first_write_removed(
    "DELETE FROM \"AuditLog\" WHERE \"orderId\" = 2501; DELETE FROM \"Order\" WHERE \"id\" = 2501",
    &[("FIRST_WRITE_FAILED", "first-write", "2501"), ("CONSERVATION_BROKEN", "conservation", "Position"),
      ("INTEGRITY_FAILED", "integrity", "conservation failed")]
)]
fn every_change_is_found(
    #[case] sql: &str,
    #[case] expected: Expected<'_>,
    // The host's own, and the oldest and the newest in turn.
    #[values(false, true)] contained: bool,
) {
    let cell = if contained { Cell::in_turn(&[13, 18], sql) } else { Cell::LOCAL };
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let done = desk.drill_in(cell, &drill(PLAIN, sql, "all"));
    assert_found(&desk, &done, expected);
    // What belongs to the cluster is told once, however many databases there are.
    if sql.contains("ROLE auditor") {
        let found = findings(&desk.record());
        assert_eq!(found.iter().filter(|(_, by, _)| by == "catalog").count(), 1, "{found:#?}");
    }
}

/// The version of a database's own collation, which 15 and later record.
#[rstest]
fn a_default_collation_of_another_version_is_found(#[values(Cell::LOCAL, Cell::docker(18))] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let sql = "UPDATE pg_database SET datcollversion = '0.0' WHERE datname = 'trading'";
    let done = desk.drill_in(cell, &drill(PLAIN, sql, "all"));
    let words = "the default collation of database trading";
    assert_found(&desk, &done, &[("COLLATION_MISMATCH", "collations", words)]);
}

/// What happens to a backup after it was taken. None of it harms the recovery: only the manifest tells.
#[rstest]
#[case::a_byte_of_a_plain_backup(
    "plain",
    "printf X | dd of=$B/postgresql.conf bs=1 conv=notrunc",
    "checksum mismatch for file \"postgresql.conf\"",
    ("MANIFEST_MISMATCH", "checksum mismatch for file")
)]
#[case::a_file_lost(
    "plain",
    "rm $B/pg_ident.conf",
    "\"pg_ident.conf\" is present in the manifest but not on disk",
    ("MANIFEST_MISMATCH", "pg_ident.conf")
)]
#[case::a_manifest_written_anew(
    "plain",
    "sed -i s/postgresql.conf/postgresql.cone/ $B/backup_manifest",
    "the manifest of backup-1 is not what it was when the backup ended",
    ("MANIFEST_MISMATCH", "manifest checksum mismatch")
)]
#[case::the_wal_that_came_with_it(
    "plain",
    "for f in $B/pg_wal/0*; do printf XXXX | dd of=$f bs=1 seek=60 conv=notrunc; done",
    "WAL parsing failed",
    ("WAL_DAMAGED", "WAL parsing failed")
)]
#[case::a_file_too_many(
    "tar, compress: none",
    "touch $B/stranger; tar -rf $B/base.tar -C $B stranger; rm $B/stranger",
    "stranger",
    ("MANIFEST_MISMATCH", "stranger")
)]
#[case::the_wal_of_a_tar_backup(
    "tar, compress: none",
    "printf XXXX | dd of=$B/pg_wal.tar bs=1 seek=572 conv=notrunc",
    "WAL",
    ("WAL_DAMAGED", "WAL parsing failed")
)]
fn a_changed_backup_is_found(
    #[case] format: &str,
    #[case] change: &str,
    #[case] words: &str,
    #[case] own: (&str, &str),
    #[values(false, true)] contained: bool,
) {
    let cell = if contained { Cell::in_turn(&[13, 18], change) } else { Cell::LOCAL };
    if !cell.is_there() {
        return;
    }
    let backup = format!(
        "  - backup: {{ format: {format} }}
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; exec 2>/dev/null; B=../backup/backup-1; {change}'
  - switch-wal"
    );
    let desk = Desk::new();
    let done = desk.drill_in(cell, &drill(&backup, "SELECT 1", "all"));
    assert_found(&desk, &done, &[("MANIFEST_MISMATCH", "manifest", words), (own.0, "verify", own.1)]);
}

/// Each check, run alone, catches the fault that it is there for.
#[rstest]
#[case("row-counts", "DELETE FROM \"AuditLog\" WHERE \"id\" = 77")]
#[case("fingerprints", "UPDATE \"Order\" SET \"quantity\" = \"quantity\" + 0.00000 WHERE \"id\" = 100")]
#[case("catalog", "DROP INDEX \"Order_createdAt_idx\"")]
#[case("sequences", "SELECT setval('\"Order_id_seq\"', 5)")]
#[case("collations", "UPDATE pg_collation SET collversion = '0.0' WHERE collname = 'und-x-icu'")]
#[case("conservation", "UPDATE \"Position\" SET \"quantity\" = \"quantity\" + 1")]
#[case("integrity", "DELETE FROM \"AuditLog\" WHERE \"id\" = 77")]
#[case(
    "first-write",
    "DELETE FROM \"AuditLog\" WHERE \"orderId\" = 2501; DELETE FROM \"Order\" WHERE \"id\" = 2501"
)]
#[case(
    "amcheck",
    "CREATE OR REPLACE FUNCTION twice(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END'"
)]
// The file is gone behind the server's back; the table is not in memory, so reading is what meets it.
#[case(
    "read-all",
    "DO $$ DECLARE f text := current_setting('data_directory') || '/' || pg_relation_filepath('\"Note\"'); \
     BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null; rm ' || f); END $$"
)]
fn each_check_alone_catches_its_fault(#[case] check: &str, #[case] sql: &str) {
    let desk = Desk::new();
    desk.drill(&drill(PLAIN, sql, &format!("{{ {check}: all }}")), &[]).ends_with(1);
    let found = findings(&desk.record());
    // On a slow machine a checkpoint may lie between the backup and the capture: a note of the recovery.
    let all = || found.iter().filter(|(code, _, _)| code != "RECOVERY_SHORT");
    assert!(all().count() > 0 && all().all(|(_, by, _)| by == check), "{found:#?}");
}

/// The same for the manifest: the backup is changed before it is restored.
#[test]
fn the_manifest_alone_catches_a_changed_backup() {
    let backup = format!(
        "{PLAIN}\n  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; echo >>../backup/backup-1/postgresql.conf'"
    );
    let desk = Desk::new();
    desk.drill(&drill(&backup, "SELECT 1", "{ manifest: all }"), &[]).ends_with(1);
    let found = findings(&desk.record());
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("MANIFEST_MISMATCH", "manifest"));
    assert!(found[0].2.contains("postgresql.conf"), "{found:?}");
}

/// A restored server that can write to the archive; in a container it cannot.
#[rstest]
fn a_changed_archive_is_found(#[values("all", "{ archive-untouched: all }")] checks: &str) {
    let desk = Desk::new();
    let sql = "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd ../archive && touch 000000010000000000000099'";
    let done = desk.drill(&drill(PLAIN, sql, checks), &[]);
    assert_found(&desk, &done, &[("ARCHIVE_CHANGED", "archive-untouched", "000000010000000000000099")]);
}

/// Damage on disk, behind the server's back: the page is not in memory, so the server has not met it yet.
#[test]
fn a_damaged_page_is_found_by_its_checksum_and_by_reading() {
    let desk = Desk::new();
    let sql = "CHECKPOINT;\nDO $$ DECLARE f text := current_setting('data_directory') || '/' || pg_relation_filepath('\"Strategy\"'); \
               BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', \
               'cat >/dev/null; printf XXXXXXXX | dd of=' || f || ' bs=1 seek=4096 conv=notrunc 2>/dev/null'); END $$";
    let done = desk.drill(&drill(PLAIN, sql, "{ page-checksums: all }"), &[]);
    done.ends_with(1);
    let found = findings(&desk.record());
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("PAGE_CHECKSUM_FAILED", "page-checksums"));
    assert!(found[0].2.contains("block 0"), "{found:?}");
}

#[test]
fn an_error_of_the_server_is_found_in_its_log() {
    let desk = Desk::new();
    // Another session's error, as a background job would cause it: the step itself succeeds.
    let sql = "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; psql -h $PWD/../socket/restored -U postgres -c \"SELECT 1/0\" >/dev/null 2>&1 || true'";
    desk.drill(&drill(PLAIN, sql, "{ server-log: all }"), &[]).ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "SERVER_LOG_ERROR");
    assert!(found[0].2.contains("division by zero"), "{found:?}");
}

/// A server that ends our own session is not the one that was asked for: nothing was learnt.
#[test]
fn a_session_that_the_server_ends_is_no_verdict() {
    let desk = Desk::new();
    let sql =
        "DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); EXCEPTION WHEN OTHERS THEN NULL; END $$";
    desk.drill(&drill(PLAIN, sql, "all"), &[]).ends_with(2);
    assert_eq!(findings(&desk.record())[0].0, "SQL_FAILED");
}

/// What was written after the last archived segment is lost with the primary: the drill must say so, and may not be
/// green because the server came up. A scenario that names no check gets them all.
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
",
        &[],
    );
    done.ends_with(1);
    let found = findings(&desk.record());
    assert!(
        found.iter().any(|(code, _, message)| code == "ROW_COUNT_MISMATCH" && message.contains("AuditLog"))
    );
    assert!(found.iter().any(|(code, _, _)| code == "RECOVERY_SHORT"), "{found:?}");
    assert_eq!(desk.record()["checks"].as_array().unwrap().len(), Check::all_of(false).len());
}

/// A scenario may say what must come: then it is proven when it comes, and disproven when it does not.
#[rstest]
#[case::it_comes("DELETE FROM \"AuditLog\" WHERE \"id\" = 77", 0, "proven")]
#[case::it_does_not("SELECT 1", 1, "disproven")]
fn an_expectation_decides(#[case] sql: &str, #[case] code: i32, #[case] verdict: &str) {
    let desk = Desk::new();
    let expectation = "expect: { verdict: disproven, finding: ROW_COUNT_MISMATCH, stage: check }\n";
    desk.drill(&format!("{}{expectation}", drill(PLAIN, sql, "all")), &[]).ends_with(code);
    assert_eq!(desk.record()["verdict"], verdict);
}
