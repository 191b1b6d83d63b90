//! `pgdrill report` on records that drills left: what they say together, in every form, and what is wrong with them.

use std::fs;

use crate::desk::{Desk, Done};

/// A desk with the records of two drills.
fn desk() -> Desk {
    let desk = Desk::new();
    for seed in ["1", "2"] {
        let text = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - switch-wal\n  - disaster: kill\n  - recover\n  - check: { row-counts: all }\n";
        desk.drill(text, &["--seed", seed]).ends_with(0);
    }
    desk
}

fn report(desk: &Desk, more: &[&str]) -> Done {
    desk.pgdrill(&[&["report"], more].concat())
}

#[test]
fn records_are_told_again_in_every_form() {
    let desk = desk();
    let history = report(&desk, &[]);
    history.ends_with(0);
    assert!(history.stdout.contains("2 of 2") && history.stdout.contains("2 drills"), "{}", history.stdout);
    let text = report(&desk, &["--format", "text"]);
    assert!(text.stdout.trim_end().ends_with("2 drills: 2 proven"), "{}", text.stdout);
    let one = report(&desk, &["--format", "text", "--latest"]);
    assert!(one.stdout.trim_start().starts_with("PROVEN: proven for: row-counts"), "{}", one.stdout);
    let json: serde_json::Value = serde_json::from_str(&report(&desk, &["--format", "json"]).stdout).unwrap();
    assert_eq!((json["verdict"].as_str(), json["runs"].as_array().map(Vec::len)), (Some("proven"), Some(2)));
    let junit = report(&desk, &["--format", "junit"]).stdout;
    assert!(junit.starts_with("<?xml") && junit.contains("failures=\"0\""), "{junit}");
    assert!(report(&desk, &["--format", "markdown"]).stdout.contains("PROVEN"));
    let metrics = report(&desk, &["--format", "prometheus"]).stdout;
    assert!(metrics.contains("\npgdrill_runs{"), "{metrics}");
    // Into a file, whole, and nothing beside it.
    let file = desk.path("pgdrill.prom");
    let shown = file.display().to_string();
    let done = report(&desk, &["--format", "prometheus", "--out", &shown]);
    done.ends_with(0);
    assert_eq!((fs::read_to_string(&file).unwrap(), done.stdout.as_str()), (metrics, ""));
    assert!(!desk.path("pgdrill.prom.part").exists());
}

#[test]
fn a_job_that_does_not_run_any_more_is_noticed() {
    let desk = desk();
    report(&desk, &["--max-age", "26h"]).ends_with(0);
    let stale = report(&desk, &["--max-age", "1ms"]);
    stale.ends_with(2);
    assert!(stale.stdout.contains("STALE:"), "{}", stale.stdout);
}

#[test]
fn a_changed_record_is_named_and_the_others_are_told() {
    let desk = desk();
    let changed = desk.files("json").remove(0);
    let text = fs::read_to_string(&changed).unwrap();
    let other = text.replace("\"seed\": 1,", "\"seed\": 3,").replace("\"seed\": 2,", "\"seed\": 3,");
    assert_ne!(other, text);
    fs::write(&changed, other).unwrap();
    fs::write(desk.path("e").join("other.json"), "{}").unwrap();
    let done = report(&desk, &[]);
    done.ends_with(2);
    let name = changed.file_name().unwrap().to_string_lossy().into_owned();
    let told =
        |words: &str, of: &str| done.stderr.lines().any(|line| line.contains(words) && line.contains(of));
    assert!(told("was changed after it was sealed", &name), "{}", done.stderr);
    assert!(told("not a record", "other.json"), "{}", done.stderr);
    assert!(done.stdout.contains("1 of 1"), "{}", done.stdout);
}

#[test]
fn what_is_not_there_is_a_mistake_and_nothing_at_all_proves_nothing() {
    let desk = Desk::new();
    let done = desk.pgdrill(&["report", "nowhere"]);
    done.ends_with(64);
    assert!(done.stderr.contains("nowhere: there is no such file or directory"), "{}", done.stderr);
    let empty = desk.path("empty");
    fs::create_dir(&empty).unwrap();
    let done = desk.pgdrill(&["report", &empty.display().to_string()]);
    done.ends_with(2);
    assert_eq!(done.stdout, "no records\n");
}
