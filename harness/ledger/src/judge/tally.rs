//! Going through all transactions: counting them by class, and finding where the witnesses contradict each other.

use crate::found::Found;
use crate::history::{History, Transaction};
use crate::judge::class::{Class, Trace, classify, read_part};
use crate::judge::{Judgement, Question};
use crate::wal::{Index, Replayed};

/// Contradictions that are kept one by one; the others are only counted.
const KEPT: usize = 20;

/// A transaction, to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its writer.
    pub writer: u16,
    /// Its sequence number with the writer.
    pub seq: u64,
    /// Its transaction number; zero where it is not known.
    pub xid: u32,
    /// Where its commit record ends; by the ledger, at the latest; zero where nothing is known.
    pub lsn: u64,
    /// When its outcome was known, microseconds since 1970 UTC; zero where it was not.
    pub time_us: i64,
}

/// A number of transactions, and the first and the last of them by their positions in the WAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witnesses {
    /// How many.
    pub count: u64,
    /// Rows that they added.
    pub rows: u64,
    /// The first.
    pub first: Option<Witness>,
    /// The last.
    pub last: Option<Witness>,
}

impl Witnesses {
    fn add(&mut self, witness: Witness, rows: u16) {
        self.count += 1;
        self.rows += u64::from(rows);
        if self.first.is_none_or(|first| witness.lsn < first.lsn) {
            self.first = Some(witness);
        }
        if self.last.is_none_or(|last| witness.lsn >= last.lsn) {
            self.last = Some(witness);
        }
    }
}

/// How much was lost: from the last recovered commit before the first lost one, to the last lost one. Where none was recovered
/// before, it begins with the first lost one, and its WAL where replay stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Transactions that are lost.
    pub transactions: u64,
    /// Rows that they had added.
    pub rows: u64,
    /// Microseconds from the acknowledgement of the one to that of the other.
    pub micros: u64,
    /// Bytes of WAL between them.
    pub wal_bytes: u64,
    /// The last that was recovered before the first lost one.
    pub since: Option<Witness>,
}

/// A writer of which something is there although an earlier transaction, that was acknowledged, is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The writer.
    pub writer: u16,
    /// The first that was acknowledged and is not there.
    pub absent: u64,
    /// The first after it that is there.
    pub present: u64,
}

/// How ledger, WAL and database contradict each other about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disagreement {
    /// It was acknowledged, its bracket lies within the WAL that was read, and there is no commit record.
    AcknowledgedWithoutRecord,
    /// Its commit record lies outside of its bracket.
    RecordOutsideBracket,
    /// It was rolled back or failed, and there is a commit record.
    RecordOfNotCommitted,
    /// Its commit record was replayed, and it is not in the database.
    RecordButAbsent,
    /// It is in the database, and the WAL that was read, and would have to have it, has no commit record.
    PresentWithoutRecord,
    /// It is in the database in part: it left fewer or more rows than it wrote.
    Torn,
}

impl Disagreement {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AcknowledgedWithoutRecord,
        Self::RecordOutsideBracket,
        Self::RecordOfNotCommitted,
        Self::RecordButAbsent,
        Self::PresentWithoutRecord,
        Self::Torn,
    ];
}

/// The contradictions that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The first twenty of them.
    pub kept: Vec<(Disagreement, Witness)>,
    counts: [u64; 6],
}

impl Seen {
    /// All of them.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Those of one kind.
    pub fn of(&self, kind: Disagreement) -> u64 {
        self.counts.get(kind as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, kind: Disagreement, witness: Witness) {
        if let Some(count) = self.counts.get_mut(kind as usize) {
            *count += 1;
        }
        if self.kept.len() < KEPT {
            self.kept.push((kind, witness));
        }
    }
}

/// Judges.
pub(super) fn judge(question: &Question<'_>) -> Judgement {
    let commits = question.replayed.map_or(&[][..], |replayed: Replayed<'_>| replayed.commits);
    let mut claims = Claims { index: Index::new(commits), claimed: vec![false; commits.len()] };
    let mut judgement = Judgement::default();
    // The last writer first: see `Claims`.
    for (&number, writer) in question.history.writers.iter().rev() {
        let mut hint = 0;
        let mut missing: Option<u64> = None;
        let mut gap: Option<Gap> = None;
        let mut classes = Vec::with_capacity(writer.transactions.len());
        let mut sent_before = 0;
        for (at, (transaction, seq)) in writer.transactions.iter().zip(1_u64..).enumerate() {
            let trace = if question.replayed.is_none() || transaction.xid == 0 {
                Trace::Unread
            } else {
                let next = writer.transactions.get(at + 1).map_or(0, |next| next.before);
                let span = possible_span(transaction, sent_before, next);
                claims.claim(writer.branch, transaction, span, &mut hint)
            };
            sent_before = sent_before.max(transaction.before);
            let rows = question.found.rows(number, seq);
            let class = classify(question, writer.branch, transaction, trace, rows > 0);
            let witness = witness(number, seq, transaction, trace);
            judgement.count(class, witness, transaction);
            compare(question, writer.branch, transaction, trace, rows, |kind| {
                judgement.disagreements.add(kind, witness);
            });
            if rows == 0 && transaction.fate.committed() {
                missing = missing.or(Some(seq));
            } else if let (Some(absent), true, None) = (missing, rows > 0, gap) {
                gap = Some(Gap { writer: number, absent, present: seq });
            }
            classes.push(class);
        }
        judgement.gaps.extend(gap);
        judgement.classes.insert(number, classes);
    }
    judgement.gaps.reverse();
    judgement.foreign_commits = claims.claimed.iter().filter(|claimed| !**claimed).count() as u64;
    judgement.count_unknown(question.history, question.found);
    judgement.acknowledged = question.history.counts.acknowledged;
    judgement.span = span(question, &judgement, &claims.index);
    judgement
}

/// Which commit belongs to which transaction.
///
/// A transaction's number is not always its own. After a crash the server goes on, on the same timeline, with the number
/// behind the last one that it finds in the WAL; what was not flushed by then (transactions that were not promised, or
/// never committed) is gone, and its numbers are given again, its WAL positions too. So a number that two transactions of
/// the ledger have belongs, in the WAL, to the later one; that is the one of the later writer, because no connection
/// outlives a crash. And for a transaction that was not promised, a record outside of its bracket is somebody else's.
struct Claims<'a> {
    index: Index<'a>,
    /// By place in the index.
    claimed: Vec<bool>,
}

impl<'a> Claims<'a> {
    fn claim(
        &mut self,
        branch: u32,
        transaction: &Transaction,
        (from, to): (u64, u64),
        hint: &mut usize,
    ) -> Trace<'a> {
        let Some((at, commit)) = self.index.own(branch, transaction, hint) else {
            return Trace::Missing;
        };
        let outside = commit.lsn_start < from || commit.lsn_end > to;
        match self.claimed.get_mut(at) {
            Some(claimed) if !*claimed && (!outside || transaction.fate.durable()) => {
                *claimed = true;
                Trace::Committed(commit)
            }
            _ => Trace::Missing,
        }
    }
}

/// Between which positions a commit record of this transaction would lie: its bracket, or, of one that was not sent, from
/// what its writer sent before to what it sent next.
fn possible_span(transaction: &Transaction, sent_before: u64, sent_next: u64) -> (u64, u64) {
    if !transaction.fate.not_committed() {
        return (transaction.before, transaction.after);
    }
    let from = if transaction.before == 0 { sent_before } else { transaction.before };
    (from, if sent_next == 0 { u64::MAX } else { sent_next })
}

fn witness(writer: u16, seq: u64, transaction: &Transaction, trace: Trace<'_>) -> Witness {
    let lsn = match trace {
        Trace::Committed(commit) => commit.lsn_end,
        _ if transaction.after != u64::MAX => transaction.after,
        _ => transaction.before,
    };
    Witness { writer, seq, xid: transaction.xid, lsn, time_us: transaction.time_us }
}

/// Compares what the three witnesses say of one transaction.
fn compare(
    question: &Question<'_>,
    branch: u32,
    transaction: &Transaction,
    trace: Trace<'_>,
    rows: u16,
    mut disagree: impl FnMut(Disagreement),
) {
    let Transaction { before, after, fate, .. } = *transaction;
    match trace {
        Trace::Committed(commit) => {
            if fate.not_committed() {
                disagree(Disagreement::RecordOfNotCommitted);
            } else if commit.lsn_start < before || commit.lsn_end > after {
                disagree(Disagreement::RecordOutsideBracket);
            }
            if rows == 0 {
                disagree(Disagreement::RecordButAbsent);
            }
        }
        Trace::Missing => {
            // Its record would begin at the earliest where the bracket begins, so the WAL was read from there on.
            let within = read_part(question, branch).is_some_and(|(from, to)| before >= from && after <= to);
            // One that was not flushed can be gone after a crash, and others can have its place in the WAL.
            if within && fate.durable() {
                disagree(Disagreement::AcknowledgedWithoutRecord);
            }
            let replayed_from = question.replayed.map_or(u64::MAX, |replayed| replayed.from);
            if rows > 0 && before >= replayed_from {
                disagree(Disagreement::PresentWithoutRecord);
            }
        }
        Trace::Unread => {}
    }
    if rows > 0 && rows != u16::from(transaction.audited) && !fate.not_committed() {
        disagree(Disagreement::Torn);
    }
}

impl Judgement {
    fn count(&mut self, class: Class, witness: Witness, transaction: &Transaction) {
        let witnesses = match class {
            Class::Recovered => &mut self.recovered,
            Class::Lost => &mut self.lost,
            Class::Unexpected => &mut self.unexpected,
            Class::IndeterminatePresent => &mut self.indeterminate_present,
            Class::IndeterminateAbsent => &mut self.indeterminate_absent,
            Class::AfterTarget => &mut self.after_target,
            Class::GivenUp => &mut self.given_up,
            Class::NotPromised => &mut self.not_promised,
            Class::NotCommitted => &mut self.not_committed,
        };
        witnesses.add(witness, transaction.rows);
    }

    /// Counts what is there and is no transaction of the ledger.
    fn count_unknown(&mut self, history: &History, found: &Found) {
        let unknown = found.all().filter(|(writer, seq, _)| history.transaction(*writer, *seq).is_none());
        for (writer, seq, rows) in unknown {
            self.unexpected.add(Witness { writer, seq, xid: 0, lsn: 0, time_us: 0 }, rows);
            self.unknown += 1;
        }
        self.unexpected.count += found.unreadable;
        self.unknown += found.unreadable;
    }
}

/// How much was lost. Only then everything is gone through a second time.
fn span(question: &Question<'_>, judgement: &Judgement, index: &Index<'_>) -> Option<Span> {
    let history = question.history;
    let (first, last) = (judgement.lost.first?, judgement.lost.last?);
    let mut since: Option<Witness> = None;
    for (&number, writer) in &history.writers {
        let mut hint = 0;
        let classes = judgement.classes.get(&number).map_or(&[][..], Vec::as_slice);
        for ((transaction, seq), class) in writer.transactions.iter().zip(1_u64..).zip(classes) {
            if *class == Class::Recovered {
                let found = index.own(writer.branch, transaction, &mut hint);
                let trace = found.map_or(Trace::Unread, |(_, commit)| Trace::Committed(commit));
                let one = witness(number, seq, transaction, trace);
                if one.lsn <= first.lsn && since.is_none_or(|since| one.lsn >= since.lsn) {
                    since = Some(one);
                }
            }
        }
    }
    // Where none was recovered before, everything is lost since the first of them: nobody was told anything earlier.
    let began_us = since.map_or(first.time_us, |since| since.time_us);
    let replayed = question.replayed.map(|replayed| replayed.reached).filter(|reached| *reached <= first.lsn);
    let began = since.map(|since| since.lsn).or(replayed).unwrap_or(first.lsn);
    Some(Span {
        transactions: judgement.lost.count,
        rows: judgement.lost.rows,
        micros: last.time_us.saturating_sub(began_us).max(0).unsigned_abs(),
        wal_bytes: last.lsn.saturating_sub(began),
        since,
    })
}
