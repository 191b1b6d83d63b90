//! Recoveries whose backup pgdrill restores itself: what is wrong with a backup is known before a server starts, and where it
//! is good all of it is there.

use std::process::Command;

use rstest::rstest;

use crate::desk::{Desk, Done, findings};

/// A drill with a tablespace, whose backup is changed by `damage` before it is restored.
fn drill(backup: &str, damage: &str) -> String {
    format!(
        "title: t
data: {{ orders: 2_500 }}
tablespaces: {{ history: [AuditLog] }}
steps:
  - backup: {backup}
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; exec 2>/dev/null; B=../backup/backup-1; {damage}'
  - switch-wal
  - disaster: lose-primary
  - recover: {{ by: native }}
  - check: all
"
    )
}

#[rstest]
#[case::file_of_a_tar(
    "{ format: tar, compress: none }",
    "printf XXXX | dd of=$B/base.tar bs=1 seek=4000000 conv=notrunc",
    "MANIFEST_MISMATCH",
    "checksum mismatch for file"
)]
#[case::stream(
    "{ format: tar, compress: gzip }",
    "printf XXXX | dd of=$B/base.tar.gz bs=1 seek=40000 conv=notrunc",
    "UNPACK_FAILED",
    "base.tar.gz"
)]
#[case::tablespace(
    "{ format: tar, compress: gzip }",
    "rm $B/1*.tar.gz",
    "MANIFEST_MISMATCH",
    "is present in the manifest but not on disk"
)]
#[case::page(
    "{ format: plain, manifest: none }",
    "F=$(find $B/base/5 -size 16k | sort | head -n 1); printf XXXX | dd of=$F bs=1 seek=8500 conv=notrunc",
    "PAGE_CHECKSUM_FAILED",
    "block 1"
)]
#[case::wal(
    "{ format: plain }",
    "for f in $B/pg_wal/0*; do printf XXXX | dd of=$f bs=1 seek=60 conv=notrunc; done",
    "WAL_DAMAGED",
    "WAL parsing failed for timeline 1"
)]
fn a_damaged_backup_is_not_started(
    #[case] backup: &str,
    #[case] damage: &str,
    #[case] code: &str,
    #[case] words: &str,
) {
    let desk = Desk::new();
    let done = desk.drill(&drill(backup, damage), &[]);
    done.ends_with(1);
    let record = desk.record();
    let found = findings(&record);
    let wanted = found.iter().find(|finding| finding.0 == code);
    assert!(wanted.is_some_and(|finding| finding.2.contains(words)), "{found:?}");
    let recovery = &record["recoveries"][0];
    assert!(recovery["state"].is_null() && recovery["rto_us"].is_null(), "{recovery}");
}

#[rstest]
#[case::tar("{ format: tar, compress: gzip }")]
#[case::plain("{ format: plain }")]
fn what_was_verified_on_the_way_is_told(#[case] backup: &str) {
    let desk = Desk::new();
    let done = desk.drill(&drill(backup, "true"), &[]);
    done.ends_with(0);
    let record = desk.record();
    let recovery = &record["recoveries"][0];
    assert_eq!((&recovery["by"], &recovery["tablespaces"]), (&"native".into(), &1.into()));
    let verified = &recovery["verified"];
    for what in ["files", "bytes", "checksums", "pages", "wal_records"] {
        assert!(verified[what].as_u64() > Some(0), "{what}: {verified}");
    }
    assert!(done.stdout.contains("unpacked by pgdrill"), "{}", done.stdout);
    assert!(done.stdout.contains("verified on the way: "), "{}", done.stdout);
}

/// What writes into the workspace has stopped before that is removed.
#[test]
fn an_interrupted_restore_leaves_nothing() {
    let desk = Desk::new();
    let text = drill("{ format: tar, compress: none }", "true").replace("2_500", "100_000");
    let mut child = desk.start(&text);
    // create-cluster, load-data, backup, sql, switch-wal, capture, disaster, recover
    desk.wait_for_step(&mut child, 7);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    Done::of(&child.wait_with_output().unwrap()).ends_with(130);
    desk.assert_clean();
    assert_eq!(desk.record()["steps"][7]["status"], "interrupted");
}
