//! The events of a real drill made worse: what the judge's own property tests do with sample runs
//! (`model/tests/judge.rs`), done with what the engine really tells.

use pgdrill_model::event::Happening;
use pgdrill_model::judge::fold;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::worse::worse;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::stage::{Stage, WHOLE_DRILL, local, plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worse_evidence_of_a_real_drill_never_proves_anything() {
    let plan = plan(&local(), WHOLE_DRILL).await;
    let stage = Stage::new();
    let played = stage.play(&plan, &local(), stage.script()).await;
    assert_eq!(played.run.verdict, Verdict::Proven, "{}", played.script);
    let all = played.events;

    for index in 1..all.len() {
        assert_ne!(fold(&all[..index]).unwrap().verdict, Verdict::Proven, "cut at {:?}", all[index].what);
        let mut events = all.clone();
        let missing = events.remove(index).what;
        let told_elsewhere = matches!(missing, Happening::StepStarted { .. } | Happening::TeardownStarted);
        assert_eq!(fold(&events).unwrap().verdict == Verdict::Proven, told_elsewhere, "without {missing:?}");
    }

    let config = ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() };
    let degradations = prop::collection::vec(worse(), 1..8);
    TestRunner::new(config)
        .run(&degradations, |degradations| {
            let mut events = all.clone();
            let mut before = Verdict::Proven;
            for worse in &degradations {
                worse.apply(&mut events);
                let verdict = fold(&events).unwrap().verdict;
                prop_assert!(before == Verdict::Proven || verdict != Verdict::Proven, "{worse:?}");
                prop_assert!(worse.takes_away() || verdict >= before, "{worse:?}: {before}, then {verdict}");
                before = verdict;
            }
            Ok(())
        })
        .unwrap();
}
