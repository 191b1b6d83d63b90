//! Whether recoveries have become slower than they were: a rule without a fixed percentage, so that it asks of a quiet machine
//! more than of a noisy one.
//!
//! Slower is what holds both of: the median lies above the 95th percentile of the baseline by more than the 5th and the 95th
//! lie apart, so by more than the baseline differs from itself; and were both the same, they would come in such an order less
//! than once in a hundred times (a rank sum test, see `rank_sum`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::function::factorial::binomial;

use crate::history::Kind;
use crate::run::Run;
use crate::times::Times;
use crate::verdict::Verdict;

mod rank_sum;

/// How seldom chance alone may call recoveries slower.
pub const SIGNIFICANCE: f64 = 0.01;

/// Recoveries that were proven before: what later ones are held against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Baseline {
    /// The runs that they are of, the oldest first.
    pub runs: Vec<String>,
    /// The recovery times in microseconds.
    pub times_us: Vec<u64>,
    /// The same by phase.
    pub phases_us: BTreeMap<String, Vec<u64>>,
}

impl Baseline {
    /// Of the proven runs of that kind that had the machine for themselves, by that scenario file. Empty where there is none.
    pub fn of<'r>(runs: impl IntoIterator<Item = &'r Run>, kind: &Kind, scenario_sha256: &str) -> Self {
        let mut baseline = Self::default();
        let like = |run: &&Run| {
            run.verdict == Verdict::Proven
                && run.header.jobs == 1
                && run.header.scenario_sha256 == scenario_sha256
                && Kind::of(run) == *kind
        };
        for run in runs.into_iter().filter(like) {
            let own = Self::of_run(run);
            if own.times_us.is_empty() {
                continue;
            }
            baseline.runs.extend(own.runs);
            baseline.times_us.extend(own.times_us);
            for (name, times) in own.phases_us {
                baseline.phases_us.entry(name).or_default().extend(times);
            }
        }
        baseline
    }

    /// The recoveries of one run.
    pub fn of_run(run: &Run) -> Self {
        let mut phases_us: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for phase in run.measured().flat_map(|recovery| recovery.phases) {
            phases_us.entry(phase.name.clone()).or_default().push(phase.took_us);
        }
        let times_us = run.measured().map(|recovery| recovery.took_us).collect();
        Self { runs: vec![run.header.id.clone()], times_us, phases_us }
    }
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    /// Whatever their order, so few could not tell.
    TooFew {
        /// How many of one's own it would take.
        needed: u64,
    },
    /// Not slower.
    Like,
    /// Slower.
    Slower {
        /// How probable such an order is, were both the same.
        probability: f64,
    },
}

/// Compares recovery times with those of a baseline, both in microseconds.
pub fn compare(baseline: &Times, times: &Times) -> Comparison {
    let (before, now) = (baseline.count(), times.count());
    let enough = |count: u64| 1.0 / binomial(before + count, count) < SIGNIFICANCE;
    if !enough(now) {
        // A baseline of one never gets there in any number that somebody would make.
        let needed = (1..=1_000).find(|count| enough(*count)).unwrap_or(1_000);
        return Comparison::TooFew { needed };
    }
    let (low, high) = (baseline.percentile(5), baseline.percentile(95));
    if times.median() <= high.saturating_add(high - low) {
        return Comparison::Like;
    }
    let probability = rank_sum::probability(times.sorted(), baseline.sorted());
    if probability < SIGNIFICANCE { Comparison::Slower { probability } } else { Comparison::Like }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn times(values: &[u64]) -> Times {
        Times::of(values.to_vec()).unwrap()
    }

    const QUIET: [u64; 5] = [1_000, 1_010, 1_020, 1_030, 1_040];
    const NOISY: [u64; 5] = [1_000, 1_100, 1_200, 1_300, 1_600];

    #[rstest]
    #[case::the_same(&QUIET, &QUIET, false)]
    #[case::a_little_of_a_quiet_one(&QUIET, &[1_090, 1_100, 1_110, 1_120, 1_130], true)]
    #[case::as_much_of_a_noisy_one(&NOISY, &[1_690, 1_700, 1_710, 1_720, 1_730], false)]
    #[case::much_of_a_noisy_one(&NOISY, &[2_690, 2_700, 2_710, 2_720, 2_730], true)]
    #[case::faster(&QUIET, &[500, 510, 520, 530, 540], false)]
    #[case::one_outlier(&QUIET, &[1_000, 1_010, 1_020, 1_030, 9_000], false)]
    #[case::two_outliers(&QUIET, &[1_000, 1_010, 1_020, 9_000, 9_000], false)]
    #[case::most_but_not_all(&QUIET, &[1_000, 2_000, 2_010, 2_020, 2_030], false)]
    fn slower_is_more_than_the_baseline_differs_from_itself(
        #[case] baseline: &[u64],
        #[case] now: &[u64],
        #[case] slower: bool,
    ) {
        let compared = compare(&times(baseline), &times(now));
        assert_eq!(matches!(compared, Comparison::Slower { .. }), slower, "{compared:?}");
    }

    #[rstest]
    #[case(5, 5, None)]
    #[case(5, 3, Some(4))]
    #[case(100, 1, None)]
    #[case(99, 1, Some(2))]
    #[case(1, 5, Some(100))]
    fn so_few_that_no_order_would_tell_are_not_compared(
        #[case] before: u64,
        #[case] now: u64,
        #[case] needed: Option<u64>,
    ) {
        let numbers = |count: u64, from: u64| times(&(from..from + count).collect::<Vec<_>>());
        let compared = compare(&numbers(before, 1), &numbers(now, 1_000_000));
        match needed {
            Some(needed) => assert_eq!(compared, Comparison::TooFew { needed }),
            None => assert!(matches!(compared, Comparison::Slower { .. }), "{compared:?}"),
        }
    }

    proptest! {
        /// What comes from the same spread is called slower no more often than is said.
        #[test]
        fn what_is_slower_than_all_of_the_baseline_by_its_own_width(
            baseline in prop::collection::vec(1_000_u64..2_000, 5..30),
            now in prop::collection::vec(1_000_u64..2_000, 5..30),
            more in 2_000_u64..10_000,
        ) {
            let (before, like) = (times(&baseline), times(&now));
            // Within the same bounds a median does not get above them by such a width.
            if before.percentile(95) - before.percentile(5) >= 500 {
                prop_assert_eq!(compare(&before, &like), Comparison::Like);
            }
            let slower = times(&now.iter().map(|us| us + more).collect::<Vec<_>>());
            let is_slower = matches!(compare(&before, &slower), Comparison::Slower { .. });
            prop_assert!(is_slower);
        }
    }
}
