//! Dumps among the steps: each holds one moment, of a server that is quiet, and is loaded into a cluster of its own. So a recovery
//! goes nowhere but there, and what is loaded does not go on as the lost server did.

use super::super::file::{RecoverArguments, Step as Written};
use super::super::mistake::{Note, Span};
use super::super::{Point, RecoverFrom, Target};
use super::Walkthrough;
use crate::check::Check;

impl Walkthrough<'_> {
    /// Takes note of a dump.
    pub(super) fn dumped(&mut self, span: Span, notes: &mut Vec<Note>) {
        if let Some(behind) = self.behind {
            let message = format!(
                "a dump beside the work that goes on since line {}: nobody could tell which of it is in the dump",
                self.line(behind)
            );
            notes.push(Note::new(span, message).hint("write `- work: stop` above it"));
        }
        self.dump = Some(span);
    }

    /// Tells of a step that a drill of dumps cannot have.
    pub(super) fn beside_dump(&self, step: &Written, span: Span, notes: &mut Vec<Note>) {
        let Some(dump) = self.dump else { return };
        let line = self.line(dump);
        match step {
            Written::Sweep(_) => notes.push(
                Note::new(span, format!("a sweep, and the dump on line {line} has no WAL to move through"))
                    .hint("write `- recover`"),
            ),
            Written::Recover(_) if self.lost.is_some() && self.recover.is_some() => notes.push(
                Note::new(
                    span,
                    format!("a second recovery, and the dump on line {line} is loaded into a cluster of its own, which does not go on in the archive of the lost one"),
                )
                .hint("make two scenarios of it"),
            ),
            _ => {}
        }
    }

    /// Tells of what a recovery from a dump cannot do.
    pub(super) fn recovery_of_dump(
        &self,
        arguments: &RecoverArguments,
        (to, place): (&Target, Span),
        notes: &mut Vec<Note>,
    ) {
        let Some(dump) = self.dump else { return };
        let line = self.line(dump);
        if to.at != Point::Latest {
            let message =
                format!("the dump on line {line} holds one moment, and has no WAL that leads to another");
            notes.push(Note::new(place, message).hint(
                "leave `to` out: all that the dump holds comes back, and what was written after it does not",
            ));
        }
        for (name, at) in [("timeline", arguments.timeline.span()), ("action", arguments.action.span())] {
            notes.extend(at.map(|at| {
                Note::new(at, format!("`{name}` is of a replay, and the dump on line {line} has no WAL"))
                    .hint("leave it out")
            }));
        }
        if let (Some(at), Some(RecoverFrom::LastGood | RecoverFrom::LastProven)) =
            (arguments.from.span(), arguments.from.0.as_ref().map(|at| at.what))
        {
            notes.push(
                Note::new(
                    at,
                    "to step back, backups are verified first, and dumps cannot be: they have no checksums",
                )
                .hint("leave `from` out, or write `from: newest`"),
            );
        }
    }

    /// Tells of checks that cannot be made of what came out of a dump.
    pub(super) fn not_of_dumps(&self, chosen: &[(Check, Span)], notes: &mut Vec<Note>) {
        let Some(dump) = self.dump else { return };
        let line = self.line(dump);
        for (check, span) in chosen.iter().filter(|(check, _)| !check.is_of_dumps()) {
            let (message, hint) = if check.reads_the_backup() {
                (
                    format!("the check '{check}' reads a base backup, and the one on line {line} is a dump"),
                    "leave it out: what the dump holds is compared once it is loaded",
                )
            } else {
                (
                    format!(
                        "the check '{check}' has nothing to look at: what the dump on line {line} holds is ordered anew when it is loaded"
                    ),
                    "leave it out",
                )
            };
            notes.push(Note::new(*span, message).hint(hint));
        }
    }
}
