//! A backup in the drill's own home of Barman, restored by `barman recover` where the restored server runs: `rsync` copies it, and
//! nothing is verified on the way.

use std::path::Path;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::world::Place;

use super::unpack::{Unpacked, watched};
use crate::barman::{complaint, configure, tablespaces};
use crate::drill::{Drill, disk_full};
use crate::tool::barman;

/// Words of Barman and `rsync` that tell of the place where they ran, not of the backup.
const OF_THE_PLACE: [&str; 4] =
    ["Permission denied", "rsync executable", "Another process is running", "Cannot allocate memory"];

/// Restores into a data directory, and its tablespaces below another, both within the workspace; findings when Barman says
/// that something is wrong with the backup.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `PROGRAM_KILLED`, `DISK_FULL`, `RESTORE_FAILED`: it could not, which says nothing about the backup.
pub async fn restore(
    drill: &Drill<'_>,
    (place, server): (&dyn Place, Name),
    member: &Member,
    data: &Path,
    own: &Path,
) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let workspace = drill.workspace;
    let taken = drill.backups.get(&member.name);
    let id = taken.and_then(|taken| taken.label.as_deref());
    let id = id.ok_or_else(|| Unable::bug("Barman is to restore what it did not take"))?;
    let paths = configure(workspace, place, server).await?;
    let (into, below) = (workspace.path(data), workspace.path(own));
    let named = match tablespaces(workspace, id).await? {
        Ok(named) => named,
        Err(why) => return Ok(Err(vec![damaged(&format!("Barman does not list {id} any more: {why}"))])),
    };
    let moved: Vec<(String, String)> = named
        .into_iter()
        .map(|(name, oid)| (name, below.join(oid.to_string()).to_string_lossy().into_owned()))
        .collect();
    let total = taken.map(|taken| taken.content_bytes).filter(|bytes| *bytes > 0);
    let command = barman::recover(paths.desk(), id, &into, &moved);
    let exit = watched(drill, place, &command, [into, below], total).await?;
    if exit.success() {
        return Ok(Ok(Unpacked::default()));
    }
    if exit.killed() {
        let message = format!("the backup was not restored: barman ended with {}", exit.describe());
        return Err(Unable::new(Code::ProgramKilled, message));
    }
    // All of it: what says why may be far above the last words.
    failed(&exit.describe(), &complaint(&exit), &exit.stderr).map(|finding| Err(vec![finding]))
}

/// What it means that Barman did not restore a backup: a finding where it says that something is wrong with that.
fn failed(how: &str, words: &str, all: &str) -> Result<Finding, Unable> {
    let message = format!("barman recover ended with {how}: {words}");
    if disk_full(all) {
        return Err(Unable::new(Code::DiskFull, message));
    }
    if OF_THE_PLACE.iter().any(|place| all.contains(place)) {
        return Err(Unable::new(Code::RestoreFailed, message));
    }
    Ok(damaged(&message))
}

fn damaged(message: &str) -> Finding {
    Finding::new(Code::UnpackFailed, Stage::Recover, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_barman_says_of_the_backup_is_a_finding_about_it() {
        let gone = "rsync: change_dir \"/w/data\" failed: No such file or directory (2)";
        assert_eq!(failed("exit code 1", gone, gone).unwrap().code, Code::UnpackFailed);
        let denied = "rsync: open \"/w/restored/x\" failed: Permission denied (13)";
        assert_eq!(failed("exit code 1", "failure", denied).unwrap_err().code, Code::RestoreFailed);
        let full = "rsync: write failed: No space left on device (28)";
        assert_eq!(failed("exit code 1", "failure", full).unwrap_err().code, Code::DiskFull);
    }
}
