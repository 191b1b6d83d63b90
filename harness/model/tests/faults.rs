//! Faults in records: what was not made meets no expectation, who noticed is told from what the record holds, and a plan with
//! faults or mutants has the steps that these need.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use pgdrill_model::check::{CHECKS, Check};
use pgdrill_model::code::Code;
use pgdrill_model::detection::{Detector, Matrix, Sight};
use pgdrill_model::event::{Event, Happening};
use pgdrill_model::evidence::{Evidence, MutantOutcome};
use pgdrill_model::fault::{FAULTS, Fault};
use pgdrill_model::judge::fold;
use pgdrill_model::plan::{Act, Plan, add_mutants, compile};
use pgdrill_model::run::Run;
use pgdrill_model::scenario::parse;
use pgdrill_model::units::Major;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::sample;

fn without(events: &[Event], left_out: impl Fn(&Evidence) -> bool) -> Run {
    let kept: Vec<Event> = events
        .iter()
        .filter(|event| !matches!(&event.what, Happening::Measured(evidence) if left_out(evidence)))
        .cloned()
        .collect();
    fold(&kept).unwrap()
}

fn codes(run: &Run) -> Vec<Code> {
    run.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_fault_of_which_nothing_shows_that_it_was_made_meets_no_expectation() {
    let events = sample::noticed_story().events();
    let run = fold(&events).unwrap();
    assert_eq!((run.verdict, run.observed), (Verdict::Proven, Verdict::Disproven), "{}", run.reason);
    let run = without(&events, |evidence| matches!(evidence, Evidence::Fault(_)));
    assert_eq!((run.verdict, run.observed), (Verdict::Unverified, Verdict::Disproven), "{}", run.reason);
    assert!(codes(&run).contains(&Code::FaultNotInjected));
}

#[test]
fn a_survivor_disproves_unless_the_scenario_names_it() {
    let events = sample::mutants_story().events();
    let run = fold(&events).unwrap();
    assert_eq!((run.verdict, codes(&run)), (Verdict::Disproven, vec![Code::MutantSurvived]));
    assert_eq!(run.findings[0].subject.as_deref(), Some("file-extra"));
    let hint = run.findings[0].hint.as_deref().unwrap();
    assert!(hint.starts_with("manifest, verify would have noticed it"), "{hint}");
    let survives = |evidence: &Evidence| matches!(evidence, Evidence::Mutant(mutant) if mutant.outcome == MutantOutcome::Survived);
    // One that is not told of is not one that was killed.
    let run = without(&events, survives);
    assert_eq!((run.verdict, codes(&run)), (Verdict::Unverified, vec![Code::MutantUndecided; 2]));
}

#[test]
fn the_table_tells_who_noticed_who_looked_and_who_did_not_come_to_look() {
    let matrix = Matrix::of(&[sample::noticed(), sample::proven()]);
    let [row] = matrix.rows.as_slice() else { panic!("{matrix:?}") };
    assert_eq!((row.fault, row.runs, row.seen_by()), (Fault::HeapBitFlip, 1, vec![Detector::PgVerifybackup]));
    let blind = row.having(&[Sight::Blind]);
    for detector in [Detector::KeptManifest, Detector::Verify, Detector::ServerStart, Detector::Target] {
        assert!(blind.contains(&detector), "{detector}");
    }
    assert_eq!(matrix.only_seen_by(), [(Detector::PgVerifybackup, vec![Fault::HeapBitFlip])]);
    assert_eq!(matrix.unnoticed().count() + matrix.false_alarms().count(), 0);
    // Of two runs of which one noticed, the table says that it was some.
    let mut other = sample::noticed();
    other.findings.clear();
    let matrix = Matrix::of(&[sample::noticed(), other.clone()]);
    assert_eq!(matrix.rows[0].having(&[Sight::Sometimes]), [Detector::PgVerifybackup]);
    assert_eq!(Matrix::of(&[other]).unnoticed().collect::<Vec<_>>(), [Fault::HeapBitFlip]);
}

#[test]
fn a_check_that_did_not_run_has_noticed_nothing() {
    let mut run = sample::noticed();
    let mut unrun = run.findings[0].clone();
    unrun.code = Code::CheckNotRun;
    unrun.evidence.clear();
    run.findings = vec![unrun];
    assert_eq!(Matrix::of(&[run]).rows[0].seen_by(), []);
}

#[test]
fn pg_basebackup_has_not_looked_at_what_pg_dump_took() {
    let mut run = sample::noticed();
    let looked = |run: &Run| Matrix::of(std::slice::from_ref(run)).rows[0].having(&[Sight::Blind]);
    assert!(looked(&run).contains(&Detector::PgBasebackup));
    run.backups.iter_mut().for_each(|backup| "pg_dump".clone_into(&mut backup.tool));
    assert!(!looked(&run).contains(&Detector::PgBasebackup));
}

#[test]
fn every_check_and_every_other_detector_is_a_column() {
    let all = Detector::all();
    for check in CHECKS.iter().map(|entry| entry.check) {
        let own = match check {
            Check::Manifest => Detector::PgVerifybackup,
            Check::Verify => Detector::Verify,
            other => Detector::Check(other),
        };
        assert!(all.contains(&own), "{check}");
    }
}

const STEPS: &str = "title: t\nsteps:\n  - work: { transactions: 5 }\n  - backup\n  - mark: m\n  - switch-wal\n  \
                     - disaster: lose-primary\n";

fn plan(steps: &str) -> Plan {
    let scenario =
        parse("a", "a.yaml", &format!("{STEPS}{steps}")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    compile(&scenario, Major(15), "local", None).unwrap()
}

#[test]
fn a_drill_with_a_fault_ends_with_what_postgresql_alone_says() {
    let names = |plan: &Plan| plan.steps.iter().map(|step| step.act.name()).collect::<Vec<_>>();
    let faulty = plan("  - fault: segment-missing\n  - recover\n");
    assert_eq!(names(&faulty)[names(&faulty).len() - 4..], ["fault", "recover", "check", "bare-recovery"]);
    assert_eq!(faulty.faults(), [Fault::SegmentMissing]);
    // What is done to the recovered server no target could have told.
    let after = plan("  - recover\n  - fault: row-deleted\n  - check\n");
    assert_eq!(names(&after).last(), Some(&"check"));
    assert_eq!(names(&plan("  - recover\n")).last(), Some(&"check"));
}

#[test]
fn mutants_are_of_what_the_scenario_has_and_captures_are_of_all_that_could_notice_them() {
    let text = format!("{STEPS}  - recover\n  - check: {{ row-counts: all }}\n");
    let scenario = parse("a", "a.yaml", &text).unwrap();
    let mut mutated = compile(&scenario, Major(15), "local", None).unwrap();
    add_mutants(&mut mutated, &scenario).unwrap();
    let Some(Act::Mutants(mutants)) = mutated.steps.last().map(|step| &step.act) else {
        panic!("{mutated:?}")
    };
    assert_eq!(mutants.checks, [Check::RowCounts]);
    assert_eq!(mutated.mutants(), mutants.faults);
    for (fault, there) in [
        (Fault::TarCut, true),
        (Fault::SegmentMissing, true),
        (Fault::TablespaceMissing, false),
        (Fault::OldBackupAsNew, false),
        (Fault::FileUnreadable, false),
        (Fault::AutoConfEdited, false),
        (Fault::RowDeleted, false),
    ] {
        assert_eq!(mutants.faults.contains(&fault), there, "{fault}");
    }
    let captured = |step: &Act| match step {
        Act::Capture { checks, .. } => Some(checks.len()),
        _ => None,
    };
    let every = Check::all_of(true).len();
    assert!(mutated.steps.iter().filter_map(|step| captured(&step.act)).all(|count| count == every));
    assert!(FAULTS.iter().filter(|entry| entry.fault.makes_mutants()).count() >= 30);
}

#[test]
fn a_plan_that_can_have_no_mutants_says_why_and_stays_as_it_is() {
    for (steps, why) in [
        ("  - recover\nexpect: { verdict: disproven }\n", "the scenario says that it must not be proven"),
        ("  - fault: archive-littered\n  - recover\n", "the scenario makes faults of its own"),
        ("  - sweep\n", "the scenario recovers nothing that it checks"),
    ] {
        let scenario = parse("a", "a.yaml", &format!("{STEPS}{steps}")).unwrap();
        let mut mutated = compile(&scenario, Major(15), "local", None).unwrap();
        let before = mutated.clone();
        assert_eq!(add_mutants(&mut mutated, &scenario), Err(why));
        assert_eq!(mutated, before);
    }
}
