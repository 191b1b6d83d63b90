//! The traits through which the engine asks the world, and the plain types that they speak in. Implemented by
//! `runtime` (places), by the engine's own clock, by the command line (listeners) and by `testkit` (scripts).

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::evidence::PlaceFacts;
use crate::finding::{Finding, Unable};
use crate::units::Major;

/// A kind of place where servers can run: the host itself, or containers.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Its name on the command line and in records: `local` or `docker`.
    fn name(&self) -> &'static str;

    /// The majors that it can run, ascending. Empty where there is no PostgreSQL.
    async fn majors(&self) -> Result<Vec<Major>, Unable>;

    /// The account that must own a workspace's files, where that is not the caller's own.
    fn owner(&self) -> Result<Option<Owner>, Unable>;

    /// Opens a place for one server. Whatever runs in it ends when the place is closed, and also when this
    /// process dies in any way: that is the place's lease.
    async fn open(&self, need: &Need) -> Result<Box<dyn Place>, Unable>;

    /// What dead runs of this runtime have left running.
    async fn strays(&self) -> Result<Vec<Stray>, Unable>;

    /// Ends one of them. Ending what has already ended is success.
    async fn reap(&self, stray: &Stray) -> Result<(), Unable>;
}

/// One place: where the processes of one server run.
#[async_trait]
pub trait Place: Send + Sync {
    /// What the place says of itself.
    fn facts(&self) -> &PlaceFacts;

    /// Runs a command to its end. A command that ends with an error is an [`Exit`], not an [`Unable`]; one that
    /// exceeds its time limit is ended with everything it started, and is an `Unable` of `TIME_LIMIT`.
    async fn run(&self, command: &Command) -> Result<Exit, Unable>;

    /// Starts a command that goes on running, such as a server. Its time limit is not looked at.
    async fn spawn(&self, command: &Command) -> Result<Box<dyn Process>, Unable>;

    /// Sends a signal to a process of this place; a process that is gone is success.
    async fn signal(&self, pid: u32, signal: Signal) -> Result<(), Unable>;

    /// Ends everything that runs in the place and waits until it is gone. What would not end is a finding.
    async fn close(self: Box<Self>) -> Vec<Finding>;
}

/// A process that goes on running.
#[async_trait]
pub trait Process: Send {
    /// Its process id, as [`Place::signal`] takes it.
    fn pid(&self) -> u32;

    /// Whether it still runs.
    fn running(&mut self) -> bool;

    /// Waits for its end.
    async fn wait(&mut self) -> Result<Exit, Unable>;
}

/// Time, as an argument.
pub trait Clock: Send + Sync {
    /// Monotonic time since the clock was made.
    fn elapsed(&self) -> Duration;

    /// Wall-clock time, microseconds since 1970 UTC.
    fn unix_micros(&self) -> i64;
}

/// One who hears what happens, while it happens.
pub trait Listener: Send + Sync {
    /// Takes note of an event. Must not block for long.
    fn hear(&self, event: &Event);
}

/// An operating-system account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Owner {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
    /// Account name.
    pub name: String,
}

/// What a server needs of its place.
#[derive(Clone, Debug)]
pub struct Need {
    /// The run that the place belongs to; processes and containers carry it, so that strays can be told.
    pub run_id: String,
    /// The server's name within the run: `primary`, `restored`.
    pub server: String,
    /// The major version of PostgreSQL.
    pub major: Major,
    /// The workspace; processes start in it.
    pub workspace: PathBuf,
    /// Directories that the server may write, by absolute path.
    pub writable: Vec<PathBuf>,
    /// Directories that the server may only read, by absolute path.
    pub readable: Vec<PathBuf>,
    /// Whether it may reach the host's network; in a container it never does.
    pub network: bool,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which program.
    pub program: Program,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment beside the place's own minimal one (`PATH`, `LC_ALL=C`, `TZ=UTC`, `HOME`); nothing of the
    /// caller's environment is passed on.
    pub env: Vec<(String, String)>,
    /// Where its standard output and standard error go.
    pub output: Output,
    /// How long it may take.
    pub time_limit: Duration,
}

/// A program of PostgreSQL's, found in the place's bin directory, or any other, found in `PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `initdb`, `postgres`, `pg_basebackup`, ...
    Postgres(&'static str),
    /// `tar`, `cp`, ...
    System(&'static str),
}

impl Program {
    /// The program's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Postgres(name) | Self::System(name) => name,
        }
    }
}

/// Where a command's output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Both streams are kept in memory, at most the last 64 KiB of each.
    Capture,
    /// Both streams are appended to a file, which is made if need be, owned by the place's account.
    File(PathBuf),
}

impl Command {
    /// One of PostgreSQL's programs with its arguments, captured, for at most ten minutes.
    pub fn postgres(program: &'static str, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(Program::Postgres(program), args)
    }

    /// A program of the system with its arguments, captured, for at most ten minutes.
    pub fn system(program: &'static str, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(Program::System(program), args)
    }

    fn new(program: Program, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            program,
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            output: Output::Capture,
            time_limit: Duration::from_secs(600),
        }
    }

    /// Sends both output streams to a file.
    pub fn log_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Output::File(path.into());
        self
    }

    /// Bounds the command's time.
    pub fn within(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }
}

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it printed, when captured.
    pub stdout: String,
    /// What it complained, when captured.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Exit {
    /// Whether it ended with exit code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Whether somebody killed it (SIGKILL): nothing is learnt from such an end. Where a shell stands between, it says
    /// so with 137.
    pub fn killed(&self) -> bool {
        self.signal == Some(9) || self.code == Some(128 + 9)
    }

    /// How it ended, in words: `exit code 1`, `signal 9`.
    pub fn describe(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown end".to_owned(),
        }
    }

    /// The last line that it complained, or printed if it did not complain.
    pub fn last_words(&self) -> &str {
        fn last(text: &str) -> Option<&str> {
            text.lines().map(str::trim).rfind(|line| !line.is_empty())
        }
        last(&self.stderr).or_else(|| last(&self.stdout)).unwrap_or("")
    }
}

/// A signal, by what it means to PostgreSQL (`src/backend/postmaster/postmaster.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: smart shutdown for a postmaster.
    Term,
    /// SIGINT: fast shutdown for a postmaster.
    Int,
    /// SIGQUIT: immediate shutdown for a postmaster.
    Quit,
    /// SIGKILL: no shutdown at all.
    Kill,
    /// SIGSTOP: it does nothing more until it is told to go on.
    Stop,
    /// SIGCONT: it goes on.
    Continue,
}

/// Something that a dead run has left running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The run that it belonged to.
    pub run_id: String,
    /// What it is, for people: `process group 4711`, `container pgdrill-...`.
    pub what: String,
    /// How the runtime finds it again.
    pub handle: String,
}
