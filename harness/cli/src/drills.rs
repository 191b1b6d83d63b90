//! Runs the cells of a matrix, each when its turn comes, and stores their records.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream;
use pgdrill_engine::clock::SystemClock;
use pgdrill_engine::execute::{Files, World, execute, refuse};
use pgdrill_model::event::{Header, Host};
use pgdrill_model::judge::fold;
use pgdrill_model::redact::Redactor;
use pgdrill_model::run::Run;
use pgdrill_model::world::{Listener, Runtime};
use tokio_util::sync::CancellationToken;

use crate::matrix::Cell;
use crate::place;
use crate::records;
use crate::schedule::Schedule;

/// What all drills of one command have in common.
pub struct Drills<'a> {
    pub runtime: &'a dyn Runtime,
    /// The machine.
    pub host: &'a Host,
    pub redactor: &'a Redactor,
    pub interrupt: CancellationToken,
    pub files: &'a Files,
    /// Access rights of the records.
    pub mode: u32,
    /// The scenarios' seeds give way to this one.
    pub seed: Option<u64>,
    /// Whether servers that come from backups which were there already may reach the host's network.
    pub host_network: bool,
    /// When each of them begins.
    pub schedule: &'a Schedule,
}

/// A drill that has ended, and where its record is.
pub struct Ended {
    pub run: Run,
    pub stored: anyhow::Result<PathBuf>,
}

impl Drills<'_> {
    /// Runs the cells as the schedule has them, tells of each as it ends, and gives all in the order of the cells. After
    /// an interruption nothing more is begun.
    ///
    /// # Errors
    ///
    /// A bug of ours, or a journal that cannot be removed.
    pub async fn run(
        &self,
        cells: &[Cell<'_>],
        listener: impl Fn(&Cell<'_>) -> Box<dyn Listener>,
        mut ended: impl FnMut(&Ended) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Ended>> {
        let order = self.schedule.order().into_iter();
        let drills = order.filter_map(|index| Some((index, cells.get(index)?))).map(|(index, cell)| {
            let listener = &listener;
            async move {
                let _turn = self.schedule.turn(index).await;
                if self.interrupt.is_cancelled() {
                    return None;
                }
                let jobs = self.schedule.jobs(index);
                Some((index, self.drill(cell, jobs, listener(cell).as_ref()).await))
            }
        });
        // All of them wait at once, so that who came first is first.
        let mut drills = stream::iter(drills).buffer_unordered(cells.len().max(1));
        let mut all = Vec::new();
        while let Some(drill) = drills.next().await {
            let Some((index, drill)) = drill else { continue };
            let drill = drill?;
            ended(&drill)?;
            all.push((index, drill));
        }
        all.sort_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, drill)| drill).collect())
    }

    async fn drill(&self, cell: &Cell<'_>, jobs: usize, listener: &dyn Listener) -> anyhow::Result<Ended> {
        let clock = Arc::new(SystemClock::start());
        let world = World {
            runtime: self.runtime,
            clock,
            listener,
            redactor: self.redactor,
            interrupt: self.interrupt.clone(),
            host: self.host.clone(),
            jobs: jobs as u64,
            host_network: self.host_network,
            version: env!("CARGO_PKG_VERSION"),
            program: std::env::current_exe().context("cannot find pgdrill's own program")?,
        };
        let id = place::run_id();
        let (events, journal) = match &cell.plan {
            Ok(plan) => execute(plan, &id, &world, self.files).await,
            Err(unable) => (refuse(self.header(cell, &id, &world), unable.clone(), &world), None),
        };
        let run = fold(&events).context("a drill without events: a bug in pgdrill")?;
        let stored = self.store(&run);
        // The journal may go only when the record is there.
        if let (Ok(_), Some(journal)) = (&stored, journal) {
            journal.end().context("cannot remove the journal")?;
        }
        Ok(Ended { run, stored })
    }

    fn store(&self, run: &Run) -> anyhow::Result<PathBuf> {
        let directory = self.files.evidence.as_deref().context("no evidence directory")?;
        records::store(directory, run, self.redactor, self.mode)
            .with_context(|| format!("cannot write to {}", directory.display()))
    }

    /// The header of a drill that has no plan.
    fn header(&self, cell: &Cell<'_>, id: &str, world: &World<'_>) -> Header {
        Header {
            id: id.to_owned(),
            version: world.version.to_owned(),
            scenario: cell.scenario.id.clone(),
            title: cell.scenario.title.clone(),
            scenario_sha256: cell.scenario.sha256.clone(),
            postgres: cell.postgres,
            runtime: world.runtime.name().to_owned(),
            seed: self.seed.unwrap_or(cell.scenario.seed),
            plan: Vec::new(),
            checks: Vec::new(),
            faults: Vec::new(),
            mutants: Vec::new(),
            archive: cell.scenario.archive.to_string(),
            rto_us: None,
            rpo: None,
            outage_us: None,
            expect: None,
            repeat: 1,
            compared_with: None,
            drift: None,
            host: world.host.clone(),
            jobs: world.jobs,
        }
    }
}
