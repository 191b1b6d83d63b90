//! Waits until the restored server has replayed and is promoted. That the server answers, or that its start was
//! reported as a success, is not the end of anything: only the promoted state is.

use std::fs;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::{RecoveryEvidence, RedoEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Action;
use pgdrill_model::units::{Lsn, Major};
use tokio::time::sleep;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::drill::{Drill, disk_full};
use crate::log;
use crate::recovery::phases::Clocked;
use crate::recovery::reached;
use crate::server::{LOOK_AGAIN, Server};
use crate::session::{Door, SUPERUSER, Session, describe};
use crate::settings::{ARCHIVE_MODE, QUARANTINE};

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Which server.
    pub server: Name,
    /// What it does at its target.
    pub action: Action,
    /// Whether it archives, since it goes on as the primary did.
    pub archives: bool,
    /// Until when.
    pub until: Duration,
}

/// How a wait ended.
#[derive(Debug)]
pub enum Outcome {
    /// The server is promoted, and keeps quarantine.
    Promoted,
    /// It shut down at its target, as it was asked to.
    ShutDown,
    /// It ended instead, or does not keep quarantine.
    Failed(Finding),
}

/// Waits for the promoted state. A server that pauses at its target is looked at there, and then let go on.
///
/// # Errors
///
/// `TIME_LIMIT` when neither came by `until`; `SERVER_LOST` when somebody else ended it; `DISK_FULL`.
pub async fn wait(
    drill: &mut Drill<'_>,
    wait: Wait,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Outcome, Unable> {
    let (clock, recorder, major, given) =
        (drill.clock, drill.recorder, drill.postgres, drill.given.is_some());
    let fetch_log = drill.workspace.path(reached::fetch_log(wait.server));
    let segments = segments(drill);
    let server = drill.server(wait.server)?;
    let door = Door::superuser(&server.socket, SUPERUSER);
    let mut session: Option<Session> = None;
    let promoted = loop {
        let running = server.running();
        // A server that is to shut down would cut off who is connected, and log that as FATAL.
        if session.is_none() && (wait.action != Action::Shutdown || is_open(server)) {
            match door.open().await {
                Ok(open) => session = Some(open),
                Err(error) if server.lets_nobody_in(&error) => {
                    let words = describe(&error);
                    let message = format!("the restored server is up, and lets nobody in: {words}");
                    // That whoever made it has no role or database of this name is no fault of the backup.
                    if let (true, Some(hint)) = (given, not_as_we_ask(&error)) {
                        return Err(Unable::new(Code::ServerLost, message).hint(hint));
                    }
                    return Ok(Outcome::Failed(Finding::new(Code::RecoveryFailed, Stage::Recover, message)));
                }
                Err(_) => {}
            }
        }
        match &session {
            Some(open) => match in_recovery(open).await {
                Some(false) => break clock.elapsed(),
                Some(true) if wait.action == Action::Pause && evidence.paused_at.is_none() => {
                    evidence.paused_at = paused_at(open, major).await;
                    if evidence.paused_at.is_some() {
                        // Seen; now it may go on. One that could not be told is told again.
                        let resumed = open.batch_execute("SELECT pg_wal_replay_resume()").await;
                        evidence.paused_at = evidence.paused_at.filter(|_| resumed.is_ok());
                    }
                }
                Some(true) => {}
                None => session = None,
            },
            None if !running && wait.action == Action::Shutdown && shut_down(server).await => {
                evidence.shut_down = true;
                return Ok(Outcome::ShutDown);
            }
            None if !running => {
                let how = "the restored server ended before it was promoted";
                return ended(drill, wait.server, how).await.map(Outcome::Failed);
            }
            None => {}
        }
        if let Some(words) = stuck(server) {
            let message = format!("the restored server cannot go on replaying: {words}");
            return Ok(Outcome::Failed(Finding::new(Code::RecoveryFailed, Stage::Recover, message)));
        }
        if clock.elapsed() >= wait.until {
            let message =
                format!("recovery was not finished in time; the server said last: {}", server.last_words());
            return Err(Unable::new(Code::TimeLimit, message));
        }
        let fetched = fs::read(&fetch_log).map_or(0, |log| log.split(|byte| *byte == b'\n').count());
        recorder.progress("replay", fetched as u64, segments, Unit::Segments);
        sleep(LOOK_AGAIN).await;
    };
    let lines = log::read(&server.log);
    let at = |begin: &str| lines.iter().find(|line| line.message.starts_with(begin)).map(|line| line.unix_us);
    clocked.replayed(at("redo starts at"), at("redo done at"), promoted);
    evidence.redo = lines.iter().find_map(|line| redo(&line.message));
    let Some(session) = session else { return Ok(Outcome::Promoted) };
    let broken = quarantine(&session, wait.archives, evidence).await?;
    Ok(broken.map_or(Outcome::Promoted, Outcome::Failed))
}

/// What to do about a server of somebody's that has not got the role or the database by which it is asked.
fn not_as_we_ask(error: &Error) -> Option<&'static str> {
    match *error.code()? {
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Some(
            "it is asked as the role that initdb made, by the name that it has in the files of the backup: let that role keep its name \
             and log in",
        ),
        SqlState::INVALID_CATALOG_NAME => {
            Some("it is asked in the database postgres: make one, and take another backup")
        }
        _ => None,
    }
}

/// What the server says that replay took, since 14: `redo done at 0/6000110 system usage: CPU: user: 0.00 s, system: 0.01 s,
/// elapsed: 0.06 s` (`pg_rusage_show`, `pg_rusage.c`).
fn redo(message: &str) -> Option<RedoEvidence> {
    let usage = message.strip_prefix("redo done at ")?.split_once(" system usage: CPU: ")?.1;
    let seconds = |name: &str| -> Option<u64> {
        let (_, rest) = usage.split_once(&format!("{name}: "))?;
        let seconds: f64 = rest.split_once(" s")?.0.parse().ok()?;
        Some((seconds * 1e6).round() as u64)
    };
    Some(RedoEvidence {
        user_us: seconds("user")?,
        system_us: seconds("system")?,
        elapsed_us: seconds("elapsed")?,
    })
}

/// How many segments lie between the backup and where replay must stop. Also others are fetched: histories, and what is asked
/// for beyond the end.
fn segments(drill: &Drill<'_>) -> Option<u64> {
    let recovered = drill.recovered.as_ref()?;
    let start = drill.backups.get(&recovered.from.last()?.name)?.start_lsn;
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let number = |position: u64| position.checked_div(size);
    Some(number(recovered.aim.as_ref()?.stop.replayed_to)?.checked_sub(number(start.0)?)? + 1)
}

/// What a server says that waits for somebody to change its settings: it would do so for ever. Before 14 it ends instead
/// (`RecoveryRequiresIntParameter`, `xlogrecovery.c`).
fn stuck(server: &Server) -> Option<String> {
    let limits = "hot standby is not possible because of insufficient parameter settings";
    log::read(&server.log).into_iter().find(|line| line.message == limits).map(|line| line.message)
}

/// Whether a server says that it is open for writing.
fn is_open(server: &Server) -> bool {
    log::read(&server.log).iter().any(|line| line.message == "database system is ready to accept connections")
}

/// Where a server is paused at its target; none when it is not. Before 14 it could not be told from one that is asked to
/// pause (`recoveryPausesHere`, `xlog.c`), but nobody asked it to.
pub async fn paused_at(session: &Session, major: Major) -> Option<Lsn> {
    let paused = if major >= Major(14) {
        "SELECT pg_get_wal_replay_pause_state() = 'paused', pg_last_wal_replay_lsn()::text"
    } else {
        "SELECT pg_is_wal_replay_paused(), pg_last_wal_replay_lsn()::text"
    };
    let row = session.query_one(paused, &[]).await.ok()?;
    row.try_get::<_, bool>(0).ok()?.then(|| row.try_get::<_, String>(1).ok()?.parse().ok())?
}

/// Whether a server that ended was to end where it did (`recoveryStopsHere`, `xlogrecovery.c`).
async fn shut_down(server: &mut Server) -> bool {
    let exit = server.end().await.unwrap_or_default();
    !exit.killed() && log::read(&server.log).iter().any(|line| line.message == "shutdown at recovery target")
}

/// Whether a server is in recovery; none where it does not answer.
pub async fn in_recovery(session: &Session) -> Option<bool> {
    session.query_one("SELECT pg_is_in_recovery()", &[]).await.ok()?.try_get(0).ok()
}

/// What it means that a server ended instead: a finding that says `how`, unless it was ended by somebody or something else
/// than what it was given to recover.
///
/// # Errors
///
/// `DISK_FULL`; `SERVER_LOST` when somebody ended it, or it had too little memory.
pub async fn ended(drill: &mut Drill<'_>, name: Name, how: &str) -> Result<Finding, Unable> {
    let workspace = drill.workspace;
    let server = drill.server(name)?;
    let exit = server.end().await.unwrap_or_default();
    let words = server.last_words();
    let message = format!("{how}: {words}");
    let lines = log::read(&server.log);
    if disk_full(&words) || lines.iter().any(|line| disk_full(&line.message)) || workspace.is_full() {
        return Err(Unable::new(Code::DiskFull, message));
    }
    // One that could not even begin to log was not started by the backup's fault.
    if exit.killed() || lines.is_empty() || lines.iter().any(log::Line::is_from_outside) {
        return Err(Unable::new(Code::ServerLost, format!("{message} ({})", exit.describe())));
    }
    Ok(Finding::new(Code::RecoveryFailed, Stage::Recover, message))
}

/// Asks the running server whether everything that reaches outside is off. A finding when it is not.
///
/// # Errors
///
/// `SERVER_LOST`.
pub async fn quarantine(
    session: &Session,
    archives: bool,
    evidence: &mut RecoveryEvidence,
) -> Result<Option<Finding>, Unable> {
    let mut broken = None;
    for (name, wanted) in QUARANTINE {
        let wanted = if archives && name == ARCHIVE_MODE { "on" } else { wanted };
        let row = session.query_one("SELECT current_setting($1, true)", &[&name]).await;
        let value = row.and_then(|row| row.try_get::<_, Option<String>>(0)).map_err(|error| {
            let words = describe(&error);
            Unable::new(
                Code::ServerLost,
                format!("the restored server could not be asked for {name}: {words}"),
            )
        })?;
        // A setting that this major does not have.
        let Some(value) = value else { continue };
        evidence.quarantine.insert(name.to_owned(), value.clone());
        if value != wanted && broken.is_none() {
            let message =
                format!("the restored server runs with {name} = '{value}', which must be '{wanted}'");
            broken = Some(Finding::new(Code::QuarantineBroken, Stage::Recover, message).about(name));
        }
    }
    Ok(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_replay_took_is_read_from_the_log() {
        let redo = |message| redo(message).map(|redo| [redo.user_us, redo.system_us, redo.elapsed_us]);
        let of_15 = "redo done at 0/E0000A0 system usage: CPU: user: 0.05 s, system: 0.02 s, elapsed: 1.10 s";
        assert_eq!(redo(of_15), Some([50_000, 20_000, 1_100_000]));
        assert_eq!(redo("redo done at 0/E0000A0"), None, "as 13 says it");
        assert_eq!(redo("redo starts at 0/E000028"), None);
        assert_eq!(redo("redo done at 0/1 system usage: CPU: user: much, system: 0 s, elapsed: 0 s"), None);
    }
}
