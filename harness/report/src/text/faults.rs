//! The parts of a drill's report about what was damaged on purpose: the faults, what PostgreSQL alone said of them, and the
//! mutants.

use std::collections::BTreeMap;

use pgdrill_model::check::Check;
use pgdrill_model::evidence::{MutantEvidence, MutantOutcome};
use pgdrill_model::run::Run;

use crate::page::{Cell, Column, Page, Tone};
use crate::words;

pub(crate) fn faults(page: &mut Page, run: &Run) {
    if run.faults.is_empty() {
        return;
    }
    page.heading("Faults");
    for fault in &run.faults {
        page.fact(fault.fault.name(), &fault.done);
        page.fact("PostgreSQL", fault.fault.entry().provokes);
    }
    for recovery in &run.recoveries {
        if recovery.looks_well == Some(true) {
            page.fact(
                "the server",
                "started, answers, and is promoted: whoever only asks whether it is up sees nothing",
            );
        }
    }
    if let Some(bare) = &run.bare {
        let said = match bare.promoted {
            Some(true) => "came there and was promoted, and said nothing".to_owned(),
            Some(false) => format!("did not come there: {}", bare.said),
            None => format!("was not started: {}", bare.said),
        };
        page.fact("a target", &format!("PostgreSQL alone, told to stop at {}, {said}", bare.mark));
    }
}

pub(crate) fn mutants(page: &mut Page, run: &Run) {
    if run.mutants.is_empty() {
        return;
    }
    page.heading("Mutants");
    let columns = [
        Column::left("damage to a copy"),
        Column::left("outcome"),
        Column::right("time"),
        Column::flexible("by what, or why"),
    ];
    let rows: Vec<Vec<Cell>> = run
        .mutants
        .iter()
        .filter(|mutant| mutant.outcome != MutantOutcome::NotHere)
        .map(|mutant| {
            let (tone, outcome) = match mutant.outcome {
                MutantOutcome::Killed => (Tone::Good, "killed"),
                MutantOutcome::Survived if mutant.allowed.is_some() => (Tone::Doubt, "survived"),
                MutantOutcome::Survived => (Tone::Bad, "SURVIVED"),
                MutantOutcome::Undecided => (Tone::Doubt, "UNDECIDED"),
                MutantOutcome::NotHere => (Tone::Faint, "not here"),
            };
            vec![
                Cell::from(mutant.fault.name()),
                Cell::new(tone, outcome),
                Cell::from(words::time(mutant.took_us)),
                Cell::from(why(mutant)),
            ]
        })
        .collect();
    page.table(&columns, &rows);
    let mut without: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for mutant in run.mutants.iter().filter(|mutant| mutant.outcome == MutantOutcome::NotHere) {
        without.entry(&mutant.said).or_default().push(mutant.fault.name());
    }
    page.blank();
    page.paragraph(2, Tone::Strong, &score(run));
    for (why, names) in without {
        page.paragraph(2, Tone::Faint, &format!("not made: {}: {why}", names.join(", ")));
    }
}

/// What a mutant came to, in words.
pub(crate) fn why(mutant: &MutantEvidence) -> String {
    match mutant.outcome {
        MutantOutcome::Killed => match mutant.killed_by {
            Some(code) => format!("{code}: {}", mutant.said),
            None => mutant.said.clone(),
        },
        MutantOutcome::Survived => {
            let names: Vec<&str> = mutant.would_be_killed_by.iter().copied().map(Check::name).collect();
            let by = if names.is_empty() {
                "no check of pgdrill notices it".to_owned()
            } else {
                format!("{} would have noticed it", names.join(", "))
            };
            let allowed = mutant.allowed.as_ref().map(|why| format!("; the scenario lets it: {why}"));
            format!("{}; {by}{}", mutant.done, allowed.unwrap_or_default())
        }
        MutantOutcome::Undecided | MutantOutcome::NotHere => mutant.said.clone(),
    }
}

/// How many were killed, and who survived.
pub(crate) fn score(run: &Run) -> String {
    let of = |outcome: MutantOutcome| {
        run.mutants.iter().filter(|mutant| mutant.outcome == outcome).collect::<Vec<_>>()
    };
    let (killed, survived) = (of(MutantOutcome::Killed), of(MutantOutcome::Survived));
    let counted = killed.len() + survived.len() + of(MutantOutcome::Undecided).len();
    let mut text = format!("killed {} of {counted}", killed.len());
    let names: Vec<&str> = survived.iter().map(|mutant| mutant.fault.name()).collect();
    match names.as_slice() {
        [] => {}
        [one] => text.push_str(&format!("; survivor: {one}")),
        several => text.push_str(&format!("; survivors: {}", several.join(", "))),
    }
    text
}
