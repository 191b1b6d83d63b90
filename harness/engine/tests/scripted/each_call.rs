//! Each call that a whole drill makes of the world fails in turn, in each way in which such a call can fail.
//!
//! The calls are those of a drill in which nothing fails, so one that is added to the engine is covered from then on,
//! and must end in anything but `proven` until the table of what is expected knows better. A case takes as long as the
//! drill up to its call, at most a second and a half: with C calls, about 2 C seconds in all, shared by the shards.

use pgdrill_engine::execute::Keep;
use pgdrill_model::code::Code;
use pgdrill_model::event::StepStatus;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::scripted::{Call, Fault, Script, What};
use rstest::rstest;

use super::expected::{Expected, expected};
use super::stage::{Stage, WHOLE_DRILL, local, plan};

/// How many tests share the cases, so that they run beside each other.
const SHARDS: usize = 6;

/// The calls of a drill in which nothing fails.
async fn calls(keep: Keep) -> Vec<Call> {
    let runtime = local();
    let plan = plan(&runtime, WHOLE_DRILL).await;
    let stage = Stage { keep, ..Stage::new() };
    let played = stage.play(&plan, &runtime, stage.script()).await;
    assert_eq!(played.run.verdict, Verdict::Proven, "{}\n{}", played.run.reason, played.script);
    assert!(played.run.findings.is_empty(), "{}", played.script);
    let mut calls = played.script.calls();
    calls.sort_by_key(ToString::to_string);
    calls
}

async fn meets(call: &Call, fault: Fault, keep: Keep) {
    let runtime = local();
    let plan = plan(&runtime, WHOLE_DRILL).await;
    let what = format!("{call} {fault:?}");
    let stage = Stage { keep, ..Stage::new() };
    let expected = expected(call, &fault);
    let played = stage.play(&plan, &runtime, stage.script().fail(call, fault)).await;
    assert!(played.script.failed(), "{what} was not met\n{}", played.script);
    match expected {
        Expected::Ends(verdict, codes) => {
            for code in codes {
                played.assert_is(verdict, code, &what);
            }
        }
        Expected::NotProven => {
            assert_ne!(played.run.verdict, Verdict::Proven, "{what}\n{}", played.script);
        }
        Expected::ProvenAllTheSame(why) => {
            assert_eq!(
                played.run.verdict,
                Verdict::Proven,
                "{what} ({why}): {}\n{}",
                played.run.reason,
                played.script
            );
        }
    }
}

/// Each case whose number falls to this shard.
async fn cases(shard: usize, cases: impl Iterator<Item = (Call, Fault)>, keep: Keep) {
    let mut number = 0;
    for (call, fault) in cases {
        number += 1;
        if number % SHARDS == shard {
            meets(&call, fault, keep).await;
        }
    }
    assert!(number > 0, "there is nothing to try");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_fails_in_turn(#[values(0, 1, 2, 3, 4, 5)] shard: usize) {
    let all = calls(Keep::Never).await.into_iter();
    let all =
        all.flat_map(|call| Fault::all_for(&call.what).into_iter().map(move |fault| (call.clone(), fault)));
    cases(shard, all, Keep::Never).await;
}

/// What is asked only where a workspace is kept: its servers are stopped in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_of_an_orderly_stop_fails_in_turn() {
    let usual = calls(Keep::Never).await;
    let more = calls(Keep::Always).await.into_iter().filter(|call| !usual.contains(call));
    let all =
        more.flat_map(|call| Fault::all_for(&call.what).into_iter().map(move |fault| (call.clone(), fault)));
    for (call, fault) in all {
        meets(&call, fault, Keep::Always).await;
    }
}

/// A person loses patience while a call does not return.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_interrupts_at_each_call(#[values(0, 1)] shard: usize) {
    let runtime = local();
    let plan = plan(&runtime, WHOLE_DRILL).await;
    // What ends servers is waited for after an interrupt too, up to its own bound.
    let ends = |call: &Call| call.what == What::Close || call.what == What::Run("ipcrm".to_owned());
    let calls =
        calls(Keep::Never).await.into_iter().filter(|call| Fault::Hangs.fits(&call.what) && !ends(call));
    for (_, call) in calls.enumerate().filter(|(number, _)| number % 2 == shard) {
        let stage = Stage::new();
        let interrupt = stage.interrupt.clone();
        let script = Script::new().fail(&call, Fault::Hangs).when_stuck(move |_| interrupt.cancel());
        let played = stage.play(&plan, &runtime, script).await;
        let what = format!("interrupted in {call}");
        played.assert_is(Verdict::Unverified, Code::Interrupted, &what);
        assert!(played.run.interrupted, "{what}");
        let open = played.run.steps.iter().filter(|step| step.status == StepStatus::Interrupted);
        assert_eq!(open.count(), 1, "{what}\n{}", played.script);
    }
}
