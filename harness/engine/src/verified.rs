//! A stored backup of the drill, by pgdrill's own reading of it: what `pgdrill verify` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use pgdrill_backup::verify::{ChainReport, Options, Progress, verify_chain};
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::WalMethod;

use crate::drill::on_a_thread;
use crate::workspace::Workspace;

/// Reads a backup, with those that it builds upon.
///
/// # Errors
///
/// A bug, when the thread died. What cannot be read is in the report.
pub async fn read(workspace: &Workspace, chain: &[Member]) -> Result<ChainReport, Unable> {
    let sources: Vec<PathBuf> =
        chain.iter().map(|member| workspace.path("backup").join(&member.name)).collect();
    let without_wal = chain.iter().any(|member| member.how.wal == WalMethod::None);
    let options = Options {
        // A backup without WAL of its own needs what was archived while it was taken.
        wal_elsewhere: without_wal.then(|| workspace.path("archive")),
        jobs: thread::available_parallelism().map_or(1, usize::from),
        ..Options::default()
    };
    let progress = Arc::new(Progress::default());
    on_a_thread(move || verify_chain(sources, &options, &progress)).await
}
