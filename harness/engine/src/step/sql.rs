//! `sql`: runs the scenario's own statements on the server that is there, or begins them.

use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Sql;

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::baseline::Written;
use crate::drill::{Drill, disk_full};
use crate::log;
use crate::session::describe;

/// How long SQL that goes on behind may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A session that waits for something or sleeps, or has been busy for a while: it has come to what it is there for.
const AT_WORK: &str = "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' \
                       AND (wait_event IS NOT NULL OR clock_timestamp() - query_start > '1s')";

pub(super) async fn run(drill: &mut Drill<'_>, sql: &Sql, on: Name) -> Result<Vec<Finding>, Unable> {
    if sql.behind {
        return behind(drill, sql, on).await;
    }
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

/// Begins SQL that goes on while other steps are done; it ends with its server at the latest.
async fn behind(drill: &mut Drill<'_>, sql: &Sql, on: Name) -> Result<Vec<Finding>, Unable> {
    let failed = |error: &tokio_postgres::Error| {
        Unable::new(Code::SqlFailed, format!("on the {}: {}", on.name(), describe(error)))
    };
    let observer = drill.session(on, None).await?;
    let session = drill.session(on, sql.database.as_deref()).await?;
    let pid: i32 = match session.query_one("SELECT pg_backend_pid()", &[]).await {
        Ok(row) => row.get(0),
        Err(error) => return Err(failed(&error)),
    };
    let (say, mut hear) = oneshot::channel();
    let run = sql.run.clone();
    drill.aside.push(tokio::spawn(async move {
        let ended = session.batch_execute(&run).await;
        // Who began it may have gone on.
        let _ = say.send(ended);
        // What it holds, it holds on to.
        std::future::pending::<()>().await;
        drop(session);
    }));
    let until = drill.clock.elapsed() + BEGIN_LIMIT;
    loop {
        if let Ok(ended) = hear.try_recv() {
            ended.map_err(|error| failed(&error))?;
            break;
        }
        let at_work = observer.query_opt(AT_WORK, &[&pid]).await.map_err(|error| failed(&error))?;
        if at_work.is_some() {
            break;
        }
        if drill.clock.elapsed() >= until {
            let limit = BEGIN_LIMIT.as_secs();
            let message = format!("on the {}: the statement had not begun after {limit} s", on.name());
            return Err(Unable::new(Code::SqlFailed, message));
        }
        sleep(LOOK_AGAIN).await;
    }
    drill.settle(on, Written::Unrecorded).await;
    Ok(Vec::new())
}
