//! Restores a backup of pgBackRest by pgBackRest itself, as its operator would: it verifies each file by its SHA-1 on the way.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_repository::Layout;

use super::program::{Program, complaint};
use crate::drill::{Drill, disk_full, on_a_thread};
use crate::recovery::unpack::Unpacked;
use crate::workspace::trouble;

/// The drill as a whole is bounded; a restore may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Exit codes of pgBackRest that tell of what it was to read, not of the backup (`src/build/error/error.yaml`): paths, files and
/// options that it cannot use, locks, memory, hosts.
const OF_THE_MOMENT: [i32; 12] = [27, 31, 32, 37, 38, 40, 41, 42, 50, 56, 62, 75];

/// Restores into a data directory, and its tablespaces below another, both within the workspace; findings when pgBackRest says
/// that something is wrong with the backup.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `DISK_FULL`, `RESTORE_FAILED`: it could not, which says nothing about the backup.
pub async fn restore(
    drill: &Drill<'_>,
    layout: &Layout,
    data: &Path,
    own: &Path,
) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let workspace = drill.workspace;
    let (into, tablespaces) = (workspace.path(data), workspace.path(own));
    let arguments = layout.pgbackrest_arguments(&into.to_string_lossy(), &tablespaces.to_string_lossy());
    let arguments =
        arguments.ok_or_else(|| Unable::bug("pgBackRest is told to restore what it did not make"))?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let log = workspace.path("log");
    let args = [
        "--no-config".to_owned(),
        format!("--lock-path={}", log.display()),
        format!("--log-path={}", log.display()),
        "--log-level-file=off".to_owned(),
        "--log-level-console=warn".to_owned(),
        format!("--process-max={jobs}"),
        // What recovery is to do, the drill itself says.
        "--type=none".to_owned(),
    ];
    let program = Program {
        name: "pgbackrest",
        args: args.into_iter().chain(arguments).collect(),
        environment: &["PGBACKREST_"],
        directory: workspace.root(),
        limit: LIMIT,
    };
    let output = program.run().await?;
    let owner = workspace.owner().map(|owner| (owner.uid, owner.gid));
    if let Some(owner) = owner {
        let trees = [into.clone(), tablespaces];
        let given = on_a_thread(move || trees.iter().try_for_each(|tree| give(tree, owner)));
        given.await?.map_err(|error| trouble(&into, &error))?;
    }
    if output.status.success() {
        return Ok(Ok(Unpacked::default()));
    }
    let words = complaint(&output);
    let how = output.status.code().map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
    let message = format!("pgbackrest restore ended with {how}: {words}");
    if disk_full(&words) {
        return Err(Unable::new(Code::DiskFull, message));
    }
    if output.status.code().is_none_or(|code| OF_THE_MOMENT.contains(&code)) {
        return Err(Unable::new(Code::RestoreFailed, message));
    }
    Ok(Err(vec![Finding::new(Code::UnpackFailed, Stage::Recover, message)]))
}

/// Gives all that is below a path to an account. No link is followed.
fn give(path: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    lchown(path, uid, gid)?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), (uid, gid))?;
        }
    }
    Ok(())
}

fn lchown(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
}
