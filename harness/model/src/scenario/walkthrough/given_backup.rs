//! A backup that is there already among the steps: the drill has no primary, so it only recovers and checks.

use super::super::Step;
use super::super::file::Step as Written;
use super::super::given::{FromArguments, Given};
use super::super::mistake::{Note, Span};
use super::super::slot::At;
use super::Walkthrough;
use crate::check::Check;

impl Walkthrough<'_> {
    /// Takes note of the backup.
    pub(super) fn given(&mut self, given: Given, span: Span) -> Step {
        self.given = Some(span);
        self.has_baseline = given.baseline.is_some();
        self.origins.backup();
        Step::Given(given)
    }

    /// Every check that can be made of the drill.
    pub(super) fn every_check(&self) -> Vec<Check> {
        let own = if self.given.is_some() {
            Check::all_of_given(self.has_baseline)
        } else if self.dump.is_some() {
            Check::all_of_dump(self.works)
        } else if self.by_pgbackrest() {
            Check::all_of_repository(self.works)
        } else {
            Check::all_of(self.works)
        };
        Check::and_queries(own, self.queries)
    }

    /// Tells of a step that needs a primary, where there is none, and of what stands above the backup.
    pub(super) fn beside_given(&self, step: &Written, first: bool, span: Span, notes: &mut Vec<Note>) {
        let is_given = |step: &Written| {
            matches!(step, Written::Backup(arguments)
                if matches!(arguments.from.0, Some(At { what: FromArguments::Given(_), .. })))
        };
        let Some(given) = self.given else {
            if is_given(step) && !first {
                notes.push(
                    Note::new(span, "a backup that is there already comes first: it needs nothing of what stands above it")
                        .hint("move it to the top"),
                );
            }
            return;
        };
        let line = self.line(given);
        match step {
            Written::Recover(_) if self.recover.is_some() => notes.push(
                Note::new(span, format!("a second recovery of the backup on line {line}"))
                    .hint("make two scenarios of it"),
            ),
            Written::Recover(_) | Written::Check(_) => {}
            Written::Sql(_) if self.recover.is_some() => {}
            _ if is_given(step) => notes.push(
                Note::new(span, format!("a second backup that is there already; the first is on line {line}"))
                    .hint("make two scenarios of it"),
            ),
            _ => notes.push(
                Note::new(
                    span,
                    format!(
                        "`{}` needs a primary, and the drill has none: its backup is there already, on line {line}",
                        step.name()
                    ),
                )
                .hint("below such a backup stand `recover`, `check`, and `sql` on what was recovered"),
            ),
        }
    }
}
