//! What is in the store is what is in the directory afterwards, whatever it is.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use pgdrill_fetch::{Checked, Kind, Options, fetch};
use tokio_util::sync::CancellationToken;

use crate::server::{Server, source};
use crate::{assert_is, bring, noise, options};

#[tokio::test]
async fn everything_below_a_prefix_comes_as_it_is() {
    let Some(server) = Server::start() else { return };
    server.make_bucket();
    let large = noise(2_000_003, 1);
    let several = noise(5 << 20, 2);
    server.put("main/base.tar", &large);
    server.put_in_parts("main/pg_wal.tar", &[&several, b"the last part"]);
    server.put("main/backup_manifest", b"{}");
    server.put("main/16384/empty", b"");
    server.put("main/a%20b/%C3%BCn%C3%AF", b"unicode");
    // Marks of directories, as consoles and some programs make them: one with something in it, one without, one of the prefix.
    server.put("main/16384/", b"");
    server.put("main/pg_notify/", b"");
    server.put("main/", b"");
    // Not below the prefix, although the name begins alike.
    server.put("main2/base.tar", b"of another");
    let into = tempfile::tempdir().unwrap();
    let to = into.path().join("backup");
    let told = std::sync::Mutex::new(Vec::new());
    let source = source(server.port, "s3://backups/main/");
    let hear = |progress| told.lock().unwrap().push(progress);
    let fetched = fetch(&source, &to, &options(), &hear, &CancellationToken::new()).await.unwrap();

    assert!(to.join("pg_notify").is_dir());
    let whole: Vec<u8> = [several.as_slice(), b"the last part"].concat();
    let files = BTreeMap::from([
        ("base.tar".to_owned(), large),
        ("pg_wal.tar".to_owned(), whole),
        ("backup_manifest".to_owned(), b"{}".to_vec()),
        ("16384/empty".to_owned(), Vec::new()),
        ("a b/\u{fc}n\u{ef}".to_owned(), b"unicode".to_vec()),
    ]);
    assert_is(&fetched, &to, &files);
    // An object that came in one part has an MD5 for its ETag, one that came in several has not.
    let checked = |name: &str| fetched.files.iter().find(|file| file.name == name).unwrap().checked;
    assert_eq!(checked("base.tar"), Checked::Md5);
    assert_eq!(checked("16384/empty"), Checked::Md5);
    assert_eq!(checked("pg_wal.tar"), Checked::Length);
    assert_eq!((fetched.retries, fetched.resumed_bytes, fetched.begun_anew.len()), (0, 0, 0));
    assert_eq!(fetched.received_bytes, fetched.bytes);
    let mode = |name: &str| std::fs::metadata(to.join(name)).unwrap().mode() & 0o7777;
    assert_eq!([mode(""), mode("16384"), mode("pg_notify")], [0o700; 3]);
    assert_eq!([mode("base.tar"), mode("16384/empty")], [0o600; 2]);
    let told = told.into_inner().unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.bytes, last.bytes_of), (fetched.bytes, fetched.bytes));
    assert_eq!(last.files, last.files_of);
    assert!(told.windows(2).all(|pair| pair[0].bytes <= pair[1].bytes), "{told:?}");
}

#[tokio::test]
async fn a_list_of_several_pages_comes_as_a_whole() {
    let Some(server) = Server::start() else { return };
    server.make_bucket();
    let names: Vec<String> = (0..1_050).map(|number| format!("{number:024X}")).collect();
    names.iter().for_each(|name| server.put(&format!("archive/{name}"), name.as_bytes()));
    let into = tempfile::tempdir().unwrap();
    let fetched = bring(&source(server.port, "s3://backups/archive"), into.path()).await.unwrap();
    let files = names.iter().map(|name| (name.clone(), name.clone().into_bytes())).collect();
    assert_is(&fetched, into.path(), &files);
}

#[tokio::test]
async fn a_whole_bucket_and_a_single_object_can_be_named() {
    let Some(server) = Server::start() else { return };
    server.make_bucket();
    server.put("main/base.tar.gz", b"gzip");
    let into = tempfile::tempdir().unwrap();
    let to = into.path().join("bucket");
    let fetched = bring(&source(server.port, "s3://backups"), &to).await.unwrap();
    assert_is(&fetched, &to, &BTreeMap::from([("main/base.tar.gz".to_owned(), b"gzip".to_vec())]));
    let to = into.path().join("object");
    let fetched = bring(&source(server.port, "s3://backups/main/base.tar.gz"), &to).await.unwrap();
    assert_is(&fetched, &to, &BTreeMap::from([("base.tar.gz".to_owned(), b"gzip".to_vec())]));
}

#[tokio::test]
async fn a_segment_comes_on_demand() {
    let Some(server) = Server::start() else { return };
    server.make_bucket();
    let segment = noise(1 << 20, 7);
    server.put("archive/000000010000000000000001", &segment);
    let archive = source(server.port, "s3://backups/archive");
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("RECOVERYXLOG");
    std::fs::write(&to, b"what was there before").unwrap();
    let cancel = CancellationToken::new();
    let got = archive.get("000000010000000000000001", &to, &options(), &cancel).await.unwrap();
    assert_eq!((got.bytes, got.checked), (1 << 20, Checked::Md5));
    assert_eq!(std::fs::read(&to).unwrap(), segment);
    let none = archive.get("000000010000000000000002", &to, &options(), &cancel).await.unwrap_err();
    assert_eq!(none.kind, Kind::NoObject, "{none}");
    assert!(none.message.contains("000000010000000000000002"), "{none}");
    // What was there is not touched by what did not come, and nothing is left beside it.
    assert_eq!(std::fs::read(&to).unwrap(), segment);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let out = archive.get("../main/base.tar", &to, &options(), &cancel).await.unwrap_err();
    assert_eq!(out.kind, Kind::Name, "{out}");
}

#[tokio::test]
async fn what_has_no_room_is_refused_before_anything_is_written() {
    let Some(server) = Server::start() else { return };
    server.make_bucket();
    server.put("main/base.tar", &noise(100_000, 3));
    let source = source(server.port, "s3://backups/main");
    let directory = tempfile::tempdir().unwrap();
    let into = directory.path().join("backup");
    for (options, kind, words) in [
        (Options { limit_bytes: Some(99_999), ..options() }, Kind::Limit, "no more than"),
        (Options { reserve_bytes: u64::MAX / 2, ..options() }, Kind::DiskFull, "are free"),
    ] {
        let trouble = fetch(&source, &into, &options, &|_| {}, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(trouble.kind, kind, "{trouble}");
        assert!(trouble.message.contains(words), "{trouble}");
        assert!(!into.exists());
    }
}
