//! The last good backup: each is verified before it is taken, from the newest on, and the first without a finding is the one.
//! That is how one goes back when the data of a recovered server turned out to be corrupt.

use pgdrill_model::code::Weight;
use pgdrill_model::evidence::{PassedOverEvidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Member, Recovery};

use crate::drill::Drill;
use crate::verified;
use crate::workspace::Workspace;

/// The same recovery without those of its backups that are newer than the last good one, and what was found in them. Where
/// none is good, none is left.
///
/// # Errors
///
/// A backup that cannot be read: nobody knows whether it is good.
pub async fn choose(
    drill: &Drill<'_>,
    recovery: &Recovery,
    evidence: &mut RecoveryEvidence,
) -> Result<(Recovery, Vec<Finding>), Unable> {
    let (mut left, mut findings) = (recovery.clone(), Vec::new());
    while let Some(chain) = left.backups.last().cloned() {
        let began = drill.clock.elapsed();
        let found = complaints(drill.workspace, &chain).await?;
        let Some(worst) = found.iter().max_by_key(|finding| finding.weight) else { break };
        let name = chain.last().map(|member| member.name.clone()).unwrap_or_default();
        left.backups.pop();
        let start = |chain: &Vec<Member>| Some(drill.backups.get(&chain.last()?.name)?.start_lsn);
        let more = match (start(&chain), left.backups.last().and_then(start)) {
            (Some(newer), Some(older)) => newer.0.saturating_sub(older.0),
            _ => 0,
        };
        evidence.passed_over.push(PassedOverEvidence {
            backup: name.clone(),
            why: worst.message.clone(),
            took_us: drill.clock.elapsed().saturating_sub(began).as_micros() as u64,
            wal_bytes: more,
        });
        findings.extend(
            found
                .into_iter()
                .map(|finding| Finding { message: format!("{name}: {}", finding.message), ..finding }),
        );
    }
    Ok((left, findings))
}

/// What is to be said against a backup, by pgdrill's own reading of it.
async fn complaints(workspace: &Workspace, chain: &[Member]) -> Result<Vec<Finding>, Unable> {
    let report = verified::read(workspace, chain).await?;
    let found: Vec<Finding> = report
        .members
        .into_iter()
        .flat_map(|member| member.findings)
        .chain(report.findings)
        .filter(|finding| finding.weight > Weight::Notes)
        .map(|finding| Finding { stage: Stage::Recover, ..finding })
        .collect();
    match found.iter().find(|finding| finding.weight == Weight::Unverifies) {
        Some(unread) if found.iter().all(|finding| finding.weight <= Weight::Unverifies) => {
            Err(Unable::new(unread.code, unread.message.clone()))
        }
        _ => Ok(found),
    }
}
