//! The targets of a sweep: points between two records, drawn by a seed from the boundaries of commits, spread over the
//! whole of the WAL.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use pgdrill_backup::wal::Chronicle;
use pgdrill_backup::wal::chronicle::{Event, What};
use pgdrill_model::scenario::{self, Point};
use pgdrill_model::units::Lsn;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Positions per target that the WAL is looked at closely at: for each stretch there is one, wherever the WAL ends.
const CLOSELY: u32 = 64;

/// How often it is tried again where two draws gave the same point.
const ROUNDS: usize = 12;

/// On which side of a commit a target lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Boundary {
    /// The next record is the commit.
    Before,
    /// The last record is the commit.
    At,
    /// Neither: in the midst of transactions.
    Between,
}

impl Boundary {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::At, Self::Between];
}

/// A point at which replay stops: every record that ends there or before is replayed, no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The point, the end of a record.
    pub position: u64,
    /// On which side of a commit.
    pub boundary: Boundary,
    /// The transaction of that commit.
    pub xid: Option<u32>,
    /// How a recovery is told to stop there.
    pub to: scenario::Target,
}

impl Drawn {
    /// The point in words.
    pub fn words(&self) -> String {
        let at = Lsn(self.position);
        match (self.boundary, self.xid) {
            (Boundary::Before, Some(xid)) => format!("{at}, just before the commit of transaction {xid}"),
            (Boundary::At, Some(xid)) => format!("{at}, just after the commit of transaction {xid}"),
            _ => format!("{at}, between two commits"),
        }
    }
}

/// Positions at which the WAL is to be looked at closely so that `count` targets can be drawn, somewhere in `range`.
pub fn closely(range: std::ops::Range<u64>, count: u32, seed: u64) -> Vec<u64> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    if range.is_empty() {
        return Vec::new();
    }
    (0..count.saturating_mul(CLOSELY)).map(|_| chance.random_range(range.clone())).collect()
}

/// Draws `count` targets from the boundaries within `ranges`, which ascend; ascending, each once. Fewer where there are
/// not so many. `closely` are the positions that the chronicle was read with.
///
/// They are spread evenly over the commits: WAL without commits, as behind a switch of segments, has nothing to prove.
/// Where there are fewer commits than targets, the others are spread over the bytes.
pub fn draw(
    chronicle: &Chronicle,
    ranges: &[RangeInclusive<u64>],
    closely: &[u64],
    count: u32,
    seed: u64,
) -> Vec<Drawn> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let is_in = |position: u64| ranges.iter().any(|range| range.contains(&position));
    let mut positions: Vec<u64> = closely.iter().copied().filter(|position| is_in(*position)).collect();
    positions.sort_unstable();
    let commits: Vec<usize> = chronicle
        .events()
        .enumerate()
        .filter(|(_, event)| matches!(event.what, What::Commit(_)) && is_in(event.end))
        .map(|(number, _)| number)
        .collect();
    let mut drawn: BTreeMap<u64, Drawn> = BTreeMap::new();
    for round in 0..ROUNDS {
        let missing = (count as usize).saturating_sub(drawn.len());
        for stratum in 0..missing {
            let own = part(&commits, stratum, missing);
            // The last of all is the last commit: what everybody wants back.
            let last = round == 0 && stratum + 1 == missing;
            let side = match (stratum + round) % 3 {
                _ if last => Boundary::At,
                0 => Boundary::At,
                1 => Boundary::Before,
                _ => Boundary::Between,
            };
            let number = if last { commits.last() } else { own.choose(&mut chance) };
            let found = match (number.and_then(|number| chronicle.get(*number)), side) {
                (None, _) => {
                    let near = part(&positions, stratum, missing).choose(&mut chance);
                    near.and_then(|at| between(chronicle, *at))
                }
                (Some(event), Boundary::Between) => {
                    // Anywhere in the stretch of this stratum.
                    let from =
                        own.first().and_then(|first| chronicle.get(*first)).map_or(0, |first| first.start);
                    let to = own.last().and_then(|last| chronicle.get(*last)).map_or(0, |last| last.end);
                    let low = positions.partition_point(|position| *position < from);
                    let high = positions.partition_point(|position| *position <= to);
                    let near = positions.get(low..high).and_then(|near| near.choose(&mut chance));
                    let near = near.or_else(|| positions.get(low));
                    near.and_then(|at| between(chronicle, *at))
                        .or_else(|| beside(&event, Boundary::At, &mut chance))
                }
                (Some(event), side) => beside(&event, side, &mut chance),
            };
            if let Some(one) = found.filter(|one| is_in(one.position)) {
                drawn.entry(one.position).or_insert(one);
            }
        }
    }
    drawn.into_values().collect()
}

/// One of `of` parts of a list, which are as long as each other.
fn part<T>(list: &[T], number: usize, of: usize) -> &[T] {
    let bound = |number: usize| list.len() * number / of.max(1);
    list.get(bound(number)..bound(number + 1)).unwrap_or_default()
}

/// Beside a commit, on a side of it.
fn beside(event: &Event<'_>, side: Boundary, chance: &mut ChaCha8Rng) -> Option<Drawn> {
    let What::Commit(finished) = event.what else { return None };
    let inclusive = side == Boundary::At;
    // Both say the same, in another way to the server.
    let at = if chance.random_bool(0.5) { Point::Xid(finished.xid) } else { Point::Lsn(Lsn(event.start)) };
    Some(Drawn {
        position: if inclusive { event.end } else { event.replayed_before },
        boundary: side,
        xid: Some(finished.xid),
        to: scenario::Target { at, inclusive },
    })
}

/// Behind the last record before a position.
fn between(chronicle: &Chronicle, at: u64) -> Option<Drawn> {
    let (start, end) = chronicle.near(at)?.before?;
    let event = chronicle.get(chronicle.first_from(start)).filter(|event| event.start == start);
    let (boundary, xid) = match event.map(|event| event.what) {
        Some(What::Commit(finished)) => (Boundary::At, Some(finished.xid)),
        _ => (Boundary::Between, None),
    };
    let to = scenario::Target { at: Point::Lsn(Lsn(start)), inclusive: true };
    Some(Drawn { position: end, boundary, xid, to })
}

/// Which `count` of the targets are recovered for real: the last, at which all WAL is replayed, one of each other kind,
/// and others, ascending.
pub fn repeated(targets: &[Drawn], count: u32, seed: u64) -> Vec<usize> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let last = targets.len().checked_sub(1);
    let mut chosen: Vec<usize> = last.into_iter().collect();
    let is_of = |boundary| targets.last().is_some_and(|last| last.boundary == boundary);
    for boundary in Boundary::ALL.into_iter().filter(|boundary| !is_of(*boundary)) {
        let of: Vec<usize> = (0..targets.len())
            .filter(|number| targets.get(*number).is_some_and(|target| target.boundary == boundary))
            .collect();
        chosen.extend(of.choose(&mut chance));
    }
    let others: Vec<usize> = (0..targets.len()).filter(|number| !chosen.contains(number)).collect();
    let more = (count as usize).saturating_sub(chosen.len()).min(others.len());
    chosen.extend(others.sample(&mut chance, more));
    chosen.truncate(count as usize);
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::path::PathBuf;

    use flate2::read::GzDecoder;
    use pgdrill_backup::wal::Store;
    use pgdrill_backup::wal::target::{self, Consistent, Stop, Target};
    use pgdrill_backup::wal::timelines::Place;
    use pgdrill_ondisk::wal::Lineage;
    use rstest::rstest;

    /// The archive of a real server, and where the backup begins whose WAL it holds.
    struct Case {
        directory: tempfile::TempDir,
        begin: Place,
    }

    impl Case {
        fn of(major: u32) -> Self {
            let fixture = PathBuf::from(format!("../../fixtures/ondisk/wal/{major}"));
            let directory = tempfile::tempdir().unwrap();
            let packed = File::open(fixture.join("archive.tar.gz")).unwrap();
            tar::Archive::new(GzDecoder::new(packed)).unpack(directory.path()).unwrap();
            let text = std::fs::read_to_string(fixture.join("cluster.txt")).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("START WAL LOCATION:")).unwrap();
            let Lsn(position) = line.trim().split(' ').next().unwrap().parse().unwrap();
            Self { directory, begin: Place { timeline: 1, position } }
        }

        fn read(&self, closely: &[u64]) -> Chronicle {
            let store = Store::open(&[self.directory.path()]).unwrap();
            Chronicle::read(store, self.begin, Lineage::single(1), closely)
        }

        fn consistent(&self) -> Consistent {
            Consistent::AtBackupEnd { start: self.begin.position }
        }

        /// The consistent point, and the end of the WAL.
        fn range(&self) -> RangeInclusive<u64> {
            let chronicle = self.read(&[]);
            let Stop::At(stopped) = target::stop(&chronicle, &Target::Immediate, self.consistent()) else {
                panic!("it never becomes consistent")
            };
            stopped.replayed_to + 1..=chronicle.reached()
        }

        fn draw(&self, count: u32, seed: u64) -> Vec<Drawn> {
            let range = self.range();
            let close = closely(*range.start()..*range.end(), count, seed);
            draw(&self.read(&close), &[range], &close, count, seed)
        }
    }

    /// What a server is told must stop it exactly where the target lies: the rules of that are compared with real
    /// servers in the crate of backups.
    #[rstest]
    fn a_recovery_that_is_told_so_stops_at_the_target(#[values(13, 15, 17, 18)] major: u32) {
        let case = Case::of(major);
        let targets = case.draw(20, 7);
        for boundary in Boundary::ALL {
            assert!(targets.iter().any(|target| target.boundary == boundary), "{boundary:?}: {targets:?}");
        }
        for drawn in &targets {
            let inclusive = drawn.to.inclusive;
            let (to, closely) = match drawn.to.at {
                Point::Xid(xid) => (Target::Xid { xid, inclusive }, Vec::new()),
                Point::Lsn(Lsn(position)) => (Target::Lsn { position, inclusive }, vec![position]),
                ref other => panic!("{other:?}"),
            };
            let chronicle = case.read(&closely);
            let Stop::At(stopped) = target::stop(&chronicle, &to, case.consistent()) else {
                panic!("{drawn:?}")
            };
            assert!(stopped.exact, "{drawn:?}");
            assert_eq!(stopped.replayed_to, drawn.position, "{drawn:?}");
            // Before, at: the same commit is out, is in.
            let is_in = chronicle
                .events()
                .take(stopped.events)
                .any(|event| matches!(event.what, What::Commit(finished) if Some(finished.xid) == drawn.xid));
            assert_eq!(is_in, drawn.boundary == Boundary::At, "{drawn:?}");
        }
    }

    #[test]
    fn targets_ascend_within_their_ranges_and_the_seed_draws_them_again() {
        let case = Case::of(15);
        let targets = case.draw(12, 42);
        assert!(targets.windows(2).all(|pair| pair[0].position < pair[1].position), "{targets:?}");
        assert!(targets.iter().all(|target| case.range().contains(&target.position)));
        assert_eq!(targets, case.draw(12, 42));
        assert_ne!(targets, case.draw(12, 43));
        let chronicle = case.read(&[]);
        let last = chronicle.events().rfind(|event| matches!(event.what, What::Commit(_))).unwrap();
        assert!(targets.iter().any(|target| target.position == last.end), "the last commit is one");
    }

    #[test]
    fn they_are_spread_over_the_commits() {
        let case = Case::of(17);
        let chronicle = case.read(&[]);
        let commits: Vec<u64> = chronicle
            .events()
            .filter(|event| matches!(event.what, What::Commit(_)) && case.range().contains(&event.end))
            .map(|event| event.end)
            .collect();
        let targets = case.draw(12, 1);
        assert_eq!(targets.len(), 12);
        // In each third of the commits there is about a third of them.
        for third in 0..3 {
            let bound = |number: usize| commits[number * (commits.len() - 1) / 3];
            let (low, high) = (bound(third), bound(third + 1));
            let within = targets.iter().filter(|target| (low..=high).contains(&target.position)).count();
            assert!((2..=6).contains(&within), "{within} of 12 in third {third}: {targets:?}");
        }
    }

    #[test]
    fn nothing_is_drawn_where_nobody_knows_what_was_written() {
        let case = Case::of(15);
        let range = case.range();
        let middle = range.start().midpoint(*range.end());
        let known = [*range.start()..=range.start() + (middle - range.start()) / 2, middle..=*range.end()];
        let close = closely(*range.start()..*range.end(), 40, 3);
        let targets = draw(&case.read(&close), &known, &close, 40, 3);
        assert!(!targets.is_empty());
        assert!(targets.iter().all(|target| known.iter().any(|known| known.contains(&target.position))));
        assert_eq!(draw(&case.read(&close), &[], &close, 40, 3), []);
    }

    #[test]
    fn more_targets_than_there_are_boundaries_are_all_of_them_once() {
        let case = Case::of(13);
        let targets = case.draw(400, 5);
        assert!(targets.len() > 20 && targets.len() < 400, "{}", targets.len());
        assert!(targets.windows(2).all(|pair| pair[0].position < pair[1].position));
    }

    #[test]
    fn the_last_and_one_of_each_kind_are_repeated() {
        let targets = Case::of(15).draw(20, 9);
        for seed in 0..20 {
            let chosen = repeated(&targets, 3, seed);
            let kinds: std::collections::BTreeSet<Boundary> =
                chosen.iter().map(|number| targets[*number].boundary).collect();
            assert_eq!((chosen.len(), kinds.len()), (3, 3), "{chosen:?}");
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!(chosen.last(), Some(&(targets.len() - 1)));
            assert_eq!(repeated(&targets, 5, seed).len(), 5);
        }
        assert_eq!(repeated(&targets[..2], 5, 1), [0, 1]);
        assert_eq!(repeated(&[], 3, 1), [0; 0]);
    }
}
