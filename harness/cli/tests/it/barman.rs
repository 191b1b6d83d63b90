//! Drills whose backups Barman takes and restores: what the record says of them, a server that is lost twice, and what is said where
//! what Barman keeps is not what it should be, or where there is no Barman.

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings, shipped};
use crate::prove::has_programs;

/// What the record of a proven drill says; none where Barman is missing and may be.
fn proven(text: &str) -> Option<Value> {
    if !has_programs(&["barman"]) {
        return None;
    }
    let desk = Desk::new();
    let done = desk.drill_in(Cell::LOCAL, text);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!((findings(&record), record["verdict"].as_str()), (vec![], Some("proven")));
    desk.assert_nothing_left();
    Some(record)
}

#[test]
fn the_scenario_that_is_shipped_is_proven() {
    proven(&shipped("restore/barman"));
}

#[test]
fn a_record_says_how_barman_took_and_restored_each_backup() {
    let Some(record) = proven(
        "title: t
data: { orders: 500 }
tablespaces: { history: [AuditLog] }
steps:
  - backup: { tool: barman }
  - sql: UPDATE \"Order\" SET \"fee\" = 0
  - backup: { tool: barman, from: primary, checkpoint: fast }
  - work: { transactions: 200 }
  - mark: here
  - sql: DELETE FROM \"AuditLog\"
  - switch-wal
  - disaster: lose-primary
  - recover: { by: barman, to: here }
  - check: all
",
    ) else {
        return;
    };
    let says = |backup: usize, key: &str| record["backups"][backup][key].as_str().unwrap_or("-").to_owned();
    for backup in [0, 1] {
        let said =
            ["tool", "format", "compress", "wal", "manifest_checksums", "from"].map(|key| says(backup, key));
        assert_eq!(said, ["Barman", "plain", "none", "none", "CRC32C", "primary"]);
        let of = &record["backups"][backup];
        assert_eq!(of["tablespaces"], 1, "{of}");
        assert!(of["tablespace_bytes"].as_u64() > Some(1000), "{of}");
        assert!(of["bytes"].as_u64() > of["content_bytes"].as_u64(), "the manifest itself counts: {of}");
    }
    let ids = [says(0, "label"), says(1, "label")];
    assert!(ids[0].starts_with("20") && ids[0] < ids[1], "{ids:?}");
    let recovery = &record["recoveries"][0];
    assert_eq!((&recovery["by"], &recovery["tablespaces"]), (&Value::from("barman"), &Value::from(1)));
    assert_eq!(recovery["backups"], Value::from(vec!["backup-2"]));
    assert!(recovery["segments"].as_u64() > Some(0), "the archive gave nothing: {recovery}");
    let checks: Vec<&str> =
        record["checks"].as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert!(checks.contains(&"manifest") && checks.contains(&"verify"), "{checks:?}");
    assert!(record.to_string().contains("the WAL that Barman keeps"), "{record}");
}

/// The recovered server archives its own timeline, of which Barman is given WAL, is backed up, and is lost in turn. The archive is
/// the scenario's own.
#[test]
fn a_server_that_barman_brought_back_is_backed_up_by_it_again() {
    let Some(record) = proven(
        "title: t
data: { orders: 500 }
archive: { command: 'gzip < %p > $ARCHIVE/%f.gz', restore: 'gunzip < $ARCHIVE/%f.gz > %p' }
steps:
  - backup: { tool: barman }
  - work: { transactions: 100 }
  - switch-wal
  - disaster: lose-primary
  - recover
  - backup: { tool: barman }
  - work: { transactions: 100 }
  - switch-wal
  - disaster: lose-primary
  - recover
  - check: all
",
    ) else {
        return;
    };
    assert_eq!(record["backups"][1]["timeline"], 2);
    assert_eq!(record["recoveries"][1]["backups"], Value::from(vec!["backup-2"]));
}

/// A drill in which the server itself does something to what Barman keeps before it is lost, or in which a fault is made after, and
/// what it finds first.
fn found(done_to_it: &str, fault: &str, checks: &str) -> Option<(String, String)> {
    if !has_programs(&["barman"]) {
        return None;
    }
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 500 }}
steps:
  - backup: {{ tool: barman }}
  - work: {{ transactions: 100 }}
  - switch-wal
  - work: {{ transactions: 10 }}
  - switch-wal
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd ../backup/barman/drill/base/* && {done_to_it}'
  - disaster: lose-primary
{fault}  - recover
  - check: {checks}
"
    );
    let done = desk.drill_in(Cell::LOCAL, &text);
    done.ends_with(1);
    let found = findings(&desk.record());
    desk.assert_nothing_left();
    Some((found[0].0.clone(), found[0].2.clone()))
}

/// One byte in the middle of the largest file is another. Barman copies it without a word.
const BYTE: &str = "f=$(find data/base -type f -printf \"%s %p\\n\" | sort -n | tail -n 1 | cut -d \" \" -f 2) && \
                    printf Z | dd of=$f bs=1 seek=$(($(stat -c %s $f) / 2)) conv=notrunc";

#[rstest]
#[case::verify(BYTE, "", "{ verify: all }", &["MANIFEST_MISMATCH", "PAGE_CHECKSUM_FAILED"], "base/")]
#[case::manifest(BYTE, "", "{ manifest: all }", &["MANIFEST_MISMATCH"], "base/")]
#[case::files("rm -r data", "", "all", &["UNPACK_FAILED"], "barman recover ended with exit code 1: ")]
#[case::description("rm backup.info", "", "all", &["UNPACK_FAILED"], "Barman does not list ")]
#[case::segment("true", "  - fault: segment-missing\n", "all", &["WAL_GAP"], "")]
fn what_is_wrong_with_what_barman_keeps_disproves_it(
    #[case] done_to_it: &str,
    #[case] fault: &str,
    #[case] checks: &str,
    #[case] codes: &[&str],
    #[case] words: &str,
) {
    let Some((code, message)) = found(done_to_it, fault, checks) else { return };
    assert!(codes.contains(&code.as_str()), "{code}: {message}");
    assert!(message.contains(words), "{code}: {message}");
}

/// Whoever steps back reads what Barman keeps, and passes over what is damaged.
#[test]
fn the_last_good_of_several_backups_by_barman_is_taken() {
    if !has_programs(&["barman"]) {
        return;
    }
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 500 }}
steps:
  - backup: {{ tool: barman }}
  - work: {{ transactions: 100 }}
  - backup: {{ tool: barman }}
  - switch-wal
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd $(ls -d ../backup/barman/drill/base/* | tail -n 1) && {BYTE}'
  - disaster: lose-primary
  - recover: {{ from: last-good }}
"
    );
    desk.drill_in(Cell::LOCAL, &text).ends_with(1);
    let recovery = &desk.record()["recoveries"][0];
    assert_eq!(recovery["backups"], Value::from(vec!["backup-1"]), "{recovery}");
    assert_eq!(recovery["passed_over"][0]["backup"], "backup-2", "{recovery}");
}

/// `pg_basebackup` ends over it, and Barman with it: there is no backup, but why is known.
#[test]
fn a_damaged_page_of_the_source_is_more_than_a_failed_backup() {
    if !has_programs(&["barman"]) {
        return;
    }
    let desk = Desk::new();
    let text = "title: t
data: { orders: 500 }
steps:
  - fault: heap-page-damaged
  - backup: { tool: barman }
  - disaster: lose-primary
  - recover
  - check: all
";
    desk.drill_in(Cell::LOCAL, text).ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(
        (found[0].0.as_str(), found[1].0.as_str()),
        ("PAGE_CHECKSUM_FAILED", "BACKUP_FAILED"),
        "{found:?}"
    );
    assert!(found[0].2.starts_with("the primary has a damaged page: "), "{found:?}");
    assert!(found[1].2.contains("pg_basebackup: error: checksum error occurred"), "{found:?}");
}

/// The plain images have none: that says nothing of any backup.
#[test]
fn without_barman_nothing_is_said_of_a_backup() {
    let cell = Cell::docker(17);
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let text = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { tool: barman }\n  - disaster: lose-primary\n  - recover\n";
    let done = desk.drill_in(cell, text);
    done.ends_with(2);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "PROGRAM_MISSING", "{found:?}");
    assert!(found[0].2.contains("there is no program `barman`"), "{found:?}");
    assert!(done.stdout.contains("`ci/images/build --tools` builds such"), "{}", done.stdout);
    desk.assert_nothing_left();
}
