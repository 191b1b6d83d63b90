//! Faults of a backup while it is taken: `backup-killed` and `wal-sender-killed`. Both need a backup that lasts a moment,
//! so it is sent slowly.

use std::path::Path;
use std::time::Duration;

use pgdrill_backup::inspect;
use pgdrill_model::fault::{Fault, Site};
use pgdrill_model::finding::Unable;
use pgdrill_model::world::{Command, Exit, Place, Signal};
use tokio::time::sleep;

use super::{not_made, note};
use crate::clock::within;
use crate::drill::Drill;
use crate::server::LOOK_AGAIN;
use crate::session::{Session, describe};

/// The server's process that sends a base backup.
const SENDER: &str = "SELECT pid FROM pg_stat_replication WHERE state = 'backup' LIMIT 1";

/// The most that is sent in a second.
const SLOWLY: &str = "--max-rate=8M";

/// How long it may take until some of the backup is there.
const LIMIT: Duration = Duration::from_secs(60);

/// The fault that is to be made while this backup is taken.
pub fn armed(drill: &mut Drill<'_>) -> Option<Fault> {
    let at = drill.armed.iter().position(|fault| fault.site() == Site::Taking)?;
    Some(drill.armed.remove(at))
}

/// Takes a backup into `target` by `command`, and kills what takes it as soon as there is some of it.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`: the backup was done before.
pub async fn kill(
    drill: &Drill<'_>,
    fault: Fault,
    place: &dyn Place,
    mut command: Command,
    target: &Path,
    session: &Session,
) -> Result<Exit, Unable> {
    command.args.insert(0, SLOWLY.to_owned());
    let mut process = place.spawn(&command.log_to(drill.workspace.path("log/pg_basebackup.log"))).await?;
    let begun = async {
        while process.running() && inspect::size(target) == 0 {
            sleep(LOOK_AGAIN).await;
        }
    };
    within(drill.clock, LIMIT, begun).await;
    let (victim, name) = if fault == Fault::WalSenderKilled {
        let row = session.query_one(SENDER, &[]).await;
        let pid: i32 = row.map_err(|error| not_made(fault, &describe(&error)))?.get(0);
        (pid.unsigned_abs(), "the process that sends the backup")
    } else {
        (process.pid(), "pg_basebackup")
    };
    if !process.running() {
        return Err(not_made(fault, "the backup was done before anything could be killed"));
    }
    place.signal(victim, Signal::Kill).await?;
    note(drill, fault, format!("{name} was killed with SIGKILL, with {} bytes there", inspect::size(target)));
    let mut exit = process.wait().await?;
    let said = std::fs::read_to_string(drill.workspace.path("log/pg_basebackup.log"));
    exit.stderr = said.unwrap_or_default();
    Ok(exit)
}
