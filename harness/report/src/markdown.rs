//! The report as Markdown, for where people talk about it: a merge request, a ticket, a wiki.

use std::fmt::Write;
use std::time::Duration;

use pgdrill_model::code::Weight;
use pgdrill_model::detection::{Detector, Matrix};
use pgdrill_model::evidence::CommandEvidence;
use pgdrill_model::run::Run;
use pgdrill_model::runbook::{State, Timeline, is_rehearsed, of};
use pgdrill_model::verdict::Verdict;

use crate::coverage::{sentence, state, taken, until, worth_telling};
use crate::detection::{symbol, used};
use crate::text::alerts::seen;
use crate::text::as_written::{how, left};
use crate::text::faults::{score, why};
use crate::text::runbook::{budgeted, counted};
use crate::words;

/// The report of all drills of one command.
pub fn runs(runs: &[Run]) -> String {
    let mut text = String::from("# Restore drills\n\n");
    let counts: Vec<String> = [Verdict::Proven, Verdict::Disproven, Verdict::Unverified]
        .into_iter()
        .map(|verdict| (verdict, runs.iter().filter(|run| run.verdict == verdict).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| format!("{count} {}", words::verdict(verdict).1.to_lowercase()))
        .collect();
    let drills = words::untied(&words::count(runs.len() as u64, "drills"));
    let _ = writeln!(
        text,
        "{drills}: {}\n",
        if counts.is_empty() { "nothing was run".to_owned() } else { counts.join(", ") }
    );
    text.push_str("| scenario | PostgreSQL | verdict | took | reason |\n|---|---:|---|---:|---|\n");
    for run in runs {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            cell(&run.header.scenario),
            run.header.postgres,
            words::verdict(run.verdict).1,
            cell(&words::time(run.took_us)),
            cell(&run.reason)
        );
    }
    detection(&mut text, &Matrix::of(runs));
    alerts(&mut text, runs);
    coverage(&mut text, runs);
    recovery_times(&mut text, runs);
    runs.iter().for_each(|run| timeline(&mut text, run));
    runbook(&mut text, runs);
    as_written(&mut text, runs);
    runs.iter().for_each(|run| mutants(&mut text, run));
    runs.iter().filter(|run| run.verdict != Verdict::Proven).for_each(|run| findings(&mut text, run));
    text
}

/// Who noticed which fault: a column per detector that had anything to do.
fn detection(text: &mut String, matrix: &Matrix) {
    if matrix.rows.is_empty() {
        return;
    }
    let all = Detector::all();
    let used = used(matrix);
    text.push_str("\n## Who notices what\n\n● noticed, ◐ in some runs, · looked and noticed nothing, blank: did not come to look\n\n| fault |");
    used.iter().for_each(|at| _ = write!(text, " {} |", all[*at]));
    text.push_str("\n|---|");
    used.iter().for_each(|_| text.push_str(":-:|"));
    text.push('\n');
    for row in &matrix.rows {
        let harmless = if row.fault.is_harmless() { " (harmless)" } else { "" };
        let _ = write!(text, "| {}{harmless} |", row.fault);
        for at in &used {
            let _ = write!(text, " {} |", symbol(row.sights[*at]));
        }
        text.push('\n');
    }
    let only = matrix.only_seen_by();
    if !only.is_empty() {
        text.push_str("\nWithout one of these, nobody would have noticed:\n\n");
    }
    for (detector, faults) in only {
        let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
        let _ = writeln!(text, "- {detector}: {}", names.join(", "));
    }
}

/// Which backups of a source are proven.
fn coverage(text: &mut String, runs: &[Run]) {
    for coverage in worth_telling(runs) {
        let _ = writeln!(
            text,
            "\n## Coverage of {}\n\n{}.\n",
            cell(&coverage.source.name),
            cell(&words::untied(&sentence(&coverage)))
        );
        text.push_str("| backup | taken | verdict | proven until |\n|---|---|---|---|\n");
        for covered in &coverage.backups {
            let (label, state) = (cell(&covered.held.label), state(covered).1);
            let _ = writeln!(text, "| {label} | {} | {state} | {} |", taken(covered), until(covered));
        }
    }
}

/// Which alert fired, and how long after its cause.
fn alerts(text: &mut String, runs: &[Run]) {
    if runs.iter().all(|run| run.alerts.is_empty()) {
        return;
    }
    text.push_str("\n## Detection\n\n| scenario | PostgreSQL | alert | cause | after | what it saw |\n|---|---:|---|---|---:|---|\n");
    for (run, alert) in runs.iter().flat_map(|run| run.alerts.iter().map(move |alert| (run, alert))) {
        let after = match (alert.early, alert.detected_us) {
            (true, _) => "TOO EARLY".to_owned(),
            (false, None) => "NOT".to_owned(),
            (false, Some(us)) => words::time(us),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&run.header.scenario),
            run.header.postgres,
            alert.alert,
            cell(&alert.cause),
            cell(&after),
            cell(&seen(alert))
        );
    }
}

/// How the times of recoveries are spread that were repeated.
fn recovery_times(text: &mut String, runs: &[Run]) {
    let repeated = || runs.iter().filter(|run| !run.repetitions.is_empty());
    if repeated().next().is_none() {
        return;
    }
    text.push_str("\n## Recovery times\n\n| scenario | PostgreSQL | recoveries | median | least | most |\n|---|---:|---:|---:|---:|---:|\n");
    for run in repeated() {
        let Some(times) = run.times() else { continue };
        let shown = |us: u64| cell(&words::time(us));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&run.header.scenario),
            run.header.postgres,
            times.count(),
            shown(times.median()),
            shown(times.least()),
            shown(times.most())
        );
    }
}

/// The timeline of an incident, against the budgets of the runbook.
fn timeline(text: &mut String, run: &Run) {
    let Some(timeline) = Timeline::of(run).filter(|_| is_rehearsed(run)) else { return };
    let _ = writeln!(
        text,
        "\n## Timeline of {} on PostgreSQL {}\n\n| what | from the loss | took | part of the runbook |\n|---|---:|---:|---|",
        run.header.scenario, run.header.postgres
    );
    let shown = |time: Duration| cell(&words::time(time.as_micros() as u64));
    for moment in &timeline.moments {
        let (began, took) = (shown(moment.began), shown(moment.took));
        let _ = writeln!(text, "| {} | {began} | {took} | {} |", moment.name, moment.part.name());
    }
    text.push('\n');
    for budget in &timeline.budgets {
        let _ = writeln!(text, "- {}", cell(&budgeted(budget)));
    }
}

/// The steps of the runbook as a checklist: what a drill showed is ticked, with what shows it; what it did not, and what is for
/// a person, is left open, with room for a name and a time.
fn runbook(text: &mut String, runs: &[Run]) {
    if !runs.iter().any(is_rehearsed) {
        return;
    }
    let all = of(runs);
    let _ = writeln!(text, "\n## Runbook\n\n{}", cell(&counted(&all)));
    let mut part = None;
    for (entry, state) in &all {
        if part != Some(entry.part) {
            part = Some(entry.part);
            let _ = writeln!(text, "\n### {}\n", entry.part.name());
        }
        let does = cell(entry.does);
        let _ = match state {
            State::Proven(shows) => writeln!(text, "- [x] {does}: {}", cell(shows)),
            State::Disproven(shows) => writeln!(text, "- [ ] **FAILED** {does}: {}", cell(shows)),
            State::NotRehearsed => {
                writeln!(text, "- [ ] {does}: not rehearsed; by \\_\\_\\_\\_ at \\_\\_\\_\\_")
            }
            State::ByHand => writeln!(text, "- [ ] {does}: by \\_\\_\\_\\_ at \\_\\_\\_\\_"),
        };
    }
}

/// What the steps of the runbook did, as written and corrected.
fn as_written(text: &mut String, runs: &[Run]) {
    let steps = || runs.iter().flat_map(|run| run.as_written.iter().map(move |step| (run, step)));
    if steps().next().is_none() {
        return;
    }
    text.push_str("\n## The runbook\n\n| step | PostgreSQL | commands | what they left | corrected commands |\n|---|---:|---|---|---|\n");
    for (run, step) in steps() {
        let typed: Vec<String> =
            step.commands.iter().filter(|command| command.of_the_step).map(exit).collect();
        let corrected: Vec<String> =
            step.row.entry().corrected.step.iter().map(|command| cell(command)).collect();
        let harm = step.harm();
        let _ = writeln!(
            text,
            "| {}, {} | {} | {} | {} | {} |",
            step.row,
            how(step),
            run.header.postgres,
            typed.join("<br>"),
            harm.map_or_else(|| cell(&left(step)), |harm| format!("**HARM**: {}", cell(&harm))),
            if step.corrected { String::new() } else { corrected.join("<br>") }
        );
    }
}

/// A command, and how it ended where that was not well.
fn exit(command: &CommandEvidence) -> String {
    let text = cell(&command.text);
    match command.code {
        Some(0) => text,
        Some(code) => format!("{text} (exit code {code})"),
        None => format!("{text} (not run)"),
    }
}

fn mutants(text: &mut String, run: &Run) {
    if run.mutants.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n## Mutants of {} on PostgreSQL {}: {}\n",
        run.header.scenario,
        run.header.postgres,
        score(run)
    );
    text.push_str("| damage to a copy | outcome | by what, or why |\n|---|---|---|\n");
    for mutant in &run.mutants {
        let _ = writeln!(text, "| {} | {} | {} |", mutant.fault, mutant.outcome.name(), cell(&why(mutant)));
    }
}

fn findings(text: &mut String, run: &Run) {
    let told: Vec<_> = run.findings.iter().filter(|finding| finding.weight > Weight::Notes).collect();
    if told.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {} on PostgreSQL {}\n", run.header.scenario, run.header.postgres);
    for finding in told {
        let _ =
            writeln!(text, "- **{}** at {}: {}", finding.code, finding.stage.name(), cell(&finding.message));
    }
}

/// A text as a cell of a table: in one line, and with nothing that Markdown or HTML would take for its own.
pub(crate) fn cell(text: &str) -> String {
    let mut clean = String::new();
    for c in words::untied(text).chars() {
        match c {
            '\n' | '\r' | '\t' => clean.push(' '),
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' => {
                clean.push('\\');
                clean.push(c);
            }
            c => clean.push(c),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_cell_is_markup() {
        assert_eq!(cell("a|b\n<b>_x_</b>"), "a\\|b &lt;b&gt;\\_x\\_&lt;/b&gt;");
    }
}
