//! Which of the backups of a source are proven, each with the time that its recovery went through on one axis.

use maud::{Markup, html};
use pgdrill_model::coverage::{Coverage, Covered};
use pgdrill_model::verdict::Verdict;

use super::Part;
use super::blocks::scrolled;
use super::chosen::Chosen;
use super::svg::small;
use super::verdict::{badge, class};
use crate::coverage::{minute, sentence, state, taken, until, worth_telling};

/// A moment is drawn as long as this part of the axis.
const MOMENT: u64 = 60;

pub(super) fn part(chosen: &Chosen<'_>) -> Option<Part> {
    let sources = worth_telling(chosen.all);
    if sources.is_empty() {
        return None;
    }
    let body = html! {
        @for coverage in &sources {
            h3 { (coverage.source.name) }
            p { (sentence(coverage)) "." }
            (table(coverage))
        }
    };
    let says = "a backup is proven from its end to the last commit that its newest drill brought back";
    Some(Part::new("coverage", "Coverage", body).saying(says))
}

fn table(coverage: &Coverage<'_>) -> Markup {
    scrolled(
        &format!("Backups of {}", coverage.source.name),
        &html! {
            thead { tr {
                @for name in ["backup", "taken", "verdict", "proven until", "when"] { th scope="col" { (name) } }
            } }
            tbody { @for covered in &coverage.backups { (row(covered, coverage.extent())) } }
        },
    )
}

fn row(covered: &Covered<'_>, extent: Option<(i64, i64)>) -> Markup {
    html! {
        tr {
            th scope="row" { (covered.held.label) }
            td.short { (taken(covered)) }
            td {
                @match covered.verdict() {
                    Some(verdict) => (badge(verdict)),
                    None => {
                        @let (tone, state) = state(covered);
                        span.(class(tone)) title=[covered.held.unfit.as_deref()] { (state) }
                    }
                }
            }
            td.short { (until(covered)) }
            td.wide { @if let Some(extent) = extent { (bar(covered, extent)) } }
        }
    }
}

fn bar(covered: &Covered<'_>, (first, last): (i64, i64)) -> Markup {
    let Some((from, to)) = covered.span().or_else(|| covered.held.unix_us.map(|at| (at, at))) else {
        return html! {};
    };
    let class = match covered.verdict() {
        Some(Verdict::Proven) => "recovered",
        Some(Verdict::Disproven) => "lost",
        Some(Verdict::Unverified) => "open",
        None => "after",
    };
    let whole = last.abs_diff(first).max(1);
    let moment = whole / MOMENT + 1;
    let long = to.abs_diff(from).max(moment);
    // What begins at the end stands before it.
    let from = from.abs_diff(first).min((whole + moment).saturating_sub(long));
    let name = match covered.span() {
        Some((from, to)) => format!("proven from {} to {}", minute(from), minute(to)),
        None => "not proven".to_owned(),
    };
    small(&name, whole + moment, from, long, class)
}
