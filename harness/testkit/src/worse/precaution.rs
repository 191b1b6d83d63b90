//! Evidence about the alarm, the safety copy, the rollback, the application and the runbook made worse.

use pgdrill_model::as_written::Wanted;
use pgdrill_model::evidence::{AsWrittenEvidence, Evidence};

/// One way in which that speaks against the drill, or contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precaution {
    /// An alert did not fire.
    NotHeard,
    /// An alert had fired before its cause.
    HeardTooEarly,
    /// The safety copy is another than the one that was put back.
    CopiedSomethingElse,
    /// What was put back is another than the safety copy.
    PutBackSomethingElse,
    /// The server did not come back on the safety copy.
    NotComeBack,
    /// It came back, and nothing of what it holds was compared although it was known.
    NothingCompared,
    /// Triage says that a server which is lost answers, or that one which is there does not.
    TriagedWrong,
    /// Triage says of a server which is lost that nothing is wrong.
    TriagedAsHarmless,
    /// The application was not healthy in time.
    NotHealthy,
    /// Something that was asked of it was not answered as it had to be.
    AnsweredWrong,
    /// Nothing was asked of it.
    NothingAsked,
    /// Nobody saw that it had been away.
    NotMissed,
    /// What a step of the runbook left holds no cluster.
    NoClusterLeft,
    /// No server started on it.
    NotStarted,
    /// The server on it took no write.
    TookNoWrite,
    /// Nothing of what it holds was compared.
    LeftUncompared,
    /// A table of it is not what it was.
    LeftAnother,
    /// None of the step's own commands was come to.
    NothingTyped,
    /// No command told trouble from none.
    DeafCommands,
}

impl Precaution {
    /// Every one.
    pub const ALL: [Self; 19] = [
        Self::NotHeard,
        Self::HeardTooEarly,
        Self::CopiedSomethingElse,
        Self::PutBackSomethingElse,
        Self::NotComeBack,
        Self::NothingCompared,
        Self::TriagedWrong,
        Self::TriagedAsHarmless,
        Self::NotHealthy,
        Self::AnsweredWrong,
        Self::NothingAsked,
        Self::NotMissed,
        Self::NoClusterLeft,
        Self::NotStarted,
        Self::TookNoWrite,
        Self::LeftUncompared,
        Self::LeftAnother,
        Self::NothingTyped,
        Self::DeafCommands,
    ];

    /// Makes one piece of evidence worse; tells whether it is one that this can be said of.
    pub fn apply(self, evidence: &mut Evidence) -> bool {
        match (self, evidence) {
            (Self::NotHeard, Evidence::Alert(alert)) => alert.detected_us = None,
            (Self::HeardTooEarly, Evidence::Alert(alert)) => alert.early = true,
            (Self::CopiedSomethingElse, Evidence::SafetyCopy(copy)) => copy.sha256.push('0'),
            (Self::PutBackSomethingElse, Evidence::Rollback(back)) => back.sha256.push('1'),
            (Self::NotComeBack, Evidence::Rollback(back)) => back.started_us = None,
            (Self::NothingCompared, Evidence::Rollback(back)) if back.tables.is_some() => {
                back.tables = Some(0);
            }
            (Self::TriagedWrong, Evidence::Triage(triage)) => triage.lost = !triage.lost,
            (Self::TriagedAsHarmless, Evidence::Triage(triage)) if triage.lost => {
                triage.assessment.severity = None;
            }
            (Self::NotHealthy, Evidence::Application(application)) => application.healthy_us = None,
            (Self::AnsweredWrong, Evidence::Application(application)) => match application.asked.last_mut() {
                Some(asked) => asked.wrong = Some("status 500".to_owned()),
                None => return false,
            },
            (Self::NothingAsked, Evidence::Application(application)) => application.asked.clear(),
            (Self::NotMissed, Evidence::Application(application)) if application.outage.is_some() => {
                application.outage = None;
            }
            (worse, Evidence::AsWritten(step)) => return worse.of_the_runbook(step),
            _ => return false,
        }
        true
    }

    fn of_the_runbook(self, step: &mut AsWrittenEvidence) -> bool {
        let found = &mut step.found;
        match self {
            Self::NothingTyped => step.commands.iter_mut().for_each(|command| command.code = None),
            Self::DeafCommands if !found.asked.is_empty() => {
                found.asked.iter_mut().for_each(|asked| asked.code = Some(i32::from(asked.well)));
            }
            // What is told of a server matters where the step is about one.
            _ if step.row.entry().wanted == Wanted::Telling => return false,
            Self::NoClusterLeft => found.cluster = false,
            Self::NotStarted => found.started = Some(false),
            Self::TookNoWrite => found.writes = Some(false),
            Self::LeftUncompared => found.tables = None,
            Self::LeftAnother => found.differences += 1,
            _ => return false,
        }
        true
    }
}
