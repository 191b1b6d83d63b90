//! The directories that a drill needs: not to be had, or gone in the middle.

use std::fs;

use pgdrill_engine::journal;
use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use rstest::rstest;

use super::stage::{Stage, WHOLE_DRILL, local, plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_whose_evidence_cannot_be_written_is_not_begun() {
    let plan = plan(&local(), WHOLE_DRILL).await;
    let stage = Stage::new();
    fs::write(stage.evidence(), "in the way").unwrap();
    let played = stage.play(&plan, &local(), stage.script()).await;
    played.assert_is(Verdict::Unverified, Code::WorkspaceUnusable, "no evidence directory");
    assert!(played.script.calls().is_empty(), "{}", played.script);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_without_a_workspace_asks_nothing_of_its_runtime() {
    let plan = plan(&local(), WHOLE_DRILL).await;
    let stage = Stage::new();
    fs::write(stage.base(), "in the way").unwrap();
    let played = stage.play(&plan, &local(), stage.script()).await;
    played.assert_is(Verdict::Unverified, Code::WorkspaceUnusable, "no workspace");
    let calls: Vec<String> = played.script.calls().iter().map(ToString::to_string).collect();
    assert_eq!(calls, ["runtime: owner"]);
}

/// The record is made of what was heard, not of the journal; a journal that is gone needs no removal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_goes_on_without_its_journal() {
    let plan = plan(&local(), WHOLE_DRILL).await;
    let stage = Stage::new();
    let evidence = stage.evidence();
    let script = stage.script().at_step(1, move |_| {
        let mut files = fs::read_dir(&evidence).unwrap().flatten();
        fs::remove_file(files.next().unwrap().path()).unwrap();
    });
    let played = stage.play(&plan, &local(), script).await;
    assert_eq!(played.run.verdict, Verdict::Proven, "{}", played.script);
}

/// The evidence directory is replaced by something else: nothing can be stored, and nothing else is the worse for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_whose_evidence_directory_goes_away_is_torn_down() {
    let plan = plan(&local(), WHOLE_DRILL).await;
    let stage = Stage::new();
    let evidence = stage.evidence();
    let script = stage.script().at_step(1, move |_| {
        fs::remove_dir_all(&evidence).unwrap();
        fs::write(&evidence, "in the way").unwrap();
    });
    let played = stage.play(&plan, &local(), script).await;
    assert!(journal::store(&stage.evidence(), "record.json", b"{}").is_err());
    assert!(played.run.teardown.is_some());
}

/// Somebody removes the workspace under the drill's feet.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_goes_away_proves_nothing(
    #[values("load-data", "backup", "disaster", "recover", "check")] step: &str,
) {
    let plan = plan(&local(), WHOLE_DRILL).await;
    let stage = Stage::new();
    let workspace = stage.workspace();
    let index = plan.steps.iter().position(|planned| planned.act.name() == step).unwrap();
    let script = stage.script().at_step(index, move |_| {
        // The server may make files while they are removed.
        while fs::remove_dir_all(&workspace).is_err() {
            assert!(workspace.exists());
        }
    });
    let played = stage.play(&plan, &local(), script).await;
    assert_ne!(played.run.verdict, Verdict::Proven, "{}", played.script);
}
