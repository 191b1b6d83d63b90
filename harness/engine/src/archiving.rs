//! How a server archives its WAL and is given it back: by pgdrill's own scripts, or by commands of the scenario, around
//! which pgdrill takes down what was archived and what was given.
//!
//! With an own `archive_command` the archive is a directory of its own, whose files may be packed or ciphered as the
//! command wants. What the server gave to it lies beside that, as it was: without it nobody could say what was lost.

use std::path::Path;

use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{Archive, ArchiveBy};

use crate::recovery::reached::fetch_log;
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
    if archive.command.is_some() { OWN } else { WAL }
}

/// The directories, within the workspace, that a server's archiving writes to.
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
        if archive.command.is_some() { ("witness-wal", WITNESS_WAL) } else { ("archive-wal", ARCHIVE_WAL) };
    let script = script.replace("@ARCHIVE@", &wal.to_string_lossy());
    workspace.write(format!("bin/{name}"), &script, 0o700).map(|_| ())
}

/// How a server archives by itself; none where it does not.
pub fn archiving(workspace: &Workspace, archive: &Archive) -> Option<Archiving> {
    if archive.by != ArchiveBy::Command {
        return None;
    }
    let command = match &archive.command {
        None => format!(r#"{} "%p" "%f""#, word(&workspace.path("bin/archive-wal"))),
        Some(own) => format!(
            "ARCHIVE={}; {script} hold \"%p\" \"%f\" && (\n{own}\n) && {script} keep \"%p\" \"%f\"",
            word(&workspace.path(OWN)),
            script = word(&workspace.path("bin/witness-wal")),
        ),
    };
    Some(Archiving { command, timeout: archive.timeout })
}

/// The command by which a restored server is given WAL. Every call of it is logged with its time and its answer.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub fn restore_command(workspace: &Workspace, archive: &Archive, server: Name) -> Result<String, Unable> {
    let log = workspace.path(fetch_log(server));
    if let Some(own) = &archive.restore {
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
