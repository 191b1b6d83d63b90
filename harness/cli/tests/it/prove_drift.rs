//! The rows of one night beside those of the night before, and which backups of a directory are proven.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::desk::{Desk, Done, findings};
use crate::prove::{Production, damage, files, largest};
use crate::server::bin;

/// Proves, and keeps the records of what was proven before; gives the new one.
fn prove(production: &Production<'_>, args: &[&str]) -> (Done, Value) {
    let desk = production.desk;
    let before = records(desk);
    let all: Vec<&str> = ["prove"].into_iter().chain(args.iter().copied()).collect();
    let done = desk.pgdrill(&all);
    desk.assert_clean();
    let new: Vec<PathBuf> = records(desk).into_iter().filter(|path| !before.contains(path)).collect();
    let [new] = new.as_slice() else { panic!("{new:?}") };
    (done, serde_json::from_slice(&fs::read(new).unwrap()).unwrap())
}

fn records(desk: &Desk) -> Vec<PathBuf> {
    let directory = desk.path("e");
    if directory.is_dir() {
        files(&directory)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect()
    } else {
        Vec::new()
    }
}

fn codes(record: &Value) -> Vec<String> {
    findings(record).into_iter().map(|(code, _, _)| code).collect()
}

#[test]
fn rows_are_held_against_the_last_proven_drill_of_the_same_source() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let server = &production.server;
    server.sql(
        "create table few as select g from generate_series(1, 40) g;
         create table day (at date, n int) partition by range (at);
         create table day_1 partition of day for values from ('2026-11-01') to ('2026-11-02');
         create table day_2 partition of day for values from ('2026-11-02') to ('2026-11-03');
         insert into day select '2026-11-01', g from generate_series(1, 500) g;
         insert into day select '2026-11-02', g from generate_series(1, 500) g;",
    );
    // Of one source are all that are found under its name, whatever is in it by then.
    let night = |name: &str| {
        let today = format!("{}/today", server.socket);
        let _ = fs::remove_dir_all(&today);
        fs::rename(production.backup(name, &["-Fp"]), &today).unwrap();
        today
    };
    let today = night("first");
    let bounded = [today.as_str(), "--max-drift", "20%"];
    let (done, record) = prove(&production, &bounded);
    done.ends_with(0);
    assert_eq!(record["counts"]["rows"]["postgres.public.day"], 1_000, "partitions count with their table");
    assert!(record["counts"]["rows"].get("postgres.public.day_1").is_none());
    assert_eq!(codes(&record), ["DRIFT_UNKNOWN"]);
    let first = record["id"].as_str().unwrap().to_owned();

    // A fifth is allowed; of a few rows no share is taken; a partition may go, as long as its table keeps its rows.
    server.sql(
        "delete from held where n > 4000; delete from few where g > 3; drop table day_1;
         insert into day select '2026-11-02', g from generate_series(1, 500) g;",
    );
    night("second");
    let (done, record) = prove(&production, &bounded);
    done.ends_with(0);
    assert!(codes(&record).is_empty(), "{:?}", codes(&record));
    assert_eq!(record["drift"]["before"]["run"], first.as_str());
    let told = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("postgres.public.few 3 (-92.5 %), postgres.public.held 4 000 (-20.0 %)"), "{told}");

    // What is beyond is named; and what was disproven is no measure for the next night.
    server.sql("delete from held where n > 3000; delete from few;");
    night("third");
    for _ in 0..2 {
        let (done, record) = prove(&production, &bounded);
        done.ends_with(1);
        let found: Vec<(String, String)> =
            findings(&record).into_iter().map(|(code, _, message)| (code, message)).collect();
        let [(few, few_words), (held, held_words)] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!([few, held], ["ROWS_DRIFTED", "ROWS_DRIFTED"]);
        assert!(few_words.starts_with("table postgres.public.few held 3 rows in run "), "{few_words}");
        assert!(few_words.ends_with(", and holds none"), "{few_words}");
        assert!(held_words.ends_with(", and holds 3 000 rows; 20 % are allowed"), "{held_words}");
    }
    // A dot makes no other path of it.
    let (done, record) = prove(&production, &[&format!("{}/./today", server.socket), "--max-drift", "20%"]);
    done.ends_with(1);
    assert_eq!(codes(&record), ["ROWS_DRIFTED", "ROWS_DRIFTED"]);
    // Without a bound nothing is disproven, and only what holds nothing any more is told. What is proven is the next measure.
    let (done, record) = prove(&production, &[today.as_str()]);
    done.ends_with(0);
    assert_eq!(codes(&record), ["ROWS_VANISHED"]);
    let (done, record) = prove(&production, &bounded);
    done.ends_with(0);
    assert!(codes(&record).is_empty(), "{:?}", codes(&record));
    // By another path it is another source.
    let moved = format!("{}/tomorrow", server.socket);
    fs::rename(&today, &moved).unwrap();
    let (done, record) = prove(&production, &[&moved, "--max-drift", "20%"]);
    done.ends_with(0);
    assert_eq!(codes(&record), ["DRIFT_UNKNOWN"]);
    desk.pgdrill(&["prove", &moved, "--max-drift", "a fifth"]).ends_with(64);
}

#[test]
fn which_backups_of_a_directory_are_proven_is_told_in_one_table() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let kept = format!("{}/kept", production.server.socket);
    fs::create_dir(&kept).unwrap();
    for name in ["one", "two", "three"] {
        fs::rename(production.backup(name, &["-Fp"]), format!("{kept}/{name}")).unwrap();
        production.server.sql("insert into held select g, 'more' from generate_series(1, 10) g;");
    }
    let archive = production.end();
    damage(&largest(format!("{kept}/two/base").as_ref()));
    let done = desk.pgdrill(&["prove", &kept, "--wal", &archive, "--pick", "one"]);
    done.ends_with(0);
    // Of a single drill, the page of the source has what is known of the others.
    let evidence = desk.path("e").to_str().unwrap().to_owned();
    let told = desk.pgdrill(&["report", &evidence]).stdout;
    assert!(told.contains("1 of 3 backups proven, 2 not tried"), "{told}");
    let done = desk.pgdrill(&["prove", &kept, "--wal", &archive, "--pick", "all"]);
    done.ends_with(1);
    let line = |name: &str| {
        let coverage = done.stdout.split("Coverage of ").nth(1).expect("a table of what is proven");
        coverage.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned()
    };
    assert!(line("one").contains("PROVEN") && line("one").contains('█'), "{}", line("one"));
    assert!(line("two").contains("DISPROVEN") && line("two").contains('╳'), "{}", line("two"));
    assert!(done.stdout.contains("2 of 3 backups proven, 1 disproven"), "{}", done.stdout);
    let page = desk.path("report.html");
    desk.pgdrill(&["report", &evidence, "--format", "html", "--out", page.to_str().unwrap()]).ends_with(1);
    let page = fs::read_to_string(page).unwrap().replace('\u{a0}', " ");
    assert!(page.contains("2 of 3 backups proven, 1 disproven"));
}
