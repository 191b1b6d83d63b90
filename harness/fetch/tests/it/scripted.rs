//! Stores that lie, and those whose dialects no test server speaks: what each request is answered with is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pgdrill_fetch::{Checked, Kind, Source, Trouble};

use crate::server::source;
use crate::{PART, assert_is, bring, environment, impatient, noise};

/// A request.
#[derive(Clone, Debug)]
struct Request {
    path: String,
    query: String,
    range: Option<Range<usize>>,
    if_match: Option<String>,
}

/// An answer, with what is not said by itself.
#[derive(Clone, Debug, Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// A store that answers as `answer` does; where it listens.
fn store(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&client, &*answer));
        }
    });
    port
}

fn serve(client: &TcpStream, answer: &dyn Fn(&Request) -> Answer) {
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            headers
                .iter()
                .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
        };
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let range = header("range").and_then(|(_, range)| {
            let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some(start.parse().ok()?..end.parse::<usize>().ok()? + 1)
        });
        let request = Request {
            path: path.to_owned(),
            query: query.to_owned(),
            range,
            if_match: header("if-match").map(|(_, etag)| etag.to_owned()),
        };
        let answer = answer(&request);
        let head: String =
            answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = answer.body.len();
        let head = format!("HTTP/1.1 {} X\r\n{head}content-length: {length}\r\n\r\n", answer.status);
        let body = if first.starts_with("HEAD") { &[][..] } else { &answer.body };
        if (&mut &*client).write_all(head.as_bytes()).and_then(|()| (&mut &*client).write_all(body)).is_err()
        {
            return;
        }
    }
}

/// The list of S3 and Google.
fn list(objects: &[(&str, usize, &str)]) -> Answer {
    let contents: String = objects
        .iter()
        .map(|(key, size, etag)| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>\
                 <ETag>\"{etag}\"</ETag><Size>{size}</Size></Contents>"
            )
        })
        .collect();
    let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>");
    Answer { status: 200, body: body.into_bytes(), ..Answer::default() }
}

/// The part of an object that was asked for.
fn part(request: &Request, content: &[u8], etag: &str) -> Answer {
    let mut headers =
        vec![("ETag", format!("\"{etag}\"")), ("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT".to_owned())];
    match &request.range {
        Some(range) => {
            let end = range.end.min(content.len());
            headers.push(("Content-Range", format!("bytes {}-{}/{}", range.start, end - 1, content.len())));
            Answer { status: 206, headers, body: content[range.start..end].to_vec() }
        }
        None => Answer { status: 200, headers, body: content.to_vec() },
    }
}

const ETAG: &str = "an-etag-that-is-no-md5";

async fn trouble_with(port: u16) -> Trouble {
    let into = tempfile::tempdir().unwrap();
    bring(&impatient(source(port, "s3://backups/main")), into.path()).await.unwrap_err()
}

#[tokio::test]
async fn names_that_lead_out_of_the_directory_are_refused() {
    for names in [
        &["main/../../etc/cron.d/x"][..],
        &["main/a/../b"],
        &["main//etc/passwd"],
        &["main/./x"],
        &["main/a&#10;b"],
        &["main/base", "main/base/1"],
        &["main/twice", "main/twice"],
        &["main/.pgdrill-fetch/journal"],
    ] {
        let objects: Vec<(&str, usize, &str)> = names.iter().map(|name| (*name, 3, ETAG)).collect();
        let answer = list(&objects);
        let port = store(move |request| {
            assert!(
                request.query.contains("list-type=2"),
                "nothing but the list may be asked for: {request:?}"
            );
            answer.clone()
        });
        let base = tempfile::tempdir().unwrap();
        let into = base.path().join("into");
        let trouble = bring(&source(port, "s3://backups/main"), &into).await.unwrap_err();
        assert_eq!(trouble.kind, Kind::Name, "{names:?}: {trouble}");
        assert!(trouble.message.contains("cannot be a file"), "{names:?}: {trouble}");
        assert!(
            !trouble.message.contains('\n') && trouble.hint.contains("nothing was written"),
            "{trouble:?}"
        );
        assert!(!into.exists(), "{names:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_md5_are_not_taken() {
    let content = noise(100_000, 1);
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let etag = "00112233445566778899aabbccddeeff";
    let port = store(move |request| {
        if request.query.contains("list-type") {
            return list(&[("main/base.tar", content.len(), etag)]);
        }
        counted.fetch_add(usize::from(request.range.is_some()), Ordering::SeqCst);
        part(request, &content, etag)
    });
    let trouble = trouble_with(port).await;
    assert_eq!(trouble.kind, Kind::Lies, "{trouble}");
    assert!(trouble.message.contains("base.tar has MD5 00112233445566778899aabbccddeeff"), "{trouble}");
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_answer_that_ends_too_early_in_good_order_is_a_lie() {
    let content = noise(100_000, 1);
    let port = store(move |request| {
        if request.query.contains("list-type") {
            return list(&[("main/base.tar", content.len(), ETAG)]);
        }
        let mut answer = part(request, &content, ETAG);
        // The rest is never given, however often it is asked for.
        answer.body.truncate(50_000_usize.saturating_sub(request.range.as_ref().unwrap().start));
        answer
    });
    let trouble = trouble_with(port).await;
    assert_eq!(trouble.kind, Kind::Lies, "{trouble}");
    assert!(trouble.message.contains("its answer ended after 0 of 50000 bytes"), "{trouble}");
}

#[tokio::test]
async fn a_store_that_does_not_give_parts_is_told_apart() {
    let content = noise(600_000, 1);
    let port = store(move |request| {
        if request.query.contains("list-type") {
            return list(&[("main/base.tar", content.len(), ETAG)]);
        }
        part(&Request { range: None, ..request.clone() }, &content, ETAG)
    });
    let trouble = trouble_with(port).await;
    assert_eq!(trouble.kind, Kind::Lies, "{trouble}");
    assert!(trouble.message.contains("does not give the part that was asked for"), "{trouble}");
}

#[tokio::test]
async fn an_object_that_changes_between_two_parts_is_begun_anew() {
    let (earlier, later) = (noise(1_000_000, 1), noise(900_000, 2));
    let expected = later.clone();
    let parts = Arc::new(AtomicUsize::new(0));
    let port = store(move |request| {
        if request.query.contains("list-type") {
            return list(&[("main/base.tar", earlier.len(), "earlier")]);
        }
        let now = if parts.load(Ordering::SeqCst) < 2 { (&earlier, "earlier") } else { (&later, "later") };
        if request.if_match.as_ref().is_some_and(|etag| etag.trim_matches('"') != now.1) {
            return Answer { status: 412, ..Answer::default() };
        }
        parts.fetch_add(usize::from(request.range.is_some()), Ordering::SeqCst);
        part(request, now.0, now.1)
    });
    let into = tempfile::tempdir().unwrap();
    let fetched = bring(&source(port, "s3://backups/main"), into.path()).await.unwrap();
    assert_is(&fetched, into.path(), &BTreeMap::from([("base.tar".to_owned(), expected)]));
    assert_eq!(fetched.begun_anew.len(), 1);
    assert!(fetched.begun_anew[0].why.contains("changed while it was fetched"), "{:?}", fetched.begun_anew);
}

#[tokio::test]
async fn an_object_that_never_stays_the_same_is_given_up() {
    let requests = Arc::new(AtomicUsize::new(0));
    let port = store(move |request| {
        if request.query.contains("list-type") {
            return list(&[("main/base.tar", 1_000, "first")]);
        }
        let number = requests.fetch_add(1, Ordering::SeqCst);
        part(request, &noise(1_000, 1), &format!("changed-{number}"))
    });
    let trouble = trouble_with(port).await;
    assert_eq!(trouble.kind, Kind::Changing, "{trouble}");
    assert!(trouble.message.contains("changed 3 times"), "{trouble}");
}

#[tokio::test]
async fn an_object_that_is_gone_is_not_taken_for_an_empty_directory() {
    for size in [0, 10] {
        let port = store(move |request| {
            if request.query.contains("list-type") {
                // The list of what is below the object is empty: it is not the marker of a directory.
                let below = request.query.contains("base.tar");
                return if below { list(&[]) } else { list(&[("main/base.tar", size, ETAG)]) };
            }
            let body = b"<Error><Code>NoSuchKey</Code><Message>It is gone.</Message></Error>".to_vec();
            Answer { status: 404, body, ..Answer::default() }
        });
        let trouble = trouble_with(port).await;
        assert_eq!(trouble.kind, Kind::Changing, "{trouble}");
        assert!(trouble.message.contains("was there when the objects were listed"), "{trouble}");
    }
}

#[tokio::test]
async fn what_is_no_store_at_all_is_told_apart() {
    let port =
        store(|_| Answer { status: 200, body: b"<html>It works!</html>".to_vec(), ..Answer::default() });
    let trouble = trouble_with(port).await;
    assert!([Kind::Refused, Kind::NoObject].contains(&trouble.kind), "{trouble}");
    let port = store(|_| Answer { status: 200, body: b"It works!".to_vec(), ..Answer::default() });
    let trouble = trouble_with(port).await;
    assert!([Kind::Refused, Kind::NoObject].contains(&trouble.kind), "{trouble}");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named() {
    let port = store(|_| Answer {
        status: 301,
        body: b"<Error><Code>PermanentRedirect</Code><Message>Use another endpoint.</Message></Error>"
            .to_vec(),
        ..Answer::default()
    });
    let trouble = trouble_with(port).await;
    assert_eq!(trouble.kind, Kind::Refused);
    assert!(trouble.message.contains("kept elsewhere") && trouble.hint.contains("AWS_REGION"), "{trouble:?}");
}

#[tokio::test]
async fn google_says_what_the_bytes_are_by_crc() {
    let content = noise(700_000, 6);
    let expected = content.clone();
    for (right, checked) in [(true, Ok(Checked::Crc32c)), (false, Err(Kind::Lies))] {
        let content = content.clone();
        let crc = crc32c::crc32c(&content) ^ u32::from(!right);
        let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crc.to_be_bytes());
        let port = store(move |request| {
            if request.path == "/backups" {
                return list(&[("main/base.tar", content.len(), "generation")]);
            }
            let mut answer = part(request, &content, "generation");
            answer.headers.push(("x-goog-hash", format!("crc32c={hash}")));
            answer
        });
        let url = format!("http://127.0.0.1:{port}");
        let variables = environment(&[("GOOGLE_BASE_URL", &url), ("GOOGLE_SKIP_SIGNATURE", "true")]);
        let source = Source::parse("gs://backups/main", variables).unwrap();
        let into = tempfile::tempdir().unwrap();
        let fetched = bring(&source, into.path()).await;
        match (fetched, checked) {
            (Ok(fetched), Ok(checked)) => {
                assert_is(
                    &fetched,
                    into.path(),
                    &BTreeMap::from([("base.tar".to_owned(), expected.clone())]),
                );
                assert_eq!(fetched.files[0].checked, checked);
            }
            (fetched, checked) => {
                assert_eq!(fetched.map(|_| ()).map_err(|trouble| trouble.kind), checked.map(|_| ()));
            }
        }
    }
}

#[tokio::test]
async fn azure_says_what_the_bytes_are_by_md5() {
    let content = noise(700_000, 6);
    let expected = content.clone();
    let md5 = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        <md5::Md5 as md5::Digest>::digest(&content),
    );
    let port = store(move |request| {
        if request.query.contains("comp=list") {
            // Without quotes, as Azure writes it in a list and nowhere else.
            let body = format!(
                "<EnumerationResults><Blobs><Blob><Name>main/base.tar</Name><Properties>\
                 <Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified><Etag>0x8D</Etag>\
                 <Content-Length>{}</Content-Length><Content-Type>x</Content-Type></Properties></Blob></Blobs>\
                 <NextMarker /></EnumerationResults>",
                content.len()
            );
            return Answer { status: 200, body: body.into_bytes(), ..Answer::default() };
        }
        let mut answer = part(request, &content, "0x8D");
        answer.headers.push(("x-ms-blob-content-md5", md5.clone()));
        answer
    });
    let url = format!("http://127.0.0.1:{port}");
    let variables = environment(&[
        ("AZURE_STORAGE_ENDPOINT", &url),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_SKIP_SIGNATURE", "true"),
    ]);
    let source = Source::parse("az://backups/main", variables).unwrap();
    let into = tempfile::tempdir().unwrap();
    let fetched = bring(&source, into.path()).await.unwrap();
    assert_is(&fetched, into.path(), &BTreeMap::from([("base.tar".to_owned(), expected)]));
    assert_eq!(fetched.files[0].checked, Checked::Md5);
}

#[tokio::test]
async fn no_more_is_asked_for_at_once_than_there_are_jobs() {
    let content = noise(4_000_000, 1);
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (Arc::clone(&open), Arc::clone(&most));
    let ranges = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let asked = Arc::clone(&ranges);
    let port = store(move |request| {
        if request.query.contains("list-type") {
            return list(&[
                ("main/1", content.len(), ETAG),
                ("main/2", content.len(), ETAG),
                ("main/3", 5, ETAG),
            ]);
        }
        highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(20));
        counted.fetch_sub(1, Ordering::SeqCst);
        let range = request.range.clone().unwrap();
        assert!(range.len() as u64 <= PART);
        assert!(
            asked.lock().unwrap().insert((request.path.clone(), range.start)),
            "asked for twice: {request:?}"
        );
        part(request, if request.path.ends_with('3') { b"small" } else { &content }, ETAG)
    });
    let into = tempfile::tempdir().unwrap();
    bring(&source(port, "s3://backups/main"), into.path()).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 4);
    assert_eq!(
        ranges.lock().unwrap().len(),
        2 * 4_000_000_usize.div_ceil(usize::try_from(PART).unwrap()) + 1
    );
}
