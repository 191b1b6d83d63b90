//! Restores a backup of pgBackRest by pgBackRest itself, as its operator would: it verifies each file by its SHA-1 on the way.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use pgdrill_model::finding::{Finding, Unable};
use pgdrill_repository::Layout;

use super::program::{Program, complaint};
use crate::drill::{Drill, on_a_thread};
use crate::recovery::pgbackrest::failed;
use crate::recovery::unpack::Unpacked;
use crate::tool::pgbackrest;
use crate::workspace::trouble;

/// The drill as a whole is bounded; a restore may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

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
    let locks = workspace.path("log");
    let args = pgbackrest::restore_arguments(layout, &locks, &into, &tablespaces);
    let program = Program {
        name: pgbackrest::NAME,
        args: args.ok_or_else(|| Unable::bug("pgBackRest is told to restore what it did not make"))?,
        environment: &["PGBACKREST_"],
        // That of the machine may be production's: a restore empties it.
        sets: &[(pgbackrest::SPOOL, locks.as_path())],
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
    failed(output.status.code(), &how, &words).map(|finding| Err(vec![finding]))
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
