//! WAL as PostgreSQL names it, where a tool keeps it under other names: a directory of links, each with the ending by which it is
//! told how its file is packed. Of what is encrypted it is decrypted copies.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use pgdrill_backup::parts::Packed;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_repository::{Chained, Passphrase, WalLayout, WalPlace, barman};

use crate::drill::{Drill, on_a_thread};
use crate::workspace::trouble;

/// The directory, within the workspace.
const VIEW: &str = "wal-view";

/// The directory in which a data directory and its tablespaces are put together, within the workspace.
pub const TOGETHER: &str = "backup-view";

/// Digits of a SHA-1.
const SHA1: usize = 40;

/// Directories in which the WAL of a place lies as PostgreSQL names it.
///
/// # Errors
///
/// `BACKUP_UNREADABLE`: the place cannot be read; `WORKSPACE_UNUSABLE`.
pub async fn view(
    drill: &Drill<'_>,
    place: &WalPlace,
    from: Option<&str>,
    key: Option<Passphrase>,
) -> Result<Vec<PathBuf>, Unable> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Unable::new(Code::BackupUnreadable, format!("{}: {error}", place.path.display()))
    };
    let links = match place.layout {
        WalLayout::Plain => return Ok(vec![place.path.clone()]),
        WalLayout::Barman => barman::wal_files(&place.path, from)
            .map_err(|error| unreadable(&error))?
            .into_iter()
            .filter_map(|file| Some((format!("{}{}", file.name, ending(file.packed?)), file.path)))
            .collect(),
        WalLayout::PgBackRest | WalLayout::WalG => {
            let mut found = Vec::new();
            walk(&place.path, &mut found).map_err(|error| unreadable(&error))?;
            found
        }
    };
    drill.workspace.make_dir(Path::new(VIEW))?;
    if let Some(key) = key {
        let needed = links.into_iter().filter(|(name, _)| is_needed(name, from)).collect();
        let into = drill.workspace.path(VIEW);
        let copied = into.clone();
        on_a_thread(move || decrypt(needed, &key, &copied)).await??;
        return Ok(vec![into]);
    }
    for (name, path) in links {
        symlink(&path, drill.workspace.path(VIEW).join(&name)).map_err(|error| {
            Unable::new(Code::WorkspaceUnusable, format!("cannot make {VIEW}/{name}: {error}"))
        })?;
    }
    Ok(vec![drill.workspace.path(VIEW)])
}

/// A data directory whose links lead to the tablespaces of the backup. Barman copies them by rsync to places that no link leads to, and
/// where links of a backup that was moved lead, another's files may lie: then it is a directory of links that lead to all of it.
///
/// # Errors
///
/// `BACKUP_UNREADABLE`, `WORKSPACE_UNUSABLE`.
pub fn with_tablespaces(drill: &Drill<'_>, one: &Chained) -> Result<PathBuf, Unable> {
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
    let root = drill.workspace.path(TOGETHER);
    let unreadable =
        |error: io::Error| Unable::new(Code::BackupUnreadable, format!("{}: {error}", one.data.display()));
    drill.workspace.make_dir(Path::new(TOGETHER))?;
    drill.workspace.make_dir(&Path::new(TOGETHER).join(LINKS))?;
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

/// Whether recovery that begins with a segment could ask for a file. A later timeline can begin anew with a lower number only in the
/// segment in which it left the one before, so only the number counts.
fn is_needed(name: &str, from: Option<&str>) -> bool {
    let number = |name: &str| name.get(8..24).map(str::to_owned);
    match (from.and_then(number), number(name)) {
        (Some(from), Some(number)) if !name.contains("history") => number >= from,
        _ => true,
    }
}

/// Puts decrypted copies into a directory. What is damaged, so that it cannot be decrypted, is put there as it is: whoever unpacks it
/// tells that it is damaged.
fn decrypt(files: Vec<(String, PathBuf)>, key: &Passphrase, into: &Path) -> Result<(), Unable> {
    for (name, path) in files {
        let bytes = fs::read(&path)
            .map_err(|error| Unable::new(Code::BackupUnreadable, format!("{}: {error}", path.display())))?;
        let to = into.join(name);
        fs::write(&to, key.decrypt(&bytes).unwrap_or(bytes)).map_err(|error| trouble(&to, &error))?;
    }
    Ok(())
}

fn ending(packed: Packed) -> &'static str {
    match packed {
        Packed::No => "",
        Packed::Gzip => ".gz",
        Packed::Lz4 => ".lz4",
        Packed::Zstd => ".zst",
    }
}

/// Every file of WAL below a directory, by the name that PostgreSQL asks for.
fn walk(directory: &Path, found: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), found)?;
        } else if let Some(name) = entry.file_name().to_str().and_then(plain) {
            found.push((name, entry.path()));
        }
    }
    Ok(())
}

/// The name of a file of WAL without what pgBackRest puts into it: `NAME-SHA1.gz` is `NAME.gz`. None where it is no such file.
fn plain(name: &str) -> Option<String> {
    let (stem, ending) = name.split_once('.').map_or((name, ""), |(stem, ending)| (stem, ending));
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if stem.len() == 8 && hex(stem) && ending.split('.').next() == Some("history") {
        return Some(name.to_owned());
    }
    let segment = match stem.split_once('-') {
        Some((segment, hash)) if hash.len() == SHA1 && hex(hash) => segment,
        Some(_) => return None,
        None => stem,
    };
    let is_segment =
        segment.len() == 24 && hex(segment) && !ending.contains("partial") && !ending.contains("backup");
    is_segment.then(|| if ending.is_empty() { segment.to_owned() } else { format!("{segment}.{ending}") })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "000000010000000000000003-64ac2c0d7a0ee7c4d9a1e2f5b5b5b7ed8f3a5c1e.gz",
        Some("000000010000000000000003.gz")
    )]
    #[case(
        "000000010000000000000003-64ac2c0d7a0ee7c4d9a1e2f5b5b5b7ed8f3a5c1e",
        Some("000000010000000000000003")
    )]
    #[case("000000010000000000000003.lz4", Some("000000010000000000000003.lz4"))]
    #[case("00000002.history", Some("00000002.history"))]
    #[case("000000010000000000000003.partial-64ac2c0d7a0ee7c4d9a1e2f5b5b5b7ed8f3a5c1e.gz", None)]
    #[case("000000010000000000000003.00000028.backup", None)]
    #[case("000000010000000000000003-short.gz", None)]
    #[case("archive.info", None)]
    fn a_name_is_that_which_postgresql_asks_for(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(plain(name).as_deref(), expected);
    }
}
