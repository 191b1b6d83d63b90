//! The order of steps: what cannot stand where it stands, and what is missing at the end.

use super::super::Disaster;
use super::super::disaster::DisasterArguments;
use super::super::file::Step as Written;
use super::super::mistake::{Note, Span};
use super::super::work::WorkArguments;
use super::{MOST_RECOVERIES, Walkthrough};

impl Walkthrough<'_> {
    /// Tells what cannot stand where it stands.
    pub(super) fn order(&self, step: &Written, first: bool, span: Span, notes: &mut Vec<Note>) {
        let before = notes.len();
        self.beside_given(step, first, span, notes);
        self.beside_dump(step, span, notes);
        if self.given.is_some() && (notes.len() > before || matches!(step, Written::Recover(_))) {
            return;
        }
        let mut note = |message: String, hint: &str| notes.push(Note::new(span, message).hint(hint));
        match (step, self.lost, self.recover) {
            (Written::Disaster(_), Some(first), _) => note(
                format!("a second disaster; the first is on line {}", self.line(first)),
                "the server is lost already; write `- recover` between them",
            ),
            (Written::Recover(_), None, Some(first)) => note(
                format!(
                    "a second recovery without a second disaster; the first is on line {}",
                    self.line(first)
                ),
                "write another `- disaster` above it",
            ),
            (Written::Sweep(_), None, Some(recovered)) if self.to_come > 0 => note(
                format!(
                    "a sweep while the server goes on that was recovered on line {}",
                    self.line(recovered)
                ),
                "move it below the next disaster",
            ),
            (Written::Disaster(DisasterArguments::Word(Disaster::ArchiveStops)), None, Some(_))
                if self.to_come == 0 =>
            {
                note(
                    "archiving stops, and nothing is lost or recovered after it".to_owned(),
                    "move it above the disaster, or let another disaster follow",
                );
            }
            (Written::Recover(_) | Written::Sweep(_), None, None) => note(
                format!(
                    "a {} without a disaster before it",
                    if matches!(step, Written::Sweep(_)) { "sweep" } else { "recovery" }
                ),
                "write `- disaster: lose-primary` above it",
            ),
            (
                Written::Backup(_)
                | Written::SwitchWal(_)
                | Written::Work(WorkArguments::Mapping(_))
                | Written::Mark(_)
                | Written::Watch(_)
                | Written::Crash(_)
                | Written::Failover(_),
                lost,
                recovered,
            ) if lost.is_some() || (recovered.is_some() && self.disaster.is_some() && self.to_come == 0) => {
                let disaster = self.lost.or(self.disaster).map_or(0, |span| self.line(span));
                note(
                    format!("`{}` stands after the disaster on line {disaster}", step.name()),
                    if lost.is_some() {
                        "it needs a server; move it above the disaster or below the recovery"
                    } else {
                        "nothing is recovered after it; move it above the disaster, or let another disaster follow"
                    },
                );
            }
            (Written::Sql(_), Some(disaster), _) => note(
                format!(
                    "`sql` stands between the disaster on line {} and the recovery: there is no server",
                    self.line(disaster)
                ),
                "move it above the disaster or below `recover`",
            ),
            (Written::Check(_), Some(_), _) | (Written::Check(_), _, None) => note(
                "a check before the recovery has nothing to look at".to_owned(),
                "checks compare the recovered server with the primary; move it below `recover`",
            ),
            _ => {}
        }
        if let Some((message, hint)) = self.misplaced_failover(step) {
            note(message, hint);
        }
        let lost = self.lost.is_some();
        for (message, hint) in self.precautions.misplaced(step, lost, self.lines) {
            note(message, hint);
        }
        if let Some((message, hint)) = self.application.misplaced(step, lost, self.behind, self.lines) {
            note(message, hint);
        }
        if matches!(step, Written::Recover(_)) && self.recoveries == MOST_RECOVERIES {
            note(format!("a drill has at most {MOST_RECOVERIES} recoveries"), "make two scenarios of it");
        }
        if matches!(step, Written::Recover(_) | Written::Sweep(_)) && self.backups.is_empty() {
            note(
                format!(
                    "a {} without a backup before it",
                    if matches!(step, Written::Sweep(_)) { "sweep" } else { "recovery" }
                ),
                "write `- backup` above the disaster",
            );
        }
        if let (Written::Disaster(DisasterArguments::Word(Disaster::ArchiveStops)), Some(first), None) =
            (step, self.stopped, self.lost)
        {
            note(
                format!("archiving has stopped already, on line {}", self.line(first)),
                "leave one of them out",
            );
        }
        if let (Written::Sql(_), Some(behind)) = (step, self.behind) {
            note(
                format!(
                    "`sql` beside the work that goes on since line {}: nobody could tell its effect apart",
                    self.line(behind)
                ),
                "write `- work: stop` above it; for an accident under load there is `disaster: { bad-sql: ... }`",
            );
        }
    }

    /// Tells what is missing at the end.
    pub(super) fn end(&self, last: Span, notes: &mut Vec<Note>) {
        if self.swept || (self.lost.is_none() && self.recover.is_some()) {
            return;
        }
        let hint = match self.lost.or(self.given) {
            Some(_) => "write `- recover` below it",
            None => "write `- disaster: lose-primary` and `- recover` below it",
        };
        let place = self.lost.unwrap_or(last);
        notes.push(
            Note::new(place, "nothing is recovered: a drill without a recovery proves nothing").hint(hint),
        );
    }
}
