//! The part of a report that tells what was seen, and what to do now.

use pgdrill_model::check::Check;
use pgdrill_model::finding::Finding;
use pgdrill_model::run::Run;

use crate::page::{Page, Tone};
use crate::words;

/// More findings than this are counted, not shown; the record has them all.
pub(crate) const MOST_FINDINGS: usize = 20;

/// Evidence longer than this is cut; the record has all of it.
const LONGEST_EVIDENCE: usize = 600;

pub(super) fn all(page: &mut Page, run: &Run) {
    if run.findings.is_empty() {
        return;
    }
    page.heading("Findings");
    let (not_run, told): (Vec<&Finding>, Vec<&Finding>) =
        run.findings.iter().partition(|finding| words::only_not_run(finding));
    for (index, found) in told.iter().take(MOST_FINDINGS).enumerate() {
        if index > 0 {
            page.blank();
        }
        finding(page, found);
    }
    let more = told.len().saturating_sub(MOST_FINDINGS);
    if more > 0 {
        page.blank();
        page.paragraph(2, Tone::Strong, &format!("and {more} more, which the record holds"));
    }
    if let Some(first) = not_run.first() {
        if !told.is_empty() {
            page.blank();
        }
        let (tone, weight) = words::weight(first.weight);
        page.labelled(2, (tone, first.code.name()), (Tone::Faint, &format!("({weight})")));
        page.paragraph(4, Tone::Plain, &words::not_run(&not_run));
    }
}

fn finding(page: &mut Page, finding: &Finding) {
    let (tone, weight) = words::weight(finding.weight);
    let mut place = format!("({weight}; at {}", finding.stage.name());
    if let Some(check) = finding.check {
        place.push_str(&format!(", by {}", Check::name(check)));
    }
    place.push(')');
    page.labelled(2, (tone, finding.code.name()), (Tone::Faint, &place));
    page.paragraph(4, Tone::Plain, &finding.message);
    for (name, value) in words::facts(finding) {
        // Text of several lines, such as a log's, stands below its name; all else beside it.
        let value = cut(&value);
        let name = format!("{name}:");
        if value.trim().contains('\n') {
            page.paragraph(6, Tone::Faint, &name);
            page.lines(8, Tone::Plain, &value);
        } else {
            page.labelled(6, (Tone::Faint, &name), (Tone::Plain, &value));
        }
    }
    page.labelled(4, (Tone::Strong, "hint:"), (Tone::Plain, words::hint(finding)));
}

pub(crate) fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_EVIDENCE {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST_EVIDENCE).collect();
    format!("{head}… (the record has all of it)")
}
