//! What archives hold, read in pieces on several threads: the same as one walk reads, whatever is wrong with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use pgdrill_backup::wal::chronicle::{Chronicle, What};
use pgdrill_backup::wal::range::{self, Range, Why};
use pgdrill_backup::wal::timelines::{Place, Timelines};
use pgdrill_backup::wal::{Kind, Run, Store, Survey, survey};
use pgdrill_model::scenario::Timeline;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::{Reason, Segments};
use proptest::prelude::*;
use rstest::rstest;
use tempfile::TempDir;

const SIZE: u64 = 1 << 20;

fn unpack(major: u32, name: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = PathBuf::from(format!("../../fixtures/ondisk/wal/{major}/{name}"));
    tar::Archive::new(GzDecoder::new(File::open(path).unwrap())).unpack(directory.path()).unwrap();
    directory
}

/// Where the backup of a fixture begins.
fn redo(major: u32) -> Place {
    let text = fs::read_to_string(format!("../../fixtures/ondisk/wal/{major}/cluster.txt")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("START WAL LOCATION: ")).unwrap();
    let position: Lsn = line.split(' ').next().unwrap().parse().unwrap();
    Place { timeline: 1, position: position.0 }
}

fn look(directory: &Path, from: Option<Place>, jobs: usize) -> Survey {
    survey(&[directory], from, jobs, &|_| ()).unwrap()
}

/// The segments of an archive, in order.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().len() == 24)
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Reads the same by the walk that recovery is aimed with.
fn assert_is_one_walk(directory: &Path, from: Place, run: &Run, wanted: Timeline) {
    let store = Store::open(&[directory]).unwrap();
    let lineage = Timelines::of(&store).unwrap().resolve(wanted, from, from).unwrap();
    let chronicle = Chronicle::read(store, from, lineage, &[]);
    let end = chronicle.end();
    assert_eq!((run.end.0, &run.ends.reason), (chronicle.reached(), &end.reason));
    assert_eq!((run.ends.at.0, &run.ends.segment, run.ends.offset), (end.at, &end.segment, end.offset));
    let commits = chronicle.events().filter(|event| matches!(event.what, What::Commit(_))).count();
    assert_eq!(run.commits, commits as u64);
    let last = chronicle.last_commit().map(|event| (event.start, event.end, event.time));
    let told = run.last_commit.as_ref();
    assert_eq!(told.map(|commit| (commit.lsn.0, commit.end.0, Some(commit.time_us))), last);
    let strayed = chronicle.strayed().map(|strayed| (strayed.at, strayed.timeline));
    assert_eq!(run.strayed.map(|strayed| (strayed.at.0, strayed.timeline)), strayed);
}

#[rstest]
fn a_good_archive_is_whole_along_the_newest_timeline(#[values(13, 15, 17, 18)] major: u32) {
    let directory = unpack(major, "archive.tar.gz");
    let survey = look(directory.path(), Some(redo(major)), 2);
    assert!(survey.is_whole(), "{survey:#?}");
    let window = survey.window.unwrap();
    assert_eq!(
        (window.timeline, window.timelines.as_slice(), window.major),
        (2, &[1, 2][..], Some(major as u8))
    );
    assert_eq!(window.ends.kind, Kind::Clean);
    assert_is_one_walk(directory.path(), redo(major), &window, Timeline::Latest);
    // What the first timeline went on with is told, from where it was left.
    let [branch] = survey.branches.as_slice() else { panic!("{:#?}", survey.branches) };
    let left = survey.timelines[1].left.unwrap();
    assert_eq!((branch.timeline, left.timeline), (1, 1));
    assert!(branch.begin >= left.at && branch.commits > 3, "{branch:#?}");
    assert_eq!(branch.ends.kind, Kind::Clean);
    // Without a backup it begins with the oldest segment.
    let without = look(directory.path(), None, 2).window.unwrap();
    assert_eq!((without.end, without.last_commit), (window.end, window.last_commit));
    assert!(without.begin <= window.begin && without.records >= window.records);
}

#[rstest]
fn a_record_that_was_given_up_at_a_border_breaks_nothing(#[values(13, 15, 17, 18)] major: u32) {
    let directory = unpack(major, "overwritten.tar.gz");
    let one = look(directory.path(), None, 1);
    assert!(one.is_whole(), "{one:#?}");
    assert_eq!(one.window.as_ref().unwrap().segments, segments(directory.path()).len() as u64);
    for jobs in 2..5 {
        assert_eq!(look(directory.path(), None, jobs), one);
    }
}

#[test]
fn what_lies_beyond_a_hole_is_told() {
    let directory = unpack(15, "archive.tar.gz");
    for file in ["00000002.history", "000000020000000000000009", "00000002000000000000000A"] {
        fs::remove_file(directory.path().join(file)).unwrap();
    }
    let whole = look(directory.path(), Some(redo(15)), 2).window.unwrap();
    fs::remove_file(directory.path().join("000000010000000000000009")).unwrap();
    let survey = look(directory.path(), Some(redo(15)), 2);
    assert!(!survey.is_whole());
    let window = survey.window.unwrap();
    assert_eq!(window.ends.segment, "000000010000000000000009");
    assert_eq!((window.ends.kind, &window.ends.reason), (Kind::Broken, &Reason::Missing { instead: None }));
    assert_eq!(window.last_segment, "000000010000000000000008");
    let [beyond] = survey.beyond.as_slice() else { panic!("{:#?}", survey.beyond) };
    assert_eq!((beyond.first_segment.as_str(), beyond.end), ("00000001000000000000000A", whole.end));
    assert_eq!(beyond.last_commit, whole.last_commit);
    assert!(window.last_commit.unwrap().time_us < beyond.first_commit.as_ref().unwrap().time_us);
    assert!(window.commits + beyond.commits < whole.commits);
    assert!(survey.branches.is_empty());
}

/// An archive ends where its server has come to, which is hardly ever between two records.
#[test]
fn an_archive_that_ends_within_a_record_ends_in_good_order() {
    let directory = unpack(15, "archive.tar.gz");
    let mut within_a_record = 0;
    while let Some(last) = segments(directory.path()).pop() {
        let survey = look(directory.path(), None, 2);
        let window = survey.window.as_ref().unwrap();
        if window.ends.cuts_a_record && survey.beyond.is_empty() {
            assert!(survey.is_whole(), "{}: {:#?}", name(&last), window.ends);
            assert!(window.ends.why.contains("which is not there yet"), "{}", window.ends.why);
            within_a_record += 1;
        }
        fs::remove_file(last).unwrap();
    }
    assert!(within_a_record > 0);
}

#[test]
fn a_hole_where_no_record_is_cut_off_is_a_hole_all_the_same() {
    let directory = unpack(15, "archive.tar.gz");
    for path in segments(directory.path()).iter().filter(|path| name(path).starts_with("00000002")) {
        fs::remove_file(path).unwrap();
    }
    fs::remove_file(directory.path().join("00000002.history")).unwrap();
    // The segments of the fixture end with switches; which of them no record crosses is for the WAL to tell.
    let mut without_a_cut = 0;
    for number in 8..11 {
        let path = directory.path().join(format!("0000000100000000{number:08X}"));
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let survey = look(directory.path(), Some(redo(15)), 2);
        let window = survey.window.as_ref().unwrap();
        assert_eq!(window.ends.kind, Kind::Broken, "{number:X}");
        assert!(!survey.is_whole() && !survey.beyond.is_empty());
        without_a_cut += usize::from(!window.ends.cuts_a_record);
        fs::write(path, bytes).unwrap();
    }
    assert!(without_a_cut > 0);
}

#[test]
fn a_pg_wal_ends_where_its_segments_wait_for_use() {
    let directory = unpack(15, "archive.tar.gz");
    let before = look(directory.path(), Some(redo(15)), 2);
    let last = segments(directory.path()).pop().unwrap();
    assert_eq!(name(&last), "00000002000000000000000A");
    fs::copy(
        directory.path().join("000000020000000000000009"),
        last.with_file_name("00000002000000000000000B"),
    )
    .unwrap();
    let archive = look(directory.path(), Some(redo(15)), 2);
    assert!(!archive.is_whole(), "{archive:#?}");
    fs::create_dir(directory.path().join("archive_status")).unwrap();
    let pg_wal = look(directory.path(), Some(redo(15)), 2);
    assert!(pg_wal.is_whole(), "{pg_wal:#?}");
    assert_eq!(pg_wal.window.unwrap().end, before.window.unwrap().end);
}

#[test]
fn a_foreign_segment_is_a_run_of_another_cluster() {
    let directory = unpack(15, "archive.tar.gz");
    let other = unpack(15, "overwritten.tar.gz");
    // The same cluster number in all pages would make it one more page of another place; so another one.
    let mut bytes = fs::read(other.path().join("00000001000000000000000D")).unwrap();
    bytes[24] ^= 0xFF;
    fs::write(directory.path().join("00000001000000000000000C"), &bytes).unwrap();
    fs::remove_file(directory.path().join("00000002.history")).unwrap();
    let survey = look(directory.path(), Some(redo(15)), 2);
    let window = survey.window.unwrap();
    assert!(matches!(window.ends.reason, Reason::System { .. }), "{window:#?}");
    assert_eq!(window.ends.segment, "00000001000000000000000C");
    let [beyond] = survey.beyond.as_slice() else { panic!("{:#?}", survey.beyond) };
    // Its pages are those of another position, too.
    assert_eq!((beyond.records, beyond.segments), (0, 1));
    assert!(matches!(beyond.ends.reason, Reason::PageAddress { .. }));
}

#[test]
fn a_compressed_archive_is_read_through_its_packing() {
    let directory = unpack(17, "archive.tar.gz");
    let plain = look(directory.path(), Some(redo(17)), 2);
    for (number, path) in segments(directory.path()).iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let (ending, packed) = match number % 3 {
            0 => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&bytes).unwrap();
                ("gz", encoder.finish().unwrap())
            }
            1 => ("zst", zstd::stream::encode_all(bytes.as_slice(), 1).unwrap()),
            _ => {
                let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
                encoder.write_all(&bytes).unwrap();
                ("lz4", encoder.finish().0)
            }
        };
        fs::write(format!("{}.{ending}", path.display()), packed).unwrap();
        fs::remove_file(path).unwrap();
    }
    let packed = look(directory.path(), Some(redo(17)), 2);
    assert_eq!((&packed.window, &packed.branches), (&plain.window, &plain.branches));
    assert_eq!((packed.files.segments, packed.files.compressed), (0, plain.files.segments));
    // PostgreSQL's own way finds nothing there.
    let mut into = Vec::new();
    let first = redo(17).position / SIZE;
    let found =
        Store::open(&[directory.path()]).unwrap().of_segment_size(1 << 20).read(1, first, &mut into).unwrap();
    assert!(matches!(found, pgdrill_ondisk::wal::Found::Missing { instead: Some(_) }), "{found:?}");

    // A packed segment that is cut off is damage, and no inability of ours.
    let victim = directory.path().join(format!("{}.zst", name(&segments_packed(directory.path(), "zst")[0])));
    let bytes = fs::read(&victim).unwrap();
    fs::write(&victim, &bytes[..bytes.len() - 3]).unwrap();
    let cut = look(directory.path(), Some(redo(17)), 2);
    assert!(!cut.is_whole() && !cut.is_unread());
    assert!(matches!(cut.window.unwrap().ends.reason, Reason::Packed { .. }));
}

fn segments_packed(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|of| of == ending))
        .map(|path| path.with_extension(""))
        .collect();
    found.sort();
    found
}

#[test]
fn a_timeline_without_its_segments_is_strayed_from() {
    let directory = unpack(15, "archive.tar.gz");
    for path in segments(directory.path()).iter().filter(|path| name(path).starts_with("00000002")) {
        fs::remove_file(path).unwrap();
    }
    let survey = look(directory.path(), Some(redo(15)), 3);
    assert!(!survey.is_whole());
    let strayed = survey.window.as_ref().unwrap().strayed.unwrap();
    assert_eq!((strayed.timeline, strayed.expected), (1, 2));
    assert_is_one_walk(directory.path(), redo(15), survey.window.as_ref().unwrap(), Timeline::Latest);
}

#[test]
fn a_damaged_history_is_a_refusal_and_the_rest_is_read() {
    let directory = unpack(15, "archive.tar.gz");
    fs::write(directory.path().join("00000002.history"), "nonsense\n").unwrap();
    let survey = look(directory.path(), Some(redo(15)), 2);
    assert!(survey.refused.as_ref().unwrap().contains("no timeline number"), "{survey:#?}");
    assert!(!survey.is_whole() && survey.timelines[1].wrong.is_some());
    let window = survey.window.unwrap();
    assert_eq!((window.timeline, window.ends.kind), (1, Kind::Clean));
    assert!(survey.branches.iter().any(|branch| branch.timeline == 2 && branch.commits > 0));
}

#[test]
fn an_archive_without_wal_has_no_window() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("PG_VERSION"), "15\n").unwrap();
    fs::write(directory.path().join("notes.txt"), "").unwrap();
    let empty = look(directory.path(), None, 2);
    assert!(empty.window.is_none() && !empty.is_whole() && empty.files.data_directory);
    assert_eq!(empty.files.foreign_count, 2);
    let asked = look(directory.path(), Some(redo(15)), 2).window.unwrap();
    assert_eq!((asked.records, asked.ends.kind), (0, Kind::Clean));
    assert!(survey(&[&directory.path().join("nowhere")], None, 1, &|_| ()).is_err());
}

/// Something that is wrong with an archive.
#[derive(Clone, Debug)]
enum Wrong {
    Flip { segment: usize, offset: usize, bit: u8 },
    Remove(usize),
    Zeros { segment: usize, from: usize, length: usize },
    Cut { segment: usize, length: usize },
    Copy { from: usize, to: usize },
    History(u8),
}

fn wrong() -> impl Strategy<Value = Wrong> {
    let size = SIZE as usize;
    // At page headers and at the beginnings of segments more is decided than elsewhere.
    let offset =
        prop_oneof![0..size, 0..48_usize, (0..128_usize, 0..24_usize).prop_map(|(p, o)| p * 8192 + o)];
    prop_oneof![
        4 => (0..8_usize, offset, 0..8_u8).prop_map(|(segment, offset, bit)| Wrong::Flip { segment, offset, bit }),
        2 => (0..8_usize).prop_map(Wrong::Remove),
        2 => (0..8_usize, 0..size, 0..size).prop_map(|(segment, from, length)| Wrong::Zeros { segment, from, length }),
        1 => (0..8_usize, 0..size).prop_map(|(segment, length)| Wrong::Cut { segment, length }),
        2 => (0..8_usize, 0..8_usize).prop_map(|(from, to)| Wrong::Copy { from, to }),
        1 => any::<u8>().prop_map(Wrong::History),
    ]
}

impl Wrong {
    fn apply(&self, directory: &Path) {
        let files = segments(directory);
        let count = files.len();
        if count == 0 {
            return;
        }
        let file = |number: &usize| &files[number % count];
        let change = |number: &usize, how: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = fs::read(file(number)).unwrap();
            how(&mut bytes);
            fs::write(file(number), bytes).unwrap();
        };
        match self {
            Self::Flip { segment, offset, bit } => change(segment, &|bytes| {
                if let Some(byte) = bytes.get_mut(*offset) {
                    *byte ^= 1 << bit;
                }
            }),
            Self::Remove(segment) => fs::remove_file(file(segment)).unwrap(),
            Self::Zeros { segment, from, length } => change(segment, &|bytes| {
                bytes.iter_mut().skip(*from).take(*length).for_each(|byte| *byte = 0);
            }),
            Self::Cut { segment, length } => change(segment, &|bytes| bytes.truncate(*length)),
            Self::Copy { from, to } if from % count != to % count => {
                fs::copy(file(from), file(to)).unwrap();
            }
            Self::Copy { .. } => {}
            Self::History(byte) => fs::write(directory.join("00000002.history"), [*byte]).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_say_what_one_walk_says(
        major in prop_oneof![Just(13_u32), Just(15), Just(17), Just(18)],
        wrongs in prop::collection::vec(wrong(), 0..4),
        jobs in 2..6_usize,
        with_backup in any::<bool>(),
    ) {
        let directory = unpack(major, "archive.tar.gz");
        wrongs.iter().for_each(|wrong| wrong.apply(directory.path()));
        let from = with_backup.then(|| redo(major));
        let one = look(directory.path(), from, 1);
        prop_assert_eq!(&look(directory.path(), from, jobs), &one);
        if with_backup && one.refused.is_none() {
            assert_is_one_walk(directory.path(), redo(major), one.window.as_ref().unwrap(), Timeline::Latest);
        }
    }
}

#[test]
fn the_range_of_a_backup_is_read_to_its_end_and_no_further() {
    let directory = unpack(15, "archive.tar.gz");
    let run = look(directory.path(), Some(redo(15)), 1).window.unwrap();
    let store = || Store::open(&[directory.path()]).unwrap();
    let range = |timeline, start, end| range::check(store(), Range { timeline, start, end });
    let start = redo(15).position;
    let commit = run.first_commit.unwrap();
    assert!(range(1, start, commit.end.0).unwrap() > 3);
    // The second timeline's first file begins with pages of the first; no history is needed.
    let second = 9 * SIZE;
    assert!(range(2, second, run.end.0).unwrap() > 10);
    assert_eq!(range(1, start, start).unwrap_err().why, Why::Nothing);
    let beyond = range(1, start, 64 * SIZE).unwrap_err();
    assert!(matches!(&beyond.why, Why::Ends(end) if end.reason == Reason::Missing { instead: None }));
    assert!(
        beyond.to_string().starts_with("WAL parsing failed for timeline 1: the WAL can be read up to 0/")
    );
    let absent = range(7, start, commit.end.0).unwrap_err();
    assert_eq!(absent.to_string().split(':').next().unwrap(), "WAL parsing failed for timeline 7");
    // Damage behind the end is of no concern, and before it is.
    let path = directory.path().join("000000010000000000000008");
    let mut bytes = fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(range(1, start, commit.end.0).is_ok());
    assert!(matches!(range(1, start, 9 * SIZE).unwrap_err().why, Why::Ends(_)));
    let nothing = range(1, start, 7 * SIZE + 0x30);
    assert!(nothing.is_ok() || nothing.unwrap_err().why == Why::NoRecord);
}
