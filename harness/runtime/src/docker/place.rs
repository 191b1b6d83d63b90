//! One place in a container: a lease, and the commands that are executed under it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::PlaceFacts;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::units::Major;
use pgdrill_model::world::{Command, Exit, Output, Place, Process, Program, Signal};
use testcontainers::bollard::errors::Error;
use tokio::sync::oneshot;

use super::container::script;
use super::engine::{Engine, bounded};
use super::exec::{Exec, Invocation};
use super::image::Layout;
use super::lease::Lease;
use super::process::{COMMAND, DockerProcess, Family, Running};

/// What becomes a command.
const RUN: &str = include_str!("run.sh");

/// How long a command may take to begin, on a machine that is drowning.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a container may take to be gone, first of itself, then by force.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How long the engine may take to notice that a container has ended.
const NOTICE: Duration = Duration::from_secs(2);

/// Between two looks at whether it is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where commands are executed: all of a place but its lease, so that whoever follows a command does not keep the
/// place alive.
pub(super) struct Ground {
    pub(super) engine: Engine,
    /// The container's id, and its name for people.
    pub(super) container: String,
    pub(super) name: String,
    /// The server that the place is for.
    pub(super) server: String,
    /// User and group.
    pub(super) user: String,
    pub(super) workspace: PathBuf,
    /// The image, as it was asked for, and its search path.
    pub(super) image: String,
    pub(super) path: String,
}

impl Ground {
    /// Starts something in the container, as the place's account and in the workspace.
    pub(super) async fn start(&self, argv: Vec<String>, env: Vec<String>) -> Result<Exec, Unable> {
        let what = Invocation {
            container: &self.container,
            user: self.user.clone(),
            directory: self.workspace.to_string_lossy().into_owned(),
            env,
            argv,
        };
        Exec::start(&self.engine, what).await.map_err(|error| match error {
            Error::DockerResponseServerError { status_code: 404 | 409, .. } => self.lost(),
            Error::DockerResponseServerError { message, .. } if message.contains("is not running") => {
                self.lost()
            }
            error => self.engine.unable(&format!("start a command in the container {}", self.name), &error),
        })
    }

    pub(super) fn lost(&self) -> Unable {
        Unable::new(
            Code::ServerLost,
            format!(
                "the container {} of the server '{}' was ended by somebody, so nothing more is started in it",
                self.name, self.server
            ),
        )
        .hint("Look for the OOM killer in the kernel's log, or for somebody who stopped the container or the engine.")
    }

    /// Starts a wrapped command and reads what the wrapper says of it.
    async fn launch(self: Arc<Self>, wrapped: Wrapped) -> Result<(DockerProcess, Family), Unable> {
        let name = wrapped.name;
        let mut exec = self.start(wrapped.argv, wrapped.env).await?;
        let header = tokio::time::timeout(START_LIMIT, exec.header()).await.map_err(|_| {
            let limit = START_LIMIT.as_secs();
            Unable::new(
                Code::TimeLimit,
                format!("`{name}` was not started in {} within {limit} s", self.name),
            )
        })??;
        let header = header.unwrap_or_default();
        if let Some(pid) = header.strip_prefix('+').and_then(|pid| pid.parse().ok()) {
            let family = Family { ground: Arc::clone(&self), number: wrapped.number, first: pid };
            return Ok((DockerProcess::follow(exec, pid), family));
        }
        if header == "-program" {
            return Err(Unable::new(
                Code::ProgramMissing,
                format!("there is no program `{name}` in the image {}", self.image),
            )
            .hint(format!(
                "Install the package that holds `{name}` in the image, or name another with --image."
            )));
        }
        let why = match header.strip_prefix("-log ") {
            Some(why) => why.to_owned(),
            None => bounded(&exec.complaint()),
        };
        if let (Some(log), false) = (&wrapped.log, why.is_empty()) {
            let message = format!("the log file {log} cannot be written: {why}");
            return Err(Unable::new(Code::WorkspaceUnusable, message));
        }
        if self.ends().await? {
            return Err(self.lost());
        }
        let what = format!("start `{name}` in the container {}", self.name);
        Err(self.engine.refusal(&what, if why.is_empty() { "it says nothing" } else { &why }))
    }

    /// Whether the container ends by itself, to be asked after something failed in it: the engine takes a moment to
    /// notice.
    pub(super) async fn ends(&self) -> Result<bool, Unable> {
        let until = Instant::now() + NOTICE;
        while Instant::now() < until {
            match self.engine.runs(&self.container).await {
                Ok(true) => tokio::time::sleep(LOOK_AGAIN).await,
                Ok(false) => return Ok(true),
                Err(error) => return Err(self.engine.unable("say what became of a container", &error)),
            }
        }
        Ok(false)
    }

    /// Whether the container is gone within a bound.
    async fn gone(&self) -> Result<bool, Error> {
        let until = Instant::now() + END_LIMIT;
        while self.engine.knows(&self.container).await? {
            if Instant::now() > until {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(true)
    }
}

/// A command as `run.sh` takes it.
struct Wrapped {
    name: &'static str,
    log: Option<String>,
    number: u64,
    argv: Vec<String>,
    env: Vec<String>,
}

/// A container in which the processes of one server run.
pub(super) struct DockerPlace {
    pub(super) facts: PlaceFacts,
    pub(super) ground: Arc<Ground>,
    pub(super) lease: Lease,
    commands: AtomicU64,
}

impl DockerPlace {
    pub(super) fn new(ground: Ground, lease: Lease) -> Self {
        let (facts, ground) = (PlaceFacts::default(), Arc::new(ground));
        Self { facts, ground, lease, commands: AtomicU64::new(1) }
    }

    /// Takes the PostgreSQL of the image into use.
    pub(super) fn furnish(&mut self, layout: &Layout, facts: PlaceFacts) {
        self.facts =
            PlaceFacts { postgres: layout.version.clone(), bin_dir: layout.bin_dir.clone(), ..facts };
    }

    fn wrap(&self, command: &Command) -> Result<Wrapped, Unable> {
        let name = command.program.name();
        let program = match command.program {
            Program::Postgres(name) => self.facts.bin_dir.join(name).to_string_lossy().into_owned(),
            Program::System(name) => name.to_owned(),
        };
        let log = match &command.output {
            Output::Capture => None,
            Output::File(path) => Some(path.to_str().map(str::to_owned).ok_or_else(|| {
                let message =
                    format!("the log file {} cannot be written: its name is no UTF-8", path.display());
                Unable::new(Code::WorkspaceUnusable, message)
            })?),
        };
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let path = format!("PATH={}:{}", self.facts.bin_dir.display(), self.ground.path);
        // The slash at the end keeps one number from being the beginning of another.
        let mark = format!("{COMMAND}={number}/");
        let home = format!("HOME={}", self.ground.workspace.display());
        let mut argv = vec!["sh".to_owned(), "-c".to_owned(), script(RUN), "pgdrill-run".to_owned()];
        argv.extend([log.clone().unwrap_or_default(), program.clone()]);
        argv.extend([path.clone(), "LC_ALL=C".to_owned(), "LANG=C".to_owned(), "TZ=UTC".to_owned(), home]);
        argv.extend(command.env.iter().map(|(name, value)| format!("{name}={value}")));
        argv.extend([mark.clone(), program]);
        argv.extend(command.args.iter().cloned());
        Ok(Wrapped { name, log, number, argv, env: vec![path, mark] })
    }

    /// Starts a command. A caller who no longer wants it does not leave it running.
    async fn launch(&self, command: &Command) -> Result<(DockerProcess, Family), Unable> {
        let wrapped = self.wrap(command)?;
        let ground = Arc::clone(&self.ground);
        let (give, take) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(Ok((_, family))) = give.send(ground.launch(wrapped).await) {
                let _ = family.end().await;
            }
        });
        take.await.map_err(|_| Unable::bug("the starting of a command was given up"))?
    }
}

#[async_trait]
impl Place for DockerPlace {
    fn facts(&self) -> &PlaceFacts {
        &self.facts
    }

    async fn run(&self, command: &Command) -> Result<Exit, Unable> {
        let (process, family) = self.launch(command).await?;
        Running::new(process, family).within(command.time_limit, command.program.name()).await
    }

    async fn spawn(&self, command: &Command) -> Result<Box<dyn Process>, Unable> {
        let (process, _) = self.launch(command).await?;
        Ok(Box::new(process))
    }

    async fn signal(&self, pid: u32, signal: Signal) -> Result<(), Unable> {
        // Every process of the container is one of this place. The FIFO is full only when nobody reads it any more.
        self.lease.send(pid, signal).map_err(|_| self.ground.lost())
    }

    async fn close(self: Box<Self>) -> Vec<Finding> {
        let Self { ground, lease, .. } = *self;
        drop(lease);
        let mut gone = ground.gone().await;
        if matches!(gone, Ok(false)) {
            gone = match ground.engine.remove(&ground.container).await {
                Ok(()) => ground.gone().await,
                Err(error) => Err(error),
            };
        }
        let why = match gone {
            Ok(true) => return Vec::new(),
            Ok(false) => "would not end".to_owned(),
            Err(error) => {
                format!("was not seen to end: {}", ground.engine.unable("say what became of it", &error))
            }
        };
        let message = format!("the container {} of the server '{}' {why}", ground.name, ground.server);
        let hint = format!("remove it: docker rm --force --volumes {}", ground.name);
        let finding = Finding::new(Code::CleanupFailed, Stage::Teardown, message);
        vec![finding.about(format!("container {}", ground.name)).hint(hint)]
    }
}

/// The major that a place is for, with the directories that it gets.
pub(super) struct Wanted<'a> {
    pub(super) run_id: &'a str,
    pub(super) server: &'a str,
    /// None for a place that is only looked at.
    pub(super) major: Option<Major>,
    pub(super) workspace: &'a std::path::Path,
    pub(super) writable: &'a [PathBuf],
    pub(super) readable: &'a [PathBuf],
}
