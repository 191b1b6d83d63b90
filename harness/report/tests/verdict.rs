//! Worse evidence never gives a better verdict, and what is not proven looks proven in no face. Evidence is made
//! worse at random, event by event, from the sample runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use pgdrill_model::check::Check;
use pgdrill_model::code::{CODES, Weight};
use pgdrill_model::event::{Event, Happening, StepStatus};
use pgdrill_model::evidence::{CheckStatus, Evidence};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;
use pgdrill_report::{Style, json, junit, text};
use pgdrill_testkit::sample;
use proptest::prelude::*;
use proptest::sample::Index;

/// One way to make evidence worse.
#[derive(Clone, Debug)]
enum Worse {
    /// Something more is found.
    Found(Index, bool),
    /// A check that held fails, and says so or does not.
    CheckFails(Index, bool),
    /// A check that held did not run.
    CheckDoesNotRun(Index),
    /// A check that held looked at nothing.
    CheckSeesNothing(Index),
    /// A step that was done ends in another way.
    StepEnds(Index, u8),
    /// The recovery takes longer.
    Slower(u64),
    /// The first write never comes.
    NoFirstWrite,
    /// A person ends it.
    Interrupted,
}

fn worse() -> impl Strategy<Value = Worse> {
    prop_oneof![
        (any::<Index>(), any::<bool>()).prop_map(|(code, by_check)| Worse::Found(code, by_check)),
        (any::<Index>(), any::<bool>()).prop_map(|(check, says)| Worse::CheckFails(check, says)),
        any::<Index>().prop_map(Worse::CheckDoesNotRun),
        any::<Index>().prop_map(Worse::CheckSeesNothing),
        (any::<Index>(), 0..3_u8).prop_map(|(step, how)| Worse::StepEnds(step, how)),
        (0..60_000_000_u64).prop_map(Worse::Slower),
        Just(Worse::NoFirstWrite),
        Just(Worse::Interrupted),
    ]
}

fn make_worse(events: &mut Vec<Event>, worse: &Worse) {
    let mut add = None;
    match worse {
        Worse::Found(code, by_check) => {
            let mut finding = Finding::new(code.get(CODES).code, Stage::Check, "something more");
            finding.check = by_check.then_some(Check::RowCounts);
            add = Some(finding);
        }
        Worse::CheckFails(check, says) => {
            let check = *check.get(&Check::all());
            each_check(events, check, |status, _| *status = CheckStatus::Failed);
            add = says.then(|| Finding::new(check.entry().codes[0], Stage::Check, "it failed").by(check));
        }
        Worse::CheckDoesNotRun(check) => {
            each_check(events, *check.get(&Check::all()), |status, _| {
                *status = CheckStatus::NotRun;
            });
        }
        Worse::CheckSeesNothing(check) => {
            each_check(events, *check.get(&Check::all()), |_, examined| *examined = 0);
        }
        Worse::StepEnds(index, how) => {
            let other = [StepStatus::Failed, StepStatus::Interrupted, StepStatus::NotRun][usize::from(*how)];
            let steps = sample::header().plan.len();
            for event in events.iter_mut() {
                if let Happening::StepEnded { step, status, .. } = &mut event.what
                    && *step == index.index(steps)
                {
                    *status = other;
                }
            }
        }
        Worse::Slower(us) => each_rto(events, |rto| rto.map(|measured| measured + us)),
        Worse::NoFirstWrite => each_rto(events, |_| None),
        Worse::Interrupted => {
            for event in events.iter_mut() {
                if let Happening::RunEnded { interrupted } = &mut event.what {
                    *interrupted = true;
                }
            }
        }
    }
    if let Some(finding) = add {
        let mut event = events[0].clone();
        event.what = Happening::Found(finding);
        events.insert(1, event);
    }
}

fn each_check(events: &mut [Event], check: Check, change: impl Fn(&mut CheckStatus, &mut u64)) {
    for event in events {
        if let Happening::Measured(Evidence::Check(record)) = &mut event.what
            && record.check == check
            && record.status == CheckStatus::Held
        {
            change(&mut record.status, &mut record.examined);
        }
    }
}

fn each_rto(events: &mut [Event], change: impl Fn(Option<u64>) -> Option<u64>) {
    for event in events {
        if let Happening::Measured(Evidence::Recovery(recovery)) = &mut event.what {
            recovery.rto_us = change(recovery.rto_us);
        }
    }
}

/// What must hold of every run without an expectation, however it came about.
fn is_honest(run: &Run) {
    let complete = run.checks.iter().all(|record| record.status == CheckStatus::Held && record.examined > 0)
        && run.steps.iter().all(|step| step.status == StepStatus::Done)
        && run.header.checks.iter().all(|check| run.checks.iter().any(|record| record.check == *check))
        && run.findings.iter().all(|finding| finding.weight == Weight::Notes);
    assert_eq!(run.verdict == Verdict::Proven, complete, "{}", run.reason);
    assert_eq!(
        run.verdict == Verdict::Disproven,
        run.findings.iter().any(|finding| finding.weight == Weight::Disproves),
        "{}",
        run.reason
    );
    assert!(!run.reason.is_empty());
    let words = text::drill(run, Style::default());
    assert_eq!(words.starts_with("PROVEN: "), complete);
    assert_eq!(words.lines().last().unwrap().starts_with("PROVEN: "), complete);
    let xml = junit::runs(std::slice::from_ref(run)).unwrap();
    assert_eq!(!xml.contains("<failure ") && !xml.contains("<error "), complete);
    assert_eq!(json::runs(std::slice::from_ref(run), 2).contains("  \"verdict\": \"proven\""), complete);
    let summary = text::summary(std::slice::from_ref(run), Style::default());
    assert_eq!(summary.ends_with("1 drill: 1 proven\n"), complete);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn worse_evidence_never_gives_a_better_verdict(
        from_proven in any::<bool>(),
        steps in prop::collection::vec(worse(), 1..6),
    ) {
        let mut events =
            if from_proven { sample::proven_story() } else { sample::disproven_story() }.events();
        let mut before = fold(&events).unwrap().verdict;
        for step in &steps {
            // The time that the objective bounds is one fact: a breach that is no longer measured is not worse
            // evidence, but less of it.
            if matches!(step, Worse::NoFirstWrite) && before == Verdict::Disproven {
                continue;
            }
            make_worse(&mut events, step);
            let run = fold(&events).unwrap();
            is_honest(&run);
            prop_assert!(run.verdict >= before, "{step:?} turned {before} into {}", run.verdict);
            before = run.verdict;
        }
    }

    #[test]
    fn missing_evidence_never_proves_anything(
        keep in prop::collection::vec(any::<bool>(), 60),
        end in any::<Index>(),
    ) {
        // Losing the finding itself is losing the evidence; everything else may be lost.
        let all = sample::disproven_story().events();
        let kept = |(index, event): &(usize, &Event)| {
            *index == 0 || matches!(event.what, Happening::Found(_)) || keep[index % keep.len()]
        };
        let events: Vec<Event> = all.iter().enumerate().filter(kept).map(|(_, event)| event.clone()).collect();
        prop_assert_ne!(fold(&events).unwrap().verdict, Verdict::Proven);

        let all = sample::proven_story().events();
        let cut = &all[..1 + end.index(all.len() - 1)];
        let run = fold(cut).unwrap();
        is_honest(&run);
        prop_assert_eq!(run.verdict, Verdict::Unverified);
    }
}

#[test]
fn no_single_event_of_a_step_a_check_or_the_end_can_be_missing() {
    let all = sample::proven_story().events();
    for index in 1..all.len() {
        let mut events = all.clone();
        let missing = events.remove(index).what;
        let matters = matches!(
            missing,
            Happening::StepEnded { .. }
                | Happening::TornDown(_)
                | Happening::RunEnded { .. }
                | Happening::Measured(
                    Evidence::Check(_) | Evidence::Recovery(_) | Evidence::Backup(_) | Evidence::Baseline(_)
                )
        );
        let run = fold(&events).unwrap();
        is_honest(&run);
        assert_eq!(run.verdict == Verdict::Proven, !matters, "{missing:?}");
    }
}
