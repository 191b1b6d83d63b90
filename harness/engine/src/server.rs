//! A server of the drill: a postmaster in a place, and where to find it.

use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::world::{Clock, Command, Place, Process, Signal};
use tokio::time::sleep;

use crate::log;
use crate::session::{Door, Session, describe};
use crate::settings::HBA;
use crate::workspace::Workspace;

/// How often a condition is looked at again while waiting for it.
pub const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long an orderly stop may take before it is cut short.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A server that was started.
pub struct Server {
    /// Which of the drill's servers.
    pub name: Name,
    /// The directory of its socket.
    pub socket: PathBuf,
    /// Its log file.
    pub log: PathBuf,
    place: Box<dyn Place>,
    process: Option<Box<dyn Process>>,
}

impl Server {
    /// A server whose place is open and whose postmaster is not started yet.
    pub fn new(name: Name, workspace: &Workspace, place: Box<dyn Place>) -> Self {
        Self { name, socket: workspace.socket(name), log: workspace.log(name), place, process: None }
    }

    /// The place that it runs in.
    pub fn place(&self) -> &dyn Place {
        self.place.as_ref()
    }

    /// Starts the postmaster on `configuration`; does not wait for anything.
    ///
    /// # Errors
    ///
    /// What the place cannot do.
    pub async fn start(&mut self, workspace: &Workspace, configuration: &str) -> Result<(), Unable> {
        let name = self.name.name();
        let config = workspace.write(format!("conf/{name}.conf"), configuration, 0o600)?;
        let hba = workspace.write(format!("conf/{name}.hba.conf"), HBA, 0o600)?;
        let ident = workspace.write(format!("conf/{name}.ident.conf"), "", 0o600)?;
        let setting = |name: &str, path: &PathBuf| format!("{name}={}", path.display());
        let arguments = [
            "-D".to_owned(),
            workspace.data(self.name).display().to_string(),
            "-c".to_owned(),
            setting("config_file", &config),
            "-c".to_owned(),
            setting("hba_file", &hba),
            "-c".to_owned(),
            setting("ident_file", &ident),
        ];
        let command = Command::postgres("postgres", arguments).log_to(&self.log);
        self.process = Some(self.place.spawn(&command).await?);
        Ok(())
    }

    /// Whether the postmaster runs.
    pub fn running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.running())
    }

    /// What the server said last.
    pub fn last_words(&self) -> String {
        log::last_words(&self.log)
    }

    /// Waits until the server lets `door` in.
    ///
    /// # Errors
    ///
    /// `SERVER_START_FAILED` when it ended, `TIME_LIMIT` when it took longer than `within`.
    pub async fn ready(
        &mut self,
        door: &Door,
        within: Duration,
        clock: &dyn Clock,
    ) -> Result<Session, Unable> {
        let until = clock.elapsed() + within;
        loop {
            let running = self.running();
            match door.open().await {
                Ok(session) => return Ok(session),
                Err(_) if !running => {
                    let message =
                        format!("the {} ended while starting: {}", self.name.name(), self.last_words());
                    return Err(Unable::new(Code::ServerStartFailed, message));
                }
                Err(error) if clock.elapsed() >= until => {
                    let message = format!(
                        "the {} did not accept connections within {} s: {}",
                        self.name.name(),
                        within.as_secs(),
                        describe(&error)
                    );
                    return Err(Unable::new(Code::TimeLimit, message));
                }
                Err(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Sends the postmaster a signal.
    ///
    /// # Errors
    ///
    /// What the place cannot do.
    pub async fn signal(&mut self, signal: Signal) -> Result<(), Unable> {
        match &self.process {
            Some(process) => self.place.signal(process.pid(), signal).await,
            None => Ok(()),
        }
    }

    /// Waits until the postmaster is gone.
    ///
    /// # Errors
    ///
    /// `TIME_LIMIT`.
    pub async fn gone(&mut self, within: Duration) -> Result<(), Unable> {
        let Some(process) = &mut self.process else { return Ok(()) };
        match tokio::time::timeout(within, process.wait()).await {
            Ok(ended) => ended.map(|_| ()),
            Err(_) => {
                let message = format!("the {} did not end within {} s", self.name.name(), within.as_secs());
                Err(Unable::new(Code::TimeLimit, message))
            }
        }
    }

    /// Stops the server with a checkpoint, so that its files can be used again. One that does not stop in time is left
    /// to [`Server::close`].
    pub async fn stop(&mut self) {
        if self.running() && self.signal(Signal::Int).await.is_ok() {
            let _ = self.gone(STOP_LIMIT).await;
        }
    }

    /// Ends the server and closes its place. `orderly`: it is stopped before.
    pub async fn close(mut self, orderly: bool) -> Vec<Finding> {
        if orderly {
            self.stop().await;
        }
        self.place.close().await
    }
}
