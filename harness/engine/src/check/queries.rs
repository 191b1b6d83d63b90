//! `queries`: what the scenario asks, and the answer that it expects.
//!
//! Each query has a session of its own, so that none is in another's way, and a transaction that only reads. It is prepared
//! first, which the server refuses where it is more than one statement, and then asked for the text of its values. A role is
//! taken on as if it had logged in, one that may not included.
//!
//! A query that fails disproves the backup, unless it would fail on any server: one that is no statement, or writes, says
//! nothing about a backup, and neither does one whose time ran out.

use futures_util::{TryStreamExt, pin_mut};
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::query::{Answer, Query, clipped};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::Type;
use tokio_postgres::{Error, SimpleQueryMessage};

use super::{Bench, Outcome, finding};
use crate::data::DATABASE;
use crate::session::{Door, SUPERUSER, Session, describe, tells_of_data};

/// Names that the summary lists before it only counts.
const MOST_NAMES: usize = 5;

/// What a server says of every statement that is not one, writes, cannot be in a transaction, or lacks a parameter.
const OF_THE_STATEMENT: [SqlState; 4] = [
    SqlState::SYNTAX_ERROR,
    SqlState::READ_ONLY_SQL_TRANSACTION,
    SqlState::ACTIVE_SQL_TRANSACTION,
    SqlState::UNDEFINED_PARAMETER,
];

/// Why there is no answer.
enum Silence {
    /// The server says that it cannot.
    Failed(String),
    /// Nothing was learnt; and what to do, where that is known.
    Undecided(String, Option<&'static str>),
    /// The server cannot be asked any more.
    Lost(Unable),
}

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let (mut held, mut found, mut lost) = (Vec::new(), Vec::new(), None);
    for query in bench.queries {
        match ask(bench, query).await {
            Ok(answer) => match judge(query, &answer) {
                Some(missed) => found.push(missed),
                None => held.push(query.name.as_str()),
            },
            Err(Silence::Failed(words)) => {
                let message = format!("the query {} failed: {words}", query.name);
                found.push(finding(Code::QueryFailed, message).about(&query.name));
            }
            Err(Silence::Undecided(words, hint)) => {
                let message = format!("the query {} could not be decided: {words}", query.name);
                let undecided = finding(Code::QueryUndecided, message).about(&query.name);
                found.push(hint.map_or(undecided.clone(), |hint| undecided.hint(hint)));
            }
            Err(Silence::Lost(unable)) => {
                lost = Some(unable.message);
                break;
            }
        }
    }
    let all = bench.queries.len();
    let undecided = found.iter().filter(|finding| finding.code == Code::QueryUndecided).count();
    let summary = match (lost, undecided) {
        (Some(why), _) => return Ok(Outcome { found, ..Outcome::not_run(why) }),
        (None, 0) => format!("{} of {all} as expected{}", held.len(), named(&held)),
        (None, undecided) => format!("{undecided} of {all} could not be decided"),
    };
    Ok(Outcome { not_run: undecided > 0, ..Outcome::of(all as u64, summary, found) })
}

/// The first names of those that held.
fn named(held: &[&str]) -> String {
    let first = held.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
    match held.len().saturating_sub(MOST_NAMES) {
        _ if held.is_empty() => String::new(),
        0 => format!(": {first}"),
        more => format!(": {first} and {more} more"),
    }
}

/// What is wrong with an answer.
fn judge(query: &Query, answer: &Answer) -> Option<Finding> {
    let found = query.expected.missed_by(answer)?;
    let expected = &query.expected;
    let missed = finding(
        Code::QueryMissed,
        format!("the query {} gave {found}, and {expected} was expected", query.name),
    )
    .about(&query.name)
    .with("expected", expected)
    .with("found", found);
    Some(if expected.is_written_otherwise(answer) {
        missed.hint("A value is compared as text; `{ at-least: N, at-most: N }` compares numbers, however they are written.")
    } else {
        missed
    })
}

async fn ask(bench: &Bench<'_>, query: &Query) -> Result<Answer, Silence> {
    let own = if bench.given.is_some() { SUPERUSER } else { DATABASE };
    let database = query.database.as_deref().unwrap_or(own);
    let silence = |error: &Error| silence(bench, query, error);
    let door = Door::asking(&bench.socket, database);
    let session = bench.connections.open(&door).await.map_err(|error| silence(&error))?;
    session.begin_reading(None).await.map_err(|error| silence(&error))?;
    let limit = format!("SET LOCAL statement_timeout = {}", query.within.as_millis().max(1));
    session.batch_execute(&limit).await.map_err(|error| silence(&error))?;
    if let Some(role) = &query.role {
        let become_it = format!("SET LOCAL SESSION AUTHORIZATION \"{}\"", role.replace('"', "\"\""));
        session.batch_execute(&become_it).await.map_err(|error| silence(&error))?;
    }
    answer(&session, &query.sql).await.map_err(|error| match error {
        Some(error) => silence(&error),
        None => Silence::Undecided(
            "it gives no rows, not even none".to_owned(),
            Some("Write a query, such as SELECT, whose rows can be looked at."),
        ),
    })
}

/// The answer to a statement; an error without one, where it is no query. Of its rows only the first is kept.
async fn answer(session: &Session, sql: &str) -> Result<Answer, Option<Error>> {
    let prepared = session.prepare(sql).await?;
    let is_boolean = prepared.columns().first().is_some_and(|column| *column.type_() == Type::BOOL);
    let messages = session.simple_query_raw(sql).await?;
    pin_mut!(messages);
    let (mut answer, mut is_query) = (Answer::default(), false);
    while let Some(message) = messages.try_next().await? {
        match message {
            SimpleQueryMessage::RowDescription(_) => is_query = true,
            SimpleQueryMessage::Row(row) => {
                answer.rows += 1;
                if answer.rows == 1 && !row.is_empty() {
                    answer.value = row.try_get(0)?.map(|value| cast(value, is_boolean));
                }
            }
            _ => {}
        }
    }
    if is_query { Ok(answer) } else { Err(None) }
}

/// A value as a cast to text gives it: only of a boolean that is another text than a server sends.
fn cast(value: &str, is_boolean: bool) -> String {
    match (is_boolean, value) {
        (true, "t") => "true".to_owned(),
        (true, "f") => "false".to_owned(),
        (_, value) => value.to_owned(),
    }
}

/// What an error says about the backup.
fn silence(bench: &Bench<'_>, query: &Query, error: &Error) -> Silence {
    let Some(said) = error.as_db_error() else {
        // An answer that is no text, or none of rows, leaves the server where it was.
        return if error.is_closed() {
            Silence::Lost(bench.lost(error))
        } else {
            Silence::Undecided(clipped(&describe(error)), None)
        };
    };
    let code = said.code();
    if *code == SqlState::QUERY_CANCELED {
        let limit = pgdrill_model::units::show_duration(query.within);
        return Silence::Undecided(format!("it was not answered within {limit}"), None);
    }
    if OF_THE_STATEMENT.contains(code) {
        let hint = "A query is one statement that only reads: it runs in a transaction of its own, in which nothing can be written.";
        return Silence::Undecided(words(said), Some(hint));
    }
    if tells_of_data(error) {
        return Silence::Failed(words(said));
    }
    match code.code().get(..2) {
        Some("08" | "57") => Silence::Lost(bench.lost(error)),
        _ => Silence::Undecided(words(said), None),
    }
}

/// What the server said, as far as a record shows it: it may quote what the query selects.
fn words(said: &DbError) -> String {
    format!("{}: {} (SQLSTATE {})", said.severity(), clipped(said.message()), said.code().code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use pgdrill_model::query::Expected;

    fn query(expected: Expected) -> Query {
        Query {
            name: "accounts".to_owned(),
            sql: "SELECT 1".to_owned(),
            expected,
            database: None,
            role: None,
            within: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_finding_has_both_answers_and_says_how_numbers_are_compared() {
        let asked = query(Expected::Value("1".to_owned()));
        let answer = |value: &str| Answer { rows: 1, value: Some(value.to_owned()) };
        assert_eq!(judge(&asked, &answer("1")), None);
        let missed = judge(&asked, &answer("2")).unwrap();
        assert_eq!(missed.message, "the query accounts gave '2', and '1' was expected");
        assert_eq!((missed.subject.as_deref(), missed.hint.as_deref()), (Some("accounts"), None));
        assert_eq!((missed.evidence["expected"].as_str(), missed.evidence["found"].as_str()), ("'1'", "'2'"));
        assert!(judge(&asked, &answer("1.0")).unwrap().hint.unwrap().contains("at-least"));
    }

    #[test]
    fn a_summary_names_the_first() {
        assert_eq!(named(&[]), "");
        assert_eq!(named(&["a", "b"]), ": a, b");
        assert_eq!(named(&["a", "b", "c", "d", "e", "f", "g"]), ": a, b, c, d, e and 2 more");
    }

    #[test]
    fn a_boolean_is_cast_as_postgresql_casts_it() {
        assert_eq!(
            (cast("t", true), cast("f", true), cast("t", false)),
            ("true".into(), "false".into(), "t".into())
        );
    }
}
