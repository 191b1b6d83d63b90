//! One command in a container: an exec of the engine's, wrapped so that it starts as a command of a drill must, and
//! followed to its end.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pgdrill_model::finding::Unable;
use pgdrill_model::world::Exit;
use testcontainers::bollard::container::LogOutput;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::exec::{CreateExecOptions, StartExecResults};

use super::engine::Engine;
use crate::tail::Tail;

/// How long a stream may be silent before the engine is asked whether the command still runs, at first and at most.
/// The stream's end is the command's end, but not where something that it started holds on to its output, nor with
/// every engine.
const FIRST_ASK: Duration = Duration::from_millis(500);
const LONGEST_ASK: Duration = Duration::from_secs(8);

/// How long the engine may take to know how a command ended whose stream has.
const NEXT_LOOK: Duration = Duration::from_millis(20);

/// What a shell and the engine add to the number of the signal that ended a process.
const BY_SIGNAL: i64 = 128;

type Output = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<LogOutput, Error>> + Send>>;

/// What to execute.
pub(super) struct Invocation<'a> {
    pub(super) container: &'a str,
    pub(super) user: String,
    pub(super) directory: String,
    pub(super) env: Vec<String>,
    pub(super) argv: Vec<String>,
}

/// A command that was started, by its name in the engine.
#[derive(Clone, Debug)]
pub(super) struct Started {
    engine: Engine,
    id: String,
}

impl Started {
    /// How the command ended; none while it runs.
    pub(super) async fn code(&self) -> Result<Option<i64>, Unable> {
        match self.engine.docker.inspect_exec(&self.id).await {
            Ok(found) if found.running == Some(true) => Ok(None),
            Ok(found) => Ok(found.exit_code),
            // The container is gone, and the kernel has ended all that was in it.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(Some(BY_SIGNAL + 9)),
            Err(error) => Err(self.engine.unable("say how a command ended", &error)),
        }
    }
}

/// A command that was started, with what it prints.
pub(super) struct Exec {
    pub(super) started: Started,
    output: Output,
    stdout: Tail,
    stderr: Tail,
    since: Instant,
}

impl Exec {
    pub(super) async fn start(engine: &Engine, what: Invocation<'_>) -> Result<Self, Error> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            user: Some(what.user),
            working_dir: Some(what.directory),
            env: Some(what.env),
            cmd: Some(what.argv),
            ..CreateExecOptions::default()
        };
        let id = engine.docker.create_exec(what.container, options).await?.id;
        let since = Instant::now();
        let StartExecResults::Attached { output, .. } = engine.docker.start_exec(&id, None).await? else {
            return Err(Error::DockerStreamError {
                error: "a command was started without its streams".to_owned(),
            });
        };
        let (stdout, stderr) = (Tail::default(), Tail::default());
        Ok(Self { started: Started { engine: engine.clone(), id }, output, stdout, stderr, since })
    }

    /// The first line on standard output, which is the wrapper's own, without its end; none where the command ended
    /// before it said one.
    pub(super) async fn header(&mut self) -> Result<Option<String>, Unable> {
        let mut line = Vec::new();
        while let Some(frame) = self.output.next().await {
            match frame.map_err(|error| self.started.engine.unable("start a command", &error))? {
                LogOutput::StdErr { message } => self.stderr.push(&message),
                LogOutput::StdOut { message }
                | LogOutput::Console { message }
                | LogOutput::StdIn { message } => {
                    line.extend_from_slice(&message);
                    if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                        self.stdout.push(&line[end + 1..]);
                        return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
                    }
                }
            }
        }
        self.stdout.push(&line);
        Ok(None)
    }

    /// Follows the command to its end.
    pub(super) async fn end(mut self) -> Result<Exit, Unable> {
        let started = self.started.clone();
        let mut patience = FIRST_ASK;
        let mut known = None;
        loop {
            match tokio::time::timeout(patience, self.output.next()).await {
                Ok(Some(Ok(LogOutput::StdErr { message }))) => self.stderr.push(&message),
                Ok(Some(Ok(frame))) => self.stdout.push(&frame.into_bytes()),
                // A stream that breaks ends, and the engine is asked how the command does.
                Ok(Some(Err(_)) | None) => break,
                Err(_) if known.is_some() => break,
                Err(_) => {
                    known = started.code().await?;
                    // What was printed before the end may still be on its way.
                    patience = if known.is_some() { FIRST_ASK / 2 } else { (patience * 2).min(LONGEST_ASK) };
                }
            }
        }
        let mut pause = NEXT_LOOK;
        let code = loop {
            if let Some(code) = known {
                break code;
            }
            known = started.code().await?;
            if known.is_none() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(FIRST_ASK);
            }
        };
        let signal = i32::try_from(code - BY_SIGNAL).ok().filter(|signal| (1..=64).contains(signal));
        Ok(Exit {
            code: if signal.is_none() { i32::try_from(code).ok() } else { None },
            signal,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            took: self.since.elapsed(),
        })
    }

    /// What was complained so far.
    pub(super) fn complaint(&self) -> String {
        let text = [self.stderr.text(), self.stdout.text()].concat();
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}
