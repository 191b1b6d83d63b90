//! Faults of the live server before it is lost, one file each, and the table of them.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::not_made;
use crate::baseline::Written;
use crate::drill::Drill;
use crate::session::describe;

mod archive_disk_full;
mod archiver_fails;
mod clock_set_back;
mod commits_forgotten;
mod heap_page_damaged;
mod index_out_of_order;
mod offline;
mod receiver_killed;
mod row_behind_index;
mod server_crash;

pub use archive_disk_full::small_archive;
pub use clock_set_back::{is_settable, left_by, settable_clock};

/// Makes one; says what was done.
pub(super) async fn run(drill: &mut Drill<'_>, fault: Fault, on: Name) -> Result<String, Unable> {
    let done = match fault {
        Fault::HeapPageDamaged => heap_page_damaged::run(drill, on).await,
        Fault::IndexOutOfOrder => index_out_of_order::run(drill, on).await,
        Fault::RowBehindIndex => row_behind_index::run(drill, on).await,
        Fault::CommitsForgotten => commits_forgotten::run(drill, on).await,
        Fault::ArchiveDiskFull => archive_disk_full::run(drill),
        Fault::ArchiverFails => archiver_fails::run(drill),
        Fault::ClockSetBack => clock_set_back::run(drill, on).await,
        Fault::ReceiverKilled => receiver_killed::run(drill).await,
        Fault::ServerCrash => server_crash::run(drill, on).await,
        Fault::EmptyDatabase => sql(drill, fault, on, include_str!("sql/empty-database.sql")).await,
        Fault::InvalidDatabase => sql(drill, fault, on, include_str!("sql/invalid-database.sql")).await,
        Fault::UnloggedTable => sql(drill, fault, on, include_str!("sql/unlogged-table.sql")).await,
        _ => Err(not_made(fault, "it is no fault of a live server")),
    }?;
    // Whatever the server wrote over it is in no ledger.
    drill.settle(on, Written::Unrecorded).await;
    Ok(done)
}

/// Runs statements, each of which ends with a semicolon at the end of a line: not all can stand in one transaction.
async fn sql(drill: &mut Drill<'_>, fault: Fault, on: Name, statements: &str) -> Result<String, Unable> {
    let session = drill.session(on, None).await?;
    let mut ran = 0;
    for statement in statements.split_inclusive(";\n") {
        let done = session.batch_execute(statement).await;
        done.map_err(|error| not_made(fault, &describe(&error)))?;
        ran += 1;
    }
    Ok(format!("{ran} statements on the {}", on.name()))
}
