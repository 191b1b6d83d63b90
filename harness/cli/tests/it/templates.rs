//! Templates of clusters: a drill begins with a copy of what an earlier one made, where it would make the very same.

use std::fs;
use std::path::PathBuf;

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, Done};

const DRILL: &str = "title: t
seed: 1
data: { orders: 300 }
tablespaces: { history: [AuditLog], hot: [Order, Position] }
cluster: { checksums: on }
settings: { work_mem: 8MB }
steps:
  - backup: { format: plain }
  - sql: UPDATE \"Order\" SET \"fee\" = \"fee\" + 0.01 WHERE \"id\" % 7 = 0
  - switch-wal
  - disaster: lose-primary
  - recover
  - check: all
";

/// Runs a drill that must be proven; gives the template that its record names.
fn template(desk: &Desk, text: &str, args: &[&str]) -> Option<String> {
    let (done, load) = drill(desk, text, args);
    let template = load["template"].as_str().map(str::to_owned);
    assert_eq!(done.stdout.contains("copied from a template in"), template.is_some(), "{}", done.stdout);
    template
}

fn drill(desk: &Desk, text: &str, args: &[&str]) -> (Done, Value) {
    for record in desk.files("json") {
        fs::remove_file(record).unwrap();
    }
    let done = desk.drill(text, args);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!(record["verdict"], "proven");
    (done, record["load"].clone())
}

#[rstest]
fn a_second_drill_begins_with_a_copy(#[values(Cell::LOCAL, Cell::docker(17))] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let cell = cell.args();
    let args: Vec<&str> = cell.iter().map(String::as_str).collect();
    let (_, loaded) = drill(&desk, DRILL, &args);
    assert_eq!(loaded["template"], Value::Null);
    assert_eq!(desk.templates().len(), 1);
    // Another scenario of the same cluster, with every way of archiving.
    let received = format!("archive: {{ by: receivewal, synchronous: on }}\n{DRILL}");
    let own = format!("archive: {{ command: 'cp %p $ARCHIVE/%f', restore: 'cp $ARCHIVE/%f %p' }}\n{DRILL}");
    for text in [DRILL, &received, &own] {
        let (_, copied) = drill(&desk, text, &args);
        for same in ["rows", "bytes", "sha256"] {
            assert_eq!(copied[same], loaded[same], "{same}");
        }
        let shown = copied["template"].as_str().unwrap();
        let name = desk.templates()[0].file_name().unwrap().to_string_lossy().into_owned();
        assert!(shown.len() == 12 && name.starts_with(shown), "{shown} {name}");
    }
    assert_eq!(desk.templates().len(), 1);
}

/// Where incremental backups are wanted the server summarizes its WAL, which must begin where a copy does.
#[test]
fn an_incremental_backup_is_taken_of_a_copy() {
    let cell = Cell::docker(17);
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let text =
        DRILL.replace("  - switch-wal\n", "  - backup: { format: plain, incremental: on }\n  - switch-wal\n");
    let args = cell.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_eq!(template(&desk, &text, &args), None);
    assert!(template(&desk, &text, &args).is_some());
    assert_eq!(template(&desk, DRILL, &args), None, "this one does not summarize its WAL");
}

#[test]
fn a_cluster_that_differs_is_made_anew() {
    let desk = Desk::new();
    let text = DRILL.replace("check: all", "check: { row-counts: all }");
    assert_eq!(template(&desk, &text, &[]), None);
    let others = [
        ("seed: 1", "seed: 2"),
        ("orders: 300", "orders: 301"),
        ("work_mem: 8MB", "work_mem: 9MB"),
        ("checksums: on", "checksums: off"),
        ("checksums: on", "locale: C.UTF-8"),
        ("checksums: on", "wal-segment-size: 1MB"),
        ("hot: [Order, Position]", "hot: [Order]"),
    ];
    for (was, is) in others {
        assert_eq!(template(&desk, &text.replace(was, is), &[]), None, "{is}");
    }
    assert_eq!(template(&desk, &text, &["--no-cache"]), None, "and so where it is asked for");
    assert_eq!(desk.templates().len(), 1 + others.len());
    // In which lines a scenario says it, and what it does with the cluster, has no part in it.
    assert!(template(&desk, &format!("# A comment.\n{text}"), &[]).is_some());
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let desk = Desk::new();
    assert_eq!(template(&desk, DRILL, &["--no-cache"]), None);
    assert!(!desk.path("w").exists());
}

/// A template that is not what it was says nothing: the drill begins without it, and makes a new one.
#[rstest]
#[case::a_file_is_gone(&|data: PathBuf| fs::remove_file(data.join("PG_VERSION")).unwrap())]
#[case::a_file_is_shorter(&|data: PathBuf| fs::write(data.join("global/pg_control"), "x").unwrap())]
#[case::a_file_was_written_to(&|data: PathBuf| {
    let path = data.join("global/pg_control");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, vec![0; bytes.len()]).unwrap();
})]
#[case::a_directory_is_gone(&|data: PathBuf| fs::remove_dir(data.join("pg_twophase")).unwrap())]
#[case::a_file_is_new(&|data: PathBuf| fs::write(data.join("standby.signal"), "").unwrap())]
#[case::its_list_is_cut(&|data: PathBuf| fs::write(data.join("../template.json"), "{").unwrap())]
fn a_damaged_template_is_not_used(#[case] damage: &dyn Fn(PathBuf)) {
    let desk = Desk::new();
    let text = DRILL.replace("check: all", "check: { row-counts: all }");
    assert_eq!(template(&desk, &text, &[]), None);
    damage(desk.templates()[0].join("data"));
    assert_eq!(template(&desk, &text, &[]), None);
    assert!(template(&desk, &text, &[]).is_some());
}

/// A server that does not start on a copy is no reason to give up, either.
#[test]
fn a_template_on_which_no_server_starts_is_not_used() {
    let desk = Desk::new();
    assert_eq!(template(&desk, DRILL, &[]), None);
    let directory = desk.templates()[0].clone();
    let path = directory.join("data/global/pg_control");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, vec![0; 8192]).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    assert_eq!(template(&desk, DRILL, &[]), None);
    assert!(template(&desk, DRILL, &[]).is_some());
}

#[test]
fn drills_side_by_side_share_and_make_templates() {
    let desk = Desk::new();
    let scenarios = desk.path("scenarios");
    fs::create_dir(&scenarios).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(scenarios.join(format!("{name}.yaml")), DRILL).unwrap();
    }
    for round in 0..2 {
        let done = desk.pgdrill(&["run", "--jobs", "2", "--json", "runs.json"]);
        done.ends_with(0);
        desk.assert_clean();
        let object: Value = serde_json::from_slice(&fs::read(desk.path("runs.json")).unwrap()).unwrap();
        let runs = object["runs"].as_array().unwrap();
        assert!(runs.iter().all(|run| run["verdict"] == "proven"));
        assert_eq!(desk.templates().len(), 1);
        assert!(round == 0 || runs.iter().all(|run| run["load"]["template"].is_string()));
    }
}

#[test]
fn clean_removes_templates_and_doctor_tells_of_them() {
    let desk = Desk::new();
    assert_eq!(template(&desk, DRILL, &[]), None);
    let doctor = desk.pgdrill(&["doctor"]).stdout;
    assert!(doctor.contains("1 cluster is kept, which takes "), "{doctor}");
    // What a killed run left half-made goes with the next run.
    let half = desk.path("w/templates/making-dead");
    fs::create_dir(&half).unwrap();
    let scenario = desk.scenario(DRILL);
    let done = desk.pgdrill(&["run", scenario.to_str().unwrap()]);
    done.ends_with(0);
    assert!(done.stderr.contains("removed 1 half-made template of clusters"), "{}", done.stderr);
    assert!(!half.exists());
    let cleaned = desk.pgdrill(&["clean"]);
    cleaned.ends_with(0);
    assert!(cleaned.stdout.contains("removed 1 template of clusters, "), "{}", cleaned.stdout);
    assert!(!desk.path("w").exists());
    let doctor = desk.pgdrill(&["doctor"]).stdout;
    assert!(doctor.contains("no cluster is kept"), "{doctor}");
    let cleaned = desk.pgdrill(&["clean"]);
    assert_eq!(cleaned.stdout, "nothing to clean\n");
}
