//! What is not proven looks proven in no face. Evidence is made worse at random, event by event, from the sample runs;
//! which verdict that must give is for the tests of the judge (`model/tests/judge.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;
use pgdrill_report::{Style, html, json, junit, text};
use pgdrill_testkit::sample;
use pgdrill_testkit::worse::worse;
use proptest::prelude::*;

/// Every face says what the verdict is, and nothing better.
fn is_honest(run: &Run) {
    let proven = run.verdict == Verdict::Proven;
    assert!(!run.reason.is_empty());
    let words = text::drill(run, Style::default());
    assert_eq!(words.starts_with("PROVEN: "), proven);
    assert_eq!(words.lines().last().unwrap().starts_with("PROVEN: "), proven);
    let xml = junit::runs(std::slice::from_ref(run)).unwrap();
    assert_eq!(!xml.contains("<failure ") && !xml.contains("<error "), proven);
    assert_eq!(json::runs(std::slice::from_ref(run), 2).contains("  \"verdict\": \"proven\""), proven);
    let page = html::runs(std::slice::from_ref(run), 0, &html::Terms::default());
    assert_eq!(page.contains("<h1><span aria-hidden=\"true\">✓</span> PROVEN</h1>"), proven);
    let summary = text::summary(std::slice::from_ref(run), Style::default());
    assert_eq!(summary.ends_with("1 drill: 1 proven\n"), proven);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_proven_looks_proven_in_no_face(
        from_proven in any::<bool>(),
        degradations in prop::collection::vec(worse(), 0..6),
    ) {
        let mut events =
            if from_proven { sample::proven_story() } else { sample::disproven_story() }.events();
        degradations.iter().for_each(|worse| worse.apply(&mut events));
        is_honest(&fold(&events).unwrap());
    }
}
