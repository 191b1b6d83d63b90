//! Connections that break: what was fetched is not fetched again, and a store that is gone is waited for, but not for ever.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use pgdrill_fetch::{Kind, fetch};
use tokio_util::sync::CancellationToken;

use crate::proxy::{Mode, Proxy};
use crate::server::{Server, source};
use crate::{PART, assert_is, bring, content, impatient, noise, options};

const SIZE: u64 = 4 << 20;

/// What a list and the heads of answers may add to the bytes of objects.
const BESIDE: u64 = 64 << 10;

/// What may be lost of what came: the parts that were not whole.
const LOST: u64 = 4 * PART;

fn filled(server: &Server) -> BTreeMap<String, Vec<u8>> {
    server.make_bucket();
    let files = BTreeMap::from([
        ("backup_manifest".to_owned(), b"{}".to_vec()),
        ("base.tar".to_owned(), noise(usize::try_from(SIZE).unwrap(), 1)),
    ]);
    files.iter().for_each(|(name, content)| server.put(&format!("main/{name}"), content));
    files
}

/// A fetch of which the store goes away in the middle, and what came of it through the proxy.
async fn interrupted(server: &Server, proxy: &Proxy, mode: Mode, into: &Path) -> u64 {
    proxy.set(mode);
    let source = impatient(source(proxy.port, "s3://backups/main"));
    let began = Instant::now();
    let trouble = bring(&source, into).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Gone, "{trouble}");
    assert!(trouble.message.contains("stopped answering in the middle of base.tar"), "{trouble}");
    assert!(trouble.hint.contains("goes on where this one was"), "{}", trouble.hint);
    // Three seconds without anything, and at most one more request.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert!(!into.join("base.tar").exists());
    assert_ne!(proxy.port, server.port);
    proxy.bytes()
}

#[tokio::test]
async fn an_interrupted_fetch_does_not_fetch_again_what_is_there() {
    let Some(server) = Server::start() else { return };
    let files = filled(&server);
    for mode in [Mode::CutAllAfter(3 << 20), Mode::SilentAfter(3 << 20)] {
        let directory = tempfile::tempdir().unwrap();
        let into = directory.path().join("into");
        let proxy = Proxy::before(server.port, Mode::Pass);
        let before = interrupted(&server, &proxy, mode, &into).await;
        assert_eq!(before, 3 << 20, "{mode:?}");
        proxy.set(Mode::Pass);
        let fetched = bring(&source(proxy.port, "s3://backups/main"), &into).await.unwrap();
        assert_is(&fetched, &into, &files);
        // Counted by the proxy, which knows nothing of what we say.
        let again = proxy.bytes();
        assert!(again <= SIZE - before + LOST + BESIDE, "{mode:?}: {again} bytes came again, after {before}");
        assert!(fetched.resumed_bytes >= before - LOST - BESIDE, "{mode:?}: {fetched:?}");
        assert_eq!(fetched.resumed_bytes + fetched.received_bytes, fetched.bytes);
        assert_eq!(fetched.begun_anew, []);
        assert!(!into.join(".pgdrill-fetch").exists());
    }
}

#[tokio::test]
async fn an_object_that_is_another_now_is_begun_anew_and_said() {
    let Some(server) = Server::start() else { return };
    let mut files = filled(&server);
    let directory = tempfile::tempdir().unwrap();
    let into = directory.path().join("into");
    let proxy = Proxy::before(server.port, Mode::Pass);
    interrupted(&server, &proxy, Mode::CutAllAfter(2 << 20), &into).await;
    let later = noise(usize::try_from(SIZE).unwrap(), 9);
    server.put("main/base.tar", &later);
    files.insert("base.tar".to_owned(), later);
    let fetched = bring(&source(server.port, "s3://backups/main"), &into).await.unwrap();
    assert_is(&fetched, &into, &files);
    assert_eq!(fetched.begun_anew.len(), 1);
    assert_eq!(fetched.begun_anew[0].name, "base.tar");
    assert!(fetched.begun_anew[0].why.contains("has changed in the store"), "{:?}", fetched.begun_anew);
}

#[tokio::test]
async fn a_part_that_is_not_what_was_written_is_not_gone_on_with() {
    let Some(server) = Server::start() else { return };
    let files = filled(&server);
    let directory = tempfile::tempdir().unwrap();
    let into = directory.path().join("into");
    let proxy = Proxy::before(server.port, Mode::Pass);
    interrupted(&server, &proxy, Mode::CutAllAfter(2 << 20), &into).await;
    let parts = std::fs::read_dir(into.join(".pgdrill-fetch")).unwrap().map(|entry| entry.unwrap().path());
    let part = parts.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&part).unwrap();
    assert!(bytes.len() as u64 >= PART);
    bytes[1_000] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let fetched = bring(&source(server.port, "s3://backups/main"), &into).await.unwrap();
    assert_is(&fetched, &into, &files);
    assert_eq!(fetched.begun_anew.len(), 1);
    assert!(fetched.begun_anew[0].why.contains("not what had been written"), "{:?}", fetched.begun_anew);
}

#[tokio::test]
async fn what_is_no_longer_in_the_store_is_not_left_behind() {
    let Some(server) = Server::start() else { return };
    let mut files = filled(&server);
    let directory = tempfile::tempdir().unwrap();
    let into = directory.path().join("into");
    let proxy = Proxy::before(server.port, Mode::Pass);
    interrupted(&server, &proxy, Mode::CutAllAfter(2 << 20), &into).await;
    assert!(into.join("backup_manifest").exists());
    server.ask("DELETE", "/backups/main/backup_manifest", &[], b"");
    files.remove("backup_manifest");
    let fetched = bring(&source(server.port, "s3://backups/main"), &into).await.unwrap();
    assert_is(&fetched, &into, &files);
    assert!(fetched.begun_anew.iter().any(|object| object.why.contains("not in the store any more")));
}

#[tokio::test]
async fn connections_that_break_again_and_again_only_cost_time() {
    let Some(server) = Server::start() else { return };
    let files = filled(&server);
    let directory = tempfile::tempdir().unwrap();
    // Less than a part gets through at once, so each is put together from several answers.
    let proxy = Proxy::before(server.port, Mode::CutEach(PART / 3));
    let fetched = bring(&source(proxy.port, "s3://backups/main"), directory.path()).await.unwrap();
    assert_is(&fetched, directory.path(), &files);
    assert!(fetched.retries >= 2 * (SIZE / PART), "{}", fetched.retries);
    assert_eq!(fetched.received_bytes, fetched.bytes);
    let heads = 2_000 * proxy.connections() as u64;
    assert!(
        proxy.bytes() <= SIZE + heads + BESIDE,
        "{} bytes in {} connections",
        proxy.bytes(),
        proxy.connections()
    );
}

#[tokio::test]
async fn a_store_that_is_unavailable_for_a_while_is_asked_again() {
    let Some(server) = Server::start() else { return };
    let files = filled(&server);
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::before(server.port, Mode::Unavailable(3));
    let fetched = bring(&source(proxy.port, "s3://backups/main"), directory.path()).await.unwrap();
    assert_is(&fetched, directory.path(), &files);
    assert!(proxy.connections() > 3);
    // For longer than anybody waits, it is not there.
    proxy.set(Mode::Unavailable(usize::MAX));
    let into = directory.path().join("never");
    let began = Instant::now();
    let trouble = bring(&impatient(source(proxy.port, "s3://backups/main")), &into).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Unreachable, "{trouble}");
    assert!(trouble.message.contains("503 SlowDown"), "{trouble}");
    assert!(began.elapsed() < Duration::from_secs(8) && !into.exists());
}

#[tokio::test]
async fn whoever_interrupts_a_fetch_can_go_on_with_it() {
    let Some(server) = Server::start() else { return };
    let files = filled(&server);
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::before(server.port, Mode::SilentAfter(2 << 20));
    let cancel = CancellationToken::new();
    let source = source(proxy.port, "s3://backups/main");
    let began = Instant::now();
    let options = options();
    let fetching = fetch(&source, directory.path(), &options, &|_| {}, &cancel);
    let interrupting = async {
        // The store is silent by then, and would be waited for for two minutes.
        while proxy.bytes() < 2 << 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (fetched, ()) = tokio::join!(fetching, interrupting);
    assert_eq!(fetched.unwrap_err().kind, Kind::Interrupted);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    proxy.set(Mode::Pass);
    let fetched = bring(&source, directory.path()).await.unwrap();
    assert_eq!(content(directory.path()), files);
    assert!(fetched.resumed_bytes > 0 && fetched.begun_anew.is_empty(), "{fetched:?}");
}
