//! Puts a restored server's tablespaces into its own tree, and refuses whatever would lead out of it. A server that
//! follows a link to the live directory writes into it, and a DROP TABLESPACE there removes the live one's files: so
//! the links and the map of what was unpacked are made anew, and looked at again before anything is started.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pgdrill_backup::parts;
use pgdrill_backup::tablespaces::{self, MAP};
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Major;
use pgdrill_ondisk::tablespace::{self, Mapping};

use crate::drill::on_a_thread;
use crate::tablespaces::root;
use crate::workspace::Workspace;

/// From 14 on every backslash in a tablespace map is escaped (`read_tablespace_map`, `xlogrecovery.c`).
const ESCAPES_BACKSLASHES: Major = Major(14);

/// Refuses a backup whose tablespaces lead anywhere but into the drill's own files: before anything is unpacked, as
/// far as it can be told before.
///
/// # Errors
///
/// `TABLESPACE_OUTSIDE`.
pub async fn refuse_backup(workspace: &Workspace, source: &Path) -> Result<(), Unable> {
    let source = source.to_owned();
    let found = on_a_thread(move || tablespaces::of_backup(&source)).await?;
    // A backup that cannot be read is for the unpacking to judge.
    refuse(found.unwrap_or_default(), workspace.root())
}

/// Refuses a data directory of which a link or its map leads out of the restored server's own tree: the last thing
/// that is done before a start.
///
/// # Errors
///
/// `TABLESPACE_OUTSIDE`; also of a map that cannot be read, because the server may read it otherwise.
pub fn refuse_restored(workspace: &Workspace, server: Name) -> Result<(), Unable> {
    let found = tablespaces::of_data_directory(&workspace.data(server))
        .map_err(|error| Unable::new(Code::TablespaceOutside, error.to_string()))?;
    refuse(found, &workspace.path(root(server)))
}

/// Refuses a plain backup with a link to anywhere but the files beside it: whoever copies or combines it follows the
/// link.
///
/// # Errors
///
/// `TABLESPACE_OUTSIDE`.
pub fn refuse_links(source: &Path) -> Result<Vec<Mapping>, Unable> {
    let links = tablespaces::links(source);
    refuse(links.clone(), &parts::beside(source)).map(|()| links)
}

fn refuse(found: Vec<Mapping>, own: &Path) -> Result<(), Unable> {
    let outside = found.into_iter().find(|mapping| tablespaces::leaves(Path::new(&mapping.path), own));
    outside.map_or(Ok(()), |mapping| {
        Err(Unable::new(
            Code::TablespaceOutside,
            format!(
                "tablespace {} of the backup leads to {}, which is not the restored server's own; a server started \
                 on it could destroy the live tablespace",
                mapping.oid, mapping.path
            ),
        ))
    })
}

/// Makes the data directory `data` find each tablespace that was unpacked below `own`, by its OID, there and nowhere
/// else; both lie within the workspace. Gives how many there are, or a finding when the backup contradicts itself.
///
/// # Errors
///
/// `TABLESPACE_OUTSIDE` when one lay outside of the workspace to begin with; `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub fn remap(
    workspace: &Workspace,
    data: &Path,
    own: &Path,
    major: Major,
) -> Result<Result<u64, Finding>, Unable> {
    let directory = workspace.path(data);
    let map = match tablespaces::map(&directory) {
        Ok(map) => map,
        Err(error) => return Ok(Err(failed(&error.to_string()))),
    };
    let links = tablespaces::links(&directory);
    let named = map.iter().flatten().chain(&links);
    refuse(named.clone().cloned().collect(), workspace.root())?;
    let named: BTreeSet<String> = named.map(|mapping| mapping.oid.clone()).collect();
    let unpacked = unpacked(&workspace.path(own));
    if let Some(oid) = named.difference(&unpacked).next() {
        return Ok(Err(failed(&format!("the backup names tablespace {oid}, and does not hold it"))));
    }
    if let Some(oid) = unpacked.difference(&named).next() {
        return Ok(Err(failed(&format!("the backup holds tablespace {oid}, and does not name it"))));
    }
    let new: Vec<Mapping> = unpacked
        .iter()
        .map(|oid| {
            let path = workspace.path(own.join(oid)).to_string_lossy().into_owned();
            Mapping { oid: oid.clone(), path }
        })
        .collect();
    for Mapping { oid, path } in &new {
        workspace.link(&data.join("pg_tblspc").join(oid), Path::new(path))?;
    }
    if map.is_some() {
        let text = tablespace::write(&new, major >= ESCAPES_BACKSLASHES);
        workspace.replace(&data.join(MAP), &text)?;
    }
    Ok(Ok(new.len() as u64))
}

/// The tablespaces that were unpacked below a directory, by OID.
fn unpacked(own: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(own).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn failed(words: &str) -> Finding {
    let message = format!("the backup could not be unpacked: {words}");
    Finding::new(Code::UnpackFailed, Stage::Recover, message).about(MAP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const RESTORED: Name = Name::Restored(1);

    /// A workspace with a data directory unpacked from a tar: a map, no links, and one tablespace beside it.
    fn unpacked_tar(parent: &Path, map: &str) -> Workspace {
        let workspace = Workspace::create(parent, "r", None, 1).unwrap();
        for part in ["restored", "restored/pg_tblspc", "tablespaces/restored", "tablespaces/restored/16400"] {
            workspace.make_dir(Path::new(part)).unwrap();
        }
        workspace
            .write("restored/tablespace_map", &map.replace('@', &workspace.root().to_string_lossy()), 0o600)
            .unwrap();
        workspace
    }

    fn remap_restored(workspace: &Workspace) -> Result<Result<u64, Finding>, Unable> {
        remap(workspace, Path::new("restored"), &root(RESTORED), Major(15))
    }

    #[test]
    fn a_tablespace_of_the_primary_becomes_the_restored_servers_own() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = unpacked_tar(parent.path(), "16400 @/tablespaces/primary/history\n");
        let outside = refuse_restored(&workspace, RESTORED).unwrap_err();
        assert_eq!(outside.code, Code::TablespaceOutside);
        assert_eq!(remap_restored(&workspace).unwrap().unwrap(), 1);
        refuse_restored(&workspace, RESTORED).unwrap();
        let own = workspace.path("tablespaces/restored/16400");
        let data = workspace.data(RESTORED);
        assert_eq!(fs::read_link(data.join("pg_tblspc/16400")).unwrap(), own);
        assert_eq!(fs::read_to_string(data.join(MAP)).unwrap(), format!("16400 {}\n", own.display()));
        workspace.remove().unwrap();
    }

    #[test]
    fn what_lies_outside_of_the_drill_is_refused_as_map_and_as_link() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = unpacked_tar(parent.path(), "16400 /srv/live\n");
        assert_eq!(remap_restored(&workspace).unwrap_err().code, Code::TablespaceOutside);
        fs::remove_file(workspace.path("restored/tablespace_map")).unwrap();
        let link = workspace.path("restored/pg_tblspc/16400");
        symlink("/srv/live", &link).unwrap();
        assert_eq!(remap_restored(&workspace).unwrap_err().code, Code::TablespaceOutside);
        assert_eq!(refuse_restored(&workspace, RESTORED).unwrap_err().code, Code::TablespaceOutside);
        // One that leads out of the workspace through another link.
        symlink("/srv", workspace.path("way-out")).unwrap();
        fs::remove_file(&link).unwrap();
        symlink(workspace.path("way-out/live"), &link).unwrap();
        assert_eq!(remap_restored(&workspace).unwrap_err().code, Code::TablespaceOutside);
        workspace.remove().unwrap();
    }

    #[test]
    fn a_link_to_the_primary_is_made_anew() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = unpacked_tar(parent.path(), "");
        fs::remove_file(workspace.path("restored/tablespace_map")).unwrap();
        workspace.make_dir(Path::new("tablespaces/primary")).unwrap();
        let link = workspace.path("restored/pg_tblspc/16400");
        symlink(workspace.path("tablespaces/primary"), &link).unwrap();
        assert!(refuse_restored(&workspace, RESTORED).is_err());
        assert_eq!(remap_restored(&workspace).unwrap().unwrap(), 1);
        assert_eq!(fs::read_link(&link).unwrap(), workspace.path("tablespaces/restored/16400"));
        refuse_restored(&workspace, RESTORED).unwrap();
        workspace.remove().unwrap();
    }

    #[test]
    fn a_backup_that_contradicts_itself_is_a_finding() {
        let parent = tempfile::tempdir().unwrap();
        let workspace =
            unpacked_tar(parent.path(), "16400 @/tablespaces/primary/a\n16401 @/tablespaces/primary/b\n");
        let finding = remap_restored(&workspace).unwrap().unwrap_err();
        assert!(
            finding.message.contains("names tablespace 16401, and does not hold it"),
            "{}",
            finding.message
        );
        fs::write(workspace.path("restored/tablespace_map"), "").unwrap();
        let finding = remap_restored(&workspace).unwrap().unwrap_err();
        assert!(
            finding.message.contains("holds tablespace 16400, and does not name it"),
            "{}",
            finding.message
        );
        fs::write(workspace.path("restored/tablespace_map"), "nonsense\n").unwrap();
        assert_eq!(remap_restored(&workspace).unwrap().unwrap_err().code, Code::UnpackFailed);
        assert_eq!(refuse_restored(&workspace, RESTORED).unwrap_err().code, Code::TablespaceOutside);
        workspace.remove().unwrap();
    }
}
