//! The part of a drill's report about triage: how bad it was by the facts, why, and what was not known.

use pgdrill_model::evidence::TriageEvidence;
use pgdrill_model::run::Run;

use crate::page::Page;
use crate::triage::listing;
use crate::words;

pub(crate) fn all(page: &mut Page, run: &Run) {
    for triage in &run.triages {
        page.heading(&format!("Triage of the {}", triage.server));
        one(page, triage);
    }
}

fn one(page: &mut Page, triage: &TriageEvidence) {
    let severity = match triage.assessment.severity {
        Some(severity) => format!("{severity}, {}", severity.words()),
        None => "none: no fact says that anything is wrong".to_owned(),
    };
    page.fact("severity", &format!("{severity}; found out in {}", words::time(triage.took_us)));
    let because = triage.assessment.causes.iter().map(|cause| cause.because.join("; "));
    several(page, "because", because);
    for (name, lines) in listing::of(&triage.facts) {
        several(page, name, lines.into_iter());
    }
    if let Some((name, age)) = &triage.newest_segment {
        page.fact("archive", &format!("the newest segment is {name}, {} old", words::time(*age)));
    }
    let escalations = triage.escalations.iter();
    let why = |escalation: &pgdrill_model::triage::Escalation| {
        format!("{}: {}", escalation.reason.words(), escalation.because.join("; "))
    };
    several(page, "escalate", escalations.map(why));
    let unknown = triage.assessment.unknown.iter();
    several(page, "not known", unknown.map(|unknown| format!("{}: {}", unknown.what, unknown.why)));
}

/// Lines under one name.
fn several(page: &mut Page, name: &str, lines: impl Iterator<Item = String>) {
    for (number, line) in lines.enumerate() {
        page.fact(if number == 0 { name } else { "" }, &line);
    }
}
