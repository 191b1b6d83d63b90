//! The table of the drills: those that decide, each leading to its part, and the runs before them.

use maud::{Markup, html};
use pgdrill_model::history::lost;
use pgdrill_model::run::Run;
use pgdrill_model::units::show_count;
use pgdrill_model::verdict::Verdict;

use super::Part;
use super::blocks::scrolled;
use super::chosen::Chosen;
use super::top::linked;
use super::verdict::badge;
use crate::text::recovery::of_objective;
use crate::words;

/// The earlier runs that are listed; the records have all of them.
const MOST_EARLIER: usize = 2_000;

pub(super) fn part(chosen: &Chosen<'_>) -> Option<Part> {
    // Of one run, its own part says all.
    if chosen.all.len() < 2 {
        return None;
    }
    let columns = ["verdict", "scenario", "PostgreSQL", "recovery time", "lost", "took", "reason"];
    let body = html! {
        (scrolled("Drills", &html! {
            thead { tr { @for name in columns { th scope="col" class=[quantity(name)] { (name) } } } }
            tbody { @for run in &chosen.deciding { (row(chosen, run)) } }
        }))
        (earlier(chosen))
    };
    Some(Part::new("drills", "Drills", body))
}

fn quantity(name: &str) -> Option<&'static str> {
    matches!(name, "recovery time" | "lost" | "took").then_some("n")
}

/// A run, as other parts of the page call it.
pub(super) fn on(run: &Run) -> String {
    let header = &run.header;
    format!("{} on PostgreSQL {} ({})", header.scenario, header.postgres, header.runtime)
}

fn row(chosen: &Chosen<'_>, run: &Run) -> Markup {
    let objective = run.objectives.iter().find(|objective| objective.name == "rto");
    let missed = objective.is_some_and(|objective| objective.met == Some(false));
    let lost = lost(run);
    html! {
        tr {
            td { (badge(run.verdict)) }
            th scope="row" { (linked(chosen, run, &run.header.scenario)) }
            td.short { (run.header.postgres) " " (run.header.runtime) }
            td.n { (of_objective(run)) @if missed { br; b.bad { "MISSED" } } }
            td.n { @match lost {
                Some(0) => "0",
                // Of a drill that was to lose some, it is no bad news.
                Some(count) => b.(if run.verdict == Verdict::Proven { "plain" } else { "bad" }) { (show_count(count)) },
                None => "-",
            } }
            td.n { (words::time(run.took_us)) }
            td.reason { (run.reason) }
        }
    }
}

/// The runs that do not decide, folded.
fn earlier(chosen: &Chosen<'_>) -> Markup {
    if chosen.earlier.is_empty() {
        return html! {};
    }
    let more = chosen.earlier.len().saturating_sub(MOST_EARLIER);
    html! {
        details.more #earlier {
            summary { h3 { "Runs before the newest: " (show_count(chosen.earlier.len() as u64)) } }
            (scrolled("Runs before the newest", &html! {
                thead { tr {
                    th scope="col" { "began" }
                    th scope="col" { "verdict" }
                    th scope="col" { "scenario" }
                    th scope="col" { "PostgreSQL" }
                    th.n scope="col" { "recovery time" }
                    th scope="col" { "run" }
                    th scope="col" { "reason" }
                } }
                tbody {
                    @for run in chosen.earlier.iter().take(MOST_EARLIER) {
                        tr {
                            td.when { (words::moment(run.started_unix_us)) }
                            td { (badge(run.verdict)) }
                            th scope="row" { (linked(chosen, run, &run.header.scenario)) }
                            td { (run.header.postgres) " " (run.header.runtime) }
                            td.n { (of_objective(run)) }
                            td { code { (run.header.id) } }
                            td.reason { (run.reason) }
                        }
                    }
                }
            }))
            @if more > 0 { p.faint { "and " (show_count(more as u64)) " more, which the records hold" } }
        }
    }
}
