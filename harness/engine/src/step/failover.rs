//! `failover`: the primary is lost, as its files are, and the standby takes its place, without any recovery: on a timeline of
//! its own, archiving into the same archive. Nobody writes meanwhile, and the standby has everything by then, so nothing that
//! was acknowledged is lost by it.

use std::fs;
use std::io;
use std::path::PathBuf;

use pgdrill_model::code::Code;
use pgdrill_model::evidence::{Evidence, FailoverEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Failover;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::history;
use tokio::time::sleep;

use super::{create_standby, disaster};
use crate::archiving;
use crate::baseline::Written;
use crate::drill::{Drill, on_a_thread, position};
use crate::server::LOOK_AGAIN;
use crate::session::describe;
use crate::workspace::{STOPPED, trouble};

/// Asked for once: a server that is promoted refuses it. That it is, is looked for.
const PROMOTE: &str = "SELECT pg_promote(false)";

const IN_RECOVERY: &str = "SELECT pg_is_in_recovery()";

/// Loses `from` and promotes `to`.
///
/// # Errors
///
/// `TIME_LIMIT`, `SERVER_LOST`: the standby does not catch up, or is not promoted; `WORKSPACE_UNUSABLE`.
pub(super) async fn run(
    drill: &mut Drill<'_>,
    failover: Failover,
    from: Name,
    to: Name,
) -> Result<Vec<Finding>, Unable> {
    let clock = drill.clock;
    drill.watching = None;
    // What lies behind the last commit need not be on disk, and is streamed only when it is.
    ask(drill, from, "CHECKPOINT").await?;
    create_standby::catch_up(drill).await?;
    let began = clock.elapsed();
    let until = began + failover.within;
    let server = drill.server(from)?;
    server.kill().await?;
    server.gone(failover.within).await?;
    let lost = disaster::take_files_away(drill, from, false)?;
    again(drill)?;
    ask(drill, to, PROMOTE).await?;
    while is_in_recovery(drill, to).await? {
        if clock.elapsed() >= until {
            let words = drill.server(to)?.last_words();
            let message = format!(
                "the {} was not promoted within {} s; it said last: {words}",
                to.name(),
                failover.within.as_secs()
            );
            return Err(Unable::new(Code::TimeLimit, message));
        }
        sleep(LOOK_AGAIN).await;
    }
    let took_us = clock.elapsed().saturating_sub(began).as_micros() as u64;
    // Until its first checkpoint the control file names the timeline that it left.
    ask(drill, to, "CHECKPOINT").await?;
    let session = drill.session(to, None).await?;
    let (timeline, _) = position(&session).await.ok_or_else(|| {
        Unable::new(Code::ServerLost, format!("the {} does not say on which timeline it is", to.name()))
    })?;
    drop(session);
    let at = left_at(drill, to, timeline)?;
    let mut findings = Vec::new();
    if let Some(server) = drill.servers.remove(&from) {
        findings.extend(server.close().await);
    }
    on_a_thread(move || lost.iter().try_for_each(|lost| disaster::remove(lost))).await??;
    drill.timeline = timeline;
    drill.settle(to, Written::InTheLedger).await;
    drill.recorder.measured(Evidence::Failover(FailoverEvidence {
        from: from.name().to_owned(),
        to: to.name().to_owned(),
        timeline,
        at,
        took_us,
    }));
    Ok(findings)
}

/// Whatever stopped the archiver of the lost server, that of the promoted one begins anew.
fn again(drill: &Drill<'_>) -> Result<(), Unable> {
    let stopped = drill.workspace.path(archiving::WAL).join(STOPPED);
    match fs::remove_file(&stopped) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble(&stopped, &error)),
        _ => Ok(()),
    }
}

async fn ask(drill: &mut Drill<'_>, of: Name, statement: &str) -> Result<(), Unable> {
    let session = drill.session(of, None).await?;
    session.batch_execute(statement).await.map_err(|error| {
        Unable::new(
            Code::ServerLost,
            format!("{statement} failed on the {}: {}", of.name(), describe(&error)),
        )
    })
}

async fn is_in_recovery(drill: &mut Drill<'_>, server: Name) -> Result<bool, Unable> {
    let session = drill.session(server, None).await?;
    let row = session.query_one(IN_RECOVERY, &[]).await.map_err(|error| {
        let message =
            format!("cannot ask the {} whether it is promoted: {}", server.name(), describe(&error));
        Unable::new(Code::ServerLost, message)
    })?;
    Ok(row.get(0))
}

/// Where the promoted server left the timeline before, by the history that it wrote.
fn left_at(drill: &Drill<'_>, server: Name, timeline: u32) -> Result<Lsn, Unable> {
    let path: PathBuf = drill.workspace.data(server).join("pg_wal").join(format!("{timeline:08X}.history"));
    let text = fs::read_to_string(&path).map_err(|error| trouble(&path, &error))?;
    let last = history::read(&text).ok().and_then(|all| all.last().copied());
    let last = last.ok_or_else(|| {
        let message = format!("the {} is on timeline {timeline}, whose history says nothing", server.name());
        Unable::new(Code::ServerLost, message)
    })?;
    Ok(Lsn(last.switched_at))
}
