//! `pgdrill live triage` on real servers: each kind of trouble is told as what it is, and as bad as it is; what is not known
//! is told as unknown; and whatever hangs, it ends in time.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Desk, Done, wait_until};
use crate::server::{Server, bin, postgres};

fn dsn(server: &Server<'_>) -> String {
    format!("host={} user=postgres", server.socket)
}

/// Triages, and gives the JSON object beside the end.
fn triage(desk: &Desk, dsn: &str, more: &[&str]) -> (Done, Value) {
    let arguments = [&["live", "triage", "--dsn", dsn, "--json", "triage.json"], more].concat();
    let done = desk.pgdrill(&arguments);
    let text =
        fs::read(desk.path("triage.json")).unwrap_or_else(|_| panic!("{}{}", done.stdout, done.stderr));
    (done, serde_json::from_slice(&text).unwrap())
}

/// The names of the signals.
fn signals(json: &Value) -> Vec<&str> {
    json["causes"].as_array().unwrap().iter().map(|cause| cause["signal"].as_str().unwrap()).collect()
}

/// What is not known.
fn unknown(json: &Value) -> Vec<&str> {
    json["unknown"].as_array().unwrap().iter().map(|unknown| unknown["what"].as_str().unwrap()).collect()
}

/// Ends a process when the test does.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An application that answers every request in this way, and then keeps the connection.
fn application(answer: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://127.0.0.1:{}/healthz", listener.local_addr().unwrap().port());
    spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut heard = [0; 1024];
            let _ = stream.read(&mut heard);
            let _ = stream.write_all(answer.as_bytes());
            kept.push(stream);
        }
    });
    url
}

const WELL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UNWELL: &str = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
const METRICS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\ndatabase_size 100";
const GARBAGE: &str = "what?\r\n\r\n";
const NOTHING: &str = "";

#[test]
fn a_server_to_which_nothing_is_the_matter_ends_with_0_and_hears_nothing_of_it_in_its_log() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let (well, metrics) = (application(WELL), application(METRICS));
    let (done, json) =
        triage(&desk, &dsn(&server), &["--health", &well, "--metrics", &metrics, "--markdown", "triage.md"]);
    done.ends_with(0);
    assert!(done.stdout.starts_with("NOTHING WRONG"), "{}", done.stdout);
    assert_eq!((json["severity"].clone(), signals(&json), unknown(&json)), (Value::Null, vec![], vec![]));
    let facts = &json["facts"];
    assert_eq!(facts["reach"]["state"], "answers");
    assert_eq!(facts["reach"]["tls"], "socket");
    assert!(facts["version"]["known"].as_str().unwrap().starts_with("15"), "{facts:#}");
    assert_eq!(facts["connections"]["known"]["used"], 0);
    assert_eq!(facts["archiver"]["known"]["mode"], "on");
    assert_eq!(facts["archiver"]["known"]["no_command"], false);
    assert_eq!(facts["segments_waiting"]["known"], 0);
    assert_eq!(facts["checksums"]["known"]["enabled"], false);
    assert_eq!(facts["health"][0]["answer"]["known"], 200);
    assert_eq!(facts["metrics"]["samples"], 1);
    // At least the first look at the counters itself.
    assert!(facts["recent"]["known"]["committed"].as_u64().is_some(), "{facts:#}");
    assert!(fs::read_to_string(desk.path("triage.md")).unwrap().starts_with("# Triage: NOTHING WRONG"));
    let log = fs::read_to_string(Path::new(&server.socket).join("log")).unwrap();
    assert!(!log.contains("ERROR") && !log.contains("FATAL") && !log.contains("unexpected EOF"), "{log}");
}

#[test]
fn a_server_that_was_stopped_is_critical_and_those_who_are_named_are_called() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.end("fast");
    let contacts = "primary:\n  - { role: Database Admin, name: Ada, phone: +90-1 }\nsecondary:\n  - { role: CTO, phone: '2' }\n";
    fs::write(desk.path("contacts.yaml"), contacts).unwrap();
    let arguments = ["--contacts", "contacts.yaml", "--since", "40m"];
    let (done, json) = triage(&desk, &dsn(&server), &arguments);
    done.ends_with(1);
    assert!(
        done.stdout.starts_with("P0 critical: the database is completely unavailable"),
        "{}",
        done.stdout
    );
    assert_eq!((json["severity"].as_str(), signals(&json)), (Some("P0"), vec!["server-absent"]));
    assert_eq!(json["escalations"][0]["reason"], "unresolved");
    assert!(done.stdout.contains("Ada, +90-1") && done.stdout.contains("CTO, 2"), "{}", done.stdout);
}

#[test]
fn a_server_that_starts_up_is_told_from_one_that_is_gone() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.end("fast");
    // It asks for the history of its timeline first, and that never comes.
    server.configure("restore_command = 'sleep 60'\n");
    fs::write(format!("{}/recovery.signal", server.data), "").unwrap();
    let log = format!("{}/log", server.socket);
    postgres(&bin, "pg_ctl", &["-W", "-s", "-D", &server.data, "-l", &log, "start"], "");
    let socket = format!("{}/.s.PGSQL.5432", server.socket);
    wait_until("the socket", Duration::from_secs(20), || Path::new(&socket).exists());
    let (done, json) = triage(&desk, &dsn(&server), &[]);
    done.ends_with(1);
    assert_eq!((json["severity"].as_str(), signals(&json)), (Some("P0"), vec!["server-not-ready"]));
    assert_eq!(json["facts"]["reach"]["sqlstate"], "57P03");
}

#[test]
fn whatever_hangs_it_ends_in_time() {
    let desk = Desk::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let hangs = format!("host=127.0.0.1 port={port} user=monitor");
    let url = application(NOTHING);
    let began = Instant::now();
    let arguments = ["--pooler", &hangs, "--health", &url, "--metrics", &url, "--within", "2s"];
    let (done, json) = triage(&desk, &hangs, &arguments);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    done.ends_with(1);
    assert_eq!(json["severity"], "P0");
    assert_eq!(signals(&json), ["server-silent", "pooler-down", "health-fails", "metrics-missing"]);
}

#[test]
fn an_archive_that_fails_is_medium_and_a_reason_to_suspect_loss() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql("ALTER SYSTEM SET archive_command = 'false'");
    server.sql("SELECT pg_reload_conf()");
    server.sql("CREATE TABLE one AS SELECT 1");
    server.sql("SELECT pg_switch_wal()");
    let failed = || server.sql("SELECT failed_count FROM pg_stat_archiver").trim() != "0";
    wait_until("archive_command to fail", Duration::from_secs(30), failed);
    let (done, json) = triage(&desk, &dsn(&server), &[]);
    done.ends_with(1);
    assert_eq!((json["severity"].as_str(), signals(&json)), (Some("P2"), vec!["archiving-fails"]));
    assert_eq!(json["escalations"][0]["reason"], "data-loss");
    assert!(json["facts"]["segments_waiting"]["known"].as_u64().unwrap() > 0, "{json:#}");
    assert!(done.stdout.contains("ESCALATE, data loss is suspected"), "{}", done.stdout);
}

#[test]
fn who_waits_for_a_lock_is_told_with_who_holds_it_and_without_what_he_wrote() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql("CREATE TABLE orders (id int)");
    let begin =
        |text: &str| Ended(server.psql(text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let _holds = begin("BEGIN; LOCK TABLE orders; SELECT pg_sleep(120) AS swordfish");
    let holder = || server.sql("SELECT pid FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted");
    wait_until("the lock", Duration::from_secs(20), || !holder().is_empty());
    let _waits = begin("SELECT count(*) AS swordfish FROM orders");
    let waited =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND clock_timestamp() - waitstart > interval '6 s'";
    wait_until("the wait", Duration::from_secs(30), || server.sql(waited).trim() == "1");
    let (done, json) = triage(&desk, &dsn(&server), &[]);
    done.ends_with(1);
    assert_eq!(json["severity"], "P1");
    // That the holder's own query takes long is told, too.
    assert_eq!(signals(&json), ["lock-waits", "slow-queries"]);
    let because = json["causes"][0]["because"][0].as_str().unwrap();
    let pid = holder().trim().to_owned();
    assert!(because.contains("AccessShareLock on relation public.orders"), "{because}");
    assert!(
        because.contains(&format!("blocked by process {pid} (postgres, postgres, psql, active")),
        "{because}"
    );
    assert!(!json.to_string().contains("swordfish") && !done.stdout.contains("swordfish"), "{json:#}");
    let (done, json) = triage(&desk, &dsn(&server), &["--queries"]);
    done.ends_with(1);
    assert!(json.to_string().contains("swordfish") && done.stdout.contains("swordfish"), "{json:#}");
}

#[test]
fn a_role_that_may_not_see_others_leaves_that_unknown() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql("CREATE ROLE app LOGIN");
    let dsn = format!("host={} user=app dbname=postgres", server.socket);
    let (done, json) = triage(&desk, &dsn, &[]);
    done.ends_with(2);
    assert!(done.stdout.starts_with("UNKNOWN"), "{}", done.stdout);
    assert_eq!(unknown(&json), ["segments that wait to be archived", "long queries"]);
    assert!(done.stdout.contains("GRANT pg_monitor TO app"), "{}", done.stdout);
    let log = fs::read_to_string(Path::new(&server.socket).join("log")).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
    server.sql("GRANT pg_monitor TO app");
    triage(&desk, &dsn, &[]).0.ends_with(0);
}

#[test]
fn too_many_clients_and_a_role_that_is_none_are_told_apart() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql("CREATE ROLE app LOGIN");
    let nobody = format!("host={} user=nobody dbname=postgres", server.socket);
    let (done, json) = triage(&desk, &nobody, &[]);
    done.ends_with(2);
    assert_eq!((json["severity"].clone(), signals(&json)), (Value::Null, vec!["server-refuses"]));
    assert_eq!(unknown(&json), ["everything that only the server can tell"]);
    server.end("fast");
    server.configure("max_connections = 4\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0\n");
    let log = format!("{}/log", server.socket);
    postgres(&bin, "pg_ctl", &["-w", "-s", "-D", &server.data, "-l", &log, "start"], "");
    let _holds = Ended(server.psql("SELECT pg_sleep(60)").stdout(Stdio::null()).spawn().unwrap());
    let busy =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()";
    wait_until("the connection", Duration::from_secs(20), || server.sql(busy).trim() == "1");
    let app = format!("host={} user=app dbname=postgres", server.socket);
    let (done, json) = triage(&desk, &app, &[]);
    done.ends_with(1);
    assert_eq!((json["severity"].as_str(), signals(&json)), (Some("P1"), vec!["too-many-clients"]));
    assert_eq!(json["facts"]["reach"]["state"], "only-superusers");
    let (done, json) = triage(&desk, &dsn(&server), &[]);
    done.ends_with(1);
    assert_eq!(signals(&json), ["connections-exhausted"]);
}

#[test]
fn a_server_that_may_not_be_written_to_is_high() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    server.sql("SELECT pg_reload_conf()");
    let read_only = || server.sql("SHOW default_transaction_read_only").trim() == "on";
    wait_until("the setting", Duration::from_secs(20), read_only);
    let (done, json) = triage(&desk, &dsn(&server), &[]);
    done.ends_with(1);
    assert_eq!((json["severity"].as_str(), signals(&json)), (Some("P1"), vec!["only-reads"]));
    assert_eq!(json["facts"]["reach"]["state"], "read-only");
}

#[rstest]
#[case::well(WELL, None, "")]
#[case::unwell(UNWELL, Some("P1"), "answers 500")]
#[case::garbage(GARBAGE, Some("P1"), "invalid HTTP version")]
#[case::hanging(NOTHING, Some("P1"), "no answer within")]
fn an_application_is_as_well_as_it_says(
    #[case] answer: &'static str,
    #[case] severity: Option<&str>,
    #[case] words: &str,
) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let url = application(answer);
    let (done, json) = triage(&desk, &dsn(&server), &["--health", &url, "--within", "4s"]);
    done.ends_with(i32::from(severity.is_some()));
    assert_eq!(json["severity"].as_str(), severity, "{json:#}");
    assert!(done.stdout.contains(words), "{}", done.stdout);
}

/// A disk of its own, which is gone with the test.
struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_is_high_and_one_that_is_not_there_is_unknown() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let (done, json) = triage(&desk, &dsn(&server), &["--disk", "/not/there"]);
    done.ends_with(2);
    assert_eq!(unknown(&json), ["the disk of /not/there"]);
    let disk = desk.path("disk");
    fs::create_dir(&disk).unwrap();
    let disk = disk.to_str().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this account may not mount a disk to fill it");
        return;
    }
    let mounted = Mounted(disk.to_owned());
    assert!(fs::write(format!("{}/file", mounted.0), vec![0; 2 << 20]).is_err());
    let (done, json) = triage(&desk, &dsn(&server), &["--disk", disk]);
    done.ends_with(1);
    assert_eq!((json["severity"].as_str(), signals(&json)), (Some("P1"), vec!["disk-full"]));
    assert_eq!(json["facts"]["disks"][0]["space"]["known"]["free"], 0);
}

/// A PgBouncer before a server, in its directory; it takes whoever comes.
fn pgbouncer(server: &Server<'_>) -> Ended {
    let program =
        ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
    let program = program.expect("there is no PgBouncer; ci/test installs it");
    let room = &server.socket;
    let settings = format!(
        "[databases]\ntrading = host={room} dbname=postgres user=postgres\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\n\
         unix_socket_dir = {room}\nauth_type = trust\nauth_file = {room}/users\nadmin_users = postgres\n"
    );
    fs::write(format!("{room}/pgbouncer.ini"), settings).unwrap();
    fs::write(format!("{room}/users"), "\"postgres\" \"\"\n").unwrap();
    let data = fs::metadata(&server.data).unwrap();
    let mut command = Command::new(program);
    command.arg(format!("{room}/pgbouncer.ini")).current_dir("/");
    if rustix::process::getuid().is_root() {
        command.gid(data.gid()).uid(data.uid());
    }
    let child = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let socket = format!("{room}/.s.PGSQL.6432");
    wait_until("pgbouncer", Duration::from_secs(20), || Path::new(&socket).exists());
    child
}

#[test]
fn clients_that_wait_in_the_pooler_are_seen_and_so_is_who_holds_them_back() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let pooler = pgbouncer(&server);
    let room = server.socket.clone();
    let console = format!("host={room} port=6432 user=postgres");
    let psql = |database: &str, text: &str| {
        let mut command = Command::new(bin.join("psql"));
        command.args(["-XAtq", "-h", &room, "-p", "6432", "-U", "postgres", "-c", text, database]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(psql("trading", "SELECT 1").status().unwrap().success());
    let (done, json) = triage(&desk, &dsn(&server), &["--pooler", &console]);
    done.ends_with(0);
    let pools = json["facts"]["pooler"]["pools"]["known"].as_array().unwrap();
    assert_eq!(pools.len(), 1, "{json:#}");
    assert_eq!(
        (pools[0]["database"].as_str(), pools[0]["clients_waiting"].as_u64()),
        (Some("trading"), Some(0))
    );
    assert!(json["facts"]["pooler"]["version"]["known"].as_str().unwrap().contains("PgBouncer"), "{json:#}");

    assert!(psql("pgbouncer", "PAUSE trading").status().unwrap().success());
    let _waits = Ended(psql("trading", "SELECT 2").spawn().unwrap());
    sleep(Duration::from_secs(3));
    let (done, json) = triage(&desk, &dsn(&server), &["--pooler", &console]);
    done.ends_with(1);
    assert_eq!(
        (json["severity"].as_str(), signals(&json)),
        (Some("P1"), vec!["clients-wait", "pool-paused"])
    );
    let waits = &json["causes"][0]["because"][0];
    assert!(waits.as_str().unwrap().contains("pool trading/postgres: 1 client waits"), "{waits}");

    drop(pooler);
    let (done, json) = triage(&desk, &dsn(&server), &["--pooler", &console]);
    done.ends_with(1);
    assert_eq!(signals(&json), ["pooler-down"]);
}

#[rstest]
#[case::no_string(&["--dsn", "nonsense"], "no connection string")]
#[case::a_password(&["--dsn", "host=/nowhere password=swordfish"], "PGPASSWORD")]
#[case::the_poolers_password(&["--dsn", "host=/a", "--pooler", "host=/b password=swordfish"], "PGDRILL_POOLER_DSN")]
#[case::a_pooler_without_host(&["--dsn", "host=/a", "--pooler", "user=x"], "--pooler: the connection string names no host")]
#[case::no_url(&["--dsn", "host=/a", "--health", "/healthz"], "write a whole URL")]
#[case::no_contacts(&["--dsn", "host=/a", "--contacts", "/not/there"], "/not/there")]
#[case::the_future(&["--dsn", "host=/a", "--since", "2999-01-01 00:00:00+00"], "in the future")]
#[case::no_time(&["--dsn", "host=/a", "--since", "yesterday"], "neither a time")]
#[case::both_to_stdout(&["--dsn", "host=/a", "--json", "-", "--markdown", "-"], "give one of them a file")]
#[case::no_authorities(&["--dsn", "host=a sslmode=verify-ca sslrootcert=/not/there"], "sslrootcert /not/there")]
fn bad_input_is_told_with_the_code_of_usage(#[case] arguments: &[&str], #[case] words: &str) {
    let desk = Desk::new();
    let done = desk.pgdrill(&[&["live", "triage"], arguments].concat());
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(!done.stderr.contains("swordfish"), "{}", done.stderr);
}

#[test]
fn a_file_of_contacts_that_is_none_is_told_with_its_line() {
    let desk = Desk::new();
    fs::write(desk.path("contacts.yaml"), "primary:\n  - role: CTO\n    fax: 1\n").unwrap();
    let done = desk.pgdrill(&["live", "triage", "--dsn", "host=/a", "--contacts", "contacts.yaml"]);
    done.ends_with(64);
    assert!(
        done.stderr.contains("contacts.yaml:3:") && done.stderr.contains("write `primary:`"),
        "{}",
        done.stderr
    );
}

#[test]
fn ctrl_c_ends_a_triage() {
    let desk = Desk::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let dsn = format!("host=127.0.0.1 port={} user=monitor", listener.local_addr().unwrap().port());
    let mut child = desk.command(&["live", "triage", "--dsn", &dsn, "--within", "60s"]).spawn().unwrap();
    // The first bytes of a client tell that it is at work.
    let (mut stream, _) = listener.accept().unwrap();
    let mut heard = [0; 1];
    stream.read_exact(&mut heard).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
