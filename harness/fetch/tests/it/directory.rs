//! Which directories are fetched into.

use pgdrill_fetch::Kind;

use crate::{bring, environment};
use pgdrill_fetch::Source;

fn local(path: &std::path::Path) -> Source {
    Source::parse(&format!("file://{}", path.display()), environment(&[])).unwrap()
}

#[tokio::test]
async fn a_directory_that_holds_something_else_is_left_alone() {
    let base = tempfile::tempdir().unwrap();
    let from = base.path().join("from");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("base.tar"), b"tar").unwrap();
    let into = base.path().join("into");
    std::fs::create_dir(&into).unwrap();
    std::fs::write(into.join("precious"), b"precious").unwrap();
    let trouble = bring(&local(&from), &into).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Local);
    assert!(trouble.message.contains("is not empty"), "{trouble}");
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), 1);
    // Even where somebody made the directory that a fetch would have.
    std::fs::create_dir(into.join(".pgdrill-fetch")).unwrap();
    let trouble = bring(&local(&from), &into).await.unwrap_err();
    assert!(trouble.message.contains("not where they were fetched from"), "{trouble}");
    assert_eq!(std::fs::read(into.join("precious")).unwrap(), b"precious");
    assert!(!into.join("base.tar").exists());
}

#[tokio::test]
async fn what_another_fetch_left_is_not_gone_on_with() {
    let base = tempfile::tempdir().unwrap();
    let from = base.path().join("from");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("base.tar"), b"tar").unwrap();
    let into = base.path().join("into");
    std::fs::create_dir_all(into.join(".pgdrill-fetch")).unwrap();
    std::fs::write(into.join(".pgdrill-fetch/journal"), "{\"source\":{\"url\":\"s3://other/main\"}}\n")
        .unwrap();
    let trouble = bring(&local(&from), &into).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Local);
    assert!(trouble.message.contains("an interrupted fetch from s3://other/main left"), "{trouble}");
}

#[tokio::test]
async fn two_fetches_do_not_write_into_one_directory() {
    let base = tempfile::tempdir().unwrap();
    let from = base.path().join("from");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("base.tar"), b"tar").unwrap();
    let into = base.path().join("into");
    std::fs::create_dir_all(into.join(".pgdrill-fetch")).unwrap();
    let journal = std::fs::File::create(into.join(".pgdrill-fetch/journal")).unwrap();
    journal.lock().unwrap();
    let trouble = bring(&local(&from), &into).await.unwrap_err();
    assert!(trouble.message.contains("another fetch writes into"), "{trouble}");
    journal.unlock().unwrap();
    bring(&local(&from), &into).await.unwrap();
    assert_eq!(std::fs::read(into.join("base.tar")).unwrap(), b"tar");
}

#[tokio::test]
async fn a_directory_that_is_a_link_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let from = base.path().join("from");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("base.tar"), b"tar").unwrap();
    let elsewhere = base.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let into = base.path().join("into");
    std::os::unix::fs::symlink(&elsewhere, &into).unwrap();
    let trouble = bring(&local(&from), &into).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Local, "{trouble}");
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}
