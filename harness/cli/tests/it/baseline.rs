//! `pgdrill live baseline` on real servers: under load, held against what PostgreSQL itself recovers to the position that was found;
//! on a standby; and by roles that may not read everything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pgdrill_backup::wal::timelines::Place;
use pgdrill_backup::wal::{Chronicle, Store};
use pgdrill_engine::live::baseline::{Baseline, open, wal};
use pgdrill_model::recovery_point::{Path as Along, RecoveryPoint, Wal};
use pgdrill_model::scenario::Point;
use pgdrill_model::snapshot::{Comparison, Nowhere, Position, Span};
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::Lineage;

use crate::desk::{Desk, Done, wait_until};
use crate::server::{Server, bin, postgres};

fn capture(desk: &Desk, server: &Server<'_>, role: &str, out: &str, more: &[&str]) -> Done {
    let dsn = format!("host={} user={role} dbname=postgres", server.socket);
    let arguments = [&["live", "baseline", "--dsn", &dsn, "--out", out], more].concat();
    desk.pgdrill(&arguments)
}

fn opened(desk: &Desk, name: &str) -> Baseline {
    open(&fs::read(desk.path(name)).unwrap()).unwrap()
}

/// A writer: transactions of one row or two, some of them with a subtransaction, some of them rolled back.
fn writer(server: &Server<'_>, number: usize) -> Child {
    let text = format!(
        "DO $$ BEGIN FOR i IN 1..10000000 LOOP
             INSERT INTO entry (writer, line) VALUES ({number}, i);
             IF i % 3 = 0 THEN UPDATE total SET sum = sum + i WHERE writer = {number}; END IF;
             IF i % 5 = 0 THEN
                 BEGIN
                     INSERT INTO entry (writer, line) VALUES ({number}, -i);
                     IF i % 2 = 0 THEN RAISE 'no'; END IF;
                 EXCEPTION WHEN raise_exception THEN NULL; END;
             END IF;
             IF i % 7 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
         END LOOP; END $$"
    );
    server.psql(&text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

const TABLES: &str =
    "CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, writer int, line bigint);
                      CREATE TABLE total (writer int PRIMARY KEY, sum bigint);
                      INSERT INTO total SELECT i, 0 FROM generate_series(1, 4) AS i";

/// A backup, where it began, and what is copied of it.
fn backup(bin: &Path, server: &Server<'_>) -> (String, Place) {
    let data = format!("{}/base", server.socket);
    let arguments = ["-h", &server.socket, "-U", "postgres", "-D", &data, "-c", "fast", "-X", "none"];
    postgres(bin, "pg_basebackup", &arguments, "");
    let label = fs::read_to_string(format!("{data}/backup_label")).unwrap();
    let start = label.split_whitespace().find(|word| word.contains('/')).unwrap();
    let Lsn(position) = start.parse().unwrap();
    (data, Place { timeline: 1, position })
}

/// Lets PostgreSQL recover a copy of the backup to `lsn`, exclusively.
fn recover<'a>(bin: &'a Path, room: &str, base: &str, name: &str, lsn: Lsn) -> Server<'a> {
    let data = format!("{room}/{name}");
    let copied = std::process::Command::new("cp").args(["-a", base, &data]).status().unwrap();
    assert!(copied.success());
    fs::write(format!("{data}/recovery.signal"), "").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let settings = format!(
        "restore_command = 'cp {room}/archive/%f %p'\nrecovery_target_lsn = '{lsn}'\nrecovery_target_inclusive = off\n\
         recovery_target_action = promote\n"
    );
    let server = Server::of_copy(bin, &data, &format!("{room}/{name}.socket"), &settings);
    wait_until("the recovery to end", Duration::from_secs(60), || {
        server.sql("SELECT pg_is_in_recovery()").trim() == "f"
    });
    server
}

/// The content of a table by the method's own words, without pgdrill.
fn content(server: &Server<'_>, table: &str) -> String {
    server
        .sql(&format!(
            "SET TimeZone = 'UTC'; SELECT count(*) || ' ' || sum(hashtextextended(t::text COLLATE \"C\", {})) || ':' || \
             sum(hashtextextended(t::text COLLATE \"C\", {})) FROM {table} AS t",
            0x7067_6472_696C_6C31_i64, 0x7067_6472_696C_6C32_i64
        ))
        .trim()
        .to_owned()
}

fn expected(baseline: &Baseline, table: &str) -> String {
    let held = &baseline.databases["postgres"].tables[table];
    format!("{} {}", held.rows, held.fingerprint)
}

/// Baselines of a server that is written to by four: where the WAL's commits have a position for one, a recovery to it gives its
/// content to the last byte, and one commit further does not.
#[test]
fn a_recovery_to_the_position_of_a_loaded_server_gives_its_content() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 16);
    server.sql(TABLES);
    let (base, begin) = backup(&bin, &server);
    let mut writers: Vec<Child> = (1..=4).map(|number| writer(&server, number)).collect();
    wait_until("the writers to write", Duration::from_secs(20), || {
        server.sql("SELECT count(DISTINCT writer) FROM entry").trim() == "4"
    });
    // Until one in the WAL has a position, which is seen only later: so many are taken.
    let began = Instant::now();
    let mut taken = 0;
    while taken < 30 || began.elapsed() < Duration::from_secs(8) {
        let done = capture(&desk, &server, "postgres", &format!("{taken}.json"), &["--database", "postgres"]);
        done.ends_with(0);
        taken += 1;
    }
    for writer in &mut writers {
        let _ = writer.kill();
        let _ = writer.wait();
    }
    let room = server.socket.clone();
    let archive = server.stop();

    let lineage = Lineage::single(1);
    let store = Store::open(&[&archive]).unwrap();
    let chronicle = Chronicle::read(store, begin, lineage.clone(), &[]);
    let wal = wal(&chronicle, &lineage);
    assert!(wal.commits().count() > 1000, "{}", wal.ends.len());
    let (mut located, mut exact, mut nowhere) = (Vec::new(), 0, 0);
    for number in 0..taken {
        let baseline = opened(&desk, &format!("{number}.json"));
        let position = baseline.databases["postgres"].position.clone();
        match position.locate(Some(&wal)) {
            Ok(span) => {
                exact += usize::from(matches!(position, Position::Exact { .. }));
                located.push((baseline, span));
            }
            Err(Nowhere::OutOfOrder { .. }) => nowhere += 1,
            Err(other) => panic!("{other}"),
        }
    }
    eprintln!(
        "of {taken} baselines {} have a position ({exact} were quiet), {nowhere} have none",
        located.len()
    );
    let searched = |(baseline, _): &&(Baseline, Span)| {
        matches!(baseline.databases["postgres"].position, Position::InTheWal { .. })
    };
    let (baseline, span) = located.iter().rev().find(searched).expect("a position found in the WAL");
    assert_eq!(span.unresolved, Vec::<u64>::new());
    let Point::Lsn(target) = baseline.target("postgres", span).unwrap().at else { panic!() };

    let restored = recover(&bin, &room, &base, "at", target);
    for (table, name) in [("entry", "public.entry"), ("total", "public.total")] {
        assert_eq!(content(&restored, table), expected(baseline, name), "{table} at {target}");
    }
    let last: i64 = restored.sql("SELECT last_value FROM entry_id_seq").trim().parse().unwrap();
    assert!(last >= baseline.databases["postgres"].sequences["public.entry_id_seq"].last);
    drop(restored);
    compared(span, &wal, target);

    // One commit further it is another content.
    let next = wal.commits().find(|ended| ended.start >= span.from).unwrap();
    let further = recover(&bin, &room, &base, "further", next.end);
    assert_ne!(content(&further, "entry"), expected(baseline, "public.entry"));
}

/// What the rule says of the recovery point, and of those around it.
fn compared(span: &Span, wal: &Wal, target: Lsn) {
    let at = |lsn| span.compare(&RecoveryPoint { path: Along::only(1), lsn }, Some(wal));
    assert_eq!(at(target), Comparison::Exact);
    let next = wal.commits().find(|ended| ended.start >= span.from).unwrap();
    assert_eq!(at(next.end), Comparison::Earlier { commits: Some(1) });
    let last = wal.commits().rev().find(|ended| ended.end <= span.from).unwrap();
    assert_eq!(at(last.start), Comparison::Later { commits: Some(1) });
}

#[test]
fn a_quiet_server_is_known_exactly_and_so_is_a_paused_standby() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql(TABLES);
    server.sql("INSERT INTO entry (writer, line) SELECT 1, i FROM generate_series(1, 1000) AS i");
    // A prepared transaction is not over, and so the WAL has to be asked.
    server.sql("BEGIN; INSERT INTO entry (writer, line) VALUES (9, 9); PREPARE TRANSACTION 'half'");
    capture(&desk, &server, "postgres", "half.json", &["--wait-quiet", "100ms"]).ends_with(0);
    let half = opened(&desk, "half.json");
    let Position::InTheWal { holding, .. } = &half.databases["postgres"].position else { panic!("{half:?}") };
    assert_eq!(holding.len(), 1);
    server.sql("ROLLBACK PREPARED 'half'");

    let done = capture(&desk, &server, "postgres", "quiet.json", &[]);
    done.ends_with(0);
    assert!(done.stdout.contains("exactly at"), "{}", done.stdout);
    let mode = fs::metadata(desk.path("quiet.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let quiet = opened(&desk, "quiet.json");
    assert_eq!(expected(&quiet, "public.entry"), content(&server, "entry"));

    let data = format!("{}/standby", server.socket);
    let arguments = ["-h", &server.socket, "-U", "postgres", "-D", &data, "-c", "fast", "-R"];
    postgres(&bin, "pg_basebackup", &arguments, "");
    let standby = Server::of_copy(&bin, &data, &format!("{}/s", server.socket), "");
    let refused = capture(&desk, &standby, "postgres", "standby.json", &[]);
    refused.ends_with(2);
    assert!(refused.stderr.contains("SELECT pg_wal_replay_pause()"), "{}", refused.stderr);
    assert!(!desk.path("standby.json").exists());
    standby.sql("SELECT pg_wal_replay_pause()");
    wait_until("the replay to be paused", Duration::from_secs(20), || {
        standby.sql("SELECT pg_get_wal_replay_pause_state()").trim() == "paused"
    });
    server.sql("INSERT INTO entry (writer, line) VALUES (1, 1001)");
    capture(&desk, &standby, "postgres", "standby.json", &[]).ends_with(0);
    let paused = opened(&desk, "standby.json");
    let replayed: Lsn = standby.sql("SELECT pg_last_wal_replay_lsn()").trim().parse().unwrap();
    assert_eq!(paused.databases["postgres"].position, Position::Exact { timeline: 1, lsn: replayed });
    assert_eq!(paused.databases["postgres"].tables, quiet.databases["postgres"].tables);
    assert!(paused.standby && !quiet.standby && paused.system == quiet.system);
}

#[test]
fn what_may_not_be_read_is_told_and_may_be_left_out() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql(
        "CREATE TABLE open (id int); CREATE TABLE hidden (id int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
         CREATE ROLE reader LOGIN IN ROLE pg_read_all_data; CREATE ROLE plain LOGIN; GRANT SELECT ON open TO plain;
         INSERT INTO open VALUES (1); INSERT INTO hidden VALUES (1)",
    );
    // Row security would hide the row from a reader, who must not take the table for an empty one.
    let done = capture(&desk, &server, "reader", "a.json", &[]);
    done.ends_with(2);
    assert!(
        done.stdout.contains(
            "NOT READ     postgres.public.hidden: ERROR: query would be affected by row-level security"
        ),
        "{}",
        done.stdout
    );
    let baseline = opened(&desk, "a.json");
    assert_eq!(baseline.databases["postgres"].tables["public.open"].rows, 1);
    assert!(!baseline.databases["postgres"].tables.contains_key("public.hidden"));
    let skip = ["--skip", "postgres.public.hidden"];
    let done = capture(&desk, &server, "reader", "b.json", &skip);
    done.ends_with(0);
    assert_eq!(opened(&desk, "b.json").skipped, ["postgres.public.hidden"]);

    let done = capture(&desk, &server, "plain", "c.json", &[]);
    done.ends_with(2);
    for name in ["definitions of the cluster", "definitions of postgres", "postgres.public.hidden"] {
        assert!(done.stdout.contains(&format!("NOT READ     {name}: ERROR: ")), "{}", done.stdout);
    }
    let none = capture(&desk, &server, "reader", "d.json", &["--database", "nowhere"]);
    none.ends_with(2);
    assert!(none.stderr.contains("the server has no database nowhere"), "{}", none.stderr);

    // Whoever has locked a table is not waited for for long, and nothing else waits behind.
    let mut locker = server.psql("BEGIN; LOCK TABLE open; SELECT pg_sleep(30)");
    let mut locker = locker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the lock", Duration::from_secs(10), || {
        let locked = "SELECT count(*) FROM pg_locks WHERE relation = 'open'::regclass AND granted";
        server.sql(locked).trim() == "1"
    });
    let done = capture(&desk, &server, "reader", "e.json", &skip);
    done.ends_with(2);
    assert!(
        done.stdout.contains("postgres.public.open: ERROR: canceling statement due to lock timeout"),
        "{}",
        done.stdout
    );
    let _ = locker.kill();
    let _ = locker.wait();
    let log = fs::read_to_string(format!("{}/log", server.socket)).unwrap();
    assert!(!log.contains("FATAL") && !log.contains("unexpected EOF"), "{log}");
}
