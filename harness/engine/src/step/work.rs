//! `work`: writers that place orders, in the foreground or behind the next steps, with a ledger of what the server
//! acknowledged to them.

use std::sync::Arc;
use std::time::Duration;

use pgdrill_ledger::Level;
use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::{Evidence, WorkEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{SynchronousCommit, Work, WorkUntil};
use tokio::time::sleep;

use crate::baseline::Written;
use crate::drill::{Behind, Drill, position};
use crate::workload::{self, Mix, Running, Spec, Summary, Until};

/// How long a writer whose server has crashed looks for it.
const RECONNECT: Duration = Duration::from_secs(120);

/// How long writers that go on behind the next steps may take to their first transaction, on a machine that is drowning.
const AT_WORK: Duration = Duration::from_secs(30);

/// How often it is told how far they are.
const TELL_AGAIN: Duration = Duration::from_millis(20);

pub(super) async fn run(drill: &mut Drill<'_>, work: &Work, on: Name) -> Result<Vec<Finding>, Unable> {
    let socket = drill.server(on)?.socket.clone();
    let book = drill.ledger.open(drill.workspace, drill.seed)?;
    let spec = Spec {
        writers: work.writers,
        until: match work.until {
            WorkUntil::For(time) => Until::For(time),
            WorkUntil::Transactions(count) => Until::Transactions(count),
            WorkUntil::Wal(_) | WorkUntil::Stopped => Until::Stopped,
        },
        rate: work.rate,
        synchronous_commit: work.synchronous_commit.map(level),
        reconnect: Some(RECONNECT),
        mix: Mix::default(),
    };
    // Each step has orders of its own, the same in each drill of a seed.
    let seed = drill.seed ^ (drill.shifts << 48);
    drill.shifts += 1;
    let clock = Arc::clone(&drill.shared_clock);
    let started = workload::start(&socket, &book, seed, &spec, clock).await;
    let mut running = started.map_err(|why| {
        Unable::new(Code::WorkFailed, format!("the writers could not begin on the {}: {why}", on.name()))
    })?;
    if work.behind {
        // What follows is to happen to a server at work.
        let until = drill.clock.elapsed() + AT_WORK;
        while running.acknowledged() == 0 && !running.is_done() && drill.clock.elapsed() < until {
            sleep(TELL_AGAIN).await;
        }
        drill.behind = Some(Behind { running, on });
        return Ok(Vec::new());
    }
    let summary = match work.until {
        WorkUntil::Wal(bytes) => {
            written(drill, &mut running, on, bytes).await?;
            running.stop().await
        }
        until => {
            let total = if let WorkUntil::Transactions(count) = until { Some(count) } else { None };
            while !running.is_done() {
                drill.recorder.progress("place orders", running.acknowledged(), total, Unit::Transactions);
                sleep(TELL_AGAIN).await;
            }
            running.finish().await
        }
    };
    ended(drill, &summary, on, false)?;
    drill.settle(on, Written::InTheLedger).await;
    Ok(Vec::new())
}

/// Waits until so much WAL was written, or the writers ended before.
async fn written(drill: &mut Drill<'_>, running: &mut Running, on: Name, bytes: u64) -> Result<(), Unable> {
    let session = drill.session(on, None).await?;
    let began = position(&session).await;
    while !running.is_done() {
        let now = position(&session).await;
        let Some(((_, began), (_, now))) = began.zip(now) else {
            let message = format!("the {} could not be asked how much WAL it has written", on.name());
            return Err(Unable::new(Code::WorkFailed, message));
        };
        let written = now.0.saturating_sub(began.0);
        drill.recorder.progress("write WAL", written, Some(bytes), Unit::Bytes);
        if written >= bytes {
            break;
        }
        sleep(TELL_AGAIN).await;
    }
    Ok(())
}

/// Stops the writers that go on behind.
pub(super) async fn stop(drill: &mut Drill<'_>) -> Result<Vec<Finding>, Unable> {
    let Some(Behind { running, on }) = drill.behind.take() else { return Ok(Vec::new()) };
    let summary = running.stop().await;
    ended(drill, &summary, on, true)?;
    drill.settle(on, Written::InTheLedger).await;
    Ok(Vec::new())
}

/// Stops the writers of a drill that ends before it wanted them to stop. Whatever else they met is of no account any more.
pub async fn leave(drill: &mut Drill<'_>) {
    if let Some(Behind { running, on }) = drill.behind.take() {
        let summary = running.stop().await;
        let _ = ended(drill, &summary, on, true);
    }
}

/// Takes down what the writers did whose server is lost. What they had under way has no outcome.
///
/// # Errors
///
/// `LEDGER_DAMAGED`, `WORK_FAILED`.
pub async fn server_is_lost(drill: &mut Drill<'_>) -> Result<(), Unable> {
    if let Some(Behind { running, on }) = drill.behind.take() {
        let summary = running.stop().await;
        ended(drill, &summary, on, true)?;
    }
    drill.ledger.close(drill.clock.unix_micros())
}

/// Has an extra writer keep a transaction open, where writers go on behind; it begins before a backup and ends after it.
pub async fn hold(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let Some(behind) = &mut drill.behind else { return Ok(()) };
    behind.running.hold().await.map_err(|why| {
        Unable::new(Code::WorkFailed, format!("a transaction could not be held across the backup: {why}"))
    })
}

/// Commits that transaction.
pub async fn release(drill: &mut Drill<'_>) {
    if let Some(behind) = &mut drill.behind {
        behind.running.release().await;
    }
}

fn level(level: SynchronousCommit) -> Level {
    match level {
        SynchronousCommit::Off => Level::Off,
        SynchronousCommit::Local => Level::Local,
        SynchronousCommit::On => Level::On,
        SynchronousCommit::RemoteWrite => Level::RemoteWrite,
        SynchronousCommit::RemoteApply => Level::RemoteApply,
    }
}

/// Takes down what writers did. Writers that could do nothing, or could not write the ledger, prove nothing.
fn ended(drill: &Drill<'_>, summary: &Summary, on: Name, behind: bool) -> Result<(), Unable> {
    let failed = summary.failed.values().sum();
    let ended_by = summary.ledger.clone().or_else(|| summary.lost.first().cloned());
    drill.recorder.measured(Evidence::Work(WorkEvidence {
        server: on.name().to_owned(),
        writers: summary.writers,
        behind,
        acknowledged: summary.acknowledged,
        rolled_back: summary.rolled_back,
        failed,
        unanswered: summary.unanswered,
        cancelled_waits: summary.cancelled_waits,
        took_us: summary.took.as_micros() as u64,
        ended_by: ended_by.clone(),
    }));
    if let Some(words) = &summary.ledger {
        return Err(Unable::new(Code::LedgerDamaged, format!("the ledger could not be written: {words}")));
    }
    if summary.acknowledged == 0 {
        let words = ended_by.unwrap_or_else(|| match summary.failed.keys().next() {
            Some(state) => format!("the server refused them with SQLSTATE {state}"),
            None => "they had no time to".to_owned(),
        });
        let message = format!("no writer could place an order on the {}: {words}", on.name());
        return Err(Unable::new(Code::WorkFailed, message));
    }
    Ok(())
}
