//! The local runtime against the contract that every runtime keeps, and what is its own: finding PostgreSQL,
//! the process group, and what becomes of it when somebody interferes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::any::Any;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command as OsCommand, Stdio};
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::world::{Command, Runtime};
use pgdrill_runtime::local::{LocalRuntime, LocalSettings};
use pgdrill_testkit::contract::{Bench, Fixture, sh, succeed, until};

/// The processes of this host.
struct ThisHost;

fn settings() -> LocalSettings {
    LocalSettings::from_env(|name| std::env::var_os(name))
}

fn pids() -> Vec<u32> {
    let proc = fs::read_dir("/proc").unwrap();
    proc.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn bytes(pid: u32, name: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

/// One field of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> String {
    let status = String::from_utf8_lossy(&bytes(pid, "status")).into_owned();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
    line.unwrap_or_default().to_owned()
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&bytes(pid, "cmdline")).replace('\0', " ")
}

/// The leader of a run's only place.
fn leader(run_id: &str) -> u32 {
    let named = format!("\0pgdrill-lease\0{run_id}\0");
    let leads = |pid: &u32| String::from_utf8_lossy(&bytes(*pid, "cmdline")).contains(&named);
    pids().into_iter().find(leads).expect("a lease")
}

impl Fixture for ThisHost {
    fn runtime(&self) -> Box<dyn Runtime> {
        Box::new(LocalRuntime::new(settings()))
    }

    fn remaining(&self, run_id: &str, workspace: &Path) -> Vec<String> {
        let mark = format!("PGDRILL_PLACE={run_id}/");
        let lease = format!("pgdrill-lease {run_id} ");
        let ours = |pid: &u32| {
            let marked = String::from_utf8_lossy(&bytes(*pid, "environ")).contains(&mark);
            let inside =
                fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(workspace));
            let ended = status(*pid, "State").starts_with(['Z', 'X']);
            (marked || inside || command_line(*pid).contains(&lease)) && !ended
        };
        pids().into_iter().filter(ours).map(command_line).collect()
    }

    /// Opens the holder's end of the lease's pipe a second time, as a debugger or a careless fork could.
    fn blind_lease(&self, run_id: &str) -> Box<dyn Any> {
        let leader = leader(run_id);
        let pipe = fs::read_link(format!("/proc/{leader}/fd/0")).unwrap();
        let holder = status(leader, "PPid");
        let mut ends = fs::read_dir(format!("/proc/{holder}/fd")).unwrap().map(|end| end.unwrap().path());
        let end = ends.find(|end| fs::read_link(end).is_ok_and(|to| to == pipe)).unwrap();
        Box::new(fs::OpenOptions::new().write(true).open(end).unwrap())
    }
}

mod contract {
    use super::ThisHost;

    pgdrill_testkit::runtime_contract!(ThisHost);
}

/// The directory of a PostgreSQL that is there.
async fn some_bin_dir() -> PathBuf {
    let runtime = LocalRuntime::new(settings());
    let usable = runtime.survey().await.installations.iter().find(|found| found.missing.is_empty());
    usable.expect("these tests need a PostgreSQL").bin_dir.clone()
}

#[tokio::test]
async fn postgres_is_found_along_path_through_symbolic_links() {
    let real = some_bin_dir().await.canonicalize().unwrap();
    let dir = tempfile::tempdir().unwrap();
    symlink(real.join("postgres"), dir.path().join("postgres")).unwrap();
    let path = std::env::join_paths([dir.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let runtime = LocalRuntime::new(LocalSettings { path: Some(path), ..LocalSettings::default() });
    let survey = runtime.survey().await;
    assert_eq!(survey.installations[0].bin_dir, real);
    assert!(survey.refused.is_empty() && survey.account.is_ok());
}

#[tokio::test]
async fn a_named_directory_is_used_under_its_own_name() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let named = dir.path().join("bin");
    symlink(some_bin_dir().await, &named).unwrap();
    let runtime = LocalRuntime::new(LocalSettings { bin_dirs: vec![named.clone()], ..settings() });
    assert_eq!(runtime.survey().await.installations[0].bin_dir, named);
}

#[tokio::test]
async fn a_wrong_named_directory_stops_every_drill() {
    let runtime = LocalRuntime::new(LocalSettings { bin_dirs: vec!["/nowhere".into()], ..settings() });
    let bench = Bench::new(&ThisHost).await;
    for unable in [runtime.majors().await.unwrap_err(), runtime.open(&bench.need).await.err().unwrap()] {
        assert_eq!(unable.code, Code::PostgresMissing);
        assert!(unable.message.starts_with("/nowhere, named in PGDRILL_PG_BIN, "), "{}", unable.message);
    }
}

/// A directory that only this process's own account may enter.
fn closed_directory() -> tempfile::TempDir {
    let only_own = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(only_own).tempdir_in("/tmp").unwrap()
}

#[tokio::test]
async fn an_installation_that_the_account_cannot_reach_is_named() {
    let bench = Bench::new(&ThisHost).await;
    if bench.runtime.owner().unwrap().is_none() {
        // Whoever is not root finds only what he can reach.
        return;
    }
    let dir = closed_directory();
    let named = dir.path().join("bin");
    symlink(some_bin_dir().await, &named).unwrap();
    let runtime = LocalRuntime::new(LocalSettings { bin_dirs: vec![named.clone()], ..settings() });
    let unable = runtime.open(&bench.need).await.err().unwrap();
    assert_eq!(unable.code, Code::PostgresMissing);
    let begins = format!("{} cannot be run by the account", named.join("postgres").display());
    assert!(unable.message.starts_with(&begins), "{}", unable.message);
    until("the lease is gone", Duration::from_secs(5), || bench.remaining().is_empty()).await;
}

#[tokio::test]
async fn a_workspace_that_the_account_cannot_enter_is_named() {
    let mut bench = Bench::new(&ThisHost).await;
    if bench.runtime.owner().unwrap().is_none() {
        return;
    }
    let closed = closed_directory();
    for (dir, words) in
        [(closed.path(), "can be started in"), (Path::new("/no/such/place"), "cannot be used")]
    {
        bench.need.workspace = dir.to_owned();
        let unable = bench.runtime.open(&bench.need).await.err().unwrap();
        assert_eq!(unable.code, Code::WorkspaceUnusable);
        assert!(
            unable.message.contains(words) && unable.message.contains(&*dir.to_string_lossy()),
            "{unable}"
        );
    }
}

#[tokio::test]
async fn every_process_is_in_the_group_of_the_lease() {
    let bench = Bench::new(&ThisHost).await;
    let place = bench.open().await;
    let exit = succeed(&*place, "read -r stat < /proc/self/stat; set -- ${stat##*)}; echo $3").await;
    assert_eq!(exit.stdout.trim(), leader(&bench.need.run_id).to_string());
    bench.close(place).await;
}

#[tokio::test]
async fn a_lost_lease_starts_nothing_and_closing_still_ends_all() {
    let bench = Bench::new(&ThisHost).await;
    let place = bench.open().await;
    let mut process = place.spawn(&Command::system("sleep", ["8201"])).await.unwrap();
    let leader = leader(&bench.need.run_id).to_string();
    OsCommand::new("kill").args(["-KILL", &leader]).status().unwrap();
    until("it is a zombie", Duration::from_secs(5), || {
        status(leader.parse().unwrap(), "State").starts_with('Z')
    })
    .await;
    let unable = place.run(&sh("true")).await.unwrap_err();
    assert_eq!(unable.code, Code::ServerLost);
    assert!(unable.message.starts_with("the lease of the server 'primary' "), "{}", unable.message);
    assert!(process.running());
    bench.close(place).await;
}

#[tokio::test]
async fn what_outlived_its_lease_and_its_holder_is_found_by_its_mark() {
    let bench = Bench::new(&ThisHost).await;
    // A holder that is dead, as the mark of something that is not.
    let mut dead = OsCommand::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let start = |holder: &str| {
        let mut command = OsCommand::new("sleep");
        command.arg("8301").stdin(Stdio::null()).current_dir(bench.workspace());
        command.env("PGDRILL_PLACE", format!("{}/primary/{holder}/", bench.need.run_id));
        if let Some(owner) = bench.runtime.owner().unwrap() {
            use std::os::unix::process::CommandExt;
            command.uid(owner.uid).gid(owner.gid);
        }
        command.spawn().unwrap()
    };
    let mut orphan = start(&format!("{}-1-1", dead.id()));
    // Started by this very process, which is alive: its start time is the 22nd field.
    let stat = String::from_utf8(bytes(std::process::id(), "stat")).unwrap();
    let began = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
    let mut held = start(&format!("{}-{began}-2", std::process::id()));

    let strays = bench.runtime.strays().await.unwrap();
    let ours: Vec<_> = strays.iter().filter(|stray| stray.run_id == bench.need.run_id).collect();
    assert_eq!(ours.len(), 1, "{strays:?}");
    bench.runtime.reap(ours[0]).await.unwrap();
    assert!(orphan.try_wait().unwrap().is_some(), "the orphan was left");
    assert!(held.try_wait().unwrap().is_none(), "what somebody holds was ended");
    held.kill().unwrap();
    held.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_of_a_command_is_milliseconds() {
    let bench = Bench::new(&ThisHost).await;
    let place = bench.open().await;
    let mut took = Vec::new();
    for _ in 0..100 {
        let started = std::time::Instant::now();
        assert!(place.run(&Command::system("true", [""; 0])).await.unwrap().success());
        took.push(started.elapsed());
    }
    took.sort();
    #[allow(clippy::print_stderr, reason = "a measurement that a test program prints")]
    {
        eprintln!("a run of `true`: median {:?}, slowest {:?}", took[50], took[99]);
    }
    assert!(took[50] < Duration::from_millis(100), "{:?}", took[50]);
    let started = std::time::Instant::now();
    bench.close(place).await;
    #[allow(clippy::print_stderr, reason = "a measurement that a test program prints")]
    {
        eprintln!("closing an empty place: {:?}", started.elapsed());
    }
}
