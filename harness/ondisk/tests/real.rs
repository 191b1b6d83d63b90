//! Files that servers of the other majors have made (`fixtures/ondisk`), read as those majors' own programs read them.
//! A control file is compared with what that major's `pg_controldata` printed of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::incremental::Prefix;
use pgdrill_ondisk::label::{Label, Origin};
use pgdrill_ondisk::manifest::{Algorithm, Manifest};
use pgdrill_ondisk::page::{self, Damage};
use pgdrill_ondisk::segment;
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
fn a_control_file_says_what_pg_controldata_prints(#[values(13, 15, 17, 18)] major: u32) {
    let control = Control::verify(&bytes(&format!("pg_control-{major}"))).unwrap();
    let printed = printed(major);
    let numbers = [
        ("Database system identifier", control.system_identifier),
        ("pg_control version number", control.control_version.into()),
        ("Catalog version number", control.catalog_version.into()),
        ("Latest checkpoint's TimeLineID", control.timeline.into()),
        ("Latest checkpoint's PrevTimeLineID", control.previous_timeline.into()),
        ("Min recovery ending loc's timeline", control.min_recovery_timeline.into()),
        ("Maximum data alignment", control.alignment.into()),
        ("WAL block size", control.wal_block_size.into()),
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
    let positions = [
        ("Latest checkpoint location", control.checkpoint),
        ("Latest checkpoint's REDO location", control.redo),
        ("Minimum recovery ending location", control.min_recovery_point),
        ("Backup start location", control.backup_start),
        ("Backup end location", control.backup_end),
    ];
    for (name, read) in positions {
        assert_eq!(read, position(&printed[name]), "{name} of {major}");
    }
    let words = [
        ("Database cluster state", control.state_name().unwrap()),
        ("wal_level setting", control.wal_level_name().unwrap()),
        ("Latest checkpoint's full_page_writes", if control.full_page_writes { "on" } else { "off" }),
        ("End-of-backup record required", if control.backup_end_required { "yes" } else { "no" }),
    ];
    for (name, read) in words {
        assert_eq!(read, printed[name], "{name} of {major}");
    }
    let next_xid = format!("{}:{}", control.next_xid >> 32, control.next_xid as u32);
    assert_eq!(next_xid, printed["Latest checkpoint's NextXID"]);
    // These servers told the time in UTC; what is within the day is enough to know that it is the same number.
    for (name, read) in [
        ("pg_control last modified", control.modified),
        ("Time of latest checkpoint", control.checkpoint_time),
    ] {
        let clock = format!("{:02}:{:02}:{:02}", read / 3600 % 24, read / 60 % 60, read % 60);
        assert!(printed[name].contains(&clock), "{name} of {major}: {read}");
    }
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
fn a_manifest_is_read_and_its_checksum_holds(#[case] major: u32, #[case] version: u32, #[case] files: usize) {
    let mut text = Vec::new();
    let packed = bytes(&format!("backup_manifest-{major}.gz"));
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut text).unwrap();
    let manifest = Manifest::read(&text).unwrap();
    assert_eq!((manifest.version, manifest.files.len()), (version, files));
    assert_eq!(manifest.wal.len(), 1);
    // Of this file the content is known here too, and so is its checksum.
    let file = manifest.files.get(manifest.files.find(b"base/1/PG_VERSION").unwrap()).unwrap();
    let mut hasher = Algorithm::Crc32c.hasher();
    hasher.update(format!("{major}\n").as_bytes());
    assert_eq!((file.size, file.checksum.unwrap().bytes), (3, hasher.finish().as_slice()));
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

#[rstest]
#[case("13", "master", None)]
#[case("17", "primary", None)]
#[case("18", "primary", None)]
#[case("17-incremental", "primary", Some(0x200_0028))]
#[case("18-incremental", "primary", Some(0x200_0028))]
fn a_label_is_read(#[case] name: &str, #[case] from: &str, #[case] incremental: Option<u64>) {
    let label = Label::read(&bytes(&format!("backup_label-{name}"))).unwrap();
    assert_eq!(label.segment, segment::name(label.timeline, label.start, 16 << 20));
    assert!(label.start < label.checkpoint && label.checkpoint < label.start + 0x100);
    assert!(label.is_streamed() && !label.is_from_standby());
    assert_eq!(label.from.as_deref(), Some(from));
    assert_eq!(label.name.as_deref(), Some(if incremental.is_some() { &b"incr"[..] } else { b"a label" }));
    assert!(label.start_time.unwrap().ends_with(" UTC"));
    assert_eq!(label.incremental, incremental.map(|start| Origin { start, timeline: 1 }));
}

/// Two rows of a table of 52 blocks were changed after the full backup: one in block 0 and one in block 25, with their
/// new versions in the last.
#[rstest]
fn an_incremental_file_holds_the_blocks_that_were_changed(#[values(17, 18)] major: u32) {
    let file = bytes(&format!("incremental-{major}"));
    let prefix = Prefix::read(&file, 8192, 131_072).unwrap();
    assert_eq!((u64::from(prefix.blocks), prefix.file()), (2, file.len() as u64));
    let numbers = prefix.numbers(&file).unwrap();
    let blocks = file[prefix.header() as usize..].chunks_exact(8192);
    for (number, block) in numbers.iter().zip(blocks) {
        assert_eq!(page::verify(block, *number), Ok(()), "block {number} of {major}");
        assert!(page::lsn(block) > 0x200_0028);
    }
    assert_eq!(prefix.truncated_to, 52);
}
