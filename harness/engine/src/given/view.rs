//! WAL as PostgreSQL names it, where a tool keeps it under other names: a directory of links, each with the ending by which it is
//! told how its file is packed. Of what is encrypted it is decrypted copies.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_repository::{Chained, Passphrase, WalFile};

use crate::drill::{Drill, on_a_thread};
use crate::workspace::trouble;

/// The directory, within the workspace.
const VIEW: &str = "wal-view";

/// The directory in which a data directory and its tablespaces are put together, within the workspace.
pub const TOGETHER: &str = "backup-view";

/// A directory in which files of WAL lie as PostgreSQL names them.
///
/// # Errors
///
/// `BACKUP_UNREADABLE`: one cannot be read; `WORKSPACE_UNUSABLE`.
pub async fn view(
    drill: &Drill<'_>,
    files: Vec<WalFile>,
    key: Option<Passphrase>,
) -> Result<PathBuf, Unable> {
    drill.workspace.make_dir(Path::new(VIEW))?;
    let into = drill.workspace.path(VIEW);
    if let Some(key) = key {
        let copied = into.clone();
        on_a_thread(move || decrypt(files, &key, &copied)).await??;
        return Ok(into);
    }
    for file in files {
        let to = into.join(&file.name);
        symlink(&file.path, &to).map_err(|error| trouble(&to, &error))?;
    }
    Ok(into)
}

/// A data directory whose links lead to the tablespaces of the backup. Barman copies them by rsync to places that no link leads to, and
/// where links of a backup that was moved lead, another's files may lie: then it is a directory
/// of links that lead to all of it, `view` within the workspace.
///
/// # Errors
///
/// `BACKUP_UNREADABLE`, `WORKSPACE_UNUSABLE`.
pub fn with_tablespaces(drill: &Drill<'_>, one: &Chained, view: &Path) -> Result<PathBuf, Unable> {
    const LINKS: &str = "pg_tblspc";
    // Files that are not there at all are missing, which the verification finds.
    let there: Vec<(String, &Path)> = one
        .tablespaces
        .iter()
        .filter_map(|placed| {
            Some((placed.oid.to_string(), placed.files.as_deref().filter(|own| own.is_dir())?))
        })
        .collect();
    let leads_to = |(oid, own): &(String, &Path)| {
        let link = fs::canonicalize(one.data.join(LINKS).join(oid));
        link.is_ok_and(|link| fs::canonicalize(own).is_ok_and(|own| own == link))
    };
    if there.iter().all(leads_to) {
        return Ok(one.data.clone());
    }
    let root = drill.workspace.path(view);
    let unreadable =
        |error: io::Error| Unable::new(Code::BackupUnreadable, format!("{}: {error}", one.data.display()));
    drill.workspace.make_dir(view)?;
    drill.workspace.make_dir(&view.join(LINKS))?;
    let link = |from: &Path, to: PathBuf| symlink(from, &to).map_err(|error| trouble(&to, &error));
    for entry in fs::read_dir(&one.data).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if name != LINKS {
            link(&one.data.join(&name), root.join(&name))?;
        }
    }
    for (oid, own) in there {
        link(own, root.join(LINKS).join(oid))?;
    }
    Ok(root)
}

/// Puts decrypted copies into a directory. What is damaged, so that it cannot be decrypted, is put there as it is: whoever unpacks it
/// tells that it is damaged.
fn decrypt(files: Vec<WalFile>, key: &Passphrase, into: &Path) -> Result<(), Unable> {
    for WalFile { name, path } in files {
        let bytes = fs::read(&path)
            .map_err(|error| Unable::new(Code::BackupUnreadable, format!("{}: {error}", path.display())))?;
        let to = into.join(name);
        fs::write(&to, key.decrypt(&bytes).unwrap_or(bytes)).map_err(|error| trouble(&to, &error))?;
    }
    Ok(())
}
