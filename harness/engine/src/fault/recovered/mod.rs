//! Faults of the recovered server, before it is checked: each is SQL in a file of its own, but for what no SQL can do; and
//! the table of them. A query gives one row with one text, which says what it did.

mod archive_written;

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::not_made;
use crate::drill::Drill;
use crate::session::describe;

/// Makes one; says what was done.
pub(super) async fn run(drill: &mut Drill<'_>, fault: Fault, on: Name) -> Result<String, Unable> {
    let sql = match fault {
        Fault::ArchiveWritten => return archive_written::run(drill, on),
        Fault::RowDeleted => include_str!("sql/row-deleted.sql"),
        Fault::ValueChanged => include_str!("sql/value-changed.sql"),
        Fault::ValuesSwapped => include_str!("sql/values-swapped.sql"),
        Fault::TransactionTorn => include_str!("sql/transaction-torn.sql"),
        Fault::TransactionInvented => include_str!("sql/transaction-invented.sql"),
        Fault::SequenceBehind => include_str!("sql/sequence-behind.sql"),
        Fault::IndexLost => include_str!("sql/index-lost.sql"),
        Fault::StatementFails => include_str!("sql/statement-fails.sql"),
        _ => return Err(not_made(fault, "it is no fault of a recovered server")),
    };
    let session = drill.session(on, None).await?;
    match fault {
        Fault::IndexLost => {
            let dropped = session.batch_execute(sql).await;
            dropped.map_err(|error| not_made(fault, &describe(&error)))?;
            return Ok("the index Order_createdAt_idx is gone".to_owned());
        }
        Fault::StatementFails => {
            return match session.batch_execute(sql).await {
                Err(error) => Ok(format!("a statement failed: {}", describe(&error))),
                Ok(()) => Err(not_made(fault, "the statement did not fail")),
            };
        }
        _ => {}
    }
    // Any row may be the one; the seed says which.
    let parameter = i64::try_from(drill.seed % 1_000_003).unwrap_or(0);
    let rows = session.query(sql, &[&parameter]).await;
    let rows = rows.map_err(|error| not_made(fault, &describe(&error)))?;
    let done: Option<String> = rows.first().and_then(|row| row.try_get(0).ok());
    done.ok_or_else(|| not_made(fault, "there is no row that it could be done to"))
}
