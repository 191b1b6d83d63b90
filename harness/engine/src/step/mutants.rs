//! `mutants`: damages copies of the drill's own backup and archive, one after the other, recovers each as the drill did, and
//! checks it by the same checks. One that is recovered and found good has survived: then the other checks of pgdrill are
//! made, to tell which of them would have noticed.
//!
//! The copies are made of hard links, in the place of the originals, which are put aside: so everything works on them as it
//! did on these, and a copy costs nothing. A fault never writes into a file, it puts another in its place.

use std::fs;
use std::path::Path;

use pgdrill_backup::members::link_tree;
use pgdrill_model::check::Check;
use pgdrill_model::code::{Code, Weight};
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::{Evidence, MutantEvidence, MutantOutcome};
use pgdrill_model::fault::{Fault, Site};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Mutants};
use pgdrill_model::verdict::Verdict;

use super::rehearsal::{Before, clear, rehearse, remove};
use crate::drill::{Drill, on_a_thread};
use crate::fault::{self, Made};
use crate::workspace::trouble;

/// Where the originals wait.
const ASIDE: &str = "original";

/// What of a drill is stored, within the workspace.
const STORED: [&str; 2] = ["backup", "archive"];

pub(super) async fn run(drill: &mut Drill<'_>, mutants: &Mutants) -> Result<Vec<Finding>, Unable> {
    let workspace = drill.workspace;
    // The WAL that the recovered server had to replay: what lies behind it, no mutant is made of.
    let recovered = drill.recovered()?;
    let until = recovered.aim.as_ref().filter(|aim| !aim.to_the_end).map(|aim| aim.stop.replayed_to);
    let backups = newest_first(&recovered.from, &mutants.recovery.backups);
    clear(drill, mutants.recovery.server).await?;
    workspace.make_dir(Path::new(ASIDE))?;
    for part in STORED {
        let (from, to) = (workspace.path(part), workspace.path(ASIDE).join(part));
        fs::rename(&from, &to).map_err(|error| trouble(&from, &error))?;
    }
    let before = Before::of(drill);
    copy(drill).await?;
    // What would not be found good undamaged, is not killed by what is done to it.
    let whole = rehearse(drill, &mutants.recovery, &mutants.checks, true).await?;
    if whole.observed != Verdict::Proven {
        let message = format!("a copy that nothing was done to is not proven: {}", whole.reason);
        return Err(Unable::new(Code::MutantUndecided, message));
    }
    reset(drill, mutants, before).await?;
    for (done, fault) in mutants.faults.iter().copied().enumerate() {
        let total = Some(mutants.faults.len() as u64);
        drill.recorder.progress(&format!("mutant {fault}"), done as u64, total, Unit::Mutants);
        let evidence = one(drill, mutants, fault, &backups, until).await?;
        drill.recorder.measured(Evidence::Mutant(evidence));
        reset(drill, mutants, before).await?;
    }
    for part in STORED {
        let (from, to) = (workspace.path(ASIDE).join(part), workspace.path(part));
        fs::rename(&from, &to).map_err(|error| trouble(&from, &error))?;
    }
    Ok(Vec::new())
}

/// Puts a copy where the originals were.
async fn copy(drill: &Drill<'_>) -> Result<(), Unable> {
    let root = drill.workspace.root().to_owned();
    let linked =
        move || STORED.iter().try_for_each(|part| link_tree(&root.join(ASIDE).join(part), &root.join(part)));
    on_a_thread(linked).await?.map_err(|error| trouble(drill.workspace.root(), &error))
}

/// Removes the copy and what was recovered from it, and forgets what the drill learnt of it.
async fn reset(drill: &mut Drill<'_>, mutants: &Mutants, before: Before) -> Result<(), Unable> {
    before.restore(drill, mutants.recovery.server).await?;
    for part in STORED {
        let path = drill.workspace.path(part);
        remove(&path).map_err(|error| trouble(&path, &error))?;
    }
    Ok(())
}

/// The backup that was recovered from, and before it the older ones.
fn newest_first(from: &[Member], all: &[Vec<Member>]) -> Vec<Member> {
    let Some(newest) = from.last() else { return Vec::new() };
    let older =
        all.iter().rev().filter_map(|chain| chain.last()).skip_while(|member| *member != newest).skip(1);
    [newest].into_iter().chain(older).cloned().collect()
}

/// Damages a copy, recovers it and checks it.
async fn one(
    drill: &mut Drill<'_>,
    mutants: &Mutants,
    fault: Fault,
    backups: &[Member],
    until: Option<u64>,
) -> Result<MutantEvidence, Unable> {
    let began = drill.clock.elapsed();
    copy(drill).await?;
    let mut evidence = MutantEvidence {
        fault,
        done: String::new(),
        outcome: MutantOutcome::NotHere,
        killed_by: None,
        said: String::new(),
        would_be_killed_by: Vec::new(),
        allowed: None,
        took_us: 0,
    };
    match fault::make(drill, fault, backups, until).await {
        Ok(Made::Done(made)) => evidence.done = made.done,
        Ok(Made::NotHere(why)) => {
            evidence.said = why;
            return Ok(evidence);
        }
        Err(unable) => {
            evidence.outcome = MutantOutcome::Undecided;
            evidence.said = unable.message;
            return Ok(evidence);
        }
    }
    let checks = reached(&mutants.checks, fault);
    let run = rehearse(drill, &mutants.recovery, &checks, true).await?;
    let disproving = run.findings.iter().find(|finding| finding.weight == Weight::Disproves);
    (evidence.outcome, evidence.killed_by, evidence.said) = match (disproving, run.observed) {
        (Some(finding), _) => (MutantOutcome::Killed, Some(finding.code), finding.message.clone()),
        (None, Verdict::Proven) => (MutantOutcome::Survived, None, String::new()),
        (None, _) => (MutantOutcome::Undecided, None, run.reason.clone()),
    };
    if evidence.outcome == MutantOutcome::Survived {
        evidence.allowed = mutants.survivors.get(&fault).cloned();
        let works = drill.ledger.file().is_some();
        let dumps = backups.iter().any(|backup| backup.how.is_dump());
        let all = if dumps { Check::all_of_dump(works) } else { Check::all_of(works) };
        let others: Vec<Check> = all.into_iter().filter(|check| !mutants.checks.contains(check)).collect();
        let others = reached(&others, fault);
        if !others.is_empty() {
            let again = rehearse(drill, &mutants.recovery, &others, false).await?;
            let mut seen: Vec<Check> = again
                .findings
                .iter()
                .filter(|finding| finding.weight == Weight::Disproves)
                .filter_map(|finding| finding.check)
                .collect();
            seen.sort_unstable();
            seen.dedup();
            evidence.would_be_killed_by = seen;
        }
    }
    evidence.took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    Ok(evidence)
}

/// Those of `checks` that such a fault can reach: what reads only the backup says nothing new of another archive.
fn reached(checks: &[Check], fault: Fault) -> Vec<Check> {
    let out_of_reach: &[Check] = match fault.site() {
        Site::Archive => &[Check::Manifest, Check::Verify],
        _ => &[Check::ArchiveUntouched],
    };
    let reached: Vec<Check> = checks.iter().copied().filter(|check| !out_of_reach.contains(check)).collect();
    // A rehearsal that checks nothing would prove nothing.
    if reached.is_empty() { checks.to_vec() } else { reached }
}
