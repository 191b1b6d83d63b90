//! Where recovery stops, told from the WAL, compared with where servers of several majors did stop
//! (`fixtures/ondisk/wal/N/stops.txt`, made by the script there).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use pgdrill_backup::wal::Store;
use pgdrill_backup::wal::chronicle::{Chronicle, What};
use pgdrill_backup::wal::target::{self, Consistent, Stop, Target};
use pgdrill_backup::wal::timelines::{Place, Timelines};
use pgdrill_model::scenario::Timeline;
use pgdrill_ondisk::wal::{Reason, lsn};
use rstest::rstest;

fn fixture(major: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("../../fixtures/ondisk/wal/{major}/{name}"))
}

fn position_of(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}

fn position(text: &str) -> u64 {
    position_of(text).unwrap()
}

/// `2026-11-23 02:10:37.881643+00`, in microseconds since 1970.
fn micros(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // The number of a civil date's day (Howard Hinnant's `days_from_civil`).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    let fraction = text[19..].strip_suffix("+00").unwrap().trim_start_matches('.');
    let digits = format!("{fraction:0<6}");
    seconds * 1_000_000 + digits.parse::<i64>().unwrap()
}

/// An unpacked archive, with the backup whose WAL it holds.
struct Case {
    directory: tempfile::TempDir,
    /// Where the backup begins: its redo position, which its label names, and its checkpoint.
    begin: Place,
    checkpoint: Place,
    values: BTreeMap<String, String>,
}

impl Case {
    fn of(major: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let packed = File::open(fixture(major, "archive.tar.gz")).unwrap();
        tar::Archive::new(GzDecoder::new(packed)).unpack(directory.path()).unwrap();
        let text = fs::read_to_string(fixture(major, "cluster.txt")).unwrap();
        let label = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            position(line.trim().split(' ').next().unwrap())
        };
        let values =
            text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        Self {
            begin: Place { timeline: 1, position: label("START WAL LOCATION:") },
            checkpoint: Place { timeline: 1, position: label("CHECKPOINT LOCATION:") },
            values: values.collect(),
            directory,
        }
    }

    fn store(&self) -> Store {
        Store::open(&[self.directory.path()]).unwrap()
    }

    fn read(&self, wanted: Timeline, closely: &[u64]) -> Chronicle {
        let store = self.store();
        let timelines = Timelines::of(&store).unwrap();
        let lineage = timelines.resolve(wanted, self.checkpoint, self.checkpoint).unwrap();
        Chronicle::read(store, self.begin, lineage, closely)
    }

    fn consistent(&self) -> Consistent {
        Consistent::AtBackupEnd { start: self.begin.position }
    }
}

/// The target of a line of `stops.txt`, and the timeline that is asked for.
fn target(words: &str) -> (Target, Timeline) {
    let first = Timeline::Number(1);
    let inclusive = words.ends_with(" on");
    let words: Vec<&str> = words.split(' ').collect();
    match words.as_slice() {
        ["immediate"] => (Target::Immediate, first),
        ["latest"] => (Target::Latest, first),
        ["latest", "on", "latest", ..] => (Target::Latest, Timeline::Latest),
        ["name", "on", "the", "second"] => (Target::Name("on the second".to_owned()), Timeline::Latest),
        ["name", name] => (Target::Name((*name).to_owned()), first),
        ["xid", xid, _] => (Target::Xid { xid: xid.parse().unwrap(), inclusive }, first),
        ["time", day, hour, _] => {
            (Target::Time { micros: micros(&format!("{day} {hour}")), inclusive }, first)
        }
        ["lsn", at, _] => (Target::Lsn { position: position(at), inclusive }, first),
        other => panic!("{other:?}"),
    }
}

#[rstest]
fn recovery_stops_where_a_server_did(#[values(13, 15, 17, 18)] major: u32) {
    let case = Case::of(major);
    let text = fs::read_to_string(fixture(major, "stops.txt")).unwrap();
    let mut kinds = HashMap::new();
    let mut held = Vec::new();
    for line in text.lines() {
        let (words, observed) = line.split_once(" => ").unwrap();
        let (target, wanted) = target(words);
        let closely = match target {
            Target::Lsn { position, .. } => vec![position],
            _ => Vec::new(),
        };
        if words.ends_with("without its segments") {
            for number in 0..64 {
                let name = format!("0000000200000000{number:08X}");
                let _ = fs::remove_file(case.directory.path().join(name));
            }
        }
        let chronicle = case.read(wanted, &closely);
        assert_eq!(chronicle.strayed().is_some(), words.ends_with("without its segments"), "{line}");
        let stop = target::stop(&chronicle, &target, case.consistent());
        *kinds.entry(std::mem::discriminant(&stop)).or_insert(0) += 1;
        match (&stop, observed.strip_prefix("refused: ")) {
            (Stop::At(stopped), None) => {
                let [by_itself, by_history, marks] =
                    observed.split(' ').collect::<Vec<_>>().try_into().unwrap();
                assert!(stopped.exact, "{line}\n{stop:?}");
                assert_eq!(lsn(stopped.replayed_to), lsn(position(by_history)), "{line}\n{stop:?}");
                assert!(by_itself == "end" || position(by_itself) == position(by_history), "{line}");
                if wanted == Timeline::Number(1) {
                    held.push((stopped.events, stopped.commits, marks.parse::<u32>().unwrap()));
                }
                // Looking closely changes no event.
                let without = target::stop(&case.read(wanted, &[]), &target, case.consistent());
                let Stop::At(without) = without else { panic!("{line}") };
                assert_eq!((without.events, without.commits), (stopped.events, stopped.commits), "{line}");
            }
            (Stop::TooEarly { .. }, Some(refused)) => {
                assert_eq!(
                    refused, "requested recovery stop point is before consistent recovery point",
                    "{line}"
                );
            }
            (Stop::NeverReached(_), Some(refused)) => {
                assert_eq!(refused, "recovery ended before configured recovery target was reached", "{line}");
            }
            _ => panic!("{line}\n{stop:?}"),
        }
    }
    // More commits never hold fewer marks, and where there are more marks there are more commits.
    held.sort_unstable();
    for pair in held.windows(2) {
        let [(_, fewer, before), (_, more, after)] = pair else { continue };
        assert!(before <= after && (before == after || fewer < more), "{pair:?} of {major}");
    }
    assert_eq!(kinds.len(), 3);
    assert!(kinds.values().sum::<usize>() >= 38, "{kinds:?}");
}

/// In each of these the answer of a simpler rule would be another one.
#[rstest]
fn the_fixture_tells_the_rules_from_simpler_ones(#[values(13, 15, 17, 18)] major: u32) {
    let case = Case::of(major);
    let chronicle = case.read(Timeline::Number(1), &[]);
    let stop = |target: Target| match target::stop(&chronicle, &target, case.consistent()) {
        Stop::At(stopped) => stopped,
        other => panic!("{other:?}"),
    };
    let xid = |name: &str| case.values[name].parse::<u32>().unwrap();
    // The transaction with the lower number was committed after the other.
    let (early, late) = (xid("early"), xid("late"));
    assert!(early < late);
    let (to_early, to_late) =
        (stop(Target::Xid { xid: early, inclusive: true }), stop(Target::Xid { xid: late, inclusive: true }));
    assert_eq!(to_early.commits, to_late.commits + 1);
    // A restore point of a name that comes twice: the first, and the other is told.
    let twice = stop(Target::Name("twice".to_owned()));
    assert_eq!(twice.same_name.len(), 1);
    assert!(twice.same_name[0] > twice.replayed_to);
    // The preparation lies before the target, the commit behind it.
    let across = xid("across");
    let prepared = stop(Target::Time { micros: micros(&case.values["before_prepared"]), inclusive: true });
    let of_it: Vec<_> = chronicle
        .events()
        .enumerate()
        .filter_map(|(number, event)| match event.what {
            What::Prepare(of) | What::Commit(of) if of.xid == across => {
                Some((number, of.gid.unwrap().to_owned()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(of_it.len(), 2);
    assert!(of_it[0].0 < prepared.events && prepared.events <= of_it[1].0);
    assert_eq!((of_it[0].1.as_str(), of_it[1].1.as_str()), ("across the target", "across the target"));
}

#[test]
fn a_chronicle_tells_what_happened() {
    let case = Case::of(18);
    let chronicle = case.read(Timeline::Latest, &[]);
    assert_eq!(chronicle.major(), 18);
    assert!(chronicle.end().is_clean(), "{}", chronicle.end());
    assert!(matches!(chronicle.end().reason, Reason::Missing { instead: None }));
    let mut last = (0, 1);
    let mut names = Vec::new();
    let mut seen = Vec::new();
    for (number, event) in chronicle.events().enumerate() {
        assert!(
            event.start >= last.0 && event.replayed_before <= event.start && event.previous < event.start
        );
        assert!(event.timeline >= last.1);
        last = (event.end, event.timeline);
        assert_eq!(chronicle.get(number), Some(event));
        assert_eq!(chronicle.first_from(event.start), number);
        assert_eq!(chronicle.first_from(event.start + 1), number + 1);
        match event.what {
            What::RestorePoint { name } => names.push(name),
            What::EndOfRecovery { from } => seen.push(format!("{from} to {}", event.timeline)),
            What::CreateTablespace { path, .. } => seen.push(format!("tablespace '{path}'")),
            What::Parameters(now) => seen.push(format!("max_connections {}", now.max_connections)),
            What::BackupEnd { start } => assert_eq!(start, case.begin.position),
            What::Commit(of) if of.subxids.len() == 3 => seen.push("three subtransactions".to_owned()),
            What::Abort(of) if of.gid.is_some() => seen.push(format!("'{}' undone", of.gid.unwrap())),
            _ => {}
        }
    }
    assert_eq!(names, ["twice", "twice", "fork", "on the second"]);
    let expected =
        ["three subtransactions", "tablespace ''", "'to be undone' undone", "1 to 2", "max_connections 21"];
    assert_eq!(seen, expected);
    assert_eq!(chronicle.last().unwrap().timeline, 2);
    assert_eq!(chronicle.reached(), chronicle.end().lsn);
}

#[test]
fn what_is_never_reached_tells_how_far_the_wal_goes() {
    let case = Case::of(15);
    let chronicle = case.read(Timeline::Number(1), &[]);
    let Stop::NeverReached(reach) =
        target::stop(&chronicle, &Target::Name("nowhere".to_owned()), case.consistent())
    else {
        panic!()
    };
    let names: Vec<&str> = reach.restore_points.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["twice", "twice", "fork"]);
    assert_eq!(reach.reached, chronicle.reached());
    assert_eq!(reach.latest_time, reach.last_commit.map(|commit| commit.time));
    // Of another backup nothing says that it has ended.
    let other = Consistent::AtBackupEnd { start: case.begin.position + 8 };
    assert!(matches!(target::stop(&chronicle, &Target::Latest, other), Stop::NeverReached(_)));
    assert!(matches!(
        target::stop(&chronicle, &Target::Name("fork".to_owned()), other),
        Stop::TooEarly { consistent: None, .. }
    ));
}

/// The WAL ends with the record that ends the backup: nothing comes at which recovery could notice that it is consistent.
#[test]
fn recovery_to_consistency_needs_a_record_behind_it() {
    let case = Case::of(15);
    let chronicle = case.read(Timeline::Number(1), &[]);
    let end = chronicle.events().find(|event| matches!(event.what, What::BackupEnd { .. })).unwrap().end;
    let name = case.store().name(1, end >> 20);
    let path = case.directory.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(end % (1 << 20)) as usize..].fill(0);
    fs::write(&path, bytes).unwrap();
    let cut = case.read(Timeline::Number(1), &[]);
    assert_eq!((cut.reached(), &cut.end().reason), (end, &Reason::Zeros { to_the_end: true }));
    assert!(matches!(target::stop(&cut, &Target::Immediate, case.consistent()), Stop::NeverReached(_)));
    assert!(matches!(target::stop(&cut, &Target::Latest, case.consistent()), Stop::At(_)));
}

#[test]
fn a_compressed_segment_is_named_where_the_wal_ends() {
    let case = Case::of(15);
    let path = |name: &str| Path::new(case.directory.path()).join(name);
    let (timeline, number) = case.store().segments().unwrap()[3];
    let name = case.store().name(timeline, number);
    fs::rename(path(&name), path(&format!("{name}.zst"))).unwrap();
    let chronicle = case.read(Timeline::Number(1), &[]);
    let end = chronicle.end();
    assert_eq!(end.reason, Reason::Missing { instead: Some(format!("{name}.zst")) });
    assert!(!end.is_clean() && end.to_string().contains("it is there only as "), "{end}");
}

/// Beyond the position at which the history leaves it, the old timeline is another one's past.
#[test]
fn a_change_to_a_timeline_that_is_not_followed_ends_the_reading() {
    let case = Case::of(15);
    let path = case.directory.path().join("00000002.history");
    fs::copy(&path, case.directory.path().join("00000003.history")).unwrap();
    // The second timeline's segments under the name of the third, which has the same history.
    for (timeline, number) in case.store().segments().unwrap() {
        if timeline == 2 {
            let (from, to) = (case.store().name(2, number), case.store().name(3, number));
            fs::rename(case.directory.path().join(from), case.directory.path().join(to)).unwrap();
        }
    }
    let chronicle = case.read(Timeline::Number(3), &[]);
    let end = chronicle.end();
    assert_eq!(end.reason, Reason::TimelineSwitch { from: 1, to: 2, replayed: 1 }, "{end}");
    assert!(end.segment.starts_with("00000003"), "{end}");
    assert_eq!(lsn(end.lsn), lsn(chronicle.reached()));
}

#[test]
fn a_backup_of_a_standby_is_consistent_where_its_control_file_says() {
    let text = fs::read_to_string(fixture(15, "standby.txt")).unwrap();
    let values: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter_map(|(k, v)| Some((k, position_of(v)?)))
        .collect();
    let case = Case::of(15);
    let begin = Place { timeline: 1, position: values["redo"] };
    let minimum = values["minimum"];
    let lineage = Timelines::of(&case.store()).unwrap().lineage(1).unwrap();
    for closely in [vec![], vec![minimum]] {
        let looked = !closely.is_empty();
        let chronicle = Chronicle::read(case.store(), begin, lineage.clone(), &closely);
        let stop = |target| target::stop(&chronicle, &target, Consistent::At(minimum));
        let Stop::At(stopped) = stop(Target::Immediate) else { panic!("{:?}", stop(Target::Immediate)) };
        assert_eq!((lsn(stopped.replayed_to), stopped.exact), (lsn(values["immediate"]), looked));
        let early = stop(Target::Lsn { position: values["too_early"], inclusive: true });
        assert!(matches!(early, Stop::TooEarly { consistent: Some(at), .. } if at == minimum), "{early:?}");
    }
}
