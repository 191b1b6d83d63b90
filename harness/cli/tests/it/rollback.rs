//! The safety copy and the way back to it: every scenario below `scenarios/runbook/rollback`, a copy for which there is no
//! room, and one that is not what it was.

use std::fs::{self, File};

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings, shipped};

#[rstest]
fn the_server_comes_back_on_its_safety_copy(
    #[values(Cell::LOCAL, Cell::docker(17))] cell: Cell,
    #[values("recovery-fails", "recovery-not-kept", "after-an-accident")] name: &str,
) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    desk.drill_in(cell, &shipped(&format!("runbook/rollback/{name}"))).ends_with(0);
    let record = desk.record();
    let (copy, rollback) = (&record["safety_copies"][0], &record["rollback"]);
    assert_eq!(copy["sha256"], rollback["sha256"]);
    assert!(copy["files"].as_u64().unwrap() > 900, "{copy}");
    assert!(rollback["started_us"].as_u64().unwrap() > 0, "{rollback}");
    // After an accident nobody knows what was there when the server was stopped.
    let compared = rollback["tables"].as_u64();
    assert_eq!(compared, (name != "after-an-accident").then_some(8), "{rollback}");
    let status = |step: &str| -> Vec<&Value> {
        let steps = record["steps"].as_array().unwrap().iter();
        steps.filter(|of| of["name"] == step).map(|of| &of["status"]).collect()
    };
    assert_eq!(status("rollback"), ["done"]);
    assert_eq!(status("recover"), [if name == "recovery-fails" { "failed" } else { "done" }]);
}

/// A rollback that fails is no part of what an expected trouble explains.
#[rstest]
#[case::after_a_good_recovery("- recover", "", "ROLLBACK_FAILED")]
#[case::after_an_expected_trouble(
    "- fault: archive-not-mounted\n  - recover",
    "expect: { verdict: disproven, finding: TARGET_BEYOND_ARCHIVE }\n",
    "EXPECTATION_MISSED"
)]
fn a_server_that_does_not_come_back_disproves(
    #[case] recover: &str,
    #[case] expect: &str,
    #[case] code: &str,
) {
    let desk = Desk::new();
    // What is read when a server starts, and not before.
    let text = format!(
        "title: t\ndata: {{ orders: 500 }}\nsteps:\n  - backup\n  - sql: ALTER SYSTEM SET shared_preload_libraries = 'not_there'\n  \
         - switch-wal\n  - disaster: kill\n  - safety-copy\n  {recover}\n  - rollback: {{ within: 20s }}\n{expect}"
    );
    desk.drill(&text, &[]).ends_with(1);
    let found = findings(&desk.record());
    let failed = found.iter().find(|(code, _, _)| code == "ROLLBACK_FAILED").unwrap();
    assert!(failed.2.contains("does not start") && failed.2.contains("not_there"), "{failed:?}");
    assert!(found.iter().any(|(found, _, _)| found == code), "{found:#?}");
}

/// Somebody damages the copy while the drill goes on: it is told that it is not what it was, and so is what the server lacks.
#[test]
fn a_copy_that_was_damaged_meanwhile_is_told() {
    let desk = Desk::new();
    let text = "title: t\ndata: { orders: 5_000 }\nsteps:\n  - backup\n  - switch-wal\n  - disaster: kill\n  - safety-copy\n  - recover\n  \
                - sql: SELECT pg_sleep(8)\n  - rollback\n";
    let mut child = desk.start(text);
    // The cluster, its data, the steps above, and the capture before the disaster.
    desk.wait_for_step(&mut child, 8);
    let base = desk.workspace().unwrap().join("safety-copy/data/base");
    let files =
        fs::read_dir(base).unwrap().flat_map(|database| fs::read_dir(database.unwrap().path()).unwrap());
    let sizes = files.map(|file| file.unwrap()).map(|file| (file.metadata().unwrap().len(), file.path()));
    let (size, largest) = sizes.max().unwrap();
    File::options().write(true).open(largest).unwrap().set_len(size / 2 / 8192 * 8192).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let found = findings(&desk.record());
    let of_the_rollback: Vec<&str> = found
        .iter()
        .filter(|(code, _, _)| code == "ROLLBACK_FAILED")
        .map(|(_, _, said)| said.as_str())
        .collect();
    assert!(of_the_rollback.iter().any(|said| said.contains("is not what was put aside")), "{found:#?}");
    assert!(of_the_rollback.iter().any(|said| said.contains("on the primary: ")), "{found:#?}");
}

#[test]
fn a_copy_for_which_there_is_no_room_is_refused_before_anything_is_erased() {
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: only root can make a small disk");
        return;
    }
    let desk = Desk::new();
    let small = desk.path("w");
    fs::create_dir(&small).unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
    };
    let path = small.to_str().unwrap().to_owned();
    mount("mount", &["-t", "tmpfs", "-o", "size=700m,mode=711", "pgdrill", &path]);
    let text = "title: t\ndata: { orders: 500 }\nsteps:\n  - backup\n  - sql: CREATE TABLE large AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 125000)\n  \
                - sql: CHECKPOINT\n  - switch-wal\n  - disaster: kill\n  - safety-copy\n  - recover\n";
    let done = desk.drill(text, &[]);
    mount("umount", &[&path]);
    done.ends_with(2);
    let found = findings(&desk.record());
    let full = found.iter().find(|(code, _, _)| code == "DISK_FULL").unwrap();
    assert!(full.2.contains("nothing was copied, and nothing erased"), "{full:?}");
}

/// A number of a process means nothing in another container: there, somebody else has that of the killed postmaster.
#[test]
fn the_lock_file_of_a_postmaster_that_is_gone_keeps_nobody_from_a_start() {
    let cell = Cell::docker(17);
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    // The first process of every container is of the server's account, and lives.
    let text = "title: t
data: { orders: 10 }
steps:
  - backup
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; sed -i 1s/.*/1/ postmaster.pid ../socket/primary/.s.PGSQL.5432.lock'
  - disaster: kill
  - safety-copy
  - recover
  - rollback
";
    desk.drill_in(cell, text).ends_with(0);
    assert!(desk.record()["rollback"]["started_us"].is_u64());
}
