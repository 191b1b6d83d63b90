//! `pgdrill run`: reads the scenarios, runs each on each major, and tells what came of it.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pgdrill_engine::clock::SystemClock;
use pgdrill_engine::execute::{Files, Keep, World, execute, refuse};
use pgdrill_engine::journal;
use pgdrill_model::event::Header;
use pgdrill_model::finding::Unable;
use pgdrill_model::judge::fold;
use pgdrill_model::plan::{Plan, compile};
use pgdrill_model::redact::Redactor;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Scenario;
use pgdrill_model::units::Major;
use pgdrill_model::world::{Clock, Listener, Runtime};
use pgdrill_report::{json, junit, record, text};
use tokio_util::sync::CancellationToken;

use super::clean::sweep;
use crate::args;
use crate::exit::Exit;
use crate::progress::{Silent, Teller};
use crate::scenarios::{Found, find};
use crate::{files, interrupt, place, printer};

/// The major that a record names when none is there and none was asked for.
const NEWEST_KNOWN: Major = Major(18);

/// One cell of the matrix: a scenario on a major, or why that cannot be.
struct Cell<'a> {
    scenario: &'a Scenario,
    postgres: Major,
    plan: Result<Plan, Unable>,
}

pub(super) fn run(args: &args::Run) -> anyhow::Result<Exit> {
    let scenarios = match find(&args.paths)? {
        Found::Good(scenarios) => scenarios,
        Found::Bad(mistakes) => {
            mistakes.iter().for_each(|mistakes| printer::say(mistakes.to_string().trim_end()));
            return Ok(Exit::Usage);
        }
    };
    if args.list {
        printer::out(&list(&scenarios))?;
        return Ok(Exit::Proven);
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    tokio.block_on(run_all(args, &scenarios))
}

async fn run_all(args: &args::Run, scenarios: &[Scenario]) -> anyhow::Result<Exit> {
    let runtime = place::local_runtime();
    // Where PostgreSQL cannot be looked for, each drill will say so in its record.
    let there = runtime.majors().await.unwrap_or_default();
    let cells: Vec<Cell<'_>> = scenarios
        .iter()
        .flat_map(|scenario| {
            majors(scenario, &args.postgres, &there).into_iter().map(|postgres| Cell {
                scenario,
                postgres,
                plan: compile(scenario, postgres, runtime.name(), args.seed),
            })
        })
        .collect();
    if args.plan {
        printer::out(&plans(&cells))?;
        return Ok(Exit::Proven);
    }
    let interrupt = interrupt::listen().context("cannot listen for signals")?;
    let mode = files::make_private();
    let base = args.workspace.workspace.clone().unwrap_or_else(files::default_base);
    let swept = sweep(&runtime, &base, &args.evidence, mode, false).await;
    if !args.quiet {
        swept.done.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));
    }
    swept.failed.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));

    let redactor = place::redactor();
    let json_to_stdout = args.json.as_deref() == Some(Path::new("-"));
    let mut runs: Vec<Run> = Vec::new();
    let mut unrecorded = false;
    for cell in &cells {
        let listener: Box<dyn Listener> = if args.quiet { Box::new(Silent) } else { Box::new(Teller::new()) };
        let files =
            Files { base: base.clone(), evidence: Some(args.evidence.clone()), keep: keep(args.keep) };
        let (run, stored) =
            drill(cell, args.seed, &runtime, listener.as_ref(), &redactor, interrupt.clone(), &files, mode)
                .await?;
        if !args.quiet && !json_to_stdout {
            printer::out(&format!("\n{}", text::drill(&run, printer::style())))?;
        }
        match stored {
            Ok(path) if !args.quiet => printer::say(&format!("record: {}", path.display())),
            Ok(_) => {}
            Err(error) => {
                unrecorded = true;
                printer::say(&format!("pgdrill: the record could not be stored: {error:#}"));
            }
        }
        let interrupted = run.interrupted;
        runs.push(run);
        if interrupted {
            break;
        }
    }
    // A drill without a record proves nothing to anybody.
    let least = if unrecorded { Exit::Unverified } else { Exit::Proven };
    tell(args, &runs, json_to_stdout, mode, least)
}

/// The majors to run a scenario on: those that were asked for and make sense; when none was asked for, the newest
/// that is there and makes sense.
fn majors(scenario: &Scenario, asked: &[Major], there: &[Major]) -> Vec<Major> {
    let sensible: Vec<Major> =
        asked.iter().copied().filter(|major| scenario.postgres.contains(*major)).collect();
    if !sensible.is_empty() {
        return sensible;
    }
    if let Some(first) = asked.first() {
        // None makes sense: one record says so.
        return vec![*first];
    }
    let newest = there.iter().rev().copied().find(|major| scenario.postgres.contains(*major));
    vec![newest.unwrap_or_else(|| scenario.postgres.to.unwrap_or(NEWEST_KNOWN))]
}

/// Runs one cell; gives its record, and where it was stored.
#[expect(clippy::too_many_arguments, reason = "everything that a drill asks of the world, once")]
async fn drill(
    cell: &Cell<'_>,
    seed: Option<u64>,
    runtime: &dyn Runtime,
    listener: &dyn Listener,
    redactor: &Redactor,
    interrupt: CancellationToken,
    files: &Files,
    mode: u32,
) -> anyhow::Result<(Run, anyhow::Result<PathBuf>)> {
    let clock = SystemClock::start();
    let world = World {
        runtime,
        clock: &clock as &dyn Clock,
        listener,
        redactor,
        interrupt,
        host: place::host(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let id = place::run_id();
    let (events, journal) = match &cell.plan {
        Ok(plan) => execute(plan, &id, &world, files).await,
        Err(unable) => (refuse(header(cell, seed, &id, &world), unable.clone(), &world), None),
    };
    let run = fold(&events).context("a drill without events: a bug in pgdrill")?;
    let stored = store(&run, redactor, files, mode);
    // The journal may go only when the record is there.
    if let (Ok(_), Some(journal)) = (&stored, journal) {
        journal.end().context("cannot remove the journal")?;
    }
    Ok((run, stored))
}

fn store(run: &Run, redactor: &Redactor, files: &Files, mode: u32) -> anyhow::Result<PathBuf> {
    let directory = files.evidence.as_deref().context("no evidence directory")?;
    let path = journal::store(directory, &record::file_name(run), &record::seal(run, redactor))
        .with_context(|| format!("cannot write to {}", directory.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

/// The header of a drill that has no plan.
fn header(cell: &Cell<'_>, seed: Option<u64>, id: &str, world: &World<'_>) -> Header {
    Header {
        id: id.to_owned(),
        version: world.version.to_owned(),
        scenario: cell.scenario.id.clone(),
        title: cell.scenario.title.clone(),
        scenario_sha256: cell.scenario.sha256.clone(),
        postgres: cell.postgres,
        runtime: world.runtime.name().to_owned(),
        seed: seed.unwrap_or(cell.scenario.seed),
        plan: Vec::new(),
        checks: Vec::new(),
        rto_us: None,
        expect: None,
        host: world.host.clone(),
    }
}

/// Tells the result in every form that was asked for; the exit is at least `least`.
fn tell(
    args: &args::Run,
    runs: &[Run],
    json_to_stdout: bool,
    mode: u32,
    least: Exit,
) -> anyhow::Result<Exit> {
    let exit = runs.iter().map(Exit::of).max().unwrap_or(Exit::Unverified).max(least);
    if runs.len() > 1 && !args.quiet && !json_to_stdout {
        printer::out(&format!("\n{}", text::summary(runs, printer::style())))?;
    }
    if let Some(path) = &args.json {
        let object = json::runs(runs, exit.code());
        if json_to_stdout {
            printer::out(&object)?;
        } else {
            files::write_report(path, object.as_bytes(), mode)?;
        }
    }
    if let Some(path) = &args.junit {
        let report = junit::runs(runs).context("cannot render the JUnit report")?;
        files::write_report(path, report.as_bytes(), mode)?;
    }
    Ok(exit)
}

fn keep(keep: args::Keep) -> Keep {
    match keep {
        args::Keep::Always => Keep::Always,
        args::Keep::OnFailure => Keep::OnFailure,
        args::Keep::Never => Keep::Never,
    }
}

fn list(scenarios: &[Scenario]) -> String {
    let longest = scenarios.iter().map(|scenario| scenario.id.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for scenario in scenarios {
        let range = scenario.postgres.to_string();
        let _ = writeln!(text, "{:<longest$}  {range:<10}  {}", scenario.id, scenario.title);
    }
    text
}

fn plans(cells: &[Cell<'_>]) -> String {
    let mut text = String::new();
    for cell in cells {
        let _ =
            writeln!(text, "{} on PostgreSQL {}: {}", cell.scenario.id, cell.postgres, cell.scenario.title);
        match &cell.plan {
            Ok(plan) => {
                let _ = writeln!(text, "  seed {}, {} runtime", plan.seed, plan.runtime);
                for (index, step) in plan.outline().iter().enumerate() {
                    let line = step.line.map_or("-".to_owned(), |line| format!("line {line}"));
                    let _ = writeln!(text, "  {:>2}  {line:<8} {:<15} {}", index + 1, step.name, step.does);
                }
                let _ =
                    writeln!(text, "      teardown: stop the servers, remove the workspace, seal the record");
            }
            Err(unable) => {
                let _ = writeln!(text, "  cannot be run: {unable}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::scenario::parse;
    use rstest::rstest;

    fn scenario(range: &str) -> Scenario {
        let text = format!(
            "title: t\npostgres: '{range}'\nsteps:\n  - backup\n  - disaster: kill\n  - recover: {{}}\n  - check: all\n"
        );
        parse("t", "t.yaml", &text).unwrap()
    }

    #[rstest]
    #[case(">=13", &[], &[13, 15], &[15])]
    #[case("<15", &[], &[13, 15], &[13])]
    #[case(">=16", &[], &[13, 15], &[18])]
    #[case("<15", &[], &[15], &[14])]
    #[case(">=13", &[15, 99], &[15], &[15, 99])]
    #[case(">=15", &[13, 15], &[15], &[15])]
    #[case(">=15", &[13], &[15], &[13])]
    fn which_majors(
        #[case] range: &str,
        #[case] asked: &[u16],
        #[case] there: &[u16],
        #[case] expected: &[u16],
    ) {
        let majors_of = |numbers: &[u16]| -> Vec<Major> { numbers.iter().map(|n| Major(*n)).collect() };
        assert_eq!(majors(&scenario(range), &majors_of(asked), &majors_of(there)), majors_of(expected));
    }
}
