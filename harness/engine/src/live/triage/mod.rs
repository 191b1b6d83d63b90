//! Triage: all that can be found out about a server in the first minutes of an incident, asked at the same time, and each
//! question for no longer than there is time. What is not answered by then is told as such.

mod pooler;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use pgdrill_model::triage::{Disk, Fact, Facts, Health, Metrics, Reach, State};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Error;

pub use crate::http::Url;

use super::probe::space;
use super::target::{Connected, Refusal, Target, refusal, words};
use crate::http;

/// The part of the time that is kept for telling what was found out.
const FOR_TELLING: f64 = 0.05;

/// So much is read of metrics, of which there can be many before those of the database.
const METRICS_BODY: usize = 1 << 20;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Questions {
    /// The server.
    pub server: Target,
    /// The console of the PgBouncer in front of it.
    pub pooler: Option<Target>,
    /// Directories on its disks, as seen from here.
    pub disks: Vec<PathBuf>,
    /// Where applications tell of their health.
    pub health: Vec<Url>,
    /// Where metrics are.
    pub metrics: Option<Url>,
    /// Whether the texts of queries are wanted.
    pub queries: bool,
    /// How long all of it may take.
    pub within: Duration,
    /// What time it is, microseconds since 1970.
    pub asked_unix_us: i64,
}

/// Asks everything at the same time. It always ends in time, and with what is known by then.
pub async fn collect(questions: &Questions) -> Facts {
    let deadline = Instant::now() + questions.within.mul_f64(1.0 - FOR_TELLING);
    let mut facts = Facts {
        server: questions.server.to_string(),
        asked_unix_us: questions.asked_unix_us,
        ..Facts::default()
    };
    let of_the_pooler = async {
        match &questions.pooler {
            Some(pooler) => Some(pooler::ask(pooler, deadline).await),
            None => None,
        }
    };
    let of_disks = join_all(questions.disks.iter().map(|path| disk(path, deadline)));
    let of_health = join_all(questions.health.iter().map(|url| health(url, deadline)));
    let of_metrics = async {
        match &questions.metrics {
            Some(url) => Some(metrics(url, deadline).await),
            None => None,
        }
    };
    let of_the_server = server::ask(&questions.server, questions.queries, deadline, &mut facts);
    let ((), pooler, disks, health, metrics) =
        tokio::join!(of_the_server, of_the_pooler, of_disks, of_health, of_metrics);
    Facts { pooler, disks, health, metrics, ..facts }
}

/// How full a disk is. One that hangs, as that of another host can, is left to itself.
async fn disk(path: &Path, deadline: Instant) -> Disk {
    let looked_at = path.to_owned();
    let asked = tokio::task::spawn_blocking(move || space(&looked_at));
    let space = match timeout_at(deadline, asked).await {
        Ok(Ok(Ok(space))) => Fact::Known(space),
        Ok(Ok(Err(why))) => Fact::Unknown(why),
        Ok(Err(error)) => Fact::Unknown(error.to_string()),
        Err(_) => Fact::Unknown("it hangs: no answer in time".to_owned()),
    };
    Disk { path: path.display().to_string(), space }
}

async fn health(url: &Url, deadline: Instant) -> Health {
    let began = Instant::now();
    let answer = http::get(url, http::HEALTH_BODY, deadline).await;
    let answer = answer.map_or_else(Fact::Unknown, |answer| Fact::Known(answer.code));
    Health { url: url.to_string(), answer, took_us: micros(began) }
}

async fn metrics(url: &Url, deadline: Instant) -> Metrics {
    let began = Instant::now();
    let answered = http::get(url, METRICS_BODY, deadline).await;
    let took_us = micros(began);
    let samples = answered.as_ref().map_or(0, |answer| samples(&answer.body));
    let answer = answered.map_or_else(Fact::Unknown, |answer| Fact::Known(answer.code));
    Metrics { url: url.to_string(), answer, samples, took_us }
}

/// Samples of metrics that tell of a database: as many as the runbook's `grep` would find.
fn samples(body: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(body);
    let told = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let about = |line: &&str| ["database", "connection", "query"].iter().any(|word| line.contains(word));
    told.filter(about).count() as u64
}

fn micros(since: Instant) -> u64 {
    since.elapsed().as_micros() as u64
}

/// Opens a connection in time; what it came to, and the connection where there is one.
async fn connect(target: &Target, deadline: Instant) -> (Reach, Option<Connected>) {
    let began = Instant::now();
    match timeout_at(deadline, target.connect()).await {
        Ok(Ok(connected)) => {
            let reach = Reach {
                state: State::Answers,
                connect_us: Some(micros(began)),
                tls: Some(connected.tls),
                ..Reach::default()
            };
            (reach, Some(connected))
        }
        Ok(Err(error)) => (refused(&error), None),
        Err(_) => (silent("no connection", began), None),
    }
}

/// Asks a first question by a connection that is open, and takes the time. Who lets one in and answers nothing is silent.
async fn first_question(
    mut reach: Reach,
    connected: Option<Connected>,
    question: &str,
    deadline: Instant,
) -> (Reach, Option<Connected>) {
    let Some(connected) = connected else { return (reach, None) };
    let began = Instant::now();
    match timeout_at(deadline, connected.client.simple_query(question)).await {
        Ok(Ok(_)) => {
            reach.answer_us = Some(micros(began));
            (reach, Some(connected))
        }
        Ok(Err(error)) => {
            let Reach { state, words, sqlstate, .. } = refused(&error);
            (Reach { state, words, sqlstate, ..reach }, None)
        }
        Err(_) => {
            let Reach { state, words, .. } =
                silent(&format!("a connection, and no answer to {question}"), began);
            (Reach { state, words, ..reach }, None)
        }
    }
}

fn silent(what: &str, began: Instant) -> Reach {
    let waited = began.elapsed().as_secs_f64();
    Reach { state: State::Silent, words: Some(format!("{what} within {waited:.1} s")), ..Reach::default() }
}

/// What an error says of the server.
fn refused(error: &Error) -> Reach {
    Reach {
        state: state_of(error),
        words: Some(words(error)),
        sqlstate: error.code().map(|code| code.code().to_owned()),
        ..Reach::default()
    }
}

/// The state of a server that answered with an error, or to which there was no way.
fn state_of(error: &Error) -> State {
    if let Some(server) = error.as_db_error() {
        return state_by_words(server.code().code(), server.message());
    }
    match refusal(error) {
        Some(Refusal::None) => return State::Unencrypted,
        Some(Refusal::Certificate) => return State::Untrusted,
        None => {}
    }
    if error.is_closed() {
        return State::Silent;
    }
    use std::io::ErrorKind;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match source.map(std::io::Error::kind) {
        // Of a Unix socket, that there is no such file.
        Some(ErrorKind::ConnectionRefused | ErrorKind::NotFound) => State::Absent,
        // Somebody is there, or should be, and ended the connection without a word or never answered.
        Some(
            ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
            | ErrorKind::BrokenPipe,
        ) => State::Silent,
        Some(_) => State::Unreachable,
        // What is wrong is between the two: no password, no common authentication.
        None => State::Refuses,
    }
}

/// The state of a server by the SQLSTATE with which it refused (`src/backend/postmaster/postmaster.c`,
/// `src/backend/utils/init/postinit.c`). Two states may have one SQLSTATE, and are told apart by words; where these are of
/// another language, the more common one is taken.
fn state_by_words(sqlstate: &str, message: &str) -> State {
    match sqlstate {
        "57P03" if message.contains("shutting down") => State::ShuttingDown,
        // It crashed and starts again.
        "57P03" | "57P02" => State::StartingUp,
        "57P01" => State::ShuttingDown,
        "53300" if message.contains("reserved for") => State::OnlySuperusers,
        "53300" => State::TooManyClients,
        _ => State::Refuses,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn samples_of_the_database_are_counted_and_comments_are_not() {
        let body = b"# HELP database_up x\ndatabase_up 1\nhttp_requests 5\nquery_seconds 0.1\n";
        assert_eq!(samples(body), 2);
    }

    #[rstest]
    #[case("57P03", "the database system is starting up", State::StartingUp)]
    #[case("57P03", "the database system is not yet accepting connections", State::StartingUp)]
    #[case("57P03", "the database system is in recovery mode", State::StartingUp)]
    #[case("57P03", "the database system is shutting down", State::ShuttingDown)]
    #[case("57P03", "das Datenbanksystem startet", State::StartingUp)]
    #[case("57P01", "terminating connection due to administrator command", State::ShuttingDown)]
    #[case("53300", "sorry, too many clients already", State::TooManyClients)]
    #[case(
        "53300",
        "remaining connection slots are reserved for non-replication superuser connections",
        State::OnlySuperusers
    )]
    #[case(
        "53300",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        State::OnlySuperusers
    )]
    #[case("28P01", "password authentication failed for user \"x\"", State::Refuses)]
    #[case("3D000", "database \"x\" does not exist", State::Refuses)]
    fn a_refusal_is_understood(#[case] sqlstate: &str, #[case] message: &str, #[case] state: State) {
        assert_eq!(state_by_words(sqlstate, message), state);
    }

    fn questions(server: Target, within: Duration) -> Questions {
        Questions {
            server,
            pooler: None,
            disks: Vec::new(),
            health: Vec::new(),
            metrics: None,
            queries: false,
            within,
            asked_unix_us: 0,
        }
    }

    #[tokio::test]
    async fn what_hangs_is_waited_for_no_longer_than_the_time() {
        // A listener that takes connections, by the kernel, and never says a word.
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dsn = format!("host=127.0.0.1 port={port} user=nobody sslmode=disable");
        let target = Target::new(&dsn, None, Duration::from_secs(60)).unwrap();
        let url: Url = format!("http://127.0.0.1:{port}/health").parse().unwrap();
        let mut questions = questions(target.clone(), Duration::from_millis(400));
        (questions.pooler, questions.health, questions.metrics) =
            (Some(target), vec![url.clone()], Some(url));
        let began = Instant::now();
        let facts = collect(&questions).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(facts.reach.state, State::Silent);
        assert_eq!(facts.pooler.as_ref().map(|pooler| pooler.reach.state), Some(State::Silent));
        assert!(
            facts.health[0].answer.why().is_some_and(|why| why.contains("no answer within")),
            "{facts:?}"
        );
        assert!(facts.metrics.as_ref().is_some_and(|metrics| metrics.answer.known().is_none()));
    }

    #[rstest]
    #[case::nobody_listens("host=/nowhere user=nobody", State::Absent)]
    #[case::no_such_name("host=nowhere.invalid user=nobody", State::Unreachable)]
    #[tokio::test]
    async fn no_way_to_a_server_is_not_a_server_that_is_gone(#[case] dsn: &str, #[case] state: State) {
        let target = Target::new(dsn, None, Duration::from_secs(5)).unwrap();
        let facts = collect(&questions(target, Duration::from_secs(5))).await;
        assert_eq!(facts.reach.state, state, "{facts:?}");
    }
}
