//! `restored-disk-full`: the data directory of the restored server is on a disk that is too small for the backup.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::super::not_made;
use crate::drill::Drill;
use crate::mounts;

/// Bytes of the disk: less than an empty cluster has.
const SIZE: u64 = 8 << 20;

pub(super) fn run(drill: &Drill<'_>, server: Name) -> Result<String, Unable> {
    let workspace = drill.workspace;
    mounts::limit(&workspace.data(server), SIZE, workspace.owner()).map_err(|error| {
        not_made(Fault::RestoredDiskFull, &format!("the server cannot be put on a small disk: {error}"))
            .hint("only root can make a file system in memory; run pgdrill as root, or leave the fault out")
    })?;
    Ok(format!("the disk of the {} has {} MiB", server.name(), SIZE >> 20))
}
