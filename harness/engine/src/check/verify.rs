//! `verify`: the backup that was restored is whole, by pgdrill's own reading of it: what `pgdrill verify` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use pgdrill_backup::verify::{Options, Progress, verify_chain};
use pgdrill_model::code::Weight;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::scenario::WalMethod;
use pgdrill_model::units::show_count;

use super::{Bench, Outcome};
use crate::drill::on_a_thread;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let backups = bench.restored_from;
    let Some(newest) = backups.last() else { return Ok(Outcome::not_run("no backup was restored")) };
    let sources: Vec<PathBuf> =
        backups.iter().map(|member| bench.workspace.path("backup").join(&member.name)).collect();
    let options = Options {
        // A backup without WAL of its own needs what was archived while it was taken.
        wal_directory: (newest.how.wal == WalMethod::None).then(|| bench.workspace.path("archive")),
        jobs: thread::available_parallelism().map_or(1, usize::from),
        ..Options::default()
    };
    let progress = Arc::new(Progress::default());
    let report = on_a_thread(move || verify_chain(sources, &options, &progress)).await?;
    let (mut files, mut pages, mut records) = (0, 0, 0);
    for member in &report.members {
        files += member.checked.files;
        pages += member.checked.pages;
        records += member.backup.wal_records;
    }
    let found = report.members.into_iter().flat_map(|member| member.findings).chain(report.findings);
    let found: Vec<Finding> = found.map(|finding| Finding { stage: Stage::Check, ..finding }).collect();
    let summary = format!(
        "{} files, {} pages, {} records of WAL",
        show_count(files),
        show_count(pages),
        show_count(records)
    );
    // What could not be read is no complaint about the backup.
    let unread = found.iter().any(|finding| finding.weight == Weight::Unverifies);
    let outcome = Outcome::of(files, summary, found);
    Ok(Outcome { not_run: unread, ..outcome })
}
