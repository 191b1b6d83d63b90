//! Records that real drills left: what no sample written by hand could have thought of.

use std::time::Duration;

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::event::{Event, Happening};
use pgdrill_model::evidence::{CheckStatus, Evidence, LossEvidence};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Rpo;
use pgdrill_model::units::Lsn;

/// Two disasters and two recoveries, the second along the new timeline, with writers at work before each.
pub fn second_disaster() -> Run {
    read(include_str!("../../../../fixtures/records/second-disaster.json"))
}

/// Writers at work, and a sweep over a hundred recovery points.
pub fn sweep() -> Run {
    read(include_str!("../../../../fixtures/records/sweep.json"))
}

/// An alert, a safety copy, a recovery, and a rollback to the copy.
pub fn alarm_to_rollback() -> Run {
    read(include_str!("../../../../fixtures/records/alarm-to-rollback.json"))
}

/// The whole of the runbook, from the first alarm to the application on the recovered server, and a backup of that.
pub fn incident() -> Run {
    read(include_str!("../../../../fixtures/records/incident.json"))
}

/// The same two disasters, but the second recovery stopped before its target, in a hole of the archive, and lost much.
pub fn lossy() -> Run {
    let mut run = second_disaster();
    for event in &mut run.events {
        match &mut event.what {
            Happening::RunStarted(header) => header.rpo = Some(Rpo::Time(Duration::from_secs(5))),
            Happening::Measured(Evidence::Recovery(recovery)) if recovery.server == "restored-2" => {
                let reached = recovery.reached.as_mut().expect("it was reached");
                reached.lsn = Some(Lsn(0x0440_0000));
                reached.xid = None;
                recovery.reached_lsn = reached.lsn;
                recovery.paused_at = reached.lsn;
                let end = recovery.archive_end.as_mut().expect("the archive was read");
                end.breaks = true;
                end.why = "segment 000000020000000000000004 is not in the archive, although \
                           000000020000000000000005 is"
                    .to_owned();
            }
            Happening::Measured(Evidence::Tally(tally)) if tally.server == "restored-2" => {
                tally.lost = 1_252;
                tally.recovered -= 1_252;
                tally.loss = LossEvidence {
                    transactions: 1_252,
                    rows: 8_420,
                    time_us: 9_031_000,
                    wal_bytes: 8_118_984,
                };
            }
            Happening::Measured(Evidence::Check(check))
                if check.check == Check::Ledger && check.server == "restored-2" =>
            {
                check.status = CheckStatus::Failed;
            }
            _ => {}
        }
    }
    let lost = Finding::new(
        Code::TransactionsLost,
        Stage::Check,
        "1 252 acknowledged transactions are lost, the first of them 2040",
    )
    .by(Check::Ledger);
    let at = run.events.len() - 2;
    let found = Event { what: Happening::Found(lost), ..run.events[at].clone() };
    run.events.insert(at, found);
    fold(&run.events).expect("a run begins with its header")
}

fn read(record: &str) -> Run {
    serde_json::from_str(record).expect("a record of this schema")
}
