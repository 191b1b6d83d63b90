//! `page-checksums`: every page of every relation file, read from disk.

use std::fs;

use pgdrill_backup::pages::{self, Layout};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::show_count;
use pgdrill_ondisk::control::Control;

use super::{Bench, Outcome, finding};
use crate::drill::on_a_thread;
use crate::session::SUPERUSER;

/// Threads that read and verify. The server reads its tables at the same time.
const THREADS: usize = 2;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    // All changed pages are written, so that the disk is looked at and not a page of before.
    let session = bench.session(SUPERUSER).await?;
    session.batch_execute("CHECKPOINT").await.map_err(|error| bench.lost(&error))?;
    drop(session);
    let data = bench.workspace.data(bench.server);
    let control = fs::read(data.join("global/pg_control"))
        .map_err(|error| error.to_string())
        .and_then(|bytes| Control::read(&bytes).map_err(|error| error.to_string()));
    let control = match control {
        Err(words) => return Ok(Outcome::not_run(format!("the control file cannot be read: {words}"))),
        // Nobody chose how a backup was made that was there already: of that as much is verified as can be.
        Ok(control) if control.checksum_version == 0 && bench.given.is_none() => {
            let off = finding(Code::PageChecksumsOff, "the restored cluster has no page checksums");
            return Ok(Outcome { found: vec![off], ..Outcome::not_run("the cluster has no page checksums") });
        }
        Ok(control) => control,
    };
    let layout = Layout {
        block_size: control.block_size,
        blocks_per_file: control.blocks_per_file,
        checksums: control.checksum_version > 0,
    };
    let verify = move || pages::verify(&data, layout, THREADS);
    let report = match on_a_thread(verify).await? {
        Ok(report) => report,
        Err(error) => return Ok(Outcome::not_run(error.to_string())),
    };
    let found = report
        .damaged
        .iter()
        .map(|page| {
            let message = format!("{}, block {}: {}", page.file, page.block, page.what);
            finding(Code::PageChecksumFailed, message).about(&page.file).with("block", page.block)
        })
        .collect();
    let mut summary = format!("{} pages in {} files", show_count(report.pages), show_count(report.files));
    if !layout.checksums {
        summary.push_str("; only their headers: the cluster has no page checksums");
    }
    Ok(Outcome::of(report.pages, summary, found))
}
