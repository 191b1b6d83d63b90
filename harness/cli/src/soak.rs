//! `run --for`: drill after drill, each drawn from one seed, until the time is over or a verdict is wrong. A wrong one is
//! told with the command that makes it again.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use pgdrill_engine::execute::Files;
use pgdrill_engine::soak::draw;
use pgdrill_model::code::Code;
use pgdrill_model::fault::Fault;
use pgdrill_model::plan::compile;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Scenario;
use pgdrill_model::units::{Major, show_count, show_duration};
use pgdrill_model::verdict::Verdict;
use pgdrill_model::world::{Listener, Runtime};
use pgdrill_report::text;
use tokio_util::sync::CancellationToken;

use crate::args;
use crate::drills::{Drills, Ended};
use crate::exit::Exit;
use crate::matrix::Cell;
use crate::progress::{Screen, Silent};
use crate::scenarios::file_of;
use crate::schedule::{Machine, Schedule};
use crate::{place, printer};

/// What a soak needs of the command that begins it.
pub struct Soak<'a> {
    pub args: &'a args::Run,
    /// The scenarios that are drawn from; none: they are drawn themselves.
    pub scenarios: &'a [Scenario],
    pub runtime: &'a dyn Runtime,
    pub majors: &'a [Major],
    pub machine: Machine,
    pub files: &'a Files,
    pub interrupt: CancellationToken,
    pub mode: u32,
}

/// A drill of a soak.
struct Drill {
    scenario: Scenario,
    /// The text of one that was drawn; one from a file has its own.
    text: Option<String>,
    postgres: Major,
    seed: u64,
    fault: Option<Fault>,
}

impl Soak<'_> {
    /// Runs drills for so long; gives their runs, and how bad it is that some have no record.
    ///
    /// # Errors
    ///
    /// No PostgreSQL at all; a bug of ours.
    pub async fn run(&self, lasting: Duration) -> anyhow::Result<(Vec<Run>, Exit)> {
        // Whoever names no seed is told one by which it can be had again.
        let seed = self.args.seed.unwrap_or_else(|| u64::from(place::chance()));
        self.say(&format!("pgdrill: soak for {} with --seed {seed}", show_duration(lasting)));
        let began = Instant::now();
        let mut runs: Vec<Run> = Vec::new();
        let mut least = Exit::Proven;
        let mut number = 0;
        while began.elapsed() < lasting && !self.interrupt.is_cancelled() {
            let batch: Vec<Drill> = (0..self.args.jobs.get() as u64)
                .map(|ahead| self.draw(seed, number + ahead))
                .collect::<anyhow::Result<_>>()?;
            number += batch.len() as u64;
            let ended = self.run_together(&batch).await?;
            for (drill, ended) in batch.iter().zip(ended) {
                if ended.stored.is_err() {
                    least = least.max(Exit::Unverified);
                }
                let wrong = wrong(drill, &ended.run);
                self.tell(drill, &ended, wrong.as_deref())?;
                if wrong.is_some() && !ended.run.interrupted {
                    self.replay(drill)?;
                    least = least.max(if ended.run.verdict == Verdict::Unverified {
                        Exit::Unverified
                    } else {
                        Exit::Disproven
                    });
                }
                runs.push(ended.run);
            }
            if least != Exit::Proven {
                break;
            }
        }
        if !self.args.running.quiet {
            printer::out(&format!("\n{}", text::detection(&runs, printer::style())))?;
        }
        let took = show_duration(Duration::from_secs(began.elapsed().as_secs()));
        self.say(&format!(
            "pgdrill: {} drills in {took}, --seed {seed}, {}",
            show_count(runs.len() as u64),
            if least == Exit::Proven { "no wrong verdict" } else { "and the last verdict is wrong" }
        ));
        Ok((runs, least))
    }

    fn say(&self, line: &str) {
        if !self.args.running.quiet {
            printer::say(line);
        }
    }

    fn draw(&self, seed: u64, number: u64) -> anyhow::Result<Drill> {
        let majors = if self.args.postgres.is_empty() { self.majors } else { &self.args.postgres };
        let drawn = draw(seed, number, majors)
            .context("no PostgreSQL was found to draw drills for; `pgdrill doctor` tells what is there")?;
        if self.scenarios.is_empty() {
            let text = Some(drawn.text);
            return Ok(Drill {
                scenario: drawn.scenario,
                text,
                postgres: drawn.postgres,
                seed: drawn.seed,
                fault: drawn.fault,
            });
        }
        let at = drawn.seed as usize % self.scenarios.len();
        let scenario = self.scenarios[at].clone();
        let fits: Vec<Major> =
            majors.iter().copied().filter(|major| scenario.postgres.contains(*major)).collect();
        let postgres = fits.get(number as usize % fits.len().max(1)).copied().unwrap_or(drawn.postgres);
        Ok(Drill { scenario, text: None, postgres, seed: drawn.seed, fault: None })
    }

    async fn run_together(&self, batch: &[Drill]) -> anyhow::Result<Vec<Ended>> {
        let cells: Vec<Cell<'_>> = batch
            .iter()
            .map(|drill| Cell {
                scenario: &drill.scenario,
                postgres: drill.postgres,
                plan: compile(&drill.scenario, drill.postgres, self.runtime.name(), Some(drill.seed)),
            })
            .collect();
        let plans = cells.iter().map(|cell| cell.plan.as_ref().ok());
        let schedule = Schedule::new(plans, self.args.jobs.get(), self.machine);
        let drills = Drills {
            runtime: self.runtime,
            host: &place::host(self.args.running.place.limits()),
            redactor: &place::redactor(),
            interrupt: self.interrupt.clone(),
            files: self.files,
            mode: self.mode,
            seed: self.args.seed,
            host_network: self.args.running.allow_host_network,
            schedule: &schedule,
        };
        let screen = Screen::new();
        let listener = |cell: &Cell<'_>| -> Box<dyn Listener> {
            let label = format!("{} on {}: ", cell.scenario.id, cell.postgres);
            if self.args.running.quiet { Box::new(Silent) } else { Box::new(screen.teller(Some(label))) }
        };
        drills.run(&cells, listener, |_| Ok(())).await
    }

    /// A line for a drill that ended as it had to, all of it for one that did not.
    fn tell(&self, drill: &Drill, ended: &Ended, wrong: Option<&str>) -> anyhow::Result<()> {
        let run = &ended.run;
        if let Some(why) = wrong {
            printer::out(&format!("\n{}\nWRONG: {why}\n", text::drill(run, printer::style())))?;
        } else if !self.args.running.quiet {
            let made = if not_made(run) { ", which could not be made here" } else { "" };
            let fault = drill.fault.map_or_else(String::new, |fault| format!(", {fault}{made}"));
            let took = show_duration(Duration::from_millis(run.took_us / 1000));
            printer::out(&format!(
                "{} on PostgreSQL {}{fault}: {}, as it must be; {took}\n",
                run.header.scenario, run.header.postgres, run.observed
            ))?;
        }
        Ok(())
    }

    /// Keeps the text of a drawn scenario, and tells the command that runs it again.
    fn replay(&self, drill: &Drill) -> anyhow::Result<()> {
        let path = match &drill.text {
            None => file_of(&self.args.paths, &drill.scenario.id)
                .with_context(|| format!("the file of {} is not there any more", drill.scenario.id))?,
            Some(text) => {
                let path = self.args.running.evidence.join(format!("{}.yaml", drill.scenario.id));
                fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
                path
            }
        };
        printer::say(&format!(
            "pgdrill: again by: pgdrill run {} --postgres {} --runtime {} --seed {}",
            path.display(),
            drill.postgres,
            self.runtime.name(),
            drill.seed
        ));
        Ok(())
    }
}

/// Whether the fault could not be made, which hangs on the machine and must leave the drill unverified.
fn not_made(run: &Run) -> bool {
    run.observed == Verdict::Unverified
        && run.findings.iter().any(|finding| finding.code == Code::FaultNotInjected)
}

/// Why a verdict is wrong; none where it is right. A fault must be noticed by one of its own codes, and in time.
fn wrong(drill: &Drill, run: &Run) -> Option<String> {
    if not_made(run) {
        return None;
    }
    if run.verdict != Verdict::Proven {
        return Some(run.reason.clone());
    }
    let entry = drill.fault.filter(|fault| !fault.is_harmless())?.entry();
    let noticed = |run: &Run| {
        run.findings.iter().any(|finding| entry.codes.contains(&finding.code) && finding.stage <= entry.stage)
    };
    if noticed(run) {
        return None;
    }
    let codes: Vec<&str> = entry.codes.iter().map(|code| code.name()).collect();
    let mut found: Vec<&str> = run.findings.iter().map(|finding| finding.code.name()).collect();
    found.dedup();
    Some(format!(
        "{} must be noticed by {} at {} at the latest, and was by {}",
        entry.name,
        codes.join(" or "),
        entry.stage.name(),
        if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
    ))
}
