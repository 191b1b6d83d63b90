//! `sql`: runs the scenario's own statements on the server that is there.

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Sql;

use crate::baseline::Written;
use crate::drill::{Drill, disk_full};
use crate::log;
use crate::session::describe;

pub(super) async fn run(drill: &mut Drill<'_>, sql: &Sql, on: Name) -> Result<Vec<Finding>, Unable> {
    let session = drill.session(on, sql.database.as_deref()).await?;
    match session.batch_execute(&sql.run).await {
        Ok(()) => {
            drill.settle(on, Written::Unrecorded).await;
            Ok(Vec::new())
        }
        Err(error) => {
            let words = format!("on the {}: {}", on.name(), describe(&error));
            // A server that gives up over a full disk can often neither answer nor write to its log.
            let said = || log::read(&drill.workspace.log(on)).iter().any(|line| disk_full(&line.message));
            let full = disk_full(&words) || drill.workspace.is_full() || said();
            Err(Unable::new(if full { Code::DiskFull } else { Code::SqlFailed }, words))
        }
    }
}
