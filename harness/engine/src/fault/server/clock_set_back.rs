//! `clock-set-back`: the clock of the live server is fast for a while, and is set right again. libfaketime tells the server's
//! processes another time than the machine's; it asks a file for the difference.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::world::Command;

use super::not_made;
use crate::drill::Drill;
use crate::session::describe;

const FAULT: Fault = Fault::ClockSetBack;

/// Seconds by which the clock is fast.
const FAST: f64 = 3600.0;

/// By how many seconds it may be off what it is set to, seen from outside.
const TOLERANCE: f64 = 60.0;

/// The difference to the machine's clock, within the workspace.
const DIFFERENCE: &str = "conf/clock";

/// Debian has it below the directory of the machine's architecture, Fedora in lib64, and who builds it in /usr/local.
const FIND: &str = "for library in /usr/lib/*/faketime /usr/lib64/faketime /usr/lib/faketime /usr/local/lib/faketime; do \
                    library=$library/libfaketime.so.1; [ -e \"$library\" ] && echo \"$library\" && exit; done; exit 1";

/// Something that has the time of its commit in the WAL, and changes nothing that anybody compares.
const COMMIT: &str = "SELECT pg_logical_emit_message(true, 'pgdrill', 'fast clock')";

const NOW: &str = "SELECT extract(epoch FROM clock_timestamp() - to_timestamp($1))::float8";

/// Has the server's processes ask a file for the time, when it is started next.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`: libfaketime is not where the server runs.
pub async fn settable_clock(drill: &mut Drill<'_>, on: Name) -> Result<(), Unable> {
    let workspace = drill.workspace;
    workspace.replace(Path::new(DIFFERENCE), "+0")?;
    let file = workspace.path(DIFFERENCE).display().to_string();
    let server = drill.server(on)?;
    let exit = server.place().run(&Command::system("sh", ["-c", FIND])).await?;
    let library = exit.stdout.trim();
    if !exit.success() || library.is_empty() {
        return Err(not_made(FAULT, "there is no libfaketime.so.1 where the server runs")
            .hint("install libfaketime there, on the machine or in the image, or leave the fault out"));
    }
    let one = || "1".to_owned();
    server.env = vec![
        ("LD_PRELOAD".to_owned(), library.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), file),
        // Each process asks again each time, so that all are set at once.
        ("FAKETIME_NO_CACHE".to_owned(), one()),
        // Nothing else than what the calendar says: time spans, the age of files.
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), one()),
        ("NO_FAKE_STAT".to_owned(), one()),
        // Before 0.9.11 nobody listens to this; see `left_by`.
        ("FAKETIME_DISABLE_SHM".to_owned(), one()),
    ];
    Ok(())
}

/// The files of shared memory that a process with such a clock leaves on its host, however it ends: libfaketime names them by
/// the process (`ft_shm_create`, `src/libfaketime.c`).
pub fn left_by(pid: u32) -> [String; 2] {
    [format!("/dev/shm/faketime_shm_{pid}"), format!("/dev/shm/sem.faketime_sem_{pid}")]
}

/// Whether processes with this environment have such a clock.
pub fn is_settable(env: &[(String, String)]) -> bool {
    env.iter().any(|(name, _)| name == "FAKETIME_TIMESTAMP_FILE")
}

pub(super) async fn run(drill: &mut Drill<'_>, on: Name) -> Result<String, Unable> {
    set(drill, on, FAST).await?;
    let committed = drill.session(on, None).await?.batch_execute(COMMIT).await;
    committed.map_err(|error| not_made(FAULT, &describe(&error)))?;
    set(drill, on, 0.0).await?;
    Ok(format!(
        "the clock of the {} was {FAST} s fast while something was committed, and is right again",
        on.name()
    ))
}

/// Sets the clock so many seconds before the machine's, and sees that the server follows.
async fn set(drill: &mut Drill<'_>, on: Name, ahead: f64) -> Result<(), Unable> {
    drill.workspace.replace(Path::new(DIFFERENCE), &format!("{ahead:+}"))?;
    let session = drill.session(on, None).await?;
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let row = session.query_one(NOW, &[&here.as_secs_f64()]).await;
    let seen: f64 = row.and_then(|row| row.try_get(0)).map_err(|error| not_made(FAULT, &describe(&error)))?;
    if (seen - ahead).abs() > TOLERANCE {
        let why = format!("set to {ahead:+} s, the server's clock is {seen:+.0} s before the machine's");
        return Err(not_made(FAULT, &why));
    }
    Ok(())
}
