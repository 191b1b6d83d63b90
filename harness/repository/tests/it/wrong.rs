//! What is no backup, what is only half of one, and what is hostile: told in words, never followed, and never a panic.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use pgdrill_repository::barman::Info as BarmanInfo;
use pgdrill_repository::dump::{Comments, Toc};
use pgdrill_repository::{NotABackup, look};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rstest::rstest;
use tempfile::TempDir;

use crate::kept::{found, unpack};

fn not(path: &Path) -> NotABackup {
    look(path).expect_err("it is no backup")
}

#[test]
fn what_is_not_there_is_told_with_what_was_looked_for() {
    let directory = TempDir::new().unwrap();
    let path = fs::canonicalize(directory.path()).unwrap();
    let missing = not(&path.join("gone"));
    assert!(matches!(missing, NotABackup::Missing { .. }));
    assert_eq!(missing.hint(), "check the path, and whether the storage is mounted");
    let empty = not(&path).to_string();
    assert!(
        empty.contains("no PG_VERSION and global/pg_control of a data directory, no base.tar"),
        "{empty}"
    );
    assert!(empty.ends_with("it holds nothing: it is empty"), "{empty}");
    fs::write(path.join("readme.txt"), "hello").unwrap();
    assert!(not(&path).to_string().ends_with("it holds readme.txt"));
    assert!(not(&path.join("readme.txt")).to_string().ends_with("it holds something else"));
}

#[rstest]
#[case("a.sql.gpg", "-----BEGIN PGP MESSAGE-----\n", "the key for which gpg encrypted it")]
#[case("a.dump.age", "age-encryption.org/v1\n-> X25519", "the identity for which age encrypted it")]
#[case("a.enc", "Salted__\x01\x02\x03", "the passphrase with which openssl or pgBackRest encrypted it")]
fn what_is_encrypted_is_told(#[case] name: &str, #[case] content: &str, #[case] needs: &str) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    assert!(not(&path).to_string().ends_with(&format!("encrypted: needs {needs}")), "{}", not(&path));
}

#[rstest]
#[case("base.tar.gz.part", b"")]
#[case("a.dump.tmp", b"PGDMP\x01\x0e\x00")]
#[case("a.sql.partial", b"--\n-- PostgreSQL database dump\n--\n")]
fn what_is_still_copied_is_told(#[case] name: &str, #[case] content: &[u8]) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    assert!(matches!(not(&path), NotABackup::HalfCopied { .. }), "{}", not(&path));
    // In a directory of its own it is what there is to say of it.
    assert!(matches!(not(directory.path()), NotABackup::HalfCopied { .. }), "{}", not(directory.path()));
}

#[test]
fn links_that_lead_out_are_told_and_not_followed() {
    let kept = unpack(15);
    let directory = TempDir::new().unwrap();
    symlink(kept.path().join("base/plain"), directory.path().join("monday")).unwrap();
    symlink("/nowhere", directory.path().join("tuesday")).unwrap();
    assert!(matches!(not(directory.path()), NotABackup::Nothing { .. }));
    fs::copy(kept.path().join("dumps/custom.dump"), directory.path().join("a.dump")).unwrap();
    let all = found(directory.path());
    assert_eq!((all.backups.len(), all.remarks.len()), (1, 2), "{:?}", all.remarks);
    assert!(all.remarks[0].ends_with("a link that leads out of it, or nowhere; it is not followed"));
    // A path that is a link itself is meant, and said.
    let link = directory.path().join("link");
    symlink(kept.path().join("base/plain"), &link).unwrap();
    assert!(found(&link).remarks[0].starts_with("the path is a link; what was looked at is "));
    // So is a description that is a link out of a repository.
    let repository = kept.path().join("pgbackrest");
    let info = repository.join("backup/main/backup.info");
    fs::rename(&info, directory.path().join("backup.info")).unwrap();
    fs::remove_file(repository.join("backup/main/backup.info.copy")).unwrap();
    symlink(directory.path().join("backup.info"), &info).unwrap();
    assert!(look(&repository).is_err());
}

#[test]
fn names_that_are_hostile_are_shown_tamely() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("a\u{1b}[2J\nb"), "").unwrap();
    let told = not(directory.path()).to_string();
    assert!(!told.contains('\u{1b}') && !told.contains('\n'), "{told:?}");
    // A label that leads out of the repository is no label.
    let kept = unpack(15);
    let info = kept.path().join("pgbackrest/backup/main/backup.info");
    let text = fs::read_to_string(&info).unwrap();
    let label = text.lines().find_map(|line| line.split_once("={")).unwrap().0.to_owned();
    let hostile = text.replace(&format!("\n{label}="), "\n../../../../etc=");
    let sealed = sealed(&hostile);
    fs::write(&info, &sealed).unwrap();
    fs::write(info.with_extension("info.copy"), &sealed).unwrap();
    let all = found(&kept.path().join("pgbackrest"));
    assert!(
        all.remarks[0].ends_with("../../../../etc is no label of a backup; it is left out"),
        "{:?}",
        all.remarks
    );
    // Those that are built on it say so.
    assert!(all.backups.iter().all(|backup| all.why_unfit(backup).is_some()));
}

#[test]
fn a_stanza_that_was_upgraded_knows_the_major_of_each_backup() {
    let kept = unpack(15);
    let info = kept.path().join("pgbackrest/backup/main/backup.info");
    let text = fs::read_to_string(&info).unwrap();
    let last = text.rfind("\"db-id\":1,\"option").unwrap();
    let (before, after) = text.split_at(last);
    let newer = "2={\"db-catalog-version\":202406281,\"db-control-version\":1700,\"db-system-id\":42,\"db-version\":\"17\"}\n";
    let upgraded = format!("{before}{}", after.replacen("\"db-id\":1", "\"db-id\":2", 1))
        .replace("\ndb-id=1\n", "\ndb-id=2\n")
        .replace("\n\n[backrest]\nbackrest-checksum", &format!("\n{newer}\n[backrest]\nbackrest-checksum"));
    let upgraded = sealed(&upgraded);
    fs::write(&info, &upgraded).unwrap();
    fs::write(info.with_extension("info.copy"), &upgraded).unwrap();
    let all = found(&kept.path().join("pgbackrest"));
    let majors: Vec<u16> = all.backups.iter().map(|backup| backup.major.unwrap().0).collect();
    assert_eq!(majors, [15, 15, 17]);
    assert_eq!(all.backups[2].system_identifier, Some(42));
    let pgdrill_repository::Held::PgBackRest(held) = &all.backups[0].held else {
        panic!("{:?}", all.backups[0])
    };
    assert_eq!((held.history.len(), held.current, held.database), (2, Some(2), Some(1)));
}

/// The same with the checksum that its content gives.
fn sealed(text: &str) -> String {
    let invalid = pgdrill_repository::pgbackrest::Info::read(text.as_bytes()).unwrap_err();
    let pgdrill_repository::pgbackrest::Invalid::Checksum { stored, computed } = invalid else {
        panic!("{invalid}")
    };
    text.replace(&stored, &computed)
}

#[test]
fn a_sparse_dump_that_says_it_has_everything_is_refused_at_once() {
    // A head, and a table of contents of as many entries as there can be, with texts as long as there can be.
    let mut bytes = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
    bytes.extend([0; 40]);
    for _ in 0..3 {
        bytes.extend([1, 1, 0, 0, 0]);
    }
    bytes.extend([0, 0xFF, 0xFF, 0xFF, 0x7F]);
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]);
    let error = Toc::read(bytes.as_slice()).unwrap_err().to_string();
    assert_eq!(error, "entry 0: a text of 2147483647 bytes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Any bytes in place of a head, and any changes of a real one, are read or refused.
    #[test]
    fn heads_of_dumps(bytes: Vec<u8>, at in 0..4000_usize, byte: u8, length in 0..4000_usize) {
        let mut any = b"PGDMP\x01\x10\x00\x04\x08\x01\x01".to_vec();
        any.extend(&bytes);
        drop(Toc::read(any.as_slice()));
        drop(Toc::read(bytes.as_slice()));
        let mut real = dump();
        let place = at % real.len();
        real[place] = byte;
        real.truncate(real.len().min(length));
        drop(Toc::read(real.as_slice()));
    }

    #[test]
    fn comments_and_descriptions(text: String, bytes: Vec<u8>) {
        drop(Comments::read(&text));
        drop(Comments::read(&format!("-- PostgreSQL database dump\n{text}")));
        drop(BarmanInfo::read(&bytes));
        drop(pgdrill_repository::pgbackrest::Info::read(&bytes));
    }
}

/// A real dump, read once.
fn dump() -> Vec<u8> {
    use std::sync::OnceLock;
    static DUMP: OnceLock<Vec<u8>> = OnceLock::new();
    DUMP.get_or_init(|| fs::read(unpack(17).path().join("dumps/custom.dump")).unwrap()).clone()
}

/// Any bytes in place of any file that describes a backup: a path is then something or nothing, and nothing panics.
#[test]
fn any_bytes_in_place_of_a_description() {
    let kept = unpack(15);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let files = [
        "pgbackrest/backup/main/backup.info",
        "barman/main/identity.json",
        "base/plain/PG_VERSION",
        "base/plain/backup_label",
        "base/plain/backup_manifest",
        "base/plain/global/pg_control",
        "base/plain/postmaster.pid",
        "base/plain/tablespace_map",
        "dumps/custom.dump",
        "dumps/archive.tar",
        "dumps/plain.sql",
        "dumps/plain.sql.gz",
        "dumps/directory/toc.dat",
    ];
    for _ in 0..40 {
        for name in files {
            let path = kept.path().join(name);
            let whole = fs::read(&path).unwrap_or_default();
            let strategy = (any::<Vec<u8>>(), any::<bool>(), any::<u16>());
            let (bytes, whole_too, at) = strategy.new_tree(&mut runner).unwrap().current();
            let mut written = if whole_too { whole.clone() } else { Vec::new() };
            let place = usize::from(at) % (written.len() + 1);
            written.splice(place..place, bytes);
            fs::write(&path, written).unwrap();
            let below = kept.path().join(name.split('/').next().unwrap());
            if let Ok(found) = look(&below) {
                for backup in &found.backups {
                    drop(found.layout(backup));
                }
            }
            fs::write(&path, whole).unwrap();
        }
    }
}
