//! The steps of the operations runbook: which of them a drill proved or disproved, and which nobody rehearsed.

use maud::{Markup, html};
use pgdrill_model::runbook::{Entry, State, is_rehearsed, of};

use super::Part;
use super::blocks::scrolled;
use super::chosen::Chosen;
use crate::text::runbook::counted;

pub(super) fn part(chosen: &Chosen<'_>) -> Option<Part> {
    if !chosen.deciding.iter().any(|run| is_rehearsed(run)) {
        return None;
    }
    let all = of(chosen.in_order.iter().copied());
    let body = scrolled(
        "Steps of the runbook",
        &html! {
            thead { tr {
                th scope="col" { "state" }
                th scope="col" { "step" }
                th scope="col" { "system" }
                th scope="col" { "what shows it" }
            } }
            @for part in all.chunk_by(|(one, _), (next, _)| one.part == next.part) {
                tbody {
                    @if let Some((entry, _)) = part.first() {
                        tr { th.group colspan="4" scope="rowgroup" { (entry.part.name()) } }
                    }
                    @for (entry, state) in part { (row(entry, state)) }
                }
            }
        },
    );
    Some(Part::new("runbook", "Runbook", body).saying(counted(&all)))
}

fn row(entry: &Entry, state: &State) -> Markup {
    let (class, sign) = match state {
        State::Proven(_) => ("good", "✓"),
        State::Disproven(_) => ("bad", "✗"),
        State::NotRehearsed => ("doubt", "?"),
        State::ByHand => ("faint", "☐"),
    };
    html! {
        tr {
            td.state { span.(class) { span aria-hidden="true" { (sign) } " " (state.name()) } }
            th scope="row" { (entry.does) }
            td { (entry.system) }
            td { @if matches!(state, State::ByHand | State::NotRehearsed) {
                "by " span.blank {} " at " span.blank {}
            } @else { (state.evidence()) } }
        }
    }
}
