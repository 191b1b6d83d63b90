//! Several drills of one command: a run for each cell, side by side where asked for, and one table at the end.

use std::fs;

use serde_json::Value;

use crate::desk::Desk;

const DRILL: &str = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n  - check: all\nobjectives: { rto: 1ms }\n";

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

#[test]
fn drills_side_by_side_keep_their_order_and_do_not_judge_times() {
    let desk = Desk::new();
    let scenarios = desk.path("scenarios");
    fs::create_dir(&scenarios).unwrap();
    // The first takes longest.
    for (name, orders) in [("a", "60_000"), ("b", "10"), ("c", "10")] {
        fs::write(scenarios.join(format!("{name}.yaml")), DRILL.replace("10 }", &format!("{orders} }}")))
            .unwrap();
    }
    let done = desk.pgdrill(&["run", "--jobs", "2", "--json", "runs.json"]);
    done.ends_with(0);
    desk.assert_clean();
    let object: Value = serde_json::from_slice(&fs::read(desk.path("runs.json")).unwrap()).unwrap();
    let runs = object["runs"].as_array().unwrap();
    let names: Vec<&str> = runs.iter().map(|run| run["scenario"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let began = |run: &Value| run["started_unix_us"].as_i64().unwrap();
    let took = |run: &Value| run["took_us"].as_i64().unwrap();
    assert!(began(&runs[1]) < began(&runs[0]) + took(&runs[0]), "the second waited for the first");
    assert!(began(&runs[2]) >= (began(&runs[1]) + took(&runs[1])).min(began(&runs[0]) + took(&runs[0])));
    for run in runs {
        assert_eq!((&run["verdict"], &run["jobs"]), (&"proven".into(), &2.into()));
        let rto = &run["objectives"][0];
        assert_eq!((&rto["target_us"], &rto["met"]), (&Value::Null, &Value::Null));
        assert!(rto["measured_us"].as_u64().unwrap() > 0);
        let not_tested = run["not_tested"].as_array().unwrap();
        let words = "the recovery time objective of 1.0 ms: 2 drills shared the machine";
        assert!(not_tested.iter().any(|item| item == words), "{not_tested:?}");
    }
    for label in ["a on 15: drill a on PostgreSQL 15", "b on 15:   ok"] {
        assert!(done.stderr.lines().any(|line| line.starts_with(label)), "{label}: {}", done.stderr);
    }
}

#[test]
fn no_drills_at_a_time_is_usage() {
    let done = Desk::new().pgdrill(&["run", "--jobs", "0"]);
    done.ends_with(64);
    assert!(done.stderr.contains("--jobs"), "{}", done.stderr);
}
