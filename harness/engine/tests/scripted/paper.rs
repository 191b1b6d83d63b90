//! Everything up to the first connection to a server, on paper: no program runs, no server is there, and the clock
//! moves when it is looked at. These tests need no PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::StepStatus;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use pgdrill_model::verdict::Verdict;
use pgdrill_model::world::{Exit, Owner, Runtime};
use pgdrill_testkit::clock::ManualClock;
use pgdrill_testkit::scripted::{Call, Fault, Paper, What};
use rstest::rstest;

use super::stage::{Played, Stage, WHOLE_DRILL, plan};

fn stage() -> Stage {
    Stage { clock: Arc::new(ManualClock::ticking(Duration::from_secs(1))), ..Stage::new() }
}

async fn play(paper: Paper, faults: &[(What, Fault)]) -> Played {
    let runtime: Arc<dyn Runtime> = Arc::new(paper);
    let plan = plan(&runtime, WHOLE_DRILL).await;
    let stage = stage();
    let script = faults.iter().fold(stage.script(), |script, (what, fault)| {
        let server = if *what == What::Owner { "runtime" } else { "primary" };
        script.fail(&Call { server: server.to_owned(), what: what.clone(), nth: 1 }, fault.clone())
    });
    stage.play(&plan, &runtime, script).await
}

fn paper() -> Paper {
    Paper::new([Major(17)])
}

fn initdb() -> What {
    What::Run("initdb".to_owned())
}

#[rstest]
#[case::nobody_to_run_as(What::Owner, Fault::Unable(Code::UserMissing), Code::UserMissing, None)]
#[case::no_place(What::Open, Fault::Unable(Code::PostgresMissing), Code::PostgresMissing, None)]
#[case::a_place_that_never_opens(What::Open, Fault::Hangs, Code::TimeLimit, None)]
#[case::no_program(initdb(), Fault::Unable(Code::ProgramMissing), Code::ProgramMissing, None)]
#[case::a_program_that_fails(
    initdb(),
    Fault::Exits(1, "error: a locale is missing"),
    Code::ServerStartFailed,
    Some("a locale is missing")
)]
#[case::a_full_disk(
    initdb(),
    Fault::Exits(1, "error: could not write: No space left on device"),
    Code::DiskFull,
    None
)]
#[case::a_program_that_is_killed(initdb(), Fault::Killed, Code::ServerStartFailed, Some("signal 9"))]
#[case::a_program_that_hangs(initdb(), Fault::Hangs, Code::TimeLimit, None)]
#[case::a_server_that_cannot_be_started(What::Spawn("postgres".to_owned()), Fault::Unable(Code::ProgramMissing), Code::ProgramMissing, None)]
#[case::a_server_that_never_comes_to_be(What::Spawn("postgres".to_owned()), Fault::Hangs, Code::TimeLimit, None)]
#[case::a_server_that_dies(What::Spawn("postgres".to_owned()), Fault::Dies("postgres: bad luck"), Code::ServerStartFailed, Some("bad luck"))]
#[case::a_server_that_never_answers(What::Spawn("postgres".to_owned()), Fault::Lies, Code::TimeLimit, None)]
#[tokio::test]
async fn a_drill_that_cannot_begin_says_why(
    #[case] what: What,
    #[case] fault: Fault,
    #[case] code: Code,
    #[case] words: Option<&str>,
) {
    let played = play(paper(), &[(what, fault)]).await;
    played.assert_is(Verdict::Unverified, code, "on paper");
    if let Some(words) = words {
        assert!(played.run.reason.contains(words), "{}", played.run.reason);
    }
}

/// The server on paper runs, and has no socket.
#[tokio::test]
async fn a_server_without_a_socket_is_not_waited_for_in_vain() {
    let played = play(paper(), &[]).await;
    played.assert_is(Verdict::Unverified, Code::TimeLimit, "on paper");
    assert_eq!(played.run.steps[0].status, StepStatus::Failed);
    assert_eq!(played.run.teardown.unwrap().servers, ["primary"]);
}

/// Teardown has trouble too: both are told, and the first cause comes first.
#[rstest]
#[case::something_remains(Fault::Remains)]
#[case::it_never_ends(Fault::Hangs)]
#[tokio::test]
async fn a_place_that_does_not_end_is_told_beside_the_cause(#[case] fault: Fault) {
    let died = (What::Spawn("postgres".to_owned()), Fault::Dies("postgres: bad luck"));
    let played = play(paper(), &[died, (What::Close, fault)]).await;
    played.assert_is(Verdict::Unverified, Code::ServerStartFailed, "on paper");
    played.assert_found(Code::CleanupFailed, "on paper");
    assert!(played.run.reason.contains("bad luck"), "{}", played.run.reason);
}

/// A place that was opened is closed, whatever became of the first program in it.
#[tokio::test]
async fn a_place_is_closed_although_no_server_was_started() {
    let played = play(paper(), &[(initdb(), Fault::Exits(1, "error")), (What::Close, Fault::Remains)]).await;
    played.assert_is(Verdict::Unverified, Code::ServerStartFailed, "on paper");
    played.assert_found(Code::CleanupFailed, "on paper");
    assert_eq!(played.run.teardown.unwrap().servers, ["primary"]);
}

/// A program that writes what it should, as far as this drill comes.
#[tokio::test]
async fn programs_on_paper_are_asked_in_the_workspace_of_the_drill() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let answering = paper().answering(move |need, command| {
        assert!(need.writable.iter().all(|directory| directory.starts_with(&need.workspace)));
        noted.lock().unwrap().push(command.program.name());
        Exit { code: Some(0), ..Exit::default() }
    });
    play(answering, &[]).await;
    assert_eq!(*asked.lock().unwrap(), ["initdb"]);
}

/// An owner who cannot be given files: this process is not allowed to, or there is no such account.
#[tokio::test]
async fn an_account_that_is_not_known_is_no_panic() {
    let unable = Unable::new(Code::UserMissing, "no account").hint("make one");
    let played = play(paper().owned(Err(unable)), &[]).await;
    played.assert_is(Verdict::Unverified, Code::UserMissing, "on paper");
    assert_eq!(played.run.findings[0].hint.as_deref(), Some("make one"));
    let myself = Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        name: "me".to_owned(),
    };
    let played = play(paper().owned(Ok(Some(myself))), &[]).await;
    played.assert_is(Verdict::Unverified, Code::TimeLimit, "on paper");
}
