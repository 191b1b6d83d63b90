//! The directories that a drill needs: not to be had, or gone in the middle.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use pgdrill_engine::journal;
use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use rstest::rstest;
use tokio::time::sleep;
use tokio_postgres::{Client, Config, NoTls};

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

/// An accident on a server that is in use can be the victim of a deadlock. Who made it makes it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accident_that_deadlocks_with_the_application_happens_all_the_same() {
    let runtime = local();
    let text = "title: an accident in the way of the application
data: { orders: 50 }
steps:
  - backup
  - mark: before
  - disaster: { bad-sql: 'BEGIN; LOCK TABLE \"Position\"; DROP TABLE \"AuditLog\"; COMMIT' }
  - recover: { to: { mark: before } }
";
    let plan = plan(&runtime, text).await;
    let stage = Stage::new();
    let index = plan.steps.iter().position(|planned| planned.act.name() == "disaster").unwrap();
    let socket = stage.workspace().join("socket/primary");
    let (tell, told) = mpsc::channel();
    let script = stage.script().at_step(index, move |_| {
        let (socket, tell) = (socket.clone(), tell.clone());
        let (ready, wait) = mpsc::channel();
        thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            _ = tell.send(tokio.block_on(application(&socket, &ready)));
        });
        wait.recv().unwrap();
    });
    let played = stage.play(&plan, &runtime, script).await;
    assert_eq!(played.run.verdict, Verdict::Proven, "{}\n{}", played.run.reason, played.script);
    assert!(told.recv().unwrap(), "the application's transaction was the victim");
}

/// Locks what the accident will want; once the accident waits for that, wants what the accident has. The accident waits
/// for longer, so the server sees the deadlock in it. Gives whether this transaction was committed.
async fn application(socket: &Path, ready: &mpsc::Sender<()>) -> bool {
    let (mine, other) = (open(socket).await, open(socket).await);
    mine.batch_execute("BEGIN; LOCK TABLE \"AuditLog\" IN SHARE MODE").await.unwrap();
    ready.send(()).unwrap();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '\"AuditLog\"'::regclass";
    while other.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    mine.batch_execute("LOCK TABLE \"Position\"; COMMIT").await.is_ok()
}

async fn open(socket: &Path) -> Client {
    let mut config = Config::new();
    config.host_path(socket).user("postgres").dbname("trading");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
