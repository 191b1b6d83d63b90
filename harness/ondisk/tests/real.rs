//! Files that servers of the other majors have made (`fixtures/ondisk`), read as those majors' own programs read them.
//! A control file is compared with what that major's `pg_controldata` printed of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::manifest::Manifest;
use pgdrill_ondisk::page::{self, Damage};
use rstest::rstest;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from("../../fixtures/ondisk").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap()
}

/// What `pg_controldata` printed, by the words before the colon.
fn printed(major: u32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(fixture(&format!("pg_controldata-{major}.txt"))).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn position(text: &str) -> u64 {
    let (high, low) = text.split_once('/').unwrap();
    u64::from_str_radix(high, 16).unwrap() << 32 | u64::from_str_radix(low, 16).unwrap()
}

#[rstest]
fn a_control_file_says_what_pg_controldata_prints(#[values(13, 17, 18)] major: u32) {
    let control = Control::read(&bytes(&format!("pg_control-{major}"))).unwrap();
    let printed = printed(major);
    let numbers = [
        ("Database system identifier", control.system_identifier),
        ("pg_control version number", control.control_version.into()),
        ("Latest checkpoint's TimeLineID", control.timeline.into()),
        ("max_connections setting", control.minima.max_connections.into()),
        ("max_worker_processes setting", control.minima.max_worker_processes.into()),
        ("max_wal_senders setting", control.minima.max_wal_senders.into()),
        ("max_prepared_xacts setting", control.minima.max_prepared_transactions.into()),
        ("max_locks_per_xact setting", control.minima.max_locks_per_transaction.into()),
        ("Database block size", control.block_size.into()),
        ("Blocks per segment of large relation", control.blocks_per_file.into()),
        ("Bytes per WAL segment", control.wal_segment_size.into()),
        ("Data page checksum version", control.checksum_version.into()),
    ];
    for (name, read) in numbers {
        assert_eq!(read.to_string(), printed[name], "{name} of {major}");
    }
    assert_eq!(control.checkpoint, position(&printed["Latest checkpoint location"]));
    assert_eq!(control.redo, position(&printed["Latest checkpoint's REDO location"]));
    assert_eq!((control.state, printed["Database cluster state"].as_str()), (6, "in production"));
}

#[rstest]
fn a_changed_byte_of_a_control_file_shows(#[values(13, 17, 18)] major: u32) {
    let good = bytes(&format!("pg_control-{major}"));
    for at in (16..280).step_by(13) {
        let mut changed = good.clone();
        changed[at] ^= 0x40;
        assert!(Control::read(&changed).is_err(), "byte {at} of {major}");
    }
}

#[rstest]
#[case(13, 1, 937)]
#[case(17, 2, 969)]
fn a_manifest_is_read_and_its_checksum_holds(#[case] major: u32, #[case] version: u32, #[case] files: u64) {
    let mut text = Vec::new();
    let packed = bytes(&format!("backup_manifest-{major}.gz"));
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut text).unwrap();
    let manifest = Manifest::read(&text).unwrap();
    assert_eq!((manifest.version, manifest.files), (version, files));
    assert_eq!(manifest.wal.len(), 1);
    assert!(manifest.wal[0].start < manifest.wal[0].end);
    let system: u64 = printed(major)["Database system identifier"].parse().unwrap();
    assert_eq!(manifest.system_identifier, (version == 2).then_some(system));
    text[200] ^= 1;
    assert!(Manifest::read(&text).is_err());
}

/// The second page of a table of 500 rows.
#[rstest]
fn a_page_is_good_at_its_own_place_only(#[values(13, 17, 18)] major: u32) {
    let page = bytes(&format!("page-{major}"));
    assert_eq!(page::verify(&page, 1), Ok(()));
    assert!(matches!(page::verify(&page, 0), Err(Damage::Checksum { .. })));
}
