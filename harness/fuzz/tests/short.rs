//! Each of the targets with its corpus (`fixtures/fuzz`) and some thousands of changes of it, the same at each run:
//! what libFuzzer does for hours (`ci/fuzz`), for a second.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod mutations;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use pgdrill_backup::verify::{Options, Progress, Source, verify};
use pgdrill_fuzz::{Check, TARGETS};
use pgdrill_model::verdict::Verdict;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::incremental::Prefix;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::manifest::Manifest;
use pgdrill_ondisk::wal::page;
use pgdrill_ondisk::{history, tablespace};
use pgdrill_repository::barman;
use pgdrill_repository::dump::{Comments, Toc};
use pgdrill_repository::pgbackrest::Info;
use rstest::rstest;

use crate::mutations::Mutations;

/// Bytes that a seed may have, and the whole corpus.
const LARGEST_SEED: u64 = 64 << 10;
const LARGEST_CORPUS: u64 = 1 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fuzz")
}

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = corpus().join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut seeds: Vec<(String, Vec<u8>)> = files
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} holds no seed", directory.display());
    seeds
}

/// Whether a check fails on bytes.
fn fails(check: Check, bytes: &[u8]) -> bool {
    panic::catch_unwind(AssertUnwindSafe(|| check(bytes))).is_err()
}

/// The first input on which a check fails: a seed, or one of `changes` changes of them.
fn failing(check: Check, seeds: &[(String, Vec<u8>)], changes: usize) -> Option<(String, Vec<u8>)> {
    if let Some(seed) = seeds.iter().find(|(_, bytes)| fails(check, bytes)) {
        return Some(seed.clone());
    }
    let mut mutations = Mutations::from(7);
    (0..changes).find_map(|number| {
        let (name, seed) = &seeds[number % seeds.len()];
        let (_, other) = &seeds[mutations.below(seeds.len())];
        let bytes = mutations.of(seed, other);
        fails(check, &bytes).then(|| (format!("change {number}, of {name}"), bytes))
    })
}

#[rstest]
#[case::catalog("catalog", 6000)]
#[case::control("control", 4000)]
#[case::described("described", 4000)]
#[case::dump("dump", 4000)]
#[case::history("history", 6000)]
#[case::incremental_file("incremental_file", 4000)]
#[case::label("label", 6000)]
#[case::manifest("manifest", 4000)]
#[case::names("names", 4000)]
#[case::page("page", 2000)]
#[case::tar("tar", 500)]
#[case::wal("wal", 6000)]
fn nothing_is_found(#[case] name: &str, #[case] changes: usize) {
    let (_, check) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    if let Some((name, bytes)) = failing(*check, &seeds(name), changes) {
        let path = std::env::temp_dir().join(format!("pgdrill-fuzz-{}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        panic!("{name} fails: see above; the input is {}", path.display());
    }
}

#[test]
fn every_target_is_tried_and_has_a_corpus_of_its_own() {
    let source = include_str!("short.rs");
    for (name, _) in TARGETS {
        assert!(source.contains(&format!("#[case::{name}(\"{name}\", ")), "{name} is not tried");
        seeds(name);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("libfuzzer/fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&program).unwrap_or_default();
        assert!(text.contains(&format!("pgdrill_fuzz::{name}(")), "{} does not call it", program.display());
    }
    let mut all = 0;
    for directory in fs::read_dir(corpus()).unwrap().map(Result::unwrap) {
        let name = directory.file_name().to_string_lossy().into_owned();
        if !directory.path().is_dir() {
            continue;
        }
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name} is the corpus of no target");
        for (seed, bytes) in seeds(&name) {
            let size = bytes.len() as u64;
            assert!(size <= LARGEST_SEED, "{name}/{seed} has {size} bytes");
            all += size;
        }
    }
    assert!(all <= LARGEST_CORPUS, "the corpus has {all} bytes");
}

/// What a server wrote is good, or the corpus begins far from what is to be found.
#[rstest]
fn a_backup_in_the_corpus_is_proven(
    #[values("15", "15.gz", "15.lz4", "15.zst", "15-wal.gz", "15-wal.lz4", "15-wal.zst", "17-incremental")]
    name: &str,
) {
    let stream = fs::File::open(corpus().join("tar").join(name)).unwrap();
    let options = Options { wal: name.contains("wal"), ..Options::default() };
    let report = verify(Source::Stream(Box::new(stream)), &options, &Progress::default());
    assert_eq!(report.verdict, Verdict::Proven, "{:?}", report.findings);
    assert!(report.checked.checksums >= 5 && report.checked.pages >= 2, "{:?}", report.checked);
    assert_eq!(report.backup.wal_records > 0, options.wal);
}

#[test]
fn seeds_are_what_their_names_say() {
    for (name, bytes) in seeds("control") {
        assert!(Control::verify(&bytes).is_ok_and(|control| control.is_of(name.parse().unwrap())), "{name}");
    }
    for (name, bytes) in seeds("label") {
        let (label, map) = (Label::read(&bytes), tablespace::read(&String::from_utf8(bytes).unwrap()));
        // The history file of a backup, beside the WAL, is none: it says where the backup ended in between.
        let other = name.ends_with("map") || name.ends_with("history");
        assert_eq!((label.is_ok(), map.is_ok()), (!other, name.ends_with("map")), "{name}");
    }
    for (name, bytes) in seeds("manifest") {
        assert!(Manifest::read(&bytes).is_ok(), "{name}: {:?}", Manifest::read(&bytes));
    }
    for (name, bytes) in seeds("history") {
        assert!(!history::read(&String::from_utf8(bytes).unwrap()).unwrap().is_empty(), "{name}");
    }
    for (name, bytes) in seeds("incremental_file") {
        let numbers = Prefix::read(&bytes, 8192, 131_072).and_then(|prefix| prefix.numbers(&bytes));
        assert!(numbers.is_ok_and(|numbers| !numbers.is_empty()), "{name}");
    }
    for (name, bytes) in seeds("dump") {
        let is_archive = Toc::read(bytes.as_slice()).is_ok();
        let is_sql = Comments::read(&String::from_utf8_lossy(&bytes)).is_some();
        assert_eq!((is_archive, is_sql), (!name.ends_with("sql"), name.ends_with("sql")), "{name}");
    }
    for (name, bytes) in seeds("described") {
        let (pgbackrest, barman) = (Info::read(&bytes).is_ok(), barman::Info::read(&bytes).is_ok());
        assert_eq!((pgbackrest, barman), (name.contains("pgbackrest"), name.contains("barman")), "{name}");
    }
    for (name, bytes) in seeds("wal") {
        let major = page::Header::read(&bytes).and_then(|header| page::major(header.magic)).unwrap();
        assert!(name.starts_with(&major.to_string()), "{name} is of {major}");
    }
}

/// A reader that trusts a length: bytes 4 to 7 tell how many bytes follow, and it believes that.
fn trusting(bytes: &[u8]) {
    let Some(length) = bytes.get(4..8) else { return };
    let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
    assert_eq!(bytes[8..][..length].len(), length);
}

/// A reader that takes one thing for another only where a quote is escaped.
fn forgetful(bytes: &[u8]) {
    assert!(!bytes.windows(2).any(|two| two == b"\"\""), "two quotes");
}

/// A reader that is right.
fn careful(bytes: &[u8]) {
    let Some(length) = bytes.get(4..8) else { return };
    let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
    assert!(bytes[8..].get(..length).is_none_or(|content| content.len() == length));
}

#[rstest]
#[case::trusting(trusting, true)]
#[case::forgetful(forgetful, true)]
#[case::careful(careful, false)]
fn what_is_wrong_with_a_reader_is_found(#[case] check: Check, #[case] found: bool) {
    let good = [b"made".as_slice(), &24_u32.to_le_bytes(), b"{ \"Path\": \"base/5/1259\" }"].concat();
    let seeds = vec![("good".to_owned(), good[..8 + 24].to_vec())];
    assert!(!fails(check, &seeds[0].1), "the seed itself is good");
    let failing = failing(check, &seeds, 2000);
    assert_eq!(failing.is_some(), found);
    if let Some((_, bytes)) = failing {
        assert!(fails(check, &bytes), "what was found is found again");
    }
}
