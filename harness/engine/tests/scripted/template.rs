//! What fails while a cluster is kept as a template, or copied from one.

use std::fs;
use std::path::PathBuf;

use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::scripted::{Call, Fault, What};

use super::stage::{Stage, local, plan};

/// As much of a drill as shows that its cluster is sound.
const DRILL: &str = "title: a drill whose cluster is kept
data: { orders: 200 }
tablespaces: { history: [AuditLog] }
steps:
  - backup: { format: plain }
  - disaster: kill
  - recover
  - check: { row-counts: all }
";

fn stage() -> Stage {
    Stage { templates_by: Some("these tests".to_owned()), ..Stage::new() }
}

/// What is in the directory of templates.
fn templates(stage: &Stage) -> Vec<PathBuf> {
    let entries = fs::read_dir(stage.base().join("templates"));
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

async fn calls(stage: &Stage) -> Vec<Call> {
    let runtime = local();
    let plan = plan(&runtime, DRILL).await;
    let played = stage.play(&plan, &runtime, stage.script()).await;
    assert_eq!(played.run.verdict, Verdict::Proven, "{}\n{}", played.run.reason, played.script);
    played.script.calls()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_by_which_a_template_is_made_fails_in_turn() {
    let usual = calls(&Stage::new()).await;
    let kept = stage();
    let more: Vec<Call> = calls(&kept).await.into_iter().filter(|call| !usual.contains(call)).collect();
    assert_eq!(templates(&kept).len(), 1);
    assert!(more.iter().any(|call| call.what == What::Run("ldd".to_owned())), "{more:?}");
    let runtime = local();
    let plan = plan(&runtime, DRILL).await;
    for call in more {
        for fault in Fault::all_for(&call.what) {
            let stage = stage();
            let what = format!("{call} {fault:?}");
            // Without it nobody knows what makes the cluster, and none is kept. What was not waited for has ended all the
            // same, a moment later.
            let asks = call.what == What::Run("ldd".to_owned());
            let proven = asks && !matches!(fault, Fault::Hangs);
            let either = matches!(call.what, What::Wait(_));
            let played = stage.play(&plan, &runtime, stage.script().fail(&call, fault)).await;
            assert!(played.script.failed(), "{what} was not met\n{}", played.script);
            let verdict = played.run.verdict;
            assert!(
                either || (verdict == Verdict::Proven) == proven,
                "{what}: {verdict:?}\n{}",
                played.script
            );
            assert_ne!(verdict, Verdict::Disproven, "{what}\n{}", played.script);
            assert!(!asks || templates(&stage).is_empty(), "{what}");
            assert!(templates(&stage).iter().all(|path| path.join("template.json").is_file()), "{what}");
        }
    }
}

/// A person loses patience while a server does not come up on a copy, or does not stop for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_interrupts_leaves_nothing_half_made() {
    let runtime = local();
    let plan = plan(&runtime, DRILL).await;
    for (what, nth) in [(What::Spawn("postgres".to_owned()), 1), (What::Spawn("postgres".to_owned()), 2)] {
        let call = Call { server: "primary".to_owned(), what, nth };
        let stage = stage();
        let interrupt = stage.interrupt.clone();
        let script = stage.script().fail(&call, Fault::Hangs).when_stuck(move |_| interrupt.cancel());
        let played = stage.play(&plan, &runtime, script).await;
        assert!(played.run.interrupted, "{call}");
        assert_eq!(templates(&stage).len(), nth - 1, "{call}");
    }
}
