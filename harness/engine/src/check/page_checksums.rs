//! `page-checksums`: every page of every relation file, read from disk.

use std::fs;
use std::time::{Duration, Instant};

use pgdrill_backup::Unreadable;
use pgdrill_backup::pages::{self, Report};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::show_count;
use pgdrill_ondisk::control::Control;
use tokio::task::JoinHandle;

use super::{Outcome, finding};
use crate::drill::Drill;
use crate::session::describe;

/// Threads that read and verify. The server reads its tables at the same time.
const THREADS: usize = 2;

/// A verification that was begun.
pub(super) enum Begun {
    Reading(JoinHandle<(Result<Report, Unreadable>, Duration)>),
    Known(Outcome),
}

/// Writes all changed pages to disk and begins to read them.
pub(super) async fn begin(drill: &mut Drill<'_>) -> Result<Begun, Unable> {
    let session = drill.session(Name::Restored, None).await?;
    if let Err(error) = session.batch_execute("CHECKPOINT").await {
        return Ok(Begun::Known(Outcome::not_run(format!("CHECKPOINT failed: {}", describe(&error)))));
    }
    let data = drill.workspace.data(Name::Restored);
    let control = fs::read(data.join("global/pg_control"))
        .map_err(|error| error.to_string())
        .and_then(|bytes| Control::read(&bytes).map_err(|error| error.to_string()));
    match control {
        Err(words) => Ok(Begun::Known(Outcome::not_run(format!("the control file cannot be read: {words}")))),
        Ok(control) if control.checksum_version == 0 => {
            let off = finding(Code::PageChecksumsOff, "the restored cluster has no page checksums");
            Ok(Begun::Known(Outcome {
                found: vec![off],
                ..Outcome::not_run("the cluster has no page checksums")
            }))
        }
        Ok(control) => Ok(Begun::Reading(tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let report = pages::verify(&data, control.block_size, control.blocks_per_file, THREADS);
            (report, began.elapsed())
        }))),
    }
}

impl Begun {
    pub(super) async fn end(self) -> Result<Outcome, Unable> {
        let reading = match self {
            Self::Known(outcome) => return Ok(outcome),
            Self::Reading(reading) => reading,
        };
        let (report, took) = reading.await.map_err(|error| Unable::bug(format!("a thread died: {error}")))?;
        let report = match report {
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
        let summary = format!("{} pages in {} files", show_count(report.pages), show_count(report.files));
        Ok(Outcome { took: Some(took), ..Outcome::of(report.pages, summary, found) })
    }
}
