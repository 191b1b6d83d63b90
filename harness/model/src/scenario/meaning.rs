//! From what a file says to what it means: defaults are filled in, and what makes no sense is told, all of
//! it.

use std::time::Duration;

use super::file::{ExpectArguments, File};
use super::mistake::{Lines, Note, Span};
use super::objectives::ObjectivesArguments;
use super::setting::settings;
use super::slot::At;
use super::walkthrough::Walkthrough;
use super::{
    Archive, ArchiveBy, Data, Disaster, Expect, Objectives, Placed, Rpo, Scenario, Step, application,
    archive, as_written, barman, cluster, dump, fault, given, queries,
};
use crate::check::{CHECKS, Check};
use crate::code::{Code, Weight};
use crate::finding::Stage;
use crate::units::MajorRange;
use crate::verdict::Verdict;

const SEED: u64 = 42;
const ORDERS: u64 = 10_000;
const TIME_LIMIT: Duration = Duration::from_secs(3600);

/// The scenario that `file` means, with neither id nor hash yet, or every mistake of meaning.
pub(super) fn scenario(file: File, lines: &Lines) -> Result<Scenario, Vec<Note>> {
    let mut notes = Vec::new();
    let whole = Span::default();
    given::beside(&file, lines, &mut notes);
    dump::beside(&file, lines, &mut notes);
    barman::beside(&file, lines, &mut notes);
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
    let faults = fault::places(&written);
    let runbook = as_written::places(&written);
    let failover = written.iter().find_map(|step| match &step.0 {
        Some(At { span, what: super::file::Step::Failover(_) }) => Some(*span),
        _ => None,
    });
    let steps = Walkthrough::new(lines, file.queries.0.is_some()).take(written, &mut notes);
    let queries = file.queries.0.map(|At { span, what }| {
        queries::unasked(span, &steps, &mut notes);
        queries::meaning(what, span, lines, &mut notes)
    });
    let written = file.objectives.what().unwrap_or_default();
    measured(&written, &steps, &mut notes);
    application::measured(written.outage.span(), &steps, &mut notes);
    let objectives = Objectives {
        rto: written.rto.what().map(|rto| rto.0),
        rpo: written.rpo.what().map(|rpo| rpo.0),
        outage: written.outage.what().map(|outage| outage.0),
    };
    let archive = file.archive.what();
    let waits = archive.as_ref().and_then(|written| written.synchronous.span());
    let archive = archive.map_or_else(Archive::default, |written| archive::meaning(written, &mut notes));
    if let (Some(place), true) = (failover, archive.by != ArchiveBy::Command) {
        notes.push(
            Note::new(
                place,
                "a failover, and its standby could not go on with the archive: no archive_command fills it",
            )
            .hint("leave `archive: { by: ... }` out"),
        );
    }
    let stops = steps.iter().find(|step| step.what == Step::Disaster(Disaster::ArchiveStops));
    if let (true, Some(place), Some(step)) = (archive.synchronous, waits, stops) {
        let line = step.line;
        notes.push(
            Note::new(
                place,
                format!(
                    "no commit would end after archiving stops on line {line}: each waits for the archive"
                ),
            )
            .hint("leave `synchronous` out"),
        );
    }
    let application = application::meaning(file.application.0, &steps, &mut notes);
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
        archive,
        application,
        settings: file
            .settings
            .what()
            .map(|written| settings(written, lines, &mut notes))
            .unwrap_or_default(),
        steps,
        queries: queries.unwrap_or_default(),
        objectives,
        survivors: fault::survivors(file.mutants.what(), &mut notes),
        expect: file.expect.0.and_then(|expect| expectation(expect, objectives, &mut notes)),
        time_limit: file.time_limit.what().map_or(TIME_LIMIT, |limit| limit.0),
    };
    fault::check(&scenario, &faults, &mut notes);
    as_written::check(&scenario, &runbook, &mut notes);
    if notes.is_empty() { Ok(scenario) } else { Err(notes) }
}

/// Tells of an objective that nothing in the drill measures.
fn measured(objectives: &ObjectivesArguments, steps: &[Placed<Step>], notes: &mut Vec<Note>) {
    let has = |wanted: fn(&Step) -> bool| steps.iter().any(|step| wanted(&step.what));
    let works = has(|step| matches!(step, Step::Work(_)));
    if let (Some(place), Some(_)) = (objectives.rpo.span(), given::of(steps)) {
        notes.push(
            Note::new(place, "an objective `rpo`, and nobody has written down what a backup that is there already must hold")
                .hint("leave it out"),
        );
        return;
    }
    if let (Some(place), false) = (objectives.rpo.span(), works) {
        notes.push(
            Note::new(place, "an objective `rpo`, and nothing that could be lost is written down")
                .hint("let writers place orders: `- work: { for: 5s }` after the backup"),
        );
        return;
    }
    let Some(last) = steps.iter().rposition(|step| matches!(step.what, Step::Recover(_))) else {
        if has(|step| matches!(step, Step::Sweep(_))) {
            for (name, place) in [("rto", objectives.rto.span()), ("rpo", objectives.rpo.span())] {
                notes.extend(place.map(|place| {
                    Note::new(
                        place,
                        format!("an objective `{name}`, and nothing but a sweep, which does not measure it"),
                    )
                    .hint("write `- recover` below the sweep, or leave the objective out")
                }));
            }
        }
        return;
    };
    // Where no check is named, all are made.
    let checks: Vec<(usize, &Vec<Check>)> = steps[last..]
        .iter()
        .filter_map(
            |step| if let Step::Check(checks) = &step.what { Some((step.line, checks)) } else { None },
        )
        .collect();
    if let (Some(place), Some((line, _))) = (objectives.rpo.span(), checks.first())
        && !checks.iter().any(|(_, checks)| checks.contains(&Check::Ledger))
    {
        notes.push(
            Note::new(
                place,
                format!("an objective `rpo`, and the check 'ledger', which measures it, is not among those of line {line}"),
            )
            .hint("write `ledger: all` beside them, or `check` alone for all checks"),
        );
    }
}

/// How the drill must end. What can never come would make a drill that can never be proven.
fn expectation(expect: At<ExpectArguments>, objectives: Objectives, notes: &mut Vec<Note>) -> Option<Expect> {
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
        } else if *code == Code::RtoExceeded && objectives.rto.is_none() {
            notes.push(
                Note::new(*place, "RTO_EXCEEDED cannot come: the scenario has no objective `rto`")
                    .hint("write `objectives: { rto: 30s }`"),
            );
        } else if *code == Code::RpoExceeded && objectives.rpo.is_none_or(|rpo| rpo == Rpo::Any) {
            notes.push(
                Note::new(
                    *place,
                    "RPO_EXCEEDED cannot come: the scenario has no objective `rpo` that bounds a loss",
                )
                .hint("write `objectives: { rpo: 5s }`; without one a loss is TRANSACTIONS_LOST"),
            );
        } else if *code == Code::OutageExceeded && objectives.outage.is_none() {
            notes.push(
                Note::new(*place, "OUTAGE_EXCEEDED cannot come: the scenario has no objective `outage`")
                    .hint("write `objectives: { outage: 60s }`"),
            );
        }
    }
    Some(Expect { verdict, finding: finding.map(|at| at.what), stage: stage.map(|at| at.what) })
}

/// The first stage at which a finding can come.
fn earliest(code: Code) -> Stage {
    match code {
        Code::BackupFailed | Code::ArchiveStalled | Code::PageChecksumFailed | Code::WalUnfinished => {
            Stage::Backup
        }
        Code::BaselineUnstable | Code::TableUnreadable => Stage::Capture,
        Code::RollbackFailed | Code::ApplicationFailed | Code::OutageExceeded => Stage::Check,
        Code::ApplicationUnusable => Stage::Backup,
        Code::AlertMissed | Code::AlertEarly | Code::TriageWrong | Code::RunbookHarms => Stage::Disaster,
        Code::TargetBeforeBackup
        | Code::TargetBeyondArchive
        | Code::TargetAmbiguous
        | Code::TimelineUnrelated
        | Code::TargetMissed
        | Code::WalGap
        | Code::WalNotGiven
        | Code::WalDamaged
        | Code::RpoExceeded
        | Code::UnpackFailed
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
