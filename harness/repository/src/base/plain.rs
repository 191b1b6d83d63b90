//! A data directory as a backup: of `pg_basebackup`, of a copy between `pg_backup_start` and `pg_backup_stop`, of a snapshot, or of
//! a server that was shut down.

use std::fs;
use std::path::{Path, PathBuf};

use pgdrill_ondisk::segment::is_segment;
use rustix::process::{Pid, test_kill_process};

use super::{Base, LARGEST_LABEL, Looked, mapped};
use crate::Tablespace;
use crate::files::{Kind as EntryKind, Tree, Trouble, shown};
use crate::not_a_backup::NotABackup;

/// Bytes of `global/pg_control` and of `postmaster.pid`.
const LARGEST_SMALL: u64 = 64 << 10;

/// Directories without which no cluster starts, and which no way to take a backup leaves out.
const DIRECTORIES: [&str; 4] = ["base", "global", "pg_xact", "pg_multixact"];

/// Whether a directory is a data directory, or what is left of one.
pub(crate) fn is_plain(tree: &Tree) -> bool {
    tree.has_file("PG_VERSION") || tree.has_file("global/pg_control") || tree.has_file("backup_label")
}

/// Looks at a data directory.
pub(crate) fn look(tree: &Tree) -> Result<Looked, NotABackup> {
    let half = |what: String| NotABackup::HalfCopied { path: tree.root().to_owned(), what };
    let read = |name: &str, limit: u64| match tree.read(name, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Trouble::Missing) => Ok(None),
        Err(trouble) => Err(NotABackup::of(&tree.root().join(name), trouble)),
    };
    let version = read("PG_VERSION", LARGEST_SMALL)?;
    let control = read("global/pg_control", LARGEST_SMALL)?;
    let (version, control) = match (version, control) {
        (Some(version), Some(control)) => (version, control),
        (Some(_), None) => return Err(half("PG_VERSION is there, and global/pg_control is not".to_owned())),
        (None, Some(_)) => return Err(half("global/pg_control is there, and PG_VERSION is not".to_owned())),
        (None, None) => {
            return Err(half(
                "backup_label is there, and PG_VERSION and global/pg_control are not".to_owned(),
            ));
        }
    };
    if let Some(missing) = DIRECTORIES.iter().find(|name| !tree.has_directory(name)) {
        return Err(half(format!(
            "PG_VERSION and global/pg_control are there, and the directory {missing} is not"
        )));
    }
    let mut looked = Looked::new(tree.root(), Base::default());
    looked.versioned(&version);
    if let Some(label) = read("backup_label", LARGEST_LABEL)? {
        looked.labelled(&label);
    }
    looked.controlled(&control);
    looked.manifested(tree);
    if let Some(pid) = read("postmaster.pid", LARGEST_SMALL)? {
        let copied = of_a_server(tree.root(), &String::from_utf8_lossy(&pid))?;
        looked.remark(copied);
    }
    tablespaces(tree, &mut looked);
    let wal = tree.entries("pg_wal").unwrap_or_default();
    let segments = wal.iter().filter(|entry| is_segment(&entry.name)).count() as u64;
    let moved = tree
        .entries("")
        .unwrap_or_default()
        .iter()
        .any(|entry| entry.name == "pg_wal" && entry.kind == EntryKind::Link);
    if moved && !tree.has_directory("pg_wal") {
        looked.remark("pg_wal is a link that leads out of it, or nowhere: the WAL there is not looked at");
    }
    if let Some(base) = looked.base() {
        base.wal_segments = Some(segments);
    }
    looked.unlabelled();
    if looked.backup.started_us.is_none() {
        // Copying keeps this time, where it is asked to; else it is that of the copy.
        looked.backup.started_us =
            ["backup_label", "global/pg_control"].iter().find_map(|name| tree.stat(name).ok()?.1);
        looked
            .remark("when it was taken is known only by the time of a file, which copying may have changed");
    }
    Ok(looked)
}

/// What a `postmaster.pid` means: a refusal, or what is to be said of a copy.
fn of_a_server(root: &Path, pid: &str) -> Result<String, NotABackup> {
    let mut lines = pid.lines();
    let process = lines.next().and_then(|line| line.trim().parse::<i32>().ok());
    let directory = lines.next().map(|line| PathBuf::from(line.trim()));
    let runs = process.and_then(Pid::from_raw).is_some_and(|pid| {
        // A process of another account is there, too.
        !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
    });
    let own =
        directory.as_deref().and_then(|directory| fs::canonicalize(directory).ok()).as_deref() == Some(root);
    let named = directory.map_or_else(|| "nothing".to_owned(), |path| shown(&path.to_string_lossy()));
    let number = process.map_or_else(|| "?".to_owned(), |process| process.to_string());
    if !own {
        return Ok(format!(
            "postmaster.pid was copied along; it is of the server in {named}, which this is not"
        ));
    }
    let why = if runs {
        format!("postmaster.pid names this directory, and its process {number} runs")
    } else {
        format!(
            "postmaster.pid names this directory; its process {number} does not run on this host, so the server crashed, runs in a \
             container or elsewhere, or this is a stale copy at the same path"
        )
    };
    Err(NotABackup::ServersOwn { path: root.to_owned(), why })
}

/// Takes down the tablespaces: those of the map, and the links that are there.
fn tablespaces(tree: &Tree, looked: &mut Looked) {
    let mut found = match tree.read("tablespace_map", LARGEST_LABEL) {
        Ok(map) => mapped(&map).unwrap_or_else(|what| {
            looked.remark(format!("tablespace_map: {}", shown(&what)));
            Vec::new()
        }),
        Err(_) => Vec::new(),
    };
    for entry in tree.entries("pg_tblspc").unwrap_or_default() {
        let Ok(oid) = entry.name.parse::<u32>() else { continue };
        let path = match entry.kind {
            EntryKind::Link => {
                let to = fs::read_link(tree.root().join("pg_tblspc").join(&entry.name)).unwrap_or_default();
                if tree.resolve(&format!("pg_tblspc/{}", entry.name)).is_err() {
                    looked.remark(format!(
                        "its tablespace {oid} is a link to {}, outside of it; the link is not followed",
                        shown(&to.to_string_lossy())
                    ));
                }
                Some(to.to_string_lossy().into_owned())
            }
            // The tablespace lies in the data directory itself.
            EntryKind::Directory => None,
            _ => continue,
        };
        if !found.iter().any(|of| of.oid == oid) {
            found.push(Tablespace { oid, name: None, path });
        }
    }
    if let Some(base) = looked.base() {
        base.tablespaces = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_own_directory_is_told_from_a_copy() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let own = |pid: u32| of_a_server(&root, &format!("{pid}\n{}\n1700000000\n", root.display()));
        let refused = own(std::process::id()).unwrap_err().to_string();
        assert!(refused.contains("and its process"), "{refused}");
        // Process numbers end far below.
        let stale = own(0x3FFF_FFFF).unwrap_err().to_string();
        assert!(stale.contains("does not run on this host"), "{stale}");
        let copied = of_a_server(&root, "1\n/var/lib/postgresql/15/main\n").unwrap();
        assert_eq!(
            copied,
            "postmaster.pid was copied along; it is of the server in /var/lib/postgresql/15/main, which this is not"
        );
        assert!(of_a_server(&root, "").is_ok());
    }
}
