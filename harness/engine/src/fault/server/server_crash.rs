//! `server-crash`: the server is killed and started again, and recovers by itself.

use std::time::Duration;

use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Crash;

use crate::drill::Drill;
use crate::step;

const WITHIN: Duration = Duration::from_secs(120);

pub(super) async fn run(drill: &mut Drill<'_>, on: Name) -> Result<String, Unable> {
    step::crash(drill, Crash { within: WITHIN }, on).await?;
    Ok(format!("the {} was killed with SIGKILL, and came back by itself", on.name()))
}
