//! How probable it is that one of two samples lies so much higher than the other, were both of the same spread: the rank sum test
//! of H. B. Mann and D. R. Whitney (*On a test of whether one of two random variables is stochastically larger than the other*,
//! 1947), one-sided. Counted out where the samples are small, since a normal curve says little of five against five; what is
//! equal has the middle of its ranks.
//!
//! The exact method of statrs 0.19.1 gives the complement where the first sample is the smaller one, and goes through all
//! combinations, which ends with some dozens; its normal approximation is used where there are many of both.

use statrs::stats_tests::Alternative;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

/// Up to how many additions it is counted out.
const COUNTED: usize = 100_000_000;

/// The probability that `higher` has at least the rank sum that it has. 1 where either is empty.
pub fn probability(higher: &[u64], lower: &[u64]) -> f64 {
    if higher.is_empty() || lower.is_empty() {
        return 1.0;
    }
    let all = [higher, lower].concat();
    let (count, few) = (all.len(), higher.len().min(lower.len()));
    // The ranks, doubled, add up to so much.
    let most = count * (count + 1);
    if few.saturating_mul(count).saturating_mul(most) > COUNTED {
        let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
        return mannwhitneyu(higher, lower, method, Alternative::Greater)
            .map_or(1.0, |(_, probability)| probability);
    }
    let ranks: Vec<usize> = all.iter().map(|value| doubled_rank(&all, *value)).collect();
    // In how many ways so many of the ranks have each sum.
    let mut ways = vec![vec![0.0_f64; most + 1]; few + 1];
    ways[0][0] = 1.0;
    for rank in &ranks {
        for taken in (1..=few).rev() {
            for with in (*rank..=most).rev() {
                ways[taken][with] += ways[taken - 1][with - rank];
            }
        }
    }
    let sum: usize = ranks[..higher.len()].iter().sum();
    // Where the higher ones are many, the few are the lower ones, and have at most what is left.
    let at_least = if few == higher.len() { &ways[few][sum..] } else { &ways[few][..=most - sum] };
    at_least.iter().sum::<f64>() / ways[few].iter().sum::<f64>()
}

/// Twice the rank of a value among all, from 1; of equal ones the middle of theirs.
fn doubled_rank(all: &[u64], value: u64) -> usize {
    let below = all.iter().filter(|other| **other < value).count();
    let equal = all.iter().filter(|other| **other == value).count();
    2 * below + equal + 1
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The probabilities are those of scipy's `mannwhitneyu(..., alternative="greater", method="exact")`, and of counting by hand.
    #[rstest]
    #[case::all_higher(&[6, 7, 8, 9, 10], &[1, 2, 3, 4, 5], 1.0 / 252.0)]
    #[case::all_lower(&[1, 2, 3, 4, 5], &[6, 7, 8, 9, 10], 1.0)]
    #[case::of_scipy(&[19, 22, 16, 29, 24], &[20, 11, 17, 12], 7.0 / 126.0)]
    #[case::one(&[9], &[1, 2, 3], 0.25)]
    #[case::one_lower(&[4, 5, 9], &[1], 0.25)]
    #[case::one_in_between(&[2, 3], &[1, 4, 5], 0.8)]
    #[case::the_same(&[1, 1], &[1, 1], 1.0)]
    #[case::none(&[], &[1], 1.0)]
    fn an_order_is_as_probable_as_counted(
        #[case] higher: &[u64],
        #[case] lower: &[u64],
        #[case] expected: f64,
    ) {
        let probability = probability(higher, lower);
        assert!((probability - expected).abs() < 1e-12, "{probability} and not {expected}");
    }

    #[test]
    fn a_large_sample_is_as_probable_as_a_small_one_of_the_same_kind() {
        let (odd, even): (Vec<u64>, Vec<u64>) =
            ((0..200).map(|n| 2 * n + 1).collect(), (0..200).map(|n| 2 * n).collect());
        let large = probability(&odd, &even);
        let small = probability(&odd[..20], &even[..20]);
        assert!((0.3..0.6).contains(&large) && (0.3..0.6).contains(&small), "{large} {small}");
    }
}
