//! `repeat`: recovers again from the same backup and archive, and checks each recovery as the first, to know how the recovery time
//! is spread.

use pgdrill_model::event::Unit;
use pgdrill_model::evidence::{Evidence, RepetitionEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Repeat;

use super::rehearsal::{Before, clear, rehearse};
use crate::drill::Drill;

pub(super) async fn run(drill: &mut Drill<'_>, repeat: &Repeat) -> Result<Vec<Finding>, Unable> {
    let server = repeat.recovery.server;
    let lost = drill.lost.ok_or_else(|| Unable::bug("the plan repeats a recovery before a disaster"))?;
    clear(drill, server).await?;
    let before = Before::of(drill);
    for number in 2..=repeat.times {
        drill.recorder.progress("recover again", number - 1, Some(repeat.times), Unit::Recoveries);
        // As if the server had just been lost, and that noticed after as long as it really was.
        let shift = drill.clock.elapsed().saturating_sub(lost.noticed);
        let mut again = lost;
        (again.at, again.noticed) = (lost.at + shift, lost.noticed + shift);
        drill.lost = Some(again);
        let run = rehearse(drill, &repeat.recovery, &repeat.checks, true).await?;
        let recovery = run.recoveries.into_iter().next_back().unwrap_or_default();
        drill.recorder.measured(Evidence::Repetition(RepetitionEvidence {
            number,
            phases: recovery.phases,
            rto_us: recovery.rto_us,
            redo: recovery.redo,
            observed: run.observed,
            reason: run.reason,
        }));
        before.restore(drill, server).await?;
    }
    drill.lost = Some(lost);
    Ok(Vec::new())
}
