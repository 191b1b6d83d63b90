//! A part of a suite, for one of several machines: each drill is in exactly one part, and the parts take about as long.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use pgdrill_model::run::Run;
use pgdrill_model::times::Times;
use pgdrill_model::units::Major;

use crate::matrix::Cell;

/// Which part, as in `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1 on.
    number: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            Some((number, of)) => {
                Err(format!("there is no part {number} of {of}; the first of five is 1/5, the last 5/5"))
            }
            None => Err("write which part of how many, as in 2/5".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// The cells of one part, in their order. How long a drill takes is told by `known` runs of it: the longest go first, each to the
/// part that has least to do. The same cells and runs are split in the same way everywhere.
pub fn take<'a>(cells: Vec<Cell<'a>>, shard: Shard, known: &[Run]) -> Vec<Cell<'a>> {
    let times = times(known);
    // What is not known takes as long as others do.
    let usual = Times::of(times.values().copied().collect()).map_or(1, |times| times.median());
    let weights: Vec<u64> = cells
        .iter()
        .map(|cell| times.get(&(cell.scenario.id.as_str(), cell.postgres)).copied().unwrap_or(usual).max(1))
        .collect();
    let mine = split(&weights, shard.of);
    cells.into_iter().zip(mine).filter(|(_, part)| *part == shard.number - 1).map(|(cell, _)| cell).collect()
}

/// How long the drills of each scenario and major took, in microseconds: the median.
fn times(known: &[Run]) -> BTreeMap<(&str, Major), u64> {
    let mut all: BTreeMap<(&str, Major), Vec<u64>> = BTreeMap::new();
    for run in known {
        all.entry((&run.header.scenario, run.header.postgres)).or_default().push(run.took_us);
    }
    all.into_iter().filter_map(|(of, times)| Some((of, Times::of(times)?.median()))).collect()
}

/// In which of `parts` each is.
fn split(weights: &[u64], parts: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(weights[*index]), *index));
    let (mut loads, mut of) = (vec![0_u64; parts], vec![0; weights.len()]);
    for index in order {
        let least = (0..parts).min_by_key(|part| loads[*part]).unwrap_or_default();
        loads[least] += weights[index];
        of[index] = least;
    }
    of
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1/1", Some((1, 1)))]
    #[case("2/5", Some((2, 5)))]
    #[case("0/5", None)]
    #[case("6/5", None)]
    #[case("1/0", None)]
    #[case("2", None)]
    #[case("a/b", None)]
    #[case("-1/2", None)]
    fn a_part_is_one_of_so_many(#[case] text: &str, #[case] expected: Option<(usize, usize)>) {
        assert_eq!(text.parse().ok(), expected.map(|(number, of)| Shard { number, of }));
    }

    #[rstest]
    #[case(&[9, 1, 1, 1, 6, 3], 2)]
    #[case(&[1; 10], 3)]
    #[case(&[5], 4)]
    #[case(&[], 2)]
    fn each_is_in_one_part_and_no_part_has_more_than_another_and_its_longest(
        #[case] weights: &[u64],
        #[case] parts: usize,
    ) {
        let of = split(weights, parts);
        assert_eq!(of.len(), weights.len());
        let loads: Vec<u64> = (0..parts)
            .map(|part| {
                weights.iter().zip(&of).filter(|(_, of)| **of == part).map(|(weight, _)| weight).sum()
            })
            .collect();
        assert_eq!(loads.iter().sum::<u64>(), weights.iter().sum::<u64>());
        let longest = weights.iter().max().copied().unwrap_or(0);
        assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= longest, "{loads:?}");
        assert_eq!(split(weights, parts), of, "the same each time");
    }
}
