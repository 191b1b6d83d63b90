//! `start-application` and `stop-application`: the application in front of a server, used as a person would use it.

use std::sync::Arc;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::evidence::{ApplicationEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Application;

use crate::application::walk::Walk;
use crate::application::{Front, environment, log, password};
use crate::baseline::Written;
use crate::data::APPLICATION_ROLE;
use crate::drill::Drill;
use crate::session::describe;

/// Until one who asks again and again has seen that the application is back.
const SEEN_LIMIT: Duration = Duration::from_secs(30);

/// Whether the role has a password: one that was recovered has the one that it had.
const PASSWORD: &str = "SELECT rolpassword IS NOT NULL FROM pg_catalog.pg_authid WHERE rolname = $1";

pub(super) async fn start(
    drill: &mut Drill<'_>,
    application: &Application,
    on: Name,
) -> Result<Vec<Finding>, Unable> {
    if drill.application.is_none() {
        Front::begin(drill).await?;
    }
    let bug = || Unable::bug("an application without a pooler");
    let front = drill.application.as_ref().ok_or_else(bug)?;
    front.pooler.lead_to(drill.workspace, on).await?;
    let mut evidence = ApplicationEvidence {
        server: on.name().to_owned(),
        pooler: front.pooler.version.clone(),
        own: application.own.is_some(),
        healthy_us: None,
        asked: Vec::new(),
        outage: None,
    };
    give_password(drill, on).await?;
    let (environment, log, secret) = (environment(drill), log(drill), password(drill.run_id));
    let (clock, program) = (drill.clock, drill.program);
    let began = clock.elapsed();
    let lost = drill.lost.map(|lost| lost.at);
    let shared = Arc::clone(&drill.shared_clock);
    let origin = format!("{}/{}/{}", drill.run_id, on.name(), drill.begun.len());
    let front = drill.application.as_mut().ok_or_else(bug)?;
    let worked = front.worked;
    let came = async {
        front.start(application, &environment, program, log).await?;
        front
            .healthy(application.within, clock)
            .await
            .map_err(|words| format!("not healthy within {} s: {words}", application.within.as_secs()))?;
        evidence.healthy_us = Some(clock.elapsed().saturating_sub(began).as_micros() as u64);
        let probed = front.was_probed();
        front.probe(shared);
        if let Some((api, web)) = front.stand_in() {
            let walk = Walk { clock, api, web, password: &secret, origin: &origin };
            evidence.asked = walk.all().await;
        }
        if let (Some(lost), true) = (lost, probed) {
            evidence.outage = front.outage(lost, SEEN_LIMIT, clock).await;
        }
        Ok::<(), String>(())
    }
    .await;
    let wrong = evidence
        .asked
        .iter()
        .find_map(|asked| Some(format!("{} ({}): {}", asked.what, asked.request, asked.wrong.as_ref()?)));
    let trouble = came.err().or(wrong);
    front.worked |= trouble.is_none();
    drill.recorder.measured(Evidence::Application(evidence));
    drill.settle(on, Written::Unrecorded).await;
    let Some(words) = trouble else { return Ok(Vec::new()) };
    let message = format!("the application on the {}: {words}", on.name());
    // Nobody knows whose fault it is where it has never worked.
    if worked {
        Ok(vec![Finding::new(Code::ApplicationFailed, Stage::Check, message).about(on.name())])
    } else {
        Err(Unable::new(Code::ApplicationUnusable, message))
    }
}

pub(super) async fn stop(drill: &mut Drill<'_>, application: &Application) -> Result<Vec<Finding>, Unable> {
    let (environment, log) = (environment(drill), log(drill));
    let Some(front) = &mut drill.application else { return Ok(Vec::new()) };
    front.stop(&environment, log, application.within).await.map_err(|words| {
        Unable::new(Code::ApplicationUnusable, format!("the application was not stopped: {words}"))
    })?;
    Ok(Vec::new())
}

/// Gives the application's role a password, where it has none.
async fn give_password(drill: &mut Drill<'_>, on: Name) -> Result<(), Unable> {
    let password = password(drill.run_id);
    let session = drill.session(on, None).await?;
    let given = async {
        let has: bool = session.query_one(PASSWORD, &[&APPLICATION_ROLE]).await?.get(0);
        if has {
            return Ok(());
        }
        // Up to 13 the default is MD5, which PgBouncer is not to take.
        let sql = format!(
            "SET password_encryption = 'scram-sha-256'; ALTER ROLE {APPLICATION_ROLE} PASSWORD '{password}'"
        );
        session.batch_execute(&sql).await
    };
    given.await.map_err(|error: tokio_postgres::Error| {
        let message = format!("the {} gives {APPLICATION_ROLE} no password: {}", on.name(), describe(&error));
        Unable::new(Code::ApplicationUnusable, message)
    })
}
