//! A failover among the steps: the drill has a server again after it, without a recovery.

use std::time::Duration;

use super::super::file::{FailoverArguments, Step as Written};
use super::super::mistake::{Note, Span};
use super::super::{Backup, BackupFrom, Failover, Step};
use super::Walkthrough;

const FAILOVER_WITHIN: Duration = Duration::from_secs(120);

impl Walkthrough<'_> {
    pub(super) fn failover(&mut self, arguments: &FailoverArguments, span: Span) -> Step {
        self.failover.get_or_insert(span);
        // Whatever stopped it, the archiving of the server that takes over begins anew.
        self.stopped = None;
        self.precautions.recover();
        let within = arguments.within.0.as_ref().map_or(FAILOVER_WITHIN, |within| within.what.0);
        Step::Failover(Failover { within })
    }

    /// Why a failover cannot stand where it stands, and what to do. That it stands where no server is at all is told of all
    /// steps that need one.
    pub(super) fn misplaced_failover(&self, step: &Written) -> Option<(String, &'static str)> {
        if !matches!(step, Written::Failover(_)) || self.lost.is_some() {
            return None;
        }
        if let Some(first) = self.failover {
            return Some((
                format!("a second failover; the first is on line {}", self.line(first)),
                "the standby is the primary by then, and has none itself: leave one of them out",
            ));
        }
        if let Some(recovered) = self.recover.filter(|_| self.to_come > 0) {
            return Some((
                format!("a failover of the server that was recovered on line {}", self.line(recovered)),
                "only the drill's primary has a standby: move it above the first disaster",
            ));
        }
        let behind = self.behind?;
        Some((
            format!("a failover beside the work that goes on since line {}", self.line(behind)),
            "write `- work: stop` above it: what the standby did not have yet would be lost by the failover, not by a backup",
        ))
    }

    /// Tells of a backup from a standby that is none any more.
    pub(super) fn without_standby(&self, backup: &Backup, place: Span, notes: &mut Vec<Note>) {
        if let (BackupFrom::Standby, Some(failover)) = (backup.from, self.failover) {
            let message = format!(
                "a backup from the standby, which the failover on line {} promoted",
                self.line(failover)
            );
            notes.push(
                Note::new(place, message)
                    .hint("leave `from: standby` out: the server that is there is backed up"),
            );
        }
    }
}
