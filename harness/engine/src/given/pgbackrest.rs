//! Restores a backup of pgBackRest by pgBackRest itself, as its operator would: it verifies each file by its SHA-1 on the way.

use std::path::Path;
use std::time::Duration;

use pgdrill_model::finding::{Finding, Unable};
use pgdrill_repository::Layout;

use super::program::Program;
use crate::drill::{Drill, on_a_thread};
use crate::recovery::pgbackrest::failed;
use crate::recovery::unpack::Unpacked;
use crate::repository::complaint;
use crate::tool::pgbackrest;
use crate::tree;
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
    let exit = program.run().await?;
    let owner = workspace.owner().map(|owner| (owner.uid, owner.gid));
    if let Some(owner) = owner {
        let trees = [into.clone(), tablespaces];
        let given = on_a_thread(move || trees.iter().try_for_each(|tree| tree::give(tree, owner)));
        given.await?.map_err(|error| trouble(&into, &error))?;
    }
    if exit.success() {
        return Ok(Ok(Unpacked::default()));
    }
    failed(exit.code, &exit.describe(), &complaint(&exit)).map(|finding| Err(vec![finding]))
}
