//! The timeline of an incident: from the loss to the moment at which the application was up again, against the budgets of the
//! runbook. It is read from what the record holds anyway.

use std::time::Duration;

use super::Part;
use crate::event::{Happening, StepStatus};
use crate::run::Run;

/// Phases of a recovery that are the server's; what comes before them brings files.
const REPLAYING: [&str; 4] = ["start", "replay", "promote", "first-write"];

/// Something that was done in an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What: `detect`, `decide`, `stop`, `copy`, `restore`, `replay`, `verify`, `application up`.
    pub name: &'static str,
    /// The part of the runbook.
    pub part: Part,
    /// When it began, after the loss.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
}

/// A budget of the runbook, and what was taken of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The part of the runbook.
    pub part: Part,
    /// Until when after the loss it is to be done.
    pub limit: Duration,
    /// When it was.
    pub done: Duration,
}

impl Budget {
    /// Whether it was kept.
    pub fn kept(&self) -> bool {
        self.done <= self.limit
    }
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What was done, in order.
    pub moments: Vec<Moment>,
    /// The budgets of those parts that were done.
    pub budgets: Vec<Budget>,
}

impl Timeline {
    /// The first incident of a drill: from the loss of its server to the application that was started again, or as far as it
    /// came. None where nothing was lost, or nothing done about it.
    pub fn of(run: &Run) -> Option<Self> {
        let lost = run.steps.iter().position(loses)?;
        let beginnings = beginnings(run);
        let loss = beginnings.get(lost).copied().flatten()?;
        let mut moments = Vec::new();
        for (at, step) in run.steps.iter().enumerate().skip(lost + 1) {
            if loses(step) || step.status == StepStatus::NotRun {
                break;
            }
            let Some(began) = beginnings[at] else { break };
            let moment = |name, part, after: u64, took: u64| Moment {
                name,
                part,
                began: Duration::from_micros(began.saturating_sub(loss) + after),
                took: Duration::from_micros(took),
            };
            match step.planned.name.as_str() {
                // It was waited for from the loss on.
                "alert" => moments.push(Moment {
                    name: "detect",
                    part: Part::Response,
                    began: Duration::ZERO,
                    took: Duration::from_micros(began.saturating_sub(loss) + step.took_us),
                }),
                "triage" => moments.push(moment("decide", Part::Response, 0, step.took_us)),
                "stop-application" => moments.push(moment("stop", Part::Recovery, 0, step.took_us)),
                "safety-copy" => moments.push(moment("copy", Part::Recovery, 0, step.took_us)),
                "recover" => {
                    let restored = step.took_us.saturating_sub(replaying(run, recovery_of(run, at)));
                    moments.push(moment("restore", Part::Recovery, 0, restored));
                    moments.push(moment("replay", Part::Recovery, restored, step.took_us - restored));
                }
                "check" => moments.push(moment("verify", Part::Recovery, 0, step.took_us)),
                "start-application" => {
                    moments.push(moment("application up", Part::Application, 0, step.took_us));
                    break;
                }
                _ => {}
            }
        }
        if moments.is_empty() {
            return None;
        }
        let budgets = [Part::Response, Part::Recovery, Part::Application].into_iter().filter_map(|part| {
            let of_part = moments.iter().filter(|moment| moment.part == part);
            let done = of_part.map(|moment| moment.began + moment.took).max()?;
            Some(Budget { part, limit: part.budget()?, done })
        });
        Some(Self { budgets: budgets.collect(), moments })
    }
}

/// Whether a step loses a server. One after which archiving stops loses none yet.
fn loses(step: &crate::run::StepRecord) -> bool {
    step.planned.name == "disaster" && !step.planned.does.starts_with("from now on")
}

/// When each step began, microseconds since the run did.
fn beginnings(run: &Run) -> Vec<Option<u64>> {
    let mut begins = vec![None; run.steps.len()];
    for event in &run.events {
        if let Happening::StepStarted { step } = event.what
            && let Some(begin) = begins.get_mut(step)
        {
            begin.get_or_insert(event.at_us);
        }
    }
    begins
}

/// Which recovery of the drill a step is, from 0.
fn recovery_of(run: &Run, at: usize) -> usize {
    run.steps[..at].iter().filter(|step| step.planned.name == "recover").count()
}

/// How long a recovery took once its files were there.
fn replaying(run: &Run, recovery: usize) -> u64 {
    let phases = run.recoveries.get(recovery).into_iter().flat_map(|recovery| &recovery.phases);
    phases.filter(|phase| REPLAYING.contains(&phase.name.as_str())).map(|phase| phase.took_us).sum()
}
