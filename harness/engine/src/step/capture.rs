//! `capture`: measures what the quiet primary holds, with its position in the WAL.
//!
//! Quiet means that no transaction began to write while it was measured: the server's own snapshot is the same
//! before and after. (The position alone would not do: checkpoints and hint bits move it without changing a row.)

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BaselineEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Lsn;

use crate::baseline::Baseline;
use crate::collations;
use crate::connections::Connections;
use crate::content::{Measure, measure};
use crate::definitions::{self, Definitions};
use crate::drill::Drill;
use crate::sequences;
use crate::session::{Session, Socket, describe};

/// Autovacuum may write now and then; a server that is never quiet in so many attempts is in use.
const ATTEMPTS: usize = 5;

/// The third column is where in its segment the position lies, the fourth the timeline.
const POSITION: &str = "SELECT pg_current_snapshot()::text, lsn::text, \
                        mod(lsn - '0/0', pg_size_bytes(current_setting('wal_segment_size')))::bigint, \
                        ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::int \
                        FROM pg_current_wal_insert_lsn() AS lsn";

/// Bytes of the header of a segment's first page (`SizeOfXLogLongPHD`). The insert position after a switch lies
/// behind it, although there is nothing in the segment yet.
const SEGMENT_HEADER: i64 = 40;

pub(super) async fn run(drill: &mut Drill<'_>, checks: &[Check], on: Name) -> Result<Vec<Finding>, Unable> {
    let session = drill.session(on, None).await?;
    let socket = drill.server(on)?.socket.clone();
    let began = drill.clock.elapsed();
    for _ in 0..ATTEMPTS {
        let at = position(&session).await?;
        let baseline = everything(drill, on, &socket, &at, checks).await?;
        if position(&session).await?.snapshot == at.snapshot {
            let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
            return Ok(take(drill, baseline, took_us));
        }
    }
    let message =
        format!("transactions went on while the primary was measured, in each of {ATTEMPTS} attempts");
    Err(Unable::new(Code::BaselineUnstable, message))
}

/// Measures all that the checks to come will compare with, side by side.
async fn everything(
    drill: &Drill<'_>,
    on: Name,
    socket: &Socket,
    at: &Position,
    checks: &[Check],
) -> Result<Baseline, Unable> {
    let connections = Connections::default();
    let asked = |check: Check| checks.contains(&check);
    let rows = Measure::default();
    let content = measure(socket, &rows, &connections, drill.recorder);
    let definitions = async {
        let read = definitions::read(socket, drill.postgres, &connections);
        if asked(Check::Catalog) { read.await.map(Some) } else { Ok(None) }
    };
    let sequences = async {
        let read = sequences::read(socket, &connections);
        if asked(Check::Sequences) { read.await.map(Some) } else { Ok(None) }
    };
    let collations = async {
        let read = collations::read(socket, drill.postgres, &connections).await;
        // Worth to be in every record, but only the check needs it.
        if asked(Check::Collations) { read.map(Some) } else { Ok(read.ok()) }
    };
    let (content, definitions, sequences, collations) =
        tokio::try_join!(content, definitions, sequences, collations).map_err(|error| lost(&error))?;
    if let Some(why) = content.undecided() {
        return Err(Unable::new(Code::BaselineUnstable, why));
    }
    let collations = collations.map(|found| found.evidence(on));
    Ok(Baseline {
        timeline: at.timeline,
        lsn: at.lsn,
        snapshot: at.snapshot.clone(),
        settled: drill.settled,
        content,
        definitions,
        sequences,
        collations,
    })
}

fn take(drill: &mut Drill<'_>, baseline: Baseline, took_us: u64) -> Vec<Finding> {
    let content = &baseline.content;
    // A table that the primary itself cannot read was damaged before any backup: that is a finding, and an expected
    // value does not exist for it.
    let findings: Vec<Finding> = content
        .tables()
        .filter_map(|(table, held)| {
            let error = &held.as_ref().err()?.words;
            let message = format!("table {table} of the primary cannot be read: {error}");
            Some(Finding::new(Code::TableUnreadable, Stage::Capture, message).about(table))
        })
        .collect();
    let tables: Vec<_> =
        content.tables().filter_map(|(table, held)| Some((table, held.as_ref().ok()?.clone()))).collect();
    drill.recorder.measured(Evidence::Baseline(BaselineEvidence {
        lsn: baseline.lsn,
        tables: tables.len() as u64,
        rows: tables.iter().map(|(_, content)| content.rows).sum(),
        definitions: baseline.definitions.as_ref().map_or(0, Definitions::count),
        sequences: baseline.sequences.as_ref().map_or(0, |sequences| sequences.0.len() as u64),
        content: tables.into_iter().collect(),
        took_us,
    }));
    if let Some(server) = &baseline.collations {
        drill.recorder.measured(Evidence::Server(server.clone()));
    }
    drill.baselines.push(baseline);
    findings
}

/// Where a server is.
struct Position {
    snapshot: String,
    lsn: Lsn,
    timeline: u32,
}

async fn position(session: &Session) -> Result<Position, Unable> {
    let row = session.query_one(POSITION, &[]).await.map_err(|error| lost(&error))?;
    let (lsn, within): (String, i64) = (row.get(1), row.get(2));
    let Lsn(lsn) = lsn.parse().map_err(Unable::bug)?;
    let nothing_yet = if within == SEGMENT_HEADER { SEGMENT_HEADER.unsigned_abs() } else { 0 };
    let timeline: i32 = row.get(3);
    Ok(Position { snapshot: row.get(0), lsn: Lsn(lsn - nothing_yet), timeline: timeline.unsigned_abs() })
}

fn lost(error: &tokio_postgres::Error) -> Unable {
    Unable::new(Code::ServerLost, format!("the primary could not be measured: {}", describe(error)))
}
