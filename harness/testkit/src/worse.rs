//! Evidence made worse at random, event by event: what property tests of verdicts are made of.

use pgdrill_model::check::Check;
use pgdrill_model::code::{CODES, Code};
use pgdrill_model::event::{Event, Happening, StepStatus};
use pgdrill_model::evidence::{CheckStatus, Evidence};
use pgdrill_model::finding::{Finding, Stage};
use proptest::prelude::*;
use proptest::sample::Index;

mod point;
mod precaution;

pub use point::Point;
pub use precaution::Precaution;

/// One way to make evidence worse.
#[derive(Clone, Debug)]
pub enum Worse {
    /// Something more is found, by a check or not.
    Found(Index, bool),
    /// A check that held fails, and says so or does not.
    CheckFails(Index, bool),
    /// A check that held did not run.
    CheckDoesNotRun(Index),
    /// A check that held looked at nothing.
    CheckSeesNothing(Index),
    /// A step that was done ends in another way.
    StepEnds(Index, StepStatus),
    /// The recovery takes longer, by microseconds.
    Slower(u64),
    /// The first write never comes.
    NoFirstWrite,
    /// The server was not promoted.
    NotPromoted,
    /// A person ends it.
    Interrupted,
    /// Something that happened is told once more, at once or at the end.
    Twice(Index, bool),
    /// Something that speaks for the backup is not told. (Not to tell what speaks against it would be better evidence.)
    Untold(Index),
    /// Nothing is told from here on: pgdrill was killed.
    CutShort(Index),
    /// What was measured about points in time says something worse, and no finding does.
    Point(Point),
    /// The same about the alarm, the safety copy and the rollback.
    Precaution(Precaution),
}

/// Any of them.
pub fn worse() -> impl Strategy<Value = Worse> {
    let ends = prop_oneof![Just(StepStatus::Failed), Just(StepStatus::Interrupted), Just(StepStatus::NotRun)];
    prop_oneof![
        (any::<Index>(), any::<bool>()).prop_map(|(code, by_check)| Worse::Found(code, by_check)),
        (any::<Index>(), any::<bool>()).prop_map(|(check, says)| Worse::CheckFails(check, says)),
        any::<Index>().prop_map(Worse::CheckDoesNotRun),
        any::<Index>().prop_map(Worse::CheckSeesNothing),
        (any::<Index>(), ends).prop_map(|(step, how)| Worse::StepEnds(step, how)),
        (0..60_000_000_u64).prop_map(Worse::Slower),
        Just(Worse::NoFirstWrite),
        Just(Worse::NotPromoted),
        Just(Worse::Interrupted),
        (any::<Index>(), any::<bool>()).prop_map(|(event, at_once)| Worse::Twice(event, at_once)),
        any::<Index>().prop_map(Worse::Untold),
        any::<Index>().prop_map(Worse::CutShort),
        prop::sample::select(Point::ALL.to_vec()).prop_map(Worse::Point),
        prop::sample::select(Precaution::ALL.to_vec()).prop_map(Worse::Precaution),
    ]
}

impl Worse {
    /// Whether it takes something away that was known. Then a disproof may be lost, and what is left is that nothing
    /// can be told. The time that an objective bounds is one fact: a breach that is not measured any more is lost, too.
    pub fn takes_away(&self) -> bool {
        matches!(self, Self::NoFirstWrite | Self::NotPromoted | Self::Untold(_) | Self::CutShort(_))
    }

    /// The code that it adds as a finding, if it does.
    pub fn adds(&self) -> Option<Code> {
        match self {
            Self::Found(code, _) => Some(code.get(CODES).code),
            Self::CheckFails(check, true) => Some(check.get(&Check::all_of(false)).entry().codes[0]),
            _ => None,
        }
    }

    /// Makes the evidence of a run worse. The first event, which says what was planned, stays.
    pub fn apply(&self, events: &mut Vec<Event>) {
        match self {
            Self::Found(code, by_check) => {
                let mut finding = Finding::new(code.get(CODES).code, Stage::Check, "something more");
                finding.check = by_check.then_some(Check::RowCounts);
                tell(events, Happening::Found(finding));
            }
            Self::CheckFails(check, says) => {
                let check = *check.get(&Check::all_of(false));
                each_check(events, check, |status, _| *status = CheckStatus::Failed);
                if *says {
                    let finding = Finding::new(check.entry().codes[0], Stage::Check, "it failed").by(check);
                    tell(events, Happening::Found(finding));
                }
            }
            Self::CheckDoesNotRun(check) => {
                each_check(events, *check.get(&Check::all_of(false)), |status, _| {
                    *status = CheckStatus::NotRun;
                });
            }
            Self::CheckSeesNothing(check) => {
                each_check(events, *check.get(&Check::all_of(false)), |_, examined| *examined = 0);
            }
            Self::StepEnds(index, other) => {
                let Some(steps) = planned(events).filter(|steps| *steps > 0) else { return };
                for event in events {
                    match &mut event.what {
                        Happening::StepEnded { step, status, .. }
                            if *step == index.index(steps) && *status == StepStatus::Done =>
                        {
                            *status = *other;
                        }
                        _ => {}
                    }
                }
            }
            Self::Slower(us) => each_recovery(events, |_, rto| *rto = rto.map(|measured| measured + us)),
            Self::NoFirstWrite => each_recovery(events, |_, rto| *rto = None),
            Self::NotPromoted => each_recovery(events, |state, _| *state = None),
            Self::Interrupted => {
                for event in events {
                    if let Happening::RunEnded { interrupted } = &mut event.what {
                        *interrupted = true;
                    }
                }
            }
            Self::Twice(index, at_once) => {
                if let Some(at) = beyond_the_first(events, *index) {
                    let event = events[at].clone();
                    events.insert(if *at_once { at + 1 } else { events.len() }, event);
                }
            }
            Self::Untold(index) => {
                let good: Vec<usize> =
                    (1..events.len()).filter(|at| speaks_well(&events[*at].what)).collect();
                if !good.is_empty() {
                    events.remove(*index.get(&good));
                }
            }
            Self::CutShort(index) => {
                if let Some(at) = beyond_the_first(events, *index) {
                    events.truncate(at);
                }
            }
            Self::Point(point) => each_evidence(events, |evidence| {
                point.apply(evidence);
            }),
            Self::Precaution(precaution) => each_evidence(events, |evidence| {
                precaution.apply(evidence);
            }),
        }
    }
}

fn beyond_the_first(events: &[Event], index: Index) -> Option<usize> {
    (events.len() > 1).then(|| 1 + index.index(events.len() - 1))
}

/// Whether losing it is losing something in favour of the backup.
fn speaks_well(what: &Happening) -> bool {
    match what {
        Happening::Found(_) => false,
        Happening::StepEnded { status, .. } => *status == StepStatus::Done,
        Happening::RunEnded { interrupted } => !interrupted,
        Happening::Measured(Evidence::Check(record)) => {
            record.status == CheckStatus::Held && record.examined > 0
        }
        Happening::Measured(Evidence::Recovery(recovery)) => {
            recovery.state.is_some() && recovery.rto_us.is_some()
        }
        Happening::Measured(Evidence::Tally(tally)) => tally.lost == 0 && tally.unexpected == 0,
        Happening::Measured(Evidence::Sweep(sweep)) => sweep.first_failure.is_none(),
        Happening::Measured(Evidence::Alert(alert)) => alert.detected_us.is_some() && !alert.early,
        Happening::Measured(Evidence::Rollback(rollback)) => rollback.started_us.is_some(),
        Happening::Measured(Evidence::Triage(triage)) => triage.contradiction().is_none(),
        Happening::Measured(Evidence::Application(application)) => application.healthy_us.is_some(),
        Happening::Measured(Evidence::AsWritten(step)) => step.harm().is_none(),
        _ => true,
    }
}

fn planned(events: &[Event]) -> Option<usize> {
    match &events.first()?.what {
        Happening::RunStarted(header) => Some(header.plan.len()),
        _ => None,
    }
}

/// Something happens right after the beginning.
fn tell(events: &mut Vec<Event>, what: Happening) {
    let mut event = events[0].clone();
    event.what = what;
    events.insert(1, event);
}

fn each_evidence(events: &mut [Event], change: impl Fn(&mut Evidence)) {
    for event in events {
        if let Happening::Measured(evidence) = &mut event.what {
            change(evidence);
        }
    }
}

fn each_check(events: &mut [Event], check: Check, change: impl Fn(&mut CheckStatus, &mut u64)) {
    for event in events {
        if let Happening::Measured(Evidence::Check(record)) = &mut event.what
            && record.check == check
            && record.status == CheckStatus::Held
        {
            change(&mut record.status, &mut record.examined);
        }
    }
}

fn each_recovery(events: &mut [Event], change: impl Fn(&mut Option<String>, &mut Option<u64>)) {
    for event in events {
        if let Happening::Measured(Evidence::Recovery(recovery)) = &mut event.what {
            change(&mut recovery.state, &mut recovery.rto_us);
        }
    }
}
