//! The part of a summary that tells in what the majors differ, scenario by scenario: verdicts, findings, checks,
//! sizes and times. What is the same everywhere is not said again.

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::CheckStatus;
use pgdrill_model::run::Run;

use super::recovery;
use crate::page::{Page, TIE, Tone};
use crate::words;

/// From this ratio on, two times or amounts are called different: one drill each says no more.
const DIFFERENT: f64 = 1.25;

/// Times below this, in microseconds, are all the same to a person, whatever their ratio.
const NOTHING_US: u64 = 100_000;

pub(crate) fn all<'r>(page: &mut Page, runs: impl IntoIterator<Item = &'r Run>) {
    let runs: Vec<&Run> = runs.into_iter().collect();
    let mut told = false;
    let mut seen: Vec<&str> = Vec::new();
    for run in &runs {
        let scenario = run.header.scenario.as_str();
        if seen.contains(&scenario) {
            continue;
        }
        seen.push(scenario);
        let cells: Vec<&Run> =
            runs.iter().copied().filter(|other| other.header.scenario == scenario).collect();
        if cells.iter().all(|cell| cell.header.postgres == run.header.postgres) {
            continue;
        }
        if !told {
            page.heading("Differences between majors");
            told = true;
        }
        page.paragraph(2, Tone::Strong, scenario);
        let facts = of(&cells);
        for (name, text) in &facts {
            page.fact(name, text);
        }
        if facts.is_empty() {
            page.fact(
                "none",
                "in verdict, findings and checks, and no time or size that differs by a quarter",
            );
        }
    }
}

/// The differences between the cells of one scenario, by name.
fn of(cells: &[&Run]) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut note = |name: &'static str, text: Option<String>| {
        if let Some(text) = text {
            facts.push((name, text));
        }
    };
    note("verdict", unlike(cells, |run| Some(words::verdict(run.verdict).1.to_owned())));
    for code in codes(cells) {
        let with = cells.iter().filter(|run| run.findings.iter().any(|finding| finding.code == code));
        let majors: Vec<String> = with.map(|run| run.header.postgres.to_string()).collect();
        note(
            "finding",
            (majors.len() < cells.len()).then(|| format!("{code} only on {}", majors.join(", "))),
        );
    }
    for (checks, text) in results(cells) {
        note("check", Some(format!("{}: {text}", checks.join(", "))));
    }
    for check in Check::all() {
        let unit = check.entry().unit;
        let examined = spread(cells, |run| {
            let record = run.checks.iter().find(|record| record.check == check)?;
            (record.status != CheckStatus::NotRun).then_some(record.examined)
        });
        // Lines of a log say nothing about a backup.
        note(
            "examined",
            examined
                .filter(|_| check != Check::ServerLog)
                .map(|spread| format!("{check}: {}", spread.shown(|count| words::count(count, unit)))),
        );
    }
    let state = |run: &Run| run.recoveries.last().and_then(|recovery| recovery.state.clone());
    note("state", unlike(cells, state));
    let segments = |run: &Run| run.recoveries.last().map(|recovery| recovery.segments);
    note("WAL", unlike(cells, |run| Some(words::count(segments(run)?, "segments"))));
    let recovery = spread(cells, recovery::measured).filter(Spread::is_time);
    note("recovery", recovery.map(|spread| spread.shown(words::time) + &where_from(&spread)));
    let backup = spread(cells, |run| run.backups.last().map(|backup| backup.took_us));
    note("backup", backup.filter(Spread::is_time).map(|spread| spread.shown(words::time)));
    let size = spread(cells, |run| run.backups.last().map(|backup| backup.bytes));
    note("size", size.map(|spread| spread.shown(words::bytes)));
    let load = spread(cells, |run| {
        run.load.as_ref().filter(|load| load.template.is_none()).map(|load| load.took_us)
    });
    note("load", load.filter(Spread::is_time).map(|spread| spread.shown(words::time)));
    facts
}

/// The codes of all findings, in the catalogue's order.
fn codes(cells: &[&Run]) -> Vec<Code> {
    let mut codes: Vec<Code> =
        cells.iter().flat_map(|run| run.findings.iter().map(|finding| finding.code)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Where checks ended differently, with the checks of which the same is to be said together.
fn results(cells: &[&Run]) -> Vec<(Vec<&'static str>, String)> {
    let mut groups: Vec<(Vec<&'static str>, String)> = Vec::new();
    for check in Check::all() {
        let Some(text) = unlike(cells, |run| result(run, check)) else { continue };
        match groups.iter_mut().find(|(_, known)| *known == text) {
            Some((checks, _)) => checks.push(check.name()),
            None => groups.push((vec![check.name()], text)),
        }
    }
    groups
}

fn result(run: &Run, check: Check) -> Option<String> {
    let record = run.checks.iter().find(|record| record.check == check)?;
    Some(match record.status {
        CheckStatus::Held => "held".to_owned(),
        CheckStatus::Failed => "FAILED".to_owned(),
        CheckStatus::NotRun => format!("NOT RUN ({})", record.summary),
    })
}

/// `PROVEN on 13, 15; DISPROVEN on 18`, when not all that say something say the same.
fn unlike(cells: &[&Run], of: impl Fn(&Run) -> Option<String>) -> Option<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for run in cells {
        let Some(value) = of(run) else { continue };
        let major = run.header.postgres.to_string();
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, majors)) => majors.push(major),
            None => groups.push((value, vec![major])),
        }
    }
    let shown: Vec<String> =
        groups.iter().map(|(value, majors)| format!("{value} on {}", majors.join(", "))).collect();
    (shown.len() > 1).then(|| shown.join("; "))
}

/// The cells with the least and the most of an amount.
struct Spread<'a> {
    least: (u64, &'a Run),
    most: (u64, &'a Run),
}

/// The least and the most of an amount, where they differ enough to be called different.
fn spread<'a>(cells: &[&'a Run], of: impl Fn(&Run) -> Option<u64>) -> Option<Spread<'a>> {
    let amounts: Vec<(u64, &Run)> = cells.iter().filter_map(|run| Some((of(run)?, *run))).collect();
    let least = *amounts.iter().min_by_key(|(amount, _)| *amount)?;
    let most = *amounts.iter().max_by_key(|(amount, _)| *amount)?;
    let spread = Spread { least, most };
    (spread.ratio() >= DIFFERENT).then_some(spread)
}

impl Spread<'_> {
    fn ratio(&self) -> f64 {
        self.most.0 as f64 / self.least.0.max(1) as f64
    }

    fn is_time(&self) -> bool {
        self.most.0 - self.least.0 >= NOTHING_US
    }

    /// `1.2 s on 17 to 2.4 s on 13 (2.0 times)`.
    fn shown(&self, amount: impl Fn(u64) -> String) -> String {
        format!(
            "{} on{TIE}{} to {} on{TIE}{} ({:.1}{TIE}times)",
            amount(self.least.0),
            self.least.1.header.postgres,
            amount(self.most.0),
            self.most.1.header.postgres,
            self.ratio()
        )
    }
}

/// The phase that makes most of the difference between two recoveries.
fn where_from(spread: &Spread<'_>) -> String {
    let phases =
        |run: &Run| run.recoveries.last().map(|recovery| recovery.phases.clone()).unwrap_or_default();
    let faster = phases(spread.least.1);
    let took = |name: &str| faster.iter().find(|phase| phase.name == name).map_or(0, |phase| phase.took_us);
    let most = phases(spread.most.1)
        .into_iter()
        .max_by_key(|phase| phase.took_us.saturating_sub(took(&phase.name)))
        .filter(|phase| phase.took_us > took(&phase.name));
    most.map_or_else(String::new, |phase| {
        let (less, more) = (words::time(took(&phase.name)), words::time(phase.took_us));
        format!(", most of it in {}: {less} to {more}", phase.name)
    })
}
