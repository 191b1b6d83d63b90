//! What was seen in a drill, what to do now, and where something was found that was not expected.

use maud::{Markup, html};
use pgdrill_model::check::Check;
use pgdrill_model::finding::Finding;
use pgdrill_model::run::Run;

use super::blocks::scrolled;
use super::verdict::class;
use crate::page::Tone;
use crate::text::findings::{MOST_FINDINGS, cut};
use crate::words;

pub(super) fn part(run: &Run) -> Option<Markup> {
    if run.findings.is_empty() {
        return None;
    }
    let (not_run, told): (Vec<&Finding>, Vec<&Finding>) =
        run.findings.iter().partition(|finding| words::only_not_run(finding));
    let more = told.len().saturating_sub(MOST_FINDINGS);
    Some(html! {
        ul.findings {
            @for finding in told.iter().take(MOST_FINDINGS) { (one(finding)) }
            @if let Some(first) = not_run.first() {
                @let (tone, weight) = words::weight(first.weight);
                li.(weight_class(tone)) {
                    p.code { b.(class(tone)) { (first.code) } " " span.faint { "(" (weight) ")" } }
                    p { (words::not_run(&not_run)) }
                }
            }
        }
        @if more > 0 { p.strong { "and " (more) " more, which the record holds" } }
    })
}

/// What weighs on the verdict stands out; a note does not.
fn weight_class(tone: Tone) -> &'static str {
    if tone == Tone::Strong { "note" } else { class(tone) }
}

fn one(finding: &Finding) -> Markup {
    let (tone, weight) = words::weight(finding.weight);
    let facts = words::facts(finding);
    html! {
        li.(weight_class(tone)) {
            p.code {
                b.(class(tone)) { (finding.code) } " "
                span.faint {
                    "(" (weight) "; at " (finding.stage.name())
                    @if let Some(check) = finding.check { ", by " (check) }
                    ")"
                }
            }
            p { (finding.message) }
            @if !facts.is_empty() {
                dl.facts {
                    @for (name, value) in &facts {
                        dt { (name) }
                        @if value.trim().contains('\n') { dd { pre { (cut(value)) } } } @else { dd { (cut(value)) } }
                    }
                }
            }
            p.hint { b { "hint:" } " " (words::hint(finding)) }
        }
    }
}

/// What checks expected and what they found, where both are named.
pub(super) fn differences(run: &Run) -> Option<Markup> {
    let unlike: Vec<(&Finding, &String, &String)> = run
        .findings
        .iter()
        .filter_map(|finding| {
            Some((finding, finding.evidence.get("expected")?, finding.evidence.get("found")?))
        })
        .collect();
    if unlike.is_empty() {
        return None;
    }
    let more = unlike.len().saturating_sub(MOST_FINDINGS);
    Some(html! {
        (scrolled("Expected and found", &html! {
            thead { tr {
                @for name in ["what", "check", "expected", "found"] { th scope="col" { (name) } }
            } }
            tbody {
                @for (finding, expected, found) in unlike.iter().take(MOST_FINDINGS) {
                    tr {
                        th scope="row" { (finding.subject.as_deref().unwrap_or(finding.code.name())) }
                        td { (finding.check.map_or("", Check::name)) }
                        td { code { (cut(expected)) } }
                        td { code { (cut(found)) } }
                    }
                }
            }
        }))
        @if more > 0 { p.strong { "and " (more) " more, which the record holds" } }
    })
}
