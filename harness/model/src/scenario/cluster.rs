//! How the primary's cluster is made: locale, page checksums, size of WAL segments, tablespaces.

use super::Placed;
use super::backup::Switch;
use super::file::{ClusterArguments, Entries};
use super::mistake::{Lines, Note, Span, instead, quote};
use super::slot::{At, Slot};
use super::tree::found_text;
use super::value::{FromText, read_from_text, whole_number};
use super::wrong::Words;

/// How the primary's cluster is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The locale of the operating system; none is C, which is on every machine and never changes its order.
    pub locale: Option<Placed<String>>,
    /// The locale of ICU, where that is to order texts.
    pub icu_locale: Option<Placed<String>>,
    /// Whether pages have checksums.
    pub checksums: bool,
    /// Megabytes per WAL segment.
    pub wal_segment_megabytes: u32,
}

/// A tablespace of the primary, in its own tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tablespace {
    /// Its name.
    pub name: String,
    /// The tables of the fixture that are put there, with all their indexes.
    pub tables: Vec<String>,
}

/// The tables of the fixture.
pub const FIXTURE_TABLES: [&str; 5] = ["User", "Strategy", "Order", "Position", "AuditLog"];

const WAL_SEGMENT_MEGABYTES: u32 = 16;

impl Default for Cluster {
    fn default() -> Self {
        Self { locale: None, icu_locale: None, checksums: true, wal_segment_megabytes: WAL_SEGMENT_MEGABYTES }
    }
}

/// A locale of the operating system that writes UTF-8.
#[derive(Clone, Debug)]
pub(super) struct Locale(pub(super) String);

impl FromText for Locale {
    const WANTED: &'static str = "a locale, as in en_US.UTF-8";
    const HINT: &'static str = "`locale -a` lists those of a machine";

    fn from_text(text: &str) -> Result<Self, Words> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) || !text.chars().all(plain) || text.len() > 63
        {
            return Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                Self::HINT,
            ));
        }
        let encoding = text.split_once('.').map(|(_, rest)| rest.split('@').next().unwrap_or(rest));
        let utf8 =
            encoding.is_some_and(|name| matches!(name.to_ascii_lowercase().as_str(), "utf-8" | "utf8"));
        if !utf8 && !matches!(text, "C" | "POSIX") {
            let language = text.split(['.', '@']).next().unwrap_or(text);
            return Err(Words::predicate(
                format!("is a locale that does not say that it writes UTF-8: {}", quote(text)),
                format!("the cluster's encoding is UTF8: write {language}.UTF-8, C or POSIX"),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A locale of ICU.
#[derive(Clone, Debug)]
pub(super) struct IcuLocale(pub(super) String);

impl FromText for IcuLocale {
    const WANTED: &'static str = "a locale of ICU, as in en-US or de-u-co-phonebk";

    fn from_text(text: &str) -> Result<Self, Words> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@' | '=' | ';');
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) && text.len() <= 63
        {
            return Ok(Self(text.to_owned()));
        }
        Err(Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), ""))
    }
}

/// The size of a WAL segment, in megabytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentSize(pub(super) u32);

impl FromText for SegmentSize {
    const WANTED: &'static str = "a size in megabytes, as in 16MB";

    fn from_text(text: &str) -> Result<Self, Words> {
        let size = text.strip_suffix("MB").map(|digits| whole_number(digits.trim_end(), Self::WANTED));
        let size = size.transpose()?.and_then(|size| u32::try_from(size).ok());
        size.filter(|size| size.is_power_of_two() && *size <= 1024).map(Self).ok_or_else(|| {
            Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                "it can be 1MB, 2MB, 4MB and so on, up to 1024MB",
            )
        })
    }
}

/// The name of a tablespace.
#[derive(Clone, Debug)]
pub(super) struct TablespaceName(pub(super) String);

impl FromText for TablespaceName {
    const WANTED: &'static str = "the name of a tablespace";

    fn from_text(text: &str) -> Result<Self, Words> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let first = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !first || !text.chars().all(plain) || text.len() > 63 {
            return Err(Words::sentence(
                format!("{} is not the name of a tablespace", quote(text)),
                "a name has small letters, digits and underscores, as in history",
            ));
        }
        if text.starts_with("pg_") {
            return Err(Words::sentence(
                format!("the tablespace {} cannot have that name", quote(text)),
                "names that begin with pg_ are PostgreSQL's own",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A table of the fixture.
#[derive(Clone, Debug)]
pub(super) struct FixtureTable(pub(super) &'static str);

impl FromText for FixtureTable {
    const WANTED: &'static str = "a table of the fixture";

    fn from_text(text: &str) -> Result<Self, Words> {
        FIXTURE_TABLES.iter().find(|name| **name == text).map(|name| Self(name)).ok_or_else(|| {
            Words::sentence(
                format!("the fixture has no table {}", quote(text)),
                instead(text, "its tables are", FIXTURE_TABLES.iter().copied()),
            )
        })
    }
}

read_from_text!(Locale, IcuLocale, SegmentSize, TablespaceName, FixtureTable);

/// The cluster that `arguments` mean.
pub(super) fn cluster(arguments: Option<ClusterArguments>, lines: &Lines) -> Cluster {
    let ClusterArguments { locale, icu_locale, checksums, wal_segment_size } = arguments.unwrap_or_default();
    let placed = |span: Span, what: String| Placed { line: lines.line(span.start), what };
    Cluster {
        locale: locale.0.map(|at| placed(at.span, at.what.0)),
        icu_locale: icu_locale.0.map(|at| placed(at.span, at.what.0)),
        checksums: checksums.what().is_none_or(|Switch(on)| on),
        wal_segment_megabytes: wal_segment_size.what().map_or(WAL_SEGMENT_MEGABYTES, |size| size.0),
    }
}

/// The tablespaces of a scenario; each table can be in one.
pub(super) fn tablespaces(
    written: Entries<TablespaceName, Vec<Slot<FixtureTable>>>,
    lines: &Lines,
    notes: &mut Vec<Note>,
) -> Vec<Tablespace> {
    let mut taken: Vec<(&'static str, Span)> = Vec::new();
    let mut tablespaces = Vec::new();
    for (name, tables) in written.0 {
        let (Some(name), Some(tables)) = (name.what(), tables.what()) else { continue };
        let mut own = Vec::new();
        for At { span, what: FixtureTable(table) } in tables.into_iter().filter_map(|table| table.0) {
            match taken.iter().find(|(other, _)| *other == table) {
                Some((_, first)) => notes.push(
                    Note::new(span, format!("the table {table} is in two tablespaces")).hint(format!(
                        "it was first put into one on line {}; keep one of the two",
                        lines.line(first.start)
                    )),
                ),
                None => {
                    taken.push((table, span));
                    own.push(table.to_owned());
                }
            }
        }
        tablespaces.push(Tablespace { name: name.0, tables: own });
    }
    tablespaces
}
