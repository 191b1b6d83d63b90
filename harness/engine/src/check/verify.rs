//! `verify`: the backup that was restored is whole, by pgdrill's own reading of it: what `pgdrill verify` does.

use pgdrill_model::code::Weight;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::units::show_count;

use super::{Bench, Outcome};
use crate::verified;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let backups = bench.restored_from;
    if backups.is_empty() {
        return Ok(Outcome::not_run("no backup was restored"));
    }
    let report = verified::read(bench.workspace, backups, bench.backups).await?;
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
