//! A process in a container: following it while it runs, and ending it with everything that it started.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::show_duration;
use pgdrill_model::world::{Exit, Process};
use tokio::sync::watch;

use super::container::script;
use super::exec::{Exec, Started};
use super::place::Ground;

/// The variable that tells the commands of a place apart.
pub(super) const COMMAND: &str = "PGDRILL_COMMAND";

/// What ends a command with all that it started.
const FAMILY: &str = include_str!("family.sh");

/// How long the engine may take to notice an end.
const NOTICE: Duration = Duration::from_secs(5);

/// A started process.
#[derive(Debug)]
pub(super) struct DockerProcess {
    pid: u32,
    started: Started,
    ended: watch::Receiver<Option<Result<Exit, Unable>>>,
}

impl DockerProcess {
    /// Follows a command from now on, whether anybody waits for it or not.
    pub(super) fn follow(exec: Exec, pid: u32) -> Self {
        let (tell, ended) = watch::channel(None);
        let started = exec.started.clone();
        tokio::spawn(async move {
            let outcome = exec.end().await;
            tell.send_replace(Some(outcome));
        });
        Self { pid, started, ended }
    }

    async fn end(&mut self) -> Result<Exit, Unable> {
        let followed = self.ended.wait_for(Option::is_some).await;
        let outcome = followed.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| {
            Err(Unable::bug(format!("nobody follows process {} of a container", self.pid)))
        })
    }
}

#[async_trait]
impl Process for DockerProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn running(&mut self) -> bool {
        self.ended.borrow().is_none() && self.ended.has_changed().is_ok()
    }

    async fn wait(&mut self) -> Result<Exit, Unable> {
        self.end().await
    }
}

/// Which processes are those of one command.
#[derive(Clone)]
pub(super) struct Family {
    pub(super) ground: Arc<Ground>,
    pub(super) number: u64,
    pub(super) first: u32,
}

impl Family {
    /// Kills them, and gives what would not go.
    pub(super) async fn end(self) -> Result<Option<String>, Unable> {
        let (number, first) = (self.number.to_string(), self.first.to_string());
        let argv = ["sh", "-c", &script(FAMILY), "pgdrill-end", &number, &first].map(str::to_owned).to_vec();
        let exit = self.ground.start(argv, Vec::new()).await?.end().await?;
        Ok(Some(exit.stdout.trim().to_owned()).filter(|left| !left.is_empty()))
    }
}

/// A command that is being run to its end. When it is dropped before that, everything that it started is killed.
pub(super) struct Running {
    process: DockerProcess,
    family: Option<Family>,
}

impl Running {
    pub(super) fn new(process: DockerProcess, family: Family) -> Self {
        Self { process, family: Some(family) }
    }

    /// Waits for the end, or ends it at the time limit.
    pub(super) async fn within(mut self, limit: Duration, name: &str) -> Result<Exit, Unable> {
        if let Ok(exit) = tokio::time::timeout(limit, self.process.end()).await {
            self.family = None;
            return exit;
        }
        if let Ok(Some(_)) = self.process.started.code().await {
            // The command itself kept its time; only what it left in the background still prints.
            self.family = None;
            return self.process.end().await;
        }
        let mut message = format!("`{name}` did not end within {} and was ended", show_duration(limit));
        let left = match self.family.take() {
            Some(family) => family.end().await,
            None => Ok(None),
        };
        match left {
            Ok(Some(left)) => message = format!("{message}, but {left} is still there"),
            Err(unable) => message = format!("{message}, or so it was meant: {unable}"),
            Ok(None) => {}
        }
        if let Ok(Ok(exit)) = tokio::time::timeout(NOTICE, self.process.end()).await
            && !exit.last_words().is_empty()
        {
            message = format!("{message}; its last words: {}", exit.last_words());
        }
        Err(Unable::new(Code::TimeLimit, message))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where nothing can be done any more, the end of the place ends it.
        if let (Some(family), Ok(tokio)) = (self.family.take(), tokio::runtime::Handle::try_current()) {
            tokio.spawn(family.end());
        }
    }
}
