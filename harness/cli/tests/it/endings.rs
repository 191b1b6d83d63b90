//! Drills that do not come to their own end: killed or interrupted at each step. Nothing is left, and a record says
//! what happened.

use std::process::Command;
use std::time::Duration;

use rstest::rstest;

use crate::desk::{Cell, Desk, Done, findings, wait_until};

const DRILL: &str = "title: a drill that is not left in peace
data: { orders: 20_000 }
steps:
  - backup: { format: tar, compress: gzip }
  - sql: SELECT pg_sleep(1)
  - switch-wal
  - disaster: lose-primary
  - recover: { by: tar }
  - check: all
";

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Steps of the plan: create-cluster, load-data, backup, sql, switch-wal, capture, disaster, recover, check.
#[rstest]
fn killed_at_each_step_nothing_is_left(
    #[values(Cell::LOCAL, Cell::docker(17))] cell: Cell,
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8)] step: usize,
) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let mut child = desk.start_in(cell, DRILL);
    desk.wait_for_step(&mut child, step);
    signal(child.id(), "KILL");
    child.wait().unwrap();
    desk.assert_nothing_left();
    // The next command seals what the journal holds.
    let clean = desk.pgdrill(&["clean"]);
    clean.ends_with(0);
    assert!(clean.stdout.contains("sealed the record of a dead drill"), "{}", clean.stdout);
    desk.assert_clean();
    let record = desk.record();
    assert_eq!(record["verdict"], "unverified");
    assert!(findings(&record).iter().any(|(code, _, _)| code == "RUN_DIED"));
    // A short step may have ended before the signal came; one that sleeps has not.
    let status = record["steps"][step]["status"].as_str().unwrap();
    assert!(status == "interrupted" || (status == "done" && step != 3), "{status}");
    let all = record["steps"].as_array().unwrap();
    assert!(all.iter().any(|step| step["status"] != "done"), "the drill was killed, and all is done");
}

#[rstest]
fn interrupted_it_tears_down_and_seals(#[values("INT", "TERM")] name: &str, #[values(1, 7)] step: usize) {
    let desk = Desk::new();
    let mut child = desk.start(DRILL);
    desk.wait_for_step(&mut child, step);
    signal(child.id(), name);
    let done = Done::of(&child.wait_with_output().unwrap());
    done.ends_with(130);
    desk.assert_clean();
    let record = desk.record();
    assert_eq!((&record["verdict"], &record["interrupted"]), (&"unverified".into(), &true.into()));
    assert_eq!(record["steps"][step]["status"], "interrupted");
    assert!(record["teardown"].is_object());
}

#[test]
fn interrupted_twice_it_leaves_at_once_and_nothing_is_left_all_the_same() {
    let desk = Desk::new();
    let mut child = desk.start(DRILL);
    desk.wait_for_step(&mut child, 3);
    signal(child.id(), "INT");
    signal(child.id(), "INT");
    let mut status = None;
    wait_until("pgdrill to end", Duration::from_secs(20), || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(130));
    desk.assert_nothing_left();
    desk.pgdrill(&["clean"]).ends_with(0);
    desk.assert_clean();
}

/// Failure is every verdict but proven: damage that a check found, and an objective that was missed.
#[rstest]
#[case::a_check_failed("  - sql: DELETE FROM \"AuditLog\"\n", "")]
#[case::the_objective_was_missed("", "objectives: { rto: 1ms }\n")]
fn a_kept_workspace_stays_until_it_is_cleaned(#[case] sql: &str, #[case] objective: &str) {
    let desk = Desk::new();
    let steps = "steps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n";
    let text = format!("title: t\ndata: {{ orders: 10 }}\n{steps}{sql}  - check: all\n{objective}");
    let scenario = desk.scenario(&text);
    desk.pgdrill(&["run", scenario.to_str().unwrap(), "--keep", "on-failure"]).ends_with(1);
    let kept = desk.record()["teardown"]["kept"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&kept).join("log/restored.log").exists());
    // Another run sweeps what is dead, and leaves this alone.
    desk.pgdrill(&["run", scenario.to_str().unwrap(), "--postgres", "99"]).ends_with(2);
    assert!(std::path::Path::new(&kept).exists());
    desk.pgdrill(&["clean"]).ends_with(0);
    desk.assert_clean();
}

/// A killed server cannot remove its shared memory, and nobody starts on its files again: the drill must do it.
#[test]
fn a_killed_primary_leaves_no_shared_memory() {
    let desk = Desk::new();
    let text = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n  - check: all\n";
    let scenario = desk.scenario(text);
    desk.pgdrill(&["run", scenario.to_str().unwrap(), "--keep", "always"]).ends_with(0);
    let kept = std::path::PathBuf::from(desk.record()["teardown"]["kept"].as_str().unwrap());
    let pid_file = std::fs::read_to_string(kept.join("primary/postmaster.pid")).unwrap();
    let id = pid_file.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let list = Command::new("ipcs").arg("-m").output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(!list.lines().any(|line| line.split_whitespace().nth(1) == Some(id.as_str())), "{id}: {list}");
    let settings = std::fs::read_to_string(kept.join("conf/primary.conf")).unwrap();
    assert!(settings.contains("dynamic_shared_memory_type = mmap"), "{settings}");
    desk.pgdrill(&["clean"]).ends_with(0);
    desk.assert_clean();
}

/// A recovered server that goes away in the middle of the checks: those that ended keep what they found, each other
/// check did not run, and the drill is not green. The checks are held up by a prepared transaction that has locked a
/// table, so that the server is there for as long as the test needs it.
#[test]
fn a_server_that_dies_while_it_is_checked_proves_nothing() {
    let desk = Desk::new();
    let mut child = desk.start(
        "title: t
data: { orders: 10 }
settings: { max_prepared_transactions: 5 }
steps:
  - backup: { format: plain }
  - disaster: kill
  - recover
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; touch ../archive/000000010000000000000099'
  - sql: BEGIN; LOCK TABLE \"AuditLog\"; PREPARE TRANSACTION 'nobody'
  - check
",
    );
    let journal = |words: &str| {
        let holds =
            |path: &std::path::PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains(words));
        desk.files("journal").iter().any(holds)
    };
    wait_until("two checks to end", Duration::from_secs(120), || {
        assert!(child.try_wait().unwrap().is_none(), "pgdrill ended before the server was killed");
        ["archive-untouched", "manifest"]
            .iter()
            .all(|name| journal(&format!("{{\"check\":{{\"check\":\"{name}\"")))
    });
    let run = std::fs::read_dir(desk.path("w"))
        .unwrap()
        .flatten()
        .find(|entry| entry.path().join("restored").is_dir());
    let pid_file = std::fs::read_to_string(run.unwrap().path().join("restored/postmaster.pid")).unwrap();
    signal(pid_file.lines().next().unwrap().parse().unwrap(), "KILL");
    let done = Done::of(&child.wait_with_output().unwrap());
    // What was found before counts: the archive was changed.
    done.ends_with(1);
    desk.assert_clean();
    let record = desk.record();
    let found = findings(&record);
    let codes: Vec<&str> = found.iter().map(|(code, _, _)| code.as_str()).collect();
    assert!(codes.contains(&"ARCHIVE_CHANGED") && codes.contains(&"SERVER_LOST"), "{found:#?}");
    assert!(
        codes.iter().all(|code| ["ARCHIVE_CHANGED", "SERVER_LOST", "CHECK_NOT_RUN"].contains(code)),
        "{found:#?}"
    );
    let checks = record["checks"].as_array().unwrap();
    let status = |name: &str| checks.iter().find(|check| check["check"] == name).unwrap()["status"].clone();
    assert_eq!((status("archive-untouched"), status("manifest")), ("failed".into(), "held".into()));
    for name in ["row-counts", "fingerprints", "read-all", "catalog", "conservation", "amcheck", "server-log"]
    {
        assert_eq!(status(name), "not-run", "{name}");
        assert!(
            found.iter().any(|(code, by, _)| code == "CHECK_NOT_RUN" && by == name),
            "{name}: {found:#?}"
        );
    }
}
