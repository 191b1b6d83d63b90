//! What the records of many drills say together: a line of runs for each scenario, major and kind of machine, when each was last
//! proven, and how its recovery time goes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::Host;
use crate::run::Run;
use crate::scenario::as_written;
use crate::times::Times;
use crate::units::Major;
use crate::verdict::Verdict;

/// What must be the same for the times of two runs to be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The scenario's id.
    pub scenario: String,
    /// The major version.
    pub postgres: Major,
    /// The runtime.
    pub runtime: String,
    /// The class of the machine: `linux x86_64, 2 CPUs`.
    pub machine: String,
}

impl Kind {
    /// The kind of a run.
    pub fn of(run: &Run) -> Self {
        let header = &run.header;
        Self::with(&header.scenario, header.postgres, &header.runtime, &header.host)
    }

    /// The kind of a run that is to be.
    pub fn with(scenario: &str, postgres: Major, runtime: &str, host: &Host) -> Self {
        let limits = match host.limits.are_none() {
            true => String::new(),
            false => format!(", limited to {}", host.limits),
        };
        Self {
            scenario: scenario.to_owned(),
            postgres,
            runtime: runtime.to_owned(),
            machine: format!("{} {}, {} CPUs{limits}", host.os, host.arch, host.cpus),
        }
    }

    /// The same of the scenario as it is written, where this is one of another size.
    pub fn of_any_size(mut self) -> Self {
        self.scenario = as_written(&self.scenario).0.to_owned();
        self
    }
}

/// The runs of one kind.
#[derive(Clone, Debug)]
pub struct Line<'r> {
    /// Which.
    pub kind: Kind,
    /// The runs, the oldest first; never empty.
    runs: Vec<&'r Run>,
}

/// The runs, by kind. Of a run that is there twice only one counts.
pub fn lines(runs: &[Run]) -> Vec<Line<'_>> {
    let mut kinds: BTreeMap<Kind, BTreeMap<(i64, &str), &Run>> = BTreeMap::new();
    for run in runs {
        kinds.entry(Kind::of(run)).or_default().insert((run.started_unix_us, &run.header.id), run);
    }
    kinds.into_iter().map(|(kind, runs)| Line { kind, runs: runs.into_values().collect() }).collect()
}

impl<'r> Line<'r> {
    /// The runs, the oldest first.
    pub fn runs(&self) -> &[&'r Run] {
        &self.runs
    }

    /// The newest run.
    pub fn newest(&self) -> Option<&'r Run> {
        self.runs.last().copied()
    }

    /// The newest run that is proven.
    pub fn last_proven(&self) -> Option<&'r Run> {
        self.runs.iter().rev().find(|run| run.verdict == Verdict::Proven).copied()
    }

    /// How many have a verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.runs.iter().filter(|run| run.verdict == verdict).count() as u64
    }

    /// How long ago, at `now_unix_us`, the last proven run ended; none where none is proven.
    pub fn age(&self, now_unix_us: i64) -> Option<Duration> {
        let run = self.last_proven()?;
        let ended = run.started_unix_us.saturating_add_unsigned(run.took_us);
        // A clock that was set back makes nothing older.
        Some(Duration::from_micros(now_unix_us.saturating_sub(ended).max(0).unsigned_abs()))
    }

    /// Whether it was not proven for longer than `limit`.
    pub fn is_stale(&self, now_unix_us: i64, limit: Duration) -> bool {
        self.age(now_unix_us).is_none_or(|age| age > limit)
    }

    /// The recovery times, the oldest first, of its proven runs: of those that had the machine for themselves, by the scenario
    /// file of the newest run. Other times are of something else.
    pub fn times(&self) -> Vec<u64> {
        let newest = self.newest().map(|run| &run.header.scenario_sha256);
        let compared = |run: &&&Run| {
            run.verdict == Verdict::Proven
                && run.header.jobs == 1
                && Some(&run.header.scenario_sha256) == newest
        };
        self.runs.iter().filter(compared).filter_map(|run| recovery_time(run)).collect()
    }

    /// The same, together.
    pub fn spread(&self) -> Option<Times> {
        Times::of(self.times())
    }
}

/// The recovery time of a run in microseconds: of several recoveries, the longest, and of one that was repeated the median; none
/// where one did not come to an end.
pub fn recovery_time(run: &Run) -> Option<u64> {
    if !run.repetitions.is_empty() {
        return run.times().map(|times| times.median());
    }
    let times: Option<Vec<u64>> = run.recoveries.iter().map(|recovery| recovery.rto_us).collect();
    times?.into_iter().max()
}

/// The acknowledged transactions that a run lost; none where nothing was written down.
pub fn lost(run: &Run) -> Option<u64> {
    let lost = run.tallies.iter().map(|tally| tally.lost);
    if run.tallies.is_empty() { None } else { Some(lost.sum()) }
}
