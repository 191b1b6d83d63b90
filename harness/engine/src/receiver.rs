//! The receiver: `pg_receivewal` in a place of its own, as on an archive host that survives the loss of the server whose
//! WAL it receives. It sees that server's socket and the archive, and nothing else of it.
//!
//! The primary's receiver writes into the archive itself. That of a recovered server has a directory of its own until
//! its server is lost, as an operator would give it one: `pg_receivewal` goes on behind the highest segment that it finds
//! (`FindStreamingStart`, `src/bin/pg_basebackup/pg_receivewal.c`), and in the archive that may be one of the old timeline
//! which the recovered server never had.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{Archive, ArchiveBy};
use pgdrill_model::units::Lsn;
use pgdrill_model::world::{Clock, Need, Place, Process, Signal};
use pgdrill_ondisk::segment;
use tokio::time::sleep;

use crate::clock::within;
use crate::drill::{Drill, disk_full};
use crate::log;
use crate::server::LOOK_AGAIN;
use crate::session::{SUPERUSER, describe};
use crate::settings;
use crate::tool::pg_receivewal::{self, SLOT};
use crate::workspace::{Workspace, trouble};

/// A receiver streams within a second; this is for a machine that is drowning.
const STREAMING_LIMIT: Duration = Duration::from_secs(60);

/// How long a receiver may take to notice that its server is gone, or that it is asked to end. It sees the connection
/// close, and has only to write what came before.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A slot that keeps WAL from now on: made by `pg_receivewal --create-slot` it would keep none before the first
/// connection.
const CREATE_SLOT: &str = "SELECT lsn::text, ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int \
                           FROM pg_create_physical_replication_slot($1, true)";

const STATE: &str =
    "SELECT sync_state FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'";

/// A receiver that was started.
pub struct Receiver {
    /// Whose WAL it receives.
    pub of: Name,
    place: Box<dyn Place>,
    process: Option<Box<dyn Process>>,
}

/// The directory, within the workspace, into which the WAL of a server goes while it lives.
pub fn directory(archive: &Archive, of: Name) -> String {
    match (archive.by, of) {
        (ArchiveBy::Command | ArchiveBy::PgBackRest, _) | (_, Name::Primary) => "archive".to_owned(),
        (ArchiveBy::Receivewal, other) => format!("received-{}", other.name()),
    }
}

/// Starts the receiver of `of`, where the drill archives by one, and waits until it streams; from then on commits wait for
/// it, where they are to.
///
/// # Errors
///
/// `ARCHIVE_STALLED` when it ended, `TIME_LIMIT`, `SERVER_LOST`, and what the runtime cannot do.
pub async fn begin(drill: &mut Drill<'_>, of: Name) -> Result<(), Unable> {
    let archive = drill.made.archive.clone();
    if archive.by != ArchiveBy::Receivewal {
        return Ok(());
    }
    let workspace = drill.workspace;
    let into = directory(&archive, of);
    workspace.need_dir(Path::new(&into))?;
    reserve(drill, of, &into).await?;
    let own = |part: &str| workspace.path(part);
    let place = drill
        .runtime
        .open(&Need {
            network: true,
            run_id: drill.run_id.to_owned(),
            server: Name::Receiver.name().to_owned(),
            major: drill.postgres,
            workspace: workspace.root().to_owned(),
            writable: vec![own(&into), own("log")],
            readable: vec![workspace.socket(of).to_path_buf()],
        })
        .await?;
    drill.recorder.happened(Happening::PlaceOpened {
        server: Name::Receiver.name().to_owned(),
        facts: place.facts().clone(),
    });
    // From here on teardown closes it, whatever happens.
    drill.receiver = Some(Receiver { of, place, process: None });
    start(drill).await?;
    if archive.synchronous { wait_for_it(drill, of).await } else { Ok(()) }
}

/// Starts the receiver again after its server was killed and came back, as a service manager would.
///
/// # Errors
///
/// As [`begin`].
pub async fn again(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let clock = drill.clock;
    let Some(receiver) = &mut drill.receiver else { return Ok(()) };
    receiver.end(clock).await?;
    start(drill).await
}

/// Ends the receiver in order and closes its place: from now on nothing reaches the archive.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`: what it received cannot be put into the archive.
pub async fn stop(drill: &mut Drill<'_>) -> Result<Vec<Finding>, Unable> {
    let (clock, workspace) = (drill.clock, drill.workspace);
    let Some(receiver) = &mut drill.receiver else { return Ok(Vec::new()) };
    receiver.ask_to_end(clock).await?;
    receiver.deliver(workspace)?;
    match drill.receiver.take() {
        Some(receiver) => Ok(receiver.close().await),
        None => Ok(Vec::new()),
    }
}

/// Kills the receiver, and nothing starts it again; tells whether there was one that ran.
///
/// # Errors
///
/// What the place cannot do.
pub async fn kill(drill: &mut Drill<'_>) -> Result<bool, Unable> {
    let clock = drill.clock;
    let Some(receiver) = &mut drill.receiver else { return Ok(false) };
    if !receiver.running() {
        return Ok(false);
    }
    let Some(process) = &receiver.process else { return Ok(false) };
    receiver.place.signal(process.pid(), Signal::Kill).await?;
    Ok(receiver.ended(clock).await)
}

/// What the receiver said last, where it has ended although its server has not.
pub fn gave_up(drill: &mut Drill<'_>) -> Option<String> {
    let log = drill.workspace.log(Name::Receiver);
    let running = drill.receiver.as_mut()?.running();
    (!running).then(|| format!("pg_receivewal has ended: {}", log::last_words(&log)))
}

/// Makes the slot, and an empty file by which the receiver knows where to begin: with the segment that the slot keeps. Of
/// itself it would begin where the server is when it connects (before 15).
async fn reserve(drill: &mut Drill<'_>, of: Name, into: &str) -> Result<(), Unable> {
    let session = drill.session(of, Some(SUPERUSER)).await?;
    let row = session.query_one(CREATE_SLOT, &[&SLOT]).await.map_err(|error| {
        let message = format!("the {} keeps no WAL for the receiver: {}", of.name(), describe(&error));
        Unable::new(Code::ServerLost, message)
    })?;
    let (kept, timeline): (String, i32) = (row.get(0), row.get(1));
    let Lsn(kept) = kept.parse().map_err(Unable::bug)?;
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let first = segment::name(timeline.unsigned_abs(), kept, size);
    drill.workspace.write(format!("{into}/{first}.partial"), "", 0o600).map(|_| ())
}

async fn start(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let archive = drill.made.archive.clone();
    let workspace = drill.workspace;
    let bug = || Unable::bug("a receiver that nobody opened a place for");
    let receiver = drill.receiver.as_mut().ok_or_else(bug)?;
    let of = receiver.of;
    let into = workspace.path(directory(&archive, of));
    let log = workspace.log(Name::Receiver);
    let command = pg_receivewal::command(&workspace.socket(of), &into, archive.synchronous, &log);
    receiver.process = Some(receiver.place.spawn(&command).await?);
    until(drill, of, "stream", |_| true).await
}

/// Lets the server's commits wait for the receiver. Not before it streams, or nothing could be committed; and before
/// there are writers, so that there is no commit of theirs that did not wait.
async fn wait_for_it(drill: &mut Drill<'_>, of: Name) -> Result<(), Unable> {
    let part = PathBuf::from(format!("conf/{}.conf", of.name()));
    let path = drill.workspace.path(&part);
    let mut text = fs::read_to_string(&path).map_err(|error| trouble(&path, &error))?;
    text.push_str(&settings::synchronous(SLOT));
    drill.workspace.replace(&part, &text)?;
    let session = drill.session(of, Some(SUPERUSER)).await?;
    session.batch_execute("SELECT pg_reload_conf()").await.map_err(|error| {
        Unable::new(
            Code::ServerLost,
            format!("the {} was not told to wait for the receiver: {}", of.name(), describe(&error)),
        )
    })?;
    until(drill, of, "be waited for", |state| state == "sync").await
}

/// Waits until the server says of the receiver that it streams, in a state that will do.
async fn until(
    drill: &mut Drill<'_>,
    of: Name,
    what: &str,
    will_do: impl Fn(&str) -> bool,
) -> Result<(), Unable> {
    let session = drill.session(of, Some(SUPERUSER)).await?;
    let until = drill.clock.elapsed() + STREAMING_LIMIT;
    loop {
        let row = session.query_opt(STATE, &[&SLOT]).await.map_err(|error| {
            let message = format!("cannot ask the {} for its receiver: {}", of.name(), describe(&error));
            Unable::new(Code::ServerLost, message)
        })?;
        if row.is_some_and(|row| row.try_get::<_, String>(0).is_ok_and(|state| will_do(&state))) {
            return Ok(());
        }
        if let Some(words) = gave_up(drill) {
            let code = if disk_full(&words) { Code::DiskFull } else { Code::ArchiveStalled };
            return Err(Unable::new(code, format!("the WAL of the {} is not received: {words}", of.name())));
        }
        if drill.clock.elapsed() >= until {
            let words = log::last_words(&drill.workspace.log(Name::Receiver));
            let limit = STREAMING_LIMIT.as_secs();
            let message =
                format!("pg_receivewal did not come to {what} within {limit} s; it said last: {words}");
            return Err(Unable::new(Code::TimeLimit, message));
        }
        sleep(LOOK_AGAIN).await;
    }
}

impl Receiver {
    /// Whether it runs.
    pub fn running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.running())
    }

    /// Waits until it has written what came from its server, which is gone, and has ended. One that does not notice is
    /// asked to end, and if need be killed.
    ///
    /// # Errors
    ///
    /// What the place cannot do.
    pub async fn end(&mut self, clock: &dyn Clock) -> Result<(), Unable> {
        if self.ended(clock).await { Ok(()) } else { self.ask_to_end(clock).await }
    }

    /// Asks it to end, and waits until it has. The segment that it was writing stays, as `.partial`.
    ///
    /// # Errors
    ///
    /// What the place cannot do.
    pub async fn ask_to_end(&mut self, clock: &dyn Clock) -> Result<(), Unable> {
        for signal in [Signal::Int, Signal::Kill] {
            if let (true, Some(process)) = (self.running(), &self.process) {
                self.place.signal(process.pid(), signal).await?;
                if self.ended(clock).await {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn ended(&mut self, clock: &dyn Clock) -> bool {
        let Some(process) = &mut self.process else { return true };
        within(clock, END_LIMIT, process.wait()).await.is_some()
    }

    /// Puts what it received into the archive, where it has a directory of its own. Nothing in the archive is written
    /// over.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE`.
    pub fn deliver(&self, workspace: &Workspace) -> Result<(), Unable> {
        let by = Archive { by: ArchiveBy::Receivewal, ..Archive::default() };
        deliver(&workspace.path(directory(&by, self.of)), &workspace.path("archive"))
    }

    /// Ends what is left of it and closes its place.
    pub async fn close(self) -> Vec<Finding> {
        self.place.close().await
    }
}

fn deliver(from: &Path, archive: &Path) -> Result<(), Unable> {
    if from == archive {
        return Ok(());
    }
    let entries = fs::read_dir(from).map_err(|error| trouble(from, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| trouble(from, &error))?.path();
        let to = archive.join(path.file_name().unwrap_or_default());
        let moved: io::Result<()> = fs::hard_link(&path, &to).and_then(|()| fs::remove_file(&path));
        moved.map_err(|error| trouble(&to, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_never_takes_the_place_of_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let (from, archive) = (directory.path().join("received"), directory.path().join("archive"));
        for path in [&from, &archive] {
            fs::create_dir(path).unwrap();
        }
        fs::write(from.join("new"), "new").unwrap();
        deliver(&from, &archive).unwrap();
        assert_eq!(fs::read_to_string(archive.join("new")).unwrap(), "new");
        assert_eq!(fs::read_dir(&from).unwrap().count(), 0);
        fs::write(from.join("new"), "other").unwrap();
        assert_eq!(deliver(&from, &archive).unwrap_err().code, Code::WorkspaceUnusable);
        assert_eq!(fs::read_to_string(archive.join("new")).unwrap(), "new");
        deliver(&archive, &archive).unwrap();
        assert_eq!(fs::read_to_string(archive.join("new")).unwrap(), "new");
    }

    #[test]
    fn only_the_primarys_receiver_writes_into_the_archive_itself() {
        let by = |by| Archive { by, ..Archive::default() };
        assert_eq!(directory(&by(ArchiveBy::Receivewal), Name::Primary), "archive");
        assert_eq!(directory(&by(ArchiveBy::Receivewal), Name::Restored(1)), "received-restored");
        assert_eq!(directory(&by(ArchiveBy::Command), Name::Restored(1)), "archive");
    }
}
