//! Drills whose backups pgBackRest takes and restores: what the record says of them, a server that is lost twice, and what is said
//! when the repository or its WAL is not what it should be.

use serde_json::Value;

use crate::desk::{Cell, Desk, findings};

/// What the record of a proven drill says.
fn proven(text: &str) -> Value {
    let desk = Desk::new();
    let done = desk.drill_in(Cell::LOCAL, text);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!((findings(&record), record["verdict"].as_str()), (vec![], Some("proven")));
    desk.assert_nothing_left();
    record
}

#[test]
fn a_record_says_how_pgbackrest_took_and_restored_each_backup() {
    let record = proven(
        "title: t
data: { orders: 500 }
tablespaces: { history: [AuditLog] }
archive: { by: pgbackrest }
steps:
  - backup: { tool: pgbackrest, compress: zstd:3 }
  - sql: UPDATE \"Order\" SET \"fee\" = 0
  - backup: { tool: pgbackrest, type: incr, bundle: on }
  - work: { transactions: 200 }
  - mark: here
  - sql: DELETE FROM \"AuditLog\"
  - switch-wal
  - disaster: lose-primary
  - recover: { to: here }
  - check: all
",
    );
    let says = |backup: usize, key: &str| record["backups"][backup][key].as_str().unwrap_or("-").to_owned();
    let said = |backup| {
        ["tool", "format", "compress", "compress_detail", "incremental_of", "from"]
            .map(|key| says(backup, key))
    };
    assert_eq!(said(0), ["pgBackRest", "full", "zstd", "level=3", "-", "primary"]);
    assert_eq!(said(1), ["pgBackRest", "incr", "zstd", "level=3", "backup-1", "primary"]);
    assert!(says(1, "label").starts_with(&format!("{}_", says(0, "label"))), "{record}");
    for backup in [0, 1] {
        assert_eq!(record["backups"][backup]["tablespaces"], 1);
        assert!(record["backups"][backup]["bytes"].as_u64() > Some(1000), "{record}");
    }
    let recovery = &record["recoveries"][0];
    assert_eq!((&recovery["by"], &recovery["tablespaces"]), (&Value::from("pgbackrest"), &Value::from(1)));
    assert_eq!(recovery["backups"], Value::from(vec!["backup-1", "backup-2"]));
    assert!(recovery["segments"].as_u64() > Some(0), "archive-get gave nothing: {recovery}");
    let checks: Vec<&str> =
        record["checks"].as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert!(checks.contains(&"fingerprints") && checks.contains(&"archive-untouched"), "{checks:?}");
    assert!(!checks.contains(&"manifest") && !checks.contains(&"verify"), "{checks:?}");
    assert!(record.to_string().contains("pgBackRest verifies those that it restores"), "{record}");
}

/// The recovered server pushes its own timeline into the same repository, is backed up there, and is lost in turn.
#[test]
fn a_server_that_pgbackrest_brought_back_is_backed_up_by_it_again() {
    let record = proven(
        "title: t
data: { orders: 500 }
archive: { by: pgbackrest }
steps:
  - backup: { tool: pgbackrest }
  - work: { transactions: 100 }
  - switch-wal
  - disaster: lose-primary
  - recover
  - backup: { tool: pgbackrest, type: diff }
  - work: { transactions: 100 }
  - switch-wal
  - disaster: lose-primary
  - recover
  - check: all
",
    );
    assert_eq!(record["backups"][1]["timeline"], 2);
    assert_eq!(record["recoveries"][1]["backups"], Value::from(vec!["backup-1", "backup-2"]));
}

/// The drill's own archive gives the WAL, for which pgBackRest does not wait.
#[test]
fn pgbackrest_takes_backups_beside_an_archive_that_is_not_its_own() {
    let record = proven(
        "title: t
data: { orders: 500 }
archive: { by: receivewal }
steps:
  - backup: { tool: pgbackrest, compress: lz4 }
  - work: { transactions: 100 }
  - disaster: lose-primary
  - recover
  - check: all
",
    );
    assert_eq!(record["backups"][0]["wal"], "none");
}

/// A drill in which the server itself does something to its repository before it is lost, and what it finds first.
fn found_after(done_to_it: &str) -> (String, String) {
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 500 }}
archive: {{ by: pgbackrest }}
steps:
  - backup: {{ tool: pgbackrest }}
  - work: {{ transactions: 100 }}
  - switch-wal
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd ../backup/pgbackrest && {done_to_it}'
  - disaster: lose-primary
  - recover
  - check: all
"
    );
    let done = desk.drill_in(Cell::LOCAL, &text);
    done.ends_with(1);
    let found = findings(&desk.record());
    desk.assert_nothing_left();
    (found[0].0.clone(), found[0].2.clone())
}

#[test]
fn a_damaged_repository_is_disproven_in_the_words_of_pgbackrest() {
    let (code, message) = found_after(
        "truncate -s 40 $(find backup/drill/*F -path \"*/base/*\" -type f -size +2k | head -n 1)",
    );
    assert_eq!(code, "UNPACK_FAILED", "{message}");
    assert!(message.starts_with("pgbackrest restore ended with exit code "), "{message}");
}

/// To PostgreSQL the answer of archive-get is the end of the archive: it starts and promotes.
#[test]
fn a_segment_that_archive_get_does_not_give_is_named() {
    let (code, message) = found_after("rm $(ls archive/drill/*/*/*.gz | tail -n 1)");
    assert_eq!(code, "WAL_NOT_GIVEN", "{message}");
    assert!(message.ends_with("it ended with exit code 1"), "{message}");
}

/// pgBackRest warns of a page whose checksum does not match, marks the backup, and ends well.
#[test]
fn a_damaged_page_of_the_source_is_no_warning_only() {
    let desk = Desk::new();
    let text = "title: t
data: { orders: 500 }
steps:
  - fault: heap-page-damaged
  - backup: { tool: pgbackrest }
  - disaster: lose-primary
  - recover
  - check: all
";
    let done = desk.drill_in(Cell::LOCAL, text);
    done.ends_with(1);
    let found = findings(&desk.record());
    let told = found.iter().any(|(code, _, message)| {
        code == "PAGE_CHECKSUM_FAILED" && message.starts_with("the primary has a damaged page: ")
    });
    assert!(told, "{found:?}");
}
