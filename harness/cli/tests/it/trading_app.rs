//! The trading application as a process: what it says, with whom it ends, and how. What it answers is tested where it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to end: a request that is under way is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

const WHOLE: [(&str, &str); 5] = [
    ("PGHOST", "/nonexistent"),
    ("PGPORT", "6432"),
    ("PGUSER", "trading_app"),
    ("PGPASSWORD", "swordfish"),
    ("PGDATABASE", "trading"),
];

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pgdrill"));
    command.arg("trading-app").args(args);
    for (name, _) in WHOLE {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A part that listens, and where.
struct Part {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Part {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix('\n'));
        let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Self { child, stdout, address }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: pgdrill\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// It ends in good order, and has said nothing but where it listened.
    fn ends(mut self) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it goes on");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0));
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
        TcpStream::connect(&self.address).unwrap_err();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn both_parts_run_and_end_with_who_holds_their_standard_input() {
    let mut api = Part::start(command(&["api"]).envs(WHOLE));
    let mut web = Part::start(&mut command(&["web", "--api", &format!("http://{}", api.address)]));
    let health = api.get("/api/healthz");
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("nobody listens"), "{health}");
    let page = web.get("/");
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("nobody listens"), "{page}");
    drop(api.child.stdin.take());
    api.ends();
    let health = web.get("/api/healthz");
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("refused"), "{health}");
    drop(web.child.stdin.take());
    web.ends();
}

#[test]
fn it_ends_in_order_when_it_is_told_to() {
    let api = Part::start(command(&["api"]).envs(WHOLE));
    kill_process(Pid::from_child(&api.child), Signal::TERM).unwrap();
    api.ends();
}

/// Somebody connected and asks nothing: that does not keep it for long.
#[test]
fn it_ends_although_somebody_is_connected() {
    let mut api = Part::start(command(&["api"]).envs(WHOLE));
    let mut silent = TcpStream::connect(&api.address).unwrap();
    silent.write_all(b"GET /api/hea").unwrap();
    drop(api.child.stdin.take());
    api.ends();
}

#[rstest]
#[case::no_environment(&["api"], &[], "set PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE")]
#[case::no_password(&["api"], &[("PGPASSWORD", "")], "set PGPASSWORD")]
#[case::network(&["api"], &[("PGHOST", "localhost")], "through a socket only")]
fn an_environment_that_does_not_do_is_usage(
    #[case] args: &[&str],
    #[case] change: &[(&str, &str)],
    #[case] words: &str,
) {
    let mut command = command(args);
    if !change.is_empty() {
        command.envs(WHOLE).envs(change.iter().copied());
    }
    let done = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(64), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(words) && !said.contains("swordfish"), "{said}");
    assert!(done.stdout.is_empty());
}

#[rstest]
#[case(&["web"])]
#[case(&["web", "--api", "127.0.0.1:1"])]
#[case(&["database"])]
fn arguments_that_do_not_do_are_usage(#[case] args: &[&str]) {
    let done = command(args).stdin(Stdio::null()).output().unwrap();
    assert_eq!(done.status.code(), Some(64), "{done:?}");
    assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{done:?}");
}
