//! `server-log`: lines of the restored server's log that say that something went wrong.

use std::path::Path;

use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::finding::Finding;

use super::{Outcome, finding};
use crate::log::{self, Line};
use crate::record::Recorder;

pub(super) fn run(log: &Path, recorder: &Recorder<'_>) -> Outcome {
    // What a check met and told, the server told its log too.
    let told: Vec<Finding> = recorder
        .so_far()
        .into_iter()
        .filter_map(|event| match event.what {
            Happening::Found(finding) => Some(finding),
            _ => None,
        })
        .collect();
    judge(&log::read(log), &told)
}

fn judge(lines: &[Line], told: &[Finding]) -> Outcome {
    // Whatever follows from it says nothing about the backup.
    if let Some(refused) = lines.iter().find(|line| line.is_want_of_memory()) {
        return Outcome::not_run(format!("the server had too little memory: {}", refused.message));
    }
    let known = |line: &Line| told.iter().any(|finding| finding.message.contains(words(line)));
    let found = lines
        .iter()
        .filter(|line| line.is_error() && !ours(line) && !known(line))
        .map(|line| {
            finding(Code::ServerLogError, format!("{}: {}", line.severity, line.message))
                .with("sqlstate", &line.sqlstate)
        })
        .collect();
    Outcome::of(lines.len() as u64, format!("{} lines", lines.len()), found)
}

/// The message without the place in the statement, which only the log names.
fn words(line: &Line) -> &str {
    line.message.rsplit_once(" at character ").map_or(line.message.as_str(), |(words, _)| words)
}

/// Lines that the drill itself causes: it knocks while the server is still closed (`cannot_connect_now`), and a
/// verification's lock sends away autovacuum, which comes again.
fn ours(line: &Line) -> bool {
    line.sqlstate == "57P03" || line.message == "canceling autovacuum task"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_want_of_memory_says_nothing_of_the_backup() {
        let outcome = |line: &str| {
            judge(&[log::parse(&format!("2026-11-22 19:15:00.123 UTC [1] {line}")).unwrap()], &[])
        };
        let refused = outcome("53200 ERROR:  out of memory");
        assert!(refused.not_run && refused.found.is_empty(), "{refused:?}");
        let damaged = outcome("XX001 ERROR:  could not read block 3");
        assert!(!damaged.not_run && damaged.found.len() == 1, "{damaged:?}");
    }

    #[test]
    fn only_knocking_at_a_closed_door_and_sending_away_autovacuum_is_ours() {
        let knock =
            log::parse("2026-11-22 19:15:00.123 UTC [1] 57P03 FATAL:  the database system is starting up");
        let gap = log::parse(
            "2026-11-22 19:15:00.123 UTC [1] XX000 FATAL:  WAL ends before consistent recovery point",
        );
        let sent = log::parse("2026-11-22 19:15:00.123 UTC [1] 57014 ERROR:  canceling autovacuum task");
        let canceled = log::parse(
            "2026-11-22 19:15:00.123 UTC [1] 57014 ERROR:  canceling statement due to user request",
        );
        assert!(ours(&knock.unwrap()) && ours(&sent.unwrap()));
        assert!(!ours(&canceled.unwrap()));
        assert!(!ours(&gap.unwrap()));
    }
}
