//! `switch-wal`: ends the current WAL segment and waits until it is in the archive, so that everything committed so
//! far can be recovered.

use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::SwitchWal;
use tokio::time::sleep;

use crate::drill::{Drill, disk_full};
use crate::server::LOOK_AGAIN;
use crate::session::describe;

/// The segment that the switch ended: the one that holds the byte before the position that it answers. On a server
/// that wrote nothing since the last switch that is the segment before, which was archived then.
const SWITCH: &str = "SELECT pg_walfile_name(pg_switch_wal() - 1)";

pub(super) async fn run(drill: &mut Drill<'_>, switch: SwitchWal) -> Result<Vec<Finding>, Unable> {
    let session = drill.session(Name::Primary, None).await?;
    let row = session.query_one(SWITCH, &[]).await;
    let segment: String = match row.and_then(|row| row.try_get(0)) {
        Ok(segment) => segment,
        Err(error) => {
            return Err(Unable::new(Code::ServerLost, format!("cannot switch WAL: {}", describe(&error))));
        }
    };
    let path = drill.workspace.path("archive").join(&segment);
    let until = drill.clock.elapsed() + switch.within;
    while !path.exists() {
        if drill.clock.elapsed() >= until {
            return Err(stalled(drill, &segment, switch.within)?);
        }
        drill.recorder.progress(&format!("wait for {segment} in the archive"), 0, None, Unit::Segments);
        sleep(LOOK_AGAIN).await;
    }
    Ok(Vec::new())
}

fn stalled(drill: &mut Drill<'_>, segment: &str, within: Duration) -> Result<Unable, Unable> {
    let words = drill.server(Name::Primary)?.last_words();
    let message = format!(
        "{segment} was not in the archive within {} s; the primary said last: {words}",
        within.as_secs()
    );
    let code = if disk_full(&message) { Code::DiskFull } else { Code::ArchiveStalled };
    Ok(Unable::new(code, message))
}
