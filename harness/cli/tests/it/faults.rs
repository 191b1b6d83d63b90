//! Faults: each is noticed by the whole of the checks, no harmless change alarms anybody, and each check, run alone, catches
//! the fault that its row of the catalogue names.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pgdrill_model::check::{CHECKS, Check};
use pgdrill_model::detection::{Detector, Matrix};
use pgdrill_model::fault::{FAULTS, Fault, Looks};
use pgdrill_model::run::Run;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings, wait_until};

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/fault")
}

/// The scenario of a fault.
fn scenario(fault: Fault) -> String {
    let directories = fs::read_dir(scenarios()).unwrap().flatten();
    let mut paths = directories.map(|entry| entry.path().join(format!("{fault}.yaml")));
    fs::read_to_string(paths.find(|path| path.is_file()).unwrap()).unwrap()
}

/// The runs that were written to `runs.json`.
fn runs(desk: &Desk) -> (Vec<Run>, Value) {
    let object: Value = serde_json::from_slice(&fs::read(desk.path("runs.json")).unwrap()).unwrap();
    (serde_json::from_value(object["runs"].clone()).unwrap(), object)
}

/// Each fault is noticed by one of its codes and in time, which its scenario says; PostgreSQL looks as the catalogue says
/// while it is so; and who noticed is told in the JSON report and in the Markdown.
fn noticed_or_quiet(cell: Cell, directory: &str) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let path = scenarios().join(directory);
    let arguments = ["run", path.to_str().unwrap(), "--json", "runs.json", "--markdown", "runs.md"];
    let of_cell = cell.args();
    let all: Vec<&str> = arguments.into_iter().chain(of_cell.iter().map(String::as_str)).collect();
    let done = desk.pgdrill(&all);
    done.ends_with(0);
    desk.assert_clean();
    let (runs, object) = runs(&desk);
    for run in &runs {
        let [made] = run.faults.as_slice() else { panic!("{}: {:?}", run.header.scenario, run.faults) };
        let well = run.recoveries.last().is_some_and(|recovery| recovery.looks_well == Some(true));
        let entry = made.fault.entry();
        assert_eq!(well, entry.looks == Looks::Well, "{}: what the server looks like", made.fault);
        assert!(!made.done.is_empty());
    }
    let matrix = Matrix::of(&runs);
    assert_eq!(matrix.unnoticed().collect::<Vec<_>>(), []);
    assert_eq!(matrix.false_alarms().collect::<Vec<_>>(), []);
    assert_eq!(matrix.rows.len(), runs.len());
    let rows = object["detection"]["rows"].as_array().unwrap();
    let markdown = fs::read_to_string(desk.path("runs.md")).unwrap();
    for row in &matrix.rows {
        let found = rows.iter().find(|found| found["fault"] == row.fault.name()).unwrap();
        let seen: Vec<&str> = row.seen_by().into_iter().map(Detector::name).collect();
        assert_eq!(found["seen"], serde_json::json!(seen));
        assert!(markdown.contains(&format!("| {}", row.fault)), "{markdown}");
        assert!(done.stdout.contains(row.fault.name()));
    }
    assert!(done.stdout.contains("Who notices what"));
}

#[rstest]
fn faults_are_noticed_and_harmless_changes_are_not(
    #[values("archive", "backup", "control", "recovered", "restore", "server", "taking")] directory: &str,
) {
    noticed_or_quiet(Cell::LOCAL, directory);
}

#[rstest]
fn faults_are_noticed_in_containers_too(#[values("taking", "server")] directory: &str) {
    noticed_or_quiet(Cell::docker(17), directory);
}

#[test]
fn every_fault_has_a_scenario_that_says_what_the_catalogue_says() {
    for entry in FAULTS {
        let text = scenario(entry.fault);
        let scenario = pgdrill_model::scenario::parse(entry.name, entry.name, &text)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let expected = scenario.expect.map(|expect| (expect.finding.unwrap(), expect.stage.unwrap()));
        match expected {
            None => assert!(entry.codes.is_empty(), "{}", entry.name),
            Some((code, stage)) => {
                assert!(entry.codes.contains(&code) && stage == entry.stage, "{}", entry.name);
            }
        }
    }
}

/// What somebody asks who would miss a row of the audit log.
const AUDITED: &str = r#"queries:
  - name: every order is audited
    query: SELECT 1 FROM "Order" AS o WHERE NOT EXISTS (SELECT 1 FROM "AuditLog" AS a WHERE a."orderId" = o."id")
    expect: { rows: 0 }
"#;

/// Run alone, each check catches the fault that its row names.
#[test]
fn each_check_alone_catches_its_fault() {
    let desk = Desk::new();
    fs::create_dir(desk.path("alone")).unwrap();
    for entry in CHECKS {
        let all = scenario(entry.catches);
        let text: String = all
            .lines()
            // Nobody needs to hear what PostgreSQL alone says of each.
            .filter(|line| !line.starts_with("expect:") && !line.contains("mark: end-of-day"))
            .map(|line| line.replace("- check", &format!("- check: {{ {}: all }}", entry.name)) + "\n")
            .collect();
        // What nobody asks, no query catches.
        let text = text + if entry.check == Check::Queries { AUDITED } else { "" };
        fs::write(desk.path(&format!("alone/{}.yaml", entry.name)), text).unwrap();
    }
    desk.pgdrill(&["run", "alone", "--json", "runs.json"]).ends_with(1);
    desk.assert_clean();
    for run in runs(&desk).0 {
        let check: Check = run.header.scenario.parse().unwrap();
        assert_eq!(run.header.checks, [check]);
        let fault = check.entry().catches;
        assert_eq!(run.faults.first().map(|made| made.fault), Some(fault), "{check}");
        let caught = run
            .findings
            .iter()
            .any(|finding| finding.check == Some(check) && check.entry().codes.contains(&finding.code));
        assert!(caught, "{check} does not catch {fault}: {:?}", run.findings);
        assert_eq!(run.observed, pgdrill_model::verdict::Verdict::Disproven, "{check}");
    }
}

#[rstest]
#[case::nothing_to_be_done_to("lose-primary", "segment-missing", "", 2, "FAULT_NOT_INJECTED")]
#[case::noticed_in_another_way(
    "lose-primary",
    "backup-label-missing",
    "expect: { verdict: disproven, finding: WAL_GAP }\n",
    1,
    "EXPECTATION_MISSED"
)]
#[case::never_come_to(
    "lose-primary",
    "tar-cut\n  - fault: grant-lost",
    "expect: { verdict: disproven, finding: UNPACK_FAILED }\n",
    2,
    "FAULT_NOT_INJECTED"
)]
fn a_fault_that_was_not_made_or_not_noticed_so_proves_nothing(
    #[case] disaster: &str,
    #[case] fault: &str,
    #[case] expect: &str,
    #[case] code: i32,
    #[case] finding: &str,
) {
    let desk = Desk::new();
    let text = format!(
        "title: t\ndata: {{ orders: 200 }}\nsteps:\n  - backup\n  - disaster: {disaster}\n  - fault: {fault}\n  - recover\n{expect}"
    );
    desk.drill(&text, &[]).ends_with(code);
    let found = findings(&desk.record());
    assert!(found.iter().any(|(code, ..)| code == finding), "{found:?}");
}

/// What is left on a timeline of which the archive has no history is lost, whatever PostgreSQL makes of it.
#[test]
fn a_sweep_along_a_timeline_that_the_lost_server_had_left_is_not_proven() {
    let desk = Desk::new();
    let text = scenario(Fault::HistoryMissing)
        .replace("  - recover\n  - check\n", "  - sweep: { targets: 5 }\n")
        .replace("stage: recover }", "stage: recover }\n");
    let done = desk.drill(&text, &[]);
    done.ends_with(0);
    let found = findings(&desk.record());
    assert!(found.iter().any(|(code, ..)| code == "WAL_GAP"), "{found:?}");
}

/// Up to where a foreign timeline left the right one both are the same WAL: a recovery to a point before that is as good as any.
#[test]
fn a_target_before_a_foreign_timeline_is_proven_along_it() {
    let desk = Desk::new();
    let work = "  - work: { writers: 2, transactions: 40 }\n";
    let text = format!(
        "title: t\ndata: {{ orders: 500 }}\ncluster: {{ wal-segment-size: 1MB }}\nsteps:\n  - backup\n{work}  - mark: early\n  \
         - switch-wal\n{work}  - switch-wal\n{work}  - switch-wal\n  - disaster: lose-primary\n  - fault: foreign-timeline\n  \
         - recover: {{ to: early }}\n"
    );
    // Where the fork is hangs on the seed: some lie behind the mark.
    let mut proven = 0;
    for seed in ["1", "2", "3", "4"] {
        let done = desk.drill(&text, &["--seed", seed]);
        assert!(matches!(done.code, 0 | 1), "{}", done.stdout);
        proven += usize::from(done.code == 0);
        assert!(!done.stdout.contains("EVIDENCE_MISSING"), "{}", done.stdout);
    }
    assert!(proven > 0, "no fork lay behind the mark");
}

/// Whoever receives the server's WAL is not taken for one that has been silent for as long as the clock jumped.
#[test]
fn a_receiver_outlives_a_clock_that_jumps() {
    let desk = Desk::new();
    let work = "  - work: { writers: 2, transactions: 50 }\n";
    let text = format!(
        "title: t\ndata: {{ orders: 500 }}\ncluster: {{ wal-segment-size: 1MB }}\narchive: {{ by: receivewal }}\nsteps:\n  - backup\n\
         {work}  - fault: clock-set-back\n{work}  - switch-wal\n{work}  - mark: later\n  - switch-wal\n  - disaster: lose-primary\n  \
         - recover: {{ to: {{ mark: later, by: time }} }}\n\
         expect: {{ verdict: unverified, finding: TARGET_AMBIGUOUS, stage: recover }}\n"
    );
    let began = SystemTime::now();
    desk.drill(&text, &[]).ends_with(0);
    // Nor does what makes the clock jump leave anything on this host. Other drills may be at it.
    wait_until("the clock's shared memory to go away", Duration::from_secs(60), || {
        let files = fs::read_dir("/dev/shm").unwrap().flatten().filter(|file| {
            let new = file.metadata().and_then(|about| about.modified()).is_ok_and(|made| made >= began);
            let name = file.file_name().to_string_lossy().into_owned();
            let of = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
            new && of.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
        });
        files.count() == 0
    });
}

/// What pg_basebackup left is a data directory as long as nobody takes its label away, and an archive never is one.
#[rstest]
#[case::without_a_label(
    "backup: { wal: none }",
    "backup-label-missing",
    "could not locate a valid checkpoint record"
)]
#[case::of_another_form(
    "backup: { format: tar }\n  - backup: { format: plain }",
    "old-backup-as-new",
    "the restored control file is not one"
)]
fn no_server_starts_on_what_is_no_data_directory(
    #[case] backup: &str,
    #[case] fault: &str,
    #[case] words: &str,
) {
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 10 }}
steps:
  - {backup}
  - switch-wal
  - disaster: lose-primary
  - fault: {fault}
  - recover
  - check
expect: {{ verdict: disproven, finding: RECOVERY_FAILED, stage: recover }}
"
    );
    desk.drill(&text, &[]).ends_with(0);
    let found = findings(&desk.record());
    assert!(found[0].2.contains(words), "{found:#?}");
}
