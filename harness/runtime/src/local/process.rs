//! A process of a place: what it prints, how it ends, and ending it with everything that it started.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::show_duration;
use pgdrill_model::world::{Exit, Process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::task::JoinHandle;

use super::ending;
use super::mark::{MARK, Mark};
use super::table::{Entry, Table};
use crate::tail::Tail;

/// The variable that tells the commands of a place apart.
pub(super) const COMMAND: &str = "PGDRILL_COMMAND";

/// How long a stream may stay silent after its command has ended before it is taken for finished. What the
/// command printed is in the pipe by then; what keeps the pipe open is something that it left in the
/// background.
const SILENCE: Duration = Duration::from_millis(250);

/// One stream that is read while its process runs.
#[derive(Debug)]
struct Stream {
    tail: Arc<Mutex<Tail>>,
    reader: JoinHandle<()>,
}

fn locked(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    fn read(mut source: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let kept = Arc::clone(&tail);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = source.read(&mut buffer).await {
                locked(&kept).push(&buffer[..count]);
            }
        });
        Self { tail, reader }
    }

    /// Waits for the end of the stream, or until it has been silent for a while.
    async fn finish(&mut self) {
        let mut before = locked(&self.tail).total;
        while !self.reader.is_finished() && tokio::time::timeout(SILENCE, &mut self.reader).await.is_err() {
            let now = locked(&self.tail).total;
            if now == before {
                break;
            }
            before = now;
        }
    }

    fn text(stream: Option<&Self>) -> String {
        stream.map(|stream| locked(&stream.tail).text()).unwrap_or_default()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A started process.
#[derive(Debug)]
pub(super) struct LocalProcess {
    pid: u32,
    child: Child,
    started: Instant,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    ended: Option<(ExitStatus, Duration)>,
}

impl LocalProcess {
    pub(super) fn new(mut child: Child, started: Instant) -> Result<Self, Unable> {
        let pid = child.id().ok_or_else(|| Unable::bug("a process ended before it was looked at"))?;
        let stdout = child.stdout.take().map(Stream::read);
        let stderr = child.stderr.take().map(Stream::read);
        Ok(Self { pid, child, started, stdout, stderr, ended: None })
    }

    async fn end(&mut self) -> Result<Exit, Unable> {
        let status = self.child.wait().await.map_err(|error| {
            Unable::bug(format!("process {} of a local place cannot be waited for: {error}", self.pid))
        })?;
        let (status, took) = *self.ended.get_or_insert((status, self.started.elapsed()));
        for stream in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            stream.finish().await;
        }
        Ok(self.exit(status, took))
    }

    fn exit(&self, status: ExitStatus, took: Duration) -> Exit {
        Exit {
            code: status.code(),
            signal: status.signal(),
            stdout: Stream::text(self.stdout.as_ref()),
            stderr: Stream::text(self.stderr.as_ref()),
            took,
        }
    }
}

#[async_trait]
impl Process for LocalProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn wait(&mut self) -> Result<Exit, Unable> {
        self.end().await
    }
}

/// Which processes are those of one command: it, what descends from it, and what was started by it and now
/// descends from nobody. They are in the place's process group like all others, since they must end with the
/// lease; so the group cannot tell them, and the number of the command in their environment does.
#[derive(Clone, Debug)]
struct Family {
    mark: Mark,
    number: u64,
    first: u32,
    uid: u32,
}

impl Family {
    fn find(&self, table: &Table) -> Vec<Entry> {
        let (mark, number) = (self.mark.to_string(), self.number.to_string());
        let marked = |entry: &&Entry| {
            entry.variable(COMMAND).is_some_and(|found| found == number)
                && entry.variable(MARK).is_some_and(|found| found == mark)
        };
        let marked = table.entries().filter(marked).map(|entry| entry.id.pid);
        table.with_descendants(marked.chain([self.first]))
    }
}

/// A command that is being run to its end. When it is dropped before that, everything that it started is
/// killed.
pub(super) struct Running {
    process: LocalProcess,
    family: Option<Family>,
}

impl Running {
    pub(super) fn new(process: LocalProcess, mark: Mark, number: u64, uid: u32) -> Self {
        let family = Family { mark, number, first: process.pid, uid };
        Self { process, family: Some(family) }
    }

    /// Waits for the end, or ends it at the time limit.
    pub(super) async fn within(mut self, limit: Duration, name: &str) -> Result<Exit, Unable> {
        if let Ok(exit) = tokio::time::timeout(limit, self.process.end()).await {
            self.family = None;
            return exit;
        }
        if let Some((status, took)) = self.process.ended {
            // The command itself kept its time; only what it left in the background still prints.
            self.family = None;
            return Ok(self.process.exit(status, took));
        }
        let left = match self.family.take() {
            Some(family) => ending::kill_all(family.uid, move |table| family.find(table)).await,
            None => Vec::new(),
        };
        let mut message = format!("`{name}` did not end within {} and was ended", show_duration(limit));
        if let Some(last) = left.first() {
            message = format!("{message}, but {} is still there", last.describe());
        }
        let killed = tokio::time::timeout(SILENCE, self.process.end()).await;
        if let Ok(Ok(exit)) = killed
            && !exit.last_words().is_empty()
        {
            message = format!("{message}; its last words: {}", exit.last_words());
        }
        Err(Unable::new(Code::TimeLimit, message))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(family) = self.family.take() {
            ending::freeze_and_kill(family.uid, |table| family.find(table));
        }
    }
}
