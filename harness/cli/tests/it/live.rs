//! `pgdrill live watch` on a real server: each alert fires for its cause and not before, and bad input is told.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Desk, Done, wait_until};
use crate::server::{Server, bin};

/// How long the watch looks on before there is a cause.
const BEFORE: Duration = Duration::from_secs(2);

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

fn dsn(server: &Server<'_>) -> String {
    format!("host={} user=postgres", server.socket)
}

/// Watches with windows of seconds instead of minutes and hours, until an alert fires.
fn watch(desk: &Desk, server: &Server<'_>, scale: &str, every: &str) -> Child {
    let arguments = [
        "live",
        "watch",
        "--dsn",
        &dsn(server),
        "--scale",
        scale,
        "--every",
        every,
        "--until-alert",
        "--for",
        "60s",
        "--json",
        "watch.json",
        "--prometheus",
        "watch.prom",
    ];
    let child = desk.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the first metrics", Duration::from_secs(20), || desk.path("watch.prom").exists());
    child
}

/// Breaks something; gives what goes on beside the watch.
type Cause = fn(&Server<'_>) -> Option<Child>;

fn kill(server: &Server<'_>) -> Option<Child> {
    server.end("immediate");
    None
}

fn break_the_archive(server: &Server<'_>) -> Option<Child> {
    server.sql("ALTER SYSTEM SET archive_command = 'false'");
    server.sql("SELECT pg_reload_conf()");
    // The archiver tries three times in a row, and then not before there is another segment, or a minute over
    // (`pgarch_ArchiverCopyLoop`, `src/backend/postmaster/pgarch.c`).
    for table in ["one", "two"] {
        server.sql(&format!("CREATE TABLE {table} AS SELECT 1"));
        server.sql("SELECT pg_switch_wal()");
        sleep(Duration::from_secs(4));
    }
    None
}

fn grow(server: &Server<'_>) -> Option<Child> {
    server.sql("CREATE TABLE large AS SELECT repeat('x', 1000) FROM generate_series(1, 40000)");
    None
}

fn lock(server: &Server<'_>) -> Option<Child> {
    server.sql("CREATE TABLE locked (id int)");
    let text = "BEGIN; LOCK TABLE locked; SELECT pg_sleep(60)";
    Some(server.psql(text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn fail_statements(server: &Server<'_>) -> Option<Child> {
    server.sql(
        "DO $$ BEGIN FOR i IN 1..200 LOOP COMMIT; END LOOP; FOR i IN 1..10 LOOP ROLLBACK; END LOOP; END $$",
    );
    None
}

#[rstest]
#[case::the_server_is_gone("connection-failures", "60", "100ms", kill)]
#[case::archive_command_fails("archiving-failures", "30", "100ms", break_the_archive)]
#[case::the_databases_grow("size-growth", "1", "100ms", grow)]
#[case::a_query_hangs("slow-queries", "5", "100ms", lock)]
#[case::transactions_fail("error-rate", "1", "100ms", fail_statements)]
fn an_alert_fires_for_its_cause_and_not_before(
    #[case] alert: &str,
    #[case] scale: &str,
    #[case] every: &str,
    #[case] cause: Cause,
) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let mut child = watch(&desk, &server, scale, every);
    sleep(BEFORE);
    assert!(child.try_wait().unwrap().is_none(), "an alert fired before its cause");
    let caused = now_us();
    let beside = cause(&server);
    let done = Done::of(&child.wait_with_output().unwrap());
    if let Some(mut beside) = beside {
        let _ = beside.kill();
        let _ = beside.wait();
    }
    done.ends_with(1);
    let json: Value = serde_json::from_slice(&fs::read(desk.path("watch.json")).unwrap()).unwrap();
    let changes = json["changes"].as_array().unwrap();
    let fired: Vec<&Value> = changes.iter().filter(|change| change["fires"] == true).collect();
    assert!(fired.iter().any(|change| change["alert"] == alert), "{json:#}");
    assert!(fired.iter().all(|change| change["unix_us"].as_i64().unwrap() >= caused), "{json:#}");
    assert!(done.stderr.contains(&format!("FIRING  {alert}")), "{}", done.stderr);
    let metrics = fs::read_to_string(desk.path("watch.prom")).unwrap();
    assert!(metrics.contains(&format!(",alert=\"{alert}\"}} 1\n")), "{metrics}");
}

#[test]
fn a_quiet_server_raises_nothing_and_a_disk_is_as_full_as_it_is() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let (dsn, disk) = (dsn(&server), desk.path("").display().to_string());
    let space = rustix::fs::statvfs(desk.path("")).unwrap();
    let taken = (space.f_blocks - space.f_bfree) as f64;
    let used = taken / (taken + space.f_bavail as f64);
    let done = desk.pgdrill(&[
        "live", "watch", "--dsn", &dsn, "--disk", &disk, "--for", "2s", "--every", "200ms", "--json", "-",
    ]);
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    let alerts = json["alerts"].as_array().unwrap();
    let of_the_disk = alerts.iter().find(|alert| alert["alert"] == "disk-use").unwrap();
    assert!((of_the_disk["value"].as_f64().unwrap() - used).abs() < 0.05, "{of_the_disk}, and {used}");
    let fired: Vec<&Value> = alerts.iter().filter(|alert| alert["fires"] == true).collect();
    // A machine that is nearly full is told so.
    let expected = if of_the_disk["fires"] == true { vec![of_the_disk] } else { vec![] };
    assert_eq!(fired, expected);
    done.ends_with(i32::from(!expected.is_empty()));
    assert_eq!(json["looks"], json["answers"]);
    assert!(json["looks"].as_u64().unwrap() > 5, "{json:#}");
    // What the watch itself does leaves nothing in the server's log.
    let log = fs::read_to_string(Path::new(&server.socket).join("log")).unwrap();
    assert!(!log.contains("ERROR") && !log.contains("FATAL") && !log.contains("unexpected EOF"), "{log}");
}

#[test]
fn a_server_that_was_never_reached_cannot_be_told_anything_of() {
    let desk = Desk::new();
    let done = desk.pgdrill(&[
        "live",
        "watch",
        "--dsn",
        "host=/nowhere user=monitor",
        "--for",
        "1s",
        "--every",
        "500ms",
    ]);
    done.ends_with(2);
    assert!(done.stdout.contains("0 of "), "{}", done.stdout);
    assert!(done.stdout.contains("UNKNOWN"), "{}", done.stdout);
}

#[rstest]
#[case::no_string(&["--dsn", "nonsense"], "no connection string")]
#[case::no_host(&["--dsn", "user=monitor"], "names no host")]
#[case::a_password(&["--dsn", "host=/nowhere password=swordfish"], "PGPASSWORD")]
#[case::no_disk(&["--dsn", "host=/nowhere", "--disk", "/not/there"], "/not/there")]
#[case::no_metrics(&["--dsn", "host=/nowhere", "--prometheus", "/"], "is a directory")]
#[case::no_dsn(&[], "--dsn")]
fn bad_input_is_told_with_the_code_of_usage(#[case] arguments: &[&str], #[case] words: &str) {
    let desk = Desk::new();
    let all = [&["live", "watch", "--for", "1s"], arguments].concat();
    let done = desk.pgdrill(&all);
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(!done.stderr.contains("swordfish"), "{}", done.stderr);
}

#[test]
fn ctrl_c_ends_a_watch_with_what_it_saw() {
    let desk = Desk::new();
    let mut child = desk
        .command(&[
            "live",
            "watch",
            "--dsn",
            "host=/nowhere",
            "--every",
            "100ms",
            "--prometheus",
            "watch.prom",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the first metrics", Duration::from_secs(20), || desk.path("watch.prom").exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("watched /nowhere"), "{said}");
}
