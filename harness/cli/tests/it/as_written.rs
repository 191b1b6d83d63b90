//! The steps of the runbook: as they were written each does its harm, and its corrected commands leave what they must.

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings, shipped};

/// What a drill of one step left.
fn drill(cell: Cell, id: &str) -> Option<Value> {
    if !cell.is_there() {
        return None;
    }
    if id.ends_with("copy-of-another-owner") && !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: only root makes files of root");
        return None;
    }
    if id.ends_with("no-room-for-the-copy") && !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: only root can make a small disk");
        return None;
    }
    let desk = Desk::new();
    desk.drill_in(cell, &shipped(&format!("runbook/as-written/{id}"))).ends_with(0);
    Some(desk.record())
}

/// The exit codes of the commands of the step itself.
fn codes(step: &Value) -> Vec<Option<i64>> {
    let commands = step["commands"].as_array().unwrap().iter();
    commands
        .filter(|command| command["of_the_step"] == true)
        .map(|command| command["code"].as_i64())
        .collect()
}

#[rstest]
#[case("backup-of-the-stopped", &[0, 0, 1, 1], "there is no cluster in the data directory")]
#[case("no-room-for-the-copy", &[1, 0], "the safety copy holds ")]
#[case("copy-of-another-owner", &[0], "which belongs to the account 0")]
#[case("tar-where-a-cluster-should-be", &[0, 0, 1], "base.tar.gz")]
#[case("pauses-at-the-target", &[0, 0, 0], "paused at its target, and takes no write")]
#[case("target-without-zone", &[0, 0, 1], "before configured recovery target was reached")]
#[case("archive-one-directory-too-high", &[0, 0, 1], "beside it lie PG_VERSION")]
#[case("backup-of-today", &[0, 2, 1], "there is no cluster in the data directory")]
#[case("counts-in-another-database", &[1, 1, 1], "3 of 3 commands that verify it fail")]
#[case("checks-that-cannot-fail", &[0, 0], "2 of 2 commands end with exit code 0")]
#[case("copy-of-another-second", &[0, 1, 1], "there is no cluster in the data directory")]
#[case("copy-into-the-directory", &[0, 0, 1], "it holds data.backup.")]
fn a_step_does_its_harm(
    #[values(Cell::LOCAL)] cell: Cell,
    #[case] name: &str,
    #[case] exits: &[i64],
    #[case] words: &str,
) {
    let Some(record) = drill(cell, name) else { return };
    harmed(&record, exits, words);
}

#[rstest]
#[case("pauses-at-the-target", &[0, 0, 0], "paused at its target, and takes no write")]
#[case("copy-into-the-directory", &[0, 0, 1], "it holds data.backup.")]
fn a_step_does_its_harm_in_a_container(#[case] name: &str, #[case] exits: &[i64], #[case] words: &str) {
    let Some(record) = drill(Cell::docker(17), name) else { return };
    harmed(&record, exits, words);
}

fn harmed(record: &Value, exits: &[i64], words: &str) {
    let step = &record["as_written"][0];
    assert_eq!(step["corrected"], false);
    let exits: Vec<Option<i64>> = exits.iter().copied().map(Some).collect();
    assert_eq!(codes(step), exits, "{step:#}");
    let found = findings(record);
    let harm = found.iter().find(|(code, _, _)| code == "RUNBOOK_HARMS").unwrap();
    assert!(harm.2.contains(words), "{harm:?}\n{step:#}");
    // The drill's own recovery, of the same loss, is a good one.
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[rstest]
fn corrected_commands_leave_what_they_must(
    #[values(Cell::LOCAL)] cell: Cell,
    #[values(
        "backup-of-the-stopped",
        "no-room-for-the-copy",
        "copy-of-another-owner",
        "tar-where-a-cluster-should-be",
        "pauses-at-the-target",
        "target-without-zone",
        "archive-one-directory-too-high",
        "backup-of-today",
        "counts-in-another-database",
        "checks-that-cannot-fail",
        "copy-of-another-second",
        "copy-into-the-directory"
    )]
    name: &str,
) {
    let Some(record) = drill(cell, &format!("corrected/{name}")) else { return };
    held(&record, name);
}

#[rstest]
fn corrected_commands_leave_what_they_must_in_a_container(
    #[values("backup-of-today", "pauses-at-the-target", "tar-where-a-cluster-should-be")] name: &str,
) {
    let Some(record) = drill(Cell::docker(17), &format!("corrected/{name}")) else { return };
    held(&record, name);
}

fn held(record: &Value, name: &str) {
    assert_eq!(findings(record), [], "{record:#}");
    let step = &record["as_written"][0];
    let found = &step["found"];
    match name {
        // What must be refused is refused, and the restore behind it erases nothing.
        "no-room-for-the-copy" => {
            assert!(codes(step).contains(&Some(1)) && codes(step).contains(&None), "{step:#}");
            assert!(found["files"].as_u64() >= found["files_before"].as_u64(), "{found}");
        }
        "checks-that-cannot-fail" => {
            let asked = found["asked"].as_array().unwrap();
            assert_eq!(asked.len(), 4, "{found}");
            return;
        }
        _ => {
            let commands = step["commands"].as_array().unwrap();
            assert!(commands.iter().all(|command| command["code"] == 0), "{step:#}");
        }
    }
    assert_eq!((&found["writes"], &found["differences"]), (&true.into(), &0.into()));
    assert!(found["tables"].as_u64().unwrap() >= 5, "{found}");
}

/// A step that does no harm is not proven by the expectation that it does.
#[test]
fn an_expected_harm_that_does_not_come_disproves() {
    let desk = Desk::new();
    let text = shipped("runbook/as-written/copy-of-another-second");
    let text = text.replace(
        "as-written: copy-of-another-second",
        "as-written: { is: copy-of-another-second, corrected: on }",
    );
    desk.drill(&text, &[]).ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "EXPECTATION_MISSED", "{found:#?}");
}

/// Corrected commands that cannot leave what they must, because the archive lacks it, are told.
#[test]
fn corrected_commands_that_do_not_hold_what_was_captured_disprove() {
    let desk = Desk::new();
    let text = shipped("runbook/as-written/corrected/backup-of-today");
    // What is committed after the last segment that was archived is lost to whoever has only the archive.
    let text = text.replace("  - switch-wal\n", "  - switch-wal\n  - sql: DELETE FROM \"Position\"\n");
    desk.drill(&text, &[]).ends_with(1);
    let found = findings(&desk.record());
    let harm = found.iter().find(|(code, _, _)| code == "RUNBOOK_HARMS").unwrap();
    assert!(harm.2.contains("does not hold what was captured"), "{found:#?}");
}
