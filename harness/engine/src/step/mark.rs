//! `mark`: takes note of an instant, by everything that a recovery can be given as its target.
//!
//! In this order: a transaction of its own, whose commit record can be a target; a restore point of the mark's name; the
//! server's time. On a quiet server nothing lies between them, so all of them mean the same state.

use pgdrill_model::code::Code;
use pgdrill_model::evidence::{Evidence, MarkEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Lsn;

use crate::drill::Drill;
use crate::session::describe;

/// A commit record is written for a transaction that has a number, although it changed nothing.
const TRANSACTION: &str = "SELECT mod(pg_current_xact_id()::text::numeric, 4294967296)::bigint";

/// Neither of the others is on disk when it is answered; what this one writes, and everything before it, is
/// (`RecordTransactionCommit`, `src/backend/access/transam/xact.c`).
const ON_DISK: &str = "SELECT pg_logical_emit_message(true, 'pgdrill', 'mark')";

const INSTANT: &str = include_str!("../sql/mark.sql");

pub(super) async fn run(drill: &mut Drill<'_>, name: &str, on: Name) -> Result<Vec<Finding>, Unable> {
    let session = drill.session(on, None).await?;
    let asked = async {
        let xid: i64 = session.query_one(TRANSACTION, &[]).await?.try_get(0)?;
        let row = session.query_one(INSTANT, &[&name]).await?;
        session.batch_execute(ON_DISK).await?;
        Ok((xid, row))
    };
    let (xid, row) = asked.await.map_err(|error: tokio_postgres::Error| {
        Unable::new(Code::ServerLost, format!("the mark {name} could not be made: {}", describe(&error)))
    })?;
    let lsn: String = row.get("lsn");
    let timeline: i32 = row.get("timeline");
    let mark = MarkEvidence {
        name: name.to_owned(),
        server: on.name().to_owned(),
        timeline: timeline.unsigned_abs(),
        lsn: lsn.parse::<Lsn>().map_err(Unable::bug)?,
        xid: xid.unsigned_abs() as u32,
        unix_us: row.get("unix_us"),
    };
    drill.recorder.measured(Evidence::Mark(mark.clone()));
    drill.marks.insert(name.to_owned(), mark);
    Ok(Vec::new())
}
