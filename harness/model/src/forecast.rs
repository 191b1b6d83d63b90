//! How long a recovery would take of a database of another size, from recoveries of several smaller ones.
//!
//! Each phase is a line over what it grows with: the size of the database, or the WAL to be replayed. The lines are fitted to
//! relative errors (weighted least squares), since what takes longer also varies more. A forecast is tried on what was measured
//! before it is believed: fitted to all but the largest sizes, it must predict these.

use std::collections::BTreeMap;
use std::fmt;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::evidence::Phase;
use crate::history::Kind;
use crate::run::Run;
use crate::times::{LEVEL, Times};
use crate::verdict::Verdict;

mod line;

use line::{Line, Point};

/// How many sizes it takes, at the least: two make a line, and the third tries it.
pub const LEAST_SIZES: usize = 3;

/// How many times the smallest the largest must be: what lies close together says nothing of what grows.
pub const LEAST_SPREAD: u64 = 4;

/// By how many percent the largest that was measured may be missed.
pub const MOST_ERROR: u64 = 20;

/// What is asked for, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Files of the database; none: as the largest that was measured.
    pub size: Option<u64>,
    /// WAL to be replayed; none: as much as the median of what was measured.
    pub wal: Option<u64>,
}

/// What a phase grows with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrowsWith {
    /// The files of the database.
    Size,
    /// The WAL to be replayed.
    Wal,
    /// Neither.
    Nothing,
}

/// What each phase grows with. A start grows with the files, which it forces to disk (`SyncDataDirectory`, `fd.c`).
fn grows_with(phase: &str) -> GrowsWith {
    match phase {
        "unpack" | "combine" | "start" | "choose" => GrowsWith::Size,
        "replay" => GrowsWith::Wal,
        _ => GrowsWith::Nothing,
    }
}

/// A recovery, with what its phases grow with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Files of the database in bytes.
    pub size: u64,
    /// WAL that was replayed, in bytes.
    pub wal: u64,
    /// The phases in microseconds, in order.
    pub phases: Vec<(String, u64)>,
}

impl Sample {
    /// The recoveries of a run that came to an end.
    pub fn of(run: &Run) -> Vec<Self> {
        let grows = run.recoveries.last().and_then(|recovery| {
            let backup = |name: &String| run.backups.iter().find(|backup| backup.name == *name);
            let (full, newest) = (backup(recovery.backups.first()?)?, backup(recovery.backups.last()?)?);
            Some((full.content_bytes, recovery.reached_lsn?.0.saturating_sub(newest.start_lsn.0)))
        });
        let Some((size, wal)) = grows else { return Vec::new() };
        let phases =
            |phases: &[Phase]| phases.iter().map(|phase| (phase.name.clone(), phase.took_us)).collect();
        run.measured().map(|recovery| Self { size, wal, phases: phases(recovery.phases) }).collect()
    }

    /// How long a phase took in microseconds; none where there was none.
    pub fn phase(&self, name: &str) -> Option<u64> {
        self.phases.iter().find(|(other, _)| other == name).map(|(_, us)| *us)
    }

    fn took(&self) -> u64 {
        self.phases.iter().map(|(_, us)| us).sum()
    }
}

/// The recoveries of proven runs that had the machine for themselves, by scenario (whatever its size), major, runtime and
/// class of machine.
pub fn samples(runs: &[Run]) -> BTreeMap<Kind, Vec<Sample>> {
    let mut all: BTreeMap<Kind, Vec<Sample>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.verdict == Verdict::Proven && run.header.jobs == 1) {
        all.entry(Kind::of(run).of_any_size()).or_default().extend(Sample::of(run));
    }
    all
}

/// A forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// For which size, in bytes.
    pub size: u64,
    /// For how much WAL, in bytes.
    pub wal: u64,
    /// How long the recovery takes, in microseconds.
    pub us: u64,
    /// The interval of 95 %: by the spread of what was measured, and by the error of the trial.
    pub from_us: u64,
    /// Its end.
    pub to_us: u64,
    /// By phase, in order.
    pub phases: Vec<PhaseForecast>,
    /// On how many recoveries it rests.
    pub measured: u64,
    /// The largest size among them, in bytes.
    pub largest_size: u64,
    /// The most WAL among them, in bytes.
    pub largest_wal: u64,
    /// How it did when it was tried.
    pub trial: Trial,
}

/// A phase of a forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseForecast {
    /// Its name.
    pub name: String,
    /// How long it takes, in microseconds.
    pub us: u64,
    /// What it grows with.
    pub grows_with: GrowsWith,
    /// Bytes of that in a second, where it grows.
    pub bytes_per_second: Option<f64>,
}

/// A forecast of what was measured: fitted to the smaller sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The size that was predicted, in bytes.
    pub size: u64,
    /// Its WAL, in bytes.
    pub wal: u64,
    /// What was predicted, in microseconds.
    pub predicted_us: u64,
    /// The median of what was measured.
    pub measured_us: u64,
}

impl Trial {
    /// By how many percent it was missed, rounded up.
    pub fn error_percent(self) -> u64 {
        let off = self.predicted_us.abs_diff(self.measured_us);
        let percent = (u128::from(off) * 100).div_ceil(u128::from(self.measured_us.max(1)));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too few sizes, or too close together.
    Sizes {
        /// Of what.
        of: GrowsWith,
        /// Those that were measured, in bytes.
        measured: Vec<u64>,
    },
    /// It missed what was measured.
    Poor(Trial),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sizes { of, measured } => {
                let (what, flag) = match of {
                    GrowsWith::Wal => ("amounts of WAL to replay", "--wal"),
                    _ => ("sizes of the database", "--scale"),
                };
                let shown: Vec<String> =
                    measured.iter().map(|bytes| crate::units::show_bytes(*bytes)).collect();
                let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
                write!(
                    f,
                    "it takes {LEAST_SIZES} {what}, the largest {LEAST_SPREAD} times the smallest, and these were measured: \
                     {shown}; measure others with `pgdrill run {flag}`"
                )
            }
            Self::Poor(trial) => write!(
                f,
                "fitted to the smaller sizes it predicts {} for the largest, and {} was measured: {} % off, and {MOST_ERROR} % \
                 would be believed; repeat more often, on a quiet machine",
                seconds(trial.predicted_us),
                seconds(trial.measured_us),
                trial.error_percent()
            ),
        }
    }
}

fn seconds(us: u64) -> String {
    crate::units::show_duration(std::time::Duration::from_millis(us / 1_000))
}

/// Makes a forecast from samples.
///
/// # Errors
///
/// Why they allow none.
pub fn forecast(samples: &[Sample], wanted: Wanted) -> Result<Forecast, Refused> {
    let sizes = groups(samples.iter().map(|sample| sample.size));
    let wals = groups(samples.iter().map(|sample| sample.wal));
    // What is not asked for need not have been varied.
    let asked = [
        (GrowsWith::Size, &sizes, wanted.size.is_some() || wanted.wal.is_none()),
        (GrowsWith::Wal, &wals, wanted.wal.is_some()),
    ];
    for (of, groups, _) in asked.iter().filter(|(_, _, asked)| *asked) {
        let spread = groups
            .last()
            .zip(groups.first())
            .is_some_and(|(most, least)| *most >= least.saturating_mul(LEAST_SPREAD));
        if groups.len() < LEAST_SIZES || !spread {
            return Err(Refused::Sizes { of: *of, measured: (*groups).clone() });
        }
    }
    let most = |groups: &[u64]| groups.last().copied().unwrap_or_default();
    let held_out = |sample: &&Sample| {
        (asked[0].2 && is_of(most(&sizes), sample.size)) || (asked[1].2 && is_of(most(&wals), sample.wal))
    };
    let (largest, smaller): (Vec<&Sample>, Vec<&Sample>) =
        samples.iter().partition(|sample| held_out(sample));
    let trial = tried(&fit(&smaller), &largest);
    if trial.error_percent() > MOST_ERROR {
        return Err(Refused::Poor(trial));
    }
    let all: Vec<&Sample> = samples.iter().collect();
    let usual_wal =
        Times::of(samples.iter().map(|sample| sample.wal).collect()).map_or(0, |wal| wal.median());
    let size = wanted.size.unwrap_or(most(&sizes));
    let wal = wanted.wal.unwrap_or(usual_wal);
    let fitted = fit(&all);
    let mut phases = Vec::new();
    let (mut sum, mut variance, mut freedom) = (0.0, 0.0, f64::INFINITY);
    for (name, line) in &fitted {
        let grows_with = grows_with(name);
        let (at, deviation) = line.at(x(grows_with, size, wal));
        sum += at;
        variance += deviation * deviation;
        freedom = freedom.min(line.freedom());
        phases.push(PhaseForecast {
            name: name.clone(),
            us: at.round() as u64,
            grows_with: if line.slope > 0.0 { grows_with } else { GrowsWith::Nothing },
            bytes_per_second: (line.slope > 0.0).then(|| 1e6 / line.slope),
        });
    }
    let sure = StudentsT::new(0.0, 1.0, freedom.max(1.0))
        .map_or(f64::INFINITY, |t| t.inverse_cdf(0.5 + LEVEL / 2.0));
    let error = sum * trial.error_percent() as f64 / 100.0;
    let half = (sure * sure * variance + error * error).sqrt();
    Ok(Forecast {
        size,
        wal,
        us: sum.round() as u64,
        from_us: (sum - half).max(0.0).round() as u64,
        to_us: (sum + half).round() as u64,
        phases,
        measured: samples.len() as u64,
        largest_size: most(&sizes),
        largest_wal: most(&wals),
        trial,
    })
}

impl Forecast {
    /// The phase that takes longest.
    pub fn binding(&self) -> Option<&PhaseForecast> {
        self.phases.iter().max_by_key(|phase| phase.us)
    }

    /// How many times as fast the binding phase would have to be for the whole to take half the time; none where that phase alone
    /// cannot do it.
    pub fn to_halve(&self) -> Option<f64> {
        let binding = self.binding()?.us as f64;
        let left = binding - self.us as f64 / 2.0;
        (left > binding / 1_000.0).then(|| binding / left)
    }

    /// How many times the largest that was measured is exceeded.
    pub fn beyond(&self) -> u64 {
        let times = |wanted: u64, measured: u64| wanted.checked_div(measured).unwrap_or_default();
        times(self.size, self.largest_size).max(times(self.wal, self.largest_wal))
    }
}

/// What a phase is a line over.
fn x(grows_with: GrowsWith, size: u64, wal: u64) -> f64 {
    match grows_with {
        GrowsWith::Size => size as f64,
        GrowsWith::Wal => wal as f64,
        GrowsWith::Nothing => 0.0,
    }
}

/// A line for each phase that any of the recoveries has, in order.
fn fit(samples: &[&Sample]) -> Vec<(String, Line)> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in samples.iter().flat_map(|sample| &sample.phases) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let line = |name: &str| {
        let points: Vec<Point> = samples
            .iter()
            .map(|sample| Point {
                x: x(grows_with(name), sample.size, sample.wal),
                // One that it did not need took no time.
                y: sample.phase(name).unwrap_or(0) as f64,
            })
            .collect();
        Line::fit(&points)
    };
    names.into_iter().map(|name| (name.to_owned(), line(name))).collect()
}

/// Predicts recoveries, size by size, and gives the prediction that is furthest off.
fn tried(fitted: &[(String, Line)], largest: &[&Sample]) -> Trial {
    let mut cells: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
    for sample in largest {
        cells.entry((sample.size, sample.wal)).or_default().push(sample.took());
    }
    let trial = |((size, wal), took): ((u64, u64), Vec<u64>)| {
        let predicted: f64 =
            fitted.iter().map(|(name, line)| line.at(x(grows_with(name), size, wal)).0).sum();
        let measured_us = Times::of(took).map_or(0, |took| took.median());
        Trial { size, wal, predicted_us: predicted.round() as u64, measured_us }
    };
    let worst = cells.into_iter().map(trial).max_by_key(|trial| trial.error_percent());
    worst.unwrap_or(Trial { size: 0, wal: 0, predicted_us: 0, measured_us: 0 })
}

/// What is about the same counts once: by how much it is more than a tenth apart.
fn groups(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    let mut groups: Vec<u64> = Vec::new();
    for value in values {
        if groups.last().is_none_or(|last| !is_of(*last, value)) {
            groups.push(value);
        }
    }
    groups
}

/// Whether a value belongs to the group that begins with another.
fn is_of(group: u64, value: u64) -> bool {
    value >= group && value - group <= group / 10
}

#[cfg(test)]
mod tests;
