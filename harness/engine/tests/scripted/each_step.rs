//! Trouble that comes from outside at the beginning of each step: a person interrupts, the time is over, the server
//! dies, the server cannot be reached.

use std::fs;
use std::sync::Arc;

use pgdrill_engine::execute::Keep;
use pgdrill_model::code::{Code, Weight};
use pgdrill_model::event::StepStatus;
use pgdrill_model::finding::Stage as Part;
use pgdrill_model::plan::Plan;
use pgdrill_model::verdict::Verdict;
use rstest::rstest;

use super::stage::{FOR_EVER, Played, Stage, WHOLE_DRILL, local, plan};

async fn whole() -> Plan {
    plan(&local(), WHOLE_DRILL).await
}

/// The step failed or was interrupted; those before it were done, and none after it was tried.
fn assert_ended_at(played: &Played, step: usize, status: StepStatus) {
    for (index, record) in played.run.steps.iter().enumerate() {
        let expected = match index.cmp(&step) {
            std::cmp::Ordering::Less => StepStatus::Done,
            std::cmp::Ordering::Equal => status,
            std::cmp::Ordering::Greater => StepStatus::NotRun,
        };
        assert_eq!(record.status, expected, "step {index}, {}\n{}", record.planned.name, played.script);
    }
}

/// The step that is cut short when something happens as `step` begins: a step that is done before anybody looks counts as
/// done, and then it is the next one.
fn cut_short(played: &Played, step: usize) -> usize {
    step + usize::from(played.run.steps[step].status == StepStatus::Done)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_interrupts_at_each_step(#[values(Keep::Never, Keep::OnFailure)] keep: Keep) {
    let plan = whole().await;
    for step in 0..plan.steps.len() {
        let stage = Stage { keep, ..Stage::new() };
        let interrupt = stage.interrupt.clone();
        let script = stage.script().at_step(step, move |_| interrupt.cancel());
        let played = stage.play(&plan, &local(), script).await;
        played.assert_is(Verdict::Unverified, Code::Interrupted, &format!("step {step}"));
        assert!(played.run.interrupted);
        assert_ended_at(&played, cut_short(&played, step), StepStatus::Interrupted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_is_over_at_each_step() {
    let plan = whole().await;
    for step in 0..plan.steps.len() {
        let stage = Stage::new();
        let clock = Arc::clone(&stage.clock);
        let script = stage.script().at_step(step, move |_| clock.pass(FOR_EVER));
        let played = stage.play(&plan, &local(), script).await;
        played.assert_is(Verdict::Unverified, Code::TimeLimit, &format!("step {step}"));
        assert_ended_at(&played, cut_short(&played, step), StepStatus::Failed);
    }
}

/// Somebody else kills the server, as the kernel does when memory runs out. That is no proof against the backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_at_each_step() {
    let plan = whole().await;
    for (step, planned) in plan.steps.iter().enumerate().skip(1) {
        let stage = Stage::new();
        let server = if planned.act.stage() <= Part::Recover { "primary" } else { "restored" };
        let script = stage.script().at_step(step, move |script| script.kill(server));
        let played = stage.play(&plan, &local(), script).await;
        let name = planned.act.name();
        match name {
            // What the disaster would do was done; and by then the primary is gone.
            "disaster" | "recover" => assert_eq!(played.run.verdict, Verdict::Proven, "{}", played.script),
            "load-data" => {
                played.assert_is(Verdict::Unverified, Code::LoadFailed, name);
                assert_ended_at(&played, step, StepStatus::Failed);
            }
            _ => {
                played.assert_is(Verdict::Unverified, Code::ServerLost, name);
                assert_ended_at(&played, step, StepStatus::Failed);
            }
        }
        assert!(
            !played.run.findings.iter().any(|finding| finding.weight == Weight::Bug),
            "{}",
            played.script
        );
    }
}

/// The server runs, and nobody comes through to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_cannot_be_reached_at_each_step() {
    let plan = whole().await;
    for (step, planned) in plan.steps.iter().enumerate().skip(1) {
        let name = planned.act.name();
        if matches!(name, "disaster" | "recover") {
            continue;
        }
        let stage = Stage::new();
        let server = if planned.act.stage() <= Part::Recover { "primary" } else { "restored" };
        let socket = stage.workspace().join("socket").join(server).join(".s.PGSQL.5432");
        let script = stage.script().at_step(step, move |_| fs::remove_file(&socket).unwrap());
        let played = stage.play(&plan, &local(), script).await;
        // Each check says for itself that it did not run, and those that need no connection do.
        let (code, status) = match name {
            "load-data" => (Code::LoadFailed, StepStatus::Failed),
            "check" => (Code::CheckNotRun, StepStatus::Done),
            _ => (Code::ServerLost, StepStatus::Failed),
        };
        played.assert_is(Verdict::Unverified, code, name);
        assert_ended_at(&played, step, status);
    }
}
