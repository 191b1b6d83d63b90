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

use crate::content::{Content, Measure, measure};
use crate::drill::{Baseline, Drill};
use crate::session::{Session, describe};

/// Autovacuum may write now and then; a server that is never quiet in so many attempts is in use.
const ATTEMPTS: usize = 5;

/// The last column is where in its segment the position lies.
const POSITION: &str = "SELECT pg_current_snapshot()::text, lsn::text, \
                        mod(lsn - '0/0', pg_size_bytes(current_setting('wal_segment_size')))::bigint \
                        FROM pg_current_wal_insert_lsn() AS lsn";

/// Bytes of the header of a segment's first page (`SizeOfXLogLongPHD`). The insert position after a switch lies
/// behind it, although there is nothing in the segment yet.
const SEGMENT_HEADER: i64 = 40;

pub(super) async fn run(drill: &mut Drill<'_>, checks: &[Check]) -> Result<Vec<Finding>, Unable> {
    let what = Measure { definitions: checks.contains(&Check::Catalog), ..Measure::default() };
    let session = drill.session(Name::Primary, None).await?;
    let socket = drill.server(Name::Primary)?.socket.clone();
    let began = drill.clock.elapsed();
    for _ in 0..ATTEMPTS {
        let (before, lsn) = position(&session).await?;
        let content = measure(&socket, &what, drill.recorder).await.map_err(|error| lost(&error))?;
        let (after, _) = position(&session).await?;
        if before == after {
            let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
            return take(drill, lsn, content, took_us);
        }
    }
    let message =
        format!("transactions went on while the primary was measured, in each of {ATTEMPTS} attempts");
    Err(Unable::new(Code::BaselineUnstable, message))
}

fn take(drill: &mut Drill<'_>, lsn: Lsn, content: Content, took_us: u64) -> Result<Vec<Finding>, Unable> {
    // A table that the primary itself cannot read was damaged before any backup: that is a finding, and an expected
    // value does not exist for it.
    let findings: Vec<Finding> = content
        .tables()
        .filter_map(|(table, held)| {
            let error = held.as_ref().err()?;
            let message = format!("table {table} of the primary cannot be read: {error}");
            Some(Finding::new(Code::TableUnreadable, Stage::Capture, message).about(table))
        })
        .collect();
    let tables: Vec<_> =
        content.tables().filter_map(|(table, held)| Some((table, held.as_ref().ok()?.clone()))).collect();
    drill.recorder.measured(Evidence::Baseline(BaselineEvidence {
        lsn,
        tables: tables.len() as u64,
        rows: tables.iter().map(|(_, content)| content.rows).sum(),
        definitions: content.definitions(),
        content: tables.into_iter().collect(),
        took_us,
    }));
    drill.baseline = Some(Baseline { lsn, content });
    Ok(findings)
}

async fn position(session: &Session) -> Result<(String, Lsn), Unable> {
    let row = session.query_one(POSITION, &[]).await.map_err(|error| lost(&error))?;
    let (lsn, within): (String, i64) = (row.get(1), row.get(2));
    let Lsn(lsn) = lsn.parse().map_err(Unable::bug)?;
    let nothing_yet = if within == SEGMENT_HEADER { SEGMENT_HEADER.unsigned_abs() } else { 0 };
    Ok((row.get(0), Lsn(lsn - nothing_yet)))
}

fn lost(error: &tokio_postgres::Error) -> Unable {
    Unable::new(Code::ServerLost, format!("the primary could not be measured: {}", describe(error)))
}
