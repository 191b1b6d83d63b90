//! The scenarios against the majors and runtimes that they ran on, and in what the majors differ.

use std::collections::BTreeSet;

use maud::{Markup, html};
use pgdrill_model::run::Run;
use pgdrill_model::units::Major;

use super::Part;
use super::blocks::{body, scrolled};
use super::chosen::Chosen;
use super::verdict::badge;
use crate::text::differences;
use crate::text::recovery::measured;
use crate::words;

pub(super) fn part(chosen: &Chosen<'_>) -> Option<Part> {
    let columns: BTreeSet<(Major, &str)> = chosen.deciding.iter().map(|run| column(run)).collect();
    if columns.len() < 2 {
        return None;
    }
    let scenarios: BTreeSet<&str> = chosen.deciding.iter().map(|run| run.header.scenario.as_str()).collect();
    let table = scrolled(
        "Verdicts by scenario and version",
        &html! {
            thead { tr {
                th scope="col" { "scenario" }
                @for (postgres, runtime) in &columns { th scope="col" { (postgres) " " (runtime) } }
            } }
            tbody {
                @for scenario in scenarios {
                    tr {
                        th scope="row" { (scenario) }
                        @for at in &columns { (cell(chosen, scenario, *at)) }
                    }
                }
            }
        },
    );
    let differences =
        body("Differences between majors", |page| differences::all(page, chosen.in_order.iter().copied()));
    let differences = differences.into_string();
    let body = html! {
        (table)
        @if !differences.is_empty() {
            h3 { "Differences between majors" }
            (maud::PreEscaped(differences))
        }
    };
    Some(Part::new("versions", "Versions", body))
}

fn column(run: &Run) -> (Major, &str) {
    (run.header.postgres, run.header.runtime.as_str())
}

/// The worst of the runs that belong here; there is more than one where machines differ, or each run counts.
fn cell(chosen: &Chosen<'_>, scenario: &str, at: (Major, &str)) -> Markup {
    let mut here = chosen.deciding.iter().filter(|run| run.header.scenario == scenario && column(run) == at);
    let Some(worst) = here.next() else { return html! { td.faint { "not run" } } };
    let time = measured(worst).map(words::time);
    html! {
        td {
            @match chosen.place(worst) {
                Some(place) => a href={ "#" (place) } { (badge(worst.verdict)) },
                None => (badge(worst.verdict)),
            }
            @if let Some(time) = time { " " span.faint { (time) } }
        }
    }
}
