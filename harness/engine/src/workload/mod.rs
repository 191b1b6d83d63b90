//! The workload: seeded writers that place, fill and cancel orders on a server, and keep a ledger of what they sent and
//! were told. What is in a recovered database can then be judged commit by commit.
//!
//! A writer is one connection. It holds one transaction at a time, sent in two trips: everything up to COMMIT, then
//! COMMIT. What a transaction does to each table is told by its own statements, as sums of the hashes by which content
//! is measured, so the expected content of any set of transactions is a base and a sum. What is true after every
//! transaction of the application (`conservation.sql`) stays true.

mod book;
mod hand;
mod identity;
mod mix;
mod read_back;
mod statements;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgdrill_ledger::{Level, Trouble};
use pgdrill_model::world::Clock;
use tokio::task::JoinSet;
use tokio_postgres::Error;
use tokio_util::sync::CancellationToken;

use crate::clock::{reached, within};
use crate::data::{APPLICATION_ROLE, DATABASE};
use crate::session::{Door, Socket, describe};
use hand::{Desk, End, Hand, NotOpened, Outcome};
use mix::{Chooser, SYMBOLS, Strategy};
use statements::Done;
use writer::{Shift, work};

pub use book::Book;
pub use identity::Tag;
pub use mix::{MOST_ORDERS, Mix};
pub use read_back::{Measured, find, measure_groups};
pub use writer::Summary;

/// Strategies that the writers trade for, the oldest first. With four symbols each, writers meet often in a position and
/// do not stand in line for it.
const STRATEGIES: i64 = 16;

/// How long the beginning of a workload, or of a transaction that is held, and its end may take.
const START_LIMIT: Duration = Duration::from_secs(60);

const OF_STRATEGIES: &str = "SELECT \"id\", \"userId\" FROM public.\"Strategy\" ORDER BY \"createdAt\", \"id\" COLLATE \"C\" LIMIT $1";
const OF_POSITIONS: &str =
    "SELECT \"strategyId\", \"symbol\" FROM public.\"Position\" WHERE \"strategyId\" = ANY ($1)";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// How many writers, side by side.
    pub writers: u16,
    /// How long.
    pub until: Until,
    /// Transactions per second of all writers together; none for as fast as they can.
    pub rate: Option<u32>,
    /// What to commit with; none leaves it to the server.
    pub synchronous_commit: Option<Level>,
    /// How long a writer whose connection was lost looks for the server; none ends it.
    pub reconnect: Option<Duration>,
    /// What the transactions do.
    pub mix: Mix,
}

/// When the writers are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many transactions of all writers together, those that are rolled back and those that fail among them.
    Transactions(u64),
    /// After this time.
    For(Duration),
    /// When they are told to stop, or the server is gone.
    Stopped,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            writers: 4,
            until: Until::Stopped,
            rate: None,
            synchronous_commit: None,
            reconnect: None,
            mix: Mix::default(),
        }
    }
}

/// Why a workload could not begin, or a transaction could not be held.
#[derive(Debug)]
pub enum NotStarted {
    /// What the server, or the socket, answered.
    Server(Error),
    /// The ledger could not be written.
    Ledger(Trouble),
    /// There is nothing to trade with, or the server answers without sense.
    Impossible(String),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => f.write_str(&describe(error)),
            Self::Ledger(trouble) => trouble.fmt(f),
            Self::Impossible(words) => f.write_str(words),
        }
    }
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<NotOpened> for NotStarted {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Server(error) => Self::Server(error),
            NotOpened::Ledger(trouble) => Self::Ledger(trouble),
            NotOpened::Senseless(words) => {
                Self::Impossible(format!("the server says {words:?}, which has no meaning"))
            }
        }
    }
}

/// Writers at work. Dropped, they are told to stop, and nobody waits for them.
pub struct Running {
    shift: Arc<Shift>,
    tasks: JoinSet<Summary>,
    so_far: Summary,
    held: Option<(Hand, Done)>,
    began: Duration,
}

/// Starts writers on the server behind `socket`, whose database holds the trading schema and at least one strategy. When
/// this returns, all of them are connected, and every position that they can touch is open. Numbers of writers are never
/// used twice in one ledger.
///
/// # Errors
///
/// A server that does not let them in, a ledger that cannot be written. What was begun is stopped then.
pub async fn start(
    socket: &Socket,
    book: &Book,
    seed: u64,
    spec: &Spec,
    clock: Arc<dyn Clock>,
) -> Result<Running, NotStarted> {
    let begun = begin(socket, book, seed, spec, Arc::clone(&clock));
    within(clock.as_ref(), START_LIMIT, begun).await.unwrap_or_else(|| {
        let seconds = START_LIMIT.as_secs();
        Err(NotStarted::Impossible(format!("the server did not let the writers begin within {seconds} s")))
    })
}

async fn begin(
    socket: &Socket,
    book: &Book,
    seed: u64,
    spec: &Spec,
    clock: Arc<dyn Clock>,
) -> Result<Running, NotStarted> {
    let door = Door { role: APPLICATION_ROLE.to_owned(), ..Door::reading(socket, DATABASE) };
    let began = clock.elapsed();
    let strategies = strategies(&door).await?;
    let desk = Desk {
        door,
        book: book.clone(),
        clock: Arc::clone(&clock),
        strategies,
        level: spec.synchronous_commit,
    };
    let mut so_far = Summary::default();
    open_positions(&desk, seed, &mut so_far).await?;
    let (left, duration) = match spec.until {
        Until::Transactions(count) => (Some(AtomicU64::new(count)), None),
        Until::For(duration) => (None, Some(duration)),
        Until::Stopped => (None, None),
    };
    let writers = spec.writers.max(1);
    let pause = spec.rate.map(|rate| Duration::from_secs(writers.into()) / rate.max(1));
    let mut hands = Vec::new();
    for _ in 0..writers {
        hands.push(Hand::open(&desk).await?);
    }
    let stop = CancellationToken::new();
    let (mix, reconnect) = (spec.mix, spec.reconnect);
    let acknowledged = AtomicU64::new(so_far.acknowledged);
    let shift = Arc::new(Shift { desk, seed, mix, left, pause, reconnect, stop: stop.clone(), acknowledged });
    let mut tasks = JoinSet::new();
    for hand in hands {
        tasks.spawn(work(Arc::clone(&shift), hand));
    }
    if let Some(duration) = duration {
        let until = clock.elapsed().saturating_add(duration);
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = reached(clock.as_ref(), until) => stop.cancel(),
            }
        });
    }
    Ok(Running { shift, tasks, so_far, held: None, began })
}

impl Running {
    /// Waits until all writers are done. Ends by itself unless they were started until they are stopped, and then when
    /// the server is gone. A transaction that is still held is given up.
    pub async fn finish(mut self) -> Summary {
        let mut summary = std::mem::take(&mut self.so_far);
        while let Some(done) = self.tasks.join_next().await {
            match done {
                Ok(done) => summary.add(done),
                // Whatever a writer had under way has no outcome in the ledger, and counts as not answered.
                Err(error) => summary.lost.push(error.to_string()),
            }
        }
        self.shift.stop.cancel();
        if let Some((mut hand, _)) = self.held.take() {
            summary.rolled_back += 1;
            if let Err(trouble) = hand.abandon() {
                summary.ledger = summary.ledger.or(Some(trouble.to_string()));
            }
        }
        summary.took = self.shift.desk.clock.elapsed().saturating_sub(self.began);
        summary
    }

    /// Tells the writers to stop, and waits for it: for two seconds at most, whatever the server does.
    pub async fn stop(self) -> Summary {
        self.shift.stop.cancel();
        self.finish().await
    }

    /// Transactions that the server has acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shift.acknowledged.load(Ordering::Relaxed)
    }

    /// Whether all writers are done.
    pub fn is_done(&mut self) -> bool {
        while let Some(done) = self.tasks.try_join_next() {
            match done {
                Ok(done) => self.so_far.add(done),
                Err(error) => self.so_far.lost.push(error.to_string()),
            }
        }
        self.tasks.is_empty()
    }

    /// Has an extra writer place orders in a transaction, and leaves it open until [`Self::release`]. It touches no
    /// position, so that nobody waits for it. A transaction that is held already stays as it is.
    ///
    /// # Errors
    ///
    /// A server that does not let it in or refuses the orders, a ledger that cannot be written.
    pub async fn hold(&mut self) -> Result<(), NotStarted> {
        if self.held.is_some() {
            return Ok(());
        }
        let clock = Arc::clone(&self.shift.desk.clock);
        within(clock.as_ref(), START_LIMIT, self.take_hold()).await.unwrap_or_else(|| {
            let seconds = START_LIMIT.as_secs();
            Err(NotStarted::Impossible(format!(
                "the transaction to be held did not begin within {seconds} s"
            )))
        })
    }

    async fn take_hold(&mut self) -> Result<(), NotStarted> {
        let desk = &self.shift.desk;
        let mut hand = Hand::open(desk).await?;
        let tag = desk.book.tag();
        let mut chooser =
            Chooser::new(self.shift.seed, self.shift.mix, tag, hand.writer(), Arc::clone(&desk.strategies));
        self.so_far.writers += 1;
        *self.so_far.kinds.entry("held").or_default() += 1;
        match hand.hold(&chooser.lasting(hand.next_seq())).await {
            Ok(done) => {
                self.held = Some((hand, done));
                Ok(())
            }
            Err(ended) => {
                let words = format!("the transaction to be held ended: {ended:?}");
                self.so_far.take(ended);
                Err(NotStarted::Impossible(words))
            }
        }
    }

    /// Commits the transaction that was held; gives whether the server acknowledged that. Without one, nothing is done.
    pub async fn release(&mut self) -> bool {
        let Some((mut hand, done)) = self.held.take() else { return false };
        let clock = Arc::clone(&self.shift.desk.clock);
        let words = || "the transaction that was held did not end in time".to_owned();
        let ended = match within(clock.as_ref(), START_LIMIT, hand.release(done)).await {
            Some(ended) => ended,
            None => match hand.abandon() {
                Ok(true) => Err(End::Unanswered(words())),
                Ok(false) => Err(End::Lost(words())),
                Err(trouble) => Err(End::Ledger(trouble)),
            },
        };
        let acknowledged = matches!(ended, Ok(Outcome::Acknowledged));
        self.shift.acknowledged.fetch_add(u64::from(acknowledged), Ordering::Relaxed);
        self.so_far.take(ended);
        acknowledged
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shift.stop.cancel();
        // What was under way is nobody's any more; the tasks see the stop and write down the rest.
        self.tasks.detach_all();
    }
}

async fn strategies(door: &Door) -> Result<Arc<[Strategy]>, NotStarted> {
    let session = door.open().await?;
    let rows = session.query(OF_STRATEGIES, &[&STRATEGIES]).await?;
    if rows.is_empty() {
        return Err(NotStarted::Impossible("there is no strategy to trade for".to_owned()));
    }
    let strategies: Result<Vec<Strategy>, Error> =
        rows.iter().map(|row| Ok(Strategy { id: row.try_get(0)?, owner: row.try_get(1)? })).collect();
    Ok(strategies?.into())
}

/// Opens the positions that are missing, in transactions of the ledger like all others: so what a writer finds is always
/// there before it, and its old hash can be taken under a lock.
async fn open_positions(desk: &Desk, seed: u64, summary: &mut Summary) -> Result<(), NotStarted> {
    let session = desk.door.open().await?;
    let ids: Vec<&str> = desk.strategies.iter().map(|strategy| strategy.id.as_str()).collect();
    let rows = session.query(OF_POSITIONS, &[&ids]).await?;
    let there: Result<Vec<(String, String)>, Error> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect();
    let there = there?;
    let all = ids.iter().enumerate().flat_map(|(at, id)| SYMBOLS.map(|symbol| (at, *id, symbol)));
    let missing: Vec<(usize, &'static str)> = all
        .filter(|(_, id, symbol)| !there.iter().any(|(there, traded)| there == id && traded == symbol))
        .map(|(at, _, symbol)| (at, symbol))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut hand = Hand::open(desk).await?;
    let mut chooser =
        Chooser::new(seed, Mix::default(), desk.book.tag(), hand.writer(), Arc::clone(&desk.strategies));
    summary.writers += 1;
    for pairs in missing.chunks(MOST_ORDERS.into()) {
        *summary.kinds.entry("open-positions").or_default() += 1;
        let ended = hand.open_positions(&chooser.opening(hand.next_seq(), pairs)).await;
        let open = matches!(ended, Ok(Outcome::Acknowledged | Outcome::CancelledWait));
        let words = format!("the positions to be traded could not be opened: {ended:?}");
        summary.take(ended);
        if !open {
            return Err(NotStarted::Impossible(words));
        }
    }
    Ok(())
}
