//! A writer's connection, and how it commits so that the ledger is never wrong: what is about to be committed is in the
//! file before COMMIT is sent, and what the server answers is in the file before anything else is done.
//!
//! Where the WAL ended is asked before COMMIT is sent and again behind it, without waiting in between; the commit record
//! lies between the two answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{join, try_join};
use pgdrill_ledger::{Level, Record, Trouble};
use pgdrill_model::world::Clock;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::PgLsn;

use crate::session::{Door, Session, describe};
use crate::workload::book::Book;
use crate::workload::mix::{Order, Plan, Strategy};
use crate::workload::statements::{Done, Statements};

/// What the server says when the wait for a synchronous standby ends before the standby has answered: the transaction is
/// committed here, and perhaps nowhere else (`SyncRepWaitForLSN`, `src/backend/replication/syncrep.c`).
const CANCELLED_WAIT: &str = "synchronous replication";

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged.
    Acknowledged,
    /// Acknowledged, with the wait for the standby cancelled.
    CancelledWait,
    /// Failed, with this SQLSTATE.
    Failed(String),
    /// Rolled back, as it was meant to be, or because a row was not there.
    RolledBack,
}

/// Why a connection does nothing more.
#[derive(Debug)]
pub enum End {
    /// It was lost before COMMIT was sent.
    Lost(String),
    /// It was lost, and COMMIT was not answered.
    Unanswered(String),
    /// The ledger could not be written: nothing more may be committed.
    Ledger(Trouble),
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Ledger(trouble)
    }
}

/// How far the transaction at hand has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Idle,
    /// Its statements are under way.
    Working,
    /// It is in the ledger, and COMMIT may have been sent.
    Sent,
}

/// One writer's connection. A writer is one connection: its number is used once.
pub struct Hand {
    session: Session,
    statements: Statements,
    book: Book,
    clock: Arc<dyn Clock>,
    strategies: Arc<[Strategy]>,
    level: Level,
    cancelled: Arc<AtomicBool>,
    writer: u16,
    seq: u64,
    stage: Stage,
}

/// What every writer works with.
#[derive(Clone)]
pub struct Desk {
    /// Where the server is, and as whom to write.
    pub door: Door,
    /// The ledger.
    pub book: Book,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// For which strategies to trade.
    pub strategies: Arc<[Strategy]>,
    /// What to commit with; none leaves it to the server.
    pub level: Option<Level>,
}

/// Why a writer could not begin.
#[derive(Debug)]
pub enum NotOpened {
    /// The server does not let it in, or cannot be written to.
    Server(Error),
    /// What the server says of itself has no meaning.
    Senseless(String),
    /// The ledger.
    Ledger(Trouble),
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl Hand {
    /// Connects, and takes a number.
    ///
    /// # Errors
    ///
    /// What the server or the ledger answered.
    pub async fn open(desk: &Desk) -> Result<Self, NotOpened> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let session = desk.door.open_heard(hear(&cancelled)).await?;
        if let Some(level) = desk.level {
            session.batch_execute(&format!("SET synchronous_commit = {}", level.name())).await?;
        }
        let own =
            "SELECT current_setting('synchronous_commit'), pg_walfile_name(pg_current_wal_insert_lsn())";
        let (row, statements) = try_join!(session.query_one(own, &[]), Statements::prepare(&session))?;
        let (level, segment): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let senseless = |what: &str| NotOpened::Senseless(what.to_owned());
        let level = Level::ALL.into_iter().find(|one| one.name() == level).ok_or_else(|| senseless(level))?;
        // The first eight digits of a segment's name are its timeline (`src/include/access/xlog_internal.h`).
        let branch = segment.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let branch = branch.ok_or_else(|| senseless(segment))?;
        let now = desk.clock.unix_micros();
        let writer = desk.book.open_writer(branch, now).map_err(NotOpened::Ledger)?;
        Ok(Self {
            session,
            statements,
            book: desk.book.clone(),
            clock: Arc::clone(&desk.clock),
            strategies: Arc::clone(&desk.strategies),
            level,
            cancelled,
            writer,
            seq: 0,
            stage: Stage::Idle,
        })
    }

    /// Its number.
    pub fn writer(&self) -> u16 {
        self.writer
    }

    /// The sequence number of the next transaction.
    pub fn next_seq(&self) -> u64 {
        self.seq + 1
    }

    /// Does a whole transaction. When it is dropped half done, [`Self::abandon`] must follow.
    ///
    /// # Errors
    ///
    /// Why nothing more can be done; the ledger has what there is to say about this transaction.
    pub async fn transact(&mut self, plan: &Plan) -> Result<Outcome, End> {
        self.begin();
        let done = self.work(plan).await;
        let keep = !matches!(plan, Plan::RollBack(_));
        self.conclude(done, keep).await
    }

    /// Places orders that open their positions, in a transaction of their own.
    ///
    /// # Errors
    ///
    /// As for [`Self::transact`].
    pub async fn open_positions(&mut self, orders: &[Order]) -> Result<Outcome, End> {
        self.begin();
        let (client, seq) = (&self.session, self.seq);
        let done = try_join!(
            client.batch_execute("BEGIN"),
            self.statements.open(client, &self.strategies, seq, orders)
        );
        self.conclude(done.map(|((), done)| done), true).await
    }

    /// Begins a transaction, places orders in it, and leaves it open.
    ///
    /// # Errors
    ///
    /// What the server answered: the transaction is over then.
    pub async fn hold(&mut self, orders: &[Order]) -> Result<Done, Result<Outcome, End>> {
        self.begin();
        let (client, seq) = (&self.session, self.seq);
        let done = try_join!(
            client.batch_execute("BEGIN"),
            self.statements.place(client, &self.strategies, seq, orders)
        );
        match done {
            Ok(((), done)) => Ok(done),
            Err(error) => Err(self.conclude(Err(error), false).await),
        }
    }

    /// Commits what [`Self::hold`] left open.
    ///
    /// # Errors
    ///
    /// As for [`Self::transact`].
    pub async fn release(&mut self, done: Done) -> Result<Outcome, End> {
        // The bracket begins now, not when the rows were written.
        let end: Result<PgLsn, Error> =
            self.session.query_one(&self.statements.wal_end, &[]).await.and_then(|row| row.try_get(0));
        self.conclude(end.map(|end| Done { before: end.into(), ..done }), true).await
    }

    /// Writes down what can be said of a transaction that was left half done. Nothing more can be done with this
    /// connection: the server may still be at work on what was sent.
    ///
    /// # Errors
    ///
    /// The ledger.
    pub fn abandon(&mut self) -> Result<bool, Trouble> {
        let (writer, seq, time_us) = (self.writer, self.seq, self.clock.unix_micros());
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => Ok(false),
            Stage::Working => {
                self.book.append(&Record::RolledBack { writer, seq, xid: None, time_us })?;
                Ok(false)
            }
            Stage::Sent => {
                self.book.append(&Record::Unanswered { writer, seq, time_us })?;
                Ok(true)
            }
        }
    }

    fn begin(&mut self) {
        self.seq += 1;
        self.stage = Stage::Working;
    }

    /// Everything up to COMMIT, sent in one go.
    async fn work(&self, plan: &Plan) -> Result<Done, Error> {
        let (client, statements, seq) = (&self.session, &self.statements, self.seq);
        let begin = client.batch_execute("BEGIN");
        match plan {
            Plan::Place(orders) | Plan::RollBack(orders) | Plan::Large(orders) => {
                let place = statements.place(client, &self.strategies, seq, orders);
                try_join!(begin, place).map(|((), done)| done)
            }
            Plan::Amend(amendments) => {
                try_join!(begin, statements.amend(client, seq, amendments)).map(|((), done)| done)
            }
            Plan::Savepoint { outer, inner, keep } => {
                let end = if *keep { "RELEASE part" } else { "ROLLBACK TO part" };
                let (_, done, _, part, ()) = try_join!(
                    begin,
                    statements.place(client, &self.strategies, seq, outer),
                    client.batch_execute("SAVEPOINT part"),
                    statements.place(client, &self.strategies, seq, inner),
                    client.batch_execute(end)
                )?;
                Ok(if *keep { done.and(part) } else { done })
            }
        }
    }

    async fn conclude(&mut self, done: Result<Done, Error>, keep: bool) -> Result<Outcome, End> {
        let (writer, seq) = (self.writer, self.seq);
        match done {
            Ok(done) if keep && done.whole => self.commit(&done).await,
            Ok(done) => {
                let rolled_back = self.session.batch_execute("ROLLBACK").await;
                let time_us = self.clock.unix_micros();
                self.stage = Stage::Idle;
                self.book.append(&Record::RolledBack { writer, seq, xid: Some(done.xid), time_us })?;
                match rolled_back {
                    Ok(()) => Ok(Outcome::RolledBack),
                    Err(error) => Err(End::Lost(describe(&error))),
                }
            }
            Err(error) => {
                let time_us = self.clock.unix_micros();
                self.stage = Stage::Idle;
                let Some(code) = refusal(&error) else {
                    self.book.append(&Record::RolledBack { writer, seq, xid: None, time_us })?;
                    return Err(End::Lost(describe(&error)));
                };
                let (code, sqlstate) = (code.to_owned(), sqlstate(code));
                self.book.append(&Record::Failed { writer, seq, xid: None, sqlstate, time_us })?;
                match self.session.batch_execute("ROLLBACK").await {
                    Ok(()) => Ok(Outcome::Failed(code)),
                    Err(error) => Err(End::Lost(describe(&error))),
                }
            }
        }
    }

    /// The bracket: the ledger, COMMIT and the question behind it in one go, the ledger again.
    async fn commit(&mut self, done: &Done) -> Result<Outcome, End> {
        let (writer, seq, xid) = (self.writer, self.seq, done.xid);
        self.cancelled.store(false, Ordering::SeqCst);
        self.book.append(&Record::Sent { writer, seq, xid, before: done.before, changes: &done.changes })?;
        self.stage = Stage::Sent;
        let commit = async {
            let answer = self.session.batch_execute("COMMIT").await;
            // Warnings of COMMIT were heard before its answer; what comes now is none of it.
            (answer, self.clock.unix_micros(), self.cancelled.load(Ordering::SeqCst))
        };
        let end = self.session.query_one(&self.statements.wal_end, &[]);
        let ((answer, time_us, cancelled), end) = join!(commit, end);
        self.stage = Stage::Idle;
        match answer {
            Ok(()) => {
                let after = end.and_then(|row| row.try_get::<_, PgLsn>(0)).ok().map(u64::from);
                let level = self.level;
                self.book.append(&Record::Acknowledged { writer, seq, after, time_us, level, cancelled })?;
                Ok(if cancelled { Outcome::CancelledWait } else { Outcome::Acknowledged })
            }
            Err(error) => match refusal(&error) {
                Some(code) => {
                    let (code, sqlstate) = (code.to_owned(), sqlstate(code));
                    self.book.append(&Record::Failed { writer, seq, xid: Some(xid), sqlstate, time_us })?;
                    Ok(Outcome::Failed(code))
                }
                None => {
                    self.book.append(&Record::Unanswered { writer, seq, time_us })?;
                    Err(End::Unanswered(describe(&error)))
                }
            },
        }
    }
}

impl Drop for Hand {
    /// Whoever drops it in the middle of a transaction has waited long enough: the ledger still has the transaction.
    fn drop(&mut self) {
        if let Err(trouble) = self.abandon() {
            tracing::warn!("a transaction that was given up is not in the ledger: {trouble}");
        }
    }
}

/// Listens for a wait for the standby that was cancelled.
fn hear(cancelled: &Arc<AtomicBool>) -> impl Fn(&DbError) + Send + 'static {
    let cancelled = Arc::clone(cancelled);
    move |notice| {
        if notice.message().contains(CANCELLED_WAIT) {
            cancelled.store(true, Ordering::SeqCst);
        }
    }
}

/// The SQLSTATE of an error after which the transaction is certainly not committed. A server that ends the connection
/// (FATAL, PANIC) may have committed before.
fn refusal(error: &Error) -> Option<&str> {
    let server = error.as_db_error()?;
    let refused = match server.parsed_severity() {
        Some(severity) => severity == Severity::Error,
        None => server.severity() == "ERROR",
    };
    refused.then(|| server.code().code())
}

fn sqlstate(code: &str) -> [u8; 5] {
    code.as_bytes().try_into().unwrap_or(*b"XX000")
}
