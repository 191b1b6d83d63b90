//! Each rule of the judgement, with a case in which the naive rule is wrong.

use super::*;
use crate::history::{Fate, Transaction, Writer};
use crate::record::Level;
use crate::wal::Commit;

const ON: Fate = Fate::Acknowledged(Level::On);
const OFF: Fate = Fate::Acknowledged(Level::Off);

/// A history of one writer on timeline 1, whose transactions have the brackets and fates given and the numbers 101, ...
fn history(transactions: &[(u64, u64, Fate)]) -> History {
    let made = |(&(before, after, fate), xid): (&(u64, u64, Fate), u32)| Transaction {
        before,
        after,
        // The client's clock runs backwards here: nothing may depend on it.
        time_us: 10_000_000 - i64::from(xid) * 1_000,
        xid,
        rows: 3,
        audited: 1,
        fate,
    };
    let transactions: Vec<Transaction> = transactions.iter().zip(101..).map(made).collect();
    let mut history = History::default();
    history.writers.insert(1, Writer { branch: 1, transactions });
    history
}

fn commit(xid: u32, lsn_start: u64, lsn_end: u64) -> Commit {
    Commit { branch: 1, xid, lsn_start, lsn_end, time_us: 0 }
}

fn there(seqs: &[u64]) -> Found {
    let mut found = Found::new();
    seqs.iter().for_each(|seq| found.add(1, *seq, 1));
    found
}

struct Case {
    history: History,
    required: Required,
    commits: Option<Vec<Commit>>,
    reached: u64,
    found: Found,
}

impl Case {
    fn judge(&self) -> Judgement {
        let line = Leg::only(1);
        let replayed = self.commits.as_ref().map(|commits| Replayed {
            from: 0,
            reached: self.reached,
            path: &line,
            commits,
        });
        judge(&Question {
            history: &self.history,
            line: &line,
            required: self.required,
            replayed,
            found: &self.found,
        })
    }

    fn classes(&self) -> Vec<Class> {
        let judgement = self.judge();
        (1..).map_while(|seq| judgement.class(1, seq)).collect()
    }
}

#[test]
fn a_commit_astride_the_target_is_decided_by_the_wal_and_by_nothing_else() {
    // The target is 200. Both brackets hold it; the records lie on either side.
    let mut case = Case {
        history: history(&[(190, 230, ON), (195, 240, ON)]),
        required: Required::Before(200),
        commits: Some(vec![commit(101, 192, 200)]),
        reached: 200,
        found: there(&[1]),
    };
    assert_eq!(case.classes(), [Class::Recovered, Class::AfterTarget]);
    case.found = there(&[2]);
    assert_eq!(case.classes(), [Class::Lost, Class::Unexpected]);
    // Without the WAL nobody knows, and neither is lost.
    case.commits = None;
    assert_eq!(case.classes(), [Class::IndeterminateAbsent, Class::IndeterminatePresent]);
    assert_eq!((case.judge().lost.count, case.judge().unexpected.count), (0, 0));
}

#[test]
fn a_target_that_the_wal_does_not_reach_leaves_what_is_astride_it_undecided() {
    let case = Case {
        history: history(&[(190, 230, ON), (100, 110, ON)]),
        required: Required::Before(200),
        commits: Some(vec![commit(102, 100, 105)]),
        reached: 150,
        found: there(&[2]),
    };
    assert_eq!(case.classes(), [Class::IndeterminateAbsent, Class::Recovered]);
}

#[test]
fn what_lies_beyond_the_target_is_not_lost_and_must_not_be_there() {
    let mut case = Case {
        history: history(&[(10, 20, ON), (200, 210, ON)]),
        required: Required::Before(200),
        commits: Some(vec![commit(101, 12, 20)]),
        reached: 200,
        found: there(&[1]),
    };
    let judgement = case.judge();
    assert_eq!((judgement.lost.count, judgement.after_target.count, judgement.holds()), (0, 1, true));
    // Recovery went on to the end: the target was missed.
    case.commits = Some(vec![commit(101, 12, 20), commit(102, 201, 210)]);
    case.reached = 300;
    case.found = there(&[1, 2]);
    let judgement = case.judge();
    assert_eq!((judgement.unexpected.count, judgement.disagreements.count()), (1, 0));
    assert_eq!(
        judgement.unexpected.first.map(|one| (one.writer, one.seq, one.xid, one.lsn)),
        Some((1, 2, 102, 210))
    );
}

#[test]
fn an_asynchronous_commit_is_lost_only_if_its_record_was_replayed() {
    let mut case = Case {
        history: history(&[(10, 20, OFF), (30, 40, OFF)]),
        required: Required::Everything,
        commits: Some(vec![commit(101, 12, 20)]),
        reached: 25,
        found: there(&[]),
    };
    assert_eq!(case.classes(), [Class::Lost, Class::NotPromised]);
    case.commits = None;
    assert_eq!(case.classes(), [Class::NotPromised, Class::NotPromised]);
    case.found = there(&[1, 2]);
    assert_eq!(case.classes(), [Class::Recovered, Class::Recovered]);
    // What ends before the part of the WAL that was read is in the backup.
    let line = Leg::only(1);
    let found = there(&[]);
    let replayed = Some(Replayed { from: 20, reached: 25, path: &line, commits: &[] });
    let question = Question {
        history: &case.history,
        line: &line,
        required: Required::Everything,
        replayed,
        found: &found,
    };
    assert_eq!(judge(&question).class(1, 1), Some(Class::Lost));
}

#[test]
fn a_cancelled_wait_and_no_answer_are_indeterminate_either_way() {
    let mut case = Case {
        history: history(&[(10, 20, Fate::CancelledWait), (30, u64::MAX, Fate::Unanswered)]),
        required: Required::Everything,
        commits: None,
        reached: 0,
        found: there(&[1]),
    };
    assert_eq!(case.classes(), [Class::IndeterminatePresent, Class::IndeterminateAbsent]);
    assert!(case.judge().holds());
    assert_eq!(case.judge().indeterminate(), 2);
    // But where the WAL was replayed with its commit record, it must be there.
    case.commits = Some(vec![commit(101, 12, 20), commit(102, 33, 40)]);
    case.reached = 50;
    let judgement = case.judge();
    assert_eq!(judgement.lost.count, 0);
    assert_eq!(judgement.disagreements.of(Disagreement::RecordButAbsent), 1);
    assert_eq!(judgement.disagreements.kept[0].1.seq, 2);
}

#[test]
fn every_contradiction_between_the_witnesses_is_told() {
    let mut case = Case {
        history: history(&[(10, 20, ON), (30, 40, ON), (50, u64::MAX, Fate::RolledBack), (60, 70, ON)]),
        required: Required::Everything,
        commits: Some(vec![commit(102, 25, 40), commit(103, 52, 55), commit(104, 62, 70)]),
        reached: 100,
        found: there(&[1, 2, 3]),
    };
    let seen = case.judge().disagreements;
    for (kind, count) in [
        (Disagreement::AcknowledgedWithoutRecord, 1),
        (Disagreement::PresentWithoutRecord, 1),
        (Disagreement::RecordOutsideBracket, 1),
        (Disagreement::RecordOfNotCommitted, 1),
        (Disagreement::RecordButAbsent, 1),
        (Disagreement::Torn, 0),
    ] {
        assert_eq!(seen.of(kind), count, "{kind:?}");
    }
    // A record may begin where the bracket begins, and end where it ends; one byte more is told.
    case.commits = Some(vec![commit(101, 10, 20), commit(102, 30, 41)]);
    assert_eq!(case.judge().disagreements.of(Disagreement::RecordOutsideBracket), 1);
}

#[test]
fn before_the_wal_that_was_read_a_missing_record_says_nothing() {
    let history = history(&[(10, 20, ON), (30, 40, ON)]);
    let (line, found) = (Leg::only(1), there(&[1, 2]));
    let commits = [commit(102, 30, 40)];
    let replayed = Some(Replayed { from: 15, reached: 100, path: &line, commits: &commits });
    let question =
        Question { history: &history, line: &line, required: Required::Everything, replayed, found: &found };
    assert!(judge(&question).holds());
}

#[test]
fn a_transaction_in_part_is_torn() {
    let mut case = Case {
        history: history(&[(10, 20, ON)]),
        required: Required::Everything,
        commits: None,
        reached: 0,
        found: there(&[1]),
    };
    case.history.writers.get_mut(&1).unwrap().transactions[0].audited = 2;
    assert_eq!(case.judge().disagreements.of(Disagreement::Torn), 1);
}

#[test]
fn a_hole_is_seen_even_where_nothing_was_promised() {
    let mut case = Case {
        history: history(&[(10, 20, OFF), (30, u64::MAX, Fate::Unanswered), (50, 60, OFF)]),
        required: Required::Everything,
        commits: None,
        reached: 0,
        found: there(&[3]),
    };
    assert_eq!(case.judge().gaps, [Gap { writer: 1, absent: 1, present: 3 }]);
    // One that was never answered is no hole: it may never have been committed.
    case.found = there(&[1, 3]);
    assert_eq!(case.judge().gaps, []);
}

#[test]
fn what_the_ledger_does_not_know_is_unexpected() {
    let mut case = Case {
        history: history(&[(10, 20, ON)]),
        required: Required::Everything,
        commits: None,
        reached: 0,
        found: there(&[1, 2]),
    };
    case.found.add(9, 1, 4);
    case.found.unreadable = 2;
    let judgement = case.judge();
    assert_eq!((judgement.unexpected.count, judgement.unknown), (4, 4));
}

#[test]
fn the_lost_span_reaches_from_the_last_recovered_before_the_first_lost_to_the_last_lost() {
    // A hole in the middle: the newest commit is there, and yet two are lost.
    let mut case = Case {
        history: history(&[(0, 100, ON), (100, 200, ON), (200, 300, ON), (300, 400, ON)]),
        required: Required::Everything,
        commits: None,
        reached: 0,
        found: there(&[1, 4]),
    };
    for (transaction, time_us) in
        case.history.writers.get_mut(&1).unwrap().transactions.iter_mut().zip([1_000, 2_000, 3_500, 4_000])
    {
        transaction.time_us = time_us;
    }
    let span = case.judge().span.unwrap();
    assert_eq!((span.transactions, span.rows, span.micros, span.wal_bytes), (2, 6, 2_500, 200));
    assert_eq!(span.since.map(|since| since.seq), Some(1));
    // Everything is lost: no objective may take that for nothing.
    case.found = there(&[]);
    let span = case.judge().span.unwrap();
    assert_eq!((span.transactions, span.micros, span.wal_bytes, span.since), (4, 3_000, 300, None));
    case.found = there(&[1, 2, 3, 4]);
    assert_eq!(case.judge().span, None);
}

#[test]
fn the_same_transaction_number_on_two_timelines_is_two_transactions() {
    let mut history = history(&[(10, 20, ON), (30, 40, ON)]);
    // After a recovery to 25, timeline 2 uses the number 102 again.
    let mut second = history.writers[&1].clone();
    second.branch = 2;
    second.transactions = vec![Transaction { before: 26, after: 36, ..second.transactions[1] }];
    history.writers.insert(2, second);
    let line = [Leg { branch: 1, until: 25 }, Leg { branch: 2, until: u64::MAX }];
    let commits = [commit(101, 12, 20), Commit { branch: 2, ..commit(102, 30, 36) }];
    let mut found = there(&[1]);
    found.add(2, 1, 1);
    let question = |found| Question {
        history: &history,
        line: &line,
        required: Required::Everything,
        replayed: Some(Replayed { from: 0, reached: 50, path: &line, commits: &commits }),
        found,
    };
    let judgement = judge(&question(&found));
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!((judgement.recovered.count, judgement.given_up.count), (2, 1));
    // What was given up must not come back.
    let mut more = found.clone();
    more.add(1, 2, 1);
    assert_eq!(judge(&question(&more)).unexpected.count, 1);
}

#[test]
fn a_recovery_along_the_wrong_timeline_loses_what_was_written_on_the_right_one() {
    let mut history = history(&[(10, 20, ON), (30, 40, ON)]);
    let mut second = history.writers[&1].clone();
    second.branch = 2;
    second.transactions = vec![Transaction { before: 26, after: 36, ..second.transactions[1] }];
    history.writers.insert(2, second);
    let line = [Leg { branch: 1, until: 25 }, Leg { branch: 2, until: u64::MAX }];
    let wrong = Leg::only(1);
    let commits = [commit(101, 12, 20), commit(102, 31, 40)];
    let found = there(&[1, 2]);
    let judgement = judge(&Question {
        history: &history,
        line: &line,
        required: Required::Everything,
        replayed: Some(Replayed { from: 0, reached: 50, path: &wrong, commits: &commits }),
        found: &found,
    });
    assert_eq!((judgement.lost.count, judgement.unexpected.count), (1, 1));
    assert_eq!(judgement.lost.first.map(|lost| (lost.writer, lost.seq)), Some((2, 1)));
}

#[test]
fn a_number_that_is_given_again_after_a_crash_belongs_to_the_later_transaction() {
    // An asynchronous commit and one without an answer are lost in a crash; the server goes on with their numbers, and
    // at their place in the WAL. Number 103 goes to somebody else.
    let mut history = history(&[
        (100, 150, OFF),
        (200, u64::MAX, Fate::Unanswered),
        (160, 190, OFF),
        (0, 0, Fate::RolledBack),
    ]);
    let first = &mut history.writers.get_mut(&1).unwrap().transactions;
    first[3] = Transaction { after: u64::MAX, audited: 0, xid: 102, ..first[3] };
    let mut second = history.writers[&1].clone();
    second.transactions = vec![
        Transaction { before: 110, after: 140, xid: 101, fate: ON, ..second.transactions[0] },
        Transaction { before: 210, after: 240, xid: 102, fate: ON, ..second.transactions[0] },
    ];
    history.writers.insert(2, second);
    let commits = [commit(101, 120, 130), commit(102, 215, 235), commit(103, 250, 260)];
    let mut found = there(&[]);
    found.add(2, 1, 1);
    found.add(2, 2, 1);
    let line = Leg::only(1);
    let replayed = Some(Replayed { from: 0, reached: 300, path: &line, commits: &commits });
    let question =
        Question { history: &history, line: &line, required: Required::Everything, replayed, found: &found };
    let judgement = judge(&question);
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!((judgement.recovered.count, judgement.not_promised.count), (2, 2));
    assert_eq!((judgement.indeterminate_absent.count, judgement.foreign_commits), (1, 1));
}
