//! `ci/nightly.sh` on real drills: what it publishes, whom it tells, and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::desk::{BAD, Desk, Done, GOOD};

fn night(desk: &Desk, text: &str, env: &[(&str, &str)]) -> Done {
    let script = fs::canonicalize("../../ci/nightly.sh").unwrap();
    let scenario = desk.scenario(text);
    // As on a machine on which it is installed: by a path, with nothing of the caller's CI around it.
    let mut command = Command::new(script);
    command
        .arg(scenario)
        .current_dir(desk.path("."))
        .env("PGDRILL", assert_cmd::cargo::cargo_bin!("pgdrill"))
        .env("PGDRILL_WORKSPACE", desk.path("w"))
        .env("PGDRILL_EVIDENCE", desk.path("e"))
        .env("PGDRILL_RUNTIME", "local")
        .env("NIGHTLY_OUT", desk.path("out"))
        .stdin(Stdio::null());
    for name in ["GITHUB_RUN_ID", "GITHUB_STEP_SUMMARY", "CI_JOB_URL", "BUILD_URL"] {
        command.env_remove(name);
    }
    Done::of(&command.envs(env.iter().copied()).output().unwrap())
}

/// Hears one request, and answers it.
fn hear(answer: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/s3cret-t0ken", listener.local_addr().unwrap());
    let heard = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        let mut buffer = [0; 4096];
        // The body ends with the brace that it begins with.
        while !text.trim_end().ends_with('}') {
            let read = stream.read(&mut buffer).unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        text
    });
    (url, heard)
}

/// Everything that is below a directory.
fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_good_night_is_published_and_tells_nobody() {
    let desk = Desk::new();
    let summary = desk.path("step-summary");
    fs::write(&summary, "before\n").unwrap();
    let done = night(
        &desk,
        GOOD,
        &[("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()), ("NIGHTLY_WEBHOOK", "http://127.0.0.1:1/")],
    );
    done.ends_with(0);
    for name in ["junit.xml", "runs.json", "summary.md", "history.txt", "report.html", "pgdrill.prom"] {
        assert!(fs::metadata(desk.path("out").join(name)).unwrap().len() > 0, "{name}");
    }
    let published = fs::read_to_string(&summary).unwrap();
    assert!(published.starts_with("before\n") && published.contains("PROVEN"), "{published}");
    assert!(fs::read_to_string(desk.path("out/history.txt")).unwrap().contains("1 of 1"));
}

#[test]
fn a_bad_night_is_published_told_and_fails_last() {
    let desk = Desk::new();
    let (url, heard) = hear("200 OK");
    let done = night(&desk, BAD, &[("NIGHTLY_WEBHOOK", &url), ("CI_JOB_URL", "https://ci.example/jobs/7")]);
    done.ends_with(1);
    let heard = heard.join().unwrap();
    assert!(heard.starts_with("POST /hooks/s3cret-t0ken HTTP/1.1"), "{heard}");
    let body: serde_json::Value = serde_json::from_str(heard.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("DISPROVEN") && text.ends_with("https://ci.example/jobs/7"), "{text}");
    assert!(fs::read_to_string(desk.path("out/summary.md")).unwrap().contains("DISPROVEN"));
    assert!(fs::read_to_string(desk.path("out/report.html")).unwrap().contains("<title>DISPROVEN: "));
    // The address is a secret, and it is nowhere.
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(!said.contains("s3cret-t0ken"), "{said}");
    for file in below(&desk.path(".")) {
        let content = fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains("s3cret-t0ken"), "{}", file.display());
    }
}

#[test]
fn a_notification_that_fails_is_seen() {
    let desk = Desk::new();
    let (url, heard) = hear("404 Not Found");
    let done = night(&desk, BAD, &[("NIGHTLY_WEBHOOK", &url)]);
    done.ends_with(1);
    heard.join().unwrap();
    assert!(done.stdout.contains("THE NOTIFICATION FAILED"), "{}", done.stdout);
}

#[test]
fn a_drill_that_did_not_run_for_too_long_makes_a_good_night_bad() {
    let desk = Desk::new();
    let done = night(&desk, GOOD, &[("NIGHTLY_MAX_AGE", "1ms")]);
    done.ends_with(2);
    assert!(done.stdout.contains("STALE:") && done.stdout.contains("could not verify"), "{}", done.stdout);
}

#[test]
fn a_mistake_in_a_scenario_is_no_reason_to_be_silent() {
    let desk = Desk::new();
    let (url, heard) = hear("200 OK");
    let done = night(&desk, "title: t\nsteps: [backupp]\n", &[("NIGHTLY_WEBHOOK", &url)]);
    done.ends_with(64);
    assert!(heard.join().unwrap().contains("exit code 64"));
}

#[test]
fn a_night_whose_metrics_cannot_be_written_is_no_good_one() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("out/pgdrill.prom")).unwrap();
    let done = night(&desk, GOOD, &[]);
    done.ends_with(64);
    assert!(done.stderr.contains("pgdrill.prom"), "{}", done.stderr);
}

#[test]
fn a_night_is_signed_by_the_key_that_it_is_given_and_not_where_a_signature_was_taken_away() {
    let desk = Desk::new();
    let (key, public) = (desk.path("KEY.pem"), desk.path("PUBLIC.pem"));
    let openssl = |args: &[&str]| assert!(Command::new("openssl").args(args).status().unwrap().success());
    let (own, shown) = (key.to_str().unwrap(), public.to_str().unwrap());
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", own]);
    openssl(&["pkey", "-in", own, "-pubout", "-out", shown]);
    let env = [("NIGHTLY_KEY", own)];
    night(&desk, GOOD, &env).ends_with(0);
    let both = [("NIGHTLY_KEY", own), ("NIGHTLY_PUBLIC_KEY", shown)];
    night(&desk, GOOD, &both).ends_with(0);
    let records = desk.path("e");
    let checked = desk.pgdrill(&["report", records.to_str().unwrap(), "--check", "--key", shown]);
    checked.ends_with(0);
    assert!(checked.stdout.contains("2 records signed at"), "{}", checked.stdout);
    let signatures =
        below(&records).into_iter().find(|path| path.ends_with("chain.txt.intoto.jsonl")).unwrap();
    fs::remove_file(signatures).unwrap();
    night(&desk, GOOD, &both).ends_with(2);
}
