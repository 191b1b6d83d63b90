//! What repeated recoveries, and a baseline that they are held against, make of a verdict; and which plans can repeat one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use pgdrill_model::code::Code;
use pgdrill_model::event::{Event, Happening};
use pgdrill_model::evidence::Evidence;
use pgdrill_model::judge::fold;
use pgdrill_model::plan::{Act, add_repetitions, compile};
use pgdrill_model::regression::Baseline;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::parse;
use pgdrill_model::units::Major;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::sample;
use rstest::rstest;

/// A repeated drill, with something done to each of its repetitions.
fn changed(change: impl Fn(&mut pgdrill_model::evidence::RepetitionEvidence)) -> Run {
    let mut events = sample::repeated_story(None).events();
    for event in &mut events {
        if let Happening::Measured(Evidence::Repetition(repetition)) = &mut event.what {
            change(repetition);
        }
    }
    fold(&events).unwrap()
}

fn codes(run: &Run) -> Vec<Code> {
    run.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_recovery_that_comes_back_each_time_is_proven_and_the_slowest_counts() {
    let run = sample::repeated();
    assert_eq!((run.verdict, run.measured().count()), (Verdict::Proven, 5));
    let slowest = run.measured().map(|recovery| recovery.took_us).max();
    assert_eq!(run.objectives[0].measured_us, slowest);
    assert!(slowest > run.recoveries[0].rto_us);
}

#[test]
fn one_that_does_not_come_back_disproves_and_one_of_which_nobody_knows_unverifies() {
    let once = |observed: Verdict| {
        changed(|repetition| {
            if repetition.number == 3 {
                (repetition.observed, repetition.reason) = (observed, "12 rows are missing".to_owned());
            }
        })
    };
    let lost = once(Verdict::Disproven);
    assert_eq!((lost.verdict, codes(&lost)), (Verdict::Disproven, vec![Code::RecoveryNotRepeatable]));
    assert_eq!(lost.findings[0].message, "recovery 3 of 5: 12 rows are missing");
    let unknown = once(Verdict::Unverified);
    assert_eq!((unknown.verdict, codes(&unknown)), (Verdict::Unverified, vec![Code::RepetitionUndecided]));
}

#[test]
fn a_single_slow_one_misses_the_objective() {
    let run = changed(|repetition| {
        if repetition.number == 4 {
            repetition.rto_us = Some(999_000_000);
        }
    });
    assert_eq!((run.verdict, codes(&run)), (Verdict::Disproven, vec![Code::RtoExceeded]));
}

#[test]
fn a_repetition_that_left_nothing_unverifies() {
    let mut events: Vec<Event> = sample::repeated_story(None).events();
    let at = events
        .iter()
        .position(|event| matches!(&event.what, Happening::Measured(Evidence::Repetition(_))))
        .unwrap();
    events.remove(at);
    let run = fold(&events).unwrap();
    assert_eq!((run.verdict, codes(&run)), (Verdict::Unverified, vec![Code::RepetitionUndecided]));
    assert_eq!(run.findings[0].message, "4 of 5 recoveries left their times");
}

#[rstest]
#[case::as_fast_as_before(100, None)]
#[case::faster(150, None)]
#[case::slower(60, Some(Code::RecoverySlower))]
fn recoveries_are_held_against_those_before(#[case] percent: u64, #[case] code: Option<Code>) {
    let run = sample::repeated_story(Some(sample::recoveries_before(percent))).run();
    assert_eq!(codes(&run), code.into_iter().collect::<Vec<_>>(), "{:?}", run.findings);
    assert_eq!(run.verdict, if code.is_some() { Verdict::Disproven } else { Verdict::Proven });
    if let Some(finding) = run.findings.first() {
        assert!(
            finding.message.contains("most of it in replay: 7.9 s instead of 3.4 s"),
            "{}",
            finding.message
        );
    }
}

#[test]
fn a_baseline_that_says_nothing_unverifies() {
    let run = sample::repeated_story(Some(Baseline::default())).run();
    assert_eq!((run.verdict, codes(&run)), (Verdict::Unverified, vec![Code::ComparisonUndecided]));
    let mut few = sample::recoveries_before(60);
    few.times_us.truncate(1);
    let run = sample::repeated_story(Some(few)).run();
    assert_eq!((run.verdict, codes(&run)), (Verdict::Unverified, vec![Code::ComparisonUndecided]));
    assert!(run.findings[0].message.contains("at least 100 are needed"), "{}", run.findings[0].message);
}

#[test]
fn of_drills_that_shared_the_machine_times_are_not_compared() {
    let mut events = sample::repeated_story(Some(sample::recoveries_before(60))).events();
    let Happening::RunStarted(header) = &mut events[0].what else { panic!("it begins so") };
    header.jobs = 2;
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Proven);
}

#[test]
fn a_baseline_is_of_proven_runs_of_the_same_drill() {
    let run = sample::repeated();
    let kind = pgdrill_model::history::Kind::of(&run);
    let sha256 = run.header.scenario_sha256.clone();
    let baseline = Baseline::of([&run, &sample::disproven()], &kind, &sha256);
    assert_eq!((baseline.runs.len(), baseline.times_us.len()), (1, 5));
    assert_eq!(baseline.phases_us["replay"].len(), 5);
    assert_eq!(Baseline::of([&run], &kind, "another"), Baseline::default());
}

const WORKS: &str = "steps:\n  - backup\n  - disaster: kill\n  - recover\n";

#[rstest]
#[case::as_it_is(WORKS, None)]
#[case::checked(&format!("{WORKS}  - check: {{ row-counts: all }}\n"), None)]
#[case::it_must_fail(&format!("expect: {{ verdict: disproven }}\n{WORKS}"), Some("must not be proven"))]
#[case::a_fault(
    "steps:\n  - backup\n  - disaster: kill\n  - fault: file-extra\n  - recover\n",
    Some("faults of its own")
)]
#[case::more_to_it(&format!("{WORKS}  - check: {{ row-counts: all }}\n  - sql: SELECT 1\n"), Some("does more to what it recovered"))]
fn a_recovery_is_repeated_where_nothing_but_checks_follow_it(#[case] text: &str, #[case] why: Option<&str>) {
    let scenario = parse("a", "a.yaml", &format!("title: t\n{text}")).unwrap();
    let plan = compile(&scenario, Major(15), "local", None).unwrap();
    let mut repeated = plan.clone();
    match (add_repetitions(&mut repeated, &scenario, 3), why) {
        (Ok(()), None) => {
            let last = repeated.steps.last().map(|step| &step.act);
            assert!(matches!(last, Some(Act::Repeat(repeat)) if repeat.times == 3), "{last:?}");
            assert_eq!((repeated.repeat(), repeated.time_limit), (3, plan.time_limit * 3));
        }
        (Err(told), Some(why)) => {
            assert!(told.contains(why), "{told}");
            assert_eq!(repeated, plan);
        }
        (told, _) => panic!("{told:?}"),
    }
}
