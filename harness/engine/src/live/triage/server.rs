//! What is asked of the server itself: one question per fact, each in a transaction of its own, so that one that fails takes
//! no other with it.

use std::time::Duration;

use pgdrill_model::triage::{Fact, Facts, State, Transactions};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{connect, first_question};
use crate::live::target::{Target, words};

const QUESTIONS: &str = include_str!("../../sql/live_triage.sql");

/// What begins a question in the file.
const MARK: &str = "-- fact: ";

/// Between two looks at the counters: since 15 a backend tells what it did at most once a second
/// (`PGSTAT_MIN_INTERVAL`, `src/backend/utils/activity/pgstat.c`).
const BETWEEN_LOOKS: Duration = Duration::from_millis(1100);

/// The longest that one question may take on the server.
const LONGEST_QUESTION: Duration = Duration::from_secs(3);

/// Asks everything of a server, and puts what it answers into the facts.
pub async fn ask(target: &Target, texts: bool, deadline: Instant, facts: &mut Facts) {
    let (reach, connected) = connect(target, deadline).await;
    let (reach, connected) = first_question(reach, connected, "SELECT 1", deadline).await;
    facts.reach = reach;
    let Some(connected) = connected else {
        let why = facts.reach.words.clone().unwrap_or_default();
        return without_answers(facts, &why);
    };
    let asking = Asking { client: &connected.client, texts, deadline };
    let first = Instant::now();
    facts.transactions = asking.fact("transactions").await;
    facts.version = asking.fact("version").await;
    facts.recovery = asking.fact("recovery").await;
    facts.connections = asking.fact("connections").await;
    facts.archiver = asking.fact("archiver").await;
    facts.segments_waiting = match asking.fact::<bool>("may_see_segments").await {
        Fact::Known(_) => asking.fact("segments_waiting").await,
        Fact::Unknown(why) => Fact::Unknown(why),
    };
    facts.replication = asking.fact("replication").await;
    facts.slots = asking.fact("slots").await;
    facts.queries = asking.fact("queries").await;
    facts.locks = asking.fact("locks").await;
    facts.checksums = asking.fact("checksums").await;
    facts.recent = recent(&asking, first, &facts.transactions).await;
    if let Some(recovery) = facts.recovery.known() {
        if recovery.in_recovery {
            facts.reach.state = State::InRecovery;
        } else if recovery.read_only {
            facts.reach.state = State::ReadOnly;
        }
    }
    // A server that hangs does not take a farewell either.
    let _ = timeout_at(deadline, connected.close()).await;
}

/// What happened between two looks at the counters.
async fn recent(asking: &Asking<'_>, first: Instant, before: &Fact<Transactions>) -> Fact<Transactions> {
    let before = match before {
        Fact::Known(before) => before,
        Fact::Unknown(why) => return Fact::Unknown(why.clone()),
    };
    let second = first + BETWEEN_LOOKS;
    if second >= asking.deadline {
        return Fact::Unknown("there was no time for a second look".to_owned());
    }
    sleep_until(second).await;
    let over_us = Some(first.elapsed().as_micros() as u64);
    match asking.fact::<Transactions>("transactions").await {
        Fact::Known(after) => match (
            after.committed.checked_sub(before.committed),
            after.rolled_back.checked_sub(before.rolled_back),
        ) {
            (Some(committed), Some(rolled_back)) => {
                Fact::Known(Transactions { committed, rolled_back, over_us })
            }
            _ => Fact::Unknown("the statistics were reset meanwhile".to_owned()),
        },
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}

/// Every fact that only the server knows, as unknown.
fn without_answers(facts: &mut Facts, why: &str) {
    fn unknown<T>(why: &str) -> Fact<T> {
        Fact::Unknown(why.to_owned())
    }
    facts.version = unknown(why);
    facts.recovery = unknown(why);
    facts.connections = unknown(why);
    facts.archiver = unknown(why);
    facts.segments_waiting = unknown(why);
    facts.replication = unknown(why);
    facts.slots = unknown(why);
    facts.queries = unknown(why);
    facts.locks = unknown(why);
    facts.checksums = unknown(why);
    facts.transactions = unknown(why);
    facts.recent = unknown(why);
}

struct Asking<'c> {
    client: &'c Client,
    texts: bool,
    deadline: Instant,
}

impl Asking<'_> {
    /// The answer to a question of the file, or why there is none.
    async fn fact<T: DeserializeOwned>(&self, name: &str) -> Fact<T> {
        let Some(question) = question(name) else {
            return Fact::Unknown(format!("there is no question '{name}'"));
        };
        let left = self.deadline.saturating_duration_since(Instant::now()).min(LONGEST_QUESTION);
        let asked = question.replace(":queries", if self.texts { "true" } else { "false" });
        // In one message, so that a pooler cannot give its parts to different servers, and by SET LOCAL, so that nothing of it
        // stays on a connection that others use.
        let batch = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL search_path = pg_catalog; {asked}; COMMIT",
            left.as_millis().max(1)
        );
        match timeout_at(self.deadline, self.client.simple_query(&batch)).await {
            Ok(Ok(messages)) => answer(&messages),
            Ok(Err(error)) => {
                let _ = timeout_at(self.deadline, self.client.simple_query("ROLLBACK")).await;
                Fact::Unknown(words(&error))
            }
            Err(_) => Fact::Unknown("no answer in time".to_owned()),
        }
    }
}

/// A question of the file, without its comments.
fn question(name: &str) -> Option<String> {
    let mut parts = QUESTIONS.split(MARK).skip(1);
    let part = parts.find_map(|part| part.split_once('\n').filter(|(title, _)| title.trim() == name))?.1;
    let lines = part.lines().filter(|line| !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    Some(text.trim().trim_end_matches(';').to_owned())
}

/// The JSON value of an answer.
fn answer<T: DeserializeOwned>(messages: &[SimpleQueryMessage]) -> Fact<T> {
    let text = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    });
    match text.map(serde_json::from_str::<Fact<T>>) {
        Some(Ok(fact)) => fact,
        Some(Err(error)) => Fact::Unknown(format!("the answer is not understood: {error}")),
        None => Fact::Unknown("the answer is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_of_the_file_is_one_statement() {
        let names: Vec<&str> = QUESTIONS.split(MARK).skip(1).filter_map(|part| part.lines().next()).collect();
        assert_eq!(names.len(), 12, "{names:?}");
        for name in names {
            let text = question(name).unwrap();
            assert!(text.starts_with("SELECT") || text.starts_with("WITH"), "{name}: {text}");
            // The advice to grant has a semicolon, too, within its words.
            let statements = text.replace("superuser: GRANT", "").matches(';').count();
            let advice = text.matches("; as a superuser").count();
            assert_eq!(statements, advice, "{name}: {text}");
        }
        assert_eq!(question("weather"), None);
    }
}
