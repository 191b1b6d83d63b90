//! A recovery among the steps: where it may stop, and whether the backups from which it may begin can be unpacked as it says.

use std::ops::Range;
use std::time::Duration;

use super::super::file::RecoverArguments;
use super::super::mistake::{Note, Span, nearest, quote};
use super::super::slot::At;
use super::super::{
    Action, BackupFormat, BackupTool, Point, Recover, RecoverBy, Step, Target, Timeline, target,
};
use super::{MOST_RECOVERIES, Walkthrough};

const RECOVER_WITHIN: Duration = Duration::from_secs(600);

impl Walkthrough<'_> {
    pub(super) fn recover(
        &mut self,
        mut arguments: RecoverArguments,
        span: Span,
        notes: &mut Vec<Note>,
    ) -> Step {
        let place = arguments.to.0.as_ref().map(|at| target::place_of_mark(&at.what).unwrap_or(at.span));
        let to = arguments.to.0.take().map_or(Target::LATEST, |at| target::meaning(at.what, at.span, notes));
        // What is one recovery too many needs no more words: each would cost as much as all that stands above it.
        let counts = self.recoveries < MOST_RECOVERIES;
        self.recovery_of_dump(&arguments, (&to, place.unwrap_or(span)), notes);
        if let (Point::Mark(name, _), true) = (&to.at, counts && self.dump.is_none()) {
            self.known(name, place.unwrap_or(span), notes);
        }
        if to.at == Point::Baseline && !self.has_baseline {
            notes
                .push(Note::new(place.unwrap_or(span), "`to: baseline`, and the backup above has none").hint(
                "give it one, as `pgdrill live baseline` writes it: `from: { path: ..., baseline: FILE }`",
            ));
        }
        let timeline = arguments.timeline.what().map_or(Timeline::Latest, |timeline| timeline.0);
        let at_from = arguments.from.span();
        let from = arguments.from.what().unwrap_or_default();
        if let (Some(at), true) = (at_from, from.steps_back() && self.by_pgbackrest()) {
            notes.push(
                Note::new(at, "to step back, backups are verified first, and those by pgBackRest cannot be")
                    .hint("leave `from` out, or write `from: newest`"),
            );
        }
        if let (Some(At { span, what: by }), Some(given)) = (&arguments.by.0, self.given)
            && *by != RecoverBy::Native
        {
            let message = format!(
                "the backup on line {} is there already, and pgdrill unpacks it itself",
                self.line(given)
            );
            notes.push(Note::new(*span, message).hint("leave `by` out"));
        } else if let (Some(At { span, what: by }), true) = (&arguments.by.0, counts) {
            let closest = self.origins.closest(&to, timeline);
            // Whichever is good.
            let range = if from.steps_back() { 0..closest.end } else { closest };
            self.fits(*by, *span, &to, range, notes);
        }
        if let (Point::Latest, Some(At { span, what: action @ (Action::Pause | Action::Shutdown) })) =
            (&to.at, &arguments.action.0)
            && self.dump.is_none()
        {
            notes.push(
                Note::new(
                    *span,
                    format!(
                        "`action: {}` needs a target: at the end of the archive PostgreSQL promotes",
                        action.name()
                    ),
                )
                .hint(
                    "say where to stop, as in `to: immediate` or the name of a mark, or leave `action` out",
                ),
            );
        }
        self.origins.recover(&to, timeline);
        self.lost = None;
        self.stopped = None;
        self.precautions.recover();
        self.application.recover();
        self.recover = Some(span);
        self.recoveries += 1;
        // Each recovery is checked for itself.
        self.checked.clear();
        Step::Recover(Recover {
            by: arguments.by.what().or(self.given.map(|_| RecoverBy::Native)),
            from,
            to,
            timeline,
            action: arguments.action.what().unwrap_or(Action::Promote),
            within: arguments.within.what().map_or(RECOVER_WITHIN, |within| within.0),
        })
    }

    /// What took the backups above, which is the same for all of them.
    pub(super) fn tool(&self) -> BackupTool {
        self.backups.first().map_or(BackupTool::PgBasebackup, |backup| backup.tool)
    }

    /// Whether pgBackRest took them.
    fn by_pgbackrest(&self) -> bool {
        self.tool() == BackupTool::PgBackRest
    }

    /// Tells of a way to unpack that does not fit a backup from which the recovery may begin.
    fn fits(&self, by: RecoverBy, place: Span, to: &Target, range: Range<usize>, notes: &mut Vec<Note>) {
        let candidates = self.backups.get(range).unwrap_or_default();
        let Some(other) = candidates.iter().find(|candidate| !by.fits(candidate)) else { return };
        let is = match (other.incremental, other.format) {
            _ if other.tool == BackupTool::PgBackRest => "by pgBackRest, which alone restores it",
            _ if other.tool == BackupTool::Barman => "by Barman, which alone restores it",
            _ if other.is_dump() => "a dump; it is loaded",
            (true, _) => "incremental; it is combined with those before it",
            (false, BackupFormat::Tar) => "in tar format; it is unpacked by tar",
            (false, _) => "plain; it is copied",
        };
        let which = match (candidates.len(), &to.at) {
            (1, Point::Mark(..)) => "the newest backup above the mark",
            (1, _) => "the newest backup above",
            _ => "a backup from which this recovery may begin",
        };
        notes
            .push(Note::new(place, format!("{which} is {is}")).hint("leave `by` out: it follows the backup"));
    }

    /// Tells of a mark that is not above, or that no backup above it can be recovered to.
    fn known(&self, name: &str, place: Span, notes: &mut Vec<Note>) {
        match self.marks.get(name) {
            Some(_) if self.origins.above(name) != Some(0) => {}
            Some(mark) => notes.push(
                Note::new(
                    place,
                    format!(
                        "the mark {} stands above the first backup, on line {}",
                        quote(name),
                        self.line(*mark)
                    ),
                )
                .hint(
                    "a recovery can only go to what came after its backup; write `- backup` above the mark",
                ),
            ),
            None => {
                let below = self.all_marks.get(name);
                let hint = match (below, nearest(name, self.marks.keys().map(String::as_str))) {
                    (Some(below), _) => {
                        format!("it stands below, on line {}; recovery can only go back", self.line(*below))
                    }
                    (None, Some(mark)) => format!("did you mean '{mark}'?"),
                    (None, None) => {
                        format!("write `- mark: {name}` above the disaster, where recovery should stop")
                    }
                };
                notes.push(Note::new(place, format!("there is no mark {} above", quote(name))).hint(hint));
            }
        }
    }
}
