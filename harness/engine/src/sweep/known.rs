//! Where in the WAL it is known what must be there: from a quiet moment at which the content was captured, up to where
//! something wrote that no ledger tells.

use std::ops::RangeInclusive;

use pgdrill_ondisk::wal::Lineage;

use crate::baseline::{Baseline, Unrecorded};

/// A stretch of WAL within which the content is that of a baseline, and what the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its points.
    pub range: RangeInclusive<u64>,
    /// The number of the baseline.
    pub base: usize,
}

/// The stretches between `from` and `to` along `lineage`, ascending.
pub fn stretches(
    baselines: &[Baseline],
    unrecorded: &[Unrecorded],
    lineage: &Lineage,
    from: u64,
    to: u64,
) -> Vec<Known> {
    let on_the_way: Vec<(usize, &Baseline, u64)> = baselines
        .iter()
        .enumerate()
        .filter_map(|(number, base)| {
            let timeline = lineage.stretches().iter().find(|stretch| stretch.timeline == base.timeline)?;
            (base.settled.0 <= timeline.end).then_some((number, base, base.settled.0))
        })
        .collect();
    let mut known = Vec::new();
    for (number, base, settled) in &on_the_way {
        let settled = *settled;
        // The first of the same moment is as good as the others.
        let next = on_the_way.iter().map(|(.., other)| *other).filter(|at| *at > settled).min();
        let twice = on_the_way.iter().any(|(other, _, at)| other < number && *at == settled);
        let written = unrecorded
            .iter()
            .filter(|one| one.timeline == base.timeline && one.to.0 > settled)
            .map(|one| one.from.0)
            .min();
        // What a recovered server is written to at first is in no ledger: a new timeline needs a baseline of its own.
        let left_at = lineage.left_at(base.timeline);
        let ends = [next.map(|at| at.saturating_sub(1)), written, left_at];
        let end = ends.into_iter().flatten().min().unwrap_or(to).min(to);
        let start = settled.max(from);
        if !twice && start <= end {
            known.push(Known { range: start..=end, base: *number });
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::units::Lsn;
    use pgdrill_ondisk::history::Ancestor;

    fn wrote(from: u64, to: u64) -> Unrecorded {
        Unrecorded { timeline: 1, from: Lsn(from), to: Lsn(to) }
    }

    fn ranges(known: &[Known]) -> Vec<(u64, u64, usize)> {
        known.iter().map(|known| (*known.range.start(), *known.range.end(), known.base)).collect()
    }

    #[test]
    fn where_nobody_knows_what_was_written_there_is_no_target() {
        let baselines = [Baseline::sketch(1, 100), Baseline::sketch(1, 500)];
        let one = Lineage::single(1);
        let load = wrote(0, 100);
        assert_eq!(ranges(&stretches(&baselines, &[load], &one, 50, 900)), [(100, 499, 0), (500, 900, 1)]);
        // Writers between 100 and 300, then SQL to 500, then writers again, and an accident at 800.
        let known = stretches(&baselines, &[load, wrote(300, 500), wrote(800, u64::MAX)], &one, 200, 900);
        assert_eq!(ranges(&known), [(200, 300, 0), (500, 800, 1)]);
        // SQL that nobody captured the effect of.
        let known = stretches(&baselines[..1], &[load, wrote(300, 500)], &one, 200, 900);
        assert_eq!(ranges(&known), [(200, 300, 0)]);
        assert_eq!(stretches(&[], &[], &one, 200, 900), []);
    }

    #[test]
    fn two_baselines_of_one_moment_are_one() {
        let baselines = [Baseline::sketch(1, 100), Baseline::sketch(1, 100)];
        assert_eq!(ranges(&stretches(&baselines, &[], &Lineage::single(1), 0, 900)), [(100, 900, 0)]);
    }

    #[test]
    fn a_new_timeline_needs_a_baseline_of_its_own() {
        let two = Lineage::of(2, &[Ancestor { timeline: 1, switched_at: 400 }]).unwrap();
        let known = stretches(&[Baseline::sketch(1, 100), Baseline::sketch(2, 600)], &[], &two, 0, 900);
        assert_eq!(ranges(&known), [(100, 400, 0), (600, 900, 1)]);
        // What was given up is none.
        let known = stretches(&[Baseline::sketch(1, 100), Baseline::sketch(1, 500)], &[], &two, 0, 900);
        assert_eq!(ranges(&known), [(100, 400, 0)]);
    }
}
