//! `replay-paused`: the process that replays is stopped for two seconds, as on a machine that has something else to do.

use std::time::Duration;

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::world::Signal;
use tokio::time::sleep;

use super::postmaster_killed::startup;
use crate::drill::Drill;

/// This is the fault itself: nothing is waited for.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn run(drill: &mut Drill<'_>, server: Name) -> Result<String, Unable> {
    let pid = startup(drill, Fault::ReplayPaused, server).await?;
    let place = drill.server(server)?.place();
    place.signal(pid, Signal::Stop).await?;
    sleep(PAUSE).await;
    place.signal(pid, Signal::Continue).await?;
    Ok(format!("the startup process {pid} was stopped for {} s", PAUSE.as_secs()))
}
