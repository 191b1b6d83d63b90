//! `pgdrill run`: reads the scenarios, runs each on each major, and tells what came of it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use pgdrill_engine::beginning::Beginnings;
use pgdrill_engine::execute::{Files, Keep};
use pgdrill_model::finding::Unable;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Scenario;
use pgdrill_model::world::Listener;
use pgdrill_report::{forecast, html, json, junit, markdown, text};

use super::clean::sweep;
use crate::args;
use crate::drills::{Drills, Ended};
use crate::exit::Exit;
use crate::matrix::{self, Cell};
use crate::progress::{Screen, Silent};
use crate::records::{self, Read};
use crate::runtimes::{Chosen, choose};
use crate::scenarios::{Found, find};
use crate::schedule::{Machine, Schedule};
use crate::soak::Soak;
use crate::{clock, files, interrupt, memory, place, printer, schedule, shard};

pub(super) fn run(args: &args::Run) -> anyhow::Result<Exit> {
    // Those of a soak are drawn, unless some are named.
    let scenarios = if args.lasting.is_some() && args.paths.is_empty() {
        Vec::new()
    } else {
        match find(&args.paths)? {
            Found::Good(scenarios) => scenarios,
            Found::Bad(mistakes) => {
                mistakes.iter().for_each(|mistakes| printer::say(mistakes.to_string().trim_end()));
                return Ok(Exit::Usage);
            }
        }
    };
    let scenarios = match matrix::sized(scenarios, &args.scale, &args.wal) {
        Ok(scenarios) => scenarios,
        Err(why) => {
            printer::say(&format!("pgdrill: {why}"));
            return Ok(Exit::Usage);
        }
    };
    if args.list {
        printer::out(&matrix::list(&scenarios))?;
        return Ok(Exit::Proven);
    }
    drills(args, &scenarios, None)
}

/// Runs drills of scenarios, and tells what came of them. Where none can be run, `unable` says why, and each leaves a record of it.
pub(super) fn drills(
    args: &args::Run,
    scenarios: &[Scenario],
    unable: Option<&Unable>,
) -> anyhow::Result<Exit> {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    tokio.block_on(run_all(args, scenarios, unable))
}

async fn run_all(args: &args::Run, scenarios: &[Scenario], unable: Option<&Unable>) -> anyhow::Result<Exit> {
    let base = args.running.workspace.workspace.clone().unwrap_or_else(files::default_base);
    let Chosen { runtime, majors, why } =
        choose(&args.running.place, &args.postgres, &base, !args.running.plan).await;
    let runtime = runtime.as_ref();
    let limits = args.running.place.limits();
    if runtime.name() == "local" && !limits.are_none() {
        bail!(
            "{limits} cannot be the most that a server on this host takes: run it in containers (--runtime docker), or limit \
             pgdrill and all that it starts, as by `systemd-run --scope -p MemoryMax=4G -p CPUQuota=150% pgdrill ...`"
        );
    }
    let host = place::host(limits);
    let mut cells = matrix::cells(scenarios, &args.postgres, &majors, runtime.name(), args.seed);
    if let Some(unable) = unable {
        cells.iter_mut().for_each(|cell| cell.plan = Err(unable.clone()));
    }
    if let Some(shard) = args.shard {
        let all = cells.len();
        cells =
            shard::take(cells, shard, &read(args.shard_by.as_deref(), "drills cannot be split into parts")?);
        if !args.running.quiet {
            printer::say(&format!("pgdrill: part {shard}: {} of {all} drills", cells.len()));
        }
        // The other parts have them all.
        if cells.is_empty() {
            return Ok(Exit::Proven);
        }
    }
    if args.mutants {
        for line in matrix::add_mutants(&mut cells) {
            printer::say(&format!("pgdrill: {line}"));
        }
    }
    if let Some(times) = args.repeat {
        for line in matrix::repeat(&mut cells, times) {
            printer::say(&format!("pgdrill: {line}"));
        }
    }
    if args.baseline.is_some() {
        let known = read(args.baseline.as_deref(), "recoveries cannot be compared")?;
        matrix::compare(&mut cells, &known, &host);
    }
    if args.running.plan {
        printer::out(&matrix::plans(&cells))?;
        return Ok(if unable.is_some() { Exit::Unverified } else { Exit::Proven });
    }
    for path in [&args.running.json, &args.running.junit, &args.running.markdown, &args.running.html]
        .into_iter()
        .flatten()
        .filter(|path| *path != Path::new("-"))
    {
        files::expect_report(path)?;
    }
    let interrupt = interrupt::listen().context("cannot listen for signals")?;
    let mode = files::make_private();
    let swept = sweep(&base, &args.running.evidence, mode, false).await;
    if !args.running.quiet {
        why.iter().for_each(|why| printer::say(&format!("pgdrill: drills run on this host: {why}")));
        swept.done.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));
    }
    swept.failed.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));

    let machine = Machine {
        processors: host.cpus as usize,
        memory: memory::now(),
        files_in_memory: schedule::is_in_memory(&base),
    };
    matrix::hold_against(&mut cells, |source| records::last_counts(&args.running.evidence, source));
    let files = Files {
        base,
        evidence: Some(args.running.evidence.clone()),
        keep: keep(args.running.keep),
        templates_by: if args.no_cache { None } else { place::program() },
        beginnings: (!args.no_cache)
            .then(|| Arc::new(Beginnings::of(cells.iter().filter_map(|cell| cell.plan.as_ref().ok())))),
    };
    if let Some(lasting) = args.lasting {
        let soak =
            Soak { args, scenarios, runtime, majors: &majors, machine, files: &files, interrupt, mode };
        let (runs, least) = soak.run(lasting).await?;
        return report(args, &runs, mode, least);
    }
    let schedule = Schedule::new(cells.iter().map(|cell| cell.plan.as_ref().ok()), args.jobs.get(), machine);
    if !args.running.quiet {
        schedule.why().iter().for_each(|why| printer::say(&format!("pgdrill: {why}")));
    }
    let drills = Drills {
        runtime,
        host: &host,
        redactor: &place::redactor(),
        interrupt,
        files: &files,
        mode,
        seed: args.seed,
        host_network: args.running.allow_host_network,
        schedule: &schedule,
    };
    let screen = Screen::new();
    let listener = |cell: &Cell<'_>| -> Box<dyn Listener> {
        let label = schedule.shares().then(|| format!("{} on {}: ", cell.scenario.id, cell.postgres));
        if args.running.quiet { Box::new(Silent) } else { Box::new(screen.teller(label)) }
    };
    let mut unrecorded = false;
    let ended = drills
        .run(&cells, listener, |ended: &Ended| {
            screen.aside(|| told(args, ended))?;
            unrecorded |= ended.stored.is_err();
            Ok(())
        })
        .await?;
    let runs: Vec<Run> = ended.into_iter().map(|ended| ended.run).collect();
    // A drill without a record proves nothing to anybody.
    let least = if unrecorded { Exit::Unverified } else { Exit::Proven };
    tell(args, &runs, mode, least)
}

/// The runs that something is decided by, where they are named. With one that cannot be read it would be decided otherwise than
/// with all.
fn read(path: Option<&Path>, what: &str) -> anyhow::Result<Vec<Run>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let Read { runs, refused } = records::read(&[path.to_owned()])?;
    match refused.first() {
        Some(refused) => bail!("{what} by these records: {refused}"),
        None => Ok(runs),
    }
}

/// Whether a person reads the standard output.
fn for_people(args: &args::Run) -> bool {
    !args.running.quiet && args.running.json.as_deref() != Some(Path::new("-"))
}

/// Tells of one drill as soon as it has ended.
fn told(args: &args::Run, ended: &Ended) -> anyhow::Result<()> {
    if for_people(args) {
        printer::out(&format!("\n{}", text::drill(&ended.run, printer::style())))?;
    }
    match &ended.stored {
        Ok(path) if !args.running.quiet => printer::say(&format!("record: {}", path.display())),
        Ok(_) => {}
        Err(error) => printer::say(&format!("pgdrill: the record could not be stored: {error:#}")),
    }
    Ok(())
}

/// Tells the result of all in every form that was asked for; the exit is at least `least`.
fn tell(args: &args::Run, runs: &[Run], mode: u32, least: Exit) -> anyhow::Result<Exit> {
    if runs.len() > 1 && for_people(args) {
        printer::out(&format!("\n{}", text::summary(runs, printer::style())))?;
    }
    if let Some(wanted) = args.project.wanted() {
        let (told, made) = forecast::text(runs, wanted, printer::style());
        if for_people(args) {
            printer::out(&told)?;
        }
        // Who asks for a forecast and gets none has not got what was asked for.
        let least = if made == 0 { least.max(Exit::Unverified) } else { least };
        return report(args, runs, mode, least);
    }
    report(args, runs, mode, least)
}

/// Writes the reports that were asked for; the exit is at least `least`.
fn report(args: &args::Run, runs: &[Run], mode: u32, least: Exit) -> anyhow::Result<Exit> {
    let exit = runs.iter().map(Exit::of).max().unwrap_or(Exit::Unverified).max(least);
    if let Some(path) = &args.running.json {
        let object = json::runs(runs, exit.code());
        if path == Path::new("-") {
            printer::out(&object)?;
        } else {
            files::write_report(path, object.as_bytes(), mode)?;
        }
    }
    if let Some(path) = &args.running.junit {
        let report = junit::runs(runs).context("cannot render the JUnit report")?;
        files::write_report(path, report.as_bytes(), mode)?;
    }
    if let Some(path) = &args.running.markdown {
        files::write_report(path, markdown::runs(runs).as_bytes(), mode)?;
    }
    if let Some(path) = &args.running.html {
        let terms = html::Terms { every_run: true, ..html::Terms::default() };
        let page = html::runs(runs, clock::unix_micros(), &terms);
        files::write_report(path, page.as_bytes(), mode)?;
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
