//! Several drills of one command: a run for each cell, side by side where asked for, and one table at the end.

use std::fs;

use serde_json::Value;

use crate::desk::Desk;

const DRILL: &str = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n  - check: all\nobjectives: { rto: 1ms }\n";

const OBJECTIVE: &str = "objectives: { rto: 1ms }\n";

#[test]
fn a_matrix_has_a_run_for_each_cell() {
    let desk = Desk::new();
    let done = desk.drill(DRILL, &["--postgres", "15,99,15", "--json", "runs.json"]);
    done.ends_with(1);
    assert_eq!(desk.files("json").len(), 2);
    let last = done.stdout.lines().last();
    assert_eq!(last, Some("2 drills: 1 disproven, 1 could not verify"), "{}", done.stdout);
    let differences = done.stdout.split("Differences between majors").nth(1).unwrap();
    assert!(differences.contains("DISPROVEN on 15; COULD NOT VERIFY on 99"), "{differences}");
    assert!(differences.contains("RTO_EXCEEDED only on 15"), "{differences}");
}

/// Scenarios by name, of so many orders, with a recovery time objective or without.
fn scenarios(desk: &Desk, all: &[(&str, &str, bool)]) {
    let scenarios = desk.path("scenarios");
    fs::create_dir(&scenarios).unwrap();
    for (name, orders, timed) in all {
        let text = DRILL.replace("10 }", &format!("{orders} }}"));
        let text = if *timed { text.replace("1ms", "10m") } else { text.replace(OBJECTIVE, "") };
        fs::write(scenarios.join(format!("{name}.yaml")), text).unwrap();
    }
}

fn began(run: &Value) -> i64 {
    run["started_unix_us"].as_i64().unwrap()
}

fn ended(run: &Value) -> i64 {
    began(run) + run["took_us"].as_i64().unwrap()
}

#[test]
fn drills_side_by_side_keep_their_order() {
    let desk = Desk::new();
    // The first takes longest.
    scenarios(&desk, &[("a", "60_000", false), ("b", "10", false), ("c", "10", false)]);
    let done = desk.pgdrill(&["run", "--jobs", "2", "--json", "runs.json"]);
    done.ends_with(0);
    desk.assert_clean();
    let object: Value = serde_json::from_slice(&fs::read(desk.path("runs.json")).unwrap()).unwrap();
    let runs = object["runs"].as_array().unwrap();
    let names: Vec<&str> = runs.iter().map(|run| run["scenario"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(began(&runs[1]) < ended(&runs[0]), "the second waited for the first");
    assert!(began(&runs[2]) >= ended(&runs[1]).min(ended(&runs[0])));
    for run in runs {
        assert_eq!((&run["verdict"], &run["jobs"]), (&"proven".into(), &2.into()));
        let rto = &run["objectives"][0];
        assert_eq!((&rto["target_us"], &rto["met"]), (&Value::Null, &Value::Null));
        assert!(rto["measured_us"].as_u64().unwrap() > 0);
    }
    for label in ["a on 15: drill a on PostgreSQL 15", "b on 15:   ok"] {
        assert!(done.stderr.lines().any(|line| line.starts_with(label)), "{label}: {}", done.stderr);
    }
}

#[test]
fn a_drill_with_a_recovery_time_objective_runs_alone_and_is_judged() {
    let desk = Desk::new();
    scenarios(&desk, &[("a", "10", true), ("b", "10", false), ("c", "10", false), ("d", "10", true)]);
    desk.pgdrill(&["run", "--jobs", "2", "--json", "runs.json"]).ends_with(0);
    desk.assert_clean();
    let object: Value = serde_json::from_slice(&fs::read(desk.path("runs.json")).unwrap()).unwrap();
    let runs = object["runs"].as_array().unwrap();
    let names: Vec<&str> = runs.iter().map(|run| run["scenario"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert!(began(&runs[2]) < ended(&runs[1]), "those without one run side by side");
    for (number, timed) in [(0, true), (1, false), (2, false), (3, true)] {
        let run = &runs[number];
        assert_eq!(run["jobs"], if timed { 1 } else { 2 }, "{number}");
        assert_eq!(run["objectives"][0]["met"], if timed { true.into() } else { Value::Null }, "{number}");
        let beside = |other: &Value| began(other) < ended(run) && began(run) < ended(other);
        let company = runs.iter().enumerate().filter(|(other, run)| *other != number && beside(run)).count();
        assert_eq!(company > 0, !timed, "{number}");
    }
}

#[test]
fn more_drills_at_a_time_than_the_processors_can_do_with_is_said_once() {
    let desk = Desk::new();
    let processors = std::thread::available_parallelism().unwrap().get();
    let most = 2 * processors;
    let names: Vec<String> = (0..=most).map(|number| format!("drill-{number}")).collect();
    // A major that is not there needs no time.
    let all: Vec<(&str, &str, bool)> = names.iter().map(|name| (name.as_str(), "10", false)).collect();
    scenarios(&desk, &all);
    let done = desk.pgdrill(&["run", "--jobs", "1000", "--postgres", "99"]);
    done.ends_with(2);
    let words = format!("pgdrill: at most {most} drills run at the same time, and not {}: ", most + 1);
    assert_eq!(done.stderr.matches(&words).count(), 1, "{}", done.stderr);
}

#[test]
fn no_drills_at_a_time_is_usage() {
    let done = Desk::new().pgdrill(&["run", "--jobs", "0"]);
    done.ends_with(64);
    assert!(done.stderr.contains("--jobs"), "{}", done.stderr);
}
