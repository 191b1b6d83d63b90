//! The arguments of `pgdrill wal`.

use std::path::PathBuf;
use std::str::FromStr;

use pgdrill_model::units::Lsn;

#[derive(Debug, clap::Args)]
pub struct Wal {
    /// Directories with WAL: an archive, and maybe the pg_wal that is left of the server; the first comes first
    #[arg(required = true, value_name = "DIR")]
    pub directories: Vec<PathBuf>,

    /// Nothing that was committed before: a position (0/3000060), or a time with its offset
    #[arg(long, value_name = "LSN|TIME", help_heading = "What to list")]
    pub from: Option<Moment>,

    /// Nothing that was committed behind
    #[arg(long, value_name = "LSN|TIME", help_heading = "What to list")]
    pub to: Option<Moment>,

    /// Along this timeline [default: the newest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What to list")]
    pub timeline: Option<u32>,

    /// At most so many transactions, the last ones
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "What to list")]
    pub limit: usize,

    /// From how many rows on, removed or replaced in one table, a transaction is marked
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..), help_heading = "What to list")]
    pub rows: u64,

    /// Write the list as one JSON object to a file, or to standard output with -
    #[arg(long, value_name = "PATH|-", help_heading = "Output")]
    pub json: Option<PathBuf>,
}

/// A position or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Position(Lsn),
    /// Microseconds since 1970.
    Time(i64),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') {
            return text.parse().map(Self::Position);
        }
        if text.contains('[') {
            return Err("write the offset alone, without a zone's name".to_owned());
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Self::Time(time.as_microsecond())),
            Err(_) if text.parse::<jiff::civil::DateTime>().is_ok() => {
                Err(format!("'{text}' has no offset from UTC; write it behind the time, as in '{text}+00'"))
            }
            Err(_) => Err(format!(
                "'{text}' is neither a position (0/3000060) nor a time with its offset (2026-03-01 04:05:06+00)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0/3000060", Moment::Position(Lsn(0x300_0060)))]
    #[case("2026-03-01 04:05:06.789012+00", Moment::Time(1_772_337_906_789_012))]
    #[case("2026-03-01T05:05:06.789012+01:00", Moment::Time(1_772_337_906_789_012))]
    fn a_moment_is_a_position_or_a_time(#[case] text: &str, #[case] expected: Moment) {
        assert_eq!(text.parse::<Moment>().unwrap(), expected);
    }

    #[rstest]
    #[case("0/xyz", "is not a log position")]
    #[case("nonsense", "is neither a position")]
    #[case("2026-03-01 04:05:06", "has no offset from UTC")]
    #[case("2026-03-01 04:05:06+01[Europe/Berlin]", "is not a log position")]
    #[case("", "is neither a position")]
    fn what_is_no_moment_is_refused(#[case] text: &str, #[case] words: &str) {
        let told = text.parse::<Moment>().unwrap_err();
        assert!(told.contains(words), "{told}");
    }
}
