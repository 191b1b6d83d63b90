//! Queries of the user's own: how they are written in a scenario, or in a file of their own, and what of it makes no sense.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

use super::mistake::{Lines, Mistakes, Note, Span, quote};
use super::slot::{At, Slot, TextOr, read_text_or};
use super::tree::{self, found_text};
use super::value::{Database, FromText, Span as SpanOfTime, read_from_text, whole_number};
use super::walk::Walk;
use super::wrong::Words;
use super::{Placed, Step};
use crate::check::Check;
use crate::query::{Expected, Number, Query};

/// How long a query may take by default.
const WITHIN: Duration = Duration::from_secs(60);

/// The most characters of a name: findings and reports repeat it.
const LONGEST_NAME: usize = 60;

/// A question to the recovered server, and what it must answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["name", "query", "expect"]))]
pub(super) struct QueryArguments {
    /// What it is called in reports; each query has another name.
    pub(super) name: Slot<QueryName>,
    /// One statement that only reads.
    pub(super) query: Slot<QueryText>,
    /// What it must answer: a value, which the first column of its only row must be, compared as text; bounds of a number, as in
    /// { at-least: 1_000, at-most: 2_000 }; or how many rows it gives, as in { rows: 0 }. What it selects stands in the record where
    /// it is another value.
    pub(super) expect: Slot<ExpectedArguments>,
    /// In which database. Default: the fixture's own; postgres where the backup was there already.
    pub(super) database: Slot<Database>,
    /// As which role. Default: the superuser.
    pub(super) role: Slot<RoleName>,
    /// How long it may take, as in 60s. Default: 60s.
    pub(super) within: Slot<SpanOfTime>,
}

/// Bounds of a number, or of a number of rows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ExpectedMapping {
    /// The least that the number in the first column of the only row may be.
    pub(super) at_least: Slot<NumberText>,
    /// The most that it may be.
    pub(super) at_most: Slot<NumberText>,
    /// How many rows there must be: a number, or { at-least: 1, at-most: 10 }.
    pub(super) rows: Slot<RowsArguments>,
}

/// A value, or a mapping of bounds.
#[derive(Debug)]
pub(super) enum ExpectedArguments {
    Value(String),
    Mapping(ExpectedMapping),
}

read_text_or!(ExpectedArguments);

impl TextOr<'_> for ExpectedArguments {
    type Arguments = ExpectedMapping;
    const WANTED: &'static str = "a value, or a mapping with the keys at-least, at-most, rows";
    const HINT: &'static str = "write `expect: 42`, `{ at-least: 1 }` or `{ rows: 0 }`";

    fn text(text: &str) -> Result<Self, Words> {
        let grouped = text.replace('_', "");
        if grouped != text && grouped.parse::<Number>().is_ok() {
            return Err(Words::predicate(
                format!(
                    "is compared as text, in which PostgreSQL writes no underscores; found {}",
                    quote(text)
                ),
                format!("write {grouped}"),
            ));
        }
        Ok(Self::Value(text.to_owned()))
    }

    fn arguments(arguments: ExpectedMapping) -> Self {
        Self::Mapping(arguments)
    }

    fn nothing() -> Result<Self, Words> {
        let hint = "for NULL, let the query say `... IS NULL`, and expect true";
        Err(Words::predicate(format!("must be {}; found nothing", Self::WANTED), hint))
    }
}

impl JsonSchema for ExpectedArguments {
    fn schema_name() -> Cow<'static, str> {
        "ExpectedArguments".into()
    }

    /// The mapping's schema, for which a value also does.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ExpectedMapping::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "number", "boolean", "object"]));
        schema.insert("pattern".to_owned(), json!("^(?!-?[0-9.]*_[0-9._]*$)"));
        schema.insert("minProperties".to_owned(), json!(1));
        schema
    }
}

/// Bounds of a number of rows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RowsMapping {
    /// The fewest rows.
    pub(super) at_least: Slot<RowCount>,
    /// The most rows.
    pub(super) at_most: Slot<RowCount>,
}

/// A number of rows, or bounds of it.
#[derive(Debug)]
pub(super) enum RowsArguments {
    Exactly(u64),
    Mapping(RowsMapping),
}

read_text_or!(RowsArguments);

impl TextOr<'_> for RowsArguments {
    type Arguments = RowsMapping;
    const WANTED: &'static str = "a number of rows, as in 0, or a mapping with the keys at-least, at-most";
    const HINT: &'static str = "write `rows: 0` where there must be none";

    fn text(text: &str) -> Result<Self, Words> {
        whole_number(text, Self::WANTED).map(Self::Exactly)
    }

    fn arguments(arguments: RowsMapping) -> Self {
        Self::Mapping(arguments)
    }
}

impl JsonSchema for RowsArguments {
    fn schema_name() -> Cow<'static, str> {
        "RowsArguments".into()
    }

    /// The mapping's schema, for which a number also does.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RowsMapping::json_schema(generator);
        schema.insert("type".to_owned(), json!(["integer", "string", "object"]));
        schema.insert("minimum".to_owned(), json!(0));
        schema.insert("pattern".to_owned(), json!("^(0|[1-9][0-9]*(_[0-9]+)*)$"));
        schema.insert("minProperties".to_owned(), json!(1));
        schema
    }
}

/// What a query is called.
#[derive(Clone, Debug)]
pub(super) struct QueryName(pub(super) String);

impl FromText for QueryName {
    const WANTED: &'static str = "a name in one line, of at most 60 characters";

    fn from_text(text: &str) -> Result<Self, Words> {
        let name = text.trim();
        let too_long = name.chars().nth(LONGEST_NAME).is_some();
        if name.is_empty() || too_long || name.contains(char::is_control) {
            let message = format!("must be {}; found {}", Self::WANTED, found_text(text));
            return Err(Words::predicate(message, "findings and reports repeat it: say what must hold"));
        }
        Ok(Self(name.to_owned()))
    }
}

/// The text of a query.
#[derive(Clone, Debug)]
pub(super) struct QueryText(String);

impl FromText for QueryText {
    const WANTED: &'static str = "one SQL statement";
    const HINT: &'static str = "write what to ask, as in `SELECT count(*) FROM accounts`";

    fn from_text(text: &str) -> Result<Self, Words> {
        if text.trim().is_empty() {
            return Err(Words::predicate("is empty", Self::HINT));
        }
        if text.contains('\0') {
            return Err(Words::predicate("holds a NUL character, which PostgreSQL refuses", ""));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of a role.
#[derive(Clone, Debug)]
pub(super) struct RoleName(String);

impl FromText for RoleName {
    const WANTED: &'static str = "the name of a role";
    const HINT: &'static str = "leave it out for the superuser";

    fn from_text(text: &str) -> Result<Self, Words> {
        if text.is_empty() || text.len() > 63 || text.contains('\0') {
            let message = format!("must be {}; found {}", Self::WANTED, found_text(text));
            return Err(Words::predicate(message, Self::HINT));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A bound of a number.
#[derive(Clone, Debug)]
pub(super) struct NumberText(Number);

impl FromText for NumberText {
    const WANTED: &'static str = "a number, as in 1_000 or -0.5";

    fn from_text(text: &str) -> Result<Self, Words> {
        let wrong =
            |hint| Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), hint);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let whole = whole.strip_prefix('-').unwrap_or(whole);
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !whole.split('_').all(digits) || !digits(fraction) {
            return Err(wrong("write all digits, and a point before decimals: 1000.5, not 1e3 or 1,000"));
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(wrong("YAML readers disagree about a leading zero; leave it out"));
        }
        // As long as it may be: it is no integer of the machine's.
        text.replace('_', "").parse().map(Self).map_err(|()| wrong(""))
    }
}

/// A number of rows as a bound.
#[derive(Clone, Debug)]
pub(super) struct RowCount(u64);

impl FromText for RowCount {
    const WANTED: &'static str = "a whole number, as in 1_000";

    fn from_text(text: &str) -> Result<Self, Words> {
        whole_number(text, Self::WANTED).map(Self)
    }
}

read_from_text!(QueryName, QueryText, RoleName, NumberText, RowCount);

/// Reads a file that holds a list of queries, as it stands below `queries:` in a scenario. `file` is what messages call it.
///
/// # Errors
///
/// Every mistake in it.
pub fn parse_queries(file: &str, text: &str) -> Result<Vec<Query>, Mistakes> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mistakes = |notes| Mistakes::place(file, body, notes);
    let root = tree::read(body).map_err(mistakes)?;
    let (written, mut notes) = Walk::part(&root, "queries");
    let queries = match written {
        Some(written) => meaning(written, root.span, &Lines::of(body), &mut notes),
        None => Vec::new(),
    };
    if notes.is_empty() { Ok(queries) } else { Err(mistakes(notes)) }
}

/// The queries that are meant by a list which stands at `place`. What makes no sense is noted.
pub(super) fn meaning(
    written: Vec<Slot<QueryArguments>>,
    place: Span,
    lines: &Lines,
    notes: &mut Vec<Note>,
) -> Vec<Query> {
    if written.is_empty() {
        notes.push(
            Note::new(place, "`queries` asks nothing")
                .hint("write `- { name: ..., query: SELECT ..., expect: ... }` below it, or leave it out"),
        );
    }
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    let mut queries = Vec::new();
    for At { span, what } in written.into_iter().filter_map(|slot| slot.0) {
        for (missing, key, hint) in [
            (
                what.name.0.is_none(),
                "name",
                "say what must hold, as in `name: no order without an audit row`",
            ),
            (
                what.query.0.is_none(),
                "query",
                "write what to ask, as in `query: SELECT count(*) FROM accounts`",
            ),
            (what.expect.0.is_none(), "expect", "write a value, `{ at-least: 1 }` or `{ rows: 0 }`"),
        ] {
            if missing {
                notes.push(Note::new(span, format!("a query without `{key}`")).hint(hint));
            }
        }
        if let Some(At { span, what: QueryName(name) }) = &what.name.0
            && let Some(first) = seen.insert(name.clone(), *span)
        {
            let message = format!("a second query of the name {}", quote(name));
            let line = lines.line(first.start);
            notes.push(
                Note::new(*span, message)
                    .hint(format!("the first is on line {line}; give this one another name")),
            );
        }
        let expected = what.expect.0.and_then(|expect| expected(expect, notes));
        if let (Some(QueryName(name)), Some(QueryText(sql)), Some(expected)) =
            (what.name.what(), what.query.what(), expected)
        {
            queries.push(Query {
                name,
                sql,
                expected,
                database: what.database.what().map(|database| database.0),
                role: what.role.what().map(|role| role.0),
                within: what.within.what().map_or(WITHIN, |within| within.0),
            });
        }
    }
    queries
}

/// What a query must answer.
fn expected(At { span, what }: At<ExpectedArguments>, notes: &mut Vec<Note>) -> Option<Expected> {
    let mapping = match what {
        ExpectedArguments::Value(value) => return Some(Expected::Value(value)),
        ExpectedArguments::Mapping(mapping) => mapping,
    };
    let bounds = [&mapping.at_least, &mapping.at_most].into_iter().find_map(Slot::span);
    match (bounds, mapping.rows.0) {
        (None, None) => {
            notes.push(
                Note::new(span, "`expect` does not say what is expected")
                    .hint("write a value, `{ at-least: 1 }` or `{ rows: 0 }`"),
            );
            None
        }
        (Some(bounds), Some(_)) => {
            notes.push(
                Note::new(bounds, "bounds of a number beside `rows`, which counts them")
                    .hint("leave one of them out, or write `rows: { at-least: 1, at-most: 10 }`"),
            );
            None
        }
        (Some(_), None) => {
            let place = mapping.at_least.span().unwrap_or(span);
            let bounds = [mapping.at_least, mapping.at_most].map(|slot| slot.what().map(|number| number.0));
            let [at_least, at_most] = within(bounds, place, notes)?;
            Some(Expected::Number { at_least, at_most })
        }
        (None, Some(At { what: RowsArguments::Exactly(rows), .. })) => {
            Some(Expected::Rows { at_least: rows, at_most: Some(rows) })
        }
        (None, Some(At { span, what: RowsArguments::Mapping(RowsMapping { at_least, at_most }) })) => {
            if at_least.0.is_none() && at_most.0.is_none() {
                notes.push(
                    Note::new(span, "`rows` does not say how many")
                        .hint("write `rows: 0`, or `rows: { at-least: 1 }`"),
                );
                return None;
            }
            let place = at_least.span().unwrap_or(span);
            let [at_least, at_most] =
                within([at_least, at_most].map(|slot| slot.what().map(|rows| rows.0)), place, notes)?;
            Some(Expected::Rows { at_least: at_least.unwrap_or(0), at_most })
        }
    }
}

/// Two bounds between which something can lie.
fn within<T: PartialOrd>(
    bounds: [Option<T>; 2],
    place: Span,
    notes: &mut Vec<Note>,
) -> Option<[Option<T>; 2]> {
    if let [Some(least), Some(most)] = &bounds
        && least > most
    {
        notes.push(
            Note::new(place, "`at-least` is more than `at-most`: nothing can be both")
                .hint("the two may have been mixed up"),
        );
        return None;
    }
    Some(bounds)
}

/// Tells of queries that no check of the drill asks.
pub(super) fn unasked(place: Span, steps: &[Placed<Step>], notes: &mut Vec<Note>) {
    let Some(last) = steps.iter().rposition(|step| matches!(step.what, Step::Recover(_))) else {
        notes.push(
            Note::new(place, "`queries` are asked of a recovered server, and nothing is recovered")
                .hint("write `- recover` as a step"),
        );
        return;
    };
    // Where no check is named below the last recovery, all are made.
    let check = steps[last..].iter().find(|step| matches!(step.what, Step::Check(_)));
    let asks =
        |step: &Placed<Step>| matches!(&step.what, Step::Check(checks) if checks.contains(&Check::Queries));
    if let Some(Placed { line, .. }) = check
        && !steps.iter().any(asks)
    {
        notes.push(
            Note::new(
                place,
                format!("nobody asks the `queries`: the check 'queries' is not among those of line {line}"),
            )
            .hint("write `queries: all` beside them, or `check` alone for all checks"),
        );
    }
}
