//! `pgdrill report` on records that drills left: what they say together, in every form, and what is wrong with them.

use std::fs;

use crate::desk::{Desk, Done, GOOD};

/// A desk with the records of two drills.
fn desk() -> Desk {
    let desk = Desk::new();
    for seed in ["1", "2"] {
        desk.drill(GOOD, &["--seed", seed]).ends_with(0);
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
    let html = report(&desk, &["--format", "html", "--max-age", "1ms"]);
    html.ends_with(2);
    assert!(html.stdout.starts_with("<!DOCTYPE html>") && html.stdout.contains("STALE:"), "{}", html.stdout);
    // Into a file, whole, and nothing beside it.
    let file = desk.path("pgdrill.prom");
    let shown = file.display().to_string();
    let done = report(&desk, &["--format", "prometheus", "--out", &shown]);
    done.ends_with(0);
    assert_eq!((fs::read_to_string(&file).unwrap(), done.stdout.as_str()), (metrics, ""));
    assert!(!desk.path("pgdrill.prom.part").exists());
}

/// One of two drills of a command is proven: each of them counts, and the page says why the other is not.
#[test]
fn a_run_leaves_a_page_for_a_browser() {
    let desk = Desk::new();
    let drills = desk.path("drills");
    fs::create_dir(&drills).unwrap();
    let text = |sql: &str| {
        format!(
            "title: t\ndata: {{ orders: 10 }}\nsteps:\n  - backup: {{ format: plain }}\n  - switch-wal\n{sql}  - disaster: lose-primary\n  - recover\n  - check: {{ row-counts: all }}\n"
        )
    };
    fs::write(drills.join("good.yaml"), text("")).unwrap();
    fs::write(drills.join("bad.yaml"), text("  - sql: CREATE TABLE late AS SELECT 1 AS n\n")).unwrap();
    let done = desk.pgdrill(&["run", "drills", "--html", "out/page.html"]);
    done.ends_with(1);
    let page = fs::read_to_string(desk.path("out/page.html")).unwrap();
    assert!(page.contains("<title>DISPROVEN: 2 drills: 1 disproven, 1 proven</title>"), "{page}");
    assert!(page.contains("RECOVERY_SHORT") && page.contains("pgdrill run scenarios/bad.yaml"), "{page}");
    // A page that cannot be written is told before hours are spent.
    desk.pgdrill(&["run", "drills", "--html", "drills"]).ends_with(64);
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

#[test]
fn parts_that_cannot_be_made_are_a_mistake() {
    let desk = Desk::new();
    let scenario = desk.scenario("title: t\nsteps: [backup, switch-wal, { disaster: kill }, recover]\n");
    let scenario = scenario.to_str().unwrap();
    let done = desk.pgdrill(&["run", scenario, "--shard", "6/5"]);
    done.ends_with(64);
    assert!(done.stderr.contains("there is no part 6 of 5"), "{}", done.stderr);
    desk.pgdrill(&["run", scenario, "--shard-by", "records"]).ends_with(64);
    let broken = desk.path("broken.json");
    fs::write(&broken, "{}").unwrap();
    let done = desk.pgdrill(&["run", scenario, "--shard", "1/2", "--shard-by", broken.to_str().unwrap()]);
    done.ends_with(64);
    assert!(done.stderr.contains("cannot be split into parts"), "{}", done.stderr);
}

#[test]
fn any_changed_byte_and_any_record_that_is_gone_are_named() {
    let desk = desk();
    let check = || desk.pgdrill(&["report", "--check"]);
    let done = check();
    done.ends_with(0);
    assert!(done.stdout.contains("2 records in a chain that ends with "), "{}", done.stdout);
    let mut records = desk.files("json");
    records.sort();
    let whole = fs::read(&records[0]).unwrap();
    // White space: the record says the same, and is not what was written.
    fs::write(&records[0], [&whole[..], b"\n"].concat()).unwrap();
    report(&desk, &[]).ends_with(0);
    let done = check();
    done.ends_with(2);
    assert!(done.stderr.contains("it was changed since it was sealed"), "{}", done.stderr);
    fs::write(&records[0], &whole).unwrap();
    check().ends_with(0);
    fs::remove_file(&records[1]).unwrap();
    let done = check();
    done.ends_with(2);
    let name = records[1].file_name().unwrap().to_string_lossy().into_owned();
    assert!(done.stderr.contains(&format!("{name}: it is gone")), "{}", done.stderr);
}
