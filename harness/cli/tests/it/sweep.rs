//! Sweeps over recovery points: all of them proven on a sound archive, and each trouble noticed where it is.

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings};

/// Writers at work in three shifts, each in WAL segments of its own; `trouble` befalls what is stored by then.
fn drill(backup: &str, trouble: &str, sweep: &str) -> String {
    format!(
        "title: many recovery points
data: {{ orders: 2_500 }}
cluster: {{ wal-segment-size: 1MB, checksums: off }}
settings: {{ autovacuum: off }}
steps:
  - backup: {backup}
  - work: {{ writers: 3, transactions: 400 }}
  - switch-wal
  - work: {{ writers: 3, transactions: 400 }}
  - switch-wal
{trouble}
  - work: {{ writers: 3, transactions: 300 }}
  - switch-wal
  - disaster: lose-primary
  - sweep: {sweep}
"
    )
}

/// What a shell does to the files of the drill, from within the primary's data directory.
fn shell(script: &str) -> String {
    format!("  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; {script}'")
}

fn count(sweep: &Value, name: &str) -> u64 {
    sweep[name].as_u64().unwrap_or_else(|| panic!("{name} in {sweep}"))
}

#[rstest]
#[case::here(Cell::LOCAL)]
#[case::docker_13(Cell::docker(13))]
#[case::docker_17(Cell::docker(17))]
#[case::docker_18(Cell::docker(18))]
fn every_recovery_point_of_a_sound_archive_is_proven(#[case] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let done = desk.drill_in(cell, &drill("{ format: plain }", "", "{ targets: 24 }"));
    done.ends_with(0);
    let record = desk.record();
    assert_eq!(findings(&record), []);
    let sweep = &record["sweeps"][0];
    assert_eq!((count(sweep, "targets"), count(sweep, "proven")), (24, 24));
    assert_eq!((count(sweep, "repeated"), count(sweep, "agreed")), (3, 3));
    assert!(count(sweep, "segments") >= 3, "{sweep}");
    assert_eq!(count(sweep, "fingerprinted"), 24);
    // Everything that the writers were told is there at the last of them.
    let acknowledged: u64 =
        record["work"].as_array().unwrap().iter().map(|work| count(work, "acknowledged")).sum();
    assert_eq!(count(sweep, "transactions"), acknowledged);
    assert!(done.stdout.contains("24 of 24 recovery points"), "{}", done.stdout);
}

#[test]
fn the_backup_may_be_taken_among_writers_and_be_one_of_a_chain() {
    if !Cell::docker(17).is_there() {
        return;
    }
    let desk = Desk::new();
    let text = "title: a chain
data: { orders: 1_000 }
steps:
  - work: { writers: 2, behind: on }
  - backup
  - work: stop
  - backup: { incremental: on }
  - work: { writers: 3, transactions: 300 }
  - switch-wal
  - disaster: kill
  - sweep: { targets: 12 }
  - recover
  - check: { ledger: {} }
";
    desk.drill_in(Cell::docker(17), text).ends_with(0);
    let record = desk.record();
    assert_eq!(count(&record["sweeps"][0], "proven"), 12);
    assert_eq!(count(&record["sweeps"][0], "agreed"), 3);
    // What the sweep recovered is not the drill's own recovery.
    assert_eq!(record["recoveries"].as_array().unwrap().len(), 1);
}

#[test]
fn the_points_may_lie_on_two_timelines() {
    let desk = Desk::new();
    let text = "title: along a new timeline
data: { orders: 1_000 }
steps:
  - backup
  - work: { writers: 3, transactions: 300 }
  - mark: there
  - work: { writers: 3, transactions: 300 }
  - switch-wal
  - disaster: lose-primary
  - recover: { to: there }
  - check: { ledger: all }
  - work: { writers: 3, transactions: 300 }
  - switch-wal
  - disaster: lose-primary
  - sweep: { targets: 16 }
";
    desk.drill(text, &[]).ends_with(0);
    let record = desk.record();
    let sweep = &record["sweeps"][0];
    assert_eq!((count(sweep, "proven"), count(sweep, "agreed")), (16, 3));
    // What was given up with the first timeline is at none of them.
    let work = record["work"].as_array().unwrap();
    let acknowledged = |number: usize| count(&work[number], "acknowledged");
    assert_eq!(count(sweep, "transactions"), acknowledged(0) + acknowledged(2));
}

#[test]
fn a_hole_in_the_archive_is_named_and_what_lies_beyond_it_is_not_proven() {
    let desk = Desk::new();
    let hole = shell("cd ../archive && ls 0*[0-9A-F] | tail -n 2 | head -n 1 | xargs rm");
    let done = desk.drill(&drill("{ format: plain }", &hole, "{ targets: 20 }"), &[]);
    done.ends_with(1);
    let record = desk.record();
    let sweep = &record["sweeps"][0];
    let (targets, proven, beyond) = (count(sweep, "targets"), count(sweep, "proven"), count(sweep, "beyond"));
    assert_eq!(targets, 20);
    assert!(proven > 0 && beyond > 0 && proven + beyond == targets, "{sweep}");
    // Those that are before the hole are proven, by real recoveries too.
    assert_eq!((count(sweep, "repeated"), count(sweep, "agreed")), (3, 3));
    let found = findings(&record);
    assert!(
        found.iter().any(|(code, _, message)| code == "WAL_GAP"
            && message.contains("segment 00000001")
            && message.contains(&format!("{beyond} of 20 recovery points lie beyond"))),
        "{found:#?}"
    );
}

#[test]
fn a_flipped_byte_in_the_archive_ends_the_sweep_where_it_is() {
    let desk = Desk::new();
    let flip = shell(
        "cd ../archive && printf XXXX | dd of=\"$(ls 0*[0-9A-F] | tail -n 2 | head -n 1)\" bs=1 seek=20000 conv=notrunc status=none",
    );
    let done = desk.drill(&drill("{ format: plain }", &flip, "{ targets: 20 }"), &[]);
    done.ends_with(1);
    let record = desk.record();
    let found = findings(&record);
    assert!(found.iter().any(|(code, ..)| code == "WAL_DAMAGED"), "{found:#?}");
    let sweep = &record["sweeps"][0];
    assert!(count(sweep, "proven") < 20 && count(sweep, "beyond") > 0, "{sweep}");
}

/// Every count is right, and replay goes well: only who reads the rows sees it.
#[test]
fn a_value_that_is_another_in_the_backup_makes_every_recovery_point_wrong() {
    let desk = Desk::new();
    let change = "  - sql: |
      DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', format(
        'cat >/dev/null; sed -i \"0,/ORDER_PLACED/s//ORDER_PLACEX/\" ../backup/backup-1/%s',
        pg_relation_filepath('\"AuditLog\"'))); END $$";
    let done = desk.drill(&drill("{ format: plain }", change, "{ targets: 20 }"), &[]);
    done.ends_with(1);
    let record = desk.record();
    let found = findings(&record);
    let wrong: Vec<_> = found.iter().filter(|(code, ..)| code == "RECOVERY_POINT_WRONG").collect();
    // The first is named, the others are counted.
    assert_eq!(wrong.len(), 1, "{found:#?}");
    let message = &wrong[0].2;
    assert!(message.starts_with("recovery point 1 of 20, "), "{message}");
    assert!(message.contains("\"AuditLog\"") && message.contains("more of them are wrong"), "{message}");
    assert_eq!(count(&record["sweeps"][0], "agreed"), 0);
}

#[test]
fn sql_that_no_ledger_tells_leaves_a_stretch_without_targets() {
    let desk = Desk::new();
    let change = "  - sql: UPDATE \"Order\" SET \"fee\" = \"fee\" + 0.01";
    desk.drill(&drill("{ format: plain }", change, "{ targets: 16 }"), &[]).ends_with(0);
    let record = desk.record();
    let sweep = &record["sweeps"][0];
    assert_eq!((count(sweep, "targets"), count(sweep, "proven")), (16, 16));
    assert!(count(sweep, "left_out_bytes") > 100_000, "{sweep}");
}

/// A server that replays the WAL of a larger one must be as large, and the backup knows only how large that was then.
#[test]
fn limits_that_grow_on_the_way_stop_nothing() {
    let desk = Desk::new();
    let grow = "  - sql: ALTER SYSTEM SET max_connections = 250\n  - crash";
    desk.drill(&drill("{ format: plain }", grow, "{ targets: 16, within: 2m }"), &[]).ends_with(0);
    let sweep = &desk.record()["sweeps"][0];
    assert_eq!((count(sweep, "proven"), count(sweep, "agreed")), (16, 3));
}

#[test]
fn a_sweep_that_finds_nothing_to_look_at_proves_nothing() {
    let desk = Desk::new();
    let text = "title: t
data: { orders: 100 }
settings: { autovacuum: off }
steps:
  - backup: { format: plain }
  - sql: UPDATE \"Order\" SET \"fee\" = 1
  - sql: UPDATE \"Order\" SET \"fee\" = 2
  - disaster: lose-primary
  - sweep: { targets: 5 }
";
    desk.drill(text, &[]).ends_with(2);
    assert_ne!(desk.record()["verdict"], "proven");
}
