//! One writer of a workload: transaction after transaction until it is told to stop, the work is done, or the server is
//! gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::reached;
use crate::session::describe;
use crate::workload::hand::{Desk, End, Hand, NotOpened, Outcome};
use crate::workload::mix::{Chooser, Mix, Plan};

/// How long a transaction that is under way may go on after the writers were told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// How long one transaction may take. Longer than any lock is waited for.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(120);

/// How often a server that is gone is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the writers of a workload have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Connections that were opened; each has a number of its own in the ledger.
    pub writers: u64,
    /// Transactions that the server acknowledged.
    pub acknowledged: u64,
    /// Acknowledged, with the wait for the standby cancelled.
    pub cancelled_waits: u64,
    /// Transactions that failed, by SQLSTATE: deadlocks, serialization failures, and whatever else.
    pub failed: BTreeMap<String, u64>,
    /// Rolled back, or left before COMMIT was sent.
    pub rolled_back: u64,
    /// Sent, and never answered.
    pub unanswered: u64,
    /// By kind of transaction, how many were begun.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Connections that were lost, in the server's or the system's words.
    pub lost: Vec<String>,
    /// Why the ledger could not be written, if that happened: then what the writers did cannot be judged.
    pub ledger: Option<String>,
    /// From the start to the end of the last writer.
    pub took: Duration,
}

impl Summary {
    /// Adds what another writer did.
    pub fn add(&mut self, other: Self) {
        self.writers += other.writers;
        self.acknowledged += other.acknowledged;
        self.cancelled_waits += other.cancelled_waits;
        self.rolled_back += other.rolled_back;
        self.unanswered += other.unanswered;
        other.failed.into_iter().for_each(|(code, count)| *self.failed.entry(code).or_default() += count);
        other.kinds.into_iter().for_each(|(kind, count)| *self.kinds.entry(kind).or_default() += count);
        self.lost.extend(other.lost);
        self.ledger = self.ledger.take().or(other.ledger);
        self.took = self.took.max(other.took);
    }

    /// Takes note of how a transaction ended; gives whether the connection can go on.
    pub fn take(&mut self, ended: Result<Outcome, End>) -> bool {
        match ended {
            Ok(Outcome::Acknowledged) => self.acknowledged += 1,
            Ok(Outcome::CancelledWait) => self.cancelled_waits += 1,
            Ok(Outcome::RolledBack) => self.rolled_back += 1,
            Ok(Outcome::Failed(code)) => *self.failed.entry(code).or_default() += 1,
            Err(End::Lost(words)) => {
                self.rolled_back += 1;
                self.lost.push(words);
                return false;
            }
            Err(End::Unanswered(words)) => {
                self.unanswered += 1;
                self.lost.push(words);
                return false;
            }
            Err(End::Ledger(trouble)) => {
                self.ledger = Some(trouble.to_string());
                return false;
            }
        }
        true
    }
}

/// What the writers of a workload share.
pub struct Shift {
    /// What they work with.
    pub desk: Desk,
    /// The seed of their wishes.
    pub seed: u64,
    /// What they wish for.
    pub mix: Mix,
    /// Transactions that may still be begun; none for any number.
    pub left: Option<AtomicU64>,
    /// Time between two transactions of one writer; none for no pause.
    pub pause: Option<Duration>,
    /// How long a server that is gone is looked for; none not at all.
    pub reconnect: Option<Duration>,
    /// That they shall stop.
    pub stop: CancellationToken,
    /// Transactions that were acknowledged so far.
    pub acknowledged: AtomicU64,
}

impl Shift {
    /// Whether another transaction may begin.
    fn ticket(&self) -> bool {
        let Some(left) = &self.left else { return true };
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

/// Works until the end. `hand` is the first connection.
pub async fn work(shift: Arc<Shift>, hand: Hand) -> Summary {
    let began = shift.desk.clock.elapsed();
    let mut summary = Summary::default();
    let mut next = Some(hand);
    while let Some(hand) = next {
        summary.writers += 1;
        let lost = connected(&shift, hand, &mut summary).await;
        next = if lost { again(&shift, &mut summary).await } else { None };
    }
    summary.took = shift.desk.clock.elapsed().saturating_sub(began);
    summary
}

/// Works on one connection; gives whether it was lost before the work was done.
async fn connected(shift: &Shift, mut hand: Hand, summary: &mut Summary) -> bool {
    let desk = &shift.desk;
    let mut chooser =
        Chooser::new(shift.seed, shift.mix, desk.book.tag(), hand.writer(), Arc::clone(&desk.strategies));
    let clock = desk.clock.as_ref();
    let mut due = clock.elapsed();
    loop {
        if let Some(pause) = shift.pause {
            tokio::select! {
                biased;
                () = shift.stop.cancelled() => return false,
                () = reached(clock, due) => {}
            }
            due += pause;
        }
        if shift.stop.is_cancelled() || !shift.ticket() {
            return false;
        }
        let plan = chooser.next(hand.next_seq());
        *summary.kinds.entry(kind(&plan)).or_default() += 1;
        let began = clock.elapsed();
        let given_up = async {
            tokio::select! {
                () = told(shift) => "told to stop",
                () = reached(clock, began.saturating_add(TRANSACTION_LIMIT)) => "a transaction took too long",
            }
        };
        let ended = tokio::select! {
            biased;
            ended = hand.transact(&plan) => ended,
            why = given_up => {
                return match hand.abandon() {
                    Ok(true) => summary.take(Err(End::Unanswered(why.to_owned()))),
                    Ok(false) => summary.take(Err(End::Lost(why.to_owned()))),
                    Err(trouble) => summary.take(Err(End::Ledger(trouble))),
                };
            }
        };
        match &ended {
            Ok(Outcome::Acknowledged) => {
                shift.acknowledged.fetch_add(1, Ordering::Relaxed);
                chooser.committed();
            }
            Ok(Outcome::CancelledWait) => chooser.committed(),
            _ => chooser.not_committed(),
        }
        if !summary.take(ended) {
            return summary.ledger.is_none();
        }
    }
}

/// Waits until the writers were told to stop, and then for as long as they may still go on.
async fn told(shift: &Shift) {
    shift.stop.cancelled().await;
    let clock = shift.desk.clock.as_ref();
    reached(clock, clock.elapsed().saturating_add(GRACE)).await;
}

/// Looks for the server until it is there again, the time is up, or it is time to stop.
async fn again(shift: &Shift, summary: &mut Summary) -> Option<Hand> {
    let clock = shift.desk.clock.as_ref();
    let until = clock.elapsed().saturating_add(shift.reconnect?);
    loop {
        if shift.stop.is_cancelled() {
            return None;
        }
        let opened = tokio::select! {
            biased;
            () = shift.stop.cancelled() => return None,
            opened = Hand::open(&shift.desk) => opened,
        };
        match opened {
            Ok(hand) => return Some(hand),
            Err(NotOpened::Ledger(trouble)) => {
                summary.ledger = Some(trouble.to_string());
                return None;
            }
            Err(NotOpened::Senseless(words)) => {
                summary.lost.push(words);
                return None;
            }
            Err(NotOpened::Server(error)) if clock.elapsed() >= until => {
                summary.lost.push(describe(&error));
                return None;
            }
            Err(NotOpened::Server(_)) => {
                tokio::select! {
                    () = shift.stop.cancelled() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        }
    }
}

fn kind(plan: &Plan) -> &'static str {
    match plan {
        Plan::Place(_) => "place",
        Plan::Amend(_) => "amend",
        Plan::RollBack(_) => "roll-back",
        Plan::Savepoint { keep: true, .. } => "savepoint-kept",
        Plan::Savepoint { keep: false, .. } => "savepoint-rolled-back",
        Plan::Large(_) => "large",
    }
}
