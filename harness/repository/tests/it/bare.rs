//! Base backups without what `pg_basebackup` adds: copies by hand, snapshots, tars in any order.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use pgdrill_backup::parts::Packed;
use pgdrill_repository::base::Form;
use pgdrill_repository::{Held, Kind, NotABackup, State, look, look_together};
use rstest::rstest;
use tar::{Builder, Header};
use tempfile::TempDir;

use crate::kept::{found, unpack};

const LABEL: &str = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n\
    BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-03-01 04:05:06 CET\nLABEL: by hand\nSTART TIMELINE: 1\n";

fn control(major: u16) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/ondisk/pg_control-{major}")))
        .unwrap()
}

/// A data directory with little in it.
fn cluster(at: &Path, major: u16) {
    for directory in ["base/1", "global", "pg_xact", "pg_multixact", "pg_wal", "pg_tblspc"] {
        fs::create_dir_all(at.join(directory)).unwrap();
    }
    fs::write(at.join("PG_VERSION"), format!("{major}\n")).unwrap();
    fs::write(at.join("global/pg_control"), control(major)).unwrap();
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = Header::new_ustar();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[rstest]
fn a_copy_without_a_configuration_is_a_backup_as_on_debian(#[values(13, 15, 17, 18)] major: u16) {
    let directory = TempDir::new().unwrap();
    cluster(directory.path(), major);
    fs::write(directory.path().join("backup_label"), LABEL).unwrap();
    let all = found(directory.path());
    let backup = &all.backups[0];
    assert_eq!((all.kind, backup.major.unwrap().0, backup.timeline), (Kind::BaseBackup, major, Some(1)));
    assert_eq!(backup.name.as_deref(), Some("by hand"));
    // An abbreviation of a zone means nothing for sure, so the time of a file is taken, and that is said.
    assert!(backup.started_us.is_some());
    assert!(
        all.remarks.iter().any(|remark| remark.contains("only by the time of a file")),
        "{:?}",
        all.remarks
    );
}

#[test]
fn a_version_that_is_newer_than_any_is_told_and_not_refused() {
    let directory = TempDir::new().unwrap();
    cluster(directory.path(), 18);
    fs::write(directory.path().join("PG_VERSION"), "23\n").unwrap();
    assert_eq!(found(directory.path()).backups[0].major.unwrap().0, 23);
}

#[test]
fn a_process_file_that_was_copied_along_is_told() {
    let directory = TempDir::new().unwrap();
    cluster(directory.path(), 15);
    fs::write(directory.path().join("backup_label"), LABEL).unwrap();
    fs::write(directory.path().join("postmaster.pid"), "1\n/var/lib/postgresql/15/main\n").unwrap();
    let all = found(directory.path());
    let told = "postmaster.pid was copied along; it is of the server in /var/lib/postgresql/15/main, which this is not";
    assert!(all.remarks.iter().any(|remark| remark.ends_with(told)), "{:?}", all.remarks);
}

#[rstest]
#[case("PG_VERSION", "global/pg_control is there, and PG_VERSION is not")]
#[case("global/pg_control", "PG_VERSION is there, and global/pg_control is not")]
fn a_file_without_which_nothing_starts_is_missed(#[case] gone: &str, #[case] what: &str) {
    let directory = TempDir::new().unwrap();
    cluster(directory.path(), 15);
    fs::remove_file(directory.path().join(gone)).unwrap();
    let not = look(directory.path()).unwrap_err();
    assert!(matches!(not, NotABackup::HalfCopied { .. }) && not.to_string().ends_with(what), "{not}");
}

#[test]
fn a_directory_without_which_nothing_starts_is_missed() {
    let directory = TempDir::new().unwrap();
    cluster(directory.path(), 15);
    fs::remove_dir(directory.path().join("pg_xact")).unwrap();
    let not = look(directory.path()).unwrap_err();
    assert!(not.to_string().ends_with("and the directory pg_xact is not"), "{not}");
}

#[rstest]
#[case::as_it_is("", Packed::No)]
#[case::with_a_dot("./", Packed::No)]
#[case::with_its_name("main/", Packed::Gzip)]
fn a_tar_of_a_data_directory_is_a_backup(#[case] before: &str, #[case] packed: Packed) {
    let directory = TempDir::new().unwrap();
    let named = |name: &str| format!("{before}{name}");
    let control = control(17);
    let members = [
        ("base/1/1259", &b"rows"[..]),
        ("PG_VERSION", b"17\n"),
        ("backup_label", LABEL.as_bytes()),
        ("global/pg_control", &control),
    ];
    let names: Vec<String> = members.iter().map(|(name, _)| named(name)).collect();
    let members: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(members.iter().map(|(_, content)| *content)).collect();
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o700);
    builder.append_data(&mut header, if before.is_empty() { "base/" } else { before }, &b""[..]).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(512);
    bytes.extend(tar(&members));
    let file = directory.path().join("night.tar");
    fs::write(&file, if packed == Packed::Gzip { gzip(&bytes) } else { bytes.clone() }).unwrap();
    let all = found(&file);
    let backup = &all.backups[0];
    let Held::Base(base) = &backup.held else { panic!("{backup:?}") };
    let below = if before == "main/" { "main/" } else { "" };
    assert_eq!(base.form, Form::OneTar { packed, below: below.to_owned() });
    assert_eq!((backup.major.unwrap().0, backup.state.clone()), (17, State::Complete));
    assert!(backup.system_identifier.is_some() && backup.start.is_some());
    // Cut before the control file, it is of no use.
    let cut = bytes.windows(10).rposition(|bytes| bytes == b"pg_control").unwrap();
    fs::write(&file, &bytes[..cut / 512 * 512]).unwrap();
    let cut = found(&file);
    assert!(
        matches!(&cut.backups[0].state, State::Unfit(why) if why.contains("no global/pg_control")),
        "{cut:?}"
    );
}

#[test]
fn one_of_several_tars_is_not_taken_for_all() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("base.tar"), tar(&[("backup_label", LABEL.as_bytes()), ("PG_VERSION", b"15\n")])).unwrap();
    assert!(look(&path("base.tar")).is_ok(), "alone it is a tar of a data directory");
    fs::write(path("16384.tar"), tar(&[("PG_15_202209061/5/1", b"rows")])).unwrap();
    let not = look(&path("base.tar")).unwrap_err();
    assert!(
        matches!(&not, NotABackup::PartOf { whole, .. } if whole.ends_with(directory.path().file_name().unwrap())),
        "{not}"
    );
    let all = found(directory.path());
    assert_eq!((all.kind, all.backups[0].major.unwrap().0), (Kind::BaseBackup, 15));
}

#[test]
fn a_tablespace_without_its_tar_is_missed() {
    let directory = TempDir::new().unwrap();
    let members: [(&str, &[u8]); 3] =
        [("backup_label", LABEL.as_bytes()), ("tablespace_map", b"16384 /ts/one\n"), ("PG_VERSION", b"15\n")];
    fs::write(directory.path().join("base.tar"), tar(&members)).unwrap();
    let all = found(directory.path());
    assert_eq!(all.backups[0].state, State::Unfit("the tablespace 16384 has no 16384.tar".to_owned()));
    assert!(all.layout(&all.backups[0]).is_err());
}

#[test]
fn wal_beside_backups_is_theirs_only_where_it_says_so() {
    let directory = TempDir::new().unwrap();
    let kept = unpack(15);
    fs::rename(kept.path().join("base/plain"), directory.path().join("monday")).unwrap();
    let wals = kept.path().join("barman/main/wals");
    let segment = pgdrill_repository::barman::wal_files(&wals, None).unwrap().remove(0);
    fs::create_dir(directory.path().join("wal")).unwrap();
    fs::copy(&segment.path, directory.path().join(format!("wal/{}.gz", segment.name))).unwrap();
    fs::create_dir(directory.path().join("other")).unwrap();
    fs::write(directory.path().join("other/000000010000000000000001"), vec![0; 8192]).unwrap();
    let all = found(directory.path());
    assert_eq!(all.wal.len(), 1, "{:?}", all.remarks);
    assert_eq!((all.wal[0].first.as_deref(), all.wal[0].segments), (Some(segment.name.as_str()), 1));
    assert!(
        all.remarks.iter().any(|remark| remark.starts_with("other: it holds WAL that does not say")),
        "{:?}",
        all.remarks
    );
}

#[test]
fn several_paths_are_one_set() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for directory in [&one, &other] {
        cluster(directory.path(), 15);
        fs::write(directory.path().join("backup_label"), LABEL).unwrap();
    }
    let all = look_together(&[one.path(), other.path()], &pgdrill_repository::Options::default()).unwrap();
    assert_eq!((all.kind, all.backups.len()), (Kind::Set, 2));
    assert!(look_together(&[], &pgdrill_repository::Options::default()).is_err());
    let empty = TempDir::new().unwrap();
    assert!(look_together(&[one.path(), empty.path()], &pgdrill_repository::Options::default()).is_err());
    drop(File::create(empty.path().join("x")).unwrap());
}
