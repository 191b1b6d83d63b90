//! Programs that say that they did it, and did half of it. (Those that did nothing at all are among the faults of each
//! call.)

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use pgdrill_model::world::Command;
use pgdrill_testkit::scripted::{Call, Fault, What};
use rstest::rstest;

use super::stage::{Stage, WHOLE_DRILL, local, plan};

/// What a program was asked to make, by the argument that names it.
fn made(command: &Command, after: &str) -> PathBuf {
    let at = command.args.iter().position(|argument| argument == after).expect("an argument");
    PathBuf::from(&command.args[at + 1])
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

/// Removes every second file of every database.
fn halve(data: &Path) {
    for database in fs::read_dir(data.join("base")).unwrap().flatten() {
        for file in fs::read_dir(database.path()).unwrap().flatten().step_by(2) {
            remove(&file.path());
        }
    }
}

fn cut(file: &Path) {
    let length = file.metadata().unwrap().len();
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

/// Leaves the first bytes: half of a control file is padding.
fn stump(file: &Path) {
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(100).unwrap();
}

type Damage = fn(&Command);

#[rstest]
#[case::tar_unpacks_half("restored", "tar", |c: &Command| halve(&made(c, "-C")), Verdict::Disproven, None)]
#[case::tar_unpacks_no_database("restored", "tar", |c: &Command| remove(&made(c, "-C").join("base")), Verdict::Disproven, None)]
#[case::tar_leaves_out_the_control_file("restored", "tar", |c: &Command| remove(&made(c, "-C").join("global/pg_control")), Verdict::Disproven, Some(Code::RecoveryFailed))]
#[case::tar_cuts_the_control_file("restored", "tar", |c: &Command| stump(&made(c, "-C").join("global/pg_control")), Verdict::Disproven, Some(Code::RecoveryFailed))]
#[case::tar_leaves_out_the_commit_log("restored", "tar", |c: &Command| remove(&made(c, "-C").join("pg_xact/0000")), Verdict::Disproven, None)]
#[case::pg_basebackup_writes_half("primary", "pg_basebackup", |c: &Command| cut(&made(c, "--pgdata").join("base.tar.gz")), Verdict::Disproven, Some(Code::UnpackFailed))]
#[case::pg_basebackup_writes_no_base("primary", "pg_basebackup", |c: &Command| remove(&made(c, "--pgdata").join("base.tar.gz")), Verdict::Disproven, Some(Code::UnpackFailed))]
#[case::pg_basebackup_writes_no_manifest("primary", "pg_basebackup", |c: &Command| remove(&made(c, "--pgdata").join("backup_manifest")), Verdict::Unverified, Some(Code::BackupFailed))]
#[case::pg_basebackup_writes_half_a_manifest("primary", "pg_basebackup", |c: &Command| cut(&made(c, "--pgdata").join("backup_manifest")), Verdict::Unverified, Some(Code::BackupFailed))]
#[case::initdb_makes_half("primary", "initdb", |c: &Command| halve(&made(c, "--pgdata")), Verdict::Unverified, None)]
#[case::initdb_makes_no_control_file("primary", "initdb", |c: &Command| remove(&made(c, "--pgdata").join("global/pg_control")), Verdict::Unverified, Some(Code::ServerStartFailed))]
#[case::initdb_makes_no_version("primary", "initdb", |c: &Command| remove(&made(c, "--pgdata").join("PG_VERSION")), Verdict::Unverified, Some(Code::ServerStartFailed))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_it_is_not_proven(
    #[case] server: &str,
    #[case] program: &str,
    #[case] damage: Damage,
    #[case] verdict: Verdict,
    #[case] code: Option<Code>,
) {
    let runtime = local();
    let plan = plan(&runtime, WHOLE_DRILL).await;
    let stage = Stage::new();
    let call = Call { server: server.to_owned(), what: What::Run(program.to_owned()), nth: 1 };
    let script = stage.script().fail(&call, Fault::Then(Arc::new(damage)));
    let played = stage.play(&plan, &runtime, script).await;
    assert!(played.script.failed(), "{}", played.script);
    assert_eq!(played.run.verdict, verdict, "{}\n{}", played.run.reason, played.script);
    if let Some(code) = code {
        played.assert_found(code, program);
    }
}
