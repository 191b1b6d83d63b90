//! Engines that do not answer, do not let us in, stop in the middle, or cannot do what a drill needs.
//!
//! How the engine is reached is a matter of a process's environment, so that each of these is visited by this test
//! program once more, with another environment.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as OsCommand, Stdio};
use std::time::Duration;

use pgdrill_model::finding::Unable;
use pgdrill_model::world::{Command, Runtime};
use pgdrill_runtime::docker::DockerRuntime;
use pgdrill_testkit::contract::{Bench, sh, until};
use pgdrill_testkit::docker::required_or_skip;

use super::proxy::{Proxy, Rule};
use super::{ThisEngine, containers, settings};

const DEED: &str = "PGDRILL_VISIT_DEED";
const RUN: &str = "PGDRILL_VISIT_RUN";
const WORKSPACE: &str = "PGDRILL_VISIT_WORKSPACE";

/// The account `nobody`, on every distribution.
const NOBODY: u32 = 65_534;

/// What a visitor has to say.
#[derive(Debug, Default)]
struct Said(Vec<String>);

impl Said {
    /// The value of the first line with this name.
    fn get(&self, name: &str) -> &str {
        let line = self.0.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// A visitor to be: does its deed with the engine at `host`.
fn visitor(host: &str, deed: &str, bench: Option<&Bench<'_>>) -> OsCommand {
    let mut command = OsCommand::new(std::env::current_exe().unwrap());
    command
        .args(["the_visitor_of_an_engine", "--ignored", "--nocapture", "--test-threads=1"])
        .env("DOCKER_HOST", host)
        .env(DEED, deed)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some(bench) = bench {
        command.env(RUN, &bench.need.run_id).env(WORKSPACE, bench.workspace());
    }
    command
}

fn hear(mut visitor: OsCommand) -> Said {
    let output = visitor.stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The test program's own words come before the first of ours, on the same line.
    Said(text.lines().filter_map(|line| Some(line.split_once("VISIT ")?.1.to_owned())).collect())
}

#[allow(clippy::print_stdout, reason = "what a visitor says to the test that sent it")]
fn say(name: &str, what: &str) {
    println!("VISIT {name}={what}");
}

fn say_unable<T>(outcome: Result<T, Unable>) {
    match outcome {
        Ok(_) => say("code", "none"),
        Err(unable) => {
            say("code", unable.code.name());
            say("message", &unable.message);
            say("hint", &unable.hint.unwrap_or_default());
        }
    }
}

/// No test: the process that the tests here start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started by the tests of engines"]
async fn the_visitor_of_an_engine() {
    let Ok(deed) = std::env::var(DEED) else { return };
    let runtime = DockerRuntime::new(settings());
    if deed == "majors" {
        say_unable(runtime.majors().await);
        say("problems", &runtime.survey().await.problems.len().to_string());
        return;
    }
    let (workspace, run_id) = (std::env::var(WORKSPACE).unwrap(), std::env::var(RUN).unwrap());
    let bench = Bench::at(&ThisEngine, workspace.as_ref(), &run_id).await;
    let opened = runtime.open(&bench.need).await;
    let place = match opened {
        Ok(place) => place,
        Err(unable) => return say_unable::<()>(Err(unable)),
    };
    match deed.as_str() {
        "open" => {
            say("owner", &format!("{:?}", runtime.owner().unwrap()));
            let exit = place.run(&sh("id -u; id -un; echo x > data/file")).await.unwrap();
            say("printed", &exit.stdout.replace('\n', " "));
            say_unable(Ok(()));
        }
        "be interrupted" => {
            let mut sleep = place.spawn(&Command::system("sleep", ["7905"])).await.unwrap();
            let begun = || std::fs::write(bench.path("ready"), "").unwrap();
            begun();
            say_unable(place.run(&sh("sleep 7906")).await);
            say("process", &sleep.wait().await.unwrap_err().message);
            say("again", place.run(&sh("true")).await.unwrap_err().code.name());
        }
        other => panic!("no such deed: {other}"),
    }
    for finding in place.close().await {
        say("finding", &format!("{} {}", finding.code.name(), finding.message));
    }
}

#[test]
fn an_engine_that_is_not_there_is_named_with_what_to_do() {
    let cases = [
        ("unix:///no/such/socket", "unix:///no/such/socket does not answer: there is no such socket"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1 does not answer: Connection refused"),
        ("ssh://somewhere", "ssh://somewhere cannot be used: DOCKER_HOST must begin with unix://"),
    ];
    for (host, words) in cases {
        let said = hear(visitor(host, "majors", None));
        assert_eq!(said.get("code"), "ENGINE_UNUSABLE");
        assert!(said.get("message").contains(words), "{said:?}");
        assert!(!said.get("hint").is_empty(), "{said:?}");
        assert_eq!(said.get("problems"), "1");
    }
    let mut tls = visitor("tcp://127.0.0.1:1", "majors", None);
    tls.env("DOCKER_TLS_VERIFY", "1").env_remove("DOCKER_CERT_PATH");
    assert!(hear(tls).get("message").contains("DOCKER_CERT_PATH"));
}

/// Whether this process can become another account, with a program that the other one can run; where it cannot, the test
/// says that it is skipped.
fn can_be_another() -> bool {
    let reachable = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        path.ancestors()
            .skip(1)
            .all(|dir| dir.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
    };
    let can = rustix::process::geteuid().is_root() && reachable(&std::env::current_exe().unwrap());
    #[allow(clippy::print_stderr, reason = "a test program must say what it skips")]
    if !can {
        eprintln!("SKIPPED: this account cannot become another that can run this program");
    }
    can
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_does_not_let_the_account_in_is_named_with_what_to_do() {
    if !can_be_another() {
        return;
    }
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let socket = dir.path().join("engine");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut visitor = visitor(&format!("unix://{}", socket.display()), "majors", None);
    visitor.uid(NOBODY).gid(NOBODY);
    let said = hear(visitor);
    assert_eq!(said.get("code"), "ENGINE_UNUSABLE");
    assert!(said.get("message").contains("Permission denied"), "{said:?}");
    assert!(said.get("hint").contains("group `docker`"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_users_containers_run_as_himself() {
    if !can_be_another() || !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    for name in ["", "data", "log", "socket"] {
        std::os::unix::fs::chown(bench.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let proxy = Proxy::listen(dir.path(), Rule::HandOn);
    let mut visitor = visitor(&proxy.host(), "open", Some(&bench));
    visitor.uid(NOBODY).gid(NOBODY);
    let said = tokio::task::block_in_place(|| hear(visitor));
    assert_eq!((said.get("code"), said.get("owner")), ("none", "None"), "{said:?}");
    assert!(said.get("printed").starts_with("65534 "), "{said:?}");
    let file = std::fs::metadata(bench.path("data/file")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&file), NOBODY);
    assert_eq!(containers(&bench.need.run_id), "[]");
}

/// Opens a place through an engine that misbehaves, and hears why it cannot.
async fn refused(rule: Rule) -> Said {
    let bench = Bench::new(&ThisEngine).await;
    bench.make_dirs(&["data/nop1"]);
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let proxy = Proxy::listen(dir.path(), rule);
    let said = tokio::task::block_in_place(|| hear(visitor(&proxy.host(), "open", Some(&bench))));
    assert_eq!(containers(&bench.need.run_id), "[]", "something is left");
    assert!(!bench.path("docker").exists(), "files are left");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_this_hosts_files_is_told() {
    if !required_or_skip(&[]) {
        return;
    }
    // The engine never hears of the mounts.
    let said = refused(Rule::Rewrite("\"Mounts\":", "\"Nounts\":")).await;
    assert_eq!(said.get("code"), "ENGINE_UNUSABLE");
    assert!(said.get("message").contains("cannot open a FIFO that is mounted from this host"), "{said:?}");
    assert!(said.get("hint").contains("--runtime local"), "{said:?}");
    // The engine looks for them elsewhere.
    let said = refused(Rule::Rewrite("\"Source\":\"/tmp/", "\"Source\":\"/tnp/")).await;
    assert_eq!(said.get("code"), "ENGINE_UNUSABLE");
    assert!(said.get("message").contains("bind source path does not exist"), "{said:?}");
    assert!(said.get("hint").contains("does not see this host's files"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_containers_write_elsewhere_is_told() {
    if !required_or_skip(&[]) {
        return;
    }
    // What is mounted is not what the probe is to write into.
    let said = refused(Rule::Rewrite("/docker/p1\"", "/data/nop1\"")).await;
    assert_eq!(said.get("code"), "ENGINE_UNUSABLE");
    assert!(said.get("message").contains("into a mounted directory does not reach this host"), "{said:?}");
    // The socket that is called is not the one that the host listens on.
    let said = refused(Rule::Rewrite("-p 5432 ", "-p 5433 ")).await;
    assert_eq!(said.get("code"), "ENGINE_UNUSABLE");
    assert!(
        said.get("message").contains("a Unix socket in a mounted directory does not connect"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_engine_is_told_from_other_trouble() {
    if !required_or_skip(&[]) {
        return;
    }
    let said =
        refused(Rule::Refuse("/start", "mkdir /var/lib/docker/overlay2/0a1b: no space left on device")).await;
    assert_eq!(said.get("code"), "DISK_FULL");
    assert!(said.get("message").contains("because its disk is full: mkdir"), "{said:?}");
    assert!(said.get("hint").contains("docker system df"), "{said:?}");
    let said = refused(Rule::Refuse("/containers/create", "read-only file system")).await;
    assert_eq!(said.get("code"), "ENGINE_UNUSABLE");
    assert!(said.get("message").ends_with("read-only file system"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stops_in_the_middle_ends_the_command_and_not_the_test_program() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let proxy = Proxy::listen(dir.path(), Rule::HandOn);
    let visitor = visitor(&proxy.host(), "be interrupted", Some(&bench));
    let heard = tokio::task::spawn_blocking(move || hear(visitor));
    let runs = || bench.remaining().iter().any(|line| line.contains("sleep 7906"));
    until("it is in the middle", Duration::from_secs(60), runs).await;
    proxy.cut();
    let said = tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap().unwrap();
    assert_eq!((said.get("code"), said.get("again")), ("ENGINE_UNUSABLE", "ENGINE_UNUSABLE"), "{said:?}");
    for name in ["message", "process"] {
        assert!(said.get(name).contains("does not answer: there is no such socket"), "{said:?}");
    }
    assert!(said.get("finding").starts_with("CLEANUP_FAILED the container pgdrill-"), "{said:?}");
    // The lease needs no engine that talks to us.
    bench.wait_gone(Duration::from_secs(5)).await;
}
