//! A backup in the drill's own repository, restored by pgBackRest where the restored server runs: it verifies each file by its
//! SHA-1 on the way.

use std::path::Path;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Member;
use pgdrill_model::world::Place;

use super::unpack::{Unpacked, watched};
use crate::drill::{Drill, disk_full};
use crate::repository::complaint;
use crate::tool::pgbackrest;

/// Exit codes of pgBackRest that tell of what it was to read, not of the backup (`src/build/error/error.yaml`): paths, files and
/// options that it cannot use, locks, memory, hosts.
const OF_THE_MOMENT: [i32; 12] = [27, 31, 32, 37, 38, 40, 41, 42, 50, 56, 62, 75];

/// Restores into a data directory, and its tablespaces below another, both within the workspace; findings when pgBackRest says
/// that something is wrong with the backup.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `PROGRAM_KILLED`, `DISK_FULL`, `RESTORE_FAILED`: it could not, which says nothing about the backup.
pub async fn restore(
    drill: &Drill<'_>,
    place: &dyn Place,
    member: &Member,
    data: &Path,
    own: &Path,
) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let workspace = drill.workspace;
    let layout = drill.layouts.get(&member.name);
    let layout = layout.ok_or_else(|| Unable::bug("pgBackRest is to restore what it did not take"))?;
    let (into, tablespaces) = (workspace.path(data), workspace.path(own));
    let arguments = pgbackrest::restore_arguments(layout, &workspace.path("log"), &into, &tablespaces);
    let arguments =
        arguments.ok_or_else(|| Unable::bug("pgBackRest is told to restore what it did not make"))?;
    let total = drill.backups.get(&member.name).map(|taken| taken.content_bytes).filter(|bytes| *bytes > 0);
    let command = pgbackrest::restore(arguments, &workspace.path("log"));
    let exit = watched(drill, place, &command, [into, tablespaces], total).await?;
    if exit.success() {
        return Ok(Ok(Unpacked::default()));
    }
    if exit.killed() {
        let message = format!("the backup was not restored: pgbackrest ended with {}", exit.describe());
        return Err(Unable::new(Code::ProgramKilled, message));
    }
    failed(exit.code, &exit.describe(), &complaint(&exit)).map(|finding| Err(vec![finding]))
}

/// What it means that pgBackRest did not restore a backup: a finding where it says that something is wrong with that.
///
/// # Errors
///
/// `DISK_FULL`, `RESTORE_FAILED`.
pub fn failed(code: Option<i32>, how: &str, words: &str) -> Result<Finding, Unable> {
    let message = format!("pgbackrest restore ended with {how}: {words}");
    if disk_full(words) {
        return Err(Unable::new(Code::DiskFull, message));
    }
    if code.is_none_or(|code| OF_THE_MOMENT.contains(&code)) || words.contains("Permission denied") {
        return Err(Unable::new(Code::RestoreFailed, message));
    }
    Ok(Finding::new(Code::UnpackFailed, Stage::Recover, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_pgbackrest_says_of_the_backup_is_a_finding_about_it() {
        let finding = failed(Some(55), "exit code 55", "[055]: unable to open missing file").unwrap();
        assert_eq!(finding.code, Code::UnpackFailed);
        assert_eq!(failed(Some(50), "exit code 50", "[050]: lock").unwrap_err().code, Code::RestoreFailed);
        assert_eq!(failed(None, "signal 15", "terminated").unwrap_err().code, Code::RestoreFailed);
        let denied = "[053]: unable to list file info for path '/var/spool': [13] Permission denied";
        assert_eq!(failed(Some(53), "exit code 53", denied).unwrap_err().code, Code::RestoreFailed);
        let full = "[042]: unable to write: No space left on device";
        assert_eq!(failed(Some(42), "exit code 42", full).unwrap_err().code, Code::DiskFull);
    }
}
