//! Waits until the restored server has replayed and is promoted. That the server answers, or that its start was
//! reported as a success, is not the end of anything: only the promoted state is.

use std::fs;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use tokio::time::sleep;

use crate::drill::{Drill, disk_full};
use crate::log;
use crate::recovery::phases::Clocked;
use crate::server::LOOK_AGAIN;
use crate::session::{Door, SUPERUSER, Session, describe};
use crate::settings::QUARANTINE;

/// Waits for the promoted state; a finding when the server ended instead, or does not keep quarantine.
///
/// # Errors
///
/// `TIME_LIMIT` when neither came by `until`; `SERVER_LOST` when somebody else ended it; `DISK_FULL`.
pub async fn wait(
    drill: &mut Drill<'_>,
    until: Duration,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Option<Finding>, Unable> {
    let (clock, recorder) = (drill.clock, drill.recorder);
    let fetch_log = drill.workspace.path("log/fetch.log");
    let server = drill.server(Name::Restored)?;
    let door = Door::superuser(&server.socket, SUPERUSER);
    let mut session: Option<Session> = None;
    let promoted = loop {
        let running = server.running();
        if session.is_none() {
            match door.open().await {
                Ok(open) => session = Some(open),
                Err(error) if server.lets_nobody_in(&error) => {
                    let words = describe(&error);
                    let message = format!("the restored server is up, and lets nobody in: {words}");
                    return Ok(Some(Finding::new(Code::RecoveryFailed, Stage::Recover, message)));
                }
                Err(_) => {}
            }
        }
        match &session {
            Some(open) => match in_recovery(open).await {
                Some(false) => break clock.elapsed(),
                Some(true) => {}
                None => session = None,
            },
            None if !running => return ended(drill).await.map(Some),
            None => {}
        }
        if clock.elapsed() >= until {
            let message =
                format!("recovery was not finished in time; the server said last: {}", server.last_words());
            return Err(Unable::new(Code::TimeLimit, message));
        }
        let fetched = fs::read(&fetch_log).map_or(0, |log| log.split(|byte| *byte == b'\n').count());
        recorder.progress("replay", fetched as u64, None, Unit::Segments);
        sleep(LOOK_AGAIN).await;
    };
    let lines = log::read(&server.log);
    let at = |begin: &str| lines.iter().find(|line| line.message.starts_with(begin)).map(|line| line.unix_us);
    clocked.replayed(at("redo starts at"), at("redo done at"), promoted);
    let Some(session) = session else { return Ok(None) };
    quarantine(&session, evidence).await
}

async fn in_recovery(session: &Session) -> Option<bool> {
    session.query_one("SELECT pg_is_in_recovery()", &[]).await.ok()?.try_get(0).ok()
}

/// What it means that the server ended instead: a finding, unless it was ended by somebody or something else than what
/// it was given to recover.
async fn ended(drill: &mut Drill<'_>) -> Result<Finding, Unable> {
    let workspace = drill.workspace;
    let server = drill.server(Name::Restored)?;
    let exit = server.end().await.unwrap_or_default();
    let words = server.last_words();
    let message = format!("the restored server ended before it was promoted: {words}");
    let lines = log::read(&server.log);
    if disk_full(&words) || lines.iter().any(|line| disk_full(&line.message)) || workspace.is_full() {
        return Err(Unable::new(Code::DiskFull, message));
    }
    // One that could not even begin to log was not started by the backup's fault.
    if exit.killed() || lines.is_empty() || lines.iter().any(log::Line::is_end_from_outside) {
        return Err(Unable::new(Code::ServerLost, format!("{message} ({})", exit.describe())));
    }
    Ok(Finding::new(Code::RecoveryFailed, Stage::Recover, message))
}

/// Asks the running server whether everything that reaches outside is off.
async fn quarantine(session: &Session, evidence: &mut RecoveryEvidence) -> Result<Option<Finding>, Unable> {
    let mut broken = None;
    for (name, wanted) in QUARANTINE {
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
