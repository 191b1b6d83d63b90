//! How far something is that fills directories: as far as they have grown.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use pgdrill_backup::inspect;
use pgdrill_model::event::Unit;
use tokio::time::sleep;

use crate::drill::on_a_thread;
use crate::record::Recorder;

/// How often they are looked at.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What is filled, by what, and to how many bytes, where that is known.
pub struct Growth<'a> {
    /// What the progress is called.
    pub what: &'a str,
    /// The directories. What is in them already does not count.
    pub directories: Vec<PathBuf>,
    /// The bytes that are to come.
    pub total: Option<u64>,
}

/// Waits for `work`, and tells meanwhile how far it is.
pub async fn told<T>(recorder: &Recorder<'_>, growth: Growth<'_>, work: impl Future<Output = T>) -> T {
    let before = size(&growth.directories).await;
    tokio::select! {
        done = work => done,
        never = watch(recorder, &growth, before) => match never {},
    }
}

async fn watch(recorder: &Recorder<'_>, growth: &Growth<'_>, before: u64) -> Infallible {
    loop {
        sleep(ASK_AGAIN).await;
        let done = size(&growth.directories).await.saturating_sub(before);
        let total = growth.total.map(|total| total.max(done));
        recorder.progress(growth.what, done, total, Unit::Bytes);
    }
}

/// What they take together; nothing where they cannot be looked at.
async fn size(directories: &[PathBuf]) -> u64 {
    let directories = directories.to_vec();
    on_a_thread(move || directories.iter().map(|directory| inspect::size(directory)).sum()).await.unwrap_or(0)
}
