//! Sample runs whose recovery is repeated, and held against a baseline.

use std::collections::BTreeMap;

use pgdrill_model::event::{Happening, Header, PlannedStep, StepStatus};
use pgdrill_model::evidence::{Evidence, RedoEvidence, RepetitionEvidence};
use pgdrill_model::finding::Stage;
use pgdrill_model::regression::Baseline;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;

use super::{Story, everything_held, header, recovery, until_disaster};

/// By how many thousandths each repetition differs from the drill's own recovery.
const OFF: [i64; 4] = [-12, 31, -25, 8];

/// The events of [`repeated`], against a baseline where there is one.
pub fn repeated_story(baseline: Option<Baseline>) -> Story {
    let mut plan = header().plan;
    plan.push(PlannedStep {
        name: "repeat".to_owned(),
        stage: Stage::Recover,
        line: None,
        does: "when all held: recover again from the same backup and archive until there are 5 recoveries, each checked by \
               row-counts"
            .to_owned(),
    });
    let mut story = until_disaster(Header { plan, repeat: 5, compared_with: baseline, ..header() });
    let redo = RedoEvidence { user_us: 150_000, system_us: 90_000, elapsed_us: 900_000 };
    let own = pgdrill_model::evidence::RecoveryEvidence { redo: Some(redo), ..recovery() };
    story
        .step(7, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(own.clone()))])
        .step(8, StepStatus::Done, everything_held())
        .tell(Happening::StepStarted { step: 9 });
    for (off, number) in OFF.into_iter().zip(2..) {
        let mut phases = own.phases.clone();
        for phase in &mut phases {
            phase.took_us = phase.took_us.saturating_add_signed(phase.took_us as i64 * off / 1_000);
        }
        let repetition = RepetitionEvidence {
            number,
            rto_us: Some(phases.iter().map(|phase| phase.took_us).sum()),
            phases,
            redo: Some(redo),
            observed: Verdict::Proven,
            reason: "every check held".to_owned(),
        };
        story.pass(12_000).tell(Happening::Measured(Evidence::Repetition(repetition)));
    }
    story
        .tell(Happening::StepEnded { step: 9, status: StepStatus::Done, took_us: 48_000_000 })
        .end(false, &["primary", "restored"]);
    story
}

/// A proven drill whose recovery was made five times.
pub fn repeated() -> Run {
    repeated_story(None).run()
}

/// Recoveries that took so many percent of those of [`repeated`], all of it in `replay`.
pub fn baseline(percent: u64) -> Baseline {
    let run = repeated();
    let own = Baseline::of_run(&run);
    let mut phases_us: BTreeMap<String, Vec<u64>> = own.phases_us;
    let mut times_us = vec![0; own.times_us.len()];
    for (name, times) in &mut phases_us {
        for (at, time) in times.iter_mut().enumerate() {
            if name == "replay" {
                *time = (*time + own.times_us[at] * percent / 100).saturating_sub(own.times_us[at]);
            }
            times_us[at] += *time;
        }
    }
    Baseline { runs: vec!["2k6mlatr0q".to_owned()], times_us, phases_us }
}

/// The same drill, slower than its baseline.
pub fn slower() -> Run {
    repeated_story(Some(baseline(60))).run()
}
