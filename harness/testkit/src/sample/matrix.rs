//! The runs of a matrix: one scenario on several majors, which end differently.

use pgdrill_model::check::Check;
use pgdrill_model::event::{Event, Happening};
use pgdrill_model::evidence::{CheckStatus, Evidence};
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::units::Major;

use super::{disproven_story, proven_story};

/// On 13 one check could not run and the backup is larger; on 15 everything held; on 18 rows are short and recovery
/// took longer. Two drills shared the machine.
pub fn matrix() -> Vec<Run> {
    let on_13 = on(13, proven_story().events(), |evidence| match evidence {
        Evidence::Backup(backup) => backup.bytes += backup.bytes / 2,
        Evidence::Check(record) if record.check == Check::ReadAll => {
            record.status = CheckStatus::NotRun;
            record.examined = 0;
            "the server closed the connection".clone_into(&mut record.summary);
        }
        _ => {}
    });
    vec![on_13, on(15, proven_story().events(), |_| {}), on(18, disproven_story().events(), |_| {})]
}

/// The same events on another major, two drills at a time.
fn on(major: u16, mut events: Vec<Event>, change: impl Fn(&mut Evidence)) -> Run {
    for event in &mut events {
        match &mut event.what {
            Happening::RunStarted(header) => {
                header.postgres = Major(major);
                header.jobs = 2;
            }
            Happening::Measured(evidence) => change(evidence),
            _ => {}
        }
    }
    fold(&events).expect("a story begins with its header")
}
