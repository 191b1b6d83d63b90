//! The part of a drill's report about steps of the runbook: what was typed, what it left, and the corrected commands.

use pgdrill_model::as_written::Wanted;
use pgdrill_model::evidence::{AsWrittenEvidence, CommandEvidence};
use pgdrill_model::run::Run;

use crate::page::{Page, Tone};
use crate::words;

pub(crate) fn all(page: &mut Page, run: &Run) {
    for step in &run.as_written {
        one(page, step);
    }
}

fn one(page: &mut Page, step: &AsWrittenEvidence) {
    let entry = step.row.entry();
    page.heading("Runbook");
    page.fact("step", &format!("{}, {}", entry.name, how(step)));
    page.fact("section", entry.section);
    page.fact("meant", entry.meant);
    match step.harm() {
        Some(harm) => page.fact("HARM", &harm),
        None => page.fact("left", &left(step)),
    }
    page.blank();
    page.paragraph(2, Tone::Faint, "typed, each with its exit code:");
    step.commands.iter().for_each(|command| typed(page, command));
    if !step.corrected {
        page.blank();
        page.paragraph(2, Tone::Faint, "corrected:");
        for command in entry.corrected.step {
            page.lines(8, Tone::Plain, command);
        }
    }
}

fn typed(page: &mut Page, command: &CommandEvidence) {
    let (tone, code) = match command.code {
        Some(0) => (Tone::Plain, "0".to_owned()),
        Some(code) => (Tone::Bad, code.to_string()),
        None => (Tone::Faint, "-".to_owned()),
    };
    // What stands around a step is there so that it can be typed at all.
    let own = if command.of_the_step { Tone::Plain } else { Tone::Faint };
    let mut lines = command.text.lines();
    page.labelled(4, (tone, &format!("{code:>3}")), (own, lines.next().unwrap_or_default()));
    lines.for_each(|line| page.paragraph(8, own, line));
    if command.code.is_some_and(|code| code != 0) {
        page.paragraph(10, Tone::Faint, &command.said);
    }
}

/// Whether the commands were those that were written.
pub(crate) fn how(step: &AsWrittenEvidence) -> &'static str {
    if step.corrected { "corrected" } else { "as written" }
}

/// What there is where nothing is missing.
pub(crate) fn left(step: &AsWrittenEvidence) -> String {
    if step.row.entry().wanted == Wanted::Telling {
        return "each command fails while the service does, and ends well when it is well".to_owned();
    }
    let tables = words::count(step.found.tables.unwrap_or(0), "tables");
    let took = step.restored_us.map(|us| format!(", open after {}", words::time(us))).unwrap_or_default();
    format!("a server that takes a write and holds what was captured, {tables} compared{took}")
}
