//! The last proven backup: each is verified, recovered and checked before it is taken, from the newest on, and the first of
//! which nothing but good comes is the one. Damage that was in the data before a backup was taken is in its manifest as well: no
//! reading of the backup alone sees it.

use pgdrill_model::code::{Code, Weight};
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::{Member, Recovery};
use pgdrill_model::scenario::RecoverFrom;
use pgdrill_model::verdict::Verdict;

use super::rehearsal::{Before, rehearse};
use crate::drill::Drill;
use crate::recovery::last_good::Left;
use crate::recovery::phases::Clocked;

/// Passes over the backups that are not good, as far as the recovery asks whether they are, and says what was found.
///
/// # Errors
///
/// A backup that cannot be read, or of which a rehearsal does not tell whether it is good.
pub async fn choose(
    drill: &mut Drill<'_>,
    recovery: &Recovery,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Left, Unable> {
    let mut left = Left::all_of(recovery);
    loop {
        left.verify(drill, evidence).await?;
        // There is nothing behind the oldest to step back to, so it is as well recovered at once.
        if recovery.from != RecoverFrom::LastProven || left.recovery.backups.len() < 2 {
            break;
        }
        let began = drill.clock.elapsed();
        let proven = rehearse_newest(drill, &mut left, evidence).await?;
        if proven {
            let took = drill.clock.elapsed().saturating_sub(began);
            evidence.tried_us = took.as_micros() as u64;
            clocked.set_aside(took);
            break;
        }
    }
    clocked.chosen(drill.clock.elapsed());
    Ok(left)
}

/// Recovers and checks the newest backup that is left; passes it over where it does not come out as it should.
async fn rehearse_newest(
    drill: &mut Drill<'_>,
    left: &mut Left,
    evidence: &mut RecoveryEvidence,
) -> Result<bool, Unable> {
    let (began, before) = (drill.clock.elapsed(), Before::of(drill));
    let trial = Recovery {
        from: RecoverFrom::Newest,
        tried_by: Vec::new(),
        // What is removed again archives nothing.
        serves: false,
        ..left.recovery.clone()
    };
    let done = evidence.passed_over.len() as u64;
    let all = done + trial.backups.len() as u64;
    let name = trial.backups.last().and_then(|chain| chain.last()).map_or("", |member| &member.name);
    drill.recorder.progress(&format!("try {name}"), done, Some(all), Unit::Backups);
    let run = rehearse(drill, &trial, &left.recovery.tried_by.clone(), true).await?;
    before.restore(drill, trial.server).await?;
    drill.recovered = None;
    if run.observed == Verdict::Proven {
        return Ok(true);
    }
    let found: Vec<_> = run.findings.into_iter().filter(|finding| finding.weight > Weight::Notes).collect();
    if !found.iter().any(|finding| finding.weight == Weight::Disproves) {
        let message = format!("{name} was recovered and could not be judged: {}", run.reason);
        return Err(Unable::new(found.first().map_or(Code::CheckNotRun, |finding| finding.code), message));
    }
    // Those that are newer end behind the target: nothing is wrong with them.
    let used = run.recoveries.last().and_then(|recovery| recovery.backups.last());
    let of = |chain: &Vec<Member>| chain.last().map(|member| &member.name) == used;
    if let Some(at) = left.recovery.backups.iter().rposition(of) {
        left.recovery.backups.truncate(at + 1);
    }
    let took = drill.clock.elapsed().saturating_sub(began);
    evidence.passed_over.extend(left.pass_over(drill, found, true, took));
    Ok(false)
}
