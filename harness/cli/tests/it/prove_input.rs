//! `pgdrill prove -`: a backup by standard input, whatever it is, and what is no backup; nothing of it is left.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::desk::{Desk, Done, findings, wait_until};
use crate::prove::{Production, codes};
use crate::prove_tars::pack;
use crate::server::{bin, bytes_of};

/// Begins to prove what is yet to come.
fn begin(desk: &Desk, args: &[&str]) -> Child {
    let _ = fs::remove_dir_all(desk.path("e"));
    let all: Vec<&str> = ["prove", "-"].into_iter().chain(args.iter().copied()).collect();
    let mut command = desk.command(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Proves what comes by standard input.
fn prove(desk: &Desk, bytes: &[u8], args: &[&str]) -> Done {
    let mut child = begin(desk, args);
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let done = Done::of(&child.wait_with_output().unwrap());
    desk.assert_clean();
    assert!(!desk.path("fetched").exists());
    done
}

#[test]
fn a_base_backup_and_a_dump_are_proven_out_of_a_pipe() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let tar = production.one_tar();
    let dump = |format| {
        bytes_of(
            &bin,
            "pg_dump",
            &["-h", &production.server.socket, "-U", "postgres", format, "postgres"],
            "",
        )
    };
    let (custom, sql) = (dump("-Fc"), dump("-Fp"));
    let archive = production.end();
    prove(&desk, &tar, &["--wal", &archive, "--check", "read-all,archive-untouched"]).ends_with(0);
    let record = desk.record();
    assert_eq!(
        (&record["scenario"], &record["backups"][0]["label"]),
        (&"prove/standard input".into(), &"standard input".into())
    );
    assert_eq!(record["title"], "Prove the backup in standard input");
    assert_eq!(record["recoveries"][0]["archive_end"]["missing"], true);
    let file = desk.path("dump.sql").display().to_string();
    fs::write(&file, &sql).unwrap();
    prove(&desk, &fs::read(pack(&file, "zstd", ".zst")).unwrap(), &["--check", "read-all"]).ends_with(0);
    prove(&desk, &custom, &["--check", "read-all"]).ends_with(0);

    // Who dies in the middle of a pipe leaves what looks like the end.
    let finds = |bytes: &[u8], code: i32, finding: &str, words: &str| {
        prove(&desk, bytes, &[]).ends_with(code);
        let found = findings(&desk.record());
        assert!(
            found.iter().any(|(code, _, message)| code == finding && message.contains(words)),
            "{words}: {found:?}"
        );
    };
    finds(&tar[..tar.len() / 2], 1, "BACKUP_UNFIT", "it has no global/pg_control: it is cut off");
    finds(&sql[..sql.len() / 2], 1, "BACKUP_UNFIT", "it is cut off");
    finds(&custom[..custom.len() / 2], 1, "UNPACK_FAILED", "end of file");
    let mut changed = tar;
    let at = changed.len() / 4;
    changed[at] ^= 0x55;
    finds(&changed, 1, "MANIFEST_MISMATCH", "checksum mismatch for file");
    finds(b"no backup", 2, "NOT_A_BACKUP", "it is no backup");
    finds(b"", 2, "NOT_A_BACKUP", "standard input was empty");
    assert_eq!(desk.record()["scenario"], "prove/standard input");
}

#[test]
fn what_cannot_come_by_standard_input_is_refused() {
    let desk = Desk::new();
    let saved = prove(&desk, b"", &["--save", "drill.yaml"]);
    assert!(saved.ends_with(64).stderr.contains("write the backup to a file first"), "{}", saved.stderr);
    let wal = desk.pgdrill(&["prove", "/b", "--wal", "-"]);
    assert!(wal.ends_with(64).stderr.contains("by which only the backup itself can come"), "{}", wal.stderr);
    // A terminal, which `script` makes.
    if let Ok(output) = std::process::Command::new("script")
        .args([
            "-qec",
            &format!("{} prove -", assert_cmd::cargo::cargo_bin!("pgdrill").display()),
            "/dev/null",
        ])
        .current_dir(desk.path(""))
        .stdin(Stdio::null())
        .output()
    {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("and that is a terminal"), "{said}");
    }
    assert_eq!(codes_if_any(&desk), Vec::<String>::new());
}

fn codes_if_any(desk: &Desk) -> Vec<String> {
    if desk.files("json").is_empty() { Vec::new() } else { codes(desk) }
}

#[test]
fn nothing_is_left_of_what_was_interrupted_while_it_came() {
    let desk = Desk::new();
    let mut child = begin(&desk, &[]);
    child.stdin.as_mut().unwrap().write_all(&[7; 5000]).unwrap();
    let held = |desk: &Desk| {
        let below = fs::read_dir(desk.path("fetched")).ok()?.flatten().next()?.path();
        fs::metadata(Path::new(&below).join("standard input")).ok().map(|file| file.len())
    };
    wait_until("something to be read", Duration::from_secs(20), || held(&desk) == Some(5000));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    // The pipe stays open: nobody waits for more.
    let _open = child.stdin.take();
    wait_until("pgdrill to end", Duration::from_secs(20), || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!desk.path("fetched").exists());
}

/// Rows of two databases have nothing to do with each other.
#[test]
fn what_comes_next_by_standard_input_is_no_later_night_of_what_came_before() {
    if bin().is_none() {
        return;
    }
    let desk = Desk::new();
    let dump = |rows: u32| {
        format!(
            "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.1\n-- Dumped by pg_dump version 15.1\n\n\
             SET client_encoding = 'UTF8';\nCREATE TABLE t AS SELECT generate_series(1, {rows}) AS n;\n\n\
             --\n-- PostgreSQL database dump complete\n--\n\n"
        )
    };
    let drifted = |rows: u32, args: &[&str]| {
        let all: Vec<&str> = ["prove", "-", "--check", "read-all", "--postgres", "15"]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        let mut command = desk.command(&all);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(dump(rows).as_bytes()).unwrap();
        Done::of(&child.wait_with_output().unwrap())
    };
    drifted(500, &[]).ends_with(0);
    let next = drifted(200, &[]);
    next.ends_with(0);
    assert!(next.stdout.contains("no drill of this source was proven before"), "{}", next.stdout);
    let asked = drifted(100, &["--max-drift", "20%"]);
    asked.ends_with(1);
    assert!(asked.stdout.contains("ROWS_DRIFTED"), "{}", asked.stdout);
}
