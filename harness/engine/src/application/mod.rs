//! The application's side of a drill: PgBouncer in front of the server that is there, an application behind it, and one who
//! asks again and again how it is.
//!
//! The application is a process of this host, not of a server's place, as it would be on a machine of its own. It is known by
//! what starts and stops it and by its URLs, so that somebody's own application takes the same way as the stand-in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::evidence::OutageEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Application;
use pgdrill_model::world::Clock;
use tokio::time::sleep;

use crate::clock::within;
use crate::drill::Drill;
use crate::http::Url;
use crate::server::LOOK_AGAIN;

mod health;
mod own;
mod pooler;
mod probing;
mod stand_in;
pub mod walk;

use health::all_well;
use pooler::Pooler;
pub use pooler::password;
use probing::Probing;
use stand_in::StandIn;

/// How long an application may take to end when the drill is over.
const END_LIMIT: Duration = Duration::from_secs(20);

/// The shortest that an answer is waited for, however little time is left.
const SHORTEST: Duration = Duration::from_millis(100);

/// What stands before the drill's servers.
pub struct Front {
    /// PgBouncer.
    pub pooler: Pooler,
    /// Whether the application has worked once: what does not work then is the server's fault.
    pub worked: bool,
    running: Option<Running>,
    probing: Option<Probing>,
}

/// An application that was started.
enum Running {
    StandIn(Box<StandIn>),
    Own {
        /// What stops it.
        stop: String,
        health: Vec<Url>,
    },
}

/// Where an application finds its database, as libpq's environment has it.
pub type Environment = Vec<(&'static str, String)>;

impl Front {
    /// Opens a place for PgBouncer and starts it there; it leads nowhere yet.
    ///
    /// # Errors
    ///
    /// `PROGRAM_MISSING`, `APPLICATION_UNUSABLE`, and what the runtime cannot do.
    pub async fn begin(drill: &mut Drill<'_>) -> Result<(), Unable> {
        let pooler = Pooler::open(drill).await?;
        // From here on teardown closes it, whatever happens.
        let front = drill.application.insert(Self { pooler, worked: false, running: None, probing: None });
        front.pooler.start(drill.workspace, drill.clock).await
    }

    /// Starts an application, which finds its database by `environment`.
    ///
    /// # Errors
    ///
    /// Why it did not start, in words.
    pub async fn start(
        &mut self,
        application: &Application,
        environment: &Environment,
        program: &Path,
        log: PathBuf,
    ) -> Result<(), String> {
        let Some(own) = &application.own else {
            let stand_in = StandIn::start(program, environment, &log, application.within).await?;
            self.running = Some(Running::StandIn(Box::new(stand_in)));
            return Ok(());
        };
        let health = own.health.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
        // Also one that did not start in order is stopped by its own command.
        self.running = Some(Running::Own { stop: own.stop.clone(), health });
        own::run(&own.start, environment, &log, application.within).await
    }

    /// Where the application is to be asked how it is; nowhere where none runs.
    pub fn health(&self) -> Vec<Url> {
        match &self.running {
            Some(Running::StandIn(stand_in)) => stand_in.health.to_vec(),
            Some(Running::Own { health, .. }) => health.clone(),
            None => Vec::new(),
        }
    }

    /// Where the stand-in's metrics are.
    pub fn metrics(&self) -> Option<Url> {
        format!("{}/api/public/metrics.prom", self.stand_in()?.0).parse().ok()
    }

    /// Where the stand-in's API and web are; none for somebody's own application.
    pub fn stand_in(&self) -> Option<(&str, &str)> {
        match &self.running {
            Some(Running::StandIn(stand_in)) => Some((stand_in.api.as_str(), stand_in.web.as_str())),
            _ => None,
        }
    }

    /// Stops the application.
    ///
    /// # Errors
    ///
    /// Why it did not end, in words.
    pub async fn stop(
        &mut self,
        environment: &Environment,
        log: PathBuf,
        limit: Duration,
    ) -> Result<(), String> {
        match self.running.take() {
            None => Ok(()),
            Some(Running::StandIn(stand_in)) => stand_in.stop(limit).await,
            Some(Running::Own { stop, .. }) => own::run(&stop, environment, &log, limit).await,
        }
    }

    /// Waits until every URL answers well, asked again and again; gives what the last answer was where that does not come.
    ///
    /// # Errors
    ///
    /// What one of them said last.
    pub async fn healthy(&self, limit: Duration, clock: &dyn Clock) -> Result<(), String> {
        let (urls, until) = (self.health(), clock.elapsed() + limit);
        loop {
            let left = until.saturating_sub(clock.elapsed());
            let Err(words) = all_well(&urls, left.clamp(SHORTEST, health::LIMIT)).await else {
                return Ok(());
            };
            if clock.elapsed() >= until {
                return Err(words);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// From now on the application is asked again and again how it is.
    pub fn probe(&mut self, clock: Arc<dyn Clock>) {
        let urls = self.health();
        match &self.probing {
            Some(probing) => probing.now(urls),
            None => self.probing = Some(Probing::begin(urls, clock)),
        }
    }

    /// How long the application was away around a loss; waits until it was seen to be back. None where it was never there
    /// before, or is not back in time.
    pub async fn outage(&self, lost: Duration, limit: Duration, clock: &dyn Clock) -> Option<OutageEvidence> {
        let probing = self.probing.as_ref()?;
        let back = async {
            loop {
                if let Some(outage) = probing.outage(lost) {
                    return outage;
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        within(clock, limit, back).await
    }

    /// Whether it was asked how it is before.
    pub fn was_probed(&self) -> bool {
        self.probing.is_some()
    }

    /// Ends the application and the pooler; what would not end is a finding.
    pub async fn close(mut self, environment: &Environment, log: PathBuf) -> Vec<Finding> {
        self.probing = None;
        let mut findings = Vec::new();
        if let Err(words) = self.stop(environment, log, END_LIMIT).await {
            let message = format!("the application did not end in order: {words}");
            findings.push(Finding::new(Code::CleanupFailed, Stage::Teardown, message));
        }
        findings.extend(self.pooler.close().await);
        findings
    }
}

/// Where an application finds its database.
pub fn environment(drill: &Drill<'_>) -> Environment {
    pooler::environment(&drill.workspace.socket(Name::Pooler), drill.run_id)
}

/// The application's log.
pub fn log(drill: &Drill<'_>) -> PathBuf {
    drill.workspace.path("log/application.log")
}
