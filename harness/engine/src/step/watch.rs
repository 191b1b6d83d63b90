//! `watch`: begins to look at a server again and again for what alerts.

use std::time::Duration;

use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Watch;
use tokio::time::sleep;

use crate::archiving;
use crate::drill::Drill;
use crate::live::{Probe, Watching};
use crate::session::{Door, SUPERUSER};

/// How long a look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// Until the first look was taken.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub(super) async fn run(drill: &mut Drill<'_>, watch: Watch, on: Name) -> Result<Vec<Finding>, Unable> {
    let door = Door::superuser(&drill.server(on)?.socket, SUPERUSER);
    let disks =
        vec![drill.workspace.data(on), drill.workspace.path(archiving::directory(&drill.made.archive))];
    let probe = Probe::of(&door, disks, LOOK_LIMIT);
    let watching = Watching::begin(probe, watch.scale, std::sync::Arc::clone(&drill.shared_clock));
    // What the next step causes must be seen against what was before. A look ends within its limit.
    while !watching.looked() {
        sleep(LOOK_AGAIN).await;
    }
    drill.watching = Some(watching);
    Ok(Vec::new())
}
