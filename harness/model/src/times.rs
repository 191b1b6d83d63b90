//! What several measurements of the same time say together, without assuming how they are spread: a median and a percentile,
//! each with the interval that the order of the measurements gives (H. A. David, H. N. Nagaraja, *Order Statistics*, 7.1).

use statrs::distribution::{Binomial, DiscreteCDF};

/// How sure an interval is to be, where there are enough measurements.
pub const LEVEL: f64 = 0.95;

/// Measured times in microseconds, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times(Vec<u64>);

/// Between what a quantile lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Not below; none where too few were measured to say so.
    pub from_us: Option<u64>,
    /// Not above; the same.
    pub to_us: Option<u64>,
    /// With which probability, from 0 to 1: [`LEVEL`] at the least, unless too few were measured.
    pub level: f64,
}

impl Times {
    /// Takes times in any order; none where there is none.
    pub fn of(mut times: Vec<u64>) -> Option<Self> {
        times.sort_unstable();
        (!times.is_empty()).then_some(Self(times))
    }

    /// In order.
    pub fn sorted(&self) -> &[u64] {
        &self.0
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The shortest.
    pub fn least(&self) -> u64 {
        self.0[0]
    }

    /// The longest.
    pub fn most(&self) -> u64 {
        self.0[self.0.len() - 1]
    }

    /// As many are shorter as are longer; of an even number the middle between the two.
    pub fn median(&self) -> u64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[middle] } else { self.0[middle - 1].midpoint(self.0[middle]) }
    }

    /// The least time that so many of a hundred do not exceed (nearest rank).
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count() * percent.min(100)).div_ceil(100).max(1);
        self.0[rank as usize - 1]
    }

    /// Between what the median of all recoveries like these lies.
    pub fn median_interval(&self) -> Interval {
        let interval = self.interval(50);
        match interval {
            Interval { from_us: Some(_), to_us: Some(_), .. } => interval,
            // So few that all of them together are not as sure.
            _ => Interval {
                from_us: Some(self.least()),
                to_us: Some(self.most()),
                level: 1.0 - 2.0 * 0.5_f64.powf(self.0.len() as f64),
            },
        }
    }

    /// Between what that percentile of all recoveries like these lies.
    pub fn interval(&self, percent: u64) -> Interval {
        let share = percent.clamp(1, 99) as f64 / 100.0;
        let tail = (1.0 - LEVEL) / 2.0;
        let count = self.count();
        // How many of them fall below the quantile is binomial, whatever their spread.
        let below = |most: u64| Binomial::new(share, count).map_or(0.0, |all| all.cdf(most));
        let from = (1..=count).rev().find(|rank| below(rank - 1) <= tail);
        let to = (1..=count).find(|rank| below(rank - 1) >= 1.0 - tail);
        let at = |rank: u64| self.0[rank as usize - 1];
        Interval { from_us: from.map(at), to_us: to.map(at), level: LEVEL }
    }
}

/// How many measurements it takes until something can be said about what a percentile does not exceed.
pub fn needed_above(percent: u64) -> u64 {
    let share = percent.clamp(1, 99) as f64 / 100.0;
    (((1.0 - LEVEL) / 2.0).ln() / share.ln()).ceil() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn times(values: &[u64]) -> Times {
        Times::of(values.to_vec()).unwrap()
    }

    #[test]
    fn a_median_is_in_the_middle_and_a_percentile_is_one_that_was_measured() {
        assert_eq!(Times::of(Vec::new()), None);
        assert_eq!(times(&[3, 1, 2]).median(), 2);
        assert_eq!(times(&[4, 1, 2, 3]).median(), 2);
        assert_eq!(times(&[u64::MAX, u64::MAX - 2]).median(), u64::MAX - 1);
        let hundred = times(&(1..=100).collect::<Vec<_>>());
        assert_eq!([0, 1, 50, 95, 100].map(|percent| hundred.percentile(percent)), [1, 1, 50, 95, 100]);
        assert_eq!(times(&[7, 9, 8]).percentile(95), 9, "of a few it is the longest");
    }

    /// The ranks are those of the tables of the textbook.
    #[rstest]
    #[case(6, Some(1), Some(6))]
    #[case(10, Some(2), Some(9))]
    #[case(20, Some(6), Some(15))]
    #[case(5, None, None)]
    fn the_interval_of_a_median_is_by_rank(
        #[case] count: u64,
        #[case] from: Option<u64>,
        #[case] to: Option<u64>,
    ) {
        let interval = times(&(1..=count).collect::<Vec<_>>()).interval(50);
        assert_eq!((interval.from_us, interval.to_us), (from, to));
    }

    #[test]
    fn of_few_the_interval_is_all_of_them_and_less_sure() {
        let interval = times(&[5, 1, 4, 2, 3]).median_interval();
        assert_eq!((interval.from_us, interval.to_us, interval.level), (Some(1), Some(5), 0.9375));
        assert_eq!(times(&[8]).median_interval().level, 0.0);
        assert_eq!(times(&(1..=6).collect::<Vec<_>>()).median_interval().level, LEVEL);
    }

    #[test]
    fn above_a_high_percentile_nothing_is_said_until_there_are_enough() {
        assert_eq!(needed_above(95), 72);
        let of = |count: u64| times(&(1..=count).collect::<Vec<_>>()).interval(95);
        assert_eq!(of(5).to_us, None);
        assert_eq!(of(71).to_us, None);
        assert_eq!(of(72).to_us, Some(72));
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_quantile(values in prop::collection::vec(1_u64..1_000_000, 1..60)) {
            let times = times(&values);
            let interval = times.median_interval();
            prop_assert!(interval.from_us.unwrap() <= times.median() && times.median() <= interval.to_us.unwrap());
            let high = times.interval(95);
            prop_assert!(high.from_us.is_none_or(|from| from <= times.percentile(95)));
            prop_assert!(high.to_us.is_none_or(|to| to >= times.percentile(95)));
        }
    }
}
