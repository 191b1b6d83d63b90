//! Templates: clusters with their data as `create-cluster` and `load-data` made them, kept so that a later drill of the
//! very same cluster begins with a copy.
//!
//! A template does not depend on how WAL is archived. The server that makes one archives nothing until it is there, and
//! a copy of it does from its first start. Nothing needs the WAL from before: every backup comes later and begins with
//! a segment of its own, and recoveries and sweeps read from a backup on.

mod keep;
pub mod key;
mod programs;
mod store;
mod take;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use pgdrill_model::finding::Unable;
use pgdrill_model::plan::{Act, Plan, Server as Name};
use pgdrill_model::scenario::Data;

use crate::drill::on_a_thread;
use crate::tablespaces;
use crate::workspace::Workspace;
pub(crate) use keep::keep;
pub use store::{Cleared, clear, sweep, taken};
pub(crate) use store::{Cluster, Store};
pub(crate) use take::{give_back, key, take};

/// Changes with every boot of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// How long a copy that nobody wants any more may take to stop.
const TO_STOP: Duration = Duration::from_secs(10);

/// What a drill has of templates.
pub struct Templates {
    store: Store,
    maker: String,
    boot: String,
    data: Data,
    /// How many bytes the drill itself needs: a template that would leave less is not made.
    reserve: u64,
}

impl Templates {
    /// Those that a drill of `plan` may use and make beside its workspace: as made by `maker`. None where nobody is named,
    /// where the plan loads nothing, or where boots cannot be told from each other.
    pub fn of(plan: &Plan, maker: Option<&str>, base: &Path, reserve: u64) -> Option<Self> {
        let data = plan.steps.iter().find_map(|step| match step.act {
            Act::LoadData(data) => Some(data),
            _ => None,
        })?;
        let boot = fs::read_to_string(BOOT).ok()?.trim().to_owned();
        Some(Self { store: Store::below(base), maker: maker?.to_owned(), boot, data, reserve })
    }
}

/// Lets templates go where they would leave a drill less than it needs.
pub fn give_way(base: &Path, needed: u64) {
    Store::below(base).give_way(needed);
}

/// The directory of the template that run `id` makes, until it is one.
pub fn half_made(base: &Path, id: &str) -> PathBuf {
    Store::below(base).half_made(id)
}

/// The files of the primary.
fn cluster(workspace: &Workspace) -> Cluster {
    Cluster {
        data: workspace.data(Name::Primary),
        tablespaces: workspace.path(tablespaces::root(Name::Primary)),
    }
}

/// Ends a copy that nobody waits for any more, and waits until it writes no longer: what it writes into is about to be
/// removed.
struct GivenUp {
    told: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.told.store(true, Ordering::Relaxed);
        // Also when the thread died: then nobody holds the other end.
        _ = self.ended.recv_timeout(TO_STOP);
    }
}

/// Copies on a thread of its own.
pub(crate) async fn copying<T: Send + 'static>(
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
) -> Result<T, Unable> {
    let told = Arc::new(AtomicBool::new(false));
    let (ending, ended) = mpsc::channel();
    let _given_up = GivenUp { told: Arc::clone(&told), ended };
    on_a_thread(move || {
        // Dropped last.
        let _ending: Sender<()> = ending;
        work(&told)
    })
    .await
}
