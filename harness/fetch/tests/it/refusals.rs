//! What each refusal says: what, where, and what now; and never a secret.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use pgdrill_fetch::{Kind, Source, Trouble};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;

use crate::server::{Server, source, variables};
use crate::{bring, environment, impatient};

/// A fetch that must not come to anything; what it says holds none of these.
async fn refused(source: Source, secrets: &[&str]) -> Trouble {
    let base = tempfile::tempdir().unwrap();
    let into = base.path().join("into");
    let trouble = bring(&impatient(source), &into).await.unwrap_err();
    assert!(!into.exists(), "something was written");
    let all = format!("{trouble:?} {trouble} {:?}", Unable::from(trouble.clone()));
    for secret in secrets {
        assert!(!all.contains(secret), "{secret} is in: {all}");
    }
    trouble
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let Some(server) = Server::start() else { return };
    let trouble = refused(source(server.port, "s3://nowhere/main"), &["verysecretkeyofatest"]).await;
    assert_eq!(trouble.kind, Kind::NoBucket);
    assert_eq!(
        trouble.message,
        "there is no bucket nowhere for s3://nowhere/main: it answers 404 NoSuchBucket: The specified bucket does not exist"
    );
    assert!(trouble.hint.contains("misspelt bucket"), "{}", trouble.hint);
    assert_eq!(Unable::from(trouble).code, Code::SourceRefused);
}

#[tokio::test]
async fn a_prefix_without_objects_is_named() {
    let Some(server) = Server::start() else { return };
    server.make_bucket();
    server.put("main2/base.tar", b"of another");
    let trouble = refused(source(server.port, "s3://backups/main"), &[]).await;
    assert_eq!(trouble.kind, Kind::NoObject);
    assert_eq!(trouble.message, "s3://backups/main holds no object");
    assert!(trouble.hint.contains("misspelt prefix"), "{}", trouble.hint);
}

#[tokio::test]
async fn credentials_that_are_not_taken_are_named_and_not_shown() {
    // The server takes the first requests from anybody, and then asks who it is.
    let Some(server) = Server::that_looks_at_credentials_after(2) else { return };
    server.make_bucket();
    server.put("main/base.tar", b"tar");
    let trouble =
        refused(source(server.port, "s3://backups/main"), &["verysecretkeyofatest", "AKIAPGDRILLEXAMPLE"])
            .await;
    assert_eq!(trouble.kind, Kind::Credentials);
    assert!(
        trouble.message.starts_with(
            "s3://backups/main may not be read with these credentials: it answers 403 InvalidAccessKeyId"
        ),
        "{trouble}"
    );
    assert!(trouble.hint.contains("AWS_SECRET_ACCESS_KEY"), "{}", trouble.hint);
    assert_eq!(Unable::from(trouble).code, Code::SourceRefused);
}

#[tokio::test]
async fn missing_credentials_are_named() {
    // Nobody answers where a machine in the cloud would be told its role.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let variables = environment(&[
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_METADATA_ENDPOINT", &format!("http://127.0.0.1:{free}")),
    ]);
    let trouble = refused(Source::parse("s3://backups/main", variables).unwrap(), &[]).await;
    assert_eq!(trouble.kind, Kind::Credentials, "{trouble}");
    assert!(trouble.message.contains("no credentials in the environment"), "{trouble}");
    assert!(trouble.hint.contains("AWS_ACCESS_KEY_ID"), "{}", trouble.hint);
}

#[tokio::test]
async fn nobody_who_answers_is_told_apart_from_a_refusal() {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let began = Instant::now();
    let trouble = refused(source(free, "s3://backups/main"), &["verysecretkeyofatest"]).await;
    assert_eq!(trouble.kind, Kind::Unreachable);
    assert!(trouble.message.starts_with("nobody answers for s3://backups/main"), "{trouble}");
    assert!(trouble.message.contains("refused"), "{trouble}");
    assert!(began.elapsed() < Duration::from_secs(6));
    assert_eq!(Unable::from(trouble).code, Code::SourceUnreachable);
}

#[tokio::test]
async fn a_host_without_an_address_is_told_at_once() {
    let mut variables = variables(1);
    variables[0].1 = "https://store.invalid".to_owned();
    let began = Instant::now();
    let source = Source::parse("s3://backups/main", variables).unwrap();
    let base = tempfile::tempdir().unwrap();
    let trouble = bring(&source, &base.path().join("into")).await.unwrap_err();
    assert_eq!(trouble.kind, Kind::NoHost, "{trouble}");
    assert!(trouble.message.starts_with("the host of s3://backups/main has no address"), "{trouble}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_store_without_tls_where_tls_is_asked_for_is_told_apart() {
    let Some(server) = Server::start() else { return };
    let mut variables = variables(1);
    variables[0].1 = format!("https://127.0.0.1:{}", server.port);
    let trouble =
        refused(Source::parse("s3://backups/main", variables).unwrap(), &["verysecretkeyofatest"]).await;
    assert_eq!(trouble.kind, Kind::Tls, "{trouble}");
    assert!(trouble.message.starts_with("no safe connection to s3://backups/main"), "{trouble}");
    assert!(trouble.hint.contains("SSL_CERT_FILE"), "{}", trouble.hint);
}

#[tokio::test]
async fn nothing_goes_over_the_network_without_tls_unless_somebody_says_so() {
    let mut variables = variables(1);
    variables[0].1 = "http://192.0.2.1:9000".to_owned();
    let trouble =
        refused(Source::parse("s3://backups/main", variables).unwrap(), &["verysecretkeyofatest"]).await;
    assert_ne!(trouble.kind, Kind::Gone);
    assert!(trouble.message.contains("scheme"), "{trouble}");
}
