//! A server of the drill: a postmaster in a place, and where to find it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::world::{Clock, Command, Exit, Place, Process, Signal};
use tokio::time::sleep;
use tokio_postgres::Error;

use crate::clock::within;
use crate::fault;
use crate::log;
use crate::session::{Door, Session, Socket, describe};
use crate::settings::{AS_IS, HBA, PORT};
use crate::shared_memory;
use crate::workspace::{Workspace, trouble};

/// How often a condition is looked at again while waiting for it.
pub const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long an orderly stop may take before it is cut short.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A server that was started.
pub struct Server {
    /// Which of the drill's servers.
    pub name: Name,
    /// The directory of its socket.
    pub socket: Socket,
    /// Its log file.
    pub log: PathBuf,
    /// The postmaster's environment beside the place's own.
    pub env: Vec<(String, String)>,
    data: PathBuf,
    place: Box<dyn Place>,
    process: Option<Box<dyn Process>>,
    /// The shared memory that the postmaster had when it began to answer, for when its files are gone.
    at_start: Option<String>,
    /// The shared memory that it leaves behind, because it was killed.
    memory: Option<String>,
    /// Files beyond the workspace that it leaves behind.
    beyond: Vec<String>,
}

impl Server {
    /// A server whose place is open and whose postmaster is not started yet.
    pub fn new(name: Name, workspace: &Workspace, place: Box<dyn Place>) -> Self {
        Self {
            name,
            socket: workspace.socket(name),
            log: workspace.log(name),
            env: Vec::new(),
            data: workspace.data(name),
            place,
            process: None,
            at_start: None,
            memory: None,
            beyond: Vec::new(),
        }
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
        workspace.write(format!("conf/{name}.conf"), configuration, 0o600)?;
        workspace.write(format!("conf/{name}.hba.conf"), HBA, 0o600)?;
        workspace.write(format!("conf/{name}.ident.conf"), "", 0o600)?;
        self.start_again(workspace).await
    }

    /// Removes the lock files of a postmaster that is gone: that of its data directory, and that of its socket. They name a process
    /// by its number, which says nothing in another place: whoever has that number there would be taken for the postmaster
    /// (`CreateLockFile`, `src/backend/utils/init/miscinit.c`).
    ///
    /// # Errors
    ///
    /// A file that cannot be removed.
    pub fn forget_postmaster(&self, data: &Path) -> Result<(), Unable> {
        for path in [data.join("postmaster.pid"), self.socket.join(format!(".s.PGSQL.{PORT}.lock"))] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(trouble(&path, &error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Starts the postmaster on the configuration that it had; does not wait for anything.
    ///
    /// # Errors
    ///
    /// What the place cannot do.
    pub async fn start_again(&mut self, workspace: &Workspace) -> Result<(), Unable> {
        let name = self.name.name();
        let conf = |ending: &str| workspace.path(format!("conf/{name}.{ending}"));
        let (config, hba, ident) = (conf("conf"), conf("hba.conf"), conf("ident.conf"));
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
        let mut command = Command::postgres("postgres", arguments).log_to(&self.log);
        command.env.clone_from(&self.env);
        let process = self.place.spawn(&command).await?;
        if fault::is_settable(&self.env) {
            self.beyond.extend(fault::left_by(process.pid()));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Starts the postmaster on a directory as it lies there, with the configuration in it, but for where it listens and
    /// what would reach outside; does not wait for anything.
    ///
    /// # Errors
    ///
    /// What the place cannot do.
    pub async fn start_as_is(&mut self, workspace: &Workspace, data: &Path) -> Result<(), Unable> {
        let name = self.name.name();
        let hba = workspace.write(format!("conf/{name}.hba.conf"), HBA, 0o600)?;
        let ident = workspace.write(format!("conf/{name}.ident.conf"), "", 0o600)?;
        let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
        let files: [(&str, &Path); 3] =
            [("hba_file", &hba), ("ident_file", &ident), ("unix_socket_directories", &self.socket)];
        let files = files.map(|(name, path)| format!("{name}={}", path.display()));
        for setting in AS_IS.map(str::to_owned).into_iter().chain(files) {
            arguments.extend(["-c".to_owned(), setting]);
        }
        let mut command = Command::postgres("postgres", arguments).log_to(&self.log);
        command.env.clone_from(&self.env);
        data.clone_into(&mut self.data);
        self.process = Some(self.place.spawn(&command).await?);
        Ok(())
    }

    /// The number of the postmaster's process in its place; none before it was started.
    pub fn postmaster(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid())
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
                Ok(session) => {
                    self.at_start = shared_memory::of(&self.data);
                    // What a killed one left on the same files, its successor has removed before it began
                    // (`PGSharedMemoryCreate`, `src/backend/port/sysv_shmem.c`).
                    self.memory = None;
                    return Ok(session);
                }
                Err(_) if !running => {
                    let message =
                        format!("the {} ended while starting: {}", self.name.name(), self.last_words());
                    return Err(Unable::new(Code::ServerStartFailed, message));
                }
                Err(error) if self.lets_nobody_in(&error) => {
                    let message =
                        format!("the {} is up, and lets nobody in: {}", self.name.name(), describe(&error));
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

    /// Whether the server has opened and turned a client away for a reason that waiting does not mend: what it would
    /// need of its database is not there. Too little of something (class 53) and being told to wait or to go (57) are
    /// no such reason.
    pub fn lets_nobody_in(&self, error: &Error) -> bool {
        let Some(state) = error.code() else { return false };
        let passing = ["53", "57"].iter().any(|class| state.code().starts_with(class));
        let open = |line: &log::Line| line.message == "database system is ready to accept connections";
        !passing && log::read(&self.log).iter().any(open)
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

    /// Kills the postmaster, as a crash of the machine does.
    ///
    /// # Errors
    ///
    /// What the place cannot do.
    pub async fn kill(&mut self) -> Result<(), Unable> {
        // Its files may be gone by the time the memory is removed.
        self.memory = shared_memory::of(&self.data).or(self.at_start.take());
        self.signal(Signal::Kill).await
    }

    /// How the postmaster ended, once it has.
    pub async fn end(&mut self) -> Option<Exit> {
        self.process.as_mut()?.wait().await.ok()
    }

    /// What became of it that neither it nor what it was given to recover has done: somebody killed it or one of its processes,
    /// or it was refused memory. In its own words; none where it says nothing of the kind.
    pub async fn came_from_outside(&mut self) -> Option<String> {
        if !self.running() && self.end().await.is_some_and(|exit| exit.killed()) {
            return Some("it was killed".to_owned());
        }
        log::read(&self.log).into_iter().find(log::Line::is_from_outside).map(|line| line.message)
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

    /// Stops the server in order, with a checkpoint, so that its files can be used again. One that does not stop is
    /// for [`Self::close`] to end.
    pub async fn stop(&mut self, clock: &dyn Clock) {
        within(clock, STOP_LIMIT, async {
            if self.running() && self.signal(Signal::Int).await.is_ok() {
                self.end().await;
            }
        })
        .await;
    }

    /// Ends the server, removes what it could not remove itself, and closes its place.
    pub async fn close(mut self) -> Vec<Finding> {
        if self.process.is_some() && !self.running() {
            self.memory = self.memory.or_else(|| shared_memory::of(&self.data));
        }
        let mut findings = match &self.memory {
            Some(id) => shared_memory::remove(self.place(), id, self.name.name()).await,
            None => Vec::new(),
        };
        findings.extend(shared_memory::remove_files(self.place(), &self.beyond, self.name.name()).await);
        findings.extend(self.place.close().await);
        findings
    }
}
