//! `archive-disk-full`: the disk of the archive has no room from now on. It is a small one of its own, which is there since
//! the cluster was made, and something else fills it.

use std::fs::File;
use std::io::{ErrorKind, Write};

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;

use super::not_made;
use crate::drill::Drill;
use crate::mounts;
use crate::workspace::Workspace;

const FAULT: Fault = Fault::ArchiveDiskFull;

/// WAL segments that the archive has room for.
const SEGMENTS: u64 = 24;

/// Puts the archive on a small disk.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`: only root can do that.
pub fn small_archive(workspace: &Workspace, segment_megabytes: u32) -> Result<(), Unable> {
    let made = mounts::limit(&workspace.path("archive"), size(segment_megabytes), workspace.owner());
    made.map_err(|error| {
        not_made(FAULT, &format!("the archive cannot be put on a small disk: {error}"))
            .hint("only root can make a file system in memory; run pgdrill as root, or leave the fault out")
    })
}

fn size(segment_megabytes: u32) -> u64 {
    SEGMENTS * (u64::from(segment_megabytes) << 20)
}

pub(super) fn run(drill: &Drill<'_>) -> Result<String, Unable> {
    let failed = |error: std::io::Error| not_made(FAULT, &error.to_string());
    let mut file = File::create(drill.workspace.path("archive/.something-else")).map_err(failed)?;
    let (block, mut written) = (vec![0_u8; 64 << 10], 0);
    while written <= size(drill.made.wal_segment_megabytes) {
        match file.write(&block) {
            Ok(bytes) => written += bytes as u64,
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                return Ok(format!("{written} bytes of something else fill the disk of the archive"));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Err(not_made(FAULT, "the archive is not on a small disk of its own"))
}
