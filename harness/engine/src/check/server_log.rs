//! `server-log`: lines of the restored server's log that say that something went wrong.

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::{Outcome, finding};
use crate::drill::Drill;
use crate::log::{self, Line};

pub(super) fn run(drill: &mut Drill<'_>) -> Result<Outcome, Unable> {
    let lines = log::read(&drill.server(Name::Restored)?.log);
    let found = lines
        .iter()
        .filter(|line| line.is_error() && !ours(line))
        .map(|line| {
            finding(Code::ServerLogError, format!("{}: {}", line.severity, line.message))
                .with("sqlstate", &line.sqlstate)
        })
        .collect();
    Ok(Outcome::of(lines.len() as u64, format!("{} lines", lines.len()), found))
}

/// Lines that the drill itself causes: it knocks while the server is still closed.
fn ours(line: &Line) -> bool {
    // cannot_connect_now
    line.sqlstate == "57P03"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_knocking_at_a_closed_door_is_ours() {
        let knock =
            log::parse("2026-11-22 19:15:00.123 UTC [1] 57P03 FATAL:  the database system is starting up");
        let gap = log::parse(
            "2026-11-22 19:15:00.123 UTC [1] XX000 FATAL:  WAL ends before consistent recovery point",
        );
        assert!(ours(&knock.unwrap()));
        assert!(!ours(&gap.unwrap()));
    }
}
