//! What several drills say in one table: the alerts that rang, the damaged copies that their checks let pass, what was lost.

use maud::{Markup, html};
use pgdrill_model::run::Run;

use super::Part;
use super::blocks::{groups, scrolled};
use super::chosen::Chosen;
use super::top::linked;
use crate::text::alerts::{fired, seen};
use crate::text::{faults, points, repetitions};
use crate::words;

/// Which alert fired, and how long after its cause.
pub(super) fn alerts(chosen: &Chosen<'_>) -> Option<Part> {
    let rung = || chosen.deciding.iter().flat_map(|run| run.alerts.iter().map(move |alert| (*run, alert)));
    rung().next()?;
    let body = scrolled(
        "Alerts",
        &html! {
            thead { tr {
                @for name in ["scenario", "PostgreSQL", "alert", "cause", "fired"] { th scope="col" { (name) } }
                th.n scope="col" { "after" }
                th scope="col" { "what it saw" }
            } }
            tbody {
                @for (run, alert) in rung() {
                    @let (tone, fired) = fired(alert);
                    tr {
                        th scope="row" { (linked(chosen, run, &run.header.scenario)) }
                        td { (run.header.postgres) }
                        td { (alert.alert.name()) }
                        td { (alert.cause) }
                        td { span.(super::verdict::class(tone)) { (fired) } }
                        td.n { (alert.detected_us.map_or_else(|| "-".to_owned(), words::time)) }
                        td.reason { (seen(alert)) }
                    }
                }
            }
        },
    );
    Some(Part::new("alerts", "Alerts", body))
}

/// How many damaged copies each drill noticed, and which it let pass.
pub(super) fn mutants(chosen: &Chosen<'_>) -> Option<Part> {
    let with: Vec<&Run> = chosen.deciding.iter().copied().filter(|run| !run.mutants.is_empty()).collect();
    if with.is_empty() {
        return None;
    }
    let row = |run: &Run| -> Markup {
        html! {
            tr {
                th scope="row" { (linked(chosen, run, &run.header.scenario)) }
                td { (run.header.postgres) " " (run.header.runtime) }
                td.reason { (faults::score(run)) }
            }
        }
    };
    let body = scrolled(
        "Mutants",
        &html! {
            thead { tr {
                th scope="col" { "scenario" }
                th scope="col" { "PostgreSQL" }
                th scope="col" { "damaged copies of its own backup and archive" }
            } }
            tbody { @for run in with { (row(run)) } }
        },
    );
    Some(Part::new("mutants", "Mutants", body))
}

/// What was lost of what had been acknowledged, where several drills measured that.
pub(super) fn losses(chosen: &Chosen<'_>) -> Option<Part> {
    let group = groups(|page| points::losses(page, chosen.in_order.iter().copied())).into_iter().next()?;
    Some(Part::new("losses", "Loss of acknowledged transactions", group.body))
}

/// Recoveries that were repeated, beside each other.
pub(super) fn repeated(chosen: &Chosen<'_>) -> Option<Part> {
    let group =
        groups(|page| repetitions::side_by_side(page, chosen.in_order.iter().copied())).into_iter().next()?;
    Some(Part::new("repeated", "Recovery times, side by side", group.body))
}
