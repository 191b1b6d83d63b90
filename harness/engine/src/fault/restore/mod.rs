//! Faults of the next recovery, one file each, and the moments at which they are made: in how WAL is fetched, in the
//! configuration, in the restored files, while the server replays, and before the first write.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::scenario::Archive;

use super::{not_made, note};
use crate::drill::Drill;
use crate::session::describe;

mod collation_changed;
mod fetch;
mod limits_too_small;
mod postmaster_killed;
mod recovery_signal_missing;
mod replay_paused;
mod restored_disk_full;
mod stale_postmaster_pid;
mod time_zone_wrong;

/// A role of the application that may not write.
const GRANT_LOST: &str = include_str!("grant-lost.sql");

/// The line by which a library is wanted that is not there.
const LIBRARY_MISSING: &str = "shared_preload_libraries = 'wal_guard'\n";

/// The directories of the restored server, before anything is put into them.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`.
pub fn room(drill: &Drill<'_>, server: Name) -> Result<(), Unable> {
    if drill.armed.contains(&Fault::RestoredDiskFull) {
        note(drill, Fault::RestoredDiskFull, restored_disk_full::run(drill, server)?);
    }
    Ok(())
}

/// How the restored server is given WAL.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`.
pub fn archive(drill: &Drill<'_>, chain: &[Member]) -> Result<Archive, Unable> {
    let mut archive = drill.made.archive.clone();
    for fault in drill.armed.iter().copied() {
        if let Some((command, done)) = fetch::command(drill, fault, chain)? {
            archive.restore = Some(command);
            note(drill, fault, done);
        }
    }
    Ok(archive)
}

/// The configuration of the restored server.
pub fn configuration(drill: &Drill<'_>, mut text: String) -> String {
    for fault in drill.armed.iter().copied() {
        let done = match fault {
            Fault::LimitsTooSmall => limits_too_small::change(&mut text),
            Fault::TimeZoneWrong => time_zone_wrong::change(&mut text),
            Fault::LibraryMissing => {
                text.push_str(LIBRARY_MISSING);
                Some("shared_preload_libraries names wal_guard".to_owned())
            }
            _ => continue,
        };
        if let Some(done) = done {
            note(drill, fault, done);
        }
    }
    text
}

/// The restored files, just before the server is started.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`.
pub fn files(drill: &Drill<'_>, server: Name) -> Result<(), Unable> {
    for fault in drill.armed.iter().copied() {
        let done = match fault {
            Fault::RecoverySignalMissing => recovery_signal_missing::run(drill, server)?,
            Fault::StalePostmasterPid => stale_postmaster_pid::run(drill, server)?,
            _ => continue,
        };
        note(drill, fault, done);
    }
    Ok(())
}

/// The server, once it is started.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`.
pub async fn replaying(drill: &mut Drill<'_>, server: Name) -> Result<(), Unable> {
    for fault in drill.armed.clone() {
        let done = match fault {
            Fault::PostmasterKilled => postmaster_killed::run(drill, server).await?,
            Fault::ReplayPaused => replay_paused::run(drill, server).await?,
            _ => continue,
        };
        note(drill, fault, done);
    }
    Ok(())
}

/// The promoted server, before anybody writes to it.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`.
pub async fn promoted(drill: &mut Drill<'_>, server: Name) -> Result<(), Unable> {
    for fault in drill.armed.clone() {
        let done = match fault {
            Fault::GrantLost => {
                let session = drill.session(server, None).await?;
                let revoked = session.batch_execute(GRANT_LOST).await;
                revoked.map_err(|error| not_made(fault, &describe(&error)))?;
                "the application's role may not insert into \"Order\"".to_owned()
            }
            Fault::CollationChanged => collation_changed::run(drill, server).await?,
            _ => continue,
        };
        note(drill, fault, done);
    }
    Ok(())
}
