//! Backups by the low-level API: what is in the copy, what the record says of it, on the oldest and a newer major in containers
//! as well, and what is said when it lacks what makes a backup of it.

use std::fs;

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings};

fn proven(cell: Cell, text: &str) -> Option<Value> {
    if !cell.is_there() {
        return None;
    }
    let desk = Desk::new();
    let done = desk.drill_in(cell, text);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!((findings(&record), record["verdict"].as_str()), (vec![], Some("proven")));
    desk.assert_nothing_left();
    Some(record)
}

#[rstest]
fn low_level_backups_are_proven_on_other_majors(
    #[values("snapshot", "copy", "standby")] which: &str,
    #[values(13, 17)] major: u16,
) {
    let path = format!("{}/../../scenarios/restore/low-level-{which}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap().replace("20_000", "2_000");
    let Some(record) = proven(Cell::docker(major), &text) else { return };
    let backup = &record["backups"][0];
    let snapshot = which == "snapshot";
    assert_eq!(backup["copied"]["snapshot"], snapshot, "{backup}");
    assert_eq!(backup["copied"]["paused_us"].as_u64() > Some(0), snapshot, "{backup}");
    assert_eq!(backup["from"], if which == "standby" { "standby" } else { "primary" });
}

/// The server looks into the copy itself: its own lock file and the content of directories that are made anew are not there,
/// the directories are; and the label is what a server reads.
const LOOK: &str = "cd ../backup/backup-1 && test -d pg_wal && test -d pg_replslot && test -d pg_notify && \
                    test -z \"$(find pg_wal pg_replslot pg_subtrans -mindepth 1)\" && test ! -e postmaster.pid && \
                    test ! -e postmaster.opts && test ! -e backup_manifest && grep -q backup-1 backup_label && \
                    grep -q tablespaces/primary/history tablespace_map && test -e pg_tblspc/*/PG_*";

#[test]
fn the_copy_and_the_record_are_as_the_documentation_wants_them() {
    let text = format!(
        "title: t
data: {{ orders: 500 }}
tablespaces: {{ history: [AuditLog] }}
steps:
  - backup: {{ tool: low-level, snapshot: on }}
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; {LOOK}'
  - work: {{ transactions: 100 }}
  - switch-wal
  - disaster: lose-primary
  - recover
"
    );
    let record = proven(Cell::LOCAL, &text).unwrap();
    let backup = &record["backups"][0];
    let says = |key: &str| backup[key].as_str().unwrap_or("-").to_owned();
    assert_eq!(
        ["tool", "format", "compress", "wal", "manifest_checksums", "manifest_sha256"].map(says),
        ["low-level", "plain", "none", "none", "", ""]
    );
    assert_eq!((&backup["tablespaces"], &backup["copied"]["went_away"]), (&Value::from(1), &Value::from(0)));
    assert!(backup["files"].as_u64() > Some(1000) && backup["content_bytes"].as_u64() > Some(1 << 20));
    let checks: Vec<&str> =
        record["checks"].as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert!(checks.contains(&"verify") && !checks.contains(&"manifest"), "{checks:?}");
    assert!(
        record["reason"].as_str().unwrap().starts_with("every check that can be made without a manifest")
    );
    assert!(record.to_string().contains("whether they are what they were: it has no manifest"), "{record}");
}

/// A drill in which something happens between the disaster and the recovery, or to the recovered server, and what it finds.
fn found(above: &str, below: &str, checks: &str) -> Vec<(String, String, String)> {
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 2_500 }}
steps:
  - backup: {{ tool: low-level }}
  - work: {{ transactions: 100 }}
  - switch-wal
  - work: {{ transactions: 100 }}
  - switch-wal
  - work: {{ transactions: 10 }}
  - switch-wal
  - disaster: lose-primary
{above}  - recover
{below}  - check: {checks}
"
    );
    desk.drill_in(Cell::LOCAL, &text).ends_with(1);
    let found = findings(&desk.record());
    desk.assert_nothing_left();
    found
}

#[rstest]
#[case::label("  - fault: backup-label-missing\n", "", "all", "RECOVERY_FAILED")]
#[case::segment("  - fault: segment-missing\n", "", "all", "WAL_GAP")]
#[case::directory("  - fault: directory-missing\n", "", "all", "RECOVERY_FAILED")]
#[case::row("", "  - fault: row-deleted\n", "all", "ROW_COUNT_MISMATCH")]
#[case::page("  - fault: heap-bit-flip\n", "", "{ verify: all }", "PAGE_CHECKSUM_FAILED")]
fn what_is_wrong_with_a_low_level_backup_disproves_it(
    #[case] above: &str,
    #[case] below: &str,
    #[case] checks: &str,
    #[case] code: &str,
) {
    let found = found(above, below, checks);
    assert!(found.iter().any(|(found, _, _)| found == code), "{found:?}");
}

/// Without the WAL that makes its torn pages whole no such backup is good, although a server would start on it.
#[test]
fn a_low_level_backup_without_its_wal_is_not_recovered() {
    let desk = Desk::new();
    let text = "title: t
data: { orders: 500 }
steps:
  - work: { writers: 2, behind: on }
  - backup: { tool: low-level }
  - work: stop
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd ../archive && rm $(ls | grep -v [.] | tail -n 1)'
  - switch-wal
  - disaster: lose-primary
  - recover
";
    desk.drill_in(Cell::LOCAL, text).ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "TARGET_BEYOND_ARCHIVE", "{found:?}");
}

/// Whoever steps back reads each without a manifest, too.
#[test]
fn the_last_good_of_several_low_level_backups_is_taken() {
    let desk = Desk::new();
    let text = "title: t
data: { orders: 2_500 }
steps:
  - backup: { tool: low-level }
  - work: { transactions: 100 }
  - backup: { tool: low-level, snapshot: on }
  - switch-wal
  - disaster: lose-primary
  - fault: heap-bit-flip
  - recover: { from: last-good }
";
    desk.drill_in(Cell::LOCAL, text).ends_with(1);
    let record = desk.record();
    assert_eq!(findings(&record)[0].0, "PAGE_CHECKSUM_FAILED");
    assert_eq!(record["recoveries"][0]["backups"], Value::from(vec!["backup-1"]));
    let passed_over = &record["recoveries"][0]["passed_over"];
    assert_eq!(passed_over[0]["backup"], "backup-2", "{passed_over}");
}
