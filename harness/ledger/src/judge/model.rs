//! The judgement against a model that tries every position where a commit record could be: random histories of small
//! numbers, with damage.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::found::Found;
use crate::history::{Fate, History, Transaction, Writer};
use crate::judge::{Class, Disagreement, Question, Required, judge};
use crate::record::Level;
use crate::wal::{Commit, Leg, Replayed};

const FATES: [Fate; 6] = [
    Fate::Acknowledged(Level::On),
    Fate::Acknowledged(Level::Off),
    Fate::CancelledWait,
    Fate::Unanswered,
    Fate::Failed,
    Fate::RolledBack,
];

/// One transaction of a random history: its bracket, where its record really ends, and whether it is in the database.
#[derive(Clone, Debug)]
struct Made {
    writer: u16,
    before: u64,
    width: u64,
    fate: Fate,
    record: Option<u64>,
    rows: u16,
}

fn made() -> impl Strategy<Value = Made> {
    (1..4_u16, 0..40_u64, 1..9_u64, 0..6_usize, prop::option::weighted(0.8, 0..10_u64), 0..3_u16).prop_map(
        |(writer, before, width, fate, record, rows)| Made {
            writer,
            before,
            width,
            fate: FATES[fate],
            // Now and then outside of the bracket.
            record: record.map(|at| before + 1 + at),
            rows,
        },
    )
}

/// Writer 3 writes on timeline 2, which begins at 20; the others on timeline 1.
fn branch(writer: u16) -> u32 {
    if writer == 3 { 2 } else { 1 }
}

/// The class by trying every end that the record could have. `None` stands for no record.
fn by_trying(one: &Made, line: &[Leg], required: Required, replayed: Option<(u64, u64, &[Leg])>) -> Class {
    let there = one.rows > 0;
    let until =
        |path: &[Leg]| path.iter().find(|leg| leg.branch == branch(one.writer)).map_or(0, |leg| leg.until);
    let was_read = |end: u64| {
        replayed.is_some_and(|(from, reached, path)| end > from && end <= reached && end <= until(path))
    };
    if matches!(one.fate, Fate::Failed | Fate::RolledBack) {
        return if there { Class::Unexpected } else { Class::NotCommitted };
    }
    let after = if one.fate == Fate::Unanswered { 10_000 } else { one.before + one.width };
    let bracket = one.before + 1..=after;
    // Outside of its bracket, the record of one that was not promised is somebody else's.
    let own = |end: &u64| *end <= after || one.fate.durable();
    let known = one.record.filter(|end| was_read(*end) && own(end));
    let mut ends: Vec<u64> = match known {
        Some(end) => vec![end],
        None => bracket.clone().filter(|end| !was_read(*end)).collect(),
    };
    if ends.is_empty() {
        ends = bracket.collect();
    }
    let is_before = |end: &u64| {
        *end <= until(line)
            && match required {
                Required::Everything => true,
                Required::Before(target) => *end <= target,
            }
    };
    if !ends.iter().any(is_before) {
        let by_target = matches!(required, Required::Before(target) if target < until(line));
        return match (there, by_target) {
            (true, _) => Class::Unexpected,
            (false, true) => Class::AfterTarget,
            (false, false) => Class::GivenUp,
        };
    }
    let open = if there { Class::IndeterminatePresent } else { Class::IndeterminateAbsent };
    if !ends.iter().all(is_before) {
        return open;
    }
    let in_backup = replayed.is_some_and(|(from, ..)| after <= from);
    match one.fate {
        Fate::Acknowledged(_) if there => Class::Recovered,
        Fate::Acknowledged(Level::Off) if known.is_none() && !in_backup => Class::NotPromised,
        Fate::Acknowledged(_) => Class::Lost,
        _ => open,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_class_is_what_trying_all_positions_gives(
        all in prop::collection::vec(made(), 0..24),
        target in prop::option::of(0..50_u64),
        wal in prop::option::weighted(0.8, (0..30_u64, 0..50_u64)),
        forked: bool,
        wrong_way: bool,
    ) {
        let straight = [Leg { branch: 1, until: u64::MAX }];
        let bent = [Leg { branch: 1, until: 20 }, Leg { branch: 2, until: u64::MAX }];
        let line: &[Leg] = if forked { &bent } else { &straight };
        let path: &[Leg] = if forked != wrong_way { &bent } else { &straight };
        let required = target.map_or(Required::Everything, Required::Before);
        let mut history = History::default();
        let mut found = Found::new();
        let mut commits = Vec::new();
        let mut expected: BTreeMap<(u16, u64), Class> = BTreeMap::new();
        let (mut torn, mut foreign) = (0, 0);
        for (one, xid) in all.iter().zip(10_u32..) {
            let branch = branch(one.writer);
            let writer = history.writers.entry(one.writer).or_insert(Writer { branch, transactions: Vec::new() });
            let after = if one.fate.committed() { one.before + one.width } else { u64::MAX };
            writer.transactions.push(Transaction {
                before: one.before, after, time_us: i64::from(xid), xid, rows: 3, audited: 1, fate: one.fate,
            });
            let seq = writer.transactions.len() as u64;
            found.add(one.writer, seq, one.rows);
            torn += u64::from(one.rows > 1 && !one.fate.not_committed());
            let until = path.iter().find(|leg| leg.branch == branch).map_or(0, |leg| leg.until);
            if let (Some((from, reached)), Some(end)) = (wal, one.record)
                && end > from && end <= reached && end <= until
            {
                foreign += u64::from(end > after && !one.fate.durable() && !one.fate.not_committed());
                commits.push(Commit { branch, xid, lsn_start: end - 1, lsn_end: end, time_us: 0 });
            }
            let replayed = wal.map(|(from, reached)| (from, reached, path));
            expected.insert((one.writer, seq), by_trying(one, line, required, replayed));
        }
        let replayed = wal.map(|(from, reached)| Replayed { from, reached, path, commits: &commits });
        let judgement = judge(&Question { history: &history, line, required, replayed, found: &found });
        for ((writer, seq), class) in &expected {
            prop_assert_eq!(judgement.class(*writer, *seq), Some(*class), "writer {} seq {}", writer, seq);
        }
        let count = |class: Class| expected.values().filter(|one| **one == class).count() as u64;
        prop_assert_eq!(judgement.lost.count, count(Class::Lost));
        prop_assert_eq!(judgement.recovered.count, count(Class::Recovered));
        prop_assert_eq!(judgement.unexpected.count, count(Class::Unexpected));
        prop_assert_eq!(judgement.disagreements.of(Disagreement::Torn), torn);
        prop_assert_eq!(judgement.span.is_some(), count(Class::Lost) > 0);
        prop_assert!(judgement.foreign_commits >= foreign);
    }
}
