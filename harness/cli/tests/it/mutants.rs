//! Mutants: what a drill's checks would not have noticed, told by name.

use serde_json::Value;

use crate::desk::{Desk, findings};

const DRILL: &str = "title: t\ndata: { orders: 1_000 }\nsteps:\n  - backup: { format: plain }\n  - disaster: lose-primary\n  \
                     - recover\n";

fn outcome<'r>(record: &'r Value, fault: &str) -> &'r Value {
    record["mutants"].as_array().unwrap().iter().find(|mutant| mutant["fault"] == fault).unwrap()
}

#[test]
fn a_drill_with_every_check_kills_all_of_its_mutants() {
    let desk = Desk::new();
    let done = desk.drill(DRILL, &["--mutants"]);
    done.ends_with(0);
    let record = desk.record();
    let outcomes: Vec<&str> = record["mutants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mutant| mutant["outcome"].as_str().unwrap())
        .collect();
    assert!(outcomes.iter().filter(|outcome| **outcome == "killed").count() >= 18, "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| matches!(*outcome, "killed" | "not-here")), "{outcomes:?}");
    assert!(done.stdout.contains("\n  killed "), "{}", done.stdout);
    // What is told of one is not what was found on another.
    assert_eq!(outcome(&record, "backup-label-missing")["killed_by"], "MANIFEST_MISMATCH");
    assert_eq!(outcome(&record, "directory-missing")["killed_by"], "RECOVERY_FAILED");
}

#[test]
fn a_drill_that_only_counts_rows_is_told_what_survives_and_by_what_it_would_have_died() {
    let desk = Desk::new();
    let counted = format!("{DRILL}  - check: {{ row-counts: all }}\n");
    let done = desk.drill(&counted, &["--mutants"]);
    done.ends_with(1);
    let record = desk.record();
    // What is flipped in a table or an index may lie where the count or the first write reads.
    for fault in ["commit-log-bit-flip", "file-extra", "backup-label-missing"] {
        let mutant = outcome(&record, fault);
        assert_eq!(mutant["outcome"], "survived", "{mutant}");
        let by = mutant["would_be_killed_by"].as_array().unwrap();
        assert!(by.contains(&"manifest".into()) && by.contains(&"verify".into()), "{mutant}");
    }
    assert_eq!(outcome(&record, "heap-page-zeroed")["killed_by"], "ROW_COUNT_MISMATCH");
    let survived: Vec<String> = findings(&record).into_iter().map(|(code, ..)| code).collect();
    assert!(survived.iter().all(|code| code == "MUTANT_SURVIVED") && survived.len() >= 3, "{survived:?}");
    let score = done.stdout.split_once("; survivors: ").unwrap().1;
    assert!(score.contains("commit-log-bit-flip") && score.contains("file-extra"), "{}", done.stdout);
}

#[test]
fn survivors_that_the_scenario_names_with_a_reason_are_no_fault_of_it() {
    let desk = Desk::new();
    let names = [
        "heap-bit-flip",
        "index-bit-flip",
        "commit-log-bit-flip",
        "backup-wal-bit-flip",
        "file-extra",
        "files-swapped",
        "backup-label-missing",
        "own-wal-missing",
    ];
    let survivors: String =
        names.iter().map(|name| format!("    {name}: another drill looks at it\n")).collect();
    let counted = format!("{DRILL}  - check: {{ row-counts: all }}\nmutants:\n  survivors:\n{survivors}");
    let done = desk.drill(&counted, &["--mutants"]);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!(outcome(&record, "file-extra")["allowed"], "another drill looks at it");
    assert!(done.stdout.contains("the scenario lets it: another drill looks at it"), "{}", done.stdout);
}

#[test]
fn a_drill_that_is_not_proven_has_no_mutants() {
    let desk = Desk::new();
    let lost = format!("{DRILL}  - sql: DELETE FROM \"AuditLog\" WHERE \"id\" = 1\n");
    desk.drill(&lost, &["--mutants"]).ends_with(1);
    let record = desk.record();
    assert_eq!(record.get("mutants"), None);
    let last = record["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["name"], &last["status"]), (&"mutants".into(), &"not-run".into()));
    let expected = format!("{lost}expect: {{ verdict: disproven }}\n");
    let desk = Desk::new();
    let done = desk.drill(&expected, &["--mutants"]);
    done.ends_with(0);
    assert!(done.stderr.contains("no mutants of scenario"), "{}", done.stderr);
}
