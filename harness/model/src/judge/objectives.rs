//! The objectives: what was measured against what the scenario allows.

use std::time::Duration;

use crate::check::Check;
use crate::code::Code;
use crate::evidence::LossEvidence;
use crate::finding::{Finding, Stage};
use crate::run::{Objective, Run};
use crate::scenario::Rpo;
use crate::units::{show_bytes, show_count, show_duration};

/// What exactly the recovery time objective bounds.
const RTO_DEFINITION: &str = "from the loss of the primary to the first committed write of the application on the \
                              recovered server; our own checks are not in it";

/// The same of a backup that was there already, whose primary nobody lost.
const RTO_DEFINITION_OF_GIVEN: &str = "from the moment at which the backup is fetched to the first committed write on the recovered \
                                       server; our own checks are not in it";

/// What exactly the outage objective bounds.
const OUTAGE_DEFINITION: &str = "from the last moment before the loss at which the application answered well to the first one \
                                 after it, as one sees it who asks it again and again";

/// What exactly the recovery point objective bounds.
const RPO_DEFINITION: &str = "what the server had acknowledged to its writers before the disaster, and recovery did not \
                              bring back: in transactions, in time from the last recovered acknowledgment to the last \
                              one, and in bytes of WAL";

/// Fills in the objectives, and what a breach or a missing measurement means.
pub(super) fn measure(run: &mut Run) {
    recovery_time(run);
    recovery_point(run);
    outage(run);
}

/// The time from the loss to the first write.
fn recovery_time(run: &mut Run) {
    // One recovery that was not measured, or was too slow, is not made good by another.
    let measured: Option<Vec<u64>> = run
        .recoveries
        .iter()
        .map(|recovery| recovery.rto_us)
        .chain(run.repetitions.iter().map(|repetition| repetition.rto_us))
        .collect();
    let time = Time {
        name: "rto",
        definition: if run.is_of_given() { RTO_DEFINITION_OF_GIVEN } else { RTO_DEFINITION },
        stage: Stage::Recover,
        exceeded: Code::RtoExceeded,
        took: "recovery took",
        what: "the recovery time",
    };
    let target_us = run.header.rto_us;
    time.judge(run, target_us, measured.and_then(|all| all.into_iter().max()));
}

/// What users were without the application.
fn outage(run: &mut Run) {
    let outages = run.applications.iter().filter_map(|application| Some(application.outage.as_ref()?.us()));
    let (target_us, longest) = (run.header.outage_us, outages.max());
    let time = Time {
        name: "outage",
        definition: OUTAGE_DEFINITION,
        stage: Stage::Check,
        exceeded: Code::OutageExceeded,
        took: "the application was away for",
        what: "the outage",
    };
    time.judge(run, target_us, longest);
}

/// An objective that is a time.
struct Time {
    name: &'static str,
    definition: &'static str,
    stage: Stage,
    /// What a breach is.
    exceeded: Code,
    /// What a breach begins with.
    took: &'static str,
    /// What was not measured.
    what: &'static str,
}

impl Time {
    /// Of drills that shared the machine the time is only taken down: what the others cost it is not the backup's fault.
    fn judge(self, run: &mut Run, target_us: Option<u64>, measured_us: Option<u64>) {
        let target_us = target_us.filter(|_| run.header.jobs == 1);
        if target_us.is_none() && measured_us.is_none() {
            return;
        }
        let met = target_us.zip(measured_us).map(|(target, measured)| measured <= target);
        let shown = |us: u64| show_duration(Duration::from_micros(us));
        match (target_us, measured_us) {
            (Some(target), Some(measured)) if met == Some(false) => {
                let message =
                    format!("{} {}, and the objective is {}", self.took, shown(measured), shown(target));
                run.findings.push(
                    Finding::new(self.exceeded, self.stage, message)
                        .with("target_us", target)
                        .with("measured_us", measured),
                );
            }
            (Some(target), None) => {
                let message = format!("{} objective of {} was not measured", self.what, shown(target));
                run.findings.push(Finding::new(Code::ObjectiveUnmeasured, self.stage, message));
            }
            _ => {}
        }
        run.objectives.push(Objective {
            name: self.name.to_owned(),
            definition: self.definition.to_owned(),
            target_us,
            measured_us,
            met,
            target_rpo: None,
            loss: None,
        });
    }
}

fn recovery_point(run: &mut Run) {
    let target = run.header.rpo;
    // Of several recoveries one that lost more than it may, and of these the one that lost most.
    let met = |loss: &LossEvidence| target.is_none_or(|target| within(target, loss));
    let loss = run
        .tallies
        .iter()
        .map(|tally| LossEvidence {
            transactions: tally.lost.max(tally.loss.transactions),
            ..tally.loss.clone()
        })
        .max_by_key(|loss| (!met(loss), loss.transactions, loss.time_us, loss.wal_bytes));
    let Some(loss) = loss else {
        // Also where no check was planned that would have looked.
        if let Some(target) =
            target.filter(|_| run.sweeps.is_empty() || run.header.checks.contains(&Check::Ledger))
        {
            run.findings.push(Finding::new(
                Code::ObjectiveUnmeasured,
                Stage::Check,
                format!("the recovery point objective of {target} was not measured"),
            ));
            run.objectives.push(objective(Some(target), None, None));
        }
        return;
    };
    let met = target.map(|target| within(target, &loss));
    if let (Some(target), Some(false)) = (target, met) {
        let message = format!(
            "{} of what had been acknowledged {} lost ({}, {} of WAL), and the objective is {target}",
            counted(loss.transactions),
            if loss.transactions == 1 { "was" } else { "were" },
            show_duration(Duration::from_micros(loss.time_us)),
            show_bytes(loss.wal_bytes)
        );
        run.findings.push(
            Finding::new(Code::RpoExceeded, Stage::Recover, message)
                .with("transactions", loss.transactions)
                .with("rows", loss.rows)
                .with("time_us", loss.time_us)
                .with("wal_bytes", loss.wal_bytes),
        );
    }
    let met = met.filter(|_| target != Some(Rpo::Any));
    run.objectives.push(objective(target, Some(loss), met));
}

fn counted(transactions: u64) -> String {
    if transactions == 1 {
        "1 transaction".to_owned()
    } else {
        format!("{} transactions", show_count(transactions))
    }
}

/// Whether a loss is within the objective. Where no transaction is lost, nothing is: WAL without commits may be missing.
fn within(target: Rpo, loss: &LossEvidence) -> bool {
    loss.transactions == 0
        || match target {
            Rpo::Transactions(most) => loss.transactions <= most,
            Rpo::Time(most) => u128::from(loss.time_us) <= most.as_micros(),
            Rpo::Bytes(most) => loss.wal_bytes <= most,
            Rpo::Any => true,
        }
}

fn objective(target_rpo: Option<Rpo>, loss: Option<LossEvidence>, met: Option<bool>) -> Objective {
    Objective {
        name: "rpo".to_owned(),
        definition: RPO_DEFINITION.to_owned(),
        target_us: None,
        measured_us: None,
        met,
        target_rpo,
        loss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Rpo::Transactions(0), 0, true)]
    #[case(Rpo::Transactions(0), 1, false)]
    #[case(Rpo::Transactions(2), 2, true)]
    #[case(Rpo::Time(Duration::from_secs(5)), 3, true)]
    #[case(Rpo::Time(Duration::from_secs(4)), 3, false)]
    #[case(Rpo::Bytes(1 << 20), 3, true)]
    #[case(Rpo::Bytes((1 << 20) - 1), 3, false)]
    #[case(Rpo::Any, 3, true)]
    fn a_loss_is_measured_in_the_unit_of_its_objective(
        #[case] target: Rpo,
        #[case] transactions: u64,
        #[case] met: bool,
    ) {
        let loss = LossEvidence { transactions, rows: 9, time_us: 5_000_000, wal_bytes: 1 << 20 };
        assert_eq!(within(target, &loss), met);
    }
}
