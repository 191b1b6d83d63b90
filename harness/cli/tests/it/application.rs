//! The application's side: the whole of the runbook with a trading application behind PgBouncer, somebody's own application, and
//! what an application can do that is not there, not well, or never comes back.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use pgdrill_model::run::Run;
use pgdrill_model::runbook::{State, of};
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, findings, shipped};

#[rstest]
#[case("point-in-time", Cell::LOCAL)]
#[case("full-restore", Cell::docker(17))]
fn from_the_first_alarm_to_the_closed_checklist(#[case] name: &str, #[case] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let done = desk.drill_in(cell, &shipped(&format!("runbook/incident/{name}")));
    done.ends_with(0);
    let record = desk.record();
    let run: Run = serde_json::from_value(record.clone()).unwrap();
    let servers: Vec<&str> = run.applications.iter().map(|application| application.server.as_str()).collect();
    assert_eq!(servers, ["primary", "restored"]);
    for application in &run.applications {
        assert!(application.pooler.starts_with("PgBouncer 1."), "{application:?}");
        let asked: Vec<&str> = application.asked.iter().map(|asked| asked.what.as_str()).collect();
        assert_eq!(
            asked,
            [
                "log in",
                "log in with a wrong password",
                "dashboard",
                "portfolio",
                "list strategies",
                "place an order",
                "its audit rows",
                "metrics"
            ]
        );
    }
    // Its users were without it for longer than the server was away.
    let outage = run.applications[1].outage.as_ref().unwrap();
    assert!(outage.us() > run.recoveries[0].rto_us.unwrap(), "{outage:?}");
    assert!(outage.asked > 10, "{outage:?}");
    let [triage] = run.triages.as_slice() else { panic!("{:?}", run.triages) };
    assert_eq!(triage.assessment.severity.unwrap().to_string(), "P0");
    assert!(triage.newest_segment.is_some());
    assert!(
        done.stdout.contains("Timeline\n") && done.stdout.contains("within the 60 min"),
        "{}",
        done.stdout
    );
    let states = of(&[run]);
    let wrong: Vec<_> = states.iter().filter(|(_, state)| matches!(state, State::Disproven(_))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let rehearsed = states.iter().filter(|(_, state)| matches!(state, State::Proven(_))).count();
    assert!(rehearsed >= 24, "{states:#?}");
}

#[test]
fn a_pooler_that_is_not_there_is_told_with_how_to_get_it() {
    let desk = Desk::new();
    let scenario = desk.scenario(&shipped("runbook/incident/point-in-time"));
    // All programs of the system but one.
    let mut command = desk.command(&["run", scenario.to_str().unwrap()]);
    let without = desk.path("without");
    fs::create_dir(&without).unwrap();
    for program in ["/bin", "/usr/bin"].iter().flat_map(|bin| fs::read_dir(bin).unwrap().flatten()) {
        let link = without.join(program.file_name());
        if program.file_name() != "pgbouncer" && !link.exists() {
            let _ = std::os::unix::fs::symlink(program.path(), link);
        }
    }
    let done = crate::desk::Done::of(&command.env("PATH", &without).output().unwrap());
    done.ends_with(2);
    desk.assert_clean();
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "PROGRAM_MISSING", "{found:#?}");
    assert!(found[0].2.contains("PgBouncer does not run where the servers do"), "{found:#?}");
    assert!(done.stdout.contains("apt-get install pgbouncer"), "{}", done.stdout);
}

/// An application of one's own, as far as pgdrill can see: it is well while a file is there, and otherwise as `not_well` says.
struct Own {
    well: PathBuf,
    url: String,
}

impl Own {
    fn begin(desk: &Desk, not_well: fn(TcpStream)) -> Self {
        let (listener, well) = (TcpListener::bind("127.0.0.1:0").unwrap(), desk.path("well"));
        let url = format!("http://{}/healthz", listener.local_addr().unwrap());
        let looks = well.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let well = looks.exists();
                thread::spawn(move || if well { answer(stream, "200 OK", "well") } else { not_well(stream) });
            }
        });
        Self { well, url }
    }

    /// A drill with it, started by `start` each time.
    fn drill(&self, start: &str, rest: &str) -> String {
        let well = self.well.display();
        format!(
            "title: t\ndata: {{ orders: 500 }}\napplication:\n  start: '{start}'\n  stop: 'rm {well}'\n  health: ['{}']\n  \
             within: 2s\nsteps:\n  - application: start\n  - backup\n  - switch-wal\n{rest}",
            self.url
        )
    }
}

const LOST: &str = "  - application: stop\n  - disaster: kill\n  - recover\n  - check: { row-counts: all }\n  - application: start\n";

fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let mut asked = [0; 2048];
    let _ = stream.read(&mut asked);
    let length = body.len();
    let _ =
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
}

fn broken(stream: TcpStream) {
    answer(stream, "500 Internal Server Error", "no");
}

#[test]
fn an_application_of_ones_own_is_started_and_stopped_and_its_outage_is_seen() {
    let desk = Desk::new();
    let own = Own::begin(&desk, broken);
    let seen = desk.path("environment");
    let start = format!("env | grep ^PG > {}; touch {}", seen.display(), own.well.display());
    desk.drill(&own.drill(&start, LOST), &[]).ends_with(0);
    let record = desk.record();
    let applications = record["applications"].as_array().unwrap();
    assert_eq!(applications.len(), 2);
    assert!(applications[1]["outage"]["asked"].as_u64().unwrap() > 1, "{applications:#?}");
    assert!(applications.iter().all(|application| application["own"] == true));
    // It finds the pool as any client of libpq would.
    let environment = fs::read_to_string(seen).unwrap();
    for expected in ["PGHOST=/", "PGPORT=5432", "PGDATABASE=trading", "PGUSER=trading_app", "PGPASSWORD="] {
        assert!(environment.contains(expected), "{environment}");
    }
    assert!(!own.well.exists());
}

#[rstest]
#[case::it_answers_500(broken, "status 500")]
#[case::it_answers_garbage(|mut stream: TcpStream| { let _ = stream.write_all(b"\x00\xff garbage\r\n\r\n"); }, "")]
#[case::it_hangs(|stream: TcpStream| { thread::sleep(Duration::from_secs(30)); drop(stream); }, "no answer within")]
#[case::it_refuses(drop::<TcpStream>, "")]
fn an_application_that_never_works_teaches_nothing_and_is_not_waited_for(
    #[case] not_well: fn(TcpStream),
    #[case] words: &str,
) {
    let desk = Desk::new();
    let own = Own::begin(&desk, not_well);
    let began = Instant::now();
    desk.drill(&own.drill("true", LOST), &[]).ends_with(2);
    assert!(began.elapsed() < Duration::from_secs(60));
    let found = findings(&desk.record());
    let told = found.iter().find(|(code, _, _)| code == "APPLICATION_UNUSABLE").unwrap();
    assert!(told.2.contains("not healthy within 2 s") && told.2.contains(words), "{told:?}");
}

#[test]
fn an_application_that_worked_and_does_not_come_back_disproves() {
    let desk = Desk::new();
    let own = Own::begin(&desk, broken);
    // Only the first time.
    let once = desk.path("once");
    let start = format!("test -e {0} || touch {0} {1}", once.display(), own.well.display());
    desk.drill(&own.drill(&start, LOST), &[]).ends_with(1);
    let found = findings(&desk.record());
    let told = found.iter().find(|(code, _, _)| code == "APPLICATION_FAILED").unwrap();
    assert!(told.2.contains("on the restored") && told.2.contains("status 500"), "{told:?}");
}

#[rstest]
#[case::it_fails("echo no licence >&2; exit 3", "exit status: 3: no licence")]
#[case::it_does_not_end("sleep 60", "did not end within 2 s")]
fn a_command_that_does_not_start_it_is_told(#[case] start: &str, #[case] words: &str) {
    let desk = Desk::new();
    let own = Own::begin(&desk, broken);
    // What stops it does so also where it was not started in order.
    fs::write(&own.well, "").unwrap();
    desk.drill(&own.drill(start, LOST), &[]).ends_with(2);
    let found = findings(&desk.record());
    let told = found.iter().find(|(code, _, _)| code == "APPLICATION_UNUSABLE").unwrap();
    assert!(told.2.contains(words), "{told:?}");
    assert!(!own.well.exists());
}

#[test]
fn an_outage_beyond_its_objective_disproves() {
    let desk = Desk::new();
    let own = Own::begin(&desk, broken);
    let start = format!("touch {}", own.well.display());
    let rest = format!("{LOST}objectives: {{ outage: 10ms }}\n");
    desk.drill(&own.drill(&start, &rest), &[]).ends_with(1);
    let found = findings(&desk.record());
    assert!(
        found.iter().any(|(code, _, said)| code == "OUTAGE_EXCEEDED" && said.contains("10")),
        "{found:#?}"
    );
}

#[test]
fn the_last_good_backup_is_taken_where_the_newest_is_damaged() {
    let desk = Desk::new();
    desk.drill(&shipped("runbook/rollback/data-corrupt"), &[]).ends_with(0);
    let record = desk.record();
    let recovery = &record["recoveries"][0];
    assert_eq!(recovery["backups"], serde_json::json!(["backup-1"]));
    let passed = &recovery["passed_over"][0];
    assert_eq!(passed["backup"], "backup-2");
    assert!(passed["wal_bytes"].as_u64().unwrap() > 0, "{passed}");
    // With the older one and the archive nothing is lost.
    let checks = record["checks"].as_array().unwrap();
    let ledger = checks.iter().find(|check| check["check"] == "ledger").unwrap();
    assert_eq!(ledger["status"], "held");
}

#[test]
fn where_no_backup_is_good_none_is_recovered() {
    let desk = Desk::new();
    let text = shipped("runbook/rollback/data-corrupt")
        .replace("  - backup\n  - work: { writers: 2, transactions: 100 }\n  - backup\n", "  - backup\n");
    desk.drill(&text, &[]).ends_with(0);
    let record = desk.record();
    assert_eq!(record["observed"], "disproven");
    assert_eq!(record["recoveries"][0]["state"], Value::Null);
}

#[test]
fn the_last_proven_backup_is_taken_where_the_newest_verifies_and_is_corrupt_all_the_same() {
    let desk = Desk::new();
    let drill = desk.drill(&shipped("runbook/rollback/corrupt-before-backup"), &[]);
    drill.ends_with(0);
    let record = desk.record();
    let recovery = &record["recoveries"][0];
    assert_eq!(
        record["recoveries"].as_array().unwrap().len(),
        1,
        "what was only tried is no recovery of the drill"
    );
    assert_eq!(recovery["backups"], serde_json::json!(["backup-1"]));
    let passed = &recovery["passed_over"][0];
    assert_eq!((&passed["backup"], &passed["tried"]), (&"backup-2".into(), &true.into()));
    // The oldest is recovered at once: there is none to step back to.
    assert_eq!(recovery["tried_us"], 0);
    let found = findings(&record);
    assert!(found.iter().all(|(_, _, said)| said.starts_with("backup-2: ")), "{found:#?}");
    let checks = record["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["status"] == "held"), "{checks:#?}");
}

#[test]
fn of_two_good_backups_the_newest_is_tried_and_taken() {
    let desk = Desk::new();
    let text = shipped("runbook/rollback/corrupt-before-backup");
    let text = text.replace("  - fault: index-out-of-order\n", "");
    let text = &text[..text.find("expect:").unwrap()];
    desk.drill(text, &[]).ends_with(0);
    let recovery = &desk.record()["recoveries"][0];
    assert_eq!(recovery["backups"], serde_json::json!(["backup-2"]));
    assert_eq!(recovery["passed_over"], Value::Null);
    // What it took to try it is in no phase.
    let phases = recovery["phases"].as_array().unwrap();
    let took: u64 = phases.iter().map(|phase| phase["took_us"].as_u64().unwrap()).sum();
    let rto = recovery["rto_us"].as_u64().unwrap();
    // Each is rounded down to a whole microsecond.
    assert!((took..=took + phases.len() as u64).contains(&rto), "{rto} of {phases:#?}");
    assert!(recovery["tried_us"].as_u64().unwrap() > 0);
}

/// A backup that ends behind the target is none to step back from. Where a position is named, only the WAL tells which do.
#[test]
fn what_is_wrong_with_a_backup_is_said_of_that_which_was_recovered() {
    let desk = Desk::new();
    // Some 20 MB of WAL, in the middle of which the target is.
    let text = "title: t
data: { orders: 2_000 }
cluster: { wal-segment-size: 1MB }
steps:
  - backup
  - fault: index-out-of-order
  - backup
  - sql: CREATE TABLE much AS SELECT generate_series(1, 300000) AS n
  - backup
  - switch-wal
  - disaster: lose-primary
  - recover: { from: last-proven, to: { lsn: 0/1A00000 } }
  - check: { amcheck: all }
expect: { verdict: disproven, finding: RELATION_CORRUPT }
";
    desk.drill(text, &[]).ends_with(0);
    let recovery = &desk.record()["recoveries"][0];
    assert_eq!(recovery["backups"], serde_json::json!(["backup-1"]), "{recovery:#}");
    let passed = recovery["passed_over"].as_array().unwrap();
    let names: Vec<&str> = passed.iter().map(|passed| passed["backup"].as_str().unwrap()).collect();
    assert_eq!(names, ["backup-2"]);
}
