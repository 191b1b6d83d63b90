//! `commits-forgotten`: `pg_xact` of the live server says nothing any more of the last transactions, which is how those
//! look that were in progress when a server crashed: they count as rolled back.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::{not_made, offline};
use crate::drill::Drill;
use crate::session::describe;

const FAULT: Fault = Fault::CommitsForgotten;

/// The next number that a transaction gets; every one before it has ended, since the server is quiet.
const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

/// How many transactions are forgotten.
const HOW_MANY: u64 = 12;

/// Transactions in a file: 32 pages of 8192 bytes with four each (`src/backend/access/transam/clog.c`,
/// `SLRU_PAGES_PER_SEGMENT`).
const PER_FILE: u64 = 32 * 8192 * 4;

pub(super) async fn run(drill: &mut Drill<'_>, on: Name) -> Result<String, Unable> {
    let session = drill.session(on, None).await?;
    let row = session.query_one(NEXT, &[]).await;
    let next: i64 = row.map_err(|error| not_made(FAULT, &describe(&error)))?.get(0);
    drop(session);
    let next = next.unsigned_abs() & u64::from(u32::MAX);
    let first = next.saturating_sub(HOW_MANY);
    if first / PER_FILE != (next - 1) / PER_FILE {
        return Err(not_made(FAULT, "the last transactions are in two files of pg_xact"));
    }
    let file = drill.workspace.data(on).join(format!("pg_xact/{:04X}", first / PER_FILE));
    offline::edit(drill, FAULT, on, &file, |content| {
        for xid in first..next {
            let (byte, shift) = ((xid % PER_FILE / 4) as usize, xid % 4 * 2);
            let Some(byte) = content.get_mut(byte) else { return Err("pg_xact is too short".to_owned()) };
            *byte &= !(0b11 << shift);
        }
        Ok(format!("pg_xact has forgotten how the transactions {first} to {} ended", next - 1))
    })
    .await
}
