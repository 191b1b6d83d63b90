//! `alert`: waits until an alert fires, which it must after its cause and not before.

use std::time::Duration;

use pgdrill_model::alert::{Alert, Level};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{AlertEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::scenario::Awaited;
use pgdrill_model::units::show_duration;
use tokio::time::sleep;

use crate::drill::{Begun, Drill};

const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub(super) async fn run(
    drill: &mut Drill<'_>,
    awaited: Awaited,
    cause: usize,
) -> Result<Vec<Finding>, Unable> {
    let alert = awaited.alert;
    let cause = drill.begun.get(&cause).cloned();
    let Begun { name, line, at: began } =
        cause.ok_or_else(|| Unable::bug("an alert whose cause was not begun"))?;
    let until = drill.clock.elapsed().max(began + awaited.within);
    let (early, detected) = loop {
        let watching =
            drill.watching.as_ref().ok_or_else(|| Unable::bug("an alert that nobody watches for"))?;
        let changes = watching.changes(alert);
        let early =
            changes.iter().rev().find(|change| change.at < began).is_some_and(|last| last.level.fires);
        let fired = changes.into_iter().find(|change| change.at >= began && change.level.fires);
        if early || fired.is_some() || drill.clock.elapsed() >= until {
            break (early, fired);
        }
        sleep(LOOK_AGAIN).await;
    };
    let watching = drill.watching.as_ref().ok_or_else(|| Unable::bug("an alert that nobody watches for"))?;
    let (now, window) = watching.level(alert);
    let level = detected.as_ref().map(|change| change.level.clone()).or(now);
    let evidence = AlertEvidence {
        alert,
        cause: name,
        line,
        watched_us: began.saturating_sub(watching.began).as_micros() as u64,
        detected_us: detected.map(|change| change.at.saturating_sub(began).as_micros() as u64),
        early,
        value: level
            .as_ref()
            .and_then(|level| level.value)
            .map_or_else(|| "unknown".to_owned(), |value| alert.show(value)),
        limit: level.as_ref().map(|level| alert.show(level.limit)).unwrap_or_default(),
        window_us: window.as_micros() as u64,
        scale: watching.scale,
        about: level.and_then(|Level { about, .. }| about),
    };
    let found = found(alert, &evidence, awaited.within);
    drill.recorder.measured(Evidence::Alert(evidence));
    Ok(found.into_iter().collect())
}

/// What is wrong with an alert.
fn found(alert: Alert, evidence: &AlertEvidence, within: Duration) -> Option<Finding> {
    let AlertEvidence { cause, line, value, limit, .. } = evidence;
    let cause = line.map_or_else(|| cause.clone(), |line| format!("{cause} on line {line}"));
    let (code, message) = if evidence.early {
        (
            Code::AlertEarly,
            format!("the alert {alert} had fired before its cause, {cause}: {value}, limit {limit}"),
        )
    } else if evidence.detected_us.is_none() {
        let message = format!(
            "the alert {alert} did not fire within {} after its cause, {cause}: {value}, limit {limit}",
            show_duration(within)
        );
        (Code::AlertMissed, message)
    } else {
        return None;
    };
    Some(Finding::new(code, Stage::Disaster, message).about(alert.name()))
}
