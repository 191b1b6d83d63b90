//! Queries of the user's own, asked of real servers: what holds, what is missed, what fails, and what says nothing about the
//! backup.

use std::fs;

use serde_json::Value;

use crate::desk::{Desk, findings};
use crate::prove::Production;
use crate::server::bin;

/// A drill with roles of its own, and these queries.
fn drill(queries: &str) -> String {
    format!(
        "title: t
data: {{ orders: 100 }}
steps:
  - backup: {{ format: plain }}
  - sql: |
      CREATE ROLE reader NOLOGIN; GRANT USAGE ON SCHEMA public TO reader;
      GRANT SELECT ON \"Order\" TO reader; CREATE ROLE \"An \"\"auditor\"\"\";
  - switch-wal
  - disaster: kill
  - recover
  - check: {{ server-log: all, queries: all }}
queries:
{queries}"
    )
}

fn check(record: &Value, name: &str) -> Value {
    let checks = record["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap().clone()
}

/// The messages of the findings with this code.
fn messages(record: &Value, code: &str) -> Vec<String> {
    let found = findings(record).into_iter().filter(|(found, _, _)| found == code);
    found.map(|(_, _, message)| message).collect()
}

#[test]
fn what_is_answered_as_expected_holds_whatever_it_is_and_whoever_asks() {
    let desk = Desk::new();
    let done = desk.drill(
        &drill(
            r#"  # The order of the first write is there, too.
  - { name: orders, query: SELECT count(*) FROM "Order", expect: 101 }
  - { name: once more, query: SELECT count(*) FROM "Order";, expect: { at-least: 101, at-most: 101 } }
  - { name: as a role, query: SELECT current_user || session_user, expect: readerreader, role: reader }
  - { name: with rights, query: SELECT 1 FROM "Order", expect: { rows: { at-least: 101 } }, role: reader }
  - { name: quoted, query: SELECT current_user, expect: 'An "auditor"', role: 'An "auditor"' }
  - { name: a boolean, query: SELECT true, expect: true }
  - { name: long, query: SELECT 18446744073709551617, expect: { at-least: 18446744073709551616.9 } }
  - { name: bytes, query: "SELECT decode('beef', 'hex')", expect: '\xbeef' }
  - { name: an instant, query: "SELECT timestamptz '2026-03-01 04:05:06+02'", expect: 2026-03-01 02:05:06+00 }
  - { name: nothing wrong, query: SELECT 1 WHERE false, expect: { rows: 0 } }
  - { name: elsewhere, query: SELECT current_database(), expect: postgres, database: postgres }
  - { name: a setting, query: SHOW transaction_read_only, expect: on }
"#,
        ),
        &[],
    );
    done.ends_with(0);
    assert!(done.stdout.contains("PROVEN: proven for: server-log, queries"), "{}", done.stdout);
    let asked = check(&desk.record(), "queries");
    assert_eq!(asked["examined"], 12);
    let words = "12 of 12 as expected: orders, once more, as a role, with rights, quoted and 7 more";
    assert_eq!(asked["summary"], words);
}

#[test]
fn what_is_missed_or_fails_disproves_and_is_named() {
    let desk = Desk::new();
    let done = desk.drill(
        &drill(
            r#"  - { name: held, query: SELECT 1, expect: 1 }
  - { name: exact, query: SELECT 41, expect: 42 }
  - { name: text, query: SELECT 1.00, expect: 1.0 }
  - { name: of null, query: SELECT null, expect: 42 }
  - { name: none, query: SELECT 1 WHERE false, expect: 1 }
  - { name: several, query: "SELECT generate_series(1, 3)", expect: 1 }
  - { name: bound, query: SELECT -2, expect: { at-least: -1.5 } }
  - { name: rows, query: "SELECT generate_series(1, 2000)", expect: { rows: 0 } }
  - { name: long, query: "SELECT repeat('x', 1000)", expect: y }
  - { name: missing, query: SELECT * FROM nowhere, expect: { rows: 0 } }
  - { name: nobody, query: SELECT 1, expect: 1, role: nobody-here }
  - { name: rights, query: SELECT 1 FROM "AuditLog", expect: { rows: { at-least: 1 } }, role: reader }
  - { name: no database, query: SELECT 1, expect: 1, database: elsewhere }
  - { name: division, query: SELECT 1 / 0, expect: 1 }
"#,
        ),
        &[],
    );
    done.ends_with(1);
    let record = desk.record();
    assert_eq!(
        messages(&record, "QUERY_MISSED"),
        [
            "the query exact gave '41', and '42' was expected".to_owned(),
            "the query text gave '1.00', and '1.0' was expected".to_owned(),
            "the query of null gave NULL, and '42' was expected".to_owned(),
            "the query none gave no row, and '1' was expected".to_owned(),
            "the query several gave 3 rows, and '1' was expected".to_owned(),
            "the query bound gave -2, and at least -1.5 was expected".to_owned(),
            "the query rows gave 2 000 rows, and no row was expected".to_owned(),
            format!("the query long gave '{}…', and 'y' was expected", "x".repeat(99)),
        ]
    );
    assert_eq!(
        messages(&record, "QUERY_FAILED"),
        [
            "the query missing failed: ERROR: relation \"nowhere\" does not exist (SQLSTATE 42P01)",
            "the query nobody failed: ERROR: role \"nobody-here\" does not exist (SQLSTATE 22023)",
            "the query rights failed: ERROR: permission denied for table AuditLog (SQLSTATE 42501)",
            "the query no database failed: FATAL: database \"elsewhere\" does not exist (SQLSTATE 3D000)",
            "the query division failed: ERROR: division by zero (SQLSTATE 22012)",
        ]
    );
    let asked = check(&record, "queries");
    assert_eq!((asked["status"].as_str(), asked["examined"].as_u64()), (Some("failed"), Some(14)));
    assert_eq!(asked["summary"], "1 of 14 as expected: held");
    // What was told is no surprise in the log.
    assert_eq!(check(&record, "server-log")["status"], "held");
    assert!(done.stdout.contains("the query exact gave '41'"), "{}", done.stdout);
    assert!(record.to_string().contains("however they are written"), "{}", done.stdout);
}

#[test]
fn what_would_fail_anywhere_or_takes_too_long_says_nothing_about_the_backup() {
    let desk = Desk::new();
    let done = desk.drill(
        &drill(
            r#"  - { name: held, query: SELECT 1, expect: 1 }
  - { name: writes, query: DELETE FROM "AuditLog" RETURNING 1, expect: { rows: 0 } }
  - { name: makes, query: CREATE TABLE t (), expect: { rows: 0 } }
  - { name: two, query: SELECT 1; SELECT 2, expect: 2 }
  - { name: misspelt, query: SELEKT 1, expect: 1 }
  - { name: parameter, query: SELECT $1, expect: 1 }
  - { name: no rows, query: SET work_mem = '4MB', expect: { rows: 0 } }
  - { name: nothing, query: -- nothing, expect: { rows: 0 } }
  - { name: copy, query: COPY (SELECT 1) TO STDOUT, expect: { rows: 1 } }
  - { name: slow, query: SELECT pg_sleep(60), expect: '', within: 300ms }
"#,
        ),
        &[],
    );
    done.ends_with(2);
    let record = desk.record();
    let undecided = messages(&record, "QUERY_UNDECIDED");
    for (name, words) in [
        ("writes", "ERROR: cannot execute DELETE in a read-only transaction (SQLSTATE 25006)"),
        ("makes", "ERROR: cannot execute CREATE TABLE in a read-only transaction (SQLSTATE 25006)"),
        ("two", "ERROR: cannot insert multiple commands into a prepared statement (SQLSTATE 42601)"),
        ("misspelt", "ERROR: syntax error at or near \"SELEKT\" (SQLSTATE 42601)"),
        ("parameter", "ERROR: there is no parameter $1 (SQLSTATE 42P02)"),
        ("no rows", "it gives no rows, not even none"),
        ("nothing", "it gives no rows, not even none"),
        ("slow", "it was not answered within 300 ms"),
    ] {
        let message = format!("the query {name} could not be decided: {words}");
        assert!(undecided.contains(&message), "{message}: {undecided:#?}");
    }
    assert!(undecided.iter().any(|message| message.starts_with("the query copy ")), "{undecided:#?}");
    let asked = check(&record, "queries");
    assert_eq!(asked["status"], "not-run");
    assert_eq!(asked["summary"], "9 of 10 could not be decided");
    assert_eq!(check(&record, "server-log")["status"], "held");
    assert!(record.to_string().contains("in which nothing can be written"), "{}", done.stdout);
}

#[test]
fn a_backup_that_somebody_else_made_is_asked_what_his_file_asks() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    production.server.sql("create role clerk; grant select on held to clerk;");
    let backup = production.backup("backup", &["-Ft"]);
    let archive = production.end();
    let (file, saved) = (desk.path("q.yaml"), desk.path("drill.yaml"));
    let list = r#"- { name: all, query: SELECT count(*) FROM held, expect: 38000, role: clerk, within: 1500ms }
- { name: late, query: SELECT count(*) FROM held WHERE text = 'late', expect: { at-least: 3_000, at-most: 3_000.0 } }
- { name: none, query: "SELECT 1 FROM held\nWHERE n < 0", expect: { rows: 0 }, database: postgres }
- { name: some, query: TABLE held, expect: { rows: { at-least: 1 } } }
"#;
    fs::write(&file, list).unwrap();
    let path = file.to_str().unwrap();
    let base = [backup.as_str(), "--wal", &archive, "--queries", path];

    let planned = production.prove(&[&base, ["--plan"].as_slice()].concat());
    planned.ends_with(0);
    let words = "      queries: all: SELECT count(*) FROM held; '38000' is expected within 1.5 s, as clerk\n";
    assert!(planned.stdout.contains(words), "{}", planned.stdout);

    let save = ["--check", "read-all", "--save", saved.to_str().unwrap()];
    production.prove(&[&base, save.as_slice()].concat()).ends_with(0);
    let proven = check(&desk.record(), "queries");
    assert_eq!(proven["summary"], "4 of 4 as expected: all, late, none, some");
    fs::remove_dir_all(desk.path("e")).unwrap();
    desk.drill(&fs::read_to_string(saved).unwrap(), &[]).ends_with(0);
    assert_eq!(check(&desk.record(), "queries")["summary"], proven["summary"]);

    production.prove(&[&base, ["--to", "name=here"].as_slice()].concat()).ends_with(1);
    let missed = messages(&desk.record(), "QUERY_MISSED");
    assert_eq!(missed, ["the query all gave '8000', and '38000' was expected"]);

    // Where nobody asks, no question is missed.
    production.prove(&[backup.as_str(), "--wal", &archive]).ends_with(0);
    assert!(!desk.record().to_string().contains("queries"));

    fs::write(&file, list.replace("rows: 0", "rows: none")).unwrap();
    let done = production.prove(&base);
    done.ends_with(64);
    assert!(done.stderr.contains("q.yaml:3:") && done.stderr.contains("^^^^"), "{}", done.stderr);
    assert!(done.stderr.contains("`rows` must be a number of rows"), "{}", done.stderr);
    production.prove(&["/b", "--queries", "/no/such/file"]).ends_with(64);
    production.prove(&[backup.as_str(), "--check", "queries"]).ends_with(64);
}

#[test]
fn the_check_and_its_codes_are_explained() {
    let desk = Desk::new();
    for (name, words) in [
        ("queries", "Alone it catches: row-deleted"),
        ("QUERY_MISSED", "Seen by: queries"),
        ("QUERY_FAILED", "disproven (exit code 1)"),
        ("QUERY_UNDECIDED", "could not verify (exit code 2)"),
    ] {
        let done = desk.pgdrill(&["explain", name]);
        done.ends_with(0);
        assert!(done.stdout.contains(words), "{}", done.stdout);
    }
}
