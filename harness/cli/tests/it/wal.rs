//! `pgdrill wal`: what each transaction in an archive did, and where to stop before it, on WAL of a real server; and what
//! is said where there is nothing to list.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgdrill_backup::wal::chronicle::Chronicle;
use pgdrill_backup::wal::target::{self, Consistent, Stop, Target};
use pgdrill_backup::wal::timelines::{Place, Timelines};
use pgdrill_backup::wal::{Store, survey};
use pgdrill_model::scenario::Timeline;
use pgdrill_model::units::Lsn;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Desk, Done};
use crate::server::{Server, bin, postgres};

const STORY: &str = "
create table few (id int primary key, v text);
create table gone (id int);
create table emptied (id int primary key, v text);
insert into few select n, 'row' from generate_series(1, 100) n;
insert into emptied select n, 'row' from generate_series(1, 100) n;
checkpoint;
begin; insert into few values (1000, 'plain'); select 'insert=' || pg_current_xact_id(); commit;
begin; savepoint a; update few set v = 'new' where id <= 30; release a;
savepoint b; update few set v = 'newer' where id <= 20; rollback to b;
savepoint c; update few set v = 'newest' where id > 70 and id <= 80;
select 'update=' || pg_current_xact_id(); commit;
begin; delete from few; select 'delete=' || pg_current_xact_id(); commit;
begin; truncate emptied; select 'truncate=' || pg_current_xact_id(); commit;
begin; drop table gone; select 'drop=' || pg_current_xact_id(); commit;
begin; delete from emptied; insert into emptied values (1, 'undone'); select 'abort=' || pg_current_xact_id(); rollback;
create database other;
drop database other;
create tablespace room location '';
begin; insert into emptied values (7, 'x'); select 'prepared=' || pg_current_xact_id(); prepare transaction 'by name';
commit prepared 'by name';
begin; create table made (id int); drop table made; select 'nothing=' || pg_current_xact_id(); commit;
vacuum full few;
begin; insert into few values (1001, 'end'); select 'end=' || pg_current_xact_id(); commit;
";

fn list(desk: &Desk, archive: &Path, args: &[&str]) -> Done {
    let all: Vec<&str> = ["wal", archive.to_str().unwrap()].into_iter().chain(args.iter().copied()).collect();
    desk.pgdrill(&all)
}

fn json(desk: &Desk, archive: &Path, args: &[&str]) -> Value {
    let done = list(desk, archive, &[&["--json", "-"], args].concat());
    done.ends_with(0);
    serde_json::from_str(&done.stdout).unwrap()
}

/// The transaction of a number.
fn of(listing: &Value, xid: u64) -> Option<&Value> {
    let mut all = listing["transactions"].as_array().unwrap().iter();
    all.find(|transaction| transaction["commit"]["xid"].as_u64() == Some(xid))
}

fn deeds(transaction: &Value) -> Vec<&str> {
    transaction["deeds"].as_array().unwrap().iter().map(|deed| deed["what"].as_str().unwrap()).collect()
}

fn rows(transaction: &Value, kind: &str) -> u64 {
    let relations = transaction["relations"].as_array().unwrap().iter();
    relations.map(|relation| relation[kind].as_u64().unwrap()).sum()
}

fn lsn(value: &Value) -> u64 {
    value.as_str().unwrap().parse::<Lsn>().unwrap().0
}

#[rstest]
fn each_accident_is_named_and_recovery_to_what_is_printed_stops_before_it(#[values(1, 64)] segment_mb: u32) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, segment_mb);
    let said = server.sql(STORY);
    let archive = server.stop();
    let xids: BTreeMap<&str, u64> = said
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, xid)| (name, xid.parse().unwrap()))
        .collect();
    let listing = json(&desk, &archive, &["--limit", "1000", "--rows", "50"]);
    let find = |name: &str| of(&listing, xids[name]).unwrap_or_else(|| panic!("{name} of {xids:?}"));
    assert_eq!(listing["segment_size"], u64::from(segment_mb) << 20);
    assert_eq!((rows(find("insert"), "inserts"), deeds(find("insert")).len()), (1, 0));
    // Thirty of a released savepoint and ten of one that stood at the end, which lies in that to which was rolled back;
    // what was rolled back does not count.
    assert_eq!((rows(find("update"), "updates"), find("update")["subtransactions"].as_u64()), (40, Some(3)));
    assert_eq!(rows(find("delete"), "deletes"), 101);
    assert_eq!(deeds(find("truncate")), ["truncate"]);
    assert_eq!(deeds(find("drop")), ["drop"]);
    assert!(of(&listing, xids["abort"]).is_none());
    assert_eq!(find("prepared")["gid"], "by name");
    assert_eq!(rows(find("prepared"), "inserts"), 1);
    assert!(deeds(find("nothing")).is_empty());
    let all = || listing["transactions"].as_array().unwrap().iter();
    // What initdb did may be in the archive, too.
    let is_of_the_story = |of: &&Value| of["commit"]["xid"].as_u64().unwrap() >= xids["insert"];
    let story = || all().filter(is_of_the_story);
    let with = |deed: &str| story().filter(|of| deeds(of).contains(&deed)).collect::<Vec<_>>();
    assert_eq!(with("create-database").len(), 1);
    assert_eq!(with("create-tablespace").len(), 1);
    // VACUUM FULL of the table that was emptied and filled is no TRUNCATE.
    assert_eq!((with("rewrite").len(), with("truncate").len(), with("drop").len()), (1, 1, 1));
    let [dropped] = with("drop-database")[..] else { panic!("{listing}") };
    assert_eq!(dropped["before_commit"], true);
    // Behind the mark in pg_database nobody can connect to it any more.
    let (path, stop) = (archive.to_str().unwrap(), dropped["stop_before"].as_str().unwrap());
    let first = postgres(&bin, "pg_waldump", &["-p", path, "-s", stop, "-n", "1"], "");
    assert!(first.contains("INPLACE") && first.contains("rel 1664/0/1262"), "{first}");

    // What may be an accident, in the order of the WAL.
    let notable: Vec<u64> = listing["notable"]
        .as_array()
        .unwrap()
        .iter()
        .filter(is_of_the_story)
        .map(|of| of["commit"]["xid"].as_u64().unwrap())
        .collect();
    let accidents = ["delete", "truncate", "drop"].map(|name| xids[name]);
    assert_eq!(notable, [&accidents[..], &[dropped["commit"]["xid"].as_u64().unwrap()]].concat());

    // Recovery that stops where it is told replays everything before, and the transaction not.
    let window = survey(&[&archive], None, 2, &|_| ()).unwrap();
    assert!(window.is_whole(), "{window:#?}");
    let begin = Place { timeline: 1, position: window.window.unwrap().begin.0 };
    let store = Store::open(&[&archive]).unwrap();
    let lineage = Timelines::of(&store).unwrap().resolve(Timeline::Latest, begin, begin).unwrap();
    let stops: Vec<u64> = all().map(|of| lsn(&of["stop_before"])).collect();
    let chronicle = Chronicle::read(store, begin, lineage, &stops);
    for (number, transaction) in all().enumerate() {
        let position = lsn(&transaction["stop_before"]);
        let by_lsn = Target::Lsn { position, inclusive: false };
        let consistent = Consistent::At(begin.position);
        let Stop::At(stopped) = target::stop(&chronicle, &by_lsn, consistent) else {
            panic!("{transaction}")
        };
        assert!(stopped.replayed_to <= position && stopped.commits == number as u64, "{transaction}");
        if transaction["before_commit"] == false {
            let xid = transaction["commit"]["xid"].as_u64().unwrap() as u32;
            let by_xid = Target::Xid { xid, inclusive: false };
            let Stop::At(by_xid) = target::stop(&chronicle, &by_xid, consistent) else {
                panic!("{transaction}")
            };
            assert_eq!((by_xid.replayed_to, by_xid.commits), (stopped.replayed_to, stopped.commits));
        }
    }

    // For people.
    let done = list(&desk, &archive, &["--rows", "50"]);
    done.ends_with(0);
    let stop = find("delete")["stop_before"].as_str().unwrap();
    for words in [
        format!("recovery_target_lsn = '{stop}', recovery_target_inclusive = off"),
        format!("recovery_target_xid = '{}'", xids["truncate"]),
        "TRUNCATE of ".to_owned(),
        "DROP of 1 files: ".to_owned(),
        "DROP DATABASE ".to_owned(),
        "takes effect before the commit".to_owned(),
        "DELETE 101 in ".to_owned(),
        "+00".to_owned(),
    ] {
        assert!(done.stdout.contains(&words), "{words}\n{}", done.stdout);
    }
    // Bounds: only what lies between them, themselves included.
    let (from, to) =
        (find("delete")["commit"]["lsn"].as_str().unwrap(), find("drop")["commit"]["time"].as_str().unwrap());
    let between = json(&desk, &archive, &["--limit", "1000", "--from", from, "--to", to]);
    let found: Vec<u64> = between["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["commit"]["xid"].as_u64().unwrap())
        .collect();
    assert_eq!(found, accidents);
    assert_eq!(rows(&between["transactions"][0], "deletes"), 101);
    let bounded = json(&desk, &archive, &["--to", from]);
    assert_eq!((bounded["to_the_bound"].as_bool(), bounded["ends"].is_null()), (Some(true), true));

    breaks(&desk, &archive, segment_mb);
    packed(&desk, &archive);
}

/// The same archive, packed: what could be listed can be listed still.
fn packed(desk: &Desk, archive: &Path) {
    let before = list(desk, archive, &[]);
    let files = fs::read_dir(archive).unwrap().map(|entry| entry.unwrap().path());
    assert!(Command::new("gzip").arg("-1").args(files).status().unwrap().success());
    let after = list(desk, archive, &[]);
    assert_eq!(after.code, before.code);
    let commits = |done: &Done| done.stdout.split("\nRead\n").next().unwrap().to_owned();
    assert_eq!(commits(&after), commits(&before));
    assert!(commits(&after).contains("TRUNCATE of "), "{}", after.stdout);
}

/// The same archive with a segment of another cluster in it, and with one missing.
fn breaks(desk: &Desk, archive: &Path, segment_mb: u32) {
    let mut files: Vec<PathBuf> = fs::read_dir(archive).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let [_, .., victim] = files.as_slice() else { return };
    let bytes = fs::read(victim).unwrap();
    let mut foreign = bytes.clone();
    foreign[24] ^= 1;
    fs::write(victim, &foreign).unwrap();
    let done = list(desk, archive, &[]);
    done.ends_with(1);
    assert!(done.stdout.contains("there is the WAL of another cluster"), "{}", done.stdout);
    if segment_mb == 1 && files.len() > 3 {
        fs::write(victim, &bytes).unwrap();
        fs::remove_file(&files[files.len() - 2]).unwrap();
        let done = list(desk, archive, &[]);
        done.ends_with(1);
        for words in ["BREAKS", "the segment is missing", "LOST", "behind the break", "Recoverable window"] {
            assert!(done.stdout.contains(words), "{words}\n{}", done.stdout);
        }
    }
}

#[rstest]
#[case(&["--from", "0/zz"], 64, "is not a log position")]
#[case(&["--to", "yesterday"], 64, "is neither a position")]
#[case(&["--from", "2026-01-01 00:00:00"], 64, "has no offset from UTC")]
#[case(&["--from", "0/5000000", "--to", "0/4000000"], 64, "--from is behind --to")]
#[case(&["--timeline", "0"], 64, "--timeline")]
#[case(&[], 1, "there is no WAL segment in")]
fn what_cannot_be_listed_is_refused_with_words(
    #[case] args: &[&str],
    #[case] code: i32,
    #[case] words: &str,
) {
    let desk = Desk::new();
    let archive = desk.path("archive");
    fs::create_dir(&archive).unwrap();
    let done = list(&desk, &archive, args);
    done.ends_with(code);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert_eq!(done.stdout, "");
}

#[test]
fn a_directory_that_is_no_archive_is_told_from_one_that_is_not_there() {
    let desk = Desk::new();
    let done = desk.pgdrill(&["wal"]);
    done.ends_with(64);
    let done = list(&desk, &desk.path("nowhere"), &[]);
    done.ends_with(2);
    assert!(
        done.stderr.contains("nowhere: No such file") && done.stderr.contains("hint: "),
        "{}",
        done.stderr
    );
    let data = desk.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "15\n").unwrap();
    let done = list(&desk, &data, &[]);
    done.ends_with(1);
    assert!(done.stderr.contains("data/pg_wal"), "{}", done.stderr);
    // Nonsense under the name of a segment is damage, and nothing else.
    fs::write(data.join("000000010000000000000001"), "nonsense").unwrap();
    let done = list(&desk, &data, &[]);
    done.ends_with(1);
    assert!(done.stdout.contains("the file has 8 bytes instead of 16777216"), "{}", done.stdout);
    let done = list(&desk, &data, &["--timeline", "7"]);
    done.ends_with(1);
    assert!(done.stderr.contains("no WAL of timeline 7"), "{}", done.stderr);
}
