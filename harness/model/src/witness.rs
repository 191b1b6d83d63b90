//! The witness: a few bytes a minute in a user's own database, and beside it, outside of the database, a file of what the
//! server acknowledged. A restored server is judged by the two: whether it is this database, how far it came back, what is
//! lost, and how old it is.
//!
//! Only positions in the WAL decide what had to come back; clocks are compared with themselves alone, but for the age.

mod judge;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::Lsn;

pub use judge::{Judgement, Newest, Wanted, judge};

/// What a line of a witness file is written as.
pub const SCHEMA: &str = "pgdrill.witness/1";

/// Beats of which the table always has a row. Of older ones it has fewer: every sixtieth for thirty times as many, and then
/// every 1440th.
pub const KEPT: u64 = 1440;

/// The longest line of a witness file, in bytes.
pub const LONGEST_LINE: usize = 1024;

/// The number that a cluster has for life (`system_identifier`). Written in decimal, as a text, because JSON readers round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct System(pub u64);

/// What nobody else wrote: 16 bytes of chance, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

/// A line of a witness file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// [`SCHEMA`].
    pub schema: String,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Entry {
    /// A beat was sent, and acknowledged or not.
    Beat(Beat),
    /// The table was taken away, with all that was in it.
    Removed(Removal),
}

/// The table was taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The cluster.
    pub system: System,
    /// The timeline.
    pub timeline: u32,
    /// Where the WAL stood before.
    pub before: Lsn,
}

/// A beat, as the server answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Its number.
    pub beat: u64,
    /// What was written.
    pub nonce: Nonce,
    /// The cluster.
    pub system: System,
    /// The database that the table is in.
    pub database: String,
    /// The timeline.
    pub timeline: u32,
    /// The transaction, by its full number.
    pub xid: u64,
    /// When it was written by the server's clock, microseconds since 1970 UTC.
    pub written_unix_us: i64,
    /// Where the WAL stood before COMMIT.
    pub before: Lsn,
    /// Whether COMMIT was acknowledged. If not, nobody knows whether it was done.
    pub acknowledged: bool,
    /// When it was, by the server's clock.
    pub committed_unix_us: Option<i64>,
    /// Where the WAL stood afterwards; none where the server did not answer any more.
    pub after: Option<Lsn>,
    /// The restore point behind it.
    pub restore_point: Option<RestorePoint>,
}

/// A restore point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePoint {
    /// Its name.
    pub name: String,
    /// The end of its record.
    pub lsn: Lsn,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The beat's number.
    pub beat: u64,
    /// What was written.
    pub nonce: Nonce,
    /// The cluster in which it was written.
    pub system: System,
    /// When, microseconds since 1970 UTC.
    pub written_unix_us: i64,
}

/// What was found on a restored server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The cluster that it says it is.
    pub system: System,
    /// The rows of the table; none where there is no table.
    pub rows: Option<Vec<Row>>,
}

impl Line {
    /// A line of this version.
    pub fn new(entry: Entry) -> Self {
        Self { schema: SCHEMA.to_owned(), entry }
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without quoting it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let line: Self = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "it breaks off".to_owned(),
            _ => format!("it is no line of a witness file: {error}"),
        })?;
        if line.schema == SCHEMA {
            Ok(line)
        } else {
            Err(format!("it is not of {SCHEMA}, which this pgdrill reads"))
        }
    }
}

impl Beat {
    /// The name of the restore point behind the beat `number`: no other has it, because PostgreSQL stops at the first of a name.
    pub fn restore_point_name(number: u64, nonce: Nonce) -> String {
        format!("pgdrill-{number}-{:.8}", nonce.to_string())
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| format!("'{text}' is no system identifier"))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl FromStr for Nonce {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "a nonce is 32 hexadecimal digits".to_owned())?;
        Ok(Self(bytes))
    }
}

macro_rules! written_as_text {
    ($($kind:ty),+) => {$(
        impl Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

written_as_text!(System, Nonce);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_stays_short() {
        let nonce = Nonce([0xAB; 16]);
        let beat = Beat {
            beat: u64::MAX,
            nonce,
            system: System(u64::MAX),
            database: "x".repeat(63),
            timeline: u32::MAX,
            xid: u64::MAX,
            written_unix_us: i64::MIN,
            before: Lsn(u64::MAX),
            acknowledged: true,
            committed_unix_us: Some(i64::MIN),
            after: Some(Lsn(u64::MAX)),
            restore_point: Some(RestorePoint {
                name: Beat::restore_point_name(u64::MAX, nonce),
                lsn: Lsn(u64::MAX),
            }),
        };
        let line = Line::new(Entry::Beat(beat));
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.len() < LONGEST_LINE, "{}", text.len());
        assert_eq!(Line::parse(&text), Ok(line));
        assert_eq!(Line::parse(&text[..100]), Err("it breaks off".to_owned()));
        assert!(Line::parse(&text.replace("witness/1", "witness/2")).unwrap_err().contains("is not of"));
    }

    #[test]
    fn the_name_of_a_restore_point_has_its_number_and_the_beginning_of_its_nonce() {
        let name = Beat::restore_point_name(17, Nonce([0xAB; 16]));
        assert_eq!(name, "pgdrill-17-abababab");
        assert!(Beat::restore_point_name(u64::MAX, Nonce([0; 16])).len() < 64);
    }
}
