//! `disaster`: loses the primary, and waits until a client can tell.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Disaster;
use tokio::time::sleep;

use crate::drill::{Drill, Lost, on_a_thread};
use crate::server::LOOK_AGAIN;
use crate::session::Door;
use crate::tablespaces;
use crate::workspace::trouble;

/// A killed postmaster is gone at once; its children notice within a second or two.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn run(drill: &mut Drill<'_>, disaster: Disaster) -> Result<Vec<Finding>, Unable> {
    let clock = drill.clock;
    // In good order, and before anything is lost: it is no part of what is proven.
    if let Some(standby) = &mut drill.standby {
        standby.stop(clock).await;
    }
    let at = clock.elapsed();
    drill.server(Name::Primary)?.kill().await?;
    let lost_files = match disaster {
        Disaster::LosePrimary => Some(take_files_away(drill)?),
        Disaster::Kill => None,
    };
    let door = Door::superuser(&drill.server(Name::Primary)?.socket, crate::data::DATABASE);
    while door.open().await.is_ok() {
        if clock.elapsed() > at + LIMIT {
            let message = format!("the primary still answers {} s after SIGKILL", LIMIT.as_secs());
            return Err(Unable::new(Code::TimeLimit, message));
        }
        sleep(LOOK_AGAIN).await;
    }
    drill.lost = Some(Lost { at, noticed: clock.elapsed() });
    // Only now: until then it is the drill's teardown that would have to close it.
    let server = drill.primary.take();
    // Ending what else ran in the primary's place, and removing its files, takes time that no disaster takes. So
    // recovery does not wait for it, but nothing is started before it is done.
    let standby = drill.standby.take();
    drill.losing = Some(tokio::spawn(async move {
        let mut findings = Vec::new();
        for server in [standby, server].into_iter().flatten() {
            findings.extend(server.close().await);
        }
        if let Some(lost) = lost_files
            && let Err(unable) = on_a_thread(move || lost.iter().try_for_each(|lost| remove(lost))).await?
        {
            findings.push(unable.into_finding(Stage::Teardown));
        }
        Ok(findings)
    }));
    Ok(Vec::new())
}

/// Takes the data directory and the tablespaces away, each in one move, as a disaster does; gives where what was in them
/// waits to be removed.
fn take_files_away(drill: &Drill<'_>) -> Result<[PathBuf; 2], Unable> {
    let workspace = drill.workspace;
    let from = [workspace.data(Name::Primary), workspace.path(tablespaces::root(Name::Primary))];
    let to = [workspace.path("lost"), workspace.path("lost-tablespaces")];
    for (from, to) in from.iter().zip(&to) {
        fs::rename(from, to).map_err(|error| trouble(from, &error))?;
    }
    Ok(to)
}

/// Removes a directory in which dying processes may still make files.
fn remove(directory: &Path) -> Result<(), Unable> {
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
