//! Restores of backups that were made by hand, so that each can be wrong in one way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use pgdrill_backup::restore::{Mapping, Place, Refused, Restored, Settings, restore};
use pgdrill_backup::verify::{Options, Progress, Source};
use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use rstest::rstest;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use tempfile::TempDir;

const NOTE: &str = "pgdrill.restore-is-not-complete";

/// Directories without which PostgreSQL does not work.
const DIRECTORIES: [&str; 16] = [
    "base",
    "base/5",
    "global",
    "pg_commit_ts",
    "pg_logical",
    "pg_logical/mappings",
    "pg_logical/snapshots",
    "pg_multixact",
    "pg_multixact/members",
    "pg_multixact/offsets",
    "pg_notify",
    "pg_replslot",
    "pg_subtrans",
    "pg_tblspc",
    "pg_twophase",
    "pg_xact",
];

/// A backup in tar format that is being made.
struct Making {
    directory: TempDir,
    base: tar::Builder<Vec<u8>>,
    lines: Vec<String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/ondisk").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Making {
    /// One with all that a backup must have, but for the control file.
    fn new() -> Self {
        let mut making = Self {
            directory: TempDir::new().unwrap(),
            base: tar::Builder::new(Vec::new()),
            lines: Vec::new(),
        };
        let label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n\
                     BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-01-01 00:00:00 UTC\nLABEL: made\n\
                     START TIMELINE: 1\n";
        making.file("backup_label", label.as_bytes());
        for name in DIRECTORIES {
            making.member(name, EntryType::Directory, 0o700, None, &[]);
        }
        making.file("PG_VERSION", b"15\n");
        making.file("base/5/PG_VERSION", b"15\n");
        // Two buffers of zeros between data.
        let large = [vec![7; 300_000], vec![0; 1 << 20], vec![9; 5]].concat();
        making.file("pg_xact/0000", &large);
        making
    }

    fn member(&mut self, name: &str, kind: EntryType, mode: u32, link: Option<&str>, bytes: &[u8]) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        // As it is, whatever it is.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        self.base.append(&header, bytes).unwrap();
    }

    fn file(&mut self, name: &str, bytes: &[u8]) {
        self.member(name, EntryType::Regular, 0o600, None, bytes);
        self.list(name, bytes);
    }

    fn list(&mut self, name: &str, bytes: &[u8]) {
        let (size, sum) = (bytes.len(), hex(&Sha256::digest(bytes)));
        self.lines.push(format!(
            "{{ \"Path\": \"{name}\", \"Size\": {size}, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \
             \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"{sum}\" }}"
        ));
    }

    /// Adds the control file, and writes it all; `cut` bytes of the base are kept.
    fn done(mut self, cut: Option<usize>) -> TempDir {
        self.file("global/pg_control", &fixture("pg_control-15"));
        let body = format!(
            "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": 1, \
             \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }}\n],\n",
            self.lines.join(",\n")
        );
        let sum = hex(&Sha256::digest(body.as_bytes()));
        let manifest = format!("{body}\"Manifest-Checksum\": \"{sum}\"}}\n");
        fs::write(self.directory.path().join("backup_manifest"), manifest).unwrap();
        let mut base = self.base.into_inner().unwrap();
        base.truncate(cut.unwrap_or(base.len()));
        let mut gzip = GzEncoder::new(
            File::create(self.directory.path().join("base.tar.gz")).unwrap(),
            Compression::fast(),
        );
        gzip.write_all(&base).unwrap();
        gzip.finish().unwrap();
        self.directory
    }
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
    let (backup, target) = (Making::new().done(None), TempDir::new().unwrap());
    let into = target.path().join("made/for/it");
    let done = restored(backup.path(), &place(&into));
    assert_eq!((codes(&done), done.report.verdict, done.complete), (vec![], Verdict::Proven, true));
    assert_eq!(done.report.checked.checksums, 5);
    assert_eq!(fs::read(into.join("global/pg_control")).unwrap(), fixture("pg_control-15"));
    let large = fs::read(into.join("pg_xact/0000")).unwrap();
    assert_eq!(large, [vec![7; 300_000], vec![0; 1 << 20], vec![9; 5]].concat());
    assert_eq!(done.sparse, 3 * (256 << 10));
    let metadata = fs::metadata(into.join("pg_xact/0000")).unwrap();
    assert_eq!((metadata.len(), metadata.mode() & 0o777), (large.len() as u64, 0o600));
    for name in [".", "base/5", "pg_notify"] {
        assert_eq!(fs::metadata(into.join(name)).unwrap().mode() & 0o777, 0o700, "{name}");
    }
    assert!(!into.join(NOTE).exists());
    let manifest = |directory: &Path| fs::read(directory.join("backup_manifest")).unwrap();
    assert!(manifest(&into) == manifest(backup.path()));
}

#[test]
fn nothing_is_written_over_what_is_there() {
    let (backup, target) = (Making::new().done(None), TempDir::new().unwrap());
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
    let mut making = Making::new();
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
    let mut making = Making::new();
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
    let (backup, target) = (Making::new().done(Some(1 << 20)), TempDir::new().unwrap());
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
    let mut making = Making::new();
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
    let mut making = Making::new();
    making.member("PG_VERSION", EntryType::Regular, 0o600, None, b"16\n");
    let done = restored(making.done(None).path(), &place(target.path()));
    assert!(!done.complete);
    let said = codes(&done);
    assert!(said.iter().any(|(_, said)| said.contains("it is there twice")), "{said:?}");
    assert_eq!(fs::read(target.path().join("PG_VERSION")).unwrap(), b"15\n");
}

#[test]
fn a_directory_that_cannot_be_written_is_said_to_be_that() {
    let (backup, target) = (Making::new().done(None), TempDir::new().unwrap());
    let full = target.path().join("data");
    // A file system of its own that is full from the start is not to be had without privileges; a file in the way is.
    symlink("/dev/full", &full).unwrap();
    let source = Source::Directory(backup.path().to_owned());
    let refused = restore(source, &options(), &place(&full), &Progress::default()).unwrap_err();
    assert!(matches!(refused, Refused::NotADirectory(_)), "{refused}");
}

#[test]
fn tablespaces_go_where_they_were_told_to_and_nowhere_else() {
    let target = TempDir::new().unwrap();
    let mut making = Making::new();
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
    let mut making = Making::new();
    making.member("postgresql.auto.conf", EntryType::Regular, 0o600, None, b"recovery_target_xid = '7'\n");
    making.member("standby.signal", EntryType::Regular, 0o600, None, b"");
    let settings = Settings {
        target: Some(("recovery_target_name", "it's".to_owned())),
        inclusive: true,
        timeline: "latest".to_owned(),
        action: "promote".to_owned(),
        restore_command: "cp '/a/%f' '%p'".to_owned(),
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
