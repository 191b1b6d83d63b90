//! The receiver of WAL fails: each call that a drill makes of it, in each way. Nothing that befalls the drill's own
//! archive host may look like a loss that the user's backups are to blame for, nor like none.

use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::scripted::{Call, Fault, What};

use super::stage::{Stage, local, plan};

/// Started twice, since the server crashes once; and lost with what only the receiver has.
const RECEIVED: &str = "title: everything that a receiver does
data: { orders: 50 }
archive: { by: receivewal, synchronous: on }
steps:
  - backup
  - crash
  - sql: CREATE TABLE late AS SELECT 1 AS n
  - disaster: lose-primary
  - recover
  - check: { row-counts: all }
";

/// How a drill must end: unverified with one of these codes, or proven for this reason.
enum Expected {
    Unverified(Vec<Code>),
    Proven(&'static str),
}

fn expected(call: &Call, fault: &Fault) -> Expected {
    match (&call.what, fault) {
        // It is ended beside the recovery, which waits for that.
        (What::Close, Fault::Hangs | Fault::Remains) => Expected::Unverified(vec![Code::CleanupFailed]),
        (What::Wait(_), Fault::Unable(_)) => {
            Expected::Proven("what cannot be waited for has ended, and what it wrote is there")
        }
        (_, Fault::Hangs) => Expected::Unverified(vec![Code::TimeLimit]),
        (_, Fault::Unable(code)) => Expected::Unverified(vec![*code]),
        (What::Spawn(_), Fault::Lies) => Expected::Unverified(vec![Code::TimeLimit]),
        (What::Spawn(_), Fault::Dies(_)) | (What::Running(_), Fault::Perishes) => {
            Expected::Unverified(vec![Code::ArchiveStalled])
        }
        _ => Expected::Unverified(Vec::new()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_of_the_receiver_fails_in_turn() {
    let runtime = local();
    let plan = plan(&runtime, RECEIVED).await;
    let stage = Stage::new();
    let played = stage.play(&plan, &runtime, stage.script()).await;
    assert_eq!(played.run.verdict, Verdict::Proven, "{}\n{}", played.run.reason, played.script);
    let calls: Vec<Call> =
        played.script.calls().into_iter().filter(|call| call.server == "receiver").collect();
    let spawned = |call: &&Call| call.what == What::Spawn("pg_receivewal".to_owned());
    assert_eq!(calls.iter().filter(spawned).count(), 2, "{}", played.script);
    for call in &calls {
        for fault in Fault::all_for(&call.what) {
            let what = format!("{call} {fault:?}");
            let stage = Stage::new();
            let expected = expected(call, &fault);
            let played = stage.play(&plan, &runtime, stage.script().fail(call, fault)).await;
            assert!(played.script.failed(), "{what} was not met\n{}", played.script);
            let (verdict, reason) = (played.run.verdict, &played.run.reason);
            match expected {
                Expected::Proven(why) => {
                    assert_eq!(verdict, Verdict::Proven, "{what} ({why}): {reason}\n{}", played.script);
                }
                Expected::Unverified(codes) => {
                    assert_eq!(verdict, Verdict::Unverified, "{what}: {reason}\n{}", played.script);
                    codes.into_iter().for_each(|code| played.assert_found(code, &what));
                }
            }
        }
    }
}
