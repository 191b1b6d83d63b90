//! `switch-wal`: ends the current WAL segment and waits until it is in the archive, so that everything committed so
//! far can be recovered.

use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::SwitchWal;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::segment;
use tokio::time::sleep;

use crate::drill::{Drill, disk_full};
use crate::receiver;
use crate::server::LOOK_AGAIN;
use crate::session::describe;

const SWITCH: &str = "SELECT pg_switch_wal()::text, (pg_control_checkpoint()).timeline_id, \
                      pg_size_bytes(current_setting('wal_segment_size'))";

pub(super) async fn run(drill: &mut Drill<'_>, switch: SwitchWal, on: Name) -> Result<Vec<Finding>, Unable> {
    let session = drill.session(on, None).await?;
    let row = session
        .query_one(SWITCH, &[])
        .await
        .map_err(|error| Unable::new(Code::ServerLost, format!("cannot switch WAL: {}", describe(&error))))?;
    let (position, timeline, size): (String, i32, i64) = (row.get(0), row.get(1), row.get(2));
    let Lsn(position) = position.parse().map_err(Unable::bug)?;
    let segment = ended(timeline.unsigned_abs(), position, size.unsigned_abs());
    let path = drill.workspace.path(receiver::directory(&drill.made.archive, on)).join(&segment);
    let until = drill.clock.elapsed() + switch.within;
    while !path.exists() {
        if drill.clock.elapsed() >= until || receiver::gave_up(drill).is_some() {
            return Err(stalled(drill, on, &segment, switch.within)?);
        }
        drill.recorder.progress(&format!("wait for {segment} in the archive"), 0, None, Unit::Segments);
        sleep(LOOK_AGAIN).await;
    }
    Ok(Vec::new())
}

/// The segment that a switch ended: the one that holds the byte before the position that it answered. On a server that
/// wrote nothing since the last switch that is the segment before, which was archived then. (Majors disagree about the
/// name of a position between two segments, and 13 cannot subtract from one.)
fn ended(timeline: u32, position: u64, segment_size: u64) -> String {
    segment::name(timeline, position.saturating_sub(1), segment_size)
}

fn stalled(drill: &mut Drill<'_>, on: Name, segment: &str, within: Duration) -> Result<Unable, Unable> {
    let message = if let Some(words) = receiver::gave_up(drill) {
        format!("{segment} does not come into the archive: {words}")
    } else {
        let words = drill.server(on)?.last_words();
        let (name, within) = (on.name(), within.as_secs());
        format!("{segment} was not in the archive within {within} s; the {name} said last: {words}")
    };
    let code = if disk_full(&message) { Code::DiskFull } else { Code::ArchiveStalled };
    Ok(Unable::new(code, message))
}

#[cfg(test)]
mod tests {
    use super::ended;

    #[test]
    fn a_switch_ends_the_segment_before_its_position() {
        assert_eq!(ended(1, 0x300_0148, 16 << 20), "000000010000000000000003");
        assert_eq!(ended(1, 0x400_0000, 16 << 20), "000000010000000000000003");
        assert_eq!(ended(2, 0x1_0000_0000, 1 << 20), "000000020000000000000FFF");
    }
}
