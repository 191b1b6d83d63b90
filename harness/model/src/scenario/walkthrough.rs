//! The steps of a scenario in order, and what has happened before each: what cannot stand where it stands is told.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::application::Running;
use super::disaster::DisasterArguments;
use super::file::{CheckArguments, RecoverArguments, SqlArguments, Step as Written};
use super::mistake::{Lines, Note, Span, nearest, quote};
use super::origins::Origins;
use super::precautions::Precautions;
use super::slot::{At, Slot};
use super::target::MarkName;
use super::work::WorkArguments;
use super::{
    Action, Backup, BackupFormat, Crash, Disaster, Placed, Point, Recover, RecoverBy, Sql, Step, SwitchWal,
    Target, Timeline, as_written, backup, sweep, target, triage, work,
};
use crate::check::Check;

const SWITCH_WITHIN: Duration = Duration::from_secs(60);
const CRASH_WITHIN: Duration = Duration::from_secs(120);
const RECOVER_WITHIN: Duration = Duration::from_secs(600);

/// How often a drill can be lost and recovered.
const MOST_RECOVERIES: usize = 4;

/// The steps in order, and what has happened before each.
pub(super) struct Walkthrough<'l> {
    lines: &'l Lines,
    /// The backups above, the oldest first.
    backups: Vec<Backup>,
    /// Since when nothing reaches the archive of the server that is there.
    stopped: Option<Span>,
    /// The disaster that nothing has recovered from yet.
    lost: Option<Span>,
    /// The last disaster.
    disaster: Option<Span>,
    /// Disasters that are still to come.
    to_come: usize,
    /// The last recovery.
    recover: Option<Span>,
    recoveries: usize,
    swept: bool,
    /// Work that goes on behind.
    behind: Option<Span>,
    precautions: Precautions,
    application: Running,
    works: bool,
    marks: BTreeMap<String, Span>,
    origins: Origins,
    /// Every mark of the scenario.
    all_marks: BTreeMap<String, Span>,
    checked: Vec<(Check, Span)>,
}

impl<'l> Walkthrough<'l> {
    pub(super) fn new(lines: &'l Lines) -> Self {
        Self {
            lines,
            backups: Vec::new(),
            stopped: None,
            lost: None,
            disaster: None,
            to_come: 0,
            recover: None,
            recoveries: 0,
            swept: false,
            behind: None,
            precautions: Precautions::default(),
            application: Running::default(),
            works: false,
            marks: BTreeMap::new(),
            origins: Origins::default(),
            all_marks: BTreeMap::new(),
            checked: Vec::new(),
        }
    }

    pub(super) fn take(mut self, written: Vec<Slot<Written>>, notes: &mut Vec<Note>) -> Vec<Placed<Step>> {
        let last = written.last().and_then(Slot::span);
        let loses = |step: &Slot<Written>| match &step.0 {
            Some(At { what: Written::Disaster(DisasterArguments::Word(disaster)), .. }) => {
                disaster.loses_the_server()
            }
            Some(At { what: Written::Disaster(_), .. }) => true,
            _ => false,
        };
        self.to_come = written.iter().filter(|step| loses(step)).count();
        self.works = written
            .iter()
            .any(|step| matches!(&step.0, Some(At { what: Written::Work(WorkArguments::Mapping(_)), .. })));
        self.all_marks = written
            .iter()
            .filter_map(|step| match &step.0 {
                Some(At { span, what: Written::Mark(MarkName(name)) }) => Some((name.clone(), *span)),
                _ => None,
            })
            .collect();
        let mut steps = Vec::new();
        for step in written {
            let Some(At { span, what }) = step.0 else { continue };
            self.order(&what, span, notes);
            let what = self.step(what, span, notes);
            steps.push(Placed { line: self.lines.line(span.start), what });
        }
        if let Some(last) = last {
            self.end(last, notes);
        }
        steps
    }

    fn line(&self, span: Span) -> usize {
        self.lines.line(span.start)
    }

    /// Tells what cannot stand where it stands.
    fn order(&self, step: &Written, span: Span, notes: &mut Vec<Note>) {
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
                | Written::Crash(_),
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

    fn step(&mut self, step: Written, span: Span, notes: &mut Vec<Note>) -> Step {
        self.precautions.before(&step);
        let lost = self.lost.is_some();
        match step {
            Written::Watch(arguments) => self.precautions.watch(arguments, span),
            Written::Alert(arguments) => Precautions::alert(arguments, span, notes),
            Written::Triage(arguments) => Step::Triage(triage::triage(arguments)),
            Written::Application(word) => self.application.step(word, span),
            Written::SafetyCopy(arguments) => self.precautions.copy(arguments, lost, span),
            Written::Rollback(arguments) => self.precautions.rollback(arguments, lost, span),
            Written::Backup(arguments) => {
                let backup = backup::meaning(arguments, span, self.backups.last(), notes);
                if self.lost.is_none() {
                    self.backups.push(backup);
                    self.origins.backup();
                }
                Step::Backup(backup)
            }
            Written::Sql(SqlArguments::Run(run)) => {
                Step::Sql(Sql { run: run.0, database: None, behind: false })
            }
            Written::Sql(SqlArguments::Mapping(arguments)) => {
                if arguments.run.0.is_none() {
                    notes.push(
                        Note::new(span, "`sql` has nothing to run")
                            .hint("write `- sql: { run: ..., database: ... }`"),
                    );
                }
                let database = arguments.database.what().map(|database| database.0);
                let behind = arguments.behind.what().is_some_and(|switch| switch.0);
                let run = arguments.run.what().map(|run| run.0).unwrap_or_default();
                Step::Sql(Sql { run, database, behind })
            }
            Written::SwitchWal(arguments) => Step::SwitchWal(SwitchWal {
                within: arguments.within.what().map_or(SWITCH_WITHIN, |within| within.0),
            }),
            Written::Work(arguments) => self.work(arguments, span, notes),
            Written::Mark(MarkName(name)) => {
                if let Some(first) = self.marks.get(&name) {
                    notes.push(
                        Note::new(
                            span,
                            format!(
                                "the mark {} stands twice; the first is on line {}",
                                quote(&name),
                                self.line(*first)
                            ),
                        )
                        .hint("a recovery to it would stop at the first; give this one another name"),
                    );
                } else {
                    self.marks.insert(name.clone(), span);
                    self.origins.mark(&name);
                }
                Step::Mark(name)
            }
            Written::Crash(arguments) => {
                Step::Crash(Crash { within: arguments.within.what().map_or(CRASH_WITHIN, |within| within.0) })
            }
            Written::AsWritten(arguments) => as_written::meaning(arguments, span, notes),
            Written::Fault(fault) => Step::Fault(fault.0),
            Written::Disaster(disaster) => self.lose(disaster, span, notes),
            Written::Recover(arguments) => self.recover(arguments, span, notes),
            Written::Sweep(arguments) => {
                self.swept = true;
                Step::Sweep(sweep::meaning(arguments, notes))
            }
            Written::Check(arguments) => Step::Check(self.checks(arguments, span, notes)),
        }
    }

    fn work(&mut self, arguments: WorkArguments, span: Span, notes: &mut Vec<Note>) -> Step {
        let WorkArguments::Mapping(arguments) = arguments else {
            if self.behind.take().is_none() {
                notes.push(
                    Note::new(span, "there is no work that goes on behind").hint(
                        "`work: { behind: on }` begins it, and it ends with the disaster at the latest",
                    ),
                );
            }
            return Step::StopWork;
        };
        if let Some(first) = self.behind {
            notes.push(
                Note::new(span, format!("work goes on behind already, since line {}", self.line(first)))
                    .hint("write `- work: stop` above it"),
            );
        }
        let work = work::meaning(arguments, notes);
        if work.behind {
            self.behind = Some(span);
        }
        Step::Work(work)
    }

    fn lose(&mut self, disaster: DisasterArguments, span: Span, notes: &mut Vec<Note>) -> Step {
        let disaster = match disaster {
            DisasterArguments::Word(disaster) => disaster,
            DisasterArguments::Mapping(mapping) => {
                if mapping.bad_sql.0.is_none() {
                    notes.push(
                        Note::new(span, "`disaster` does not say what is lost")
                            .hint("write `disaster: lose-primary`, or `disaster: { bad-sql: ... }`"),
                    );
                }
                Disaster::BadSql(mapping.bad_sql.what().map(|sql| sql.0).unwrap_or_default())
            }
        };
        if disaster == Disaster::ArchiveStops {
            self.stopped.get_or_insert(span);
        }
        if disaster.loses_the_server() {
            self.precautions.lose(&disaster, span);
            self.swept = false;
            self.to_come = self.to_come.saturating_sub(1);
            self.lost.get_or_insert(span);
            self.disaster = Some(span);
            // Its writers see the server go.
            self.behind = None;
        }
        Step::Disaster(disaster)
    }

    fn recover(&mut self, arguments: RecoverArguments, span: Span, notes: &mut Vec<Note>) -> Step {
        let place = arguments.to.0.as_ref().map(|at| target::place_of_mark(&at.what).unwrap_or(at.span));
        let to = arguments.to.0.map_or(Target::LATEST, |at| target::meaning(at.what, at.span, notes));
        // What is one recovery too many needs no more words: each would cost as much as all that stands above it.
        let counts = self.recoveries < MOST_RECOVERIES;
        if let (Point::Mark(name, _), true) = (&to.at, counts) {
            self.known(name, place.unwrap_or(span), notes);
        }
        let timeline = arguments.timeline.what().map_or(Timeline::Latest, |timeline| timeline.0);
        let from = arguments.from.what().unwrap_or_default();
        if let (Some(At { span, what: by }), true) = (&arguments.by.0, counts) {
            let closest = self.origins.closest(&to, timeline);
            // Whichever is good.
            let range = if from.steps_back() { 0..closest.end } else { closest };
            self.fits(*by, *span, &to, range, notes);
        }
        if let (Point::Latest, Some(At { span, what: action @ (Action::Pause | Action::Shutdown) })) =
            (&to.at, &arguments.action.0)
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
            by: arguments.by.what(),
            from,
            to,
            timeline,
            action: arguments.action.what().unwrap_or(Action::Promote),
            within: arguments.within.what().map_or(RECOVER_WITHIN, |within| within.0),
        })
    }

    /// Tells of a way to unpack that does not fit a backup from which the recovery may begin.
    fn fits(&self, by: RecoverBy, place: Span, to: &Target, range: Range<usize>, notes: &mut Vec<Note>) {
        let candidates = self.backups.get(range).unwrap_or_default();
        let Some(other) = candidates.iter().find(|candidate| !by.fits(candidate)) else { return };
        let is = match (other.incremental, other.format) {
            (true, _) => "incremental; it is combined with those before it",
            (false, BackupFormat::Tar) => "in tar format; it is unpacked by tar",
            (false, BackupFormat::Plain) => "plain; it is copied",
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

    /// The checks of one step; each may stand in the drill once.
    fn checks(&mut self, arguments: CheckArguments, step: Span, notes: &mut Vec<Note>) -> Vec<Check> {
        let chosen: Vec<(Check, Span)> = match arguments {
            CheckArguments::All => Check::all_of(self.works).into_iter().map(|check| (check, step)).collect(),
            CheckArguments::Chosen(entries) => {
                if entries.0.is_empty() {
                    notes.push(Note::new(step, "`check` names no check").hint(
                        "write `check` alone for all of them, or name some, as in { row-counts: all }",
                    ));
                }
                entries.0.into_iter().filter_map(|(name, _)| name.0.map(|at| (at.what.0, at.span))).collect()
            }
        };
        if let (false, Some((_, span))) =
            (self.works, chosen.iter().find(|(check, _)| *check == Check::Ledger))
        {
            notes.push(
                Note::new(*span, "the check 'ledger' has nothing to look at: nothing is written down")
                    .hint("let writers place orders, as in `- work: { for: 5s }`, or leave the check out"),
            );
        }
        let mut twice: Vec<(Check, Span, Span)> = Vec::new();
        for (check, span) in &chosen {
            match self.checked.iter().find(|(other, _)| other == check) {
                Some((_, first)) => twice.push((*check, *span, *first)),
                None => self.checked.push((*check, *span)),
            }
        }
        // `check: all` below a chosen check repeats it; that is one mistake, however many checks it repeats.
        if let Some((check, span, first)) = twice.first() {
            let message = if twice.len() == 1 {
                format!("the check '{check}' stands twice; the first is on line {}", self.line(*first))
            } else {
                format!("{} checks stand twice, '{check}' first on line {}", twice.len(), self.line(*first))
            };
            notes.push(Note::new(*span, message).hint("name each check once; `all` stands for every check"));
        }
        chosen.into_iter().map(|(check, _)| check).collect()
    }

    /// Tells what is missing at the end.
    fn end(&self, last: Span, notes: &mut Vec<Note>) {
        if self.swept || (self.lost.is_none() && self.recover.is_some()) {
            return;
        }
        let hint = match self.lost {
            Some(_) => "write `- recover` below it",
            None => "write `- disaster: lose-primary` and `- recover` below it",
        };
        let place = self.lost.unwrap_or(last);
        notes.push(
            Note::new(place, "nothing is recovered: a drill without a recovery proves nothing").hint(hint),
        );
    }
}
