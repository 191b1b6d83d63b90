//! Restores of backups that were made by hand, so that each can be wrong in one way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod made;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pgdrill_backup::restore::{Mapping, Place, Refused, Restored, Settings, restore};
use pgdrill_backup::verify::{Options, Progress, Source};
use pgdrill_model::code::Code;
use pgdrill_model::scenario::{Action, Point, Target, Timeline};
use pgdrill_model::verdict::Verdict;
use rstest::rstest;
use tar::{EntryType, Header};
use tempfile::TempDir;

use crate::made::{Making, fixture};

const NOTE: &str = "pgdrill.restore-is-not-complete";

/// Two buffers of zeros between data, and more.
fn large() -> Vec<u8> {
    [vec![7; 300_000], vec![0; 1 << 20], vec![9; 5]].concat()
}

/// A backup with a large file.
fn making() -> Making {
    let mut making = Making::new();
    making.file("pg_xact/0000", &large());
    making
}

fn place(into: &Path) -> Place {
    Place {
        into: into.to_owned(),
        tablespaces: Vec::new(),
        owner: None,
        settings: None,
        sync: true,
        accept_damage: false,
    }
}

fn options() -> Options {
    // These backups have no WAL.
    Options { wal: false, jobs: 2, ..Options::default() }
}

fn restored(backup: &Path, place: &Place) -> Restored {
    restore(Source::Directory(backup.to_owned()), &options(), place, &Progress::default()).unwrap()
}

fn codes(restored: &Restored) -> Vec<(Code, &str)> {
    restored.report.findings.iter().map(|finding| (finding.code, finding.message.as_str())).collect()
}

#[test]
fn what_was_backed_up_is_there_verified_and_zeros_take_no_room() {
    let (backup, target) = (making().done(None), TempDir::new().unwrap());
    let into = target.path().join("made/for/it");
    let done = restored(backup.path(), &place(&into));
    assert_eq!((codes(&done), done.report.verdict, done.complete), (vec![], Verdict::Proven, true));
    assert_eq!(done.report.checked.checksums, 5);
    assert_eq!(fs::read(into.join("global/pg_control")).unwrap(), fixture("pg_control-15"));
    assert!(fs::read(into.join("pg_xact/0000")).unwrap() == large());
    assert_eq!(done.sparse, 3 * (256 << 10));
    let metadata = fs::metadata(into.join("pg_xact/0000")).unwrap();
    assert_eq!((metadata.len(), metadata.mode() & 0o777), (large().len() as u64, 0o600));
    // The servers' account must come through to it.
    fs::create_dir(target.path().join("usual")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&target.path().join("made")), mode(&target.path().join("usual")));
    for name in [".", "base/5", "pg_notify"] {
        assert_eq!(fs::metadata(into.join(name)).unwrap().mode() & 0o777, 0o700, "{name}");
    }
    assert!(!into.join(NOTE).exists());
    let manifest = |directory: &Path| fs::read(directory.join("backup_manifest")).unwrap();
    assert!(manifest(&into) == manifest(backup.path()));
}

#[test]
fn nothing_is_written_over_what_is_there() {
    let (backup, target) = (making().done(None), TempDir::new().unwrap());
    fs::write(target.path().join("mine"), "mine").unwrap();
    let refused = |place: &Place| {
        let source = Source::Directory(backup.path().to_owned());
        restore(source, &options(), place, &Progress::default()).unwrap_err()
    };
    assert!(matches!(refused(&place(target.path())), Refused::NotEmpty(_)));
    assert!(matches!(refused(&place(&target.path().join("mine"))), Refused::NotADirectory(_)));
    let entries: Vec<_> =
        fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, ["mine"]);
    assert_eq!(fs::read(target.path().join("mine")).unwrap(), b"mine");
}

/// A stream of whose restore somebody tires in its middle.
struct Tiring {
    bytes: std::io::Cursor<Vec<u8>>,
    progress: Arc<Progress>,
}

impl Read for Tiring {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.bytes.position() > 600_000 {
            self.progress.given_up.store(true, Ordering::Relaxed);
        }
        let few = into.len().min(1000);
        self.bytes.read(&mut into[..few])
    }
}

#[test]
fn a_restore_that_is_given_up_is_not_complete() {
    let (backup, target) = (making().done(None), TempDir::new().unwrap());
    let mut bytes = Vec::new();
    let packed = File::open(backup.path().join("base.tar.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    let progress = Arc::new(Progress::default());
    let stream = Tiring { bytes: std::io::Cursor::new(bytes), progress: Arc::clone(&progress) };
    let into = target.path().join("data");
    let done = restore(Source::Stream(Box::new(stream)), &options(), &place(&into), &progress).unwrap();
    assert!(!done.complete);
    assert!(codes(&done).contains(&(Code::RestoreFailed, "it was given up")), "{:?}", codes(&done));
    assert!(into.join(NOTE).exists() && !into.join("global/pg_control").exists());
}

/// Each way to write elsewhere: nothing is there afterwards, and what was tried is said.
#[rstest]
#[case::upwards("../outside", EntryType::Regular, None, "leads out of the data directory")]
#[case::absolute("/{}/outside", EntryType::Regular, None, "leads out of the data directory")]
#[case::through_the_middle("base/../../outside", EntryType::Regular, None, "leads out of the data directory")]
#[case::hard_link("base/x", EntryType::Link, Some("PG_VERSION"), "is a hard link")]
#[case::device("base/x", EntryType::Char, None, "is a device")]
#[case::pipe("base/x", EntryType::Fifo, None, "is a pipe")]
fn nothing_is_written_outside(
    #[case] name: &str,
    #[case] kind: EntryType,
    #[case] link: Option<&str>,
    #[case] words: &str,
) {
    let target = TempDir::new().unwrap();
    let mut making = making();
    let name = name.replace("/{}", target.path().to_str().unwrap());
    making.member(&name, kind, 0o600, link, if kind == EntryType::Regular { b"bad" } else { b"" });
    let backup = making.done(None);
    let done = restored(backup.path(), &place(&target.path().join("data")));
    assert!(!done.complete);
    let said = codes(&done);
    assert!(said.iter().any(|(code, said)| *code == Code::BackupUnfit && said.contains(words)), "{said:?}");
    assert!(!target.path().join("outside").exists());
    let left: Vec<_> = fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["data"]);
}

/// A link is not made from an archive, so nothing can be written through it.
#[test]
fn nothing_is_written_through_a_link() {
    let (target, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut making = making();
    making.member("pg_stat", EntryType::Symlink, 0o777, outside.path().to_str(), b"");
    making.file("pg_stat/x", b"bad");
    let backup = making.done(None);
    let into = target.path().join("data");
    let done = restored(backup.path(), &place(&into));
    assert!(done.complete, "{:?}", codes(&done));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(fs::symlink_metadata(into.join("pg_stat")).unwrap().is_dir());
}

#[test]
fn an_archive_that_is_cut_leaves_a_directory_on_which_nothing_starts() {
    let (backup, target) = (making().done(Some(1 << 20)), TempDir::new().unwrap());
    let done = restored(backup.path(), &place(target.path()));
    assert!(!done.complete);
    assert_eq!(done.report.verdict, Verdict::Disproven);
    assert!(
        codes(&done)[0].1.starts_with("could not read archive \"base.tar.gz\", in \"pg_xact/0000\""),
        "{done:?}"
    );
    assert!(target.path().join(NOTE).exists());
    assert!(!target.path().join("global/pg_control").exists());
}

#[rstest]
fn what_is_not_what_the_manifest_says_is_started_on_only_when_that_is_accepted(
    #[values(false, true)] accept_damage: bool,
) {
    let target = TempDir::new().unwrap();
    let mut making = making();
    making.member("pg_xact/0001", EntryType::Regular, 0o600, None, b"changed");
    making.list("pg_xact/0001", b"CHANGED");
    let backup = making.done(None);
    let done = restored(backup.path(), &Place { accept_damage, ..place(target.path()) });
    let expected = "checksum mismatch for file \"pg_xact/0001\" in archive \"base.tar.gz\"";
    assert_eq!(codes(&done), [(Code::ManifestMismatch, expected)]);
    assert_eq!(done.report.verdict, Verdict::Disproven);
    assert_eq!(done.complete, accept_damage);
    assert_eq!(target.path().join("global/pg_control").exists(), accept_damage);
    assert_eq!(target.path().join(NOTE).exists(), !accept_damage);
}

#[test]
fn a_file_that_is_there_twice_ends_it() {
    let target = TempDir::new().unwrap();
    let mut making = making();
    making.member("PG_VERSION", EntryType::Regular, 0o600, None, b"16\n");
    let done = restored(making.done(None).path(), &place(target.path()));
    assert!(!done.complete);
    let said = codes(&done);
    assert!(said.iter().any(|(_, said)| said.contains("it is there twice")), "{said:?}");
    // The first may not have been written yet when the second ended it; the second never is.
    assert!(b"15\n".starts_with(&fs::read(target.path().join("PG_VERSION")).unwrap()));
}

/// A path can be too long for a file although it was not for its directory. (A disk that is full is not to be had without
/// privileges.)
#[test]
fn what_cannot_be_written_is_no_fault_of_the_backup() {
    /// `PATH_MAX` without its zero, and room for the longest path of any other file.
    const LONGEST: usize = 4095 - 50;
    let target = TempDir::new().unwrap();
    let mut into = target.path().to_owned();
    while LONGEST - into.as_os_str().len() > 210 {
        into.push("d".repeat(200));
    }
    into.push("d".repeat(LONGEST - into.as_os_str().len() - 1));
    let mut making = making();
    making.file(&format!("pg_xact/{}", "f".repeat(60)), b"too long");
    let done = restored(making.done(None).path(), &place(&into));
    assert!(!done.complete);
    assert_eq!(done.report.verdict, Verdict::Unverified, "{:?}", codes(&done));
    let said = codes(&done);
    assert!(
        said.iter().any(|(code, said)| *code == Code::RestoreFailed && said.contains("File name too long")),
        "{said:?}"
    );
    assert!(into.join(NOTE).exists() && !into.join("global/pg_control").exists());
}

/// The first directory is made before the second cannot be: it does not stay.
#[test]
fn what_was_made_for_a_restore_that_is_refused_is_removed() {
    let target = TempDir::new().unwrap();
    let mut making = making();
    making.file("tablespace_map", b"16400 /srv/live\n");
    let backup = making.done(None);
    fs::write(backup.path().join("16400.tar"), [0; 1024]).unwrap();
    let mapping = Mapping { from: "/srv/live".into(), to: "/proc/nobody-makes-this".into() };
    let wanted = Place { tablespaces: vec![mapping], ..place(&target.path().join("made/data")) };
    let source = Source::Directory(backup.path().to_owned());
    let refused = restore(source, &options(), &wanted, &Progress::default()).unwrap_err();
    assert!(matches!(refused, Refused::Unusable { .. }), "{refused}");
    assert!(!target.path().join("made").exists());
}

#[test]
fn tablespaces_go_where_they_were_told_to_and_nowhere_else() {
    let target = TempDir::new().unwrap();
    let mut making = making();
    making.file("tablespace_map", b"16400 /srv/live one\n");
    making.list("pg_tblspc/16400/PG_15_202209061/5/16401", &[0; 8192]);
    let backup = making.done(None);
    let mut space = tar::Builder::new(File::create(backup.path().join("16400.tar")).unwrap());
    for (name, size) in
        [("PG_15_202209061/", 0), ("PG_15_202209061/5/", 0), ("PG_15_202209061/5/16401", 8192)]
    {
        let mut header = Header::new_ustar();
        header.set_entry_type(if size == 0 { EntryType::Directory } else { EntryType::Regular });
        header.set_mode(0o700);
        header.set_size(size);
        header.set_cksum();
        space.append_data(&mut header, name, &vec![0; size as usize][..]).unwrap();
    }
    space.into_inner().unwrap();
    let source = || Source::Directory(backup.path().to_owned());
    let (into, to) = (target.path().join("data"), target.path().join("space"));
    let unmapped = restore(source(), &options(), &place(&into), &Progress::default()).unwrap_err();
    assert!(unmapped.to_string().contains("--tablespace-mapping=/srv/live one=NEW"), "{unmapped}");
    assert!(!into.exists());
    let mapping = |from: &str, to: &Path| Mapping { from: from.into(), to: to.to_owned() };
    let with = |mapping| Place { tablespaces: vec![mapping], ..place(&into) };
    let other = restore(source(), &options(), &with(mapping("/srv/other", &to)), &Progress::default());
    assert!(other.unwrap_err().to_string().contains("it has /srv/live one"));
    let within =
        restore(source(), &options(), &with(mapping("/srv/live one", &into.join("x"))), &Progress::default());
    assert!(matches!(within.unwrap_err(), Refused::Overlap(..)));
    let done = restored(backup.path(), &with(mapping("/srv/live one", &to)));
    assert!(done.complete, "{:?}", codes(&done));
    assert_eq!(fs::read(to.join("PG_15_202209061/5/16401")).unwrap(), vec![0; 8192]);
    assert_eq!(fs::read_link(into.join("pg_tblspc/16400")).unwrap(), to);
    let map = fs::read_to_string(into.join("tablespace_map")).unwrap();
    assert_eq!(map, format!("16400 {}\n", to.display()));
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_target_is_written_for_the_server_and_takes_back_what_the_backup_brought() {
    let target = TempDir::new().unwrap();
    let mut making = making();
    making.member("postgresql.auto.conf", EntryType::Regular, 0o600, None, b"recovery_target_xid = '7'\n");
    making.member("standby.signal", EntryType::Regular, 0o600, None, b"");
    let settings = Settings {
        target: Target { at: Point::Name("it's".to_owned()), inclusive: true },
        timeline: Timeline::Latest,
        action: Action::Promote,
        restore_command: "cp '/a/%f' '%p'".to_owned(),
        unpacks: true,
    };
    let wanted = Place { settings: Some(settings), ..place(target.path()) };
    let done = restored(making.done(None).path(), &wanted);
    assert!(done.complete, "{:?}", codes(&done));
    let conf = fs::read_to_string(target.path().join("postgresql.auto.conf")).unwrap();
    for line in [
        "recovery_target_name = 'it''s'",
        "recovery_target_xid = ''",
        "restore_command = 'cp ''/a/%f'' ''%p'''",
        "recovery_target_action = 'promote'",
    ] {
        assert!(conf.lines().any(|written| written == line), "{line}: {conf}");
    }
    assert!(target.path().join("recovery.signal").exists());
    assert!(!target.path().join("standby.signal").exists());
}
