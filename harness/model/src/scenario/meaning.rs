//! From what a file says to what it means: defaults are filled in, and what makes no sense is told, all of
//! it.

use std::time::Duration;

use super::file::{CheckArguments, ExpectArguments, File, SqlArguments, Step as Written};
use super::mistake::{Lines, Note, Span};
use super::setting::settings;
use super::slot::{At, Slot};
use super::{
    Archive, ArchiveBy, Backup, Data, Disaster, Expect, Objectives, Placed, Recover, RecoverBy, Scenario,
    Sql, Step, SwitchWal, Target, backup, cluster,
};
use crate::check::{CHECKS, Check};
use crate::code::{Code, Weight};
use crate::finding::Stage;
use crate::units::MajorRange;
use crate::verdict::Verdict;

const SEED: u64 = 42;
const ORDERS: u64 = 10_000;
const TIME_LIMIT: Duration = Duration::from_secs(3600);
const SWITCH_WITHIN: Duration = Duration::from_secs(60);
const RECOVER_WITHIN: Duration = Duration::from_secs(600);

/// The scenario that `file` means, with neither id nor hash yet, or every mistake of meaning.
pub(super) fn scenario(file: File, lines: &Lines) -> Result<Scenario, Vec<Note>> {
    let mut notes = Vec::new();
    let whole = Span::default();
    if file.title.0.is_none() {
        notes.push(
            Note::new(whole, "the scenario has no title")
                .hint("say in one line what the drill shows: `title: ...`"),
        );
    }
    let written = match (file.steps.span(), file.steps.what()) {
        (_, Some(steps)) if !steps.is_empty() => steps,
        (span, _) => {
            notes.push(Note::new(span.unwrap_or(whole), "the scenario has no steps").hint(
                    "the shortest drill is `backup`, `disaster: lose-primary`, `recover`; every check is made then",
                ));
            Vec::new()
        }
    };
    let steps = Walkthrough::new(lines).take(written, &mut notes);
    let rto = file.objectives.what().and_then(|objectives| objectives.rto.what()).map(|rto| rto.0);
    let scenario = Scenario {
        id: String::new(),
        sha256: String::new(),
        title: file.title.what().map(|title| title.0).unwrap_or_default(),
        postgres: file.postgres.what().map_or_else(MajorRange::default, |majors| majors.0),
        seed: file.seed.what().map_or(SEED, |seed| seed.0),
        data: Data {
            orders: file.data.what().and_then(|data| data.orders.what()).map_or(ORDERS, |orders| orders.0),
        },
        cluster: cluster::cluster(file.cluster.what(), lines),
        tablespaces: file
            .tablespaces
            .what()
            .map(|written| cluster::tablespaces(written, lines, &mut notes))
            .unwrap_or_default(),
        archive: Archive {
            by: file.archive.what().and_then(|archive| archive.by.what()).unwrap_or(ArchiveBy::Command),
        },
        settings: file
            .settings
            .what()
            .map(|written| settings(written, lines, &mut notes))
            .unwrap_or_default(),
        steps,
        objectives: Objectives { rto },
        expect: file.expect.0.and_then(|expect| expectation(expect, rto, &mut notes)),
        time_limit: file.time_limit.what().map_or(TIME_LIMIT, |limit| limit.0),
    };
    if notes.is_empty() { Ok(scenario) } else { Err(notes) }
}

/// The steps in order, and what has happened before each.
struct Walkthrough<'l> {
    lines: &'l Lines,
    /// The newest backup above.
    backup: Option<Backup>,
    disaster: Option<Span>,
    recover: Option<Span>,
    checked: Vec<(Check, Span)>,
}

impl<'l> Walkthrough<'l> {
    fn new(lines: &'l Lines) -> Self {
        Self { lines, backup: None, disaster: None, recover: None, checked: Vec::new() }
    }

    fn take(mut self, written: Vec<Slot<Written>>, notes: &mut Vec<Note>) -> Vec<Placed<Step>> {
        let last = written.last().and_then(Slot::span);
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
        match (step, self.disaster, self.recover) {
            (Written::Disaster(_), Some(first), _) => note(
                format!("a second disaster; the first is on line {}", self.line(first)),
                "a drill has one disaster and one recovery; make two scenarios of it",
            ),
            (Written::Recover(_), _, Some(first)) => note(
                format!("a second recovery; the first is on line {}", self.line(first)),
                "a drill has one disaster and one recovery; make two scenarios of it",
            ),
            (Written::Recover(_), None, None) => note(
                "a recovery without a disaster before it".to_owned(),
                "write `- disaster: lose-primary` above it",
            ),
            (Written::Backup(_) | Written::SwitchWal(_), Some(disaster), _) => note(
                format!("`{}` stands after the disaster on line {}", step.name(), self.line(disaster)),
                "it needs the primary; move it above the disaster",
            ),
            (Written::Sql(_), Some(disaster), None) => note(
                format!(
                    "`sql` stands between the disaster on line {} and the recovery: there is no server",
                    self.line(disaster)
                ),
                "move it above the disaster or below `recover`",
            ),
            (Written::Check(_), _, None) => note(
                "a check before the recovery has nothing to look at".to_owned(),
                "checks compare the recovered server with the primary; move it below `recover`",
            ),
            _ => {}
        }
        if matches!(step, Written::Recover(_)) && self.backup.is_none() {
            note("a recovery without a backup before it".to_owned(), "write `- backup` above the disaster");
        }
    }

    fn step(&mut self, step: Written, span: Span, notes: &mut Vec<Note>) -> Step {
        match step {
            Written::Backup(arguments) => {
                let backup = backup::meaning(arguments, span, self.backup.as_ref(), notes);
                if self.disaster.is_none() {
                    self.backup = Some(backup);
                }
                Step::Backup(backup)
            }
            Written::Sql(SqlArguments::Run(run)) => Step::Sql(Sql { run: run.0, database: None }),
            Written::Sql(SqlArguments::Mapping(arguments)) => {
                if arguments.run.0.is_none() {
                    notes.push(
                        Note::new(span, "`sql` has nothing to run")
                            .hint("write `- sql: { run: ..., database: ... }`"),
                    );
                }
                let database = arguments.database.what().map(|database| database.0);
                Step::Sql(Sql { run: arguments.run.what().map(|run| run.0).unwrap_or_default(), database })
            }
            Written::SwitchWal(arguments) => Step::SwitchWal(SwitchWal {
                within: arguments.within.what().map_or(SWITCH_WITHIN, |within| within.0),
            }),
            Written::Disaster(disaster) => self.lose(disaster, span),
            Written::Recover(arguments) => {
                if let (Some(At { span, what: by }), Some(backup)) = (&arguments.by.0, self.backup) {
                    let fitting = RecoverBy::fitting(&backup);
                    let is = match fitting {
                        RecoverBy::Tar => "in tar format; it is unpacked by tar",
                        RecoverBy::Copy => "plain; it is copied",
                        RecoverBy::Combine => "incremental; it is combined with those before it",
                    };
                    if *by != fitting {
                        notes.push(
                            Note::new(*span, format!("the newest backup above is {is}"))
                                .hint("leave `by` out: it follows the backup"),
                        );
                    }
                }
                self.recover.get_or_insert(span);
                Step::Recover(Recover {
                    by: arguments.by.what(),
                    to: arguments.to.what().unwrap_or(Target::Latest),
                    within: arguments.within.what().map_or(RECOVER_WITHIN, |within| within.0),
                })
            }
            Written::Check(arguments) => Step::Check(self.checks(arguments, span, notes)),
        }
    }

    fn lose(&mut self, disaster: Disaster, span: Span) -> Step {
        self.disaster.get_or_insert(span);
        Step::Disaster(disaster)
    }

    /// The checks of one step; each may stand in the drill once.
    fn checks(&mut self, arguments: CheckArguments, step: Span, notes: &mut Vec<Note>) -> Vec<Check> {
        let chosen: Vec<(Check, Span)> = match arguments {
            CheckArguments::All => Check::all().into_iter().map(|check| (check, step)).collect(),
            CheckArguments::Chosen(entries) => {
                if entries.0.is_empty() {
                    notes.push(Note::new(step, "`check` names no check").hint(
                        "write `check` alone for all of them, or name some, as in { row-counts: all }",
                    ));
                }
                entries.0.into_iter().filter_map(|(name, _)| name.0.map(|at| (at.what.0, at.span))).collect()
            }
        };
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
        if self.recover.is_some() {
            return;
        }
        let hint = match self.disaster {
            Some(_) => "write `- recover` below it",
            None => "write `- disaster: lose-primary` and `- recover` below it",
        };
        let place = self.disaster.unwrap_or(last);
        notes.push(
            Note::new(place, "nothing is recovered: a drill without a recovery proves nothing").hint(hint),
        );
    }
}

/// How the drill must end. What can never come would make a drill that can never be proven.
fn expectation(expect: At<ExpectArguments>, rto: Option<Duration>, notes: &mut Vec<Note>) -> Option<Expect> {
    let At { span: place, what: expect } = expect;
    let Some(At { span, what: verdict }) = expect.verdict.0 else {
        notes.push(
            Note::new(place, "`expect` names no verdict")
                .hint("write `verdict: disproven` or `verdict: unverified`"),
        );
        return None;
    };
    let finding = expect.finding.0.map(|at| At { span: at.span, what: at.what.0 });
    let stage = expect.stage.0;
    if verdict == Verdict::Proven {
        for span in finding.iter().map(|at| at.span).chain(stage.iter().map(|at| at.span)) {
            notes.push(
                Note::new(span, "a drill that must be proven has no finding to expect")
                    .hint("write `verdict: disproven` or `verdict: unverified`, or leave this out"),
            );
        }
        return Some(Expect { verdict, finding: None, stage: None });
    }
    match (&finding, &stage) {
        (None, Some(stage)) => notes.push(
            Note::new(stage.span, "`stage` says where a finding is seen, and no finding is expected")
                .hint("name it, as in `finding: RTO_EXCEEDED`, or leave `stage` out"),
        ),
        (Some(finding), Some(stage)) if stage.what < earliest(finding.what) => notes.push(
            Note::new(
                stage.span,
                format!("{} cannot come at stage '{}' or before it", finding.what, stage.what.name()),
            )
            .hint(format!("it can come from stage '{}' on", earliest(finding.what).name())),
        ),
        _ => {}
    }
    if let Some(At { span: place, what: code }) = &finding {
        if code.weight() == Weight::Disproves && verdict == Verdict::Unverified {
            notes.push(
                Note::new(span, format!("a drill with the finding {code} is disproven, never unverified"))
                    .hint("write `verdict: disproven`"),
            );
        } else if *code == Code::RtoExceeded && rto.is_none() {
            notes.push(
                Note::new(*place, "RTO_EXCEEDED cannot come: the scenario has no objective `rto`")
                    .hint("write `objectives: { rto: 30s }`"),
            );
        }
    }
    Some(Expect { verdict, finding: finding.map(|at| at.what), stage: stage.map(|at| at.what) })
}

/// The first stage at which a finding can come.
fn earliest(code: Code) -> Stage {
    match code {
        Code::BackupFailed | Code::ArchiveStalled => Stage::Backup,
        Code::BaselineUnstable => Stage::Capture,
        Code::UnpackFailed
        | Code::TablespaceOutside
        | Code::QuarantineBroken
        | Code::RecoveryFailed
        | Code::RecoveryShort
        | Code::RtoExceeded
        | Code::FirstWriteFailed
        | Code::ServerLogError => Stage::Recover,
        _ if CHECKS.iter().any(|entry| entry.codes.contains(&code)) => Stage::Check,
        _ => Stage::Prepare,
    }
}
