//! Where a recovery stops: a mark, a time, a transaction, a position, a restore point, the earliest consistent state, or
//! the end of the archive; on which timeline; and what the server does there. The kinds are PostgreSQL's own
//! (`recovery_target*`, `doc/src/sgml/config.sgml`).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::Switch;
use super::mistake::{Note, Span as Place, quote};
use super::slot::{At as Placed, Slot, TextOr, read_text_or};
use super::tree::found_text;
use super::value::{FromText, read_from_text, whole_number};
use super::wrong::Words;
use crate::units::{Lsn, show_time};

/// Where a recovery stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Target {
    /// At which point.
    pub at: Point,
    /// Whether what stands exactly there is replayed too. Only a time, a transaction and a position can be exclusive.
    pub inclusive: bool,
}

/// A point at which a recovery can stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// The end of the archive.
    Latest,
    /// The earliest consistent state: the end of the backup.
    Immediate,
    /// Where a baseline of production belongs, so that everything can be compared with it exactly.
    Baseline,
    /// A mark of the scenario, given to the server as that.
    Mark(String, MarkBy),
    /// A time, microseconds since 1970 UTC.
    Time(i64),
    /// A transaction.
    Xid(u32),
    /// A position in the WAL.
    Lsn(Lsn),
    /// A restore point that the WAL names.
    Name(String),
}

/// What of a mark is given to the server as its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MarkBy {
    /// Its restore point.
    Name,
    /// Its position in the WAL.
    Lsn,
    /// The server's time.
    Time,
    /// The transaction that it made.
    Xid,
}

impl MarkBy {
    /// Its name in the scenario language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Lsn => "lsn",
            Self::Time => "time",
            Self::Xid => "xid",
        }
    }
}

/// Along which timeline a recovery goes (`recovery_target_timeline`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Timeline {
    /// The newest that the archive knows.
    Latest,
    /// The one that the backup was taken on.
    Current,
    /// This one.
    Number(u32),
}

impl fmt::Display for Timeline {
    /// As the setting has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Current => f.write_str("current"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// What the server does at its target (`recovery_target_action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It opens for writing.
    Promote,
    /// It waits, open for reading; once that is seen, the drill lets it go on and promote.
    Pause,
    /// It ends; once that is seen, the drill starts it again to promote.
    Shutdown,
}

impl Action {
    /// Its name in the scenario language and as the setting has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Target {
    /// The end of the archive.
    pub const LATEST: Self = Self { at: Point::Latest, inclusive: true };
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Point::Latest => f.write_str("latest")?,
            Point::Immediate => f.write_str("immediate")?,
            Point::Baseline => f.write_str("baseline")?,
            Point::Mark(name, MarkBy::Name) => write!(f, "mark {name}")?,
            Point::Mark(name, by) => write!(f, "mark {name} by its {}", by.name())?,
            Point::Time(unix_us) => write!(f, "time {}", show_time(*unix_us))?,
            Point::Xid(xid) => write!(f, "transaction {xid}")?,
            Point::Lsn(lsn) => write!(f, "position {lsn}")?,
            Point::Name(name) => write!(f, "restore point {name}")?,
        }
        if self.inclusive { Ok(()) } else { f.write_str(", exclusive") }
    }
}

/// The name of a mark.
#[derive(Clone, Debug)]
pub(super) struct MarkName(pub(super) String);

impl FromText for MarkName {
    const WANTED: &'static str = "the name of a mark, as in before-accident";
    const HINT: &'static str =
        "it begins with a small letter and has small letters, digits and hyphens, at most 63 in all";

    fn from_text(text: &str) -> Result<Self, Words> {
        if matches!(text, "latest" | "immediate" | "baseline") {
            return Err(Words::predicate(
                format!("cannot be {}: that is a target of its own", quote(text)),
                "give the mark another name",
            ));
        }
        if text.len() > 63 {
            return Err(Words::predicate(
                format!("has {} bytes: {}", text.len(), quote(text)),
                "its restore point takes its name, and PostgreSQL takes 63 at most",
            ));
        }
        let first = text.starts_with(|c: char| c.is_ascii_lowercase());
        let fits = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !first || !fits {
            return Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                Self::HINT,
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An instant with its offset from UTC.
#[derive(Clone, Debug)]
pub(super) struct Instant(pub(super) i64);

impl FromText for Instant {
    const WANTED: &'static str = "a time with its offset from UTC, as in '2026-03-01 04:05:06.789+00:00'";

    fn from_text(text: &str) -> Result<Self, Words> {
        let text = text.trim();
        let wrong = |hint: &str| {
            Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), hint)
        };
        if text.contains('[') {
            return Err(wrong(
                "a zone may tell another offset than the one that is written; write the offset alone",
            ));
        }
        let Ok(time) = text.parse::<jiff::Timestamp>() else {
            return Err(wrong(if text.parse::<jiff::civil::DateTime>().is_ok() {
                "without an offset the restored server would read it in its own time zone; write it, as in +00:00"
            } else {
                "write a day of the calendar, the time and, right behind it, the offset"
            }));
        };
        // PostgreSQL counts a 60th second into the next minute, other readers into the same.
        let seconds = text.split(':').nth(2).unwrap_or_default();
        if seconds.starts_with("60") {
            return Err(wrong("a minute has the seconds 0 to 59; write a leap second as the next minute"));
        }
        if time.subsec_nanosecond() % 1_000 != 0 {
            return Err(wrong("PostgreSQL keeps microseconds; write at most six decimals"));
        }
        Ok(Self(time.as_microsecond()))
    }
}

/// A transaction's number.
#[derive(Clone, Debug)]
pub(super) struct Xid(pub(super) u32);

impl FromText for Xid {
    const WANTED: &'static str = "a transaction's number, as in 745";

    fn from_text(text: &str) -> Result<Self, Words> {
        let number = whole_number(text, Self::WANTED)?;
        // The first two are no transactions of anybody (`src/include/access/transam.h`).
        u32::try_from(number).ok().filter(|xid| *xid >= 3).map(Self).ok_or_else(|| {
            let hint = match number {
                0..3 => "the first that a transaction can have is 3",
                _ => "of a 64-bit number write the last 32 bits: that is what the WAL holds",
            };
            Words::predicate(format!("must be between 3 and {}; found {number}", u32::MAX), hint)
        })
    }
}

/// A position in the WAL.
#[derive(Clone, Debug)]
pub(super) struct Position(pub(super) Lsn);

impl FromText for Position {
    const WANTED: &'static str = "a position in the WAL, as in '0/3000060'";

    fn from_text(text: &str) -> Result<Self, Words> {
        let wrong = |hint: &str| {
            Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), hint)
        };
        match text.parse() {
            Ok(Lsn(0)) => Err(wrong("0/0 is how PostgreSQL writes that there is none")),
            Ok(position) => Ok(Self(position)),
            Err(_) => Err(wrong("two hexadecimal numbers, as pg_current_wal_lsn() shows them")),
        }
    }
}

/// The name of a restore point (`MAXFNAMELEN`, `src/include/access/xlog_internal.h`).
#[derive(Clone, Debug)]
pub(super) struct RestorePoint(pub(super) String);

impl FromText for RestorePoint {
    const WANTED: &'static str = "the name of a restore point";
    const HINT: &'static str = "write the name that pg_create_restore_point() was given";

    fn from_text(text: &str) -> Result<Self, Words> {
        let wrong = |hint: &str| {
            Err(Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), hint))
        };
        if text.is_empty() {
            return wrong(Self::HINT);
        }
        if text.len() > 63 {
            return wrong("PostgreSQL takes names of at most 63 bytes for restore points");
        }
        if text.contains(char::is_control) {
            return wrong("it holds a control character; a server's settings take none");
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromText for Timeline {
    const WANTED: &'static str = "latest, current, or a timeline's number, as in 2";

    fn from_text(text: &str) -> Result<Self, Words> {
        match text {
            "latest" => Ok(Self::Latest),
            "current" => Ok(Self::Current),
            _ => match whole_number(text, Self::WANTED)? {
                number @ 1..=0xFFFF_FFFF => Ok(Self::Number(number as u32)),
                number => Err(Words::predicate(
                    format!("must be between 1 and {}; found {number}", u32::MAX),
                    "a server begins on timeline 1, and each recovery takes the next",
                )),
            },
        }
    }
}

/// A timeline as it is written.
#[derive(Clone, Debug)]
pub(super) struct TimelineWord(pub(super) Timeline);

impl FromText for TimelineWord {
    const WANTED: &'static str = Timeline::WANTED;

    fn from_text(text: &str) -> Result<Self, Words> {
        Timeline::from_text(text).map(Self)
    }
}

read_from_text!(MarkName, Instant, Xid, Position, RestorePoint, TimelineWord);

/// A target with what it is given as.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("dependentRequired" = { "by": ["mark"] }))]
pub(super) struct TargetMapping {
    /// A mark that stands above.
    pub(super) mark: Slot<MarkName>,
    /// What of the mark is given to the server. Default: name.
    pub(super) by: Slot<MarkBy>,
    /// A time with its offset from UTC, as in '2026-03-01 04:05:06.789+00:00'.
    pub(super) time: Slot<Instant>,
    /// A transaction's number, as the WAL has it.
    pub(super) xid: Slot<Xid>,
    /// A position in the WAL, as in '0/3000060'.
    pub(super) lsn: Slot<Position>,
    /// A restore point that `pg_create_restore_point()` made.
    pub(super) name: Slot<RestorePoint>,
    /// Whether recovery stops just before the time, transaction or position. Default: on for the position of a mark, else
    /// off.
    pub(super) exclusive: Slot<Switch>,
}

/// A target: `latest`, `immediate`, a mark, or a mapping.
#[derive(Debug)]
pub(super) enum TargetArguments {
    Latest,
    Immediate,
    Baseline,
    Mark(MarkName),
    Mapping(Box<TargetMapping>),
}

read_text_or!(TargetArguments);

impl TextOr<'_> for TargetArguments {
    type Arguments = TargetMapping;
    const WANTED: &'static str = "latest, immediate, baseline, the name of a mark, or a mapping with one of mark, time, xid, lsn, name";
    const HINT: &'static str = "write `to: latest`, or `to: before-accident` for a mark of that name";

    fn text(text: &str) -> Result<Self, Words> {
        match text {
            "latest" => Ok(Self::Latest),
            "immediate" => Ok(Self::Immediate),
            "baseline" => Ok(Self::Baseline),
            _ => MarkName::from_text(text).map(Self::Mark).map_err(|words| {
                let instead = if text.parse::<jiff::Timestamp>().is_ok() {
                    format!("time: '{text}'")
                } else if text.parse::<jiff::civil::DateTime>().is_ok() {
                    format!("time: '{text}+00:00'")
                } else if text.parse::<Lsn>().is_ok() {
                    format!("lsn: '{text}'")
                } else if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
                    format!("xid: {text}")
                } else {
                    return words;
                };
                Words::predicate(
                    format!("must be {}; found {}", Self::WANTED, quote(text)),
                    format!("write `to: {{ {instead} }}`"),
                )
            }),
        }
    }

    fn arguments(arguments: TargetMapping) -> Self {
        Self::Mapping(Box::new(arguments))
    }
}

/// Where the name of the mark stands, if a mapping names one.
pub(super) fn place_of_mark(arguments: &TargetArguments) -> Option<Place> {
    match arguments {
        TargetArguments::Mapping(mapping) => mapping.mark.span(),
        _ => None,
    }
}

/// The target that `arguments` at `place` mean. What makes no sense is noted.
pub(super) fn meaning(arguments: TargetArguments, place: Place, notes: &mut Vec<Note>) -> Target {
    let mapping = match arguments {
        TargetArguments::Latest => return Target::LATEST,
        TargetArguments::Immediate => return Target { at: Point::Immediate, inclusive: true },
        TargetArguments::Baseline => return Target { at: Point::Baseline, inclusive: false },
        TargetArguments::Mark(name) => {
            return Target { at: Point::Mark(name.0, MarkBy::Name), inclusive: true };
        }
        TargetArguments::Mapping(mapping) => mapping,
    };
    let by = mapping.by;
    let by_place = by.span();
    let mark_by = by.what().unwrap_or(MarkBy::Name);
    let marked = mapping.mark.0.is_some();
    let mut points: Vec<Placed<Point>> = Vec::new();
    let mut take = |point: Option<Placed<Point>>| points.extend(point);
    take(mapping.mark.0.map(|at| Placed { span: at.span, what: Point::Mark(at.what.0, mark_by) }));
    take(mapping.time.0.map(|at| Placed { span: at.span, what: Point::Time(at.what.0) }));
    take(mapping.xid.0.map(|at| Placed { span: at.span, what: Point::Xid(at.what.0) }));
    take(mapping.lsn.0.map(|at| Placed { span: at.span, what: Point::Lsn(at.what.0) }));
    take(mapping.name.0.map(|at| Placed { span: at.span, what: Point::Name(at.what.0) }));
    points.sort_by_key(|point| point.span);
    if let Some(second) = points.get(1) {
        notes.push(
            Note::new(second.span, "more than one target: recovery can stop at one point only")
                .hint("leave all but one out (PostgreSQL: \"multiple recovery targets specified\")"),
        );
    }
    if points.is_empty() {
        notes.push(
            Note::new(place, "`to` names no target")
                .hint("write one of mark, time, xid, lsn, name; or `to: latest`"),
        );
    }
    if let (Some(place), false) = (by_place, marked) {
        notes.push(
            Note::new(place, "`by` says what of a mark is the target, and there is no mark")
                .hint("leave it out: the key says what the target is"),
        );
    }
    let at = points.into_iter().next().map_or(Point::Latest, |point| point.what);
    let has_sides = matches!(at, Point::Time(_) | Point::Xid(_) | Point::Lsn(_))
        || matches!(at, Point::Mark(_, MarkBy::Time | MarkBy::Xid | MarkBy::Lsn));
    let exclusive_place = mapping.exclusive.span();
    // Replay that includes a position also takes the record that begins there: the first one after the mark.
    let by_default = matches!(at, Point::Mark(_, MarkBy::Lsn));
    let exclusive = mapping.exclusive.what().map_or(by_default, |switch| switch.0);
    let at_a_name = matches!(at, Point::Name(_) | Point::Mark(_, MarkBy::Name));
    if let (Some(place), true) = (exclusive_place, at_a_name) {
        notes.push(
            Note::new(place, "a restore point has no exclusive side: recovery stops right after it")
                .hint("leave `exclusive` out, or give the mark by its lsn, time or xid"),
        );
    }
    Target { at, inclusive: !(exclusive && has_sides) }
}
