//! The checks: one file each, named as in the scenario language, and this table of them.
//!
//! All checks of a server run side by side, within one budget of connections, each with its own time; only the server's
//! log is read when the others are done, since they may make the server say something. A check that cannot go on, also
//! because the server went away, did not run; the others are not touched by that, and what was found stays.

use futures_util::future::{LocalBoxFuture, join_all};
use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;

use crate::content::Content;
use crate::drill::Drill;
use bench::Bench;
use outcome::{Outcome, finding, missing_and_unexpected, take_down};

pub use amcheck::LOG as AMCHECK_LOG;

mod amcheck;
mod archive_untouched;
mod bench;
mod catalog;
mod collations;
mod conservation;
mod fingerprints;
mod first_write;
mod integrity;
mod ledger;
mod manifest;
mod outcome;
mod page_checksums;
mod queries;
mod read_all;
mod row_counts;
mod sequences;
mod server_log;
mod verify;

/// In what the content of two servers differs.
pub fn differences(expected: &Content, found: &Content) -> Vec<Finding> {
    fingerprints::compare(expected, found).found
}

/// Runs `checks`. Each is taken down when it ends, so that what it found counts whatever becomes of the others.
///
/// # Errors
///
/// `SERVER_LOST`: the server was not there, or went away meanwhile.
pub async fn run(drill: &mut Drill<'_>, checks: &[Check], of: Name) -> Result<(), Unable> {
    still_there(drill, of, "before it was checked")?;
    side_by_side(drill, checks, of).await?;
    // What a server that is ended by somebody writes to its log says nothing about the backup.
    still_there(drill, of, "while it was checked")?;
    if checks.contains(&Check::ServerLog) {
        let began = drill.clock.elapsed();
        let outcome = server_log::run(&drill.workspace.log(of), drill.recorder);
        take_down(drill.recorder, Check::ServerLog, of, outcome, drill.clock.elapsed().saturating_sub(began));
    }
    Ok(())
}

fn still_there(drill: &mut Drill<'_>, of: Name, when: &str) -> Result<(), Unable> {
    let server = drill.server(of)?;
    if server.running() {
        return Ok(());
    }
    let message = format!("the recovered server went away {when}: {}", server.last_words());
    Err(Unable::new(Code::ServerLost, message))
}

async fn side_by_side(drill: &Drill<'_>, checks: &[Check], of: Name) -> Result<(), Unable> {
    let server = drill.servers.get(&of).ok_or_else(|| Unable::bug("there is no recovered server"))?;
    let bench = Bench::new(drill, server);
    let bench = &bench;
    if !checks.contains(&Check::Catalog) {
        bench.definitions_read.cancel();
    }
    let share_content: Vec<Check> = checks.iter().copied().filter(|check| check.counts_rows()).collect();
    let mut running: Vec<LocalBoxFuture<'_, ()>> =
        vec![Box::pin(bench.collations(checks.contains(&Check::Collations)))];
    if !share_content.is_empty() {
        running.push(Box::pin(bench.content(share_content)));
    }
    for check in checks.iter().copied() {
        let run: LocalBoxFuture<'_, ()> = match check {
            Check::Catalog => Box::pin(bench.timed(check, catalog::run(bench))),
            Check::Sequences => Box::pin(bench.timed(check, bench.sequences())),
            Check::Conservation => Box::pin(bench.timed(check, conservation::run(bench))),
            Check::Integrity => Box::pin(bench.timed(check, integrity::run(bench))),
            Check::Amcheck => Box::pin(bench.timed(check, amcheck::run(bench))),
            Check::PageChecksums => Box::pin(bench.timed(check, page_checksums::run(bench))),
            Check::Manifest => Box::pin(bench.timed(check, manifest::run(bench))),
            Check::Verify => Box::pin(bench.timed(check, verify::run(bench))),
            Check::FirstWrite => Box::pin(bench.timed(check, first_write::run(bench))),
            Check::ArchiveUntouched => Box::pin(bench.timed(check, archive_untouched::run(bench))),
            Check::Queries => Box::pin(bench.timed(check, queries::run(bench))),
            // Measured together above, or read when all others are done.
            Check::RowCounts
            | Check::Fingerprints
            | Check::ReadAll
            | Check::Collations
            | Check::Ledger
            | Check::ServerLog => continue,
        };
        running.push(run);
    }
    join_all(running).await;
    Ok(())
}
