//! A backup that comes as one stream: a tar, packed or not, member by member ([`pgdrill_backup::tarball`],
//! [`pgdrill_backup::unpack`]), and all that a verification says of it ([`pgdrill_backup::verify`]).

mod mend;

use std::io::{self, Read};

use pgdrill_backup::tarball::{self, Broken, Ended, Kind, Member};
use pgdrill_backup::unpack;
use pgdrill_backup::verify::{Options, Progress, Report, Source, verify};
use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;

use crate::chance::Chance;
use crate::pieces::Pieces;

/// What is longer is not looked at: it would show nothing new, and take long.
const LONGEST: usize = 64 << 10;

/// The same for what is packed, of which one byte can become thousands.
const LONGEST_PACKED: usize = 8 << 10;

/// Bytes of a piece of a stream at most: some fewer than a tar's block, which has 512.
const PIECES: [usize; 2] = [7, 5000];

/// A tar, maybe packed by gzip, LZ4 or Zstandard: bytes of any length.
///
/// # Panics
///
/// Where what is read or said depends on the pieces in which the stream comes, a member has more content than there
/// is, its path leads out, a thread of the verification dies, or something is proven without a manifest.
pub fn tar(bytes: &[u8]) {
    let packed = is_packed(bytes);
    if bytes.len() > if packed { LONGEST_PACKED } else { LONGEST } {
        return;
    }
    check(bytes, packed);
    if !packed {
        check(&mend::mended(bytes), packed);
    }
}

fn is_packed(bytes: &[u8]) -> bool {
    let magics: [&[u8]; 3] = [&[0x1F, 0x8B], &[0x04, 0x22, 0x4D, 0x18], &[0x28, 0xB5, 0x2F, 0xFD]];
    magics.iter().any(|magic| bytes.starts_with(magic))
}

fn check(bytes: &[u8], packed: bool) {
    let read = read(Box::new(io::Cursor::new(bytes.to_vec())));
    let said = said(Box::new(io::Cursor::new(bytes.to_vec())));
    let mut chance = Chance::of(bytes);
    for most in PIECES.into_iter().filter(|most| *most > bytes.len() / 100) {
        // Most of the time goes into it.
        if !chance.is_one_of(4) {
            continue;
        }
        let again = self::read(Box::new(Pieces::of(bytes, most)));
        let said_again = self::said(Box::new(Pieces::of(bytes, most)));
        if packed && read.ended.is_err() {
            // What is damaged is unpacked up to some place before the damage.
            assert!(again.ended.is_err(), "{again:?} in pieces of at most {most}");
            let known = read.members.len().min(again.members.len());
            assert_eq!(again.members[..known], read.members[..known], "in pieces of at most {most}");
            assert_eq!(said["verdict"] == "proven", said_again["verdict"] == "proven");
            continue;
        }
        assert_eq!(again, read, "in pieces of at most {most}");
        assert_eq!(said_again, said, "in pieces of at most {most}");
    }
    if packed {
        return;
    }
    // Of a sparse file, what is between its parts is not there.
    let files = read.members.iter().filter(|(member, _)| !matches!(member.kind, Kind::Other(_)));
    let content: u64 = files.map(|(member, _)| member.size).sum();
    let whole = read.ended.is_ok();
    assert!(!whole || content <= bytes.len() as u64, "more content than there is");
    assert!(read.members.len() * 512 <= bytes.len() + 512, "more members than there are");
}

/// What was read of a tar.
#[derive(Debug, PartialEq)]
struct Walked {
    /// Its members, with the CRC of their content.
    members: Vec<(Member, u32)>,
    /// How it ended.
    ended: Result<Ended, String>,
}

fn read(stream: Box<dyn Read + Send>) -> Walked {
    let mut members = Vec::new();
    let ended = unpack::of_stream(stream).map_err(Broken::Stopped).and_then(|unpacked| {
        tarball::read(unpacked, |member, content| {
            path_stays_within(member);
            if matches!(member.kind, Kind::Other(_)) {
                members.push((member.clone(), 0));
                return Ok(());
            }
            let mut crc = 0;
            let mut length = 0;
            let mut buffer = [0; 4096];
            loop {
                let read = content.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                crc = crc32c::crc32c_append(crc, &buffer[..read]);
                length += read as u64;
            }
            assert_eq!(length, member.size, "another length than was said: {member:?}");
            members.push((member.clone(), crc));
            Ok(())
        })
    });
    Walked { members, ended: ended.map_err(|broken| broken.to_string()) }
}

fn path_stays_within(member: &Member) {
    let Some(path) = &member.path else { return };
    assert!(!path.starts_with(b"/") && !path.contains(&0), "{member:?}");
    assert!(path.split(|byte| *byte == b'/').all(|part| part != b".."), "{member:?}");
}

/// All that is said of a backup.
fn said(stream: Box<dyn Read + Send>) -> serde_json::Value {
    let report: Report = verify(Source::Stream(stream), &Options::default(), &Progress::default());
    assert!(!report.is_bug(), "{:?}", report.findings);
    if report.verdict == Verdict::Proven {
        assert!(report.backup.manifest_version.is_some() && report.checked.files > 0, "{report:?}");
        assert!(report.backup.major.is_some() && report.backup.wal_start.is_some(), "{report:?}");
    }
    assert!(report.checked.checksums <= report.checked.files, "{report:?}");
    // A file that is cut off is not counted, but the pages that came of it are.
    let cut_off = report.findings.iter().any(|finding| finding.code == Code::UnpackFailed);
    assert!(cut_off || report.checked.pages * 1024 <= report.checked.bytes, "{report:?}");
    serde_json::to_value(&report).unwrap_or_default()
}
