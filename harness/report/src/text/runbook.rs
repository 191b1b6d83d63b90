//! The part of a report about the runbook: the timeline of the incident against its budgets, and which of its steps were
//! proven, disproven, or not rehearsed.

use std::collections::BTreeSet;

use pgdrill_model::run::Run;
use pgdrill_model::runbook::{Budget, Entry, State, Timeline, is_rehearsed, of};

use crate::page::{Cell, Column, Page, TIE, Tone};
use crate::words;

/// The timeline of one drill.
pub(super) fn timeline(page: &mut Page, run: &Run) {
    if !is_rehearsed(run) {
        return;
    }
    let Some(timeline) = Timeline::of(run) else { return };
    page.heading("Timeline");
    let columns = [
        Column::left("what"),
        Column::right("from"),
        Column::right("to"),
        Column::right("took"),
        Column::left("part of the runbook"),
    ];
    let micros = |time: std::time::Duration| time.as_micros() as u64;
    let rows: Vec<Vec<Cell>> = timeline
        .moments
        .iter()
        .map(|moment| {
            vec![
                Cell::from(moment.name.replace(' ', &TIE.to_string())),
                Cell::from(words::time(micros(moment.began))),
                Cell::from(words::time(micros(moment.began + moment.took))),
                Cell::from(words::time(micros(moment.took))),
                Cell::from(moment.part.name()),
            ]
        })
        .collect();
    page.table(&columns, &rows);
    page.blank();
    for budget in &timeline.budgets {
        let tone = if budget.kept() { Tone::Good } else { Tone::Bad };
        page.paragraph(2, tone, &budgeted(budget));
    }
}

/// What was taken of a budget, in words.
pub(crate) fn budgeted(budget: &Budget) -> String {
    let (done, limit) = (budget.done.as_micros() as u64, budget.limit.as_micros() as u64);
    let kept = if budget.kept() { "within" } else { "NOT within" };
    format!(
        "{}: done {} after the loss, {kept} the {} of the runbook",
        budget.part.name(),
        words::time(done),
        words::time(limit)
    )
}

/// What drills together say of each step; of one drill only what it did.
pub(super) fn steps(page: &mut Page, runs: &[Run]) {
    if !runs.iter().any(is_rehearsed) {
        return;
    }
    page.heading("Runbook");
    let columns = [Column::left("part"), Column::left("state"), Column::flexible("step, and what shows it")];
    let all = of(runs);
    let told = |state: &State| runs.len() > 1 || matches!(state, State::Proven(_) | State::Disproven(_));
    let mut part = None;
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .filter(|(_, state)| told(state))
        .map(|(entry, state)| row(entry, state, part.replace(entry.part) != Some(entry.part)))
        .collect();
    page.table(&columns, &rows);
    page.blank();
    page.paragraph(2, Tone::Plain, &counted(&all));
}

fn row(entry: &Entry, state: &State, begins: bool) -> Vec<Cell> {
    let tone = match state {
        State::Proven(_) => Tone::Good,
        State::Disproven(_) => Tone::Bad,
        State::NotRehearsed => Tone::Doubt,
        State::ByHand => Tone::Faint,
    };
    let tied = |text: &str| text.replace(' ', &TIE.to_string());
    let shows = match state.evidence() {
        "" => entry.does.to_owned(),
        evidence => format!("{}: {evidence}", entry.does),
    };
    vec![
        Cell::from(if begins { tied(entry.part.name()) } else { String::new() }),
        Cell::new(tone, tied(state.name())),
        Cell::from(shows),
    ]
}

/// How many steps are in each state, and the systems of which nothing was rehearsed.
pub(crate) fn counted(all: &[(&'static Entry, State)]) -> String {
    let count = |name: &str| all.iter().filter(|(_, state)| state.name() == name).count();
    let counts: Vec<String> = ["proven", "disproven", "not rehearsed", "by hand"]
        .into_iter()
        .map(|name| (name, count(name)))
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let rehearsed = |system: &str| {
        all.iter().any(|(entry, state)| {
            entry.system == system && matches!(state, State::Proven(_) | State::Disproven(_))
        })
    };
    let left: BTreeSet<&str> = all
        .iter()
        .filter(|(entry, state)| !matches!(state, State::ByHand) && !rehearsed(entry.system))
        .map(|(entry, _)| entry.system)
        .collect();
    let left: Vec<&str> = left.into_iter().collect();
    let systems = if left.is_empty() {
        "every system of the runbook took part".to_owned()
    } else {
        format!("took no part: {}", left.join(", "))
    };
    format!("{}; {systems}", counts.join(", "))
}
