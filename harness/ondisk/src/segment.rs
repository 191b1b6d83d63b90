//! Names of WAL segments and their neighbours in an archive, and how far the WAL in a segment reaches
//! (`src/include/access/xlog_internal.h`).

use std::io::{self, ErrorKind, Read};

/// Bytes of a page of WAL (`XLOG_BLCKSZ`), in every build that is not made with another on purpose.
pub const PAGE: usize = 8192;

/// What a file in a WAL archive is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveFile {
    /// A whole segment.
    Segment {
        /// Its timeline.
        timeline: u32,
        /// Its number: position divided by the segment size.
        number: u64,
    },
    /// A segment that was not filled; PostgreSQL never reads it.
    Partial,
    /// A timeline's history.
    History {
        /// The timeline.
        timeline: u32,
    },
    /// A backup's label, kept for people.
    BackupLabel,
}

/// The name of the segment that holds the byte at `position`.
pub fn name(timeline: u32, position: u64, segment_size: u64) -> String {
    let per_id = 0x1_0000_0000 / segment_size;
    let number = position / segment_size;
    format!("{timeline:08X}{:08X}{:08X}", number / per_id, number % per_id)
}

/// Whether a name is that of a whole segment (`IsXLogFileName`).
pub fn is_segment(name: &str) -> bool {
    name.len() == 24 && is_hex(name)
}

/// Whether a name is that of a timeline's history (`IsTLHistoryFileName`).
pub fn is_history(name: &str) -> bool {
    name.strip_suffix(".history").is_some_and(|timeline| timeline.len() == 8 && is_hex(timeline))
}

/// The digits that PostgreSQL writes: capital letters only.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
}

/// Reads a file's name; none when it is no file that PostgreSQL archives.
pub fn parse(name: &str, segment_size: u64) -> Option<ArchiveFile> {
    let hex = |text: &str| -> Option<u64> { is_hex(text).then(|| u64::from_str_radix(text, 16).ok())? };
    if let Some(timeline) = name.strip_suffix(".history") {
        let timeline = (timeline.len() == 8).then(|| hex(timeline))??;
        return Some(ArchiveFile::History { timeline: timeline as u32 });
    }
    // What is cut below must not be cut within a character.
    let (stem, rest) = name.split_at_checked(24).filter(|(stem, _)| stem.is_ascii())?;
    let (timeline, high, low) = (hex(&stem[..8])?, hex(&stem[8..16])?, hex(&stem[16..])?);
    match rest {
        "" => Some(ArchiveFile::Segment {
            timeline: timeline as u32,
            number: high * (0x1_0000_0000 / segment_size) + low,
        }),
        ".partial" => Some(ArchiveFile::Partial),
        _ if rest.len() == 16 && rest.starts_with('.') && rest.ends_with(".backup") => {
            Some(ArchiveFile::BackupLabel)
        }
        _ => None,
    }
}

/// Whether the page of WAL that begins with `page` lies at `position` by its own header (`XLogPageHeaderData`). A segment
/// that was recycled for later use has the pages of an earlier position.
pub fn is_page_of(page: &[u8], position: u64) -> bool {
    let magic = page.get(..2).is_some_and(|magic| magic != [0, 0]);
    let address = page.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    magic && address == Some(position)
}

/// How many bytes of the segment that begins at `position` hold its WAL. Its pages are written whole and behind the last
/// record with zeros (`AdvanceXLInsertBuffer`, `src/backend/access/transam/xlog.c`), so that what lies behind the last
/// page of its own is of no concern.
///
/// # Errors
///
/// What reading gives, but not that there is no more to read.
pub fn extent(mut segment: impl Read, position: u64) -> io::Result<u64> {
    let mut reached = 0;
    let mut page = [0; PAGE];
    for start in (0_u64..).step_by(PAGE) {
        match segment.read_exact(&mut page) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            other => other?,
        }
        if !is_page_of(&page, position + start) {
            break;
        }
        let last = page.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        reached = start + last as u64 + 1;
    }
    Ok(reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SIZE: u64 = 16 << 20;

    #[test]
    fn a_position_is_in_the_segment_of_its_name() {
        assert_eq!(name(1, 0x300_0060, SIZE), "000000010000000000000003");
        assert_eq!(name(2, 0x1_FF00_0000, SIZE), "0000000200000001000000FF");
        assert_eq!(name(1, 0x1_0000_0000, 1 << 20), "000000010000000100000000");
    }

    #[rstest]
    #[case("0000000200000001000000FF", Some(ArchiveFile::Segment { timeline: 2, number: 511 }))]
    #[case("0000000200000001000000FF.partial", Some(ArchiveFile::Partial))]
    #[case("000000010000000000000003.00000028.backup", Some(ArchiveFile::BackupLabel))]
    #[case("00000002.history", Some(ArchiveFile::History { timeline: 2 }))]
    #[case("0000000200000001000000ff", None)]
    #[case(".pgdrill", None)]
    #[case("0000000200000001000000FF.gz", None)]
    #[case("0000000\u{e9}00000001000000FF", None)]
    #[case("000000020000000\u{e9}000000FF", None)]
    #[case("0000000200000001000000FF\u{e9}", None)]
    #[case("0000000\u{e9}.history", None)]
    fn names(#[case] text: &str, #[case] expected: Option<ArchiveFile>) {
        assert_eq!(parse(text, SIZE), expected);
    }
}
