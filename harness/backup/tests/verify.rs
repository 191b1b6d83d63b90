//! What keeps a backup from being proven although nothing about it is known to be wrong, and what is wrong with it
//! although its manifest agrees. The damages that `pg_verifybackup` knows are played on real backups by the command's own
//! tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod made;

use std::fs;
use std::path::Path;

use pgdrill_backup::verify::{Options, Progress, Report, Source, verify};
use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use pgdrill_ondisk::page;
use rstest::rstest;

use crate::made::{Making, control, gzip};

/// A page of a table, with this LSN. Its checksum is good at block 0.
fn page(lsn: u64) -> Vec<u8> {
    let mut page = vec![0; 8192];
    page[..4].copy_from_slice(&((lsn >> 32) as u32).to_le_bytes());
    page[4..8].copy_from_slice(&(lsn as u32).to_le_bytes());
    for (at, half) in [(12, 24_u16), (14, 8192), (16, 8192), (18, 8192 | 4)] {
        page[at..at + 2].copy_from_slice(&half.to_le_bytes());
    }
    let sum = page::checksum(&page, 0);
    page[8..10].copy_from_slice(&sum.to_le_bytes());
    page
}

/// The same with its last byte changed.
fn damaged(lsn: u64) -> Vec<u8> {
    let mut page = page(lsn);
    page[8191] ^= 1;
    page
}

fn verified(backup: &Path, wal: bool) -> Report {
    let options = Options { wal, jobs: 2, ..Options::default() };
    verify(Source::Directory(backup.to_owned()), &options, &Progress::default())
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

/// The backup's WAL goes from 0/2000028 to 0/2000100, and is not read here.
#[rstest]
#[case::good(page(0x100_0000), Verdict::Proven, &[])]
#[case::good_and_of_the_time_of_the_backup(page(0x200_0080), Verdict::Proven, &[])]
#[case::damaged_before(damaged(0x100_0000), Verdict::Disproven, &[Code::PageChecksumFailed])]
#[case::maybe_only_torn(damaged(0x200_0080), Verdict::Unverified, &[Code::CheckNotRun])]
#[case::too_late_to_be_torn(damaged(0x300_0000), Verdict::Disproven, &[Code::PageChecksumFailed])]
#[case::of_a_later_time(page(0x300_0000), Verdict::Disproven, &[Code::PageFromLater])]
fn a_page_of_which_nobody_can_tell_is_never_good(
    #[case] page: Vec<u8>,
    #[case] verdict: Verdict,
    #[case] expected: &[Code],
) {
    let mut making = Making::new();
    making.control = control("pg_control-15", 1, |_| ());
    making.file("base/5/16384", &page);
    let report = verified(making.done(None).path(), false);
    assert_eq!((report.verdict, codes(&report).as_slice()), (verdict, expected), "{:?}", report.findings);
    assert_eq!((report.checked.relation_files, report.checked.pages), (1, 1));
}

/// In a tar, the control file comes last; what a cluster without checksums can show must be seen all the same, however many
/// checksums there are that mean nothing.
#[rstest]
#[case(1)]
#[case(3000)]
fn without_checksums_headers_still_count(#[case] pages: usize) {
    let mut impossible = page(0x100_0000);
    impossible[12] = 3;
    let mut file = damaged(0x100_0000).repeat(pages);
    let good = {
        let mut making = Making::new();
        making.control = control("pg_control-15", 0, |_| ());
        making.file("base/5/16384", &file);
        verified(making.done(None).path(), false)
    };
    assert_eq!((good.verdict, codes(&good)), (Verdict::Proven, vec![]), "{:?}", good.findings);
    file.extend(impossible);
    let mut making = Making::new();
    making.control = control("pg_control-15", 0, |_| ());
    making.file("base/5/16384", &file);
    let report = verified(making.done(None).path(), false);
    assert_eq!((report.verdict, codes(&report)), (Verdict::Disproven, vec![Code::PageChecksumFailed]));
    let expected = format!(
        "page verification failed in file \"base/5/16384\", block {pages}: its header is not possible"
    );
    assert_eq!(report.findings[0].message, expected);
}

#[test]
fn a_manifest_that_names_no_wal_leaves_it_unverified() {
    let mut making = Making::new();
    making.ranges.clear();
    let backup = making.done(None);
    let report = verified(backup.path(), true);
    assert_eq!((report.verdict, codes(&report)), (Verdict::Unverified, vec![Code::CheckNotRun]));
    assert_eq!(verified(backup.path(), false).verdict, Verdict::Proven);
}

/// The backup's own WAL is not there, or it is and is damaged: not the same.
#[rstest]
#[case::not_there(None, Verdict::Unverified, Code::CheckNotRun)]
#[case::empty(Some(vec![0; 1024]), Verdict::Disproven, Code::WalGap)]
#[case::no_tar(Some(vec![b'x'; 3000]), Verdict::Disproven, Code::WalDamaged)]
fn wal_that_is_elsewhere_is_not_wal_that_is_damaged(
    #[case] tar: Option<Vec<u8>>,
    #[case] verdict: Verdict,
    #[case] expected: Code,
) {
    let backup = Making::new().done(None);
    if let Some(tar) = tar {
        gzip(&backup.path().join("pg_wal.tar.gz"), &tar);
    }
    let report = verified(backup.path(), true);
    assert_eq!((report.verdict, codes(&report)), (verdict, vec![expected]), "{:?}", report.findings);
}

/// An operator unpacks an archive as its name says.
#[test]
fn an_archive_that_is_not_packed_as_its_name_says_is_damaged() {
    let backup = Making::new().done(None);
    let base = backup.path().join("base.tar.gz");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(fs::File::open(&base).unwrap()),
        &mut unpacked,
    )
    .unwrap();
    fs::write(&base, unpacked).unwrap();
    let report = verified(backup.path(), false);
    assert_eq!((report.verdict, codes(&report)), (Verdict::Disproven, vec![Code::UnpackFailed]));
}
