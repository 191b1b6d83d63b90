//! What the record of an incident says of the runbook: step by step, and along its timeline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use pgdrill_model::event::Happening;
use pgdrill_model::evidence::Evidence;
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::runbook::{Budget, Part, State, Step, Timeline, is_rehearsed, of};
use pgdrill_testkit::sample;

fn state(runs: &[Run], step: Step) -> State {
    of(runs).into_iter().find(|(entry, _)| entry.step == step).unwrap().1
}

#[test]
fn an_incident_proves_what_it_did_and_nothing_else() {
    let run = sample::incident();
    assert!(is_rehearsed(&run));
    let all = of(std::slice::from_ref(&run));
    let count = |name: &str| all.iter().filter(|(_, state)| state.name() == name).count();
    assert_eq!((count("proven"), count("disproven"), count("by hand")), (25, 0, 2));
    for step in [Step::AlertArchiving, Step::RollbackFailed, Step::RollbackCorrupt] {
        assert_eq!(state(std::slice::from_ref(&run), step), State::NotRehearsed);
    }
}

#[test]
fn what_failed_in_one_drill_is_not_made_good_by_another() {
    let good = sample::incident();
    let mut events = good.events.clone();
    for event in &mut events {
        if let Happening::Measured(Evidence::Application(application)) = &mut event.what {
            let order = application.asked.iter_mut().find(|asked| asked.what == "place an order").unwrap();
            order.wrong = Some("status 500".to_owned());
        }
    }
    let bad = fold(&events).unwrap();
    for runs in [[good.clone(), bad.clone()], [bad, good]] {
        assert_eq!(state(&runs, Step::PlaceOrder), State::Disproven("status 500".to_owned()));
        assert!(matches!(state(&runs, Step::Portfolio), State::Proven(_)));
    }
}

#[test]
fn a_drill_that_rehearses_nothing_of_the_runbook_says_nothing_of_it() {
    let runs = [sample::proven(), sample::second_disaster()];
    assert!(!runs.iter().any(is_rehearsed));
    let told =
        of(&runs).into_iter().filter(|(_, state)| !matches!(state, State::NotRehearsed | State::ByHand));
    assert_eq!(told.count(), 0);
    assert_eq!(Timeline::of(&sample::incident()).unwrap().moments.len(), 8);
}

#[test]
fn a_timeline_goes_from_the_loss_to_the_application_and_knows_a_budget_that_was_not_kept() {
    let timeline = Timeline::of(&sample::incident()).unwrap();
    let names: Vec<&str> = timeline.moments.iter().map(|moment| moment.name).collect();
    assert_eq!(names, ["detect", "decide", "stop", "copy", "restore", "replay", "verify", "application up"]);
    for pair in timeline.moments.windows(2) {
        // Each begins where the one before it ended; events are told between them.
        let end = pair[0].began + pair[0].took;
        assert!(pair[1].began.abs_diff(end) < Duration::from_millis(20), "{pair:?}");
    }
    assert!(timeline.budgets.iter().all(Budget::kept));

    // Somebody took an hour to start the application.
    let mut events = sample::incident().events;
    let at = events
        .iter()
        .rposition(|event| matches!(&event.what, Happening::Measured(Evidence::Application(_))))
        .unwrap();
    let begun =
        events[..at].iter().rposition(|event| matches!(event.what, Happening::StepStarted { .. })).unwrap();
    for event in &mut events[begun..] {
        event.at_us += 3_600_000_000;
    }
    let late = Timeline::of(&fold(&events).unwrap()).unwrap();
    let kept: Vec<(Part, bool)> = late.budgets.iter().map(|budget| (budget.part, budget.kept())).collect();
    assert_eq!(kept, [(Part::Response, true), (Part::Recovery, true), (Part::Application, false)]);
}
