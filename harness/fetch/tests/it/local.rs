//! A directory of this host as a source.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use pgdrill_fetch::{Checked, Kind, Source, fetch};
use tokio_util::sync::CancellationToken;

use crate::{PART, assert_is, bring, environment, noise, options};

fn source(path: &Path) -> Source {
    Source::parse(&format!("file://{}", path.display()), environment(&[])).unwrap()
}

fn made(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = BTreeMap::from([
        ("PG_VERSION".to_owned(), b"17\n".to_vec()),
        ("base/1/1259".to_owned(), noise(1_500_000, 4)),
        ("base/1/empty".to_owned(), Vec::new()),
    ]);
    for (name, content) in &files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    std::fs::create_dir_all(directory.join("pg_notify")).unwrap();
    std::fs::create_dir_all(directory.join("pg_wal/archive_status")).unwrap();
    files
}

#[tokio::test]
async fn a_directory_comes_with_its_empty_directories() {
    let base = tempfile::tempdir().unwrap();
    let (from, into) = (base.path().join("from"), base.path().join("into"));
    let files = made(&from);
    let fetched = bring(&source(&from), &into).await.unwrap();
    assert_is(&fetched, &into, &files);
    assert!(into.join("pg_notify").is_dir() && into.join("pg_wal/archive_status").is_dir());
    assert!(fetched.files.iter().all(|file| file.checked == Checked::Length));
    // A single file is a source, too.
    let alone = bring(&source(&from.join("PG_VERSION")), &base.path().join("alone")).await.unwrap();
    assert_is(
        &alone,
        &base.path().join("alone"),
        &BTreeMap::from([("PG_VERSION".to_owned(), b"17\n".to_vec())]),
    );
}

#[tokio::test]
async fn a_link_is_refused_before_anything_is_written() {
    let base = tempfile::tempdir().unwrap();
    let (from, into) = (base.path().join("from"), base.path().join("into"));
    made(&from);
    symlink("/etc", from.join("pg_tblspc")).unwrap();
    let trouble = bring(&source(&from), &into).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Name);
    assert!(trouble.message.contains("neither a file nor a directory"), "{trouble}");
    assert!(!into.exists());
}

#[tokio::test]
async fn what_is_not_there_or_empty_is_named() {
    let base = tempfile::tempdir().unwrap();
    let trouble = bring(&source(&base.path().join("missing")), &base.path().join("into")).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::NoObject);
    assert!(trouble.message.contains("missing"), "{trouble}");
    std::fs::create_dir(base.path().join("empty")).unwrap();
    let trouble = bring(&source(&base.path().join("empty")), &base.path().join("into")).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::NoObject);
    assert!(trouble.message.contains("holds no object"), "{trouble}");
}

#[tokio::test]
async fn an_interrupted_fetch_goes_on_where_it_was() {
    let base = tempfile::tempdir().unwrap();
    let (from, into) = (base.path().join("from"), base.path().join("into"));
    let files = made(&from);
    let source = source(&from);
    let cancel = CancellationToken::new();
    let stop_after_two_parts = |progress: pgdrill_fetch::Progress| {
        if progress.bytes >= 2 * PART {
            cancel.cancel();
        }
    };
    let trouble = fetch(&source, &into, &options(), &stop_after_two_parts, &cancel).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Interrupted, "{trouble}");
    assert!(into.join(".pgdrill-fetch").is_dir());
    let fetched = bring(&source, &into).await.unwrap();
    assert_is(&fetched, &into, &files);
    assert!(fetched.resumed_bytes >= 2 * PART, "{fetched:?}");
    assert_eq!(fetched.resumed_bytes + fetched.received_bytes, fetched.bytes);
    assert_eq!(fetched.begun_anew, []);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_fetched_is_begun_anew() {
    let base = tempfile::tempdir().unwrap();
    let (from, into) = (base.path().join("from"), base.path().join("into"));
    let mut files = made(&from);
    let later = noise(1_400_000, 5);
    let done = AtomicBool::new(false);
    let change = |progress: pgdrill_fetch::Progress| {
        if progress.bytes >= 2 * PART && !done.swap(true, Ordering::SeqCst) {
            std::fs::write(from.join("base/1/1259"), &later).unwrap();
        }
    };
    let fetched = fetch(&source(&from), &into, &options(), &change, &CancellationToken::new()).await.unwrap();
    files.insert("base/1/1259".to_owned(), later.clone());
    assert_eq!(crate::content(&into), files);
    assert_eq!(fetched.begun_anew.len(), 1, "{:?}", fetched.begun_anew);
    assert_eq!(fetched.begun_anew[0].name, "base/1/1259");
}
