//! A sweep fails: each call that is made of its moving server, in each way. Nothing that befalls the drill's own server may
//! look like a recovery point to which the user's backups do not lead.

use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::scripted::{Call, Fault, What};

use super::stage::{Stage, local, plan};

const SWEPT: &str = "title: everything that a sweep does
data: { orders: 50 }
steps:
  - backup: { format: plain }
  - work: { writers: 2, transactions: 60 }
  - switch-wal
  - disaster: lose-primary
  - sweep: { targets: 4 }
";

/// What the moving server is asked for: all before its place is closed, and its place is used by others.
fn of_the_moving_server(calls: Vec<Call>) -> Vec<Call> {
    let mut calls: Vec<Call> = calls.into_iter().filter(|call| call.server == "sweep").collect();
    let closed = calls.iter().position(|call| call.what == What::Close).expect("the moving server is closed");
    calls.truncate(closed + 1);
    calls
}

/// How a drill must end: what is said of the backup is what was found out about it, and of the rest nothing.
fn expected(call: &Call, fault: &Fault) -> (Verdict, Option<Code>) {
    match (&call.what, fault) {
        (What::Run(program), Fault::Exits(..)) if program == "cp" && !fault.is_full_disk() => {
            (Verdict::Disproven, Some(Code::UnpackFailed))
        }
        // It copied nothing, and said that it did.
        (What::Run(program), Fault::Lies) if program == "cp" => {
            (Verdict::Disproven, Some(Code::UnpackFailed))
        }
        (What::Run(program), _) if program == "ipcrm" => (Verdict::Unverified, Some(Code::CleanupFailed)),
        (What::Run(_), Fault::Exits(..)) => (Verdict::Unverified, Some(Code::DiskFull)),
        (What::Run(_), Fault::Killed) => (Verdict::Unverified, Some(Code::ProgramKilled)),
        (What::Close, Fault::Remains) => (Verdict::Unverified, Some(Code::CleanupFailed)),
        (_, Fault::Unable(code)) => (Verdict::Unverified, Some(*code)),
        (_, Fault::Hangs | Fault::Lies) => (Verdict::Unverified, Some(Code::TimeLimit)),
        (_, Fault::Dies(_) | Fault::Perishes) => (Verdict::Unverified, Some(Code::ServerLost)),
        _ => (Verdict::Unverified, None),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_of_the_moving_server_fails_in_turn() {
    let runtime = local();
    let plan = plan(&runtime, SWEPT).await;
    let stage = Stage::new();
    let played = stage.play(&plan, &runtime, stage.script()).await;
    assert_eq!(played.run.verdict, Verdict::Proven, "{}\n{}", played.run.reason, played.script);
    let calls = of_the_moving_server(played.script.calls());
    let words = "2026-11-22 19:15:01.114 UTC [1] XX000 FATAL:  could not map anonymous shared memory: Cannot allocate memory";
    for call in &calls {
        let more = Some(Fault::Dies(words)).filter(|fault| fault.fits(&call.what));
        for fault in Fault::all_for(&call.what).into_iter().chain(more) {
            let what = format!("{call} {fault:?}");
            let stage = Stage::new();
            let (verdict, code) = expected(call, &fault);
            let played = stage.play(&plan, &runtime, stage.script().fail(call, fault)).await;
            assert!(played.script.failed(), "{what} was not met\n{}", played.script);
            assert_eq!(
                played.run.verdict, verdict,
                "{what}: {} {:#?}\n{}",
                played.run.reason, played.run.findings, played.script
            );
            code.into_iter().for_each(|code| played.assert_found(code, &what));
        }
    }
}
