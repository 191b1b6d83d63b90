//! A target in one word, as a command line has it: `latest`, `immediate`, `baseline`, `time=...`, `xid=...`, `lsn=...`, `name=...`. The
//! values are those of the scenario language.

use std::str::FromStr;

use super::target::{Instant, Point, Position, RestorePoint, Timeline, Xid};
use super::value::FromText;

/// What can be written.
const WANTED: &str = "latest, immediate, baseline, time=TIME, xid=NUMBER, lsn=POSITION or name=RESTORE_POINT";

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        fn read<T: FromText>(name: &str, text: &str) -> Result<T, String> {
            T::from_text(text).map_err(|words| words.line(name))
        }
        match (text, text.split_once('=')) {
            ("latest", _) => Ok(Self::Latest),
            ("immediate", _) => Ok(Self::Immediate),
            ("baseline", _) => Ok(Self::Baseline),
            (_, Some(("time", value))) => read("a time", value).map(|Instant(unix_us)| Self::Time(unix_us)),
            (_, Some(("xid", value))) => read("a transaction", value).map(|Xid(xid)| Self::Xid(xid)),
            (_, Some(("lsn", value))) => read("a position", value).map(|Position(lsn)| Self::Lsn(lsn)),
            (_, Some(("name", value))) => {
                read("a restore point", value).map(|RestorePoint(name)| Self::Name(name))
            }
            _ => Err(format!("a target is {WANTED}")),
        }
    }
}

impl FromStr for Timeline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_text(text).map_err(|words| words.line("a timeline"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Lsn;

    #[test]
    fn targets_of_a_command_line() {
        let read = |text: &str| text.parse::<Point>();
        assert_eq!(read("latest"), Ok(Point::Latest));
        assert_eq!(read("immediate"), Ok(Point::Immediate));
        assert_eq!(read("time=1970-01-01 00:00:01.5+00"), Ok(Point::Time(1_500_000)));
        assert_eq!(read("xid=745"), Ok(Point::Xid(745)));
        assert_eq!(read("lsn=0/3000060"), Ok(Point::Lsn(Lsn(0x300_0060))));
        assert_eq!(read("name=before=after"), Ok(Point::Name("before=after".to_owned())));
        for (text, words) in [
            ("time=2026-03-01 04:05:06", "without an offset"),
            ("xid=1", "must be between 3"),
            ("lsn=zzz", "two hexadecimal numbers"),
            ("yesterday", "a target is latest"),
            ("mark=x", "a target is latest"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!("2".parse::<Timeline>(), Ok(Timeline::Number(2)));
        assert!("0".parse::<Timeline>().unwrap_err().starts_with("a timeline must be between 1"));
    }
}
