//! One drill: why this verdict, what was found, how long it took, what is lost, and everything that it rests on.

use maud::{Markup, PreEscaped, html};
use pgdrill_model::evidence::{CheckStatus, SweepEvidence};
use pgdrill_model::history::lost;
use pgdrill_model::run::Run;
use pgdrill_model::units::show_count;
use pgdrill_model::verdict::Verdict;

use super::blocks::{Group, body, groups};
use super::chosen::Chosen;
use super::verdict::{badge, class_of};
use super::{Part, environment, findings, ledger, time};
use crate::page::Page;
use crate::text::{self, recovery};
use crate::words;

pub(super) fn part(chosen: &Chosen<'_>) -> Option<Part> {
    if chosen.told.is_empty() {
        return None;
    }
    let left_out = chosen.deciding.iter().filter(|run| chosen.place(run).is_none()).count();
    // What a page is opened for is open: the one drill that it has, and what is not proven.
    let alone = chosen.told.len() == 1;
    let body = html! {
        @for run in &chosen.told { (one(chosen, run, alone || run.verdict != Verdict::Proven)) }
        @if left_out > 0 {
            p.strong {
                (left_out) " more have a row above and no part of their own; "
                code { "pgdrill report RECORD --format html" }
                " tells of each"
            }
        }
    };
    Some(Part::new("each", "Drill by drill", body))
}

fn one(chosen: &Chosen<'_>, run: &Run, open: bool) -> Markup {
    let place = chosen.place(run).unwrap_or_default();
    let heading = format!("{place}-title");
    let header = &run.header;
    html! {
        article aria-labelledby=(heading) {
            details.drill.(class_of(run.verdict)) open[open] {
                summary {
                    h3 #(heading) {
                        (badge(run.verdict)) " " (header.scenario)
                    }
                    span.on {
                        "PostgreSQL " (header.postgres) ", " (header.runtime) ", " (words::moment(run.started_unix_us))
                    }
                }
                div.body #(place) {
                    p.reason { (run.reason) }
                    p.faint { (header.title) }
                    @if header.expect.is_some() {
                        p.expected { "observed: " (badge(run.observed)) "; the scenario says how it must end" }
                    }
                    (figures(run))
                    (parts(&place, run))
                }
            }
        }
    }
}

/// The figures that a drill is asked for first.
fn figures(run: &Run) -> Markup {
    let rto = recovery::rto(run);
    let lost = lost(run);
    let held = run.checks.iter().filter(|record| record.status == CheckStatus::Held).count();
    let outage = run.objectives.iter().find(|objective| objective.name == "outage");
    let shown = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), words::time);
    let failed = run.checks.iter().filter(|record| record.status == CheckStatus::Failed).count();
    let checks = match (run.checks.len(), failed) {
        (0, _) => ("none was made".to_owned(), "doubt"),
        (all, 0) if all == held => ("each held".to_owned(), "good"),
        (all, 0) => (format!("{} NOT RUN", all - held), "doubt"),
        (_, failed) => (format!("{failed} FAILED"), "bad"),
    };
    // A sweep makes checks of its own at each point.
    let checked = !run.checks.is_empty() || run.sweeps.is_empty();
    let points = |of: fn(&SweepEvidence) -> u64| show_count(run.sweeps.iter().map(of).sum());
    let proven = run.sweeps.iter().all(|sweep| sweep.proven == sweep.targets);
    let swept = if proven { ("each proven", "good") } else { ("NOT all proven", "bad") };
    html! {
        dl.figures {
            @if let Some(rto) = rto {
                (figure("recovery time", &shown(rto.measured_us), time::against(rto, run.header.rto_us)))
            }
            @if let Some(outage) = outage {
                (figure("outage", &shown(outage.measured_us), time::against(outage, run.header.outage_us)))
            }
            @if let Some(lost) = lost { (figure("lost transactions", &show_count(lost), loss(run, lost))) }
            @if !run.sweeps.is_empty() {
                @let value = format!("{} of {}", points(|sweep| sweep.proven), points(|sweep| sweep.targets));
                (figure("recovery points", &value, (swept.0.to_owned(), swept.1)))
            }
            @if checked {
                (figure("checks", &format!("{held} of {}", run.checks.len()), checks))
            }
            (figure("took", &words::time(run.took_us), ("with teardown".to_owned(), "plain")))
        }
    }
}

fn loss(run: &Run, lost: u64) -> (String, &'static str) {
    let met =
        run.objectives.iter().find(|objective| objective.name == "rpo").and_then(|objective| objective.met);
    match (run.header.rpo, met) {
        (None, _) if lost > 0 => ("nothing may be lost".to_owned(), "bad"),
        (None, _) => ("no objective".to_owned(), "plain"),
        (Some(target), Some(true)) => (format!("within the objective of {target}"), "good"),
        (Some(target), Some(false)) => (format!("OBJECTIVE MISSED: {target}"), "bad"),
        (Some(target), None) => (format!("objective {target}, not judged"), "plain"),
    }
}

fn figure(name: &str, value: &str, (says, class): (String, &str)) -> Markup {
    html! { div { dt { (name) } dd.value { (value) } dd.(class) { (says) } } }
}

fn parts(place: &str, run: &Run) -> Markup {
    let mut number = 0;
    let mut titled = |title: &str, folded: bool, inside: Option<Markup>| -> Markup {
        let Some(inside) = inside.filter(|inside| !inside.0.is_empty()) else { return html! {} };
        number += 1;
        let id = format!("{place}-{number}");
        html! {
            @if folded {
                details.more { summary { h4 #(id) { (title) } } (inside) }
            } @else {
                section aria-labelledby=(id) { h4 #(id) { (title) } (inside) }
            }
        }
    };
    let told = |title: &str, write: &dyn Fn(&mut Page)| Some(body(title, |page| write(page)));
    let several = |write: &dyn Fn(&mut Page)| groups(|page| write(page));
    html! {
        (titled("Findings", false, findings::part(run)))
        (titled("Recovery time", false, time::recovery(run)))
        @for Group { title, body } in several(&|page| text::repetitions::of_run(page, run)) {
            (titled(&title, false, Some(body)))
        }
        (titled("Acknowledged transactions", false, ledger::part(run)))
        (titled("Sweep", false, ledger::sweeps(run)))
        (titled("Timeline of the incident", false, time::incident(run)))
        @for Group { title, body } in several(&|page| text::faults::faults(page, run)) {
            (titled(&title, false, Some(body)))
        }
        @for Group { title, body } in several(&|page| text::as_written::all(page, run)) {
            (titled(&title, false, Some(body)))
        }
        (titled("Checks", run.verdict == Verdict::Proven, told("Checks", &|page| text::checks(page, run))))
        (titled("Expected and found", false, findings::differences(run)))
        (titled("Not tested", false, told("Not tested", &|page| text::not_tested(page, run))))
        (titled("Mutants", false, told("Mutants", &|page| text::faults::mutants(page, run))))
        (titled("Steps", true, told("Steps", &|page| text::steps(page, run))))
        (titled("Alerts", true, told("Alerts", &|page| text::alerts::all(page, run))))
        @for Group { title, body } in several(&|page| text::triage::all(page, run)) {
            (titled(&title, true, Some(body)))
        }
        (titled("Safety copy", true, told("Safety copy", &|page| text::safety::all(page, run))))
        @for Group { title, body } in several(&|page| text::application::all(page, run)) {
            (titled(&title, true, Some(body)))
        }
        (titled("Source", true, told("Source", &|page| text::source::all(page, run))))
        (titled("Backup", true, told("Backup", &|page| recovery::backups(page, run))))
        @for Group { title, body } in several(&|page| recovery::recoveries(page, run)) {
            (titled(&title, true, Some(body)))
        }
        (titled("Work", true, told("Work", &|page| text::points::work(page, run))))
        (titled("Environment", true, Some(html! {
            (told("Environment", &|page| text::identity(page, run)).unwrap_or(PreEscaped(String::new())))
            (environment::facts(run))
        })))
        (titled("Do it again", true, Some(html! {
            pre { code { (environment::again(run)) } }
            p.faint { "The scenario file is wherever it was then; it must have the SHA-256 " code { (run.header.scenario_sha256) } "." }
        })))
    }
}
