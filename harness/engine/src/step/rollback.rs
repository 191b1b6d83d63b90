//! `rollback`: goes back to the safety copy. It is what it was, its server comes back on it, and holds what it held.

use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::evidence::{Evidence, RollbackEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Rollback;

use crate::archiving;
use crate::check;
use crate::connections::Connections;
use crate::content::{Measure, measure};
use crate::drill::{Drill, on_a_thread};
use crate::safety::Aside;
use crate::server::Server;
use crate::session::{Door, SUPERUSER, describe};
use crate::workspace::trouble;

pub(super) async fn run(
    drill: &mut Drill<'_>,
    rollback: Rollback,
    to: Name,
    quiet: bool,
) -> Result<Vec<Finding>, Unable> {
    let mut findings = drill.primary_is_gone().await?;
    // What was recovered is given up. Its socket may be the one of the server that comes back.
    let recovered = std::mem::take(&mut drill.servers);
    for server in recovered.into_values() {
        findings.extend(server.close().await);
    }
    let workspace = drill.workspace;
    let data = workspace.data(to);
    let was = drill.put_aside.take().ok_or_else(|| Unable::bug("a rollback to a copy that was not made"))?;
    let began = drill.clock.elapsed();
    let aside = Aside::of(workspace, to);
    let put_back = aside.clone();
    on_a_thread(move || put_back.put_back()).await?.map_err(|error| trouble(&data, &error))?;
    let put_back_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    let is = on_a_thread(move || aside.seal()).await?.map_err(|error| trouble(&data, &error))?;
    let mut evidence = RollbackEvidence {
        server: to.name().to_owned(),
        sha256: is.sha256.clone(),
        put_back_us,
        started_us: None,
        tables: None,
    };
    if is != was {
        let message = format!(
            "what was put back of the {} is not what was put aside: {} files of {} bytes, and it had been {} of {}",
            to.name(),
            is.files,
            is.bytes,
            was.files,
            was.bytes
        );
        findings.push(failed(message));
    }
    let began = drill.clock.elapsed();
    let started = start(drill, rollback, to).await;
    match started {
        Ok(()) => {
            evidence.started_us = Some(drill.clock.elapsed().saturating_sub(began).as_micros() as u64);
            if quiet {
                findings.extend(compare(drill, to, &mut evidence).await?);
            }
        }
        Err(unable) if unable.code == Code::ServerStartFailed => {
            findings.push(failed(format!(
                "the {} does not start on the safety copy: {}",
                to.name(),
                unable.message
            )));
        }
        Err(unable) => return Err(unable),
    }
    drill.recorder.measured(Evidence::Rollback(evidence));
    Ok(findings)
}

fn failed(message: String) -> Finding {
    Finding::new(Code::RollbackFailed, Stage::Check, message)
}

/// Starts the server on its files as it was started before they were lost.
async fn start(drill: &mut Drill<'_>, rollback: Rollback, to: Name) -> Result<(), Unable> {
    let (workspace, clock) = (drill.workspace, drill.clock);
    let writable = [archiving::directories(&drill.made.archive), vec!["backup"]].concat();
    let place = drill.open_place(to, &writable, &[]).await?;
    drill
        .recorder
        .happened(Happening::PlaceOpened { server: to.name().to_owned(), facts: place.facts().clone() });
    let mut server = Server::new(to, workspace, place);
    server.forget_postmaster(&workspace.data(to))?;
    server.start_again(workspace).await?;
    let door = Door::superuser(&server.socket, SUPERUSER);
    let server = drill.servers.entry(to).or_insert(server);
    server.ready(&door, rollback.within, clock).await.map(|_| ())
}

/// Compares what the server holds with what was captured last.
async fn compare(
    drill: &Drill<'_>,
    to: Name,
    evidence: &mut RollbackEvidence,
) -> Result<Vec<Finding>, Unable> {
    let Some(baseline) = drill.baselines.last() else { return Ok(Vec::new()) };
    let socket = drill.workspace.socket(to);
    let (what, connections) = (Measure::default(), Connections::default());
    let content = measure(&socket, &what, &connections, drill.recorder).await.map_err(|error| {
        Unable::new(
            Code::ServerLost,
            format!("the {} could not be measured: {}", to.name(), describe(&error)),
        )
    })?;
    evidence.tables = Some(content.tables().count() as u64);
    let different = check::differences(&baseline.content, &content);
    Ok(different
        .into_iter()
        .map(|finding| failed(format!("on the {}: {}", to.name(), finding.message)))
        .collect())
}
