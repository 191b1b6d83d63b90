//! Beginnings: what several drills of one command would do alike up to the loss of their primary. The first of them keeps it,
//! and the others go on from a copy: of its backups, its archive, its ledger, and what was taken down until then.
//!
//! Only drills that damage something have a beginning ([`Plan::beginning`]): they prove that damage is noticed, and to that it
//! is nothing whose backup was damaged. What is to be proven of backups themselves, each drill takes its own for.
//!
//! A beginning has a directory like a workspace, with a guardian of its own: it goes away when the last drill has come to
//! it, and with pgdrill, whatever ends that.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{fmt, io};

use pgdrill_backup::inspect;
use pgdrill_model::event::{Event, Happening};
use pgdrill_model::evidence::{BackupEvidence, BeginningEvidence, Evidence, MarkEvidence};
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::{Plan, Planned};
use pgdrill_model::units::Lsn;
use pgdrill_model::world::Clock;

use crate::archiving;
use crate::baseline::{Baseline, Unrecorded};
use crate::books;
use crate::clock::Resumed;
use crate::drill::{Begun, Drill, Lost, Made};
use crate::template::copying;
use crate::tree::{self, Copying, List};
use crate::workspace::{Workspace, trouble};

/// What of a workspace is kept: all that is there after the loss but scripts and configurations, which name their workspace.
const PARTS: [&str; 4] = ["archive", "backup", books::DIRECTORY, "log"];

/// How many bytes all beginnings of a command together may take.
const LIMIT: u64 = 2 << 30;

/// The beginnings that the drills of one command have in common.
#[derive(Debug, Default)]
pub struct Beginnings(Mutex<BTreeMap<String, Shared>>);

/// One that several drills have in common.
#[derive(Debug)]
struct Shared {
    /// How many of them have not begun yet.
    to_come: usize,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Nobody has come to its end yet.
    Missing,
    /// A drill is about to.
    Making,
    /// It is there.
    Kept(Arc<Kept>),
}

/// What a drill has to do with a beginning.
#[derive(Debug)]
pub enum Part<'a> {
    /// It goes on from one that is kept.
    Takes(Arc<Kept>),
    /// It keeps its own for those that come later.
    Keeps(Keeping<'a>),
}

/// A drill that is to keep its beginning. Until it has, or gives up, the others make their own.
#[derive(Debug)]
pub struct Keeping<'a> {
    of: &'a Beginnings,
    key: String,
}

/// A beginning that is kept.
pub struct Kept {
    /// None once it is being removed.
    files: Option<Workspace>,
    lists: Vec<List>,
    bytes: u64,
    /// The run that made it.
    run: String,
    /// When that came to its end, by its own clock.
    at: Duration,
    /// What was taken down until then, but for the run's own start.
    events: Vec<Event>,
    drill: Known,
}

/// What a drill knows after the loss of its primary, as far as its next steps use it.
#[derive(Clone)]
struct Known {
    made: Made,
    baselines: Vec<Baseline>,
    settled: Lsn,
    unrecorded: Vec<Unrecorded>,
    backups: BTreeMap<String, BackupEvidence>,
    marks: BTreeMap<String, MarkEvidence>,
    begun: BTreeMap<usize, Begun>,
    shifts: u64,
    timeline: u32,
    lost: Option<Lost>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the beginning of run {}", self.run)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(Err(unable)) = self.files.take().map(Workspace::remove) {
            tracing::warn!("{}: {unable}", self.run);
        }
    }
}

impl Beginnings {
    /// Those that two or more of `plans` have in common.
    pub fn of<'p>(plans: impl IntoIterator<Item = &'p Plan>) -> Self {
        let mut shared: BTreeMap<String, Shared> = BTreeMap::new();
        for key in plans.into_iter().filter_map(key) {
            shared.entry(key).or_insert(Shared { to_come: 0, state: State::Missing }).to_come += 1;
        }
        shared.retain(|_, shared| shared.to_come > 1);
        Self(Mutex::new(shared))
    }

    /// What a drill of `plan`, which begins now, has to do with one; none where it makes its own and keeps it to itself.
    pub fn part(&self, plan: &Plan) -> Option<Part<'_>> {
        let key = key(plan)?;
        let mut all = self.guard();
        let shared = all.get_mut(&key)?;
        shared.to_come = shared.to_come.saturating_sub(1);
        let last = shared.to_come == 0;
        match &shared.state {
            State::Kept(kept) => {
                let kept = Arc::clone(kept);
                if last {
                    all.remove(&key);
                }
                Some(Part::Takes(kept))
            }
            State::Missing if !last => {
                shared.state = State::Making;
                Some(Part::Keeps(Keeping { of: self, key }))
            }
            State::Missing | State::Making => None,
        }
    }

    /// The bytes that all of them take.
    fn bytes(&self) -> u64 {
        let bytes = |shared: &Shared| match &shared.state {
            State::Kept(kept) => kept.bytes,
            State::Missing | State::Making => 0,
        };
        self.guard().values().map(bytes).sum()
    }

    fn guard(&self) -> MutexGuard<'_, BTreeMap<String, Shared>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What drills with the same beginning have in common; none where one has none.
fn key(plan: &Plan) -> Option<String> {
    let acts: Vec<_> = plan.beginning()?.iter().map(|planned| &planned.act).collect();
    Some(format!("{} {} {acts:?}", plan.postgres, plan.seed))
}

impl Keeping<'_> {
    /// Keeps the beginning of a drill that has just lost its primary, where nothing that was seen until then was a finding. By the
    /// drill's own clock this takes no time: it is done for others.
    ///
    /// # Errors
    ///
    /// What is left of the primary and does not go away.
    pub async fn keep(self, drill: &mut Drill<'_>, clock: &Resumed) -> Result<(), Unable> {
        let at = clock.elapsed();
        // What is still being ended might write.
        let findings = drill.primary_is_gone().await?;
        let untroubled = findings.is_empty();
        findings.into_iter().for_each(|finding| drill.recorder.found(finding));
        let events: Vec<Event> = drill.recorder.so_far().into_iter().skip(1).collect();
        if !untroubled || events.iter().any(|event| matches!(event.what, Happening::Found(_))) {
            return Ok(());
        }
        let from = drill.workspace;
        from.need_dir(Path::new(books::DIRECTORY))?;
        let bytes = PARTS.iter().map(|part| inspect::size(&from.path(part))).sum();
        if self.of.bytes() + bytes > LIMIT {
            return Ok(());
        }
        let files = match Workspace::create(
            from.base(),
            &format!("{}-b", drill.run_id),
            from.owner().cloned(),
            bytes,
        ) {
            Ok(files) => files,
            Err(unable) => {
                tracing::info!("no beginning is kept: {unable}");
                return Ok(());
            }
        };
        files.need_dir(Path::new(books::DIRECTORY))?;
        let (source, target) = (from.root().to_owned(), files.root().to_owned());
        let copied = copying(move |given_up| {
            copy(&source, &target, given_up)?;
            PARTS.iter().map(|part| tree::list(&target.join(part))).collect::<io::Result<Vec<List>>>()
        });
        let kept = Kept {
            files: Some(files),
            lists: match copied.await? {
                Ok(lists) => lists,
                Err(error) => {
                    tracing::info!("no beginning is kept: {error}");
                    return Ok(());
                }
            },
            bytes,
            run: drill.run_id.to_owned(),
            at,
            events,
            drill: Known::of(drill),
        };
        if let Some(shared) = self.of.guard().get_mut(&self.key) {
            shared.state = State::Kept(Arc::new(kept));
        }
        clock.go_on_from(at);
        Ok(())
    }
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        // Not kept after all: the next one may.
        if let Some(shared) = self.of.guard().get_mut(&self.key)
            && matches!(shared.state, State::Making)
        {
            shared.state = State::Missing;
        }
    }
}

impl Kept {
    /// Puts a drill, of which nothing was done yet, behind this beginning; gives how many of its steps are done then: 0
    /// where it cannot be copied, and the drill begins by itself, in a workspace as it was.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE`, `DISK_FULL`.
    pub async fn take(
        self: Arc<Self>,
        drill: &mut Drill<'_>,
        plan: &Plan,
        clock: &Resumed,
    ) -> Result<usize, Unable> {
        let beginning = plan.beginning().unwrap_or_default();
        let workspace = drill.workspace;
        let began = drill.clock.elapsed();
        workspace.need_dir(Path::new(books::DIRECTORY))?;
        let (held, target) = (Arc::clone(&self), workspace.root().to_owned());
        let copied = copying(move |given_up| {
            let source = held.files.as_ref().ok_or(io::ErrorKind::NotFound)?.root();
            if copy(source, &target, given_up)? == held.lists {
                Ok(())
            } else {
                Err(io::Error::other("it is not what was put there"))
            }
        });
        if let Err(error) = copied.await? {
            tracing::info!("{self:?} is not used: {error}");
            for part in PARTS.map(|part| workspace.path(part)) {
                tree::clear(&part).map_err(|error| trouble(&part, &error))?;
            }
            return Ok(0);
        }
        let copied_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
        archiving::prepare(workspace, &self.drill.made.archive, &self.run)?;
        self.drill.clone().put(drill, beginning);
        drill.ledger.goes_on(&self.run);
        drill.recorder.take_over(&self.events);
        clock.go_on_from(self.at);
        drill.recorder.measured(Evidence::Beginning(BeginningEvidence {
            run: self.run.clone(),
            steps: beginning.len() as u64,
            took_us: self.at.as_micros() as u64,
            copied_us,
        }));
        Ok(beginning.len())
    }
}

impl Known {
    fn of(drill: &Drill<'_>) -> Self {
        Self {
            made: drill.made.clone(),
            baselines: drill.baselines.clone(),
            settled: drill.settled,
            unrecorded: drill.unrecorded.clone(),
            backups: drill.backups.clone(),
            marks: drill.marks.clone(),
            begun: drill.begun.clone(),
            shifts: drill.shifts,
            timeline: drill.timeline,
            lost: drill.lost,
        }
    }

    fn put(self, drill: &mut Drill<'_>, beginning: &[Planned]) {
        let Self { made, baselines, settled, unrecorded, backups, marks, mut begun, shifts, timeline, lost } =
            self;
        // Another scenario says the same in other lines.
        for (begun, planned) in begun.values_mut().zip(beginning) {
            begun.line = planned.line;
        }
        drill.made = made;
        drill.baselines = baselines;
        drill.settled = settled;
        drill.unrecorded = unrecorded;
        drill.backups = backups;
        drill.marks = marks;
        drill.begun = begun;
        drill.shifts = shifts;
        drill.timeline = timeline;
        drill.lost = lost;
    }
}

/// Copies the parts of one workspace into another, in which they are empty; gives what there was.
fn copy(from: &Path, into: &Path, given_up: &AtomicBool) -> io::Result<Vec<List>> {
    let copying = Copying { leave_out: &|_| false, given_up, went_away: None };
    PARTS.iter().map(|part| copying.copy(&from.join(part), &into.join(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::plan::compile;
    use pgdrill_model::scenario::parse;
    use pgdrill_model::units::Major;

    fn plan(text: &str) -> Plan {
        let text = format!(
            "title: t\ndata: {{ orders: 10 }}\nsteps:\n  - backup\n  - switch-wal\n  - disaster: lose-primary\n{text}\n"
        );
        compile(&parse("t", "t.yaml", &text).unwrap(), Major(17), "local", None).unwrap()
    }

    fn missing() -> Plan {
        plan("  - fault: segment-missing\n  - recover")
    }

    fn torn() -> Plan {
        plan("  - recover\n  - fault: row-deleted")
    }

    #[test]
    fn only_what_several_have_in_common_is_kept() {
        let alone = Beginnings::of([&missing(), &plan("  - recover")]);
        assert!(alone.part(&missing()).is_none());
        let other = Plan { seed: 43, ..missing() };
        assert!(Beginnings::of([&missing(), &other]).part(&missing()).is_none());
        let shared = Beginnings::of([&missing(), &torn()]);
        assert!(matches!(shared.part(&torn()), Some(Part::Keeps(_))));
    }

    #[test]
    fn one_makes_it_at_a_time_and_another_where_that_one_gave_up() {
        let plans = [missing(), torn(), missing(), torn()];
        let shared = Beginnings::of(&plans);
        let first = shared.part(&plans[0]);
        assert!(matches!(first, Some(Part::Keeps(_))));
        assert!(shared.part(&plans[1]).is_none(), "nobody waits for it");
        drop(first);
        assert!(matches!(shared.part(&plans[2]), Some(Part::Keeps(_))));
        assert!(shared.part(&plans[3]).is_none(), "nobody comes after the last");
    }
}
