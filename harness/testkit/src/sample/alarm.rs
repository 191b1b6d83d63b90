//! A sample run in which the alarm was rehearsed, too, and the way back.

use pgdrill_model::alert::Alert;
use pgdrill_model::code::Code;
use pgdrill_model::event::{Happening, StepStatus};
use pgdrill_model::evidence::{AlertEvidence, Evidence, RollbackEvidence, SafetyCopyEvidence};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::run::Run;

use super::{Story, everything_held, header, recovery, until_disaster};

/// The events of [`alarmed`].
pub fn alarmed_story() -> Story {
    let rang = AlertEvidence {
        alert: Alert::ConnectionFailures,
        cause: "disaster".to_owned(),
        line: Some(11),
        watched_us: 7_400_000,
        detected_us: Some(431_000),
        early: false,
        value: "6".to_owned(),
        limit: "5".to_owned(),
        window_us: 1_000_000,
        scale: 60,
        about: Some("error connecting to server: Connection refused (os error 111)".to_owned()),
    };
    let missed = AlertEvidence {
        alert: Alert::DiskUse,
        detected_us: None,
        value: "41.0 %".to_owned(),
        limit: "80.0 %".to_owned(),
        window_us: 0,
        about: Some("/var/lib/pgdrill/primary".to_owned()),
        ..rang.clone()
    };
    let early = AlertEvidence {
        alert: Alert::SlowQueries,
        early: true,
        value: "96 ms".to_owned(),
        limit: "83 ms".to_owned(),
        about: None,
        ..missed.clone()
    };
    let message = "the alert disk-use did not fire within 10.0 s after its cause, disaster on line 11: 41.0 %, limit 80.0 %";
    let not_heard = Finding::new(Code::AlertMissed, Stage::Disaster, message).about("disk-use");
    let message =
        "the alert slow-queries had fired before its cause, disaster on line 11: 96 ms, limit 83 ms";
    let too_early = Finding::new(Code::AlertEarly, Stage::Disaster, message).about("slow-queries");
    let mut story = until_disaster(header());
    for alert in [rang, missed, early] {
        story.tell(Happening::Measured(Evidence::Alert(alert)));
    }
    let copy = SafetyCopyEvidence {
        server: "primary".to_owned(),
        by: "copy".to_owned(),
        files: 1_318,
        bytes: 101_300_000,
        sha256: "99e30221e553666f4371feb4aa05cf32b92c7b3ea9e1aa8b64c77a295ed0e116".to_owned(),
        took_us: 496_000,
    };
    let back = RollbackEvidence {
        server: "primary".to_owned(),
        sha256: copy.sha256.clone(),
        put_back_us: 27_000,
        started_us: Some(87_000),
        tables: Some(8),
    };
    story
        .tell(Happening::Measured(Evidence::SafetyCopy(copy)))
        .tell(Happening::Measured(Evidence::Rollback(back)))
        .tell(Happening::Found(not_heard))
        .tell(Happening::Found(too_early))
        .step(7, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(recovery()))])
        .step(8, StepStatus::Done, everything_held())
        .end(false, &["primary", "restored"]);
    story
}

/// One alert rang, one did not, and one had rung before; the recovery was good.
pub fn alarmed() -> Run {
    alarmed_story().run()
}
