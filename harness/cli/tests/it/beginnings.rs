//! Beginnings: of drills that damage what each would make alike, the first makes it and the others go on from a copy.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, wait_until};

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(60);

const BEGINNING: &str = "title: t
data: { orders: 300 }
cluster: { wal-segment-size: 1MB }
steps:
  - backup: { format: plain }
  - work: { writers: 2, transactions: 40 }
  - switch-wal
  - work: { writers: 2, transactions: 40 }
  - switch-wal
  - disaster: lose-primary
";

/// What each does then, and how it ends. The last lets writers go on with the ledger that it was given, and is judged by it.
const DRILLS: [(&str, &str); 3] = [
    (
        "1-gap",
        "  - fault: segment-missing\n  - recover\n  - check: all\nexpect: { verdict: disproven, finding: WAL_GAP }\n",
    ),
    (
        "2-row",
        "  - recover\n  - fault: row-deleted\n  - check: all\nexpect: { verdict: disproven, finding: ROW_COUNT_MISMATCH }\n",
    ),
    (
        "3-goes-on",
        "  - fault: auto-conf-edited\n  - recover\n  - work: { writers: 2, transactions: 40 }\n  - switch-wal\n  \
         - disaster: lose-primary\n  - recover\n  - check: all\n",
    ),
];

/// Writes the drills; a comment first, so that the same is said in other lines.
fn write(desk: &Desk) {
    fs::create_dir(desk.path("drills")).unwrap();
    for (number, (name, then)) in DRILLS.iter().enumerate() {
        let text = format!("{}{BEGINNING}{then}", "# Another line.\n".repeat(number));
        fs::write(desk.path(&format!("drills/{name}.yaml")), text).unwrap();
    }
}

/// Runs the drills, each of which must be proven; gives their records.
fn runs(desk: &Desk, args: &[&str]) -> Vec<Value> {
    let all: Vec<&str> =
        ["run", "drills", "--json", "runs.json"].into_iter().chain(args.iter().copied()).collect();
    let done = desk.pgdrill(&all);
    done.ends_with(0);
    desk.assert_clean();
    let object: Value = serde_json::from_slice(&fs::read(desk.path("runs.json")).unwrap()).unwrap();
    object["runs"].as_array().unwrap().clone()
}

/// What happened in the first steps of a run.
fn first(run: &Value, steps: usize) -> Vec<Value> {
    let events = run["events"].as_array().unwrap();
    let is_last = |event: &&Value| event["what"]["step-ended"]["step"] == steps - 1;
    let end = events.iter().position(|event| is_last(&event)).unwrap();
    events[1..=end].to_vec()
}

#[rstest]
fn the_first_makes_it_and_the_others_go_on_from_a_copy(#[values(Cell::LOCAL, Cell::docker(17))] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    write(&desk);
    let of_cell = cell.args();
    let args: Vec<&str> = of_cell.iter().map(String::as_str).collect();
    let all = runs(&desk, &args);
    assert_eq!(all[0]["beginning"], Value::Null);
    for run in &all[1..] {
        assert_eq!(run["beginning"]["run"], all[0]["id"]);
        assert_ne!(run["id"], all[0]["id"]);
        // Two that every drill has, a capture before the writers and one after them.
        assert_eq!(run["beginning"]["steps"], 10);
        assert_eq!(first(run, 10), first(&all[0], 10), "what it took over is in its own record");
        assert_eq!(run["backups"][0]["manifest_sha256"], all[0]["backups"][0]["manifest_sha256"]);
    }
    let tally = all[2]["tallies"].as_array().unwrap().last().unwrap();
    assert!(tally["recovered"].as_u64() > all[1]["tallies"][0]["recovered"].as_u64(), "{tally}");
    if cell != Cell::LOCAL {
        return;
    }
    // Each by itself comes to the same.
    let alone = runs(&desk, &[&args[..], &["--no-cache"]].concat());
    assert!(alone.iter().all(|run| run["beginning"] == Value::Null));
    for (run, alone) in all.iter().zip(&alone) {
        for same in ["verdict", "observed", "planned_checks", "not_tested"] {
            assert_eq!(run[same], alone[same], "{same}");
        }
        let codes = |run: &Value| -> Vec<String> {
            run["findings"].as_array().unwrap().iter().map(|found| found["code"].to_string()).collect()
        };
        assert_eq!(codes(run), codes(alone));
    }
}

/// What was kept and is not what it was says nothing: the next drill makes its own.
#[test]
fn one_that_somebody_changed_is_not_used() {
    let desk = Desk::new();
    write(&desk);
    let script =
        "until ls w/*-b/backup/*/PG_VERSION; do sleep 0.02; done; sleep 0.3; rm w/*-b/backup/*/PG_VERSION";
    let mut somebody = Command::new("sh")
        .args(["-euc", script])
        .current_dir(desk.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let all = runs(&desk, &[]);
    assert!(somebody.wait().unwrap().success());
    assert!(all.iter().all(|run| run["beginning"] == Value::Null));
}

#[test]
fn a_kill_leaves_none() {
    let desk = Desk::new();
    write(&desk);
    let kept = || {
        let there = fs::read_dir(desk.path("w")).into_iter().flatten().flatten();
        there.filter(|entry| entry.file_name().to_string_lossy().ends_with("-b")).count()
    };
    let mut drills =
        desk.command(&["run", "drills"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a beginning", PATIENCE, || kept() == 1);
    sleep(Duration::from_millis(100));
    drills.kill().unwrap();
    drills.wait().unwrap();
    wait_until("its end", PATIENCE, || kept() == 0);
    desk.assert_nothing_left();
}
