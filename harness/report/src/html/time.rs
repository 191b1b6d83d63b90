//! The pictures of time: the phases of a recovery against its objective, and an incident from the loss on.

use std::time::Duration;

use maud::{Markup, html};
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::run::{Objective, Run};
use pgdrill_model::runbook::{Timeline, is_rehearsed};

use super::blocks::{body, scrolled};
use super::svg::{Piece, Tick, bar, small};
use crate::text::recovery::{objective, percent, rto};
use crate::text::runbook::budgeted;
use crate::words;

/// The recovery time of a drill.
pub(super) fn recovery(run: &Run) -> Option<Markup> {
    let measured: Vec<&RecoveryEvidence> =
        run.recoveries.iter().filter(|recovery| !recovery.phases.is_empty()).collect();
    if measured.is_empty() && rto(run).is_none() {
        return None;
    }
    let target = rto(run).and_then(|objective| objective.target_us).or(run.header.rto_us);
    Some(html! {
        @for recovery in measured {
            @if run.recoveries.len() > 1 { h5 { (recovery.server) } }
            (strip(recovery, target))
            (phases(recovery))
        }
        (body("Recovery time", |page| objective(page, run)))
    })
}

/// Where a phase begins and how long it is, with the one that took longest.
fn spans(recovery: &RecoveryEvidence) -> (Vec<(u64, u64)>, Option<usize>) {
    let mut spans = Vec::new();
    let mut at = 0u64;
    for phase in &recovery.phases {
        spans.push((at, phase.took_us));
        at = at.saturating_add(phase.took_us);
    }
    let longest = spans.iter().map(|(_, long)| *long).max().unwrap_or(0);
    let binding = spans.iter().position(|(_, long)| longest > 0 && *long == longest);
    (spans, binding)
}

/// All of it on one axis, with the objective as a line.
fn strip(recovery: &RecoveryEvidence, target: Option<u64>) -> Markup {
    let (spans, binding) = spans(recovery);
    let total = spans.last().map_or(0, |(from, long)| from.saturating_add(*long));
    // The line of the objective stands inside of the picture.
    let whole = total.max(target.unwrap_or(0)).saturating_mul(103) / 100;
    let pieces: Vec<Piece> = spans
        .iter()
        .enumerate()
        .map(|(at, (from, long))| Piece {
            class: format!("phase-{}{}", at % 2, if binding == Some(at) { " longest" } else { "" }),
            from: *from,
            long: *long,
            says: format!("{}: {}", recovery.phases[at].name, words::time(*long)),
        })
        .collect();
    let over = target.is_some_and(|target| total > target);
    let mut ticks = vec![Tick {
        class: if over { "bad" } else { "end" },
        at: total,
        says: format!("first write {}", words::time(total)),
        above: false,
    }];
    ticks.extend(target.map(|target| Tick {
        class: "objective",
        at: target,
        says: format!("objective {}", words::time(target)),
        above: true,
    }));
    let against = target.map_or_else(String::new, |target| {
        let kept = if over { "over" } else { "within" };
        format!(", {kept} the objective of {}", words::time(target))
    });
    let each: Vec<String> = pieces.iter().map(|piece| piece.says.clone()).collect();
    let name = format!("Recovery in {}{against}. {}", words::time(total), each.join(", "));
    bar(&name, whole, &pieces, &ticks)
}

/// Phase by phase, on an axis of its own.
fn phases(recovery: &RecoveryEvidence) -> Markup {
    let (spans, binding) = spans(recovery);
    let total = spans.last().map_or(0, |(from, long)| from.saturating_add(*long));
    scrolled(
        "Phases of the recovery time",
        &html! {
            thead { tr {
                th scope="col" { "phase" }
                th.n scope="col" { "time" }
                th.n scope="col" { "share" }
                th.wide scope="col" { "from the loss to the first write" }
            } }
            tbody {
                @for (at, (phase, (from, long))) in recovery.phases.iter().zip(&spans).enumerate() {
                    @let longest = binding == Some(at);
                    @let took = if *long == 0 { "-".to_owned() } else { words::time(*long) };
                    tr class=[longest.then_some("strong")] {
                        th scope="row" { (phase.name) @if longest { span.faint { " longest" } } }
                        td.n { (took) }
                        td.n { (percent(*long, total)) " %" }
                        td.wide { (small(
                            &from_to(&phase.name, *from, from.saturating_add(*long)),
                            total, *from, *long, if longest { "longest" } else { "phase-0" },
                        )) }
                    }
                }
            }
        },
    )
}

fn from_to(name: &str, from: u64, to: u64) -> String {
    format!("{name} from {} to {}", words::time(from), words::time(to))
}

/// An incident, against the budgets of the runbook.
pub(super) fn incident(run: &Run) -> Option<Markup> {
    let timeline = Timeline::of(run).filter(|_| is_rehearsed(run))?;
    let us = |time: Duration| time.as_micros() as u64;
    let whole = timeline.moments.iter().map(|moment| us(moment.began + moment.took)).max().unwrap_or(0);
    Some(html! {
        (scrolled("Timeline of the incident", &html! {
            thead { tr {
                th scope="col" { "what" }
                th.n scope="col" { "from" }
                th.n scope="col" { "to" }
                th.n scope="col" { "took" }
                th.wide scope="col" { "from the loss on" }
                th scope="col" { "part of the runbook" }
            } }
            tbody {
                @for moment in &timeline.moments {
                    @let (began, ended) = (us(moment.began), us(moment.began + moment.took));
                    tr {
                        th scope="row" { (moment.name) }
                        td.n { (words::time(began)) }
                        td.n { (words::time(ended)) }
                        td.n { (words::time(us(moment.took))) }
                        td.wide { (small(
                            &from_to(moment.name, began, ended),
                            whole, began, us(moment.took), "phase-0",
                        )) }
                        td { (moment.part.name()) }
                    }
                }
            }
        }))
        ul.plain {
            @for budget in &timeline.budgets {
                li.(if budget.kept() { "good" } else { "bad" }) { (budgeted(budget)) }
            }
        }
    })
}

/// The objective of the recovery time in few words, and whether it was met.
pub(super) fn against(objective: &Objective, wanted: Option<u64>) -> (String, &'static str) {
    match (objective.measured_us, objective.target_us, objective.met) {
        (None, Some(target), _) => (format!("NOT MEASURED; objective {}", words::time(target)), "doubt"),
        (None, None, _) => ("not measured".to_owned(), "doubt"),
        (Some(_), Some(target), Some(true)) => {
            (format!("within the objective of {}", words::time(target)), "good")
        }
        (Some(_), Some(target), _) => (format!("OBJECTIVE MISSED: {}", words::time(target)), "bad"),
        (Some(_), None, _) => match wanted {
            Some(target) => (format!("the objective of {} is not judged", words::time(target)), "plain"),
            None => ("no objective".to_owned(), "plain"),
        },
    }
}
