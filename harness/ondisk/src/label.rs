//! `backup_label`, by which a server knows that it starts from a backup, and where its recovery must begin
//! (`read_backup_label`, `src/backend/access/transam/xlogrecovery.c`; `src/bin/pg_combinebackup/backup_label.c` for
//! incremental ones).
//!
//! The server reads it by `fscanf`, which takes more blanks than are written, and loses lines behind one that it
//! expected and did not find. No server writes such files, and here they are neither taken nor lost.

use crate::position;
use crate::segment::is_segment;

/// What a label says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where the WAL begins that the backup needs.
    pub start: u64,
    /// The segment that holds it, by its file's name.
    pub segment: String,
    /// The timeline on which the backup began.
    pub timeline: u32,
    /// Position of the record of the checkpoint with which it began.
    pub checkpoint: u64,
    /// How it was taken: `streamed`; `pg_start_backup` by an exclusive backup of 13 and 14.
    pub method: Option<String>,
    /// Where it was taken: `primary` (`master` by 13) or `standby`.
    pub from: Option<String>,
    /// When it began, in the time zone of the server's log.
    pub start_time: Option<String>,
    /// The name that was given to it, in whatever encoding.
    pub name: Option<Vec<u8>>,
    /// Of an incremental backup, the one on which it is built.
    pub incremental: Option<Origin>,
}

/// Where the backup began on which an incremental one is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Position.
    pub start: u64,
    /// Timeline.
    pub timeline: u32,
}

/// Why a label is none, with the server's words and where it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid data in file \"backup_label\": {what}")]
pub struct Invalid {
    /// What is wrong, and in which line.
    pub what: String,
}

impl Invalid {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    fn line(number: usize, what: &str) -> Self {
        Self::new(format!("line {number}: {what}"))
    }
}

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    ///
    /// A first and second line that do not say where the WAL begins and where the checkpoint is, timelines that
    /// differ, and half of what an incremental backup needs.
    pub fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut first = |number, name: &str| match lines.next() {
            None => Err(Invalid::line(number, &format!("'{name}' is missing"))),
            Some(line) if line.ends_with(b"\r\n") => Err(Invalid::line(number, "ends in a carriage return")),
            Some(line) => line
                .strip_suffix(b"\n")
                .and_then(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b": "))
                .and_then(|rest| std::str::from_utf8(rest).ok())
                .ok_or_else(|| Invalid::line(number, &format!("'{name}' is not there"))),
        };
        let start = first(1, "START WAL LOCATION")?;
        let (start, segment) = located(start).ok_or_else(|| Invalid::line(1, "no position with its file"))?;
        let checkpoint =
            position(first(2, "CHECKPOINT LOCATION")?).ok_or_else(|| Invalid::line(2, "no position"))?;
        let timeline = u32::from_str_radix(&segment[..8], 16)
            .map_err(|_| Invalid::line(1, "no timeline in the name of the file"))?;
        let mut label = Self {
            start,
            segment: segment.to_owned(),
            timeline,
            checkpoint,
            method: None,
            from: None,
            start_time: None,
            name: None,
            incremental: None,
        };
        label.rest(lines)?;
        Ok(label)
    }

    /// Reads what follows the first two lines.
    fn rest<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> Result<(), Invalid> {
        let (mut from_position, mut from_timeline) = (None, None);
        for (number, line) in (3..).zip(lines) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let Some(at) = line.windows(2).position(|two| two == b": ") else { continue };
            let value = &line[at + 2..];
            let text = || String::from_utf8_lossy(value).into_owned();
            let timeline = || text().parse().map_err(|_| Invalid::line(number, "no timeline"));
            match &line[..at] {
                b"BACKUP METHOD" => self.method = Some(text()),
                b"BACKUP FROM" => self.from = Some(text()),
                b"START TIME" => self.start_time = Some(text()),
                b"LABEL" => self.name = Some(value.to_vec()),
                b"START TIMELINE" => {
                    let (parsed, expected) = (timeline()?, self.timeline);
                    if parsed != expected {
                        let what = format!("timeline ID parsed is {parsed}, but expected {expected}");
                        return Err(Invalid::line(number, &what));
                    }
                }
                b"INCREMENTAL FROM LSN" => {
                    let start = position(&text()).ok_or_else(|| Invalid::line(number, "no position"))?;
                    from_position = Some(start);
                }
                b"INCREMENTAL FROM TLI" => from_timeline = Some(timeline()?),
                _ => (),
            }
        }
        self.incremental = match (from_position, from_timeline) {
            (Some(start), Some(timeline)) => Some(Origin { start, timeline }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Invalid::new("INCREMENTAL FROM LSN requires INCREMENTAL FROM TLI"));
            }
            (None, Some(_)) => {
                return Err(Invalid::new("INCREMENTAL FROM TLI requires INCREMENTAL FROM LSN"));
            }
        };
        Ok(())
    }

    /// Whether the WAL must hold a record that ends the backup.
    pub fn is_streamed(&self) -> bool {
        self.method.as_deref() == Some("streamed")
    }

    /// Whether it was taken from a standby.
    pub fn is_from_standby(&self) -> bool {
        self.from.as_deref() == Some("standby")
    }
}

/// `0/2000028 (file 000000010000000000000002)`
fn located(text: &str) -> Option<(u64, &str)> {
    let (start, file) = text.split_once(" (file ")?;
    let segment = file.strip_suffix(')')?;
    Some((position(start)?, is_segment(segment).then_some(segment)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEAD: &str =
        "START WAL LOCATION: 1/2000028 (file 000000020000000100000002)\nCHECKPOINT LOCATION: 1/2000060\n";

    #[test]
    fn what_is_not_needed_need_not_be_there() {
        let label = Label::read(HEAD.as_bytes()).unwrap();
        assert_eq!((label.start, label.checkpoint, label.timeline), (0x1_0200_0028, 0x1_0200_0060, 2));
        assert_eq!(label.segment, "000000020000000100000002");
        assert_eq!((label.method, label.name, label.incremental), (None, None, None));
    }

    #[test]
    fn names_are_kept_as_they_are() {
        let mut bytes = HEAD.as_bytes().to_vec();
        bytes.extend_from_slice(b"BACKUP METHOD: streamed\nBACKUP FROM: standby\nLABEL: a: \xff\r\nunknown");
        let label = Label::read(&bytes).unwrap();
        assert_eq!(label.name.as_deref(), Some(&b"a: \xff\r"[..]));
        assert!(label.is_streamed() && label.is_from_standby());
    }

    #[rstest]
    #[case("", "line 1: 'START WAL LOCATION' is missing")]
    #[case("garbage\n", "line 1: 'START WAL LOCATION' is not there")]
    #[case(
        "START WAL LOCATION: 0/1 (file 000000010000000000000002)\r\n",
        "line 1: ends in a carriage return"
    )]
    #[case(
        "START WAL LOCATION: 0/1 (file 000000010000000000000002)",
        "line 1: 'START WAL LOCATION' is not there"
    )]
    #[case("START WAL LOCATION: 0/1 (file 00000001000000000000000)\n", "line 1: no position with its file")]
    #[case("START WAL LOCATION: +/1 (file 000000010000000000000002)\n", "line 1: no position with its file")]
    #[case(
        "START WAL LOCATION: 0/123456789 (file 000000010000000000000002)\n",
        "line 1: no position with its file"
    )]
    #[case(
        "START WAL LOCATION: 0/1 (file 000000010000000000000002)\nCHECKPOINT LOCATION: junk\n",
        "line 2: no position"
    )]
    #[case(
        "START WAL LOCATION: 0/1 (file 000000010000000000000002)\n",
        "line 2: 'CHECKPOINT LOCATION' is missing"
    )]
    fn what_does_not_say_where_is_refused(#[case] text: &str, #[case] what: &str) {
        let error = Label::read(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid data in file \"backup_label\": {what}"));
    }

    #[rstest]
    #[case("START TIMELINE: 3\n", "line 3: timeline ID parsed is 3, but expected 2")]
    #[case("START TIMELINE: x\n", "line 3: no timeline")]
    #[case("\nINCREMENTAL FROM LSN: 5\n", "line 4: no position")]
    #[case("INCREMENTAL FROM LSN: 0/5\n", "INCREMENTAL FROM LSN requires INCREMENTAL FROM TLI")]
    #[case("INCREMENTAL FROM TLI: 1\n", "INCREMENTAL FROM TLI requires INCREMENTAL FROM LSN")]
    fn what_contradicts_itself_is_refused(#[case] rest: &str, #[case] what: &str) {
        assert_eq!(Label::read(format!("{HEAD}{rest}").as_bytes()).unwrap_err().what, what);
    }
}
