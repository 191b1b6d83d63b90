//! Records of several directories in one: shards of a suite that were run on several machines, or what is to be kept of old ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pgdrill_engine::{chain, journal};
use pgdrill_model::redact::Redactor;
use pgdrill_model::run::Run;
use pgdrill_report::record;
use pgdrill_testkit::sample;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Desk, Done};

const DRILLS: [(&str, &str); 3] = [
    ("counted", "  - check: { row-counts: all }\n"),
    ("damaged", "  - fault: row-deleted\n  - check: { row-counts: all }\n"),
    ("whole", "  - check: all\n"),
];

/// Each part on a machine of its own, and then all records in one place.
#[test]
fn the_merge_of_the_parts_is_the_run_in_one_piece() {
    let desk = Desk::new();
    fs::create_dir(desk.path("drills")).unwrap();
    for (name, checks) in DRILLS {
        let text = format!(
            "title: t\ndata: {{ orders: 10 }}\nsteps:\n  - backup: {{ format: plain }}\n  - switch-wal\n  - disaster: kill\n  - recover\n{checks}"
        );
        fs::write(desk.path("drills").join(format!("{name}.yaml")), text).unwrap();
    }
    let run = |more: &[&str]| desk.pgdrill(&[&["run", "drills", "--seed", "7", "--evidence"], more].concat());
    run(&["whole"]).ends_with(1);
    for part in ["1/4", "2/4", "3/4", "4/4"] {
        let done = run(&[&part.replace('/', "-of-"), "--shard", part, "--shard-by", "whole"]);
        assert!(matches!(done.code, 0 | 1), "{}", done.stderr);
        let drills = if part == "4/4" { 0 } else { 1 };
        assert!(done.stderr.contains(&format!("part {part}: {drills} of 3 drills")), "{}", done.stderr);
    }
    let parts = ["2-of-4", "1-of-4", "3-of-4"];
    let merge = desk.pgdrill(&[&["report"], &parts[..], &["--merge", "merged"]].concat());
    merge.ends_with(0);
    assert!(merge.stdout.contains("merged: 3 records in a chain that ends with "), "{}", merge.stdout);
    desk.pgdrill(&["report", "merged", "--check"]).ends_with(0);
    let told = |format: &str, records: &[&str]| {
        let done = desk.pgdrill(&[&["report", "--format", format], records].concat());
        done.ends_with(1);
        done.stdout
    };
    for format in ["json", "junit", "markdown", "text"] {
        assert_eq!(told(format, &["merged"]), told(format, &parts), "{format}");
    }
    assert_eq!(drills(&told("json", &["merged"])), drills(&told("json", &["whole"])));
    for format in ["junit", "markdown"] {
        assert_eq!(pieces(&told(format, &["merged"])), pieces(&told(format, &["whole"])), "{format}");
    }
}

/// What drills say in JSON, by scenario: all that is the same when they are run again.
fn drills(json: &str) -> BTreeMap<String, Value> {
    let report: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&report["verdict"], &report["exit_code"]), (&"disproven".into(), &1.into()));
    let drill = |run: &Value| {
        let checks = run["checks"].as_array().unwrap().iter();
        let checks: Vec<Value> = checks
            .map(|check| serde_json::json!([check["check"], check["server"], check["status"]]))
            .collect();
        assert!(!checks.is_empty());
        let same = [
            "postgres",
            "seed",
            "scenario_sha256",
            "verdict",
            "observed",
            "findings",
            "faults",
            "not_tested",
        ];
        let same: Vec<&Value> = same.iter().map(|key| &run[key]).collect();
        (run["scenario"].as_str().unwrap().to_owned(), serde_json::json!([same, checks]))
    };
    let drills: BTreeMap<String, Value> = report["runs"].as_array().unwrap().iter().map(drill).collect();
    assert_eq!(drills.keys().map(String::as_str).collect::<Vec<_>>(), DRILLS.map(|(name, _)| name));
    assert_eq!(drills["damaged"][0][5][0]["code"], "ROW_COUNT_MISMATCH");
    drills
}

/// The suites or lines of a report without the order, the times and the numbers of its drills.
fn pieces(report: &str) -> Vec<String> {
    let mut plain = String::new();
    for c in report.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if c != '#' || !plain.ends_with('#') {
            plain.push(c);
        }
    }
    let plain = plain.replace("#.#", "#").replace("# ms", "# s");
    let end = if plain.starts_with("<?xml") { "</testsuite>" } else { "\n" };
    // What stands before all of them belongs to none.
    let own = |line: &&str| {
        !line.contains("name=\"run\"") && !line.starts_with("<?xml") && !line.starts_with("<testsuites")
    };
    let lines = |piece: &str| piece.trim().lines().filter(own).map(str::trim).collect::<Vec<_>>().join("\n");
    let mut pieces: Vec<String> = plain.split(end).map(lines).collect();
    pieces.sort();
    assert!(pieces.len() > 3, "{plain}");
    pieces
}

/// A desk with directories of records, none of which needs a server.
struct Shelf {
    desk: Desk,
}

impl Shelf {
    /// With `a` of the drills 0 to 2, `b` of 2 to 4, and `c` of 5.
    fn new() -> Self {
        let shelf = Self { desk: Desk::new() };
        for (directory, numbers) in [("a", 0..3), ("b", 2..5), ("c", 5..6)] {
            for number in numbers {
                shelf.put(directory, &drill(number));
            }
        }
        shelf
    }

    fn put(&self, directory: &str, run: &Run) {
        let record = record::seal(run, &Redactor::default());
        journal::store(&self.desk.path(directory), &record::file_name(run), &record).unwrap();
    }

    fn merge(&self, sources: &[&str], into: &str, more: &[&str]) -> Done {
        self.desk.pgdrill(&[&["report"], sources, &["--merge", into], more].concat())
    }

    /// All files of a directory.
    fn content(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.desk.path(directory)).unwrap().map(|entry| entry.unwrap().path());
        let file =
            |path: &Path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap());
        entries.map(|path| file(&path)).collect()
    }

    /// What is there beside the sources.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.desk.path("")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !["a", "b", "c"].contains(&name.as_str()));
        names.sort();
        names
    }
}

/// A proven drill of one of two scenarios, another one for each number.
fn drill(number: i64) -> Run {
    let mut run = sample::proven();
    run.header.scenario = format!("s/{}", number % 2);
    run.started_unix_us += number * 60_000_000;
    run.header.id = format!("run{number}");
    run
}

#[test]
fn each_record_is_there_once_in_one_chain_whatever_the_order() {
    let shelf = Shelf::new();
    let before = ["a", "b", "c"].map(|source| shelf.content(source));
    let done = shelf.merge(&["a", "b", "c"], "m", &[]);
    done.ends_with(0);
    assert!(done.stdout.contains("m: 6 records in a chain that ends with "), "{}", done.stdout);
    assert!(done.stdout.contains("m: 1 record that several of them have, taken once\n"), "{}", done.stdout);
    assert_eq!(["a", "b", "c"].map(|source| shelf.content(source)), before, "sources stay as they are");
    let merged = shelf.content("m");
    for (name, bytes) in before.iter().flatten().filter(|(name, _)| name.ends_with(".json")) {
        assert_eq!(&merged[name], bytes);
    }
    assert_eq!((merged.len(), shelf.beside()), (7, vec!["m".to_owned()]));
    let checked = chain::check(&shelf.desk.path("m")).unwrap();
    assert_eq!((checked.records, checked.wrong), (6, vec![]));
    shelf.merge(&["c", "b", "a", "b"], "other-order", &[]).ends_with(0);
    assert_eq!(shelf.content("other-order"), merged);
    shelf.merge(&["c", "b"], "step", &[]).ends_with(0);
    shelf.merge(&["step", "a"], "deeper/in-steps", &[]).ends_with(0);
    assert_eq!(shelf.content("deeper/in-steps"), merged);
    // Drills go on in it.
    shelf.put("m", &drill(6));
    shelf.desk.pgdrill(&["report", "m", "--check"]).ends_with(0);
}

/// What is wrong with a source, and a word of what is told.
#[rstest]
#[case::changed(|record: &Path, _: &Path| fs::write(record, "{}").unwrap(), "it was changed since it was sealed")]
#[case::gone(|record: &Path, _: &Path| fs::remove_file(record).unwrap(), "it is gone")]
#[case::put_in(|record: &Path, _: &Path| fs::write(record.with_file_name("x.json"), "{}").unwrap(), "it is in no chain")]
#[case::without_a_chain(|_: &Path, chain: &Path| fs::remove_file(chain).unwrap(), "it is in no chain")]
#[case::of_no_drill(|record: &Path, chain: &Path| {
    fs::write(record, "{}").unwrap();
    fs::remove_file(chain).unwrap();
    let name = record.file_name().unwrap().to_string_lossy().into_owned();
    let sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".to_owned();
    chain::write(record.parent().unwrap(), &[chain::Entry { name, sha256 }]).unwrap();
}, "not a record: a record is a JSON object")]
#[case::another_of_the_same_name(|record: &Path, chain: &Path| {
    let directory = record.parent().unwrap();
    fs::remove_file(record).unwrap();
    fs::remove_file(chain).unwrap();
    let mut other = drill(0);
    other.reason = "another".to_owned();
    let record = record::seal(&other, &Redactor::default());
    journal::store(directory, &record::file_name(&other), &record).unwrap();
}, "it is another record than a/20261122T191500Z-s-0-pg15-run0.json, and has its name")]
fn of_what_does_not_hold_nothing_is_merged(#[case] touch: fn(&Path, &Path), #[case] words: &str) {
    let shelf = Shelf::new();
    let directory = shelf.desk.path("c");
    let record = directory.join(&chain::records(&directory).unwrap()[0]);
    touch(&record, &chain::path(&directory));
    let done = shelf.merge(&["a", "b", "c"], "m", &[]);
    done.ends_with(2);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(done.stderr.ends_with("pgdrill: m: not made: not everything holds\n"), "{}", done.stderr);
    assert_eq!(shelf.beside(), Vec::<String>::new());
}

#[test]
fn a_retired_scenario_can_be_left_behind() {
    let shelf = Shelf::new();
    let done = shelf.merge(&["a", "b", "c"], "m", &["--without", "s/0"]);
    done.ends_with(0);
    assert!(done.stdout.ends_with("m: left out 3 records of s/0\n"), "{}", done.stdout);
    let history = shelf.desk.pgdrill(&["report", "m"]).stdout;
    assert!(history.contains("s/1") && !history.contains("s/0"), "{history}");
    let done = shelf.merge(&["a"], "n", &["--without", "s/9"]);
    done.ends_with(64);
    assert!(done.stderr.contains("--without s/9: no record is of this scenario"), "{}", done.stderr);
    let done = shelf.merge(&["a"], "n", &["--without", "s/0", "--without", "s/1"]);
    done.ends_with(2);
    assert!(done.stderr.contains("n: not made: there is no record to put there"), "{}", done.stderr);
    assert_eq!(shelf.beside(), ["m"]);
}

#[test]
fn only_a_new_directory_is_made() {
    let shelf = Shelf::new();
    let usage = |sources: &[&str], into: &str, words: &str| {
        let done = shelf.merge(sources, into, &[]);
        done.ends_with(64);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    };
    usage(&["a", "b"], "a", "it is there already");
    usage(&["a", "b"], "a/chain.txt", "it is there already");
    usage(&["a", "b"], "..", "name the directory that is to be made");
    usage(&["a", "nowhere"], "m", "nowhere: there is no such directory");
    fs::create_dir(shelf.desk.path("m")).unwrap();
    // A part with nothing to do left nothing.
    fs::create_dir(shelf.desk.path("idle")).unwrap();
    let done = shelf.merge(&["a", "idle"], "m", &[]);
    done.ends_with(0);
    assert!(done.stdout.contains("idle: no record is in a chain\n"), "{}", done.stdout);
}

#[test]
fn sources_can_be_asked_for_signatures_and_the_merge_is_signed_anew() {
    let shelf = Shelf::new();
    let openssl =
        "openssl genpkey -algorithm ed25519 -out k.pem && openssl pkey -in k.pem -pubout -out k.pub";
    let made =
        std::process::Command::new("sh").args(["-c", openssl]).current_dir(shelf.desk.path("")).status();
    assert!(made.unwrap().success());
    shelf.desk.pgdrill(&["report", "a", "--sign", "k.pem"]).ends_with(0);
    let done = shelf.merge(&["a", "b"], "m", &["--key", "k.pub"]);
    done.ends_with(2);
    assert!(done.stderr.contains("pgdrill: b: there is no chain.txt.intoto.jsonl"), "{}", done.stderr);
    let done = shelf.merge(&["a", "b"], "m", &[]);
    done.ends_with(0);
    assert!(done.stdout.contains("a: its signatures were not checked"), "{}", done.stdout);
    shelf.desk.pgdrill(&["report", "b", "--sign", "k.pem"]).ends_with(0);
    shelf.merge(&["a", "b"], "n", &["--key", "k.pub"]).ends_with(0);
    shelf.desk.pgdrill(&["report", "n", "--check", "--key", "k.pub"]).ends_with(2);
    shelf.desk.pgdrill(&["report", "n", "--sign", "k.pem"]).ends_with(0);
    shelf.desk.pgdrill(&["report", "n", "--check", "--key", "k.pub"]).ends_with(0);
}
