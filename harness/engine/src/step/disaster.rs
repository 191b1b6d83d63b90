//! `disaster`: loses the primary, and waits until a client can tell.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Disaster;
use pgdrill_model::world::{Command, Place, Signal};
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
        standby.stop().await;
    }
    let mut server =
        drill.primary.take().ok_or_else(|| Unable::bug("the plan loses a primary that is not there"))?;
    let memory = shared_memory(drill);
    let at = clock.elapsed();
    server.signal(Signal::Kill).await?;
    let lost_files = match disaster {
        Disaster::LosePrimary => Some(take_files_away(drill)?),
        Disaster::Kill => None,
    };
    let door = Door::superuser(&server.socket, crate::data::DATABASE);
    while door.open().await.is_ok() {
        if clock.elapsed() > at + LIMIT {
            drill.primary = Some(server);
            let message = format!("the primary still answers {} s after SIGKILL", LIMIT.as_secs());
            return Err(Unable::new(Code::TimeLimit, message));
        }
        sleep(LOOK_AGAIN).await;
    }
    drill.lost = Some(Lost { at, noticed: clock.elapsed() });
    // Ending what else ran in the primary's place, and removing its files, takes time that no disaster takes. So
    // recovery does not wait for it, but nothing is started before it is done.
    let standby = drill.standby.take();
    drill.losing = Some(tokio::spawn(async move {
        let mut findings = match standby {
            Some(standby) => standby.close(false).await,
            None => Vec::new(),
        };
        findings.extend(remove_memory(server.place(), memory.as_deref()).await);
        findings.extend(server.close(false).await);
        match lost_files {
            Some(lost) => {
                on_a_thread(move || lost.iter().try_for_each(|lost| remove(lost))).await?.map(|()| findings)
            }
            None => Ok(findings),
        }
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

/// The System V shared memory segment by which the primary guards its data directory: the second number in the
/// seventh line of its pid file (`src/include/utils/pidfile.h`).
fn shared_memory(drill: &Drill<'_>) -> Option<String> {
    let pid_file = fs::read_to_string(drill.workspace.data(Name::Primary).join("postmaster.pid")).ok()?;
    let id = pid_file.lines().nth(6)?.split_whitespace().nth(1)?;
    id.parse::<u64>().ok().map(|_| id.to_owned())
}

/// Removes the segment, which outlives a server that was killed; no other server will start on these files and do it.
async fn remove_memory(place: &dyn Place, id: Option<&str>) -> Vec<Finding> {
    let Some(id) = id else { return Vec::new() };
    let words = match place.run(&Command::system("ipcrm", ["--shmem-id", id])).await {
        Ok(exit)
            if exit.success()
                || exit.stderr.contains("invalid id")
                || exit.stderr.contains("already removed") =>
        {
            return Vec::new();
        }
        Ok(exit) => exit.last_words().to_owned(),
        Err(unable) => unable.message,
    };
    let message =
        format!("the shared memory segment {id} of the killed primary could not be removed: {words}");
    vec![
        Finding::new(Code::CleanupFailed, Stage::Teardown, message)
            .hint(format!("remove it: ipcrm --shmem-id {id}")),
    ]
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
