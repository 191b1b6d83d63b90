//! A data directory in one tar, as `pg_basebackup -D -` writes it, or as somebody packed it: read once to its end to see what it says
//! of itself, and once more when it is restored.

use std::fs;
use std::path::{Path, PathBuf};

use pgdrill_backup::parts::Part;
use pgdrill_backup::standing::{self, OneTar, OwnWal, Standing};
use pgdrill_backup::verify::{Options, Source};
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};

use super::OWN_WAL;
use crate::drill::{Drill, disk_full, on_a_thread};
use crate::recovery::native;
use crate::recovery::unpack::Unpacked;
use crate::workspace::trouble;

/// Where its manifest is put, within the workspace.
const MANIFEST: &str = "own-manifest";

/// One that is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The file.
    pub part: Part,
    /// The manifest that is in it.
    pub manifest: Option<PathBuf>,
    /// The WAL that is in it.
    pub wal: Option<PathBuf>,
}

/// Looks at all that is in it; a finding where it breaks off before it says from where it must be recovered.
///
/// # Errors
///
/// `BACKUP_UNREADABLE`, `DISK_FULL`, `WORKSPACE_UNUSABLE`.
pub async fn look(drill: &Drill<'_>, part: Part) -> Result<Result<(Standing, Packed), Box<Finding>>, Unable> {
    drill.workspace.make_dir(Path::new(OWN_WAL))?;
    let (into, looked_at) = (drill.workspace.path(OWN_WAL), part.clone());
    let looked = on_a_thread(move || standing::look_into(&looked_at, &into)).await?;
    let OneTar { standing, manifest, broken } = looked.map_err(|error| {
        let message = error.to_string();
        let code = if disk_full(&message) { Code::DiskFull } else { Code::BackupUnreadable };
        Unable::new(code, message)
    })?;
    if let (Some(broken), None) = (broken, &standing.label) {
        let message = format!("could not read archive \"{}\": {broken}", part.path.display());
        return Ok(Err(Box::new(
            Finding::new(Code::UnpackFailed, Stage::Backup, message).about(part.name()),
        )));
    }
    let manifest = match manifest {
        Some(bytes) => {
            let path = drill.workspace.path(MANIFEST);
            fs::write(&path, bytes).map_err(|error| trouble(&path, &error))?;
            Some(path)
        }
        None => None,
    };
    let wal = match &standing.own_wal {
        Some(OwnWal::Directory(directory)) => Some(directory.clone()),
        _ => None,
    };
    Ok(Ok((standing, Packed { part, manifest, wal })))
}

/// Restores it, verified on the way; findings when it is not what its manifest says.
///
/// # Errors
///
/// As of any that pgdrill restores.
pub async fn restore(
    drill: &Drill<'_>,
    packed: &Packed,
    data: &Path,
    own: &Path,
) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let options = Options {
        manifest: packed.manifest.clone(),
        wal_directory: packed.wal.clone(),
        wal_elsewhere: Some(drill.workspace.path("archive")),
        ..Options::default()
    };
    native::restore_as(drill, Source::OneTar(packed.part.clone()), options, data, own).await
}
