//! The shell scripts that PostgreSQL runs: what they promise, tried with a real `sh`. Each is also run under `dash`
//! and `busybox sh` where these are there, because images differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use rstest::rstest;
use tempfile::TempDir;

const ARCHIVE_WAL: &str = include_str!("../src/sh/archive-wal.sh");
const WITNESS_WAL: &str = include_str!("../src/sh/witness-wal.sh");
const FETCH_WAL: &str = include_str!("../src/sh/fetch-wal.sh");
const SEGMENT: &str = "000000010000000000000001";

/// A drill's directories, as far as the scripts see them.
struct Drill {
    directory: TempDir,
    shell: Vec<&'static str>,
}

impl Drill {
    fn new(shell: &[&'static str]) -> Option<Self> {
        let there = Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: there is no {} here", shell.join(" "));
            return None;
        }
        let drill = Self { directory: tempfile::tempdir().unwrap(), shell: shell.to_vec() };
        fs::create_dir(drill.path("archive")).unwrap();
        fs::write(drill.path("archive/.pgdrill"), "").unwrap();
        fs::write(drill.path("segment"), "WAL").unwrap();
        Some(drill)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, script: &str, args: &[&str]) -> Output {
        let text = script
            .replace("@ARCHIVE@", self.path("archive").to_str().unwrap())
            .replace("@LOG@", self.path("fetch.log").to_str().unwrap());
        fs::write(self.path("script"), text).unwrap();
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(self.path("script")).args(args);
        command.current_dir(self.directory.path()).output().unwrap()
    }

    fn archive(&self) -> Output {
        self.run(ARCHIVE_WAL, &["segment", SEGMENT])
    }

    fn witness(&self, verb: &str) -> Option<i32> {
        self.run(WITNESS_WAL, &[verb, "segment", SEGMENT]).status.code()
    }

    fn fetch(&self, to: &str) -> Output {
        self.run(FETCH_WAL, &[SEGMENT, to])
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("fetch.log")).unwrap()
    }
}

const SH: &[&str] = &["sh"];
const DASH: &[&str] = &["dash"];
const BUSYBOX: &[&str] = &["busybox", "sh"];

#[rstest]
fn a_segment_is_archived_whole_and_nothing_else_is_there(
    #[values(SH, DASH, BUSYBOX)] shell: &[&'static str],
) {
    let Some(drill) = Drill::new(shell) else { return };
    assert!(drill.archive().status.success());
    assert_eq!(fs::read_to_string(drill.path("archive").join(SEGMENT)).unwrap(), "WAL");
    let names: Vec<_> =
        fs::read_dir(drill.path("archive")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[rstest]
fn the_same_segment_again_is_success_and_another_of_its_name_is_not(
    #[values(SH, DASH, BUSYBOX)] shell: &[&'static str],
) {
    let Some(drill) = Drill::new(shell) else { return };
    assert!(drill.archive().status.success());
    let inode = fs::metadata(drill.path("archive").join(SEGMENT)).unwrap().ino();
    assert!(drill.archive().status.success());
    assert_eq!(fs::metadata(drill.path("archive").join(SEGMENT)).unwrap().ino(), inode);
    fs::write(drill.path("segment"), "OTHER").unwrap();
    let refused = drill.archive();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("exists with another content"));
    assert_eq!(fs::read_to_string(drill.path("archive").join(SEGMENT)).unwrap(), "WAL");
}

#[rstest]
fn an_archive_that_is_not_mounted_takes_nothing(#[values(SH, DASH, BUSYBOX)] shell: &[&'static str]) {
    let Some(drill) = Drill::new(shell) else { return };
    fs::remove_file(drill.path("archive/.pgdrill")).unwrap();
    assert_eq!(drill.archive().status.code(), Some(1));
    assert_eq!(fs::read_dir(drill.path("archive")).unwrap().count(), 0);
}

#[rstest]
fn an_archive_that_has_stopped_takes_nothing_and_says_so(
    #[values(SH, DASH, BUSYBOX)] shell: &[&'static str],
) {
    let Some(drill) = Drill::new(shell) else { return };
    fs::write(drill.path("archive/.stopped"), "").unwrap();
    let refused = drill.archive();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("archiving has stopped"));
    assert!(!drill.path("archive").join(SEGMENT).exists());
}

/// The scenario's own command runs between the two.
#[rstest]
fn what_was_given_to_an_own_command_counts_once_it_took_it(
    #[values(SH, DASH, BUSYBOX)] shell: &[&'static str],
) {
    let Some(drill) = Drill::new(shell) else { return };
    let kept = drill.path("archive").join(SEGMENT);
    assert_eq!(drill.witness("hold"), Some(0));
    assert!(!kept.exists(), "the command has not run yet");
    // It failed, and the server asks again, with more in the segment.
    fs::write(drill.path("segment"), "MORE").unwrap();
    assert_eq!((drill.witness("hold"), drill.witness("keep")), (Some(0), Some(0)));
    assert_eq!(fs::read_to_string(&kept).unwrap(), "MORE");
    // The server was stopped before it could take note, and asks once more.
    assert_eq!((drill.witness("hold"), drill.witness("keep")), (Some(0), Some(0)));
    let names = fs::read_dir(drill.path("archive")).unwrap().count();
    assert_eq!(names, 2, "the segment and the mark of the drill");
    fs::write(drill.path("segment"), "OTHER").unwrap();
    assert_eq!(drill.witness("hold"), Some(1));
    assert_eq!(fs::read_to_string(&kept).unwrap(), "MORE");
    fs::remove_file(&kept).unwrap();
    fs::write(drill.path("archive/.stopped"), "").unwrap();
    assert_eq!(drill.witness("hold"), Some(1), "archiving has stopped");
    fs::remove_file(drill.path("archive/.stopped")).unwrap();
    fs::remove_file(drill.path("archive/.pgdrill")).unwrap();
    assert_eq!(drill.witness("hold"), Some(1), "it is not mounted");
}

#[rstest]
fn a_segment_that_cannot_be_read_leaves_no_part(#[values(SH, DASH, BUSYBOX)] shell: &[&'static str]) {
    let Some(drill) = Drill::new(shell) else { return };
    fs::remove_file(drill.path("segment")).unwrap();
    assert!(!drill.archive().status.success());
    assert_eq!(fs::read_dir(drill.path("archive")).unwrap().count(), 1);
}

#[rstest]
fn only_certainly_not_there_ends_recovery(#[values(SH, DASH, BUSYBOX)] shell: &[&'static str]) {
    let Some(drill) = Drill::new(shell) else { return };
    // Not there: 1, which PostgreSQL takes for the end of WAL.
    assert_eq!(drill.fetch("to").status.code(), Some(1));
    // There: 0, and whole.
    assert!(drill.archive().status.success());
    assert_eq!(drill.fetch("to").status.code(), Some(0));
    assert_eq!(fs::read_to_string(drill.path("to")).unwrap(), "WAL");
    // There, but it cannot be given: over 125, which stops the server.
    assert_eq!(drill.fetch("no/such/directory/to").status.code(), Some(201));
    // The archive itself is not there.
    fs::remove_file(drill.path("archive/.pgdrill")).unwrap();
    let refused = drill.fetch("to");
    assert_eq!(refused.status.code(), Some(200));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not the archive of this drill"));
    // Each call is logged: its time, the name, its answer.
    let log = drill.log();
    let answers: Vec<&str> = log.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(answers, ["1", "0", "201", "200"]);
    assert!(log.lines().all(|line| line.split(' ').nth(1) == Some(SEGMENT)));
    let time: f64 = log.split(' ').next().unwrap().trim_end_matches(".%N").parse().unwrap();
    assert!(time > 1.7e9, "{log}");
}
