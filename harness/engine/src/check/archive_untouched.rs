//! `archive-untouched`: the WAL archive is what it was before the restore.

use pgdrill_backup::archive;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::show_count;

use super::{Bench, Outcome, finding};
use crate::drill::on_a_thread;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    if let Some(taken) = bench.given {
        let files = taken.seen.count();
        return Ok(match taken.seen.differences() {
            Ok(found) => Outcome::of(
                files,
                format!("{} files of the backup and its archives: sizes, times, inodes", show_count(files)),
                found,
            ),
            Err(error) => Outcome::not_run(error.to_string()),
        });
    }
    let Some(before) = bench.archive.cloned() else {
        return Ok(Outcome::not_run("the archive was not looked at before the restore"));
    };
    let directory = bench.workspace.path(bench.archived_in);
    let archives = bench.archives;
    let compare = move || {
        archive::snapshot(&directory, &before).map(|after| {
            let mut differences = archive::differences(&before, &after);
            // A server that goes on as the primary did adds its own WAL; all else must stay as it was.
            differences.retain(|(name, _)| !archives || before.contains_key(name));
            (differences, after)
        })
    };
    let (differences, after) = match on_a_thread(compare).await? {
        Ok(compared) => compared,
        Err(error) => return Ok(Outcome::not_run(error.to_string())),
    };
    let found = differences
        .into_iter()
        .map(|(name, what)| {
            finding(Code::ArchiveChanged, format!("{name} in the archive: {what}")).about(name)
        })
        .collect();
    Ok(Outcome::of(after.len() as u64, format!("{} files", after.len()), found))
}
