//! The position of a snapshot, held against simulated servers: transactions get their numbers, write their records, are seen
//! and let go of their locks, each in its own time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;

use pgdrill_model::recovery_point::{Ended, Leg, Path, RecoveryPoint, Wal};
use pgdrill_model::scenario::{Point, Target};
use pgdrill_model::snapshot::{Asked, Comparison, Nowhere, Position, Snapshot, Span, without_header};
use pgdrill_model::units::Lsn;
use proptest::prelude::*;
use rstest::rstest;

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Recorded,
    Over,
    LetGo,
}

struct Transaction {
    xid: u64,
    subxids: Vec<u64>,
    committed: bool,
    stage: Stage,
}

/// A server, reduced to what decides who is seen.
struct Simulated {
    next: u64,
    latest_over: u64,
    lsn: u64,
    transactions: Vec<Transaction>,
    ends: Vec<Ended>,
}

impl Simulated {
    fn new(first: u64) -> Self {
        Self { next: first, latest_over: first - 1, lsn: 1000, transactions: Vec::new(), ends: Vec::new() }
    }

    fn of(&mut self, stage: Stage, which: usize) -> Option<&mut Transaction> {
        let mut there: Vec<&mut Transaction> =
            self.transactions.iter_mut().filter(|transaction| transaction.stage == stage).collect();
        let count = there.len();
        (count > 0).then(|| there.swap_remove(which % count))
    }

    /// One thing that happens; `kind` and `which` choose it.
    fn happen(&mut self, kind: u8, which: usize) {
        match kind % 6 {
            0 => {
                let (xid, committed) = (self.next, !which.is_multiple_of(5));
                self.next += 1;
                self.transactions.push(Transaction {
                    xid,
                    subxids: vec![],
                    committed,
                    stage: Stage::Running,
                });
            }
            1 => {
                let next = self.next;
                if let Some(transaction) = self.of(Stage::Running, which) {
                    transaction.subxids.push(next);
                    self.next += 1;
                }
            }
            2 => self.lsn += 64,
            3 => {
                let start = self.lsn;
                let Some(transaction) = self.of(Stage::Running, which) else { return };
                transaction.stage = Stage::Recorded;
                let ended = Ended {
                    xid: transaction.xid as u32,
                    subxids: transaction.subxids.iter().map(|xid| *xid as u32).collect(),
                    committed: transaction.committed,
                    start: Lsn(start),
                    end: Lsn(start + 48),
                };
                self.ends.push(ended);
                self.lsn += 48;
            }
            4 => {
                let Some(transaction) = self.of(Stage::Recorded, which) else { return };
                transaction.stage = Stage::Over;
                let last = transaction.subxids.last().copied().unwrap_or_default().max(transaction.xid);
                self.latest_over = self.latest_over.max(last);
            }
            _ => {
                if let Some(transaction) = self.of(Stage::Over, which) {
                    transaction.stage = Stage::LetGo;
                }
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let xmax = self.latest_over + 1;
        let running = self.transactions.iter().filter(|one| one.stage < Stage::Over && one.xid < xmax);
        let running: Vec<u64> = running.map(|one| one.xid).collect();
        let xmin = running.iter().copied().min().unwrap_or(xmax);
        Snapshot { xmin, xmax, running }
    }

    fn holding(&self) -> Vec<u64> {
        let holding = self.transactions.iter().filter(|one| one.stage < Stage::LetGo);
        holding.flat_map(|one| one.subxids.iter().copied().chain([one.xid])).collect()
    }

    fn seen(&self) -> BTreeSet<u32> {
        let seen = self.transactions.iter().filter(|one| one.stage >= Stage::Over && one.committed);
        seen.map(|one| one.xid as u32).collect()
    }
}

/// What came of a simulation: what was asked, what the snapshot really sees, all that ended, and where the WAL stands.
struct Story {
    asked: Asked,
    seen: BTreeSet<u32>,
    ends: Vec<Ended>,
    lsn: Lsn,
}

fn play(first: u64, script: &[(u8, usize)], turns: &[usize]) -> Story {
    let mut server = Simulated::new(first);
    let mut steps = script.iter();
    let mut go_on = |server: &mut Simulated, turns: usize| {
        for (kind, which) in steps.by_ref().take(turns) {
            server.happen(*kind, *which);
        }
    };
    let turn = |number: usize| turns.get(number).copied().unwrap_or_default();
    go_on(&mut server, script.len() / 2);
    let before = Lsn(server.lsn);
    go_on(&mut server, turn(0));
    let holding = server.holding();
    go_on(&mut server, turn(1));
    let (snapshot, seen) = (server.snapshot(), server.seen());
    go_on(&mut server, turn(2));
    let after = Lsn(server.lsn);
    go_on(&mut server, turn(3));
    let holding_after = server.holding();
    go_on(&mut server, turn(4));
    let snapshot_after = server.snapshot();
    go_on(&mut server, usize::MAX);
    let asked = Asked { timeline: 1, before, holding, snapshot, after, holding_after, snapshot_after };
    Story { asked, seen, ends: server.ends, lsn: Lsn(server.lsn) }
}

/// The commits of all records that begin before a position.
fn commits_before(ends: &[Ended], position: Lsn) -> BTreeSet<u32> {
    ends.iter().filter(|ended| ended.committed && ended.start < position).map(|ended| ended.xid).collect()
}

fn wal_from(story: &Story, from: Lsn) -> Wal {
    let ends = story.ends.iter().filter(|ended| ended.start >= from).cloned().collect();
    Wal { path: Path::only(1), from, to: story.lsn, ends }
}

fn stories() -> impl Strategy<Value = (u64, Vec<(u8, usize)>, Vec<usize>)> {
    // Near the end of an epoch the numbers in the WAL begin anew.
    let first = prop_oneof![Just(1000_u64), Just((7 << 32) - 20), Just(1 << 32)];
    let script = prop::collection::vec((any::<u8>(), 0..20_usize), 0..160);
    (first, script, prop::collection::vec(0..6_usize, 5))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_position_is_found_where_there_is_one_and_nowhere_else(
        (first, script, turns) in stories(),
        cut in 0..200_usize,
    ) {
        let story = play(first, &script, &turns);
        let asked = story.asked.clone();
        let position = Position::InTheWal {
            timeline: 1, before: asked.before, after: asked.after, snapshot: asked.snapshot, holding: asked.holding,
        };
        // The WAL is there from any record on that begins no later than the snapshot's bracket.
        let begins: Vec<Lsn> =
            story.ends.iter().map(|ended| ended.start).chain([Lsn(0)]).filter(|at| *at <= asked.before).collect();
        let from = begins[cut % begins.len()];
        let wal = wal_from(&story, from);
        let places: Vec<Lsn> =
            story.ends.iter().map(|ended| ended.end).chain([Lsn(0)]).filter(|at| *at >= from || *at == Lsn(0)).collect();
        let there_is_one = places.iter().any(|at| commits_before(&story.ends, *at) == story.seen);
        match position.locate(Some(&wal)) {
            Ok(span) => {
                // What a restored server answers for transactions of which the WAL says nothing.
                let committed_before = story.ends.iter().filter(|ended| ended.committed && ended.start < from);
                let committed: BTreeSet<u32> =
                    committed_before.flat_map(|ended| ended.subxids.iter().copied().chain([ended.xid])).collect();
                let comparable = !span.unresolved.iter().any(|xid| committed.contains(&(*xid as u32)));
                let Target { at: Point::Lsn(target), inclusive: false } = span.target(asked.after) else { panic!() };
                for at in [span.from, span.to.unwrap_or(story.lsn), target] {
                    let exact = commits_before(&story.ends, at) == story.seen;
                    prop_assert_eq!(exact, comparable, "{:?} at {}", &span, at);
                }
            }
            Err(Nowhere::OutOfOrder { .. }) => prop_assert!(!there_is_one),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn what_is_exact_is_exact((first, script, turns) in stories()) {
        let story = play(first, &script, &turns);
        if let Position::Exact { lsn, .. } = story.asked.clone().position() {
            prop_assert_eq!(commits_before(&story.ends, lsn), story.seen.clone());
            let wal = wal_from(&story, Lsn(0));
            let span = story.asked.position().locate(Some(&wal)).unwrap();
            for at in [span.from, span.to.unwrap_or(story.lsn)] {
                prop_assert_eq!(commits_before(&story.ends, at), story.seen.clone());
            }
        }
    }

    #[test]
    fn a_number_of_the_wal_is_the_nearest(xmax in (1_u64 << 33)..(1 << 40), off in -(1_i64 << 30)..(1 << 30)) {
        let snapshot = Snapshot { xmin: xmax, xmax, running: vec![] };
        let full = xmax.saturating_add_signed(off);
        prop_assert_eq!(snapshot.full(full as u32), full);
    }
}

#[test]
fn simulated_servers_are_of_every_kind() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut exact, mut found, mut none, mut unresolved) = (0, 0, 0, 0);
    for _ in 0..2000 {
        let (first, script, turns) = stories().new_tree(&mut runner).unwrap().current();
        let story = play(first, &script, &turns);
        let (all, cut) = (wal_from(&story, Lsn(0)), wal_from(&story, story.asked.before));
        let before: BTreeSet<u32> = commits_before(&story.ends, story.asked.before);
        match story.asked.position() {
            Position::Exact { .. } => exact += 1,
            position => match (position.locate(Some(&all)), position.locate(Some(&cut))) {
                (Err(_), Ok(span)) => {
                    // Only what was kept of the locks tells that this one has none.
                    none += 1;
                    unresolved +=
                        u32::from(span.unresolved.iter().any(|xid| before.contains(&(*xid as u32))));
                }
                (Err(_), _) => none += 1,
                _ => found += 1,
            },
        }
    }
    assert!(exact > 50 && found > 50 && none > 50 && unresolved > 50, "{exact} {found} {none} {unresolved}");
}

#[rstest]
#[case("10:20:10,14,15", Some((10, 20, vec![10, 14, 15])))]
#[case("10:10:", Some((10, 10, vec![])))]
#[case("10:5:", None)]
#[case("10:20:25", None)]
#[case("10:20", None)]
#[case("10:20:x", None)]
#[case("", None)]
fn a_snapshot_is_read_as_it_is_written(#[case] text: &str, #[case] expected: Option<(u64, u64, Vec<u64>)>) {
    let read = text.parse::<Snapshot>().ok();
    assert_eq!(read, expected.map(|(xmin, xmax, running)| Snapshot { xmin, xmax, running }));
    if let Some(snapshot) = read {
        assert_eq!(snapshot.to_string(), text);
    }
}

#[rstest]
#[case(0x100_0028, 0x100_0000)]
#[case(0x100_2018, 0x100_2000)]
#[case(0x100_2028, 0x100_2028)]
#[case(0x100_0018, 0x100_0018)]
#[case(0x100_0060, 0x100_0060)]
fn a_header_holds_nothing(#[case] lsn: u64, #[case] expected: u64) {
    assert_eq!(without_header(Lsn(lsn), 8192, 1 << 20), Lsn(expected));
}

fn commit(xid: u32, start: u64) -> Ended {
    Ended { xid, subxids: vec![], committed: true, start: Lsn(start), end: Lsn(start + 48) }
}

fn forked() -> Path {
    Path(vec![Leg { timeline: 1, until: Some(Lsn(500)) }, Leg { timeline: 2, until: None }])
}

#[test]
fn what_a_baseline_is_worth_depends_on_where_recovery_stopped() {
    let ends = vec![commit(10, 100), commit(11, 200), commit(12, 300), commit(13, 600)];
    let wal = Wal { path: forked(), from: Lsn(0), to: Lsn(700), ends };
    let exact = |timeline, lsn| Position::Exact { timeline, lsn: Lsn(lsn) };
    let span = exact(1, 260).locate(Some(&wal)).unwrap();
    assert_eq!((span.from, span.to), (Lsn(248), Some(Lsn(300))));
    let compare = |lsn| span.compare(&RecoveryPoint { path: forked(), lsn: Lsn(lsn) }, Some(&wal));
    assert_eq!(compare(248), Comparison::Exact);
    assert_eq!(compare(300), Comparison::Exact);
    assert_eq!(compare(650), Comparison::Earlier { commits: Some(2) });
    assert_eq!(compare(240), Comparison::Later { commits: Some(1) });
    let other = RecoveryPoint { path: Path::only(3), lsn: Lsn(300) };
    assert_eq!(span.compare(&other, None), Comparison::Elsewhere);
    // Timeline 1 was left at 500: what was measured on it behind that is of another history.
    assert_eq!(exact(1, 600).locate(Some(&wal)), Err(Nowhere::OtherHistory { timeline: 1 }));
    assert_eq!(exact(3, 600).locate(Some(&wal)), Err(Nowhere::OtherHistory { timeline: 3 }));
    assert_eq!(exact(1, 260).locate(None).unwrap().to, Some(Lsn(260)));
}

#[test]
fn wal_that_does_not_cover_the_snapshot_tells_nothing() {
    let position = Position::InTheWal {
        timeline: 1,
        before: Lsn(200),
        after: Lsn(400),
        snapshot: "11:12:11".parse().unwrap(),
        holding: vec![11],
    };
    let wal = |from, to| Wal { path: Path::only(1), from: Lsn(from), to: Lsn(to), ends: vec![] };
    assert_eq!(position.locate(None), Err(Nowhere::NoWal));
    let late = Nowhere::BeginsLate { wanted: Lsn(200), from: Lsn(201) };
    assert_eq!(position.locate(Some(&wal(201, 500))), Err(late));
    let early = Nowhere::EndsEarly { wanted: Lsn(400), to: Lsn(399) };
    assert_eq!(position.locate(Some(&wal(100, 399))), Err(early));
    assert_eq!(position.locate(Some(&wal(200, 400))).unwrap().unresolved, [11]);
}

#[test]
fn several_databases_have_the_positions_that_are_all_of_theirs() {
    let span = |from, to: Option<u64>| Span {
        timeline: 1,
        from: Lsn(from),
        to: to.map(Lsn),
        unresolved: vec![from],
    };
    let common = Span::common([&span(100, Some(300)), &span(200, None), &span(50, Some(250))]).unwrap();
    assert_eq!((common.from, common.to, common.unresolved), (Lsn(200), Some(Lsn(250)), vec![100, 200, 50]));
    assert_eq!(Span::common([&span(100, Some(200)), &span(300, None)]), None);
    assert_eq!(Span::common([&span(100, None), &Span { timeline: 2, ..span(100, None) }]), None);
    assert_eq!(Span::common([]), None);
}
