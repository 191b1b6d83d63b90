//! Chains of incremental backups that were made by hand, so that each can be wrong in one way. What they need to be
//! taken for backups is there; their WAL is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod made;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pgdrill_backup::verify::{ChainReport, Options, Progress, Source, verify, verify_chain};
use pgdrill_model::code::Code;
use pgdrill_model::units::Lsn;
use pgdrill_model::verdict::Verdict;
use pgdrill_ondisk::page;
use rstest::rstest;
use tempfile::TempDir;

use crate::made::DIRECTORIES;

/// Of the control file from which those here are made.
const IDENTIFIER: u64 = 7_711_123_022_433_181_729;

/// A backup that is to be made.
#[derive(Clone)]
struct Member {
    name: &'static str,
    start: u32,
    from: Option<u32>,
    from_timeline: u32,
    identifier: u64,
    checksums: u32,
    manifest_version: u32,
    files: Vec<(&'static str, Vec<u8>)>,
}

/// A page that is good at one place only.
fn page(number: u32) -> Vec<u8> {
    let mut page = vec![0; 8192];
    for (at, half) in [(12, 24_u16), (14, 8192), (16, 8192), (18, 8192 | 4)] {
        page[at..at + 2].copy_from_slice(&half.to_le_bytes());
    }
    let sum = page::checksum(&page, number);
    page[8..10].copy_from_slice(&sum.to_le_bytes());
    page
}

fn whole(pages: u32) -> Vec<u8> {
    (0..pages).flat_map(page).collect()
}

/// A file of an incremental backup, with these pages of one that has nine.
fn some(numbers: &[u32]) -> Vec<u8> {
    let header = [0xD3AE_1F0D, numbers.len() as u32, 9];
    let mut bytes: Vec<u8> = header.iter().chain(numbers).flat_map(|number| number.to_le_bytes()).collect();
    bytes.resize(8192, 0);
    bytes.extend(numbers.iter().flat_map(|number| page(*number)));
    bytes
}

impl Member {
    fn full() -> Self {
        Self {
            name: "full",
            start: 0x100_0028,
            from: None,
            from_timeline: 1,
            identifier: IDENTIFIER,
            checksums: 1,
            manifest_version: 2,
            files: vec![("base/5/16384", whole(9)), ("base/5/16385", whole(2))],
        }
    }

    /// One that builds upon the full one.
    fn first() -> Self {
        let files = vec![
            ("base/5/INCREMENTAL.16384", some(&[2, 7])),
            ("base/5/16385", whole(3)),
            // Not where relations lie, so it is nobody's.
            ("INCREMENTAL.config", b"colour = blue\n".to_vec()),
        ];
        Self { name: "first", start: 0x200_0028, from: Some(0x100_0028), files, ..Self::full() }
    }

    /// One that builds upon the first: one table is new, the other was not changed since.
    fn second() -> Self {
        let files =
            vec![("base/5/INCREMENTAL.16384", some(&[1])), ("base/5/INCREMENTAL.16385", some(&[0, 8]))];
        Self { name: "second", start: 0x300_0028, from: Some(0x200_0028), files, ..Self::full() }
    }

    fn with(mut self, path: &'static str, bytes: Vec<u8>) -> Self {
        self.files.push((path, bytes));
        self
    }

    fn without(mut self, path: &str) -> Self {
        self.files.retain(|(name, _)| *name != path);
        self
    }

    fn label(&self) -> String {
        let start = Lsn(self.start.into());
        let mut label = format!(
            "START WAL LOCATION: {start} (file {:024X})\nCHECKPOINT LOCATION: {start}\nBACKUP METHOD: streamed\n\
             BACKUP FROM: primary\nSTART TIME: 2026-01-01 00:00:00 UTC\nLABEL: made\nSTART TIMELINE: 1\n",
            (1_u128 << 64) + u128::from(self.start >> 24)
        );
        if let Some(from) = self.from {
            let (from, timeline) = (Lsn(from.into()), self.from_timeline);
            label += &format!("INCREMENTAL FROM LSN: {from}\nINCREMENTAL FROM TLI: {timeline}\n");
        }
        label
    }

    fn control(&self) -> Vec<u8> {
        made::control("pg_control-17", self.checksums, |control| {
            control[..8].copy_from_slice(&self.identifier.to_le_bytes());
        })
    }

    /// Makes it below `root`.
    fn make(&self, root: &Path) -> PathBuf {
        let directory = root.join(self.name);
        for name in DIRECTORIES {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let mut files = vec![
            ("PG_VERSION", b"17\n".to_vec()),
            ("base/5/PG_VERSION", b"17\n".to_vec()),
            ("backup_label", self.label().into_bytes()),
            ("global/pg_control", self.control()),
        ];
        files.extend(self.files.clone());
        let mut lines = Vec::new();
        for (name, bytes) in files {
            lines.push(made::line(name, &bytes));
            fs::write(directory.join(name), bytes).unwrap();
        }
        let (version, start) = (self.manifest_version, Lsn(self.start.into()));
        let identifier = match version {
            1 => String::new(),
            _ => format!("\"System-Identifier\": {},\n", self.identifier),
        };
        let range = (start.to_string(), Lsn(u64::from(self.start) + 0x100).to_string());
        let manifest = made::manifest(version, &identifier, &lines, &[range]);
        fs::write(directory.join("backup_manifest"), manifest).unwrap();
        directory
    }
}

fn options() -> Options {
    Options { wal: false, ..Options::default() }
}

fn verified(members: &[Member]) -> (TempDir, ChainReport) {
    let root = TempDir::new().unwrap();
    let paths = members.iter().map(|member| member.make(root.path())).collect();
    let report = verify_chain(paths, &options(), &Progress::default());
    (root, report)
}

/// What is said of how the backups fit, without where they lie.
fn said(root: &TempDir, report: &ChainReport) -> Vec<(Code, String)> {
    let root = format!("{}/", root.path().display());
    report.findings.iter().map(|finding| (finding.code, finding.message.replace(&root, ""))).collect()
}

#[test]
fn a_chain_is_proven_and_says_upon_what_each_builds() {
    let (root, report) = verified(&[Member::full(), Member::first(), Member::second()]);
    for member in &report.members {
        assert_eq!(member.findings, [], "{}", member.backup.path);
        assert!(!member.not_checked.iter().any(|what| what.contains("builds upon")));
    }
    assert_eq!(said(&root, &report), []);
    assert_eq!((report.verdict, report.more_findings), (Verdict::Proven, 0));
    assert_eq!(report.not_checked, [""; 0]);
    let from: Vec<_> = report
        .members
        .iter()
        .map(|member| (member.backup.incremental_from, member.backup.incremental_from_timeline))
        .collect();
    let expected = [(None, None), (Some(Lsn(0x100_0028)), Some(1)), (Some(Lsn(0x200_0028)), Some(1))];
    assert_eq!(from, expected);
    let pages: Vec<u64> = report.members.iter().map(|member| member.checked.pages).collect();
    assert_eq!(pages, [11, 5, 3]);
}

#[test]
fn one_alone_says_what_was_not_looked_at() {
    let root = TempDir::new().unwrap();
    let path = Member::second().make(root.path());
    let report = verify(Source::Directory(path), &options(), &Progress::default());
    assert_eq!((report.verdict, report.findings), (Verdict::Proven, vec![]));
    let words = "what it builds upon: it is an incremental backup, and needs the one that starts at LSN 0/2000028 on \
                 timeline 1, with those before that";
    assert!(report.not_checked.iter().any(|what| what == words), "{:?}", report.not_checked);
}

#[rstest]
#[case::two_full(
    vec![Member::full(), Member { name: "again", ..Member::full() }],
    &["backup at \"again\" is a full backup, but only the first backup should be a full backup"]
)]
#[case::none_full(
    vec![Member::first(), Member::second()],
    &["backup at \"first\" is an incremental backup, but the first backup should be a full backup"]
)]
#[case::one_missing(
    vec![Member::full(), Member::second()],
    &["backup at \"full\" starts at LSN 0/1000028, but expected 0/2000028"]
)]
#[case::wrong_order(
    vec![Member::full(), Member::second().without("base/5/INCREMENTAL.16385"), Member::first()],
    &[
        "backup at \"full\" starts at LSN 0/1000028, but expected 0/2000028",
        "backup at \"second\" starts at LSN 0/3000028, but expected 0/1000028",
    ]
)]
#[case::timeline(
    vec![Member::full(), Member { from_timeline: 2, ..Member::first() }],
    &["backup at \"full\" starts on timeline 1, but expected 2"]
)]
#[case::another_cluster(
    vec![Member { identifier: 7, ..Member::full() }, Member::first()],
    &["full/global/pg_control: expected system identifier 7711123022433181729, but found 7"]
)]
#[case::old_manifest(
    vec![Member { manifest_version: 1, ..Member::full() }, Member::first()],
    &["backup manifest version 1 does not support incremental backup"]
)]
#[case::file_missing(
    vec![Member::full().without("base/5/16384"), Member::first(), Member::second()],
    &[
        "could not open file \"full/base/5/INCREMENTAL.16384\": No such file or directory; backup at \"first\" builds \
         upon it"
    ]
)]
#[case::file_missing_between(
    vec![Member::full(), Member::first().without("base/5/16385"), Member::second()],
    &[
        "could not open file \"first/base/5/INCREMENTAL.16385\": No such file or directory; backup at \"second\" builds \
         upon it"
    ]
)]
#[case::file_twice(
    vec![Member::full(), Member::first().with("base/5/16384", whole(1))],
    &["backup at \"first\" holds \"base/5/16384\" twice: whole, and as \"base/5/INCREMENTAL.16384\""]
)]
fn what_does_not_fit_is_told_in_the_words_of_pg_combinebackup(
    #[case] members: Vec<Member>,
    #[case] words: &[&str],
) {
    let (root, report) = verified(&members);
    for member in &report.members {
        assert_eq!(member.findings, [], "{}", member.backup.path);
    }
    let expected: Vec<(Code, String)> =
        words.iter().map(|words| (Code::BackupChainBroken, (*words).to_owned())).collect();
    assert_eq!(said(&root, &report), expected);
    assert_eq!(report.verdict, Verdict::Disproven);
}

#[test]
fn checksums_in_some_only_are_worth_a_note() {
    let (root, report) = verified(&[Member { checksums: 0, ..Member::full() }, Member::first()]);
    let words = "only some backups have checksums enabled".to_owned();
    assert_eq!(said(&root, &report), [(Code::ChainChecksumsMixed, words)]);
    assert_eq!(report.verdict, Verdict::Proven);
    // The newest has none, so nobody will miss them.
    let (root, report) = verified(&[Member::full(), Member { checksums: 0, ..Member::first() }]);
    assert_eq!(said(&root, &report), []);
}

/// A server would start on it, without its tables.
#[test]
fn what_is_no_incremental_backup_must_not_hold_its_files() {
    let (_root, report) = verified(&[Member { from: None, ..Member::second() }]);
    let words: Vec<&str> =
        report.members[0].findings.iter().map(|finding| finding.message.as_str()).collect();
    let expected =
        "full backup contains unexpected incremental file \"base/5/INCREMENTAL.16384\", and 1 more";
    assert_eq!((words, report.verdict), (vec![expected], Verdict::Disproven));
    assert_eq!(report.members[0].findings[0].code, Code::BackupUnfit);
}

#[test]
fn damage_of_any_member_is_that_of_the_chain() {
    let mut damaged = some(&[2, 7]);
    let length = damaged.len();
    damaged[length - 100] ^= 1;
    let first = Member::first().without("base/5/INCREMENTAL.16384").with("base/5/INCREMENTAL.16384", damaged);
    let (_root, report) = verified(&[Member::full(), first, Member::second()]);
    let codes: Vec<Code> = report.members[1].findings.iter().map(|finding| finding.code).collect();
    assert_eq!((codes, report.verdict), (vec![Code::PageChecksumFailed], Verdict::Disproven));
    assert!(report.members[1].findings[0].message.contains("\"base/5/INCREMENTAL.16384\", block 7: "));
}

#[test]
fn a_lost_manifest_leaves_the_files_of_two_backups_open() {
    let root = TempDir::new().unwrap();
    let members = [Member::full(), Member::first(), Member::second()];
    let paths: Vec<PathBuf> = members.iter().map(|member| member.make(root.path())).collect();
    fs::remove_file(paths[1].join("backup_manifest")).unwrap();
    let report = verify_chain(paths, &options(), &Progress::default());
    assert_eq!((report.verdict, said(&root, &report)), (Verdict::Unverified, vec![]));
    assert_eq!(report.not_checked.len(), 2, "{:?}", report.not_checked);
}

#[test]
fn nothing_is_proven_of_nothing() {
    let report = verify_chain(Vec::new(), &options(), &Progress::default());
    assert_eq!((report.verdict, report.members.len()), (Verdict::Unverified, 0));
}
