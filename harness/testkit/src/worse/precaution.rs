//! Evidence about the alarm, the safety copy, the rollback and the application made worse.

use pgdrill_model::evidence::Evidence;

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
    /// The application was not healthy in time.
    NotHealthy,
    /// Something that was asked of it was not answered as it had to be.
    AnsweredWrong,
    /// Nothing was asked of it.
    NothingAsked,
    /// Nobody saw that it had been away.
    NotMissed,
}

impl Precaution {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::NotHeard,
        Self::HeardTooEarly,
        Self::CopiedSomethingElse,
        Self::PutBackSomethingElse,
        Self::NotComeBack,
        Self::NothingCompared,
        Self::NotHealthy,
        Self::AnsweredWrong,
        Self::NothingAsked,
        Self::NotMissed,
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
            (Self::NotHealthy, Evidence::Application(application)) => application.healthy_us = None,
            (Self::AnsweredWrong, Evidence::Application(application)) => match application.asked.last_mut() {
                Some(asked) => asked.wrong = Some("status 500".to_owned()),
                None => return false,
            },
            (Self::NothingAsked, Evidence::Application(application)) => application.asked.clear(),
            (Self::NotMissed, Evidence::Application(application)) if application.outage.is_some() => {
                application.outage = None;
            }
            _ => return false,
        }
        true
    }
}
