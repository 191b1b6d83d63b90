//! The reader beside `pg_verifybackup` itself, on manifests that are damaged by chance: it must take what that takes,
//! and from 18 on say what that says. That the directory of the backup is not there makes it stop after the manifest.

use std::path::{Path, PathBuf};
use std::process::Command;

use pgdrill_ondisk::manifest::Manifest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use crate::made::{Listed, body, sealed};

/// Text that damages a manifest in ways that matter more often than any bytes would.
const DAMAGES: &[&str] = &[
    "",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\u0000",
    "\\q",
    "\n",
    " ",
    "\0",
    "\u{1}",
    "0",
    "-",
    "+",
    "1.0",
    "1e3",
    "00",
    "18446744073709551615",
    "99999999999999999999",
    "4294967297",
    "true",
    "null",
    "[]",
    "{}",
    "\"\"",
    "\"Path\"",
    "\"Encoded-Path\"",
    "\"Size\"",
    "\"Files\"",
    "\"WAL-Ranges\"",
    "\"Checksum\"",
    "é",
    "none",
    "SHA256",
    "/",
    "\"Manifest-Checksum\": \"\"",
    "\"PostgreSQL-Backup-Manifest-Version\"",
    "\t\r\n",
];

/// Every `pg_verifybackup` of this host, with its major.
pub fn programs() -> Vec<(u32, PathBuf)> {
    let Ok(majors) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let program = |path: PathBuf| {
        let major = path.file_name()?.to_str()?.parse().ok()?;
        let program = path.join("bin/pg_verifybackup");
        program.exists().then_some((major, program))
    };
    majors.flatten().filter_map(|entry| program(entry.path())).collect()
}

/// What is wrong with a manifest, for that program.
pub fn asked(program: &Path, manifest: &[u8]) -> Result<(), String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let output = Command::new(program)
        .args(["--no-parse-wal", "--manifest-path"])
        .arg(file.path())
        .arg(file.path().join("none"))
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said.trim_end_matches('\n').trim_start_matches("pg_verifybackup: ");
    let said = said.trim_start_matches("fatal: ").trim_start_matches("error: ");
    if said.contains("could not open directory") { Ok(()) } else { Err(said.to_owned()) }
}

fn listed() -> impl Strategy<Value = Vec<Listed>> {
    let one = ("[a-z/é\n]{1,9}", any::<u64>()).prop_map(|(path, size)| Listed {
        path: path.into_bytes(),
        size,
        checksum: None,
    });
    vec(one, 0..4)
}

#[test]
fn it_takes_what_pg_verifybackup_takes() {
    let programs = programs();
    if programs.is_empty() {
        eprintln!("SKIPPED: there is no pg_verifybackup on this host");
        return;
    }
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200);
    let damages = vec((any::<Index>(), 0_usize..6, select(DAMAGES)), 0..3);
    let strategy = (listed(), damages, any::<bool>(), any::<bool>());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let compared = runner.run(&strategy, |(listed, damages, large, sealed_again)| {
        for (major, program) in &programs {
            let system = (*major >= 17).then_some(7);
            let mut text = body(system, &listed, &[(1, 0x100_0028, 0x1_0000_0100)]).into_bytes();
            if large {
                // Blanks in front put all of it into the last piece, where it is read by the other parser.
                text.splice(0..0, vec![b' '; 200_000]);
            }
            let mut text = if sealed_again { text } else { sealed(&text) };
            let first = text.iter().position(|byte| *byte != b' ').unwrap();
            for (at, length, instead) in &damages {
                let at = first + at.index(text.len() - first);
                let end = text.len().min(at + length);
                text.splice(at..end, instead.bytes());
            }
            let text = if sealed_again { sealed(&text) } else { text };
            let theirs = asked(program, &text);
            let ours = Manifest::read(&text).map(|_| ()).map_err(|refused| refused.to_string());
            if *major >= 18 {
                prop_assert_eq!(&ours, &theirs, "{:?}", String::from_utf8_lossy(&text[first..]));
            } else {
                let says = (&ours, &theirs);
                prop_assert_eq!(
                    ours.is_ok(),
                    theirs.is_ok(),
                    "{:?}: {:?}",
                    says,
                    String::from_utf8_lossy(&text[first..])
                );
            }
        }
        Ok(())
    });
    compared.unwrap();
}
