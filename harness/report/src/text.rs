//! The report for a person, at the end of a run: what was shown and why first, then how it came about, and last,
//! next to the prompt, what was found and what to do now.

use pgdrill_model::event::StepStatus;
use pgdrill_model::evidence::CheckStatus;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;

use crate::coverage;
use crate::page::{Cell, Column, Page, Style, TIE, Tone};
use crate::words;

pub(crate) mod alerts;
pub(crate) mod application;
pub(crate) mod as_written;
mod detection;
pub(crate) mod differences;
pub(crate) mod faults;
pub(crate) mod findings;
pub(crate) mod points;
pub(crate) mod recovery;
pub(crate) mod repetitions;
pub(crate) mod runbook;
pub(crate) mod safety;
pub(crate) mod source;
pub(crate) mod triage;

/// The report of one drill.
pub fn drill(run: &Run, style: Style) -> String {
    let mut page = Page::new(style);
    headline(&mut page, run);
    page.blank();
    identity(&mut page, run);
    steps(&mut page, run);
    runbook::timeline(&mut page, run);
    alerts::all(&mut page, run);
    triage::all(&mut page, run);
    faults::faults(&mut page, run);
    source::all(&mut page, run);
    recovery::backups(&mut page, run);
    points::work(&mut page, run);
    recovery::recoveries(&mut page, run);
    recovery::time(&mut page, run);
    repetitions::of_run(&mut page, run);
    points::ledger(&mut page, run);
    points::sweeps(&mut page, run);
    safety::all(&mut page, run);
    application::all(&mut page, run);
    as_written::all(&mut page, run);
    checks(&mut page, run);
    faults::mutants(&mut page, run);
    runbook::steps(&mut page, std::slice::from_ref(run));
    not_tested(&mut page, run);
    findings::all(&mut page, run);
    page.blank();
    last_line(&mut page, run);
    page.finish()
}

/// One table, a row per drill, in what the majors differ, and a line that counts the verdicts.
pub fn summary(runs: &[Run], style: Style) -> String {
    let mut page = Page::new(style);
    let columns = [
        Column::left("scenario"),
        Column::right("PostgreSQL"),
        Column::left("verdict"),
        Column::right("recovery"),
        Column::right("took"),
        Column::clipped("reason"),
    ];
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let (tone, verdict) = words::verdict(run.verdict);
            vec![
                Cell::from(&run.header.scenario),
                Cell::from(run.header.postgres.to_string()),
                Cell::new(tone, verdict),
                Cell::from(recovery::of_objective(run)),
                Cell::from(words::time(run.took_us)),
                Cell::from(&run.reason),
            ]
        })
        .collect();
    if !rows.is_empty() {
        page.table(&columns, &rows);
        coverage::all(&mut page, runs);
        differences::all(&mut page, runs);
        points::losses(&mut page, runs);
        repetitions::side_by_side(&mut page, runs);
        if runs.len() > 1 {
            runbook::steps(&mut page, runs);
        }
        detection::all(&mut page, runs);
        page.blank();
    }
    let mut counts: Vec<(Tone, String)> = [Verdict::Proven, Verdict::Disproven, Verdict::Unverified]
        .into_iter()
        .filter_map(|verdict| {
            let count = runs.iter().filter(|run| run.verdict == verdict).count();
            let (tone, word) = words::verdict(verdict);
            (count > 0).then(|| (tone, format!("{count} {}", word.to_lowercase())))
        })
        .collect();
    let last = counts.len().saturating_sub(1);
    counts.iter_mut().take(last).for_each(|(_, text)| text.push(','));
    let drills = words::count(runs.len() as u64, "drills");
    counts.insert(0, (Tone::Plain, if runs.is_empty() { drills } else { format!("{drills}:") }));
    page.pieces(&counts);
    page.finish()
}

/// Who noticed which fault in these drills; nothing where none was made.
pub fn detection(runs: &[Run], style: Style) -> String {
    let mut page = Page::new(style);
    detection::all(&mut page, runs);
    page.finish()
}

fn headline(page: &mut Page, run: &Run) {
    let (tone, word) = words::verdict(run.verdict);
    page.labelled(0, (tone, &format!("{word}:")), (Tone::Strong, &run.reason));
}

pub(crate) fn identity(page: &mut Page, run: &Run) {
    let header = &run.header;
    page.fact("scenario", &header.scenario);
    page.fact("", &header.title);
    if header.expect.is_some() {
        page.fact(
            "observed",
            &format!("{}; the scenario says how it must end", words::verdict(run.observed).1),
        );
    }
    let versions = words::versions(run);
    if versions.is_empty() {
        page.fact("PostgreSQL", &format!("{} was asked for, and no server was started", header.postgres));
    } else {
        page.fact("PostgreSQL", &versions.join("; "));
    }
    if let Some(collations) = words::collations(run) {
        page.fact("collations", &collations);
    }
    match run.places.first() {
        Some((_, facts)) => {
            let mut place = format!("{} in {}, as {}", header.runtime, facts.bin_dir.display(), facts.user);
            if !facts.shared.is_empty() {
                place.push_str(&format!("; not isolated from {}", facts.shared.join(", ")));
            }
            page.fact("runtime", &place);
        }
        None => page.fact("runtime", &header.runtime),
    }
    let host = &header.host;
    let mut machine = format!("{} {}, {}", host.os, host.arch, words::count(host.cpus, "CPUs"));
    if host.memory_bytes > 0 {
        machine.push_str(&format!(", {} of memory", words::bytes(host.memory_bytes)));
    }
    if !host.limits.are_none() {
        machine.push_str(&format!(", of which each server may take {}", host.limits));
    }
    if header.jobs > 1 {
        machine.push_str(&format!(", shared by {} drills", header.jobs));
    }
    page.fact("machine", &machine);
    if let Some(load) = &run.load {
        let rows = words::count(load.rows.values().sum(), "rows");
        let tables = words::count(load.rows.len() as u64, "tables");
        let how = if load.template.is_some() { "copied from a template" } else { "loaded" };
        page.fact(
            "data",
            &format!(
                "{rows} in {tables}, {} {how} in {}",
                words::bytes(load.bytes),
                words::time(load.took_us)
            ),
        );
    }
    if let Some(beginning) = &run.beginning {
        page.fact(
            "beginning",
            &format!(
                "the first {} are those of run {}, which took {} to them; what they had left was copied in {}",
                words::count(beginning.steps, "steps"),
                beginning.run,
                words::time(beginning.took_us),
                words::time(beginning.copied_us)
            ),
        );
    }
    page.fact("seed", &header.seed.to_string());
    page.fact("run", &format!("{}, by pgdrill {}", header.id, header.version));
    page.fact("began", &format!("{}, took {}", words::moment(run.started_unix_us), words::time(run.took_us)));
}

pub(crate) fn steps(page: &mut Page, run: &Run) {
    page.heading("Steps");
    let columns = [
        Column::right("line"),
        Column::left("step"),
        Column::flexible("what it does"),
        Column::left("status"),
        Column::right("time"),
    ];
    let mut rows: Vec<Vec<Cell>> = run
        .steps
        .iter()
        .map(|step| {
            let (tone, status) = words::step_status(run, step.status);
            let took = if step.took_us == 0 && step.status != StepStatus::Done {
                "-".into()
            } else {
                words::time(step.took_us)
            };
            vec![
                Cell::from(step.planned.line.map_or_else(String::new, |line| line.to_string())),
                Cell::from(&step.planned.name),
                Cell::from(&step.planned.does),
                Cell::new(tone, status),
                Cell::from(took),
            ]
        })
        .collect();
    rows.push(teardown(run));
    page.table(&columns, &rows);
}

/// Teardown is a step like the others: it has a row, also when it never came.
fn teardown(run: &Run) -> Vec<Cell> {
    let (does, tone, status, took) = match &run.teardown {
        Some(teardown) => {
            let servers = match teardown.servers.as_slice() {
                [] => "no server was left to stop".to_owned(),
                servers => format!("stop {}", servers.join(", ")),
            };
            let size = words::bytes(teardown.workspace_bytes);
            let files = match &teardown.kept {
                Some(path) => format!("keep the workspace {path} ({size})"),
                None => format!("remove the workspace ({size})"),
            };
            (format!("{servers}; {files}"), Tone::Good, "done", words::time(teardown.took_us))
        }
        None => ("stop the servers, remove the workspace".to_owned(), Tone::Doubt, "NOT RUN", "-".to_owned()),
    };
    vec![Cell::from(""), Cell::from("teardown"), Cell::from(does), Cell::new(tone, status), Cell::from(took)]
}

pub(crate) fn checks(page: &mut Page, run: &Run) {
    if run.checks.is_empty() {
        return;
    }
    page.heading("Checks");
    let several = run.recoveries.len() > 1;
    let columns = [
        Column::left(if several { "check, server" } else { "check" }),
        Column::left("result"),
        Column::right("examined"),
        Column::right("time"),
        Column::flexible("what it saw"),
    ];
    let rows: Vec<Vec<Cell>> = run
        .checks
        .iter()
        .map(|record| {
            let (tone, result) = match record.status {
                CheckStatus::Held => (Tone::Good, "held"),
                CheckStatus::Failed => (Tone::Bad, "FAILED"),
                CheckStatus::NotRun => (Tone::Doubt, "NOT RUN"),
            };
            let (examined, took) = if record.status == CheckStatus::NotRun {
                ("-".to_owned(), "-".to_owned())
            } else {
                (words::count(record.examined, record.check.entry().unit), words::time(record.took_us))
            };
            vec![
                Cell::from(words::check_of(run, record)),
                Cell::new(tone, result),
                Cell::from(examined),
                Cell::from(took),
                Cell::from(&record.summary),
            ]
        })
        .collect();
    page.table(&columns, &rows);
}

pub(crate) fn not_tested(page: &mut Page, run: &Run) {
    // A check that was planned and did not run is in the table of checks already.
    let planned =
        |item: &str| run.checks.iter().any(|record| item.starts_with(&format!("{}: ", record.check)));
    let items: Vec<&String> = run.not_tested.iter().filter(|item| !planned(item)).collect();
    if items.is_empty() {
        return;
    }
    page.heading("Not tested");
    for item in items {
        page.labelled(2, (Tone::Faint, "-"), (Tone::Plain, item));
    }
}

/// The verdict again, since the beginning of a long report is not on the screen any more.
fn last_line(page: &mut Page, run: &Run) {
    let (tone, word) = words::verdict(run.verdict);
    let mut line = format!("{} on PostgreSQL{TIE}{}", run.header.scenario, run.header.postgres);
    if !run.findings.is_empty() {
        line.push_str(&format!(", {}", words::count(run.findings.len() as u64, "findings")));
    }
    line.push_str(&format!(", took {}", words::time(run.took_us)));
    page.labelled(0, (tone, &format!("{word}:")), (Tone::Plain, &line));
}
