//! Servers that may take only so much of the machine: what that does to them says nothing about the backup.

use pgdrill_testkit::docker;
use rstest::rstest;

use crate::desk::{Desk, GOOD, findings};
use crate::prove::Production;
use crate::server::bin;

#[test]
fn a_server_with_too_little_memory_is_no_bad_backup() {
    if !docker::required_or_skip(&[15]) {
        return;
    }
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Fp"]);
    let archive = production.end();
    let within = |memory: &str| {
        let limits = ["--runtime", "docker", "--postgres", "15", "--memory", memory, "--cpus", "1.5"];
        production.prove(&[&[backup.as_str(), "--wal", &archive], limits.as_slice()].concat())
    };
    // The kernel kills it when it replays, at the latest; an engine may not even start it.
    within("12MB").ends_with(2);
    let found = findings(&desk.record());
    assert!(
        ["SERVER_LOST", "PROGRAM_KILLED", "ENGINE_UNUSABLE"].contains(&found[0].0.as_str()),
        "{found:#?}"
    );
    let done = within("1GB");
    done.ends_with(0);
    let host = &desk.record()["host"];
    assert_eq!(host["limits"]["memory_bytes"], 1 << 30);
    assert_eq!(host["limits"]["cpu_millis"], 1_500);
    let told = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("of which each server may take 1.0 GiB of memory and 1.5 CPUs"), "{told}");
}

#[rstest]
#[case::memory(&["--memory", "1GB"], "1.0 GiB of memory cannot be the most")]
#[case::processors(&["--cpus", "0.5"], "0.5 CPUs cannot be the most")]
#[case::no_number(&["--cpus", "all"], "write a number of processors")]
#[case::nothing(&["--memory", "0GB"], "write a number of bytes")]
fn a_limit_that_cannot_be_kept_is_refused(#[case] limit: &[&str], #[case] words: &str) {
    let desk = Desk::new();
    let file = desk.scenario(GOOD);
    let args = [&["run", file.to_str().unwrap(), "--runtime", "local"], limit].concat();
    let done = desk.pgdrill(&args);
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    desk.assert_clean();
}
