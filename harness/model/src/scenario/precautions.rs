//! What an operator does around a recovery, in order: the watch whose alerts must fire, the safety copy of what is left, and
//! the way back to it. What cannot stand where it stands is told.

use std::time::Duration;

use super::file::Step as Written;
use super::mistake::{Lines, Note, Span};
use super::safety::{self, RollbackArguments, SafetyCopyArguments};
use super::watch::{self, AlertArguments, WatchArguments};
use super::{Awaited, Disaster, Rollback, Step};
use crate::alert::Alert;

/// What was done of it above a step.
#[derive(Default)]
pub(super) struct Precautions {
    /// The watch on the server that is there.
    watched: Option<Span>,
    /// Whether something that an alert could be about stands below it.
    caused: bool,
    /// The last disaster, where it left the server's files.
    left: Option<Span>,
    /// The safety copy of the drill, and whether it is of what the last disaster left.
    copied: Option<(Span, bool)>,
    rolled_back: Option<Span>,
}

impl Precautions {
    /// Why a step cannot stand where it stands, each with what to do. `lost` tells whether there is no server.
    pub(super) fn misplaced(&self, step: &Written, lost: bool, lines: &Lines) -> Vec<(String, &'static str)> {
        let line = |span: Span| lines.line(span.start);
        let mut told = Vec::new();
        // Only the application comes back after it.
        let rolled_back = self.rolled_back.filter(|_| !matches!(step, Written::Application(_)));
        if let Some(rolled_back) = rolled_back {
            told.push((
                format!("`{}` stands after the rollback on line {}", step.name(), line(rolled_back)),
                "only the application is started after it; make another scenario of the rest",
            ));
        }
        let mistake = match step {
            Written::SafetyCopy(_) if !lost => Some((
                "a safety copy, and no server is lost".to_owned(),
                "write it between the disaster and `recover`",
            )),
            Written::SafetyCopy(_) if self.left.is_none() => Some((
                "a safety copy, and the disaster left no files".to_owned(),
                "write `disaster: kill`, which leaves them, or leave the copy out",
            )),
            Written::SafetyCopy(_) => self.copied.map(|(first, _)| {
                (format!("a second safety copy; the first is on line {}", line(first)), "leave one out")
            }),
            Written::Rollback(_) if !self.has_copy() => Some((
                "a rollback without a safety copy to go back to".to_owned(),
                "write `- safety-copy` between the disaster and `recover`",
            )),
            Written::Rollback(_) if lost => Some((
                "a rollback before anything was recovered".to_owned(),
                "write `- recover` above it; a recovery that fails leads to the rollback all the same",
            )),
            Written::Alert(_) => match (self.watched, self.caused) {
                (None, _) => Some((
                    "an alert, and nobody watches the server".to_owned(),
                    "write `- watch` above what causes it",
                )),
                (Some(watched), false) => Some((
                    format!(
                        "an alert, and nothing happens between it and the watch on line {}",
                        line(watched)
                    ),
                    "write what causes it between them: `fault`, `disaster`, `sql` or `crash`",
                )),
                _ => None,
            },
            _ => None,
        };
        told.extend(mistake);
        told
    }

    fn has_copy(&self) -> bool {
        self.copied.is_some_and(|(_, is_of_the_last)| is_of_the_last)
    }

    /// Takes note of a step that something could be about.
    pub(super) fn before(&mut self, step: &Written) {
        self.caused |=
            matches!(step, Written::Sql(_) | Written::Fault(_) | Written::Disaster(_) | Written::Crash(_));
    }

    /// Takes note that a server is lost, and how.
    pub(super) fn lose(&mut self, disaster: &Disaster, span: Span) {
        self.left = matches!(disaster, Disaster::Kill | Disaster::BadSql(_)).then_some(span);
        if let Some((_, is_of_the_last)) = &mut self.copied {
            *is_of_the_last = false;
        }
    }

    /// Takes note of a recovery: the server that was watched is another one's past.
    pub(super) fn recover(&mut self) {
        self.watched = None;
    }

    pub(super) fn watch(&mut self, arguments: WatchArguments, span: Span) -> Step {
        self.watched = Some(span);
        self.caused = false;
        Step::Watch(watch::watch(arguments))
    }

    pub(super) fn alert(arguments: AlertArguments, span: Span, notes: &mut Vec<Note>) -> Step {
        let awaited = watch::awaited(arguments);
        if awaited.is_none() {
            notes.push(
                Note::new(span, "`alert` does not say which").hint("write `alert: connection-failures`"),
            );
        }
        let any = Awaited { alert: Alert::ConnectionFailures, within: Duration::ZERO };
        Step::Alert(awaited.unwrap_or(any))
    }

    pub(super) fn copy(&mut self, arguments: SafetyCopyArguments, lost: bool, span: Span) -> Step {
        if lost && self.left.is_some() {
            self.copied.get_or_insert((span, true));
        }
        Step::SafetyCopy(arguments.by.what().unwrap_or_default())
    }

    pub(super) fn rollback(&mut self, arguments: RollbackArguments, lost: bool, span: Span) -> Step {
        if self.has_copy() && !lost {
            self.rolled_back = Some(span);
        }
        let within = arguments.within.what().map_or(safety::WITHIN, |within| within.0);
        Step::Rollback(Rollback { within })
    }
}
