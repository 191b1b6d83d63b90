//! The moving server: restored as any other, in standby mode, and fed its WAL.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_backup::parts;
use pgdrill_backup::tablespaces::has_in_place;
use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::scenario::{Action, RecoverBy, Timeline};
use pgdrill_model::units::Lsn;
use tokio::time::sleep;

use crate::clock::within;
use crate::data::DATABASE;
use crate::drill::{Drill, on_a_thread};
use crate::recovery::phases::Clocked;
use crate::recovery::unpack::{SCRATCH, unpack};
use crate::recovery::{aim, control, reached, remap, replay};
use crate::server::Server;
use crate::session::{Door, Session, describe};
use crate::settings::{self, Restoring};
use crate::sweep::look::Sessions;
use crate::sweep::survey::Survey;
use crate::tablespaces;
use crate::workspace::trouble;

/// Which of the drill's servers it is. Those that are recovered for real come after it, one by one, in its place.
pub const NAME: Name = Name::Sweep;

const REPLAYED: &str = "SELECT pg_last_wal_replay_lsn()::text";

/// Whether replay waits for WAL that is nowhere: there is none, or none that it can read.
const WAITS: &str = include_str!("../sql/sweep_waits.sql");

/// For how long it does so before a target until that is taken for its end. What was fed is there by then.
const STILL: Duration = Duration::from_secs(3);

/// How often it is asked how far it came: most moves are short, and there are many.
const LOOK_SOON: Duration = Duration::from_millis(2);

/// How long an end may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(120);

/// How a move ended.
#[derive(Debug)]
pub enum Moved {
    /// The target is replayed, and nothing else.
    There,
    /// Replay stands still.
    Waits {
        /// Up to where it came.
        replayed: u64,
    },
    /// The server is not there any more, or lets nobody in.
    Ended(Finding),
}

/// Makes the moving server, with nothing in its `pg_wal`; gives its configuration, or a finding when the backup is not what
/// can be started.
///
/// # Errors
///
/// What keeps a recovery from being made.
pub async fn make(drill: &mut Drill<'_>, survey: &Survey) -> Result<Result<String, Finding>, Unable> {
    let workspace = drill.workspace;
    let newest = survey.chain.last().ok_or_else(|| Unable::bug("a sweep of no backup"))?;
    for member in &survey.chain {
        remap::refuse_backup(workspace, &drill.backup(member)).await?;
    }
    open(drill).await?;
    let server = drill.servers.get(&NAME).ok_or_else(|| Unable::bug("the moving server has no place"))?;
    let mut clocked = Clocked::begin(drill)?;
    let by = RecoverBy::fitting(&newest.how);
    if let Err(found) = unpack(drill, server, &survey.chain, by, &mut clocked).await? {
        let finding = found.into_iter().next();
        return finding.map(Err).ok_or_else(|| Unable::bug("an unpacking failed over nothing"));
    }
    remap::refuse_restored(workspace, NAME)?;
    let pg_wal = pg_wal(drill);
    if !pg_wal.is_dir() {
        let message = "what was unpacked of the backup has no directory pg_wal";
        return Ok(Err(Finding::new(Code::UnpackFailed, Stage::Recover, message).about("pg_wal")));
    }
    without_wal(&pg_wal)?;
    configure(drill, survey)
}

/// Where it finds its WAL.
pub fn pg_wal(drill: &Drill<'_>) -> PathBuf {
    drill.workspace.data(NAME).join("pg_wal")
}

/// Takes away the WAL that came with the backup: it may reach beyond the first targets. All of it that counts is fed.
fn without_wal(directory: &Path) -> Result<(), Unable> {
    for entry in fs::read_dir(directory).map_err(|error| trouble(directory, &error))? {
        let entry = entry.map_err(|error| trouble(directory, &error))?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).map_err(|error| trouble(&entry.path(), &error))?;
        }
    }
    Ok(())
}

async fn open(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let workspace = drill.workspace;
    workspace.make_dir(Path::new(NAME.name()))?;
    workspace.need_dir(&Path::new("socket").join(NAME.name()))?;
    tablespaces::make_root(workspace, NAME)?;
    workspace.need_dir(Path::new(SCRATCH))?;
    let place = drill.open_place(NAME, &[SCRATCH], &["backup"]).await?;
    drill
        .recorder
        .happened(Happening::PlaceOpened { server: NAME.name().to_owned(), facts: place.facts().clone() });
    drill.servers.insert(NAME, Server::new(NAME, workspace, place));
    Ok(())
}

fn configure(drill: &Drill<'_>, survey: &Survey) -> Result<Result<String, Finding>, Unable> {
    let workspace = drill.workspace;
    let data = workspace.data(NAME);
    let control = match control::of_restored(&data) {
        Ok(control) => control,
        Err(finding) => return Ok(Err(*finding)),
    };
    // It would be read after our own configuration, and say what production says.
    workspace.write(format!("{}/postgresql.auto.conf", NAME.name()), "", 0o600)?;
    workspace.write(format!("{}/standby.signal", NAME.name()), "", 0o600)?;
    let restoring = Restoring {
        socket: &workspace.socket(NAME),
        restore_command: "",
        wal_segment_megabytes: control.wal_segment_size >> 20,
        in_place: has_in_place(&data),
        minima: aim::limits(survey.chronicle.events(), control.minima),
        target: &[],
        // Told, so that it need not look for a newer one each time it looks for WAL.
        timeline: Timeline::Number(survey.lineage.timeline()),
        action: Action::Pause,
        archiving: None,
        foreign: None,
    };
    Ok(Ok(settings::fed(&restoring, drill.memory_bytes)))
}

/// The moving server, as it is looked at.
#[derive(Default)]
pub struct Moving {
    sessions: Option<Sessions>,
}

impl Moving {
    /// Waits until everything up to `position` is replayed, which is all that was fed, or replay waits in vain for more.
    ///
    /// # Errors
    ///
    /// `TIME_LIMIT` when neither came by `until`; `SERVER_LOST` when somebody else ended the server; `DISK_FULL`.
    pub async fn to(
        &mut self,
        drill: &mut Drill<'_>,
        position: u64,
        until: Duration,
    ) -> Result<Moved, Unable> {
        let clock = drill.clock;
        let server = drill.server(NAME)?;
        let door = Door::reading(&server.socket, DATABASE);
        let (mut moved_at, mut last) = (clock.elapsed(), None);
        loop {
            let running = server.running();
            if self.sessions.is_none() {
                match Sessions::open(&door).await {
                    Ok(sessions) => {
                        self.sessions = Some(sessions);
                        moved_at = clock.elapsed();
                    }
                    Err(error) if server.lets_nobody_in(&error) => {
                        let message = format!("it is up, and lets nobody in: {}", describe(&error));
                        let finding = Finding::new(Code::RecoveryFailed, Stage::Recover, message);
                        return Ok(Moved::Ended(finding));
                    }
                    Err(_) if !running => {
                        return replay::ended(drill, NAME, "it ended").await.map(Moved::Ended);
                    }
                    Err(_) => {}
                }
            }
            let replayed = match &self.sessions {
                Some(sessions) => replayed(&sessions.one).await,
                None => None,
            };
            if replayed.is_none() {
                self.sessions = None;
            }
            if let Some(replayed) = replayed.filter(|replayed| *replayed >= position) {
                // Nothing behind it was fed.
                return Ok(if replayed == position { Moved::There } else { Moved::Waits { replayed } });
            }
            let now = clock.elapsed();
            if replayed.is_some() && replayed != last {
                (moved_at, last) = (now, replayed);
            }
            // One that is only slow is not waiting, and has until the time limit.
            if let (Some(replayed), Some(sessions)) = (last, &self.sessions)
                && now.saturating_sub(moved_at) >= STILL
                && waits(&sessions.one).await
            {
                return Ok(Moved::Waits { replayed });
            }
            if now >= until {
                let message = format!(
                    "the sweep was not finished in time, {} before {}; the server said last: {}",
                    last.map_or_else(String::new, |last| format!("at {},", Lsn(last))),
                    Lsn(position),
                    server.last_words()
                );
                return Err(Unable::new(Code::TimeLimit, message));
            }
            sleep(LOOK_SOON).await;
        }
    }

    /// The sessions that it is looked at through, side by side.
    ///
    /// # Errors
    ///
    /// A bug: nobody looks before the server is there.
    pub fn sessions(&self) -> Result<&Sessions, Unable> {
        self.sessions.as_ref().ok_or_else(|| Unable::bug("the moving server is looked at before it is there"))
    }

    /// Asks the running server whether everything that reaches outside is off.
    ///
    /// # Errors
    ///
    /// `SERVER_LOST`.
    pub async fn quarantine(&self) -> Result<Option<Finding>, Unable> {
        replay::quarantine(&self.sessions()?.one, false, &mut RecoveryEvidence::default()).await
    }

    /// Whether the server is still where it was looked at.
    pub async fn is_at(&self, position: u64) -> bool {
        match &self.sessions {
            Some(sessions) => replayed(&sessions.one).await == Some(position),
            None => false,
        }
    }
}

async fn waits(session: &Session) -> bool {
    session.query_one(WAITS, &[]).await.and_then(|row| row.try_get(0)).unwrap_or(false)
}

/// How far a server has replayed.
async fn replayed(session: &Session) -> Option<u64> {
    let row = session.query_one(REPLAYED, &[]).await.ok()?;
    row.try_get::<_, Option<String>>(0).ok()??.parse().ok().map(|Lsn(lsn)| lsn)
}

/// Ends the server that has the moving server's place, and removes what it leaves, for the next in its place; gives what
/// would not end.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`: files that cannot be removed.
pub async fn close(drill: &mut Drill<'_>, chain: &[Member]) -> Result<Vec<Finding>, Unable> {
    let (clock, workspace) = (drill.clock, drill.workspace);
    let mut findings = Vec::new();
    if let Some(server) = drill.servers.remove(&NAME) {
        match within(clock, CLOSE_LIMIT, server.close()).await {
            Some(found) => findings.extend(found),
            None => {
                let message =
                    format!("the place of the moving server did not end within {} s", CLOSE_LIMIT.as_secs());
                findings.push(Finding::new(Code::CleanupFailed, Stage::Recover, message));
            }
        }
    }
    let mut directories = vec![workspace.data(NAME), workspace.path(tablespaces::root(NAME))];
    for member in chain {
        let unpacked = Path::new(SCRATCH).join(&member.name);
        directories.extend([workspace.path(parts::beside(&unpacked)), workspace.path(&unpacked)]);
    }
    let files = [workspace.path(reached::fetch_log(NAME)), workspace.log(NAME)];
    let gone = |path: &Path, removed: io::Result<()>| match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble(path, &error)),
        _ => Ok(()),
    };
    on_a_thread(move || {
        for directory in &directories {
            gone(directory, fs::remove_dir_all(directory))?;
        }
        files.iter().try_for_each(|file| gone(file, fs::remove_file(file)))
    })
    .await??;
    Ok(findings)
}
