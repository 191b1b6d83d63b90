//! The application in front of the server: which one it is, and where it may be started and stopped.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::Step as Written;
use super::mistake::{Lines, Note, Span as Place};
use super::slot::{At, Slot};
use super::tree::found_text;
use super::value::{FromText, Span, Statement, read_from_text};
use super::wrong::Words;
use super::{Placed, Step};

const WITHIN: Duration = Duration::from_secs(60);

/// The application of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Application {
    /// Somebody's own; none is the stand-in: a trading API and its web, which place orders through PgBouncer.
    pub own: Option<OwnApplication>,
    /// How long it may take to be healthy once it was started, and to end once it was told to.
    pub within: Duration,
}

impl Default for Application {
    fn default() -> Self {
        Self { own: None, within: WITHIN }
    }
}

/// Somebody's own application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OwnApplication {
    /// A command for this host's shell that starts it and returns.
    pub start: String,
    /// One that stops it.
    pub stop: String,
    /// URLs that answer 200 while it is healthy.
    pub health: Vec<String>,
}

/// What is done with the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ApplicationWord {
    /// Starts it on the server that is there, behind PgBouncer, and uses it as a person would.
    Start,
    /// Stops it.
    Stop,
}

/// The application of a drill.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("dependentRequired" = {
    "start": ["stop", "health"], "stop": ["start", "health"], "health": ["start", "stop"]
}))]
pub(super) struct ApplicationArguments {
    /// A command for this host's shell that starts your own application and returns. It finds the pool in PGHOST, PGPORT,
    /// PGDATABASE, PGUSER and PGPASSWORD. Default: a stand-in for a trading API and its web.
    pub(super) start: Slot<Statement>,
    /// A command that stops it.
    pub(super) stop: Slot<Statement>,
    /// URLs that answer 200 while it is healthy, as in [http://127.0.0.1:4001/api/healthz].
    #[schemars(extend("minItems" = 1))]
    pub(super) health: Slot<Vec<Slot<HealthUrl>>>,
    /// How long it may take to be healthy, and to end, as in 60s. Default: 60s.
    pub(super) within: Slot<Span>,
}

/// A URL that tells how the application is.
#[derive(Clone, Debug)]
pub(super) struct HealthUrl(pub(super) String);

impl FromText for HealthUrl {
    const WANTED: &'static str = "a URL, as in http://127.0.0.1:4001/api/healthz";

    fn from_text(text: &str) -> Result<Self, Words> {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let odd = text.chars().any(|c| c.is_whitespace() || c.is_control());
        match host {
            Some(host) if !odd && !host.is_empty() && !host.starts_with(['/', ':', '?', '#']) => {
                if host.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
                    return Err(Words::predicate(
                        "holds a password or a user name, which would stand in every report",
                        "let the URL answer without one; it is asked from this host",
                    ));
                }
                Ok(Self(text.to_owned()))
            }
            _ => Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                "write the whole of it, with http:// or https://",
            )),
        }
    }
}

read_from_text!(HealthUrl);

/// What `arguments` mean. What makes no sense is noted.
pub(super) fn meaning(
    written: Option<At<ApplicationArguments>>,
    steps: &[Placed<Step>],
    notes: &mut Vec<Note>,
) -> Application {
    let Some(At { span, what: arguments }) = written else { return Application::default() };
    let mut note = |message: &str, hint: &str| notes.push(Note::new(span, message).hint(hint));
    if !steps.iter().any(|step| step.what == Step::StartApplication) {
        note(
            "an application, and no step starts it",
            "write `- application: start` where it is to be started",
        );
    }
    let within = arguments.within.what().map_or(WITHIN, |within| within.0);
    let health: Vec<String> =
        arguments.health.what().into_iter().flatten().filter_map(|url| url.what().map(|url| url.0)).collect();
    let own = match (arguments.start.what(), arguments.stop.what(), health.is_empty()) {
        (None, None, true) => None,
        (Some(start), Some(stop), false) => Some(OwnApplication { start: start.0, stop: stop.0, health }),
        _ => {
            note(
                "an application of your own needs all of `start`, `stop` and `health`",
                "write all three, or none for the stand-in",
            );
            None
        }
    };
    Application { own, within }
}

/// Tells of an objective `outage` where there is no outage to be seen: the application must have been started on a server
/// that is lost, and again after it.
pub(super) fn measured(outage: Option<Place>, steps: &[Placed<Step>], notes: &mut Vec<Note>) {
    let Some(place) = outage else { return };
    let lost = |step: &Step| matches!(step, Step::Disaster(disaster) if disaster.loses_the_server());
    let before = steps.iter().position(|step| step.what == Step::StartApplication);
    let after = steps.iter().rposition(|step| step.what == Step::StartApplication);
    let seen = before
        .zip(after)
        .is_some_and(|(before, after)| steps[before..after].iter().any(|step| lost(&step.what)));
    if !seen {
        notes.push(
            Note::new(place, "an objective `outage`, and no application that goes away and comes back")
                .hint("write `- application: start` above the disaster and below the recovery"),
        );
    }
}

/// Where the application is in the steps.
#[derive(Default)]
pub(super) struct Running {
    /// Since when it runs.
    since: Option<Place>,
    /// Whether it was started on the server that was recovered last.
    on_recovered: Option<Place>,
    recovered: bool,
}

impl Running {
    /// Why a step cannot stand where it stands, each with what to do. `lost` tells whether there is no server, `behind`
    /// since when work goes on behind.
    pub(super) fn misplaced(
        &self,
        step: &Written,
        lost: bool,
        behind: Option<Place>,
        lines: &Lines,
    ) -> Option<(String, &'static str)> {
        let line = |span: Place| lines.line(span.start);
        match (step, self.since) {
            (Written::Application(ApplicationWord::Start), _) if lost => Some((
                "the application is started, and there is no server".to_owned(),
                "move it above the disaster or below `recover`",
            )),
            (Written::Application(ApplicationWord::Start), Some(since)) => Some((
                format!("the application runs already, since line {}", line(since)),
                "write `- application: stop` between them",
            )),
            (Written::Application(ApplicationWord::Start), None) => behind.map(|behind| {
                (
                    format!(
                        "the application is started beside the work that goes on since line {}: its order is in no ledger",
                        line(behind)
                    ),
                    "move it above the work, or write `- work: stop` above it",
                )
            }),
            (Written::Application(ApplicationWord::Stop), None) => Some((
                "the application is stopped, and does not run".to_owned(),
                "write `- application: start` above it, or leave it out",
            )),
            (Written::Failover(_), Some(since)) => Some((
                format!("a failover while the application runs, since line {}", line(since)),
                "write `- application: stop` above it: the pooler does not follow",
            )),
            (Written::Recover(_) | Written::Sweep(_) | Written::Rollback(_), Some(since)) => Some((
                format!("`{}` while the application runs, since line {}", step.name(), line(since)),
                "write `- application: stop` above it: nobody may write to a server that is being recovered",
            )),
            (Written::Check(_), _) => self.on_recovered.map(|started| {
                (
                    format!("a check after the application was started on line {}, where it has placed an order", line(started)),
                    "move it above `application: start`; without it all checks are made there",
                )
            }),
            _ => None,
        }
    }

    /// Takes note of a recovery.
    pub(super) fn recover(&mut self) {
        self.recovered = true;
        self.on_recovered = None;
    }

    pub(super) fn step(&mut self, word: ApplicationWord, span: Place) -> Step {
        match word {
            ApplicationWord::Start => {
                self.since = Some(span);
                self.on_recovered = self.recovered.then_some(span);
                Step::StartApplication
            }
            ApplicationWord::Stop => {
                self.since = None;
                Step::StopApplication
            }
        }
    }
}
