//! `pgdrill run --repeat`: how a recovery time is spread, whether it has become slower than it was, and what it would be of a
//! larger database.

use std::fs;

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, Done};

/// A drill of which each segment is fetched as slowly as a file of the host says.
fn drill(desk: &Desk) -> String {
    let slow = desk.path("seconds");
    format!(
        "title: t
data: {{ orders: 200 }}
archive: {{ command: 'cp %p $ARCHIVE/%f', restore: 'cp $ARCHIVE/%f %p && sleep $(cat {})' }}
steps:
  - backup: {{ format: plain }}
  - work: {{ transactions: 20 }}
  - switch-wal
  - work: {{ transactions: 20 }}
  - switch-wal
  - disaster: lose-primary
  - recover
  - check: {{ row-counts: all, first-write: all }}
",
        slow.display()
    )
}

fn set_seconds(desk: &Desk, seconds: &str) {
    fs::write(desk.path("seconds"), seconds).unwrap();
}

#[rstest]
#[case::here(Cell::LOCAL)]
#[case::in_containers(Cell::docker(17))]
fn a_recovery_is_repeated_and_each_is_checked_and_timed(#[case] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let text = "title: t\ndata: { orders: 200 }\nsteps:\n  - backup\n  - work: { writers: 2, wal: 20MiB }\n  - switch-wal\n  - disaster: lose-primary\n  - recover\n  - check: { row-counts: all, ledger: all }\nobjectives: { rto: 60s }\n";
    let args = cell.args();
    let args: Vec<&str> = args.iter().map(String::as_str).chain(["--repeat", "4"]).collect();
    let done = desk.drill(text, &args);
    done.ends_with(0);
    for part in ["4 of 4 recoveries", "for the slowest of 4", "it takes 72 recoveries", "of WAL replayed at"]
    {
        assert!(done.stdout.replace('\u{a0}', " ").contains(part), "{part} in {}", done.stdout);
    }
    let record = record(&desk);
    let repeated = record["repetitions"].as_array().unwrap();
    assert_eq!(repeated.len(), 3);
    for (at, repetition) in repeated.iter().enumerate() {
        assert_eq!(repetition["number"], at + 2);
        assert_eq!(repetition["observed"], "proven", "{repetition}");
        let phases = repetition["phases"].as_array().unwrap();
        let sum: u64 = phases.iter().map(|phase| phase["took_us"].as_u64().unwrap()).sum();
        // Each phase is told in whole microseconds.
        let whole = repetition["rto_us"].as_u64().unwrap();
        assert!(sum.abs_diff(whole) <= phases.len() as u64, "{repetition}");
        assert_eq!(phases[0]["took_us"], record["recoveries"][0]["phases"][0]["took_us"], "noticed as fast");
    }
    let start = position(&record["backups"][0]["start_lsn"]);
    let reached = position(&record["recoveries"][0]["reached_lsn"]);
    assert!(reached - start >= 20 << 20, "so much WAL was to be replayed");
    assert_eq!(record["recoveries"].as_array().unwrap().len(), 1, "one recovery is the drill's own");
}

#[test]
fn what_is_slower_than_it_was_is_called_so_and_what_is_not_is_not() {
    let desk = Desk::new();
    set_seconds(&desk, "0.01");
    let text = drill(&desk);
    let repeated = |more: &[&str]| desk.drill(&text, &[&["--repeat", "5"], more].concat());
    repeated(&[]).ends_with(0);
    let base = desk.path("base");
    fs::rename(desk.path("e"), &base).unwrap();
    let base = base.to_str().unwrap();
    // The same again is not slower, and its own records are as good a baseline from then on.
    repeated(&["--baseline", base]).ends_with(0);
    set_seconds(&desk, "0.7");
    let slow = repeated(&["--baseline", base]);
    slow.ends_with(1);
    assert!(slow.stdout.contains("RECOVERY_SLOWER"), "{}", slow.stdout);
    assert!(slow.stdout.contains("most of it in replay"), "{}", slow.stdout);
    // A single recovery cannot tell, and does not pretend.
    let single = desk.drill(&text, &["--baseline", base]);
    single.ends_with(2);
    assert!(single.stdout.contains("COMPARISON_UNDECIDED"), "{}", single.stdout);
    // Another scenario file is another drill.
    let other = desk.drill(&format!("# other\n{text}"), &["--baseline", base]);
    other.ends_with(2);
    assert!(other.stdout.contains("no proven recovery by this scenario file"), "{}", other.stdout);
}

#[test]
fn a_forecast_rests_on_three_sizes_or_is_refused() {
    let desk = Desk::new();
    let text = "title: t\nsteps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n  - check: { row-counts: all }\n";
    let few = desk.drill(text, &["--scale", "100,1k", "--project", "1TB"]);
    few.ends_with(2);
    let told = few.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["NO FORECAST:", "it takes 3 sizes of the database", "scenario@100-orders"] {
        assert!(told.contains(part), "{part} in {}", few.stdout);
    }
    // From the records alone it says the same.
    let again = desk.pgdrill(&["report", "--project", "1TB"]);
    again.ends_with(2);
    assert!(again.stdout.contains("NO FORECAST:"), "{}", again.stdout);
}

#[rstest]
#[case::no_work(&["--wal", "64MB"], "has no `work` in the foreground")]
#[case::no_unit(&["--wal", "64 MX"], "as in 64MB or 2TB")]
#[case::no_orders(&["--scale", "0"], "a number of orders from 1")]
#[case::no_times(&["--repeat", "0"], "0 is not in 1..=1000")]
#[case::no_records(&["--baseline", "nowhere"], "there is no such file or directory")]
#[case::with_mutants(&["--repeat", "2", "--mutants"], "cannot be used with")]
#[case::no_size(&["--project", "large"], "as in 64MB or 2TB")]
#[case::in_a_soak(&["--project", "2TB", "--for", "1s"], "cannot be used with")]
fn what_cannot_be_meant_is_refused(#[case] args: &[&str], #[case] words: &str) {
    let desk = Desk::new();
    let text = "title: t\nsteps:\n  - backup\n  - disaster: kill\n  - recover\n";
    let done: Done = desk.drill(text, args);
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
}

#[test]
fn a_forecast_takes_no_flag_that_it_would_not_heed() {
    for more in [&["--format", "json"][..], &["--latest"], &["--max-age", "1h"], &["--check"]] {
        let done = Desk::new().pgdrill(&[&["report", "--project", "2TB"], more].concat());
        done.ends_with(64);
        assert!(done.stderr.contains("cannot be used with"), "{more:?}: {}", done.stderr);
    }
}

#[test]
fn what_cannot_be_repeated_is_told_and_run_once() {
    let desk = Desk::new();
    let text = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup\n  - disaster: kill\n  - recover\n  - check: { row-counts: all }\n  - sql: SELECT 1\n";
    let done = desk.drill(text, &["--repeat", "3"]);
    done.ends_with(0);
    assert!(
        done.stderr.contains("is not repeated: the scenario does more to what it recovered"),
        "{}",
        done.stderr
    );
    assert!(record(&desk)["repetitions"].is_null());
}

/// The newest record.
fn record(desk: &Desk) -> Value {
    let path = desk.files("json").into_iter().next_back().unwrap();
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A position in the WAL in bytes.
fn position(value: &Value) -> u64 {
    let (high, low) = value.as_str().unwrap().split_once('/').unwrap();
    (u64::from_str_radix(high, 16).unwrap() << 32) + u64::from_str_radix(low, 16).unwrap()
}
