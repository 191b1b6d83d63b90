//! How a server archives its WAL and is given it back: by pgdrill's own scripts, or by commands of the scenario, around
//! which pgdrill takes down what was archived and what was given.
//!
//! With pgBackRest its commands take the place of these.
//!
//! With an own `archive_command` the archive is a directory of its own, whose files may be packed or ciphered as the
//! command wants. What the server gave to it lies beside that, as it was: without it nobody could say what was lost.

use std::path::{Path, PathBuf};

use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{Archive, ArchiveBy};

use crate::recovery::reached::fetch_log;
use crate::repository;
use crate::settings::Archiving;
use crate::workspace::Workspace;

const ARCHIVE_WAL: &str = include_str!("sh/archive-wal.sh");
const FETCH_WAL: &str = include_str!("sh/fetch-wal.sh");
const WITNESS_WAL: &str = include_str!("sh/witness-wal.sh");

/// Where WAL lies as it was written, within the workspace.
pub const WAL: &str = "archive";

/// The archive of an own `archive_command`, within the workspace.
const OWN: &str = "own-archive";

/// The directory, within the workspace, that a server's WAL is archived in.
pub fn directory(archive: &Archive) -> &'static str {
    match (archive.by, &archive.command) {
        (ArchiveBy::PgBackRest, _) => repository::WAL,
        (_, Some(_)) => OWN,
        (_, None) => WAL,
    }
}

/// The directories, within the workspace, that a server's archiving writes to, beside that of backups.
pub fn directories(archive: &Archive) -> Vec<&'static str> {
    if archive.command.is_some() { vec![WAL, OWN] } else { vec![WAL] }
}

/// Makes the archive and what a server needs to write to it.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub fn prepare(workspace: &Workspace, archive: &Archive, run_id: &str) -> Result<(), Unable> {
    for directory in directories(archive) {
        workspace.need_dir(Path::new(directory))?;
        workspace.write(format!("{directory}/.pgdrill"), &format!("the archive of run {run_id}\n"), 0o600)?;
    }
    let wal = workspace.path(WAL);
    let (name, script) =
        if archive.is_plain() { ("archive-wal", ARCHIVE_WAL) } else { ("witness-wal", WITNESS_WAL) };
    let script = script.replace("@ARCHIVE@", &wal.to_string_lossy());
    workspace.write(format!("bin/{name}"), &script, 0o700).map(|_| ())
}

/// How a server archives by itself; none where it does not.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub fn archiving(
    workspace: &Workspace,
    archive: &Archive,
    server: Name,
) -> Result<Option<Archiving>, Unable> {
    let witness = word(&workspace.path("bin/witness-wal"));
    let command = match (archive.by, &archive.command) {
        (ArchiveBy::Receivewal, _) => return Ok(None),
        (ArchiveBy::PgBackRest, _) => format!(
            "{witness} hold \"%p\" \"%f\" && {} archive-push \"%p\" && {witness} keep \"%p\" \"%f\"",
            word(&pgbackrest(workspace, server)?),
        ),
        (ArchiveBy::Command, None) => format!(r#"{} "%p" "%f""#, word(&workspace.path("bin/archive-wal"))),
        (ArchiveBy::Command, Some(own)) => format!(
            "ARCHIVE={}; {witness} hold \"%p\" \"%f\" && (\n{own}\n) && {witness} keep \"%p\" \"%f\"",
            word(&workspace.path(OWN)),
        ),
    };
    Ok(Some(Archiving { command, timeout: archive.timeout }))
}

/// The script that runs pgBackRest for a server.
fn pgbackrest(workspace: &Workspace, server: Name) -> Result<PathBuf, Unable> {
    workspace.write(repository::script_name(server), &repository::script(workspace, server), 0o700)
}

/// The command by which a restored server is given WAL. Every call of it is logged with its time and its answer.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub fn restore_command(workspace: &Workspace, archive: &Archive, server: Name) -> Result<String, Unable> {
    let log = workspace.path(fetch_log(server));
    let of_pgbackrest = match (&archive.restore, archive.by) {
        (None, ArchiveBy::PgBackRest) => {
            Some(format!("{} archive-get \"%f\" \"%p\"", word(&pgbackrest(workspace, server)?)))
        }
        _ => None,
    };
    if let Some(own) = archive.restore.as_ref().or(of_pgbackrest.as_ref()) {
        // A command that says that it gave a file, and gave none, is told apart: PostgreSQL takes that for the end of
        // the archive (`RestoreArchivedFile`, `src/backend/access/transam/xlogarchive.c`).
        return Ok(format!(
            "ARCHIVE={}\n(\n{own}\n)\ncode=$?; said=$code\n[ $code != 0 ] || [ -f \"%p\" ] || said=nothing\n\
             echo \"$(date +%%s.%%N) %f $said\" >>{}\nexit $code",
            word(&workspace.path(directory(archive))),
            word(&log),
        ));
    }
    let script = FETCH_WAL
        .replace("@ARCHIVE@", &workspace.path(directory(archive)).to_string_lossy())
        .replace("@LOG@", &log.to_string_lossy());
    workspace.write(format!("bin/fetch-wal-{}", server.name()), &script, 0o700).map(|path| command_of(&path))
}

/// The `restore_command` that runs one of pgdrill's scripts.
pub fn command_of(script: &Path) -> String {
    format!(r#"{} "%f" "%p""#, word(script))
}

/// A path as a word of the shell, in a command in which PostgreSQL looks for placeholders.
fn word(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''").replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        assert_eq!(word(Path::new("/a b/100%/it's")), r"'/a b/100%%/it'\''s'");
    }
}
