//! The values of a scenario file that are written as one text: how each is read, and what is said when it
//! cannot be.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};

use super::mistake::{nearest, quote};
use super::tree::found_text;
use super::wrong::Words;
use crate::check::{CHECKS, Check};
use crate::code::{CODES, Code};
use crate::fault::{FAULTS, Fault};
use crate::units::{Major, MajorRange, show_count};

/// The most rows of `"Order"` that may be loaded.
pub const MOST_ORDERS: u64 = 1_000_000_000;
/// The longest duration that makes sense anywhere in a scenario.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A value that is read from a text.
pub(super) trait FromText: Sized {
    /// What is wanted, as in "must be ...".
    const WANTED: &'static str;
    /// What to write, when no text stands there.
    const HINT: &'static str = "";
    fn from_text(text: &str) -> Result<Self, Words>;
}

/// Reads it where a text is wanted.
pub(super) fn read<'de, T: FromText, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Reader<T>(std::marker::PhantomData<T>);

    fn found<E: de::Error, T: FromText>(found: &str) -> E {
        E::custom(Words::predicate(format!("must be {}; found {found}", T::WANTED), T::HINT))
    }

    impl<'de, T: FromText> Visitor<'de> for Reader<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::WANTED)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            T::from_text(text).map_err(E::custom)
        }

        fn visit_unit<E: de::Error>(self) -> Result<T, E> {
            Err(found::<E, T>("nothing"))
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
            Err(found::<A::Error, T>("a list"))
        }

        fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<T, A::Error> {
            Err(found::<A::Error, T>("a mapping"))
        }
    }

    deserializer.deserialize_str(Reader(std::marker::PhantomData))
}

macro_rules! read_from_text {
    ($($value:ty),+) => {
        $(impl<'de> serde::Deserialize<'de> for $value {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::scenario::value::read(deserializer)
            }
        })+
    };
}

pub(super) use read_from_text;

read_from_text!(
    Title,
    Majors,
    Seed,
    Orders,
    Span,
    Statement,
    Database,
    SettingName,
    SettingValue,
    CheckName,
    FindingCode,
    FaultName
);

/// One line for people.
#[derive(Clone, Debug)]
pub(super) struct Title(pub(super) String);

impl FromText for Title {
    const WANTED: &'static str = "a line of text";
    const HINT: &'static str = "say in one line what the drill shows";

    fn from_text(text: &str) -> Result<Self, Words> {
        let title = text.trim();
        if title.is_empty() {
            return Err(Words::predicate("is empty", Self::HINT));
        }
        if title.contains(['\n', '\r']) {
            return Err(Words::predicate(
                "must be a single line",
                "reports show it as a heading; put the story into a comment above it",
            ));
        }
        if title.contains(char::is_control) {
            return Err(Words::predicate("holds a control character", "terminals obey them; remove it"));
        }
        Ok(Self(title.to_owned()))
    }
}

/// The majors on which a scenario makes sense.
#[derive(Clone, Debug)]
pub(super) struct Majors(pub(super) MajorRange);

impl FromText for Majors {
    const WANTED: &'static str = "a major version or a range of them, as in 15 or '>=13 <18'";

    fn from_text(text: &str) -> Result<Self, Words> {
        let wrong = |hint: &str| {
            Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), hint.to_owned())
        };
        let mut signs = Vec::new();
        for part in text.split_whitespace() {
            let digits = part.trim_start_matches(['<', '>', '=']);
            let sign = &part[..part.len() - digits.len()];
            if digits.contains('.') {
                return Err(wrong("since PostgreSQL 10 the major version is one number: 15, not 15.4"));
            }
            let major = digits.parse::<u16>().ok().filter(|_| digits.len() <= 3).ok_or_else(|| {
                wrong(if digits.is_empty() { "no blank between the sign and the number" } else { "" })
            })?;
            if !matches!(sign, "" | "=" | ">=" | ">" | "<=" | "<") {
                return Err(wrong("the signs are >=, >, <= and <"));
            }
            if matches!(sign, "" | "=" | ">=") && major < Major::OLDEST.0 {
                return Err(Words::predicate(
                    format!("asks for PostgreSQL {major}; pgdrill knows {} and later", Major::OLDEST),
                    format!("write {} or a later major, or leave `postgres:` out", Major::OLDEST),
                ));
            }
            signs.push(sign);
        }
        let single = signs.iter().any(|sign| matches!(*sign, "" | "="));
        let twice = |first: char| signs.iter().filter(|sign| sign.starts_with(first)).count() > 1;
        if signs.is_empty() || (single && signs.len() > 1) || twice('>') || twice('<') {
            return Err(wrong("a range has at most one lower and one upper end"));
        }
        let range = text.parse::<MajorRange>().map_err(|_| {
            Words::predicate(
                format!("is a range that holds no major version: {}", quote(text)),
                format!(
                    "the lower end must not be above the upper; pgdrill knows PostgreSQL {} and later",
                    Major::OLDEST
                ),
            )
        })?;
        Ok(Self(MajorRange { from: range.from.max(Major::OLDEST), to: range.to }))
    }
}

/// In which units a scenario names a number of bytes. `MB` is 1000 times 1000 to some, and 1024 times 1024 to PostgreSQL.
pub(super) const UNITS_OF_BYTES: &str = "the units of bytes are KiB, MiB and GiB";

/// Reads a number of bytes; none where the text has no unit of bytes.
pub(super) fn bytes_in_words(text: &str, wanted: &str) -> Option<Result<u64, Words>> {
    let text = text.trim();
    [("KiB", 1_u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)].into_iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        Some(whole_number(number, wanted).map(|number| number.saturating_mul(factor)))
    })
}

/// Reads a whole number as people write it. YAML readers disagree about `012`, `0x10` and `1e3`, so they are
/// refused.
pub(super) fn whole_number(text: &str, wanted: &str) -> Result<u64, Words> {
    let wrong =
        |hint: String| Words::predicate(format!("must be {wanted}; found {}", found_text(text)), hint);
    let digits = text.replace('_', "");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let hint = if text.starts_with('-') {
            "it cannot be negative".to_owned()
        } else if text.contains([',', ' ', '\'']) && !digits.is_empty() {
            "separate thousands by underscores or not at all".to_owned()
        } else if text.starts_with(|c: char| c.is_ascii_digit()) {
            "write all digits: 1000, not 1e3, 0x3E8, 1k or 1000.0".to_owned()
        } else {
            String::new()
        };
        return Err(wrong(hint));
    }
    if digits.len() > 1 && digits.starts_with('0') {
        let plain = digits.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        return Err(wrong(format!(
            "YAML readers disagree about a leading zero (some read octal); write {plain}"
        )));
    }
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return Err(wrong("an underscore stands between digits, one at a time".to_owned()));
    }
    digits.parse().map_err(|_| wrong(format!("it can be at most {}", u64::MAX)))
}

/// Where all chance comes from.
#[derive(Clone, Debug)]
pub(super) struct Seed(pub(super) u64);

impl FromText for Seed {
    const WANTED: &'static str = "a whole number, as in 42";

    fn from_text(text: &str) -> Result<Self, Words> {
        whole_number(text, Self::WANTED).map(Self)
    }
}

/// How many orders are loaded.
#[derive(Clone, Debug)]
pub(super) struct Orders(pub(super) u64);

impl FromText for Orders {
    const WANTED: &'static str = "a whole number, as in 200_000";

    fn from_text(text: &str) -> Result<Self, Words> {
        let orders = whole_number(text, Self::WANTED)?;
        if !(1..=MOST_ORDERS).contains(&orders) {
            return Err(Words::predicate(
                format!("must be between 1 and {}; found {}", show_count(MOST_ORDERS), show_count(orders)),
                if orders == 0 { "without data a drill proves nothing" } else { "" },
            ));
        }
        Ok(Self(orders))
    }
}

/// A length of time.
#[derive(Clone, Debug)]
pub(super) struct Span(pub(super) Duration);

impl FromText for Span {
    const WANTED: &'static str = "a duration, as in 30s or 5m";

    fn from_text(text: &str) -> Result<Self, Words> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(Words::predicate(
                format!("must be longer than nothing; found {}", quote(text)),
                "write a positive duration, as in 30s",
            ));
        }
        let number = text.trim_matches(['.', ',', '_']);
        if !number.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b','))
        {
            return Err(Words::predicate(
                format!("needs a unit, as in 30s; found {}", quote(text)),
                format!("{number} seconds are written {number}s, {number} minutes {number}m"),
            ));
        }
        let wrong = || {
            Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                "the units are ms, s, m, h and d, and can be combined: 1m 30s",
            )
        };
        // humantime reads '1 30s' as 130 seconds; whoever writes that means something else.
        let digit = |word: &str, last: bool| {
            let end = if last { word.chars().next_back() } else { word.chars().next() };
            end.is_some_and(|character| character.is_ascii_digit())
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        if words
            .windows(2)
            .any(|pair| matches!(pair, [left, right] if digit(left, true) && digit(right, false)))
        {
            return Err(wrong());
        }
        let duration = humantime::parse_duration(text).map_err(|_| wrong())?;
        if duration.is_zero() {
            return Err(Words::predicate(
                format!("must be longer than nothing; found {}", quote(text)),
                "write a positive duration, as in 30s",
            ));
        }
        if duration > LONGEST {
            return Err(Words::predicate(
                format!("is longer than 30 days: {}", quote(text)),
                "in a duration m are minutes, M are months",
            ));
        }
        Ok(Self(duration))
    }
}

/// SQL that is not empty.
#[derive(Clone, Debug)]
pub(super) struct Statement(pub(super) String);

impl Statement {
    /// Reads it from a text that stands where also a mapping could.
    pub(super) fn read(text: &str) -> Result<Self, Words> {
        Self::from_text(text)
    }
}

impl FromText for Statement {
    const WANTED: &'static str = "SQL";
    const HINT: &'static str = "write the statement to run";

    fn from_text(text: &str) -> Result<Self, Words> {
        if text.trim().is_empty() {
            return Err(Words::predicate("is empty", "write the statement to run, or leave the step out"));
        }
        if text.contains('\0') {
            return Err(Words::predicate("holds a NUL character, which PostgreSQL refuses", ""));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of a database.
#[derive(Clone, Debug)]
pub(super) struct Database(pub(super) String);

impl FromText for Database {
    const WANTED: &'static str = "the name of a database";
    const HINT: &'static str = "leave it out for the fixture's own database";

    fn from_text(text: &str) -> Result<Self, Words> {
        if text.is_empty() || text.len() > 63 || text.contains('\0') {
            return Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                Self::HINT,
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The value of a setting of PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct SettingValue(pub(super) String);

impl FromText for SettingValue {
    const WANTED: &'static str = "a text or a number";
    const HINT: &'static str = "write a list as one text in quotes, as in 'a, b', and an empty value as ''";

    fn from_text(text: &str) -> Result<Self, Words> {
        Ok(Self(text.to_owned()))
    }
}

/// The name of a setting of PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct SettingName(pub(super) String);

impl FromText for SettingName {
    const WANTED: &'static str = "the name of a setting";

    fn from_text(text: &str) -> Result<Self, Words> {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
            return Err(Words::sentence(
                format!("{} is not the name of a PostgreSQL setting", quote(text)),
                "a name has letters, digits, underscores and dots, as in shared_buffers",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of a check.
#[derive(Clone, Debug)]
pub(super) struct CheckName(pub(super) Check);

impl CheckName {
    /// Reads it from a text that stands where also a mapping could.
    pub(super) fn read(text: &str) -> Result<Self, Words> {
        Self::from_text(text)
    }
}

impl FromText for CheckName {
    const WANTED: &'static str = "the name of a check";

    fn from_text(text: &str) -> Result<Self, Words> {
        text.parse().map(Self).map_err(|_| {
            let names = CHECKS.iter().map(|entry| entry.name);
            Words::sentence(
                format!("unknown check {}", quote(text)),
                super::mistake::instead(text, "the checks are", names),
            )
        })
    }
}

/// The name of a fault.
#[derive(Clone, Debug)]
pub(super) struct FaultName(pub(super) Fault);

impl FromText for FaultName {
    const WANTED: &'static str = "the name of a fault, as in segment-missing";
    const HINT: &'static str = "write `fault: segment-missing`; `pgdrill explain` lists the faults";

    fn from_text(text: &str) -> Result<Self, Words> {
        text.parse().map(Self).map_err(|_| {
            let hint = match nearest(text, FAULTS.iter().map(|entry| entry.name)) {
                Some(name) => format!("did you mean '{name}'?"),
                None => "`pgdrill explain` lists the faults".to_owned(),
            };
            Words::sentence(format!("unknown fault {}", quote(text)), hint)
        })
    }
}

/// The code of a finding.
#[derive(Clone, Debug)]
pub(super) struct FindingCode(pub(super) Code);

impl FromText for FindingCode {
    const WANTED: &'static str = "the code of a finding, as in RTO_EXCEEDED";

    fn from_text(text: &str) -> Result<Self, Words> {
        CODES.iter().find(|entry| entry.name == text).map(|entry| Self(entry.code)).ok_or_else(|| {
            let hint = match nearest(text, CODES.iter().map(|entry| entry.name)) {
                Some(name) => format!("did you mean '{name}'?"),
                None => "`pgdrill explain` lists the codes".to_owned(),
            };
            Words::sentence(format!("unknown finding {}", quote(text)), hint)
        })
    }
}
