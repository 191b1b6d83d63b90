//! The top of the page: the verdict of everything together, and what it rests on.

use std::collections::BTreeSet;

use maud::{Markup, html};
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;

use super::chosen::Chosen;
use super::drills::on;
use super::verdict::{badge, class_of, sign};
use crate::history::when;
use crate::words;

/// How many of those that are not proven are named at the top; the table below has them all.
const NAMED: usize = 8;

/// The name of the page, as a browser shows it.
pub(super) fn title(chosen: &Chosen<'_>) -> String {
    words::untied(&format!("{}: {}", words::verdict(chosen.verdict()).1, lead(chosen)))
}

/// How many drills ended in which way.
fn counts(chosen: &Chosen<'_>) -> String {
    let drills = words::count(chosen.deciding.len() as u64, "drills");
    let counts: Vec<String> = [Verdict::Disproven, Verdict::Unverified, Verdict::Proven]
        .into_iter()
        .map(|verdict| (verdict, chosen.count(verdict)))
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| format!("{count} {}", words::verdict(verdict).1.to_lowercase()))
        .collect();
    if counts.is_empty() { "no drills".to_owned() } else { format!("{drills}: {}", counts.join(", ")) }
}

pub(super) fn header(chosen: &Chosen<'_>) -> Markup {
    let verdict = chosen.verdict();
    html! {
        header {
            div.verdict.(class_of(verdict)) {
                p.what { "pgdrill, restore drills" }
                h1 { span aria-hidden="true" { (sign(verdict)) } " " (words::verdict(verdict).1) }
                p.lead { (lead(chosen)) }
            }
            (because(chosen))
            (facts(chosen))
        }
    }
}

/// One sentence below the verdict.
fn lead(chosen: &Chosen<'_>) -> String {
    match chosen.deciding.as_slice() {
        [] => "There are no records, and nothing is proven by that.".to_owned(),
        [run] if chosen.verdict() == run.verdict => run.reason.clone(),
        _ => {
            let mut lead = counts(chosen);
            if !chosen.stale.is_empty() {
                lead.push_str(&format!(", {} STALE", chosen.stale.len()));
            }
            if !chosen.terms.refused.is_empty() {
                let records = words::count(chosen.terms.refused.len() as u64, "records");
                lead.push_str(&format!(", {records} NOT READ"));
            }
            lead
        }
    }
}

/// What stands in the way of a better verdict, the worst first.
fn because(chosen: &Chosen<'_>) -> Markup {
    let unproven = chosen.deciding.iter().filter(|run| run.verdict != Verdict::Proven);
    let unproven: Vec<&Run> = unproven.copied().collect();
    // The one run of a page has its reason below the verdict.
    let unproven = if chosen.deciding.len() == 1 { Vec::new() } else { unproven };
    let failed_before = chosen.earlier.iter().filter(|run| run.verdict != Verdict::Proven).count() as u64;
    if unproven.is_empty() && chosen.stale.is_empty() && chosen.terms.refused.is_empty() && failed_before == 0
    {
        return html! {};
    }
    let more = unproven.len().saturating_sub(NAMED);
    html! {
        ul.because {
            @for run in unproven.iter().take(NAMED) {
                li { (badge(run.verdict)) " " (linked(chosen, run, &on(run))) ": " (run.reason) }
            }
            @if more > 0 { li { "and " a href="#drills" { (more) " more" } } }
            @for line in chosen.stale.iter().take(NAMED) { li { b.bad { "STALE:" } " " (line) } }
            @if chosen.stale.len() > NAMED { li { "and " (chosen.stale.len() - NAMED) " more that are STALE" } }
            @for line in chosen.terms.refused.iter().take(NAMED) { li { b.bad { "NOT READ:" } " " (line) } }
            @if chosen.terms.refused.len() > NAMED {
                li { "and " (chosen.terms.refused.len() - NAMED) " more records that could not be read" }
            }
            @if failed_before > 0 {
                li.plain {
                    "Of the runs before the newest, " a href="#earlier" { (failed_before) " were not proven" }
                    "; they do not decide."
                }
            }
        }
    }
}

/// A text that leads to the part of a run, where it has one.
pub(super) fn linked(chosen: &Chosen<'_>, run: &Run, text: &str) -> Markup {
    match chosen.place(run) {
        Some(place) => html! { a href={ "#" (place) } { (text) } },
        None => html! { (text) },
    }
}

fn facts(chosen: &Chosen<'_>) -> Markup {
    let each = |of: &dyn Fn(&Run) -> String| {
        let all: BTreeSet<String> = chosen.all.iter().map(of).collect();
        all.into_iter().collect::<Vec<_>>().join("; ")
    };
    if chosen.all.is_empty() {
        return html! {};
    }
    let judged = if chosen.terms.every_run {
        "every run counts"
    } else {
        "the newest run of each scenario, major, runtime and class of machine counts"
    };
    let age = chosen.terms.max_age.map(|limit| {
        format!("; none may have been proven longer ago than {}", words::time(limit.as_micros() as u64))
    });
    html! {
        dl.facts {
            dt { "records" } dd { (when(chosen.all)) }
            dt { "judged by" } dd { (judged) (age.unwrap_or_default()) }
            dt { "run by" } dd { "pgdrill " (each(&|run| run.header.version.clone())) }
            dt { "machine" } dd { (each(&|run| pgdrill_model::history::Kind::of(run).machine)) }
        }
    }
}
