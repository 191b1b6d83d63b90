//! Backups that are kept: of servers of 13 to 18, by the programs of their distributions.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use pgdrill_model::units::Lsn;
use pgdrill_repository::{Found, Held, Kind, Options, Passphrase, State, look, look_with};
use rstest::rstest;
use tempfile::TempDir;

use crate::oracle;

/// What is kept of a major, unpacked.
pub fn unpack(major: u16) -> TempDir {
    let kept =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/repositories/{major}.tar.zst"));
    let directory = tempfile::tempdir().unwrap();
    let stream = zstd::Decoder::new(File::open(&kept).unwrap()).unwrap();
    tar::Archive::new(stream).unpack(directory.path()).unwrap();
    directory
}

/// The one backup of its kind in a path, with what is said of it.
pub fn found(path: &Path) -> Found {
    look(path).unwrap_or_else(|not| panic!("{not}"))
}

#[rstest]
fn dumps_are_what_pg_restore_says(#[values(13, 15, 17, 18)] major: u16) {
    let kept = unpack(major);
    let compared = oracle::dumps(&kept.path().join("dumps"), major);
    assert!(compared >= if major >= 16 { 7 } else { 5 }, "{compared}");
}

#[rstest]
fn a_pgbackrest_repository_is_what_pgbackrest_says(#[values(13, 15, 17, 18)] major: u16) {
    let kept = unpack(major);
    let compared = oracle::pgbackrest(&kept.path().join("pgbackrest"), &kept.path().join("pgbackrest.json"));
    assert_eq!(compared, 3);
}

#[test]
fn a_barman_directory_is_what_barman_says() {
    let kept = unpack(15);
    let compared = oracle::barman(&kept.path().join("barman"), kept.path());
    assert_eq!(compared, 2, "one that ended well, and one that failed");
    let newest = kept.path().join("newest");
    assert!(newest.join("barman/main/meta").is_dir(), "it describes backups elsewhere");
    assert_eq!(oracle::barman(&newest.join("barman"), &newest), 2);
}

#[rstest]
fn base_backups_are_what_their_cluster_is(#[values(13, 15, 17, 18)] major: u16) {
    let kept = unpack(major);
    let all = found(&kept.path().join("base"));
    let plain = all.backups.iter().find(|backup| backup.label == "plain").unwrap();
    assert_eq!((all.kind, plain.major.unwrap().0), (Kind::Set, major));
    // The same cluster as pgBackRest saw.
    let other = found(&kept.path().join("pgbackrest"));
    assert_eq!(plain.system_identifier, other.backups[0].system_identifier);
    assert!(plain.system_identifier.is_some() && plain.start < plain.stop && plain.started_us.is_some());
    let Held::Base(base) = &plain.held else { panic!("{plain:?}") };
    assert!(base.has_manifest && !base.is_incremental());
    assert_eq!(base.tablespaces.len(), 1);
    assert_eq!(plain.state, State::Complete);
    assert_eq!(all.backups.iter().any(|backup| backup.prior.as_deref() == Some("plain")), major >= 17);
}

#[test]
fn an_encrypted_repository_says_what_it_needs() {
    for major in [13, 15, 17, 18] {
        let kept = unpack(major);
        let path = kept.path().join("encrypted");
        let not = look(&path).unwrap_err();
        assert!(
            not.to_string().ends_with("backup.info: encrypted: needs PGBACKREST_REPO1_CIPHER_PASS"),
            "{not}"
        );
        let key = |text: &str| Options { key: Some(Passphrase::new(text)) };
        let not = look_with(&path, &key("sunfish")).unwrap_err();
        assert!(
            not.to_string()
                .ends_with("needs another PGBACKREST_REPO1_CIPHER_PASS than the one that was given"),
            "{not}"
        );
        let options = key("swordfish");
        let found = look_with(&path, &options).unwrap();
        let said: Vec<serde_json::Value> =
            serde_json::from_slice(&fs::read(kept.path().join("encrypted.json")).unwrap()).unwrap();
        let labels: Vec<&str> =
            said[0]["backup"].as_array().unwrap().iter().map(|of| of["label"].as_str().unwrap()).collect();
        assert_eq!(found.backups.iter().map(|of| of.label.as_str()).collect::<Vec<_>>(), labels);
        let (of, said) = (&found.backups[0], &said[0]["backup"][0]);
        // Versions before 2.36 write positions into the manifest alone, of which next to nothing is kept.
        let lsn = |lsn: Option<Lsn>| lsn.map(|lsn| lsn.to_string());
        assert_eq!(lsn(of.start).as_deref(), said["lsn"]["start"].as_str());
        assert_eq!(lsn(of.stop).as_deref(), said["lsn"]["stop"].as_str());
        assert_eq!(of.timeline, Some(1));
        let arguments = found.layout(of).unwrap().pgbackrest_arguments("/d", "/t").unwrap();
        assert!(arguments.contains(&"--repo1-cipher-type=aes-256-cbc".to_owned()));
        assert!(
            !arguments.iter().any(|argument| argument.contains("pass")),
            "a secret is no argument: {arguments:?}"
        );
    }
}

/// All files of a directory with their sizes and times.
fn taken_down(directory: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            all.extend(taken_down(&entry.path()));
        }
        all.insert(entry.path(), (metadata.len(), metadata.modified().unwrap()));
    }
    all
}

#[test]
fn nothing_is_written() {
    let kept = unpack(15);
    let before = taken_down(kept.path());
    for below in ["base", "barman", "dumps", "encrypted", "pgbackrest"] {
        if let Ok(found) = look(&kept.path().join(below)) {
            for backup in &found.backups {
                drop(found.layout(backup));
            }
        }
    }
    assert_eq!(taken_down(kept.path()), before);
}
