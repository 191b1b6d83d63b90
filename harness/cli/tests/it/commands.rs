//! The other commands, and what `run` prints in which form.

use rstest::rstest;
use serde_json::Value;

use crate::desk::Desk;

const DRILL: &str = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n  - check: all\n";

#[test]
fn json_on_standard_output_is_exactly_one_object() {
    let desk = Desk::new();
    let done = desk.drill(DRILL, &["--json", "-"]);
    done.ends_with(0);
    let object: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&object["verdict"], &object["exit_code"]), (&"proven".into(), &0.into()));
    assert_eq!(object["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn quiet_says_nothing_and_reports_go_to_files() {
    let desk = Desk::new();
    let done = desk.drill(DRILL, &["--quiet", "--junit", "out/junit.xml", "--json", "out/runs.json"]);
    done.ends_with(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    let junit = std::fs::read_to_string(desk.path("out/junit.xml")).unwrap();
    let cases = junit.matches("<testcase ").count();
    assert!(junit.contains(&format!("tests=\"{cases}\"")), "{junit}");
    let object: Value = serde_json::from_slice(&std::fs::read(desk.path("out/runs.json")).unwrap()).unwrap();
    assert_eq!(object["runs"][0]["verdict"], "proven");
}

#[test]
fn a_junit_report_of_a_drill_that_could_not_run_is_an_error() {
    let desk = Desk::new();
    desk.drill(DRILL, &["--postgres", "99", "--junit", "junit.xml"]).ends_with(2);
    let junit = std::fs::read_to_string(desk.path("junit.xml")).unwrap();
    assert!(junit.contains("<error"), "{junit}");
    assert!(!junit.contains("errors=\"0\""), "{junit}");
}

#[test]
fn a_plan_shows_everything_and_does_nothing() {
    let desk = Desk::new();
    let scenario = desk.scenario(DRILL);
    let done =
        desk.pgdrill(&["run", scenario.to_str().unwrap(), "--plan", "--postgres", "15", "--seed", "7"]);
    done.ends_with(0);
    for words in ["create-cluster", "load-data", "line 4", "capture", "teardown", "seed 7"] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    assert!(!desk.path("e").exists() && !desk.path("w").exists());
}

#[test]
fn a_list_names_each_scenario() {
    let desk = Desk::new();
    let scenario = desk.scenario(DRILL);
    let done = desk.pgdrill(&["run", "--list", scenario.to_str().unwrap()]);
    done.ends_with(0);
    assert_eq!(done.stdout, "scenario  >=13        t\n");
}

#[test]
fn doctor_tells_what_is_there() {
    let desk = Desk::new();
    let done = desk.pgdrill(&["doctor"]);
    done.ends_with(0);
    assert!(
        done.stdout.contains("postgresql") && done.stdout.contains("pgdrill can run drills here"),
        "{}",
        done.stdout
    );
    let pool = done.stdout.lines().find(|line| line.contains(" pgbouncer ")).unwrap();
    assert!(pool.starts_with("ok ") && pool.contains("PgBouncer 1."), "{pool}");
}

#[test]
fn clean_with_nothing_to_clean_says_so() {
    let done = Desk::new().pgdrill(&["clean"]);
    done.ends_with(0);
    assert_eq!(done.stdout, "nothing to clean\n");
}

#[rstest]
#[case("ROW_COUNT_MISMATCH", "Seen by: row-counts")]
#[case("rto-exceeded", "What now:")]
#[case("fingerprints", "What it does not see:")]
#[case("archiving-fails", "Severity: P2")]
#[case("backup-of-today", "Corrected:")]
fn explain_explains(#[case] name: &str, #[case] words: &str) {
    let done = Desk::new().pgdrill(&["explain", name]);
    done.ends_with(0);
    assert!(done.stdout.contains(words), "{}", done.stdout);
}

#[test]
fn explain_of_nothing_known_is_usage() {
    let done = Desk::new().pgdrill(&["explain", "NONSENSE"]);
    done.ends_with(64);
    assert!(done.stderr.contains("lists them all"), "{}", done.stderr);
}

#[rstest]
#[case(&["print", "schema"], "\"$schema\"")]
#[case(&["print", "completions", "bash"], "_pgdrill")]
#[case(&["print", "man"], ".TH pgdrill")]
#[case(&["--help"], "Exit codes:")]
fn what_is_generated_is_there(#[case] args: &[&str], #[case] words: &str) {
    let done = Desk::new().pgdrill(args);
    done.ends_with(0);
    assert!(done.stdout.contains(words), "{}", done.stdout);
}

#[test]
fn every_command_that_help_shows_has_a_manual_page() {
    let desk = Desk::new();
    desk.pgdrill(&["print", "man", "man"]).ends_with(0);
    let page = |name: &str| std::fs::read_to_string(desk.path(&format!("man/{name}.1")));
    assert!(page("pgdrill").unwrap().contains(".TH pgdrill"));
    let help = desk.pgdrill(&["--help"]).stdout;
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for command in commands.iter().filter(|command| !command.is_empty() && **command != "help") {
        assert!(page(&format!("pgdrill-{command}")).unwrap().contains("SYNOPSIS"), "{command}");
    }
    assert!(commands.contains(&"run") && page("pgdrill-live-watch").is_ok(), "{commands:?}");
    assert!(page("pgdrill-print").is_err(), "what help hides has none");
    std::fs::write(desk.path("file"), "").unwrap();
    desk.pgdrill(&["print", "man", "file"]).ends_with(64);
}
