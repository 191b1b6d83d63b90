//! A user's own question to a recovered server, what it must answer, and whether an answer is that. Decided here, where no
//! server is needed, and by decimal digits alone: a sum of money is no floating point number.

use std::fmt;
use std::time::Duration;

use crate::units::{show_count, show_duration};

mod number;

pub use number::Number;

/// The most characters of a value that a finding shows.
const SHOWN: usize = 100;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What it is called in findings.
    pub name: String,
    /// One statement that only reads.
    pub sql: String,
    /// What it must answer.
    pub expected: Expected,
    /// In which database; none is the fixture's own, or `postgres` where the backup was there already.
    pub database: Option<String>,
    /// As which role; none is the superuser.
    pub role: Option<String>,
    /// How long it may take.
    pub within: Duration,
}

/// What a query must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// One row, the first column of which has this text.
    Value(String),
    /// One row, the first column of which is a number within these bounds, themselves included.
    Number {
        /// The least that it may be.
        at_least: Option<Number>,
        /// The most that it may be.
        at_most: Option<Number>,
    },
    /// So many rows.
    Rows {
        /// The fewest.
        at_least: u64,
        /// The most.
        at_most: Option<u64>,
    },
}

/// What a query answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// How many rows.
    pub rows: u64,
    /// The first column of the first of them, as PostgreSQL casts it to text; none where that is NULL, or where there is none.
    pub value: Option<String>,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, sql, expected, database, role, within } = self;
        let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{name}: {}; {expected} is expected within {}", clipped(&words), show_duration(*within))?;
        database.iter().try_for_each(|database| write!(f, ", in {database}"))?;
        role.iter().try_for_each(|role| write!(f, ", as {role}"))
    }
}

impl Expected {
    /// What was found instead, in words; none where the answer is what was expected.
    pub fn missed_by(&self, answer: &Answer) -> Option<String> {
        let found = match (self, answer.rows, &answer.value) {
            (Self::Rows { at_least, at_most }, rows, _) => {
                let held = rows >= *at_least && at_most.is_none_or(|most| rows <= most);
                return (!held).then(|| in_rows(rows));
            }
            (_, 1, Some(value)) => value,
            (_, 1, None) => return Some("NULL".to_owned()),
            (_, rows, _) => return Some(in_rows(rows)),
        };
        match (self, found.parse::<Number>()) {
            (Self::Value(wanted), _) => (wanted != found).then(|| quoted(found)),
            (_, Err(())) => Some(format!("{}, which is no number", quoted(found))),
            (Self::Number { at_least, at_most }, Ok(number)) => {
                let held = at_least.as_ref().is_none_or(|least| number >= *least)
                    && at_most.as_ref().is_none_or(|most| number <= *most);
                (!held).then(|| clipped(found))
            }
            (Self::Rows { .. }, _) => None,
        }
    }

    /// Whether the answer is the number that was expected, written in another way: 1.00 for 1.
    pub fn is_written_otherwise(&self, answer: &Answer) -> bool {
        match (self, &answer.value) {
            (Self::Value(wanted), Some(found)) if wanted != found => {
                wanted.parse::<Number>().is_ok_and(|wanted| found.parse() == Ok(wanted))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(&quoted(value)),
            Self::Number { at_least: Some(least), at_most: Some(most) } if least == most => {
                write!(f, "{least}")
            }
            Self::Number { at_least: Some(least), at_most: Some(most) } => write!(f, "{least} to {most}"),
            Self::Number { at_least: Some(least), at_most: None } => write!(f, "at least {least}"),
            Self::Number { at_least: None, at_most: Some(most) } => write!(f, "at most {most}"),
            Self::Number { at_least: None, at_most: None } => f.write_str("a number"),
            Self::Rows { at_least, at_most: Some(most) } if at_least == most => f.write_str(&in_rows(*most)),
            Self::Rows { at_least: 0, at_most: Some(most) } => write!(f, "at most {}", in_rows(*most)),
            Self::Rows { at_least, at_most: Some(most) } => {
                write!(f, "{} to {}", show_count(*at_least), in_rows(*most))
            }
            Self::Rows { at_least, at_most: None } => write!(f, "at least {}", in_rows(*at_least)),
        }
    }
}

fn in_rows(rows: u64) -> String {
    match rows {
        0 => "no row".to_owned(),
        1 => "1 row".to_owned(),
        rows => format!("{} rows", show_count(rows)),
    }
}

/// A text that may be long or hold anything, as a finding shows it: in quotes, on one line, at most 100 characters of it.
fn quoted(text: &str) -> String {
    format!("'{}'", clipped(text))
}

/// The same without quotes.
pub fn clipped(text: &str) -> String {
    let line = |character: char| if character.is_control() { ' ' } else { character };
    let mut shown: String = text.chars().take(SHOWN).map(line).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn number(text: &str) -> Option<Number> {
        (!text.is_empty()).then(|| text.parse().unwrap())
    }

    fn value(text: &str) -> Answer {
        Answer { rows: 1, value: Some(text.to_owned()) }
    }

    #[rstest]
    #[case::the_same("42", "42", None)]
    #[case::another("42", "41", Some("'41'"))]
    #[case::a_text_and_not_a_number("1.0", "1.00", Some("'1.00'"))]
    #[case::a_blank_is_seen("a", "a ", Some("'a '"))]
    #[case::nothing_is_a_text("", "", None)]
    #[case::negative("-7", "-7", None)]
    #[case::in_one_line("x", "a\nb", Some("'a b'"))]
    fn values(#[case] wanted: &str, #[case] found: &str, #[case] missed: Option<&str>) {
        let expected = Expected::Value(wanted.to_owned());
        assert_eq!(expected.missed_by(&value(found)).as_deref(), missed);
    }

    #[rstest]
    #[case::at_the_least("42", "", "42", None)]
    #[case::below("42", "", "41", Some("41"))]
    #[case::above("", "42", "42.000000000000000000000000001", Some("42.000000000000000000000000001"))]
    #[case::within("1", "3", "2.5", None)]
    #[case::written_otherwise("1.0", "1.00", "1", None)]
    #[case::negative("-3", "-1", "-2", None)]
    #[case::more_negative("-3", "", "-3.1", Some("-3.1"))]
    #[case::beyond_64_bits("9223372036854775808", "", "9223372036854775807", Some("9223372036854775807"))]
    #[case::far_beyond("", "123456789012345678901234567890", "123456789012345678901234567890", None)]
    #[case::no_rounding("", "0.3", "0.30000000000000004", Some("0.30000000000000004"))]
    #[case::exponent("1000000", "", "1e+06", None)]
    #[case::no_number("1", "", "many", Some("'many', which is no number"))]
    #[case::not_a_number("1", "", "NaN", Some("'NaN', which is no number"))]
    fn numbers(#[case] least: &str, #[case] most: &str, #[case] found: &str, #[case] missed: Option<&str>) {
        let expected = Expected::Number { at_least: number(least), at_most: number(most) };
        assert_eq!(expected.missed_by(&value(found)).as_deref(), missed);
    }

    #[rstest]
    #[case::none(0, Some(0), 0, None)]
    #[case::some_where_none_may_be(0, Some(0), 1, Some("1 row"))]
    #[case::enough(2, None, 2_000, None)]
    #[case::too_few(2_000, None, 1_999, Some("1 999 rows"))]
    #[case::too_many(1, Some(3), 4, Some("4 rows"))]
    fn so_many_rows(
        #[case] least: u64,
        #[case] most: Option<u64>,
        #[case] rows: u64,
        #[case] missed: Option<&str>,
    ) {
        let expected = Expected::Rows { at_least: least, at_most: most };
        assert_eq!(expected.missed_by(&Answer { rows, value: None }).as_deref(), missed);
    }

    #[test]
    fn a_value_is_of_the_only_row() {
        let any = Expected::Number { at_least: number("0"), at_most: None };
        for expected in [Expected::Value("x".to_owned()), any] {
            for (rows, words) in [(0, "no row"), (1, "NULL"), (2, "2 rows")] {
                assert_eq!(expected.missed_by(&Answer { rows, value: None }).as_deref(), Some(words));
            }
            let several = Answer { rows: 2, value: Some("x".to_owned()) };
            assert_eq!(expected.missed_by(&several).as_deref(), Some("2 rows"));
        }
    }

    #[test]
    fn of_a_long_value_a_hundred_characters_are_shown() {
        let long = "ä".repeat(101);
        let missed = Expected::Value(String::new()).missed_by(&value(&long)).unwrap();
        assert_eq!(missed, format!("'{}…'", "ä".repeat(99)));
        assert_eq!(clipped(&long[..200]), long[..200]);
    }

    #[test]
    fn a_number_that_is_only_written_otherwise_is_told_from_another() {
        let expected = |text: &str| Expected::Value(text.to_owned());
        assert!(expected("1").is_written_otherwise(&value("1.00")));
        assert!(!expected("1").is_written_otherwise(&value("1.01")));
        assert!(!expected("1").is_written_otherwise(&value("1")));
        assert!(!expected("a").is_written_otherwise(&value("b")));
    }

    #[rstest]
    #[case(Expected::Value("x".to_owned()), "'x'")]
    #[case(Expected::Number { at_least: number("1.50"), at_most: None }, "at least 1.5")]
    #[case(Expected::Number { at_least: None, at_most: number("-2") }, "at most -2")]
    #[case(Expected::Number { at_least: number("1"), at_most: number("20") }, "1 to 20")]
    #[case(Expected::Number { at_least: number("1"), at_most: number("1.0") }, "1")]
    #[case(Expected::Rows { at_least: 0, at_most: Some(0) }, "no row")]
    #[case(Expected::Rows { at_least: 0, at_most: Some(3) }, "at most 3 rows")]
    #[case(Expected::Rows { at_least: 2, at_most: Some(3) }, "2 to 3 rows")]
    #[case(Expected::Rows { at_least: 2, at_most: None }, "at least 2 rows")]
    fn in_words(#[case] expected: Expected, #[case] words: &str) {
        assert_eq!(expected.to_string(), words);
    }
}
