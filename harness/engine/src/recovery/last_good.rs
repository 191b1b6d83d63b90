//! The last good backup: each is verified before it is taken, from the newest on, and the first without a finding is the one.
//! That is how one goes back when the data of a recovered server turned out to be corrupt.

use std::time::Duration;

use pgdrill_model::code::Weight;
use pgdrill_model::evidence::{PassedOverEvidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Member, Recovery};

use crate::drill::Drill;
use crate::verified;

/// What is left of a recovery whose backups are tried from the newest on, and what was found in those that were passed over.
#[derive(Debug)]
pub struct Left {
    /// The recovery without them. Where none is good, none is left.
    pub recovery: Recovery,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Left {
    /// Nothing was tried yet.
    pub fn all_of(recovery: &Recovery) -> Self {
        Self { recovery: recovery.clone(), findings: Vec::new() }
    }

    /// Passes over those that are not good, by pgdrill's own reading of them, up to the first that is.
    ///
    /// # Errors
    ///
    /// A backup that cannot be read: nobody knows whether it is good.
    pub async fn verify(&mut self, drill: &Drill<'_>, evidence: &mut RecoveryEvidence) -> Result<(), Unable> {
        while let Some(chain) = self.recovery.backups.last() {
            let began = drill.clock.elapsed();
            let found = complaints(drill, chain).await?;
            if found.is_empty() {
                break;
            }
            let took = drill.clock.elapsed().saturating_sub(began);
            evidence.passed_over.extend(self.pass_over(drill, found, false, took));
        }
        Ok(())
    }

    /// Passes over the newest that is left, because of what was found in so much time; `tried`: in a rehearsal.
    pub fn pass_over(
        &mut self,
        drill: &Drill<'_>,
        found: Vec<Finding>,
        tried: bool,
        took: Duration,
    ) -> Option<PassedOverEvidence> {
        let chain = self.recovery.backups.pop()?;
        let name = chain.last()?.name.clone();
        let start = |chain: &Vec<Member>| Some(drill.backups.get(&chain.last()?.name)?.start_lsn);
        let wal_bytes = match (start(&chain), self.recovery.backups.last().and_then(start)) {
            (Some(newer), Some(older)) => newer.0.saturating_sub(older.0),
            _ => 0,
        };
        let worst = found.iter().max_by_key(|finding| finding.weight);
        let why = worst.map_or_else(String::new, |finding| finding.message.clone());
        self.findings.extend(
            found
                .into_iter()
                .map(|finding| Finding { message: format!("{name}: {}", finding.message), ..finding }),
        );
        Some(PassedOverEvidence { backup: name, why, tried, took_us: took.as_micros() as u64, wal_bytes })
    }
}

/// What is to be said against a backup, by pgdrill's own reading of it.
async fn complaints(drill: &Drill<'_>, chain: &[Member]) -> Result<Vec<Finding>, Unable> {
    let report = verified::read(drill.workspace, chain, &drill.backups).await?;
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
