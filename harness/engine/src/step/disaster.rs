//! `disaster`: loses the primary, and waits until a client can tell.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Disaster;
use pgdrill_model::units::Lsn;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use super::work;
use crate::baseline::Unrecorded;
use crate::drill::{Drill, Lost, on_a_thread, position};
use crate::receiver;
use crate::server::LOOK_AGAIN;
use crate::session::{Door, describe};
use crate::tablespaces;
use crate::workspace::{SAVED_WAL, STOPPED, trouble};

/// A killed postmaster is gone at once; its children notice within a second or two.
const LIMIT: Duration = Duration::from_secs(60);

/// Somebody whose DROP TABLE is the victim of a deadlock with the application does it again; so often.
const ATTEMPTS: u32 = 10;

pub(super) async fn run(
    drill: &mut Drill<'_>,
    disaster: &Disaster,
    on: Name,
) -> Result<Vec<Finding>, Unable> {
    let clock = drill.clock;
    if *disaster == Disaster::ArchiveStops {
        drill.workspace.write(format!("archive/{STOPPED}"), "", 0o600)?;
        return receiver::stop(drill).await;
    }
    // Whatever is lost then would be the drill's own fault.
    if let Some(words) = receiver::gave_up(drill) {
        let message = format!("the WAL of the {} is not received any more: {words}", on.name());
        return Err(Unable::new(Code::ArchiveStalled, message));
    }
    // In good order, and before anything is lost: it is no part of what is proven. One that has taken over is what is lost.
    if on != Name::Standby
        && let Some(standby) = drill.servers.get_mut(&Name::Standby)
    {
        standby.stop(clock).await;
    }
    // Those of a recovery before are over with it.
    drill.armed.clear();
    let at = clock.elapsed();
    let lost_files = match disaster {
        Disaster::BadSql(sql) => {
            bad_sql(drill, sql, on).await?;
            Vec::new()
        }
        Disaster::LosePrimary | Disaster::LoseDataKeepWal => {
            drill.server(on)?.kill().await?;
            take_files_away(drill, on, *disaster == Disaster::LoseDataKeepWal)?
        }
        Disaster::Kill | Disaster::ArchiveStops => {
            drill.server(on)?.kill().await?;
            Vec::new()
        }
    };
    let door = Door::superuser(&drill.server(on)?.socket, crate::data::DATABASE);
    while door.open().await.is_ok() {
        if clock.elapsed() > at + LIMIT {
            let message = format!("the {} still answers {} s after it was lost", on.name(), LIMIT.as_secs());
            return Err(Unable::new(Code::TimeLimit, message));
        }
        sleep(LOOK_AGAIN).await;
    }
    drill.lost =
        Some(Lost { at, noticed: clock.elapsed(), timeline: drill.timeline, position: drill.settled });
    work::server_is_lost(drill).await?;
    // It has seen its server go, too; what it had been sent is there before anybody looks into the archive.
    if let Some(receiver) = &mut drill.receiver {
        receiver.end(clock).await?;
        receiver.deliver(drill.workspace)?;
    }
    // Only now: until then it is the drill's teardown that would have to close it.
    let server = drill.servers.remove(&on);
    // Ending what else ran in the primary's place, and removing its files, takes time that no disaster takes. So
    // recovery does not wait for it, but nothing is started before it is done.
    let standby = drill.servers.remove(&Name::Standby);
    let receiver = drill.receiver.take();
    drill.losing = Some(tokio::spawn(async move {
        let mut findings = Vec::new();
        for server in [standby, server].into_iter().flatten() {
            findings.extend(server.close().await);
        }
        if let Some(receiver) = receiver {
            findings.extend(receiver.close().await);
        }
        if let Err(unable) = on_a_thread(move || lost_files.iter().try_for_each(|lost| remove(lost))).await? {
            findings.push(unable.into_finding(Stage::Teardown));
        }
        Ok(findings)
    }));
    Ok(Vec::new())
}

/// Somebody's accident on the live server. It is noticed, and the server is stopped in order, which archives all of its
/// WAL (`ShutdownXLOG`, `src/backend/access/transam/xlog.c`).
async fn bad_sql(drill: &mut Drill<'_>, sql: &str, on: Name) -> Result<(), Unable> {
    let session = drill.session(on, None).await?;
    if let Some((timeline, from)) = position(&session).await {
        drill.unrecorded.push(Unrecorded { timeline, from, to: Lsn(u64::MAX) });
    }
    drop(session);
    for attempt in 1.. {
        // A session of its own for each attempt: what a statement left open ends with it.
        let session = drill.session(on, None).await?;
        match session.batch_execute(sql).await {
            Ok(()) => break,
            Err(error) if attempt < ATTEMPTS && error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) => {}
            Err(error) => {
                let message =
                    format!("the accident on the {} did not happen: {}", on.name(), describe(&error));
                return Err(Unable::new(Code::SqlFailed, message));
            }
        }
    }
    let clock = drill.clock;
    let server = drill.server(on)?;
    server.stop(clock).await;
    if server.running() {
        return Err(Unable::new(Code::TimeLimit, format!("the {} did not stop in order", on.name())));
    }
    Ok(())
}

/// Takes the data directory and the tablespaces away, each in one move, as a disaster does; gives where what was in them
/// waits to be removed. What is left of `pg_wal` may be saved first.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`.
pub(super) fn take_files_away(drill: &Drill<'_>, on: Name, keep_wal: bool) -> Result<Vec<PathBuf>, Unable> {
    let workspace = drill.workspace;
    let moved = |from: PathBuf, to: &str| -> Result<PathBuf, Unable> {
        let to = workspace.path(to);
        fs::rename(&from, &to).map_err(|error| trouble(&from, &error))?;
        Ok(to)
    };
    let lost = moved(workspace.data(on), &format!("lost-{}", on.name()))?;
    if keep_wal {
        workspace.need_dir(Path::new(SAVED_WAL))?;
        moved(lost.join("pg_wal"), &format!("{SAVED_WAL}/{}", on.name()))?;
    }
    let tablespaces =
        moved(workspace.path(tablespaces::root(on)), &format!("lost-tablespaces-{}", on.name()))?;
    Ok(vec![lost, tablespaces])
}

/// Removes a directory in which dying processes may still make files.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`.
pub(super) fn remove(directory: &Path) -> Result<(), Unable> {
    const ATTEMPTS: usize = 100;
    let mut removed = fs::remove_dir_all(directory);
    for _ in 0..ATTEMPTS {
        match &removed {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                thread::sleep(LOOK_AGAIN);
                removed = fs::remove_dir_all(directory);
            }
            _ => break,
        }
    }
    removed.map_err(|error| trouble(directory, &error))
}
