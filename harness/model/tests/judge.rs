//! Worse evidence never gives a better verdict. Evidence is made worse at random, event by event, from the sample runs:
//! more is found, checks fail or see nothing, steps end otherwise, events are told twice or not at all, the journal is
//! cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use pgdrill_model::check::Check;
use pgdrill_model::code::{Code, Weight};
use pgdrill_model::event::{Event, Happening, StepStatus};
use pgdrill_model::evidence::{CheckStatus, Evidence, FailoverEvidence};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Expect;
use pgdrill_model::units::Lsn;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::sample;
use pgdrill_testkit::worse::{Point, Precaution, Worse, worse};
use proptest::prelude::*;
use proptest::sample::Index;

/// What must hold of every run without an expectation, however it came about.
fn assert_honest(run: &Run) {
    if run.verdict == Verdict::Proven {
        assert!(run.steps.iter().all(|step| step.status == StepStatus::Done), "{}", run.reason);
        assert!(run.checks.iter().all(|check| check.status == CheckStatus::Held && check.examined > 0));
        assert!(run.header.checks.iter().all(|check| run.checks.iter().any(|record| record.check == *check)));
        assert!(run.teardown.is_some() && !run.interrupted);
        assert!(run.findings.iter().all(|finding| finding.weight == Weight::Notes));
    }
    let disproves = run.findings.iter().any(|finding| finding.weight == Weight::Disproves);
    assert_eq!(run.verdict == Verdict::Disproven, disproves, "{}", run.reason);
}

/// Every finding that was told is in the record.
fn assert_keeps_findings(events: &[Event], run: &Run) {
    for event in events {
        if let Happening::Found(finding) = &event.what {
            assert!(run.findings.contains(finding), "{finding:?} is not in the record");
        }
    }
}

/// The sample runs that an expectation can be put on.
fn stories() -> Vec<Vec<Event>> {
    vec![
        sample::proven_story().events(),
        sample::disproven_story().events(),
        sample::unverified().events,
        sample::expectation_met().events,
        sample::interrupted().events,
        sample::died().events,
        sample::second_disaster().events,
        sample::sweep().events,
        sample::noticed_story().events(),
        sample::mutants_story().events(),
        sample::alarmed_story().events(),
        sample::alarm_to_rollback().events,
        sample::incident().events,
        sample::as_written_story().events(),
        sample::corrected_story().events(),
        sample::repeated_story(None).events(),
        sample::given_story(4, 201_000, None).events(),
        sample::given_story(3, 130_000, Some(20)).events(),
    ]
}

/// Those in which everything held.
fn proven() -> [Vec<Event>; 7] {
    [
        sample::proven_story().events(),
        sample::second_disaster().events,
        sample::sweep().events,
        sample::alarm_to_rollback().events,
        sample::incident().events,
        sample::corrected_story().events(),
        sample::repeated_story(None).events(),
    ]
}

fn expecting(mut events: Vec<Event>, expect: Option<Expect>) -> Vec<Event> {
    if let Happening::RunStarted(header) = &mut events[0].what {
        header.expect = expect;
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn worse_evidence_never_gives_a_better_verdict(
        story in any::<Index>(),
        degradations in prop::collection::vec(worse(), 1..8),
    ) {
        let mut events = expecting(story.get(&stories()).clone(), None);
        let mut before = fold(&events).unwrap().verdict;
        for worse in &degradations {
            worse.apply(&mut events);
            let run = fold(&events).unwrap();
            assert_honest(&run);
            assert_keeps_findings(&events, &run);
            if before != Verdict::Proven {
                prop_assert_ne!(run.verdict, Verdict::Proven, "{:?} proved it", worse);
            }
            if !worse.takes_away() {
                prop_assert!(run.verdict >= before, "{worse:?} turned {before} into {}", run.verdict);
            }
            before = run.verdict;
        }
    }

    /// A drill that must end in a certain way is not proven by a trouble of another kind, or by knowing less.
    #[test]
    fn an_expectation_is_met_by_nothing_but_what_is_expected(
        story in any::<Index>(),
        code in prop::sample::select(vec![Code::UnpackFailed, Code::RowCountMismatch, Code::RecoveryFailed]),
        stage in prop::option::of(prop::sample::select(vec![Stage::Recover, Stage::Check])),
        degradations in prop::collection::vec(worse(), 1..8),
    ) {
        let expect = Expect { verdict: Verdict::Disproven, finding: Some(code), stage };
        let mut events = expecting(story.get(&stories()).clone(), Some(expect));
        let mut before = fold(&events).unwrap().verdict;
        // A check that failed and did not say why is a bug of ours, until it says so.
        let unexplained = |worse: &Worse| matches!(worse, Worse::CheckFails(_, false));
        for worse in degradations.iter().filter(|worse| worse.adds() != Some(code) && !unexplained(worse)) {
            worse.apply(&mut events);
            let run = fold(&events).unwrap();
            assert_keeps_findings(&events, &run);
            if before != Verdict::Proven {
                prop_assert_ne!(run.verdict, Verdict::Proven, "{:?} proved it: {}", worse, run.reason);
            }
            before = run.verdict;
        }
    }

    #[test]
    fn a_journal_that_was_cut_proves_nothing(end in any::<Index>(), story in any::<Index>()) {
        let all = story.get(&stories()).clone();
        let cut = &all[..1 + end.index(all.len() - 1)];
        prop_assert_ne!(fold(cut).unwrap().verdict, Verdict::Proven);
    }

    #[test]
    fn missing_evidence_never_proves_anything(keep in prop::collection::vec(any::<bool>(), 60)) {
        // Losing the finding itself is losing the evidence; everything else may be lost.
        let all = sample::disproven_story().events();
        let kept = |(index, event): &(usize, &Event)| {
            *index == 0 || matches!(event.what, Happening::Found(_)) || keep[index % keep.len()]
        };
        let events: Vec<Event> = all.iter().enumerate().filter(kept).map(|(_, event)| event.clone()).collect();
        prop_assert_ne!(fold(&events).unwrap().verdict, Verdict::Proven);
    }
}

/// What a proven run can do without: a beginning that its end tells too, and the beginning of the teardown.
fn is_told_elsewhere(what: &Happening) -> bool {
    matches!(what, Happening::StepStarted { .. } | Happening::TeardownStarted | Happening::Progress { .. })
}

#[test]
fn no_single_event_of_a_proven_run_can_be_missing() {
    for all in proven() {
        for index in 1..all.len() {
            let mut events = all.clone();
            let missing = events.remove(index).what;
            let run = fold(&events).unwrap();
            assert_honest(&run);
            // What a server says of itself it says each time it is asked.
            let again = events.iter().any(|event| event.what == missing);
            let dispensable = again || is_told_elsewhere(&missing);
            assert_eq!(run.verdict == Verdict::Proven, dispensable, "without {missing:?}");
        }
    }
}

/// Makes each piece of evidence of a proven run worse by itself: none is proven any more.
fn assert_no_evidence_can_be_worse(what: &str, apply: impl Fn(&mut Evidence) -> bool) {
    assert_none_can_be_worse(what, |_| true, apply);
}

/// The same in those runs in which it matters.
fn assert_none_can_be_worse(
    what: &str,
    matters: impl Fn(&Event) -> bool,
    apply: impl Fn(&mut Evidence) -> bool,
) {
    let mut tried = 0;
    for all in proven().into_iter().filter(|all| all.iter().any(&matters)) {
        for index in 1..all.len() {
            let mut events = all.clone();
            let Happening::Measured(evidence) = &mut events[index].what else { continue };
            if apply(evidence) {
                tried += 1;
                let run = fold(&events).unwrap();
                assert_honest(&run);
                assert_ne!(run.verdict, Verdict::Proven, "{what} of {index}: {}", run.reason);
            }
        }
    }
    assert!(tried > 0, "{what} was tried on nothing");
}

/// Evidence of one recovery does not stand for that of another. (A mark alone cannot have the name of another.)
#[test]
fn no_evidence_about_a_point_in_time_can_be_worse_in_a_proven_run() {
    for point in Point::ALL.into_iter().filter(|point| *point != Point::MarkedTwice) {
        assert_no_evidence_can_be_worse(&format!("{point:?}"), |evidence| point.apply(evidence));
    }
}

#[test]
fn no_evidence_about_alarm_copy_rollback_and_runbook_can_be_worse_in_a_proven_run() {
    for precaution in Precaution::ALL {
        // A safety copy is what it says until somebody goes back to it.
        let matters = |event: &Event| {
            precaution != Precaution::CopiedSomethingElse
                || matches!(event.what, Happening::Measured(Evidence::Rollback(_)))
        };
        assert_none_can_be_worse(&format!("{precaution:?}"), matters, |evidence| precaution.apply(evidence));
    }
}

/// A step that began comes after steps that were done, whatever its own end says.
#[test]
fn a_step_that_began_and_was_not_run_meets_no_expectation() {
    let mut events = sample::expectation_met().events;
    for event in &mut events {
        match &mut event.what {
            Happening::StepEnded { step: 6, status, .. } => *status = StepStatus::Failed,
            Happening::StepEnded { step: 7, status, .. } => *status = StepStatus::NotRun,
            _ => {}
        }
    }
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Unverified);
}

/// A step that left something was begun, whatever its end says: so the one before it must have been done.
#[test]
fn a_step_that_left_something_and_was_not_run_meets_no_expectation() {
    let expect = Expect { verdict: Verdict::Disproven, finding: Some(Code::RowCountMismatch), stage: None };
    let met = expecting(sample::disproven_story().events(), Some(expect));
    assert_eq!(fold(&met).unwrap().verdict, Verdict::Proven);
    for without_its_beginning in [false, true] {
        let mut events = met.clone();
        for event in &mut events {
            match &mut event.what {
                Happening::StepEnded { step: 7, status, .. } => *status = StepStatus::Failed,
                Happening::StepEnded { step: 8, status, .. } => *status = StepStatus::NotRun,
                _ => {}
            }
        }
        if without_its_beginning {
            events.retain(|event| event.what != Happening::StepStarted { step: 8 });
        }
        assert_eq!(fold(&events).unwrap().verdict, Verdict::Unverified, "{without_its_beginning}");
    }
}

#[test]
fn what_is_told_twice_changes_nothing() {
    for all in proven().into_iter().chain([sample::disproven_story().events()]) {
        let verdict = fold(&all).unwrap().verdict;
        for index in 1..all.len() {
            for at in [index + 1, all.len()] {
                let mut events = all.clone();
                events.insert(at, all[index].clone());
                assert_eq!(fold(&events).unwrap().verdict, verdict, "{:?} told twice", all[index].what);
            }
        }
    }
}

fn told(events: &mut Vec<Event>, what: Happening) {
    let mut event = events[events.len() - 1].clone();
    event.what = what;
    events.push(event);
}

/// A step that failed has failed, and a run that was interrupted was, whatever is told afterwards.
#[test]
fn a_better_end_does_not_undo_a_worse_one() {
    let mut events = sample::proven_story().events();
    Worse::Interrupted.apply(&mut events);
    told(&mut events, Happening::RunEnded { interrupted: false });
    assert_ne!(fold(&events).unwrap().verdict, Verdict::Proven);

    for status in [StepStatus::Failed, StepStatus::Interrupted, StepStatus::NotRun] {
        let mut events = sample::proven_story().events();
        told(&mut events, Happening::StepEnded { step: 3, status, took_us: 1 });
        told(&mut events, Happening::StepEnded { step: 3, status: StepStatus::Done, took_us: 1 });
        assert_eq!(fold(&events).unwrap().verdict, Verdict::Unverified, "{status:?}");
    }

    let mut events = sample::proven_story().events();
    Worse::NotPromoted.apply(&mut events);
    told(&mut events, Happening::Measured(Evidence::Recovery(sample::recovery())));
    assert_ne!(fold(&events).unwrap().verdict, Verdict::Proven);
}

/// Two backups were planned, and only one left its evidence, twice.
#[test]
fn each_backup_of_a_plan_leaves_its_own_evidence() {
    let mut events = sample::proven_story().events();
    if let Happening::RunStarted(header) = &mut events[0].what {
        "backup".clone_into(&mut header.plan[3].name);
    }
    told(&mut events, Happening::Measured(Evidence::Backup(sample::backup())));
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Unverified);
    let mut second = sample::backup();
    "backup-2".clone_into(&mut second.name);
    told(&mut events, Happening::Measured(Evidence::Backup(second)));
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Proven);
}

#[test]
fn a_failover_leaves_evidence_of_its_own() {
    let mut events = sample::proven_story().events();
    if let Happening::RunStarted(header) = &mut events[0].what {
        "failover".clone_into(&mut header.plan[3].name);
    }
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Unverified);
    let failover = FailoverEvidence {
        from: "primary".to_owned(),
        to: "standby".to_owned(),
        timeline: 2,
        at: Lsn(0x0600_00D8),
        took_us: 126_000,
    };
    told(&mut events, Happening::Measured(Evidence::Failover(failover)));
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Proven);
}

/// The expected finding came, but there is no evidence that there was ever a backup to find it in.
#[test]
fn an_expectation_is_not_met_on_nothing() {
    let met = sample::expectation_met();
    assert_eq!(met.verdict, Verdict::Proven);
    for lost in ["backup", "capture", "disaster"] {
        let step = met.header.plan.iter().position(|planned| planned.name == lost).unwrap();
        let kept =
            |event: &&Event| !matches!(event.what, Happening::StepEnded { step: ended, .. } if ended == step);
        let events: Vec<Event> = met.events.iter().filter(kept).cloned().collect();
        assert_eq!(fold(&events).unwrap().verdict, Verdict::Unverified, "without the end of {lost}");
    }
    let kept = |event: &&Event| !matches!(event.what, Happening::Measured(Evidence::Backup(_)));
    let events: Vec<Event> = met.events.iter().filter(kept).cloned().collect();
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Unverified);
}

/// A finding that a check gave is a finding also where the check's own record is lost.
#[test]
fn a_finding_outlives_the_record_of_its_check() {
    let mut events = sample::proven_story().events();
    events.retain(|event| !matches!(event.what, Happening::Measured(Evidence::Check(_))));
    told(
        &mut events,
        Happening::Found(Finding::new(Code::RowCountMismatch, Stage::Check, "x").by(Check::RowCounts)),
    );
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Disproven);
}
