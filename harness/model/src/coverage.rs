//! How much of what is kept is proven: of each backup of a source, whether a drill recovered it, and from when to when.

use std::collections::BTreeMap;

use crate::evidence::{HeldEvidence, SourceEvidence};
use crate::run::Run;
use crate::verdict::Verdict;

/// A source with its backups.
#[derive(Clone, Debug)]
pub struct Coverage<'r> {
    /// What it is, as the newest drill of it found it.
    pub source: &'r SourceEvidence,
    /// When that drill began, microseconds since 1970 UTC.
    pub looked_unix_us: i64,
    /// Its backups, the oldest first, with what drills say of them.
    pub backups: Vec<Covered<'r>>,
}

/// A backup with what drills say of it.
#[derive(Clone, Copy, Debug)]
pub struct Covered<'r> {
    /// The backup.
    pub held: &'r HeldEvidence,
    /// The newest drill of it; none where nobody tried.
    pub last: Option<&'r Run>,
}

impl Covered<'_> {
    /// The verdict of its newest drill.
    pub fn verdict(&self) -> Option<Verdict> {
        self.last.map(|run| run.verdict)
    }

    /// From when to when it is proven, microseconds since 1970 UTC: replay went from its end through every moment to the last
    /// commit that came back. None where it is not proven, or nothing tells when it was taken. One that is replayed no further than
    /// it goes itself, such as a dump, is proven for one moment.
    pub fn span(&self) -> Option<(i64, i64)> {
        let run =
            self.last.filter(|run| run.verdict == Verdict::Proven && run.observed == Verdict::Proven)?;
        let from = self.held.unix_us?;
        let reached =
            run.recoveries.iter().filter_map(|recovery| recovery.reached.as_ref()?.commit_unix_us).max();
        Some((from, reached.unwrap_or(from).max(from)))
    }
}

impl Coverage<'_> {
    /// How many backups have that verdict; none is that of those that nobody tried.
    pub fn count(&self, verdict: Option<Verdict>) -> usize {
        self.backups.iter().filter(|covered| covered.verdict() == verdict).count()
    }

    /// The times of which every moment is proven by some backup, in order, without overlaps; microseconds since 1970 UTC.
    pub fn spans(&self) -> Vec<(i64, i64)> {
        let mut spans: Vec<(i64, i64)> = self.backups.iter().filter_map(Covered::span).collect();
        spans.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (from, to) in spans {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        joined
    }

    /// From the oldest backup to the newest moment that anything tells of; none where no time is known.
    pub fn extent(&self) -> Option<(i64, i64)> {
        let times = self.backups.iter().filter_map(|covered| covered.held.unix_us);
        let first = times.clone().min()?;
        let ends = self.spans().into_iter().map(|(_, to)| to);
        Some((first, times.chain(ends).max()?))
    }
}

/// The sources that these drills are of, by name. What a source holds is what its newest drill found there; of a backup that is
/// not there any more, nothing is said.
pub fn of(runs: &[Run]) -> Vec<Coverage<'_>> {
    let mut newest: BTreeMap<&str, &Run> = BTreeMap::new();
    let mut drills: BTreeMap<(&str, &str), &Run> = BTreeMap::new();
    for run in runs {
        let Some(source) = &run.source else { continue };
        newest.entry(&source.name).and_modify(|other| later(other, run)).or_insert(run);
        drills.entry((&source.name, &source.taken)).and_modify(|other| later(other, run)).or_insert(run);
    }
    newest
        .into_iter()
        .filter_map(|(name, run)| {
            let source = run.source.as_ref()?;
            let backups = source
                .backups
                .iter()
                .map(|held| Covered { held, last: drills.get(&(name, held.label.as_str())).copied() });
            Some(Coverage { source, looked_unix_us: run.started_unix_us, backups: backups.collect() })
        })
        .collect()
}

/// Takes a run in the place of another one where it began later.
fn later<'r>(other: &mut &'r Run, run: &'r Run) {
    if (other.started_unix_us, &other.header.id) < (run.started_unix_us, &run.header.id) {
        *other = run;
    }
}
