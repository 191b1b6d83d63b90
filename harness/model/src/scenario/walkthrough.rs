//! The steps of a scenario in order, and what has happened before each: what cannot stand where it stands is told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::application::Running;
use super::disaster::DisasterArguments;
use super::file::{CheckArguments, SqlArguments, Step as Written};
use super::mistake::{Lines, Note, Span, quote};
use super::origins::Origins;
use super::precautions::Precautions;
use super::slot::{At, Slot};
use super::target::MarkName;
use super::work::WorkArguments;
use super::{
    Backup, BackupTool, Crash, Disaster, Placed, Sql, Step, SwitchWal, as_written, backup, given, sweep,
    triage, work,
};
use crate::check::Check;

mod dumps;
mod failover;
mod given_backup;
mod order;
mod recovery;

const SWITCH_WITHIN: Duration = Duration::from_secs(60);
const CRASH_WITHIN: Duration = Duration::from_secs(120);

/// How often a drill can be lost and recovered.
const MOST_RECOVERIES: usize = 4;

/// The steps in order, and what has happened before each.
pub(super) struct Walkthrough<'l> {
    lines: &'l Lines,
    /// Whether the scenario has queries of its own.
    queries: bool,
    /// The backups above, the oldest first.
    backups: Vec<Backup>,
    /// The backup that was there already, and whether it has a baseline.
    given: Option<Span>,
    has_baseline: bool,
    /// Whether it says by how much its rows may differ from before.
    bounds_rows: bool,
    /// The last dump above.
    dump: Option<Span>,
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
    /// The failover, after which there is no standby.
    failover: Option<Span>,
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
    pub(super) fn new(lines: &'l Lines, queries: bool) -> Self {
        Self {
            lines,
            queries,
            backups: Vec::new(),
            given: None,
            has_baseline: false,
            bounds_rows: false,
            dump: None,
            stopped: None,
            lost: None,
            disaster: None,
            to_come: 0,
            recover: None,
            recoveries: 0,
            swept: false,
            failover: None,
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
        for (index, step) in written.into_iter().enumerate() {
            let Some(At { span, what }) = step.0 else { continue };
            self.order(&what, index == 0, span, notes);
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
            Written::Backup(mut arguments) => {
                if let Some(given) = given::meaning(&mut arguments, notes) {
                    return self.given(given, span);
                }
                let at_from = arguments.from.span().unwrap_or(span);
                let backup = backup::meaning(*arguments, span, &self.backups, notes);
                self.without_standby(&backup, at_from, notes);
                if backup.is_dump() {
                    self.dumped(span, notes);
                }
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
            Written::Failover(arguments) => self.failover(&arguments, span),
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
        let work = work::meaning(*arguments, notes);
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

    /// The checks of one step; each may stand in the drill once.
    fn checks(&mut self, arguments: CheckArguments, step: Span, notes: &mut Vec<Note>) -> Vec<Check> {
        let chosen: Vec<(Check, Span)> = match arguments {
            CheckArguments::All => self.every_check().into_iter().map(|check| (check, step)).collect(),
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
        if let (false, Some((_, span))) =
            (self.queries, chosen.iter().find(|(check, _)| *check == Check::Queries))
        {
            notes.push(
                Note::new(*span, "the check 'queries' has nothing to ask: the scenario has no `queries`").hint(
                    "write `queries: [{ name: ..., query: SELECT ..., expect: ... }]` beside `steps`, or leave the check out",
                ),
            );
        }
        self.counted(&chosen, step, notes);
        self.not_of_dumps(&chosen, notes);
        for (check, span) in &chosen {
            notes
                .extend(unfit(*check, self.tool()).map(|(words, hint)| {
                    Note::new(*span, format!("the check '{check}' {words}")).hint(hint)
                }));
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
}

/// Why a check cannot be made of backups that are taken so, and what to do instead.
fn unfit(check: Check, tool: BackupTool) -> Option<(&'static str, &'static str)> {
    match tool {
        BackupTool::PgBackRest if check.reads_the_backup() => Some((
            "reads a base backup, and pgBackRest took this one",
            "leave it out: pgBackRest verifies each file that it restores by its SHA-1",
        )),
        BackupTool::LowLevel if check == Check::Manifest => Some((
            "holds a backup against its manifest, and one by the low-level API has none",
            "leave it out: `verify` reads its files, its pages and the WAL that it needs",
        )),
        _ => None,
    }
}
