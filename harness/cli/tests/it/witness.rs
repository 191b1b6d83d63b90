//! `pgdrill live witness` on real servers: beats, what is said where they cannot be written, and restored copies that are known by
//! them.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use pgdrill_engine::live::witness::read;
use pgdrill_model::witness::{Beat, Entry};
use rstest::rstest;

use crate::desk::{Desk, Done, wait_until};
use crate::server::{Server, bin, postgres};

fn dsn(server: &Server<'_>, role: &str) -> String {
    format!("host={} user={role} dbname=postgres", server.socket)
}

fn witness(desk: &Desk, server: &Server<'_>, what: &[&str]) -> Done {
    let dsn = dsn(server, "postgres");
    let arguments: Vec<&str> =
        ["live", "witness"].into_iter().chain(what.iter().copied()).chain(["--dsn", &dsn]).collect();
    desk.pgdrill(&arguments)
}

/// The beats of the file of a desk.
fn beats(desk: &Desk) -> Vec<Beat> {
    let contents = read(&desk.path("pgdrill-witness.jsonl")).unwrap();
    assert_eq!(contents.unreadable, vec![]);
    let beats = contents.entries.into_iter().filter_map(|entry| match entry {
        Entry::Beat(beat) => Some(beat),
        Entry::Removed(_) => None,
    });
    beats.collect()
}

/// A backup of a server, in a directory of its own.
fn backup(bin: &std::path::Path, server: &Server<'_>, name: &str, more: &[&str]) -> String {
    let data = format!("{}/{name}", server.socket);
    let arguments = [&["-h", &server.socket, "-U", "postgres", "-D", &data, "-c", "fast"], more].concat();
    postgres(bin, "pg_basebackup", &arguments, "");
    data
}

#[test]
fn beats_are_written_acknowledged_and_taken_away() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let early = witness(&desk, &server, &["beat"]);
    early.ends_with(2);
    assert!(early.stderr.contains("pgdrill live witness install"), "{}", early.stderr);

    let first = witness(&desk, &server, &["install"]);
    first.ends_with(0);
    assert!(first.stdout.contains("is made in database postgres"), "{}", first.stdout);
    let second = witness(&desk, &server, &["install"]);
    second.ends_with(0);
    assert!(second.stdout.contains("was there already"), "{}", second.stdout);

    witness(&desk, &server, &["beat"]).ends_with(0);
    let more = witness(&desk, &server, &["beat", "--for", "1s", "--every", "300ms"]);
    more.ends_with(0);
    let known = beats(&desk);
    assert!(known.len() >= 3 && more.stdout.lines().count() == known.len() - 1, "{}", more.stdout);
    let rows = server.sql("SELECT beat || ' ' || encode(nonce, 'hex') FROM pgdrill.witness ORDER BY beat");
    let expected: Vec<String> = known.iter().map(|beat| format!("{} {}", beat.beat, beat.nonce)).collect();
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
    let system = server.sql("SELECT system_identifier FROM pg_control_system()");
    let waldump = |from: String, to: String| {
        let pg_wal = format!("{}/pg_wal", server.data);
        postgres(&bin, "pg_waldump", &["-p", &pg_wal, "-s", &from, "-e", &to], "")
    };
    for beat in &known {
        assert!(beat.acknowledged && beat.timeline == 1 && beat.system.to_string() == system.trim());
        // The server's own commit record lies where the file says, and the restore point behind it.
        let (before, after) = (beat.before, beat.after.unwrap());
        let records = waldump(before.to_string(), after.to_string());
        assert!(
            records
                .lines()
                .any(|line| line.contains("COMMIT") && line.contains(&format!("tx: {:>10}", beat.xid))),
            "{records}"
        );
        let point = beat.restore_point.as_ref().unwrap();
        assert!(point.name.starts_with(&format!("pgdrill-{}-", beat.beat)) && point.lsn > before);
    }

    let checked = witness(&desk, &server, &["check", "--everything", "--max-age", "1h"]);
    checked.ends_with(0);
    assert!(checked.stdout.contains("lost        nothing"), "{}", checked.stdout);
    server.sql("CREATE TABLE pgdrill.other ()");
    let removed = witness(&desk, &server, &["remove"]);
    removed.ends_with(0);
    assert!(removed.stdout.contains("schema pgdrill stays"), "{}", removed.stdout);
    let again = witness(&desk, &server, &["remove"]);
    again.ends_with(0);
    assert!(again.stdout.contains("there is no pgdrill.witness"), "{}", again.stdout);
    // The file knows, so nothing is missed afterwards.
    let gone = witness(&desk, &server, &["check", "--everything"]);
    gone.ends_with(2);
    assert!(gone.stdout.contains("WITNESS_MISSING"), "{}", gone.stdout);
    // What pgdrill did left no trouble in the server's log.
    let log = fs::read_to_string(format!("{}/log", server.socket)).unwrap();
    assert!(!log.contains("FATAL") && !log.contains("unexpected EOF"), "{log}");
}

#[test]
fn the_table_stays_small() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    witness(&desk, &server, &["install"]).ends_with(0);
    // As if it had beaten for more than four years.
    server.sql(
        "INSERT INTO pgdrill.witness SELECT i, now(), decode(md5(i::text), 'hex'), 1 FROM generate_series(1, 2200000) AS i",
    );
    witness(&desk, &server, &["beat"]).ends_with(0);
    let counted = server.sql(
        "SELECT count(*), count(*) FILTER (WHERE beat > 2200001 - 1440), min(beat) FROM pgdrill.witness",
    );
    let counted: Vec<u64> = counted.trim().split('|').map(|number| number.parse().unwrap()).collect();
    assert!(counted[0] < 3_300 && counted[1] == 1440 && counted[2] > 2_200_001 - 1_441_440, "{counted:?}");
    assert_eq!(beats(&desk)[0].beat, 2_200_001);
}

#[test]
fn what_a_role_lacks_is_told_with_the_grant_that_mends_it() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    server.sql("CREATE ROLE \"Beat\" LOGIN");
    let mine = dsn(&server, "Beat");
    let run = |what: &str| desk.pgdrill(&["live", "witness", what, "--dsn", &mine]);
    let mend = |done: &Done| {
        done.ends_with(2);
        let advice = done.stderr.split('`').nth(1).unwrap().to_owned();
        server.sql(&advice);
    };
    mend(&run("install"));
    run("install").ends_with(0);
    server.sql("REVOKE INSERT ON pgdrill.witness FROM \"Beat\"");
    mend(&run("beat"));
    let beaten = run("beat");
    beaten.ends_with(0);
    assert_eq!(beaten.stderr, "pgdrill: restore points are left out: the role may not make any\n");
    assert!(beats(&desk)[0].restore_point.is_none());
    server.sql("GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO \"Beat\"");
    let beaten = run("beat");
    assert_eq!(beaten.stderr, "");
    assert!(beats(&desk)[1].restore_point.is_some());
    run("remove").ends_with(0);
    // A table of that name that somebody else made is left alone.
    server.sql("CREATE SCHEMA IF NOT EXISTS pgdrill; CREATE TABLE pgdrill.witness (mine int)");
    for what in ["install", "beat", "remove"] {
        let done = witness(&desk, &server, &[what]);
        done.ends_with(2);
        assert!(done.stderr.contains("that pgdrill did not make"), "{}", done.stderr);
    }
}

#[test]
fn restored_copies_are_known_for_what_they_are() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    witness(&desk, &server, &["install"]).ends_with(0);
    for _ in 0..3 {
        witness(&desk, &server, &["beat"]).ends_with(0);
    }
    let data = backup(&bin, &server, "base", &[]);
    for _ in 0..2 {
        witness(&desk, &server, &["beat"]).ends_with(0);
    }
    let known = beats(&desk);
    let copy = Server::of_copy(&bin, &data, &format!("{}/copy", server.socket), "");

    // It is this database; and old, and short of what came after it.
    let unknown = witness(&desk, &copy, &["check"]);
    unknown.ends_with(0);
    assert!(unknown.stdout.contains("came back   beat 3 of"), "{}", unknown.stdout);
    let stale = witness(&desk, &copy, &["check", "--max-age", "1ms"]);
    stale.ends_with(1);
    assert!(stale.stdout.contains("BACKUP_STALE"), "{}", stale.stdout);
    let lost = witness(&desk, &copy, &["check", "--everything"]);
    lost.ends_with(1);
    assert!(lost.stdout.contains("WITNESS_LOST: 2 beats"), "{}", lost.stdout);
    assert!(lost.stdout.contains("from beat 4 to beat 5"), "{}", lost.stdout);
    let reached = |lsn: &str| witness(&desk, &copy, &["check", "--reached", lsn, "--timeline", "1"]);
    reached(&known[3].before.to_string()).ends_with(0);
    let short = reached(&known[3].after.unwrap().to_string());
    short.ends_with(1);
    assert!(short.stdout.contains("WITNESS_LOST: 1 beat "), "{}", short.stdout);
    let past = reached(&known[2].before.to_string());
    past.ends_with(1);
    assert!(past.stdout.contains("WITNESS_UNEXPECTED"), "{}", past.stdout);

    // A copy that goes on by itself is another database from there on.
    witness(&desk, &copy, &["beat", "--state", "copy.jsonl"]).ends_with(0);
    let forked = witness(&desk, &copy, &["check"]);
    forked.ends_with(1);
    assert!(
        forked.stdout.contains("WRONG_DATABASE") && forked.stdout.contains("beat 4"),
        "{}",
        forked.stdout
    );
    drop(copy);

    // Another cluster, whatever it holds.
    let other = format!("{}/other", server.socket);
    postgres(&bin, "initdb", &["-D", &other, "-A", "trust", "-U", "postgres", "-N", "--no-locale"], "");
    let other = Server::of_copy(&bin, &other, &format!("{}/o", server.socket), "listen_addresses = ''\n");
    let wrong = witness(&desk, &other, &["check"]);
    wrong.ends_with(1);
    assert!(wrong.stdout.contains("WRONG_DATABASE: the restored server is cluster"), "{}", wrong.stdout);
    witness(&desk, &other, &["install"]).ends_with(0);
    let refused = witness(&desk, &other, &["beat"]);
    refused.ends_with(2);
    assert!(refused.stderr.contains("the witness file is of cluster"), "{}", refused.stderr);
    assert_eq!(other.sql("SELECT count(*) FROM pgdrill.witness").trim(), "0");
}

#[test]
fn a_standby_takes_no_beats_and_has_those_of_its_primary() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    witness(&desk, &server, &["install"]).ends_with(0);
    let data = backup(&bin, &server, "standby", &["-R"]);
    let standby = Server::of_copy(&bin, &data, &format!("{}/s", server.socket), "");
    for what in ["install", "beat", "remove"] {
        let done = witness(&desk, &standby, &[what]);
        done.ends_with(2);
        assert!(done.stderr.contains("it is a standby, which cannot be written to"), "{}", done.stderr);
    }
    witness(&desk, &server, &["beat"]).ends_with(0);
    wait_until("the beat to come to the standby", Duration::from_secs(20), || {
        standby.sql("SELECT count(*) FROM pgdrill.witness").trim() == "1"
    });
    witness(&desk, &standby, &["check", "--everything"]).ends_with(0);
}

/// A commit that waits for a standby which is not there is neither told as done nor as not done.
#[test]
fn a_beat_without_an_answer_is_in_the_file_as_one() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    witness(&desk, &server, &["install"]).ends_with(0);
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.sql("SELECT pg_reload_conf()");
    let mine = dsn(&server, "postgres");
    let arguments = ["live", "witness", "beat", "--dsn", &mine];
    let child = desk.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the commit to wait", Duration::from_secs(20), || {
        server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").trim() == "1"
    });
    server.end("immediate");
    let done = Done::of(&child.wait_with_output().unwrap());
    done.ends_with(2);
    assert!(done.stderr.contains("nobody knows whether it was committed"), "{}", done.stderr);
    let known = beats(&desk);
    assert!(!known[0].acknowledged && known[0].after.is_none(), "{known:?}");
}

#[test]
fn two_do_not_write_to_one_file_and_a_torn_line_is_told() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    witness(&desk, &server, &["install"]).ends_with(0);
    let mine = dsn(&server, "postgres");
    let arguments = ["live", "witness", "beat", "--dsn", &mine, "--for", "60s", "--every", "100ms"];
    let mut child = desk.command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the first beat", Duration::from_secs(20), || {
        fs::metadata(desk.path("pgdrill-witness.jsonl")).is_ok_and(|file| file.len() > 0)
    });
    let second = witness(&desk, &server, &["beat"]);
    second.ends_with(2);
    assert!(second.stderr.contains("another pgdrill does so"), "{}", second.stderr);
    child.kill().unwrap();
    child.wait().unwrap();

    let path = desk.path("pgdrill-witness.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let torn = witness(&desk, &server, &["check"]);
    assert!(torn.stderr.contains("broke off when it was written; it is left out"), "{}", torn.stderr);
    let beaten = witness(&desk, &server, &["beat"]);
    beaten.ends_with(0);
    assert!(beaten.stderr.contains("broke off when it was written"), "{}", beaten.stderr);
    let checked = witness(&desk, &server, &["check", "--everything"]);
    checked.ends_with(0);
    assert!(checked.stderr.contains("1 line of"), "{}", checked.stderr);
}

#[rstest]
#[case::no_what(&["witness"], "Usage")]
#[case::a_password(&["witness", "beat", "--dsn", "host=/nowhere password=swordfish"], "PGPASSWORD")]
#[case::no_host(&["witness", "install", "--dsn", "user=beat"], "names no host")]
#[case::an_interval_alone(&["witness", "beat", "--dsn", "host=/nowhere", "--every", "5s"], "--for")]
#[case::no_timeline(&["witness", "check", "--dsn", "host=/nowhere", "--reached", "0/1"], "--timeline")]
#[case::no_file(&["witness", "check", "--dsn", "host=/nowhere", "--state", "none"], "cannot read the witness file none")]
#[case::no_out(&["baseline", "--dsn", "host=/nowhere"], "--out")]
#[case::out_is_a_directory(&["baseline", "--dsn", "host=/nowhere", "--out", "/"], "is a directory")]
#[case::a_password_of_a_baseline(&["baseline", "--dsn", "host=/nowhere password=swordfish", "--out", "b"], "PGPASSWORD")]
fn bad_input_is_told_with_the_code_of_usage(#[case] arguments: &[&str], #[case] words: &str) {
    let desk = Desk::new();
    let done = desk.pgdrill(&[&["live"], arguments].concat());
    done.ends_with(64);
    assert!(done.stderr.contains(words) && !done.stderr.contains("swordfish"), "{}", done.stderr);
}
