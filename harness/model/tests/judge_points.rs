//! How records with several recoveries, sweeps and losses are judged: each recovery by its own evidence, each loss by its
//! objective, and what a verdict says of itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::event::{Event, Happening, StepStatus};
use pgdrill_model::evidence::{Evidence, RecoveryEvidence, SweepEvidence, TallyEvidence};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Rpo;
use pgdrill_model::units::Lsn;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::sample;
use pgdrill_testkit::worse::Point;
use rstest::rstest;

/// What real drills left is judged as it was when they ended.
#[rstest]
#[case::two_recoveries(sample::second_disaster())]
#[case::a_sweep(sample::sweep())]
fn a_real_record_is_what_its_own_events_make_of_it(#[case] run: Run) {
    assert_eq!(run.verdict, Verdict::Proven);
    // Not its words, which later versions may say better.
    let told = |run: Run| {
        let seen = (run.steps, run.backups, run.work, run.marks, run.recoveries);
        (run.verdict, run.observed, run.findings, run.checks, run.tallies, run.sweeps, seen)
    };
    assert_eq!(told(fold(&run.events).unwrap()), told(run));
}

/// Two marks of one name are one mark.
#[test]
fn each_mark_of_a_plan_leaves_its_own_evidence() {
    let run = changed(sample::second_disaster().events, |evidence| {
        Point::MarkedTwice.apply(evidence);
    });
    assert_eq!((run.marks.len(), run.verdict), (2, Verdict::Unverified));
}

/// The server names the timeline that it was to follow, the WAL the one that the records are on. Up to the fork both hold
/// the same records, and behind it they do not.
#[rstest]
#[case::before_the_fork(0x044F_4E00, 1, 2, Verdict::Proven)]
#[case::at_the_fork(0x044F_4EF8, 1, 2, Verdict::Proven)]
#[case::behind_the_fork(0x044F_4F00, 1, 2, Verdict::Unverified)]
#[case::the_wal_names_the_newer_one(0x044F_4E00, 2, 1, Verdict::Unverified)]
#[case::nobody_made_that_one(0x044F_4E00, 1, 7, Verdict::Unverified)]
fn a_point_before_a_fork_is_on_both_timelines(
    #[case] at: u64,
    #[case] wanted: u32,
    #[case] reached: u32,
    #[case] verdict: Verdict,
) {
    let run = changed(sample::second_disaster().events, |evidence| {
        if let Evidence::Recovery(recovery) = evidence
            && recovery.server == "restored-2"
        {
            recovery.reached_lsn = Some(Lsn(at));
            for (point, timeline) in [(&mut recovery.wanted, wanted), (&mut recovery.reached, reached)] {
                let point = point.as_mut().unwrap();
                (point.lsn, point.timeline) = (Some(Lsn(at)), timeline);
            }
        }
    });
    assert_eq!(run.verdict, verdict, "{}", run.reason);
}

/// A drill that ended while writers went on has its true cause as its reason; of writers that had ended, or should have,
/// something must be left.
#[rstest]
#[case::still_at_work(", behind the next steps", "switch-wal", true)]
#[case::stopped_before(", behind the next steps", "stop-work", false)]
#[case::not_behind("", "switch-wal", false)]
fn writers_that_go_on_when_a_drill_fails_have_nothing_to_show_yet(
    #[case] says: &str,
    #[case] then: &str,
    #[case] dispensable: bool,
) {
    let mut events = sample::second_disaster().events;
    let Happening::RunStarted(header) = &mut events[0].what else { panic!("{:?}", events[0]) };
    let work = header.plan.iter().rposition(|step| step.name == "work").unwrap();
    header.plan[work].does.push_str(says);
    then.clone_into(&mut header.plan[work + 1].name);
    // What comes after the work fails, but for the step in between that ends it.
    let fails = if then == "stop-work" { work + 2 } else { work + 1 };
    let begins = |step: usize| move |event: &Event| matches!(event.what, Happening::StepStarted { step: begun } if begun == step);
    let end =
        events.split_off(events.iter().position(|event| event.what == Happening::TeardownStarted).unwrap());
    events.truncate(events.iter().position(begins(fails)).unwrap() + 1);
    let written =
        events.iter().rposition(|event| matches!(event.what, Happening::Measured(Evidence::Work(_))));
    events.remove(written.unwrap());
    let finding = Finding::new(Code::ArchiveStalled, Stage::Backup, "a segment did not reach the archive");
    told(&mut events, Happening::Found(finding));
    told(&mut events, Happening::StepEnded { step: fails, status: StepStatus::Failed, took_us: 1 });
    events.extend(end);
    let run = fold(&events).unwrap();
    assert_eq!(run.verdict, Verdict::Unverified);
    let missing = run.findings.iter().any(|finding| finding.code == Code::EvidenceMissing);
    assert_eq!(missing, !dispensable, "{:#?}", run.findings);
    assert_eq!(run.reason == "a segment did not reach the archive", dispensable, "{}", run.reason);
}

/// A contradiction within the evidence of a real drill that nobody made a finding of.
#[rstest]
#[case::lost("had been acknowledged was lost", |evidence: &mut Evidence| on_tally(evidence, |tally| tally.lost = 1))]
#[case::too_many("must not be", |evidence: &mut Evidence| on_tally(evidence, |tally| tally.unexpected = 1))]
#[case::never_paused("left no evidence", |evidence: &mut Evidence| on_recovery(evidence, |one| one.action = "pause".to_owned()))]
#[case::never_shut_down("left no evidence", |evidence: &mut Evidence| on_recovery(evidence, |one| one.action = "shutdown".to_owned()))]
#[case::another_timeline("left no evidence", |evidence: &mut Evidence| on_recovery(evidence, |one| {
    one.reached.as_mut().unwrap().timeline += 1;
}))]
#[case::another_point("left no evidence", |evidence: &mut Evidence| on_recovery(evidence, |one| {
    one.reached.as_mut().unwrap().lsn = Some(Lsn(1));
}))]
#[case::another_server("left no evidence", |evidence: &mut Evidence| on_recovery(evidence, |one| one.server = "restored".to_owned()))]
#[case::a_hole("left no evidence", |evidence: &mut Evidence| on_recovery(evidence, |one| {
    one.target = "latest".to_owned();
    one.archive_end.as_mut().unwrap().breaks = true;
}))]
#[case::tallied_elsewhere("left no evidence", |evidence: &mut Evidence| on_tally(evidence, |tally| {
    tally.server = "restored".to_owned();
}))]
#[case::marked_otherwise("left no evidence", |evidence: &mut Evidence| {
    if let Evidence::Mark(mark) = evidence { mark.name = "first".to_owned() }
})]
fn two_recoveries_that_contradict_themselves_prove_nothing(
    #[case] words: &str,
    #[case] change: fn(&mut Evidence),
) {
    let run = changed(sample::second_disaster().events, change);
    assert_ne!(run.verdict, Verdict::Proven);
    assert!(run.reason.contains(words), "{}", run.reason);
}

#[rstest]
#[case::not_all(|sweep: &mut SweepEvidence| sweep.proven -= 1)]
#[case::none(|sweep: &mut SweepEvidence| (sweep.targets, sweep.proven) = (0, 0))]
#[case::too_few_repeated(|sweep: &mut SweepEvidence| (sweep.repeated, sweep.agreed) = (2, 2))]
#[case::repeats_disagree(|sweep: &mut SweepEvidence| sweep.agreed -= 1)]
#[case::it_says_so(|sweep: &mut SweepEvidence| sweep.first_failure = Some("0/3000000 is not".to_owned()))]
fn a_sweep_that_contradicts_itself_proves_nothing(#[case] change: fn(&mut SweepEvidence)) {
    let changed = changed(sample::sweep().events, |evidence| {
        if let Evidence::Sweep(sweep) = evidence {
            change(sweep);
        }
    });
    assert_eq!(changed.verdict, Verdict::Unverified, "{}", changed.reason);
}

fn on_tally(evidence: &mut Evidence, change: fn(&mut TallyEvidence)) {
    if let Evidence::Tally(tally) = evidence {
        change(tally);
    }
}

/// Of two recoveries the second.
fn on_recovery(evidence: &mut Evidence, change: fn(&mut RecoveryEvidence)) {
    if let Evidence::Recovery(recovery) = evidence
        && recovery.server == "restored-2"
    {
        change(recovery);
    }
}

/// The run that is left when all its evidence is changed.
fn changed(mut events: Vec<Event>, change: impl Fn(&mut Evidence)) -> Run {
    for event in &mut events {
        if let Happening::Measured(evidence) = &mut event.what {
            change(evidence);
        }
    }
    fold(&events).unwrap()
}

/// What may be lost is lost within bounds, and the verdict says how much; of two recoveries the worse one counts, by the
/// measure of the objective.
#[test]
fn a_loss_that_is_allowed_is_in_the_reason_and_one_that_is_not_disproves() {
    let lose = |objective: Rpo| {
        let mut events = sample::second_disaster().events;
        if let Happening::RunStarted(header) = &mut events[0].what {
            header.rpo = Some(objective);
        }
        changed(events, |evidence| {
            if let Evidence::Tally(tally) = evidence {
                // The first loses more, the second for longer.
                let first = tally.server == "restored";
                tally.loss.transactions = if first { 7 } else { 2 };
                tally.loss.time_us = if first { 1_000_000 } else { 9_000_000 };
            }
        })
    };
    let run = lose(Rpo::Time(Duration::from_secs(10)));
    assert_eq!(run.verdict, Verdict::Proven, "{}", run.reason);
    assert!(
        run.reason.contains("7 acknowledged transactions lost, within the objective of 10.0 s"),
        "{}",
        run.reason
    );
    let run = lose(Rpo::Any);
    assert_eq!(run.verdict, Verdict::Proven, "{}", run.reason);
    assert!(run.reason.contains("transactions lost, which no objective bounds;"), "{}", run.reason);
    let run = lose(Rpo::Time(Duration::from_secs(5)));
    assert_eq!(run.verdict, Verdict::Disproven);
    assert!(run.findings.iter().any(|finding| finding.code == Code::RpoExceeded), "{}", run.reason);
}

/// Each check is named once, of however many servers.
#[test]
fn two_recoveries_are_proven_by_checks_that_are_named_once() {
    let mut run = sample::second_disaster();
    assert!(run.reason.starts_with("every check held; recovered in"), "{}", run.reason);
    run.events.retain(|event| {
        !matches!(&event.what, Happening::Measured(Evidence::Check(check)) if check.check == Check::Amcheck)
    });
    if let Happening::RunStarted(header) = &mut run.events[0].what {
        header.checks.retain(|check| *check != Check::Amcheck);
    }
    let reason = fold(&run.events).unwrap().reason;
    assert!(reason.starts_with("proven for: row-counts, fingerprints, ledger, read-all,"), "{reason}");
}

fn told(events: &mut Vec<Event>, what: Happening) {
    let mut event = events[events.len() - 1].clone();
    event.what = what;
    events.push(event);
}

/// A verdict says what it does not speak for.
#[test]
fn what_a_sweep_left_out_is_not_tested() {
    let says = |run: &Run, words: &str| run.not_tested.iter().any(|item| item.contains(words));
    let whole = sample::sweep();
    assert!(!says(&whole, "no ledger tells") && !says(&whole, "could be drawn"), "{:?}", whole.not_tested);
    let run = changed(whole.events, |evidence| {
        if let Evidence::Sweep(sweep) = evidence {
            sweep.left_out_bytes = 3 << 20;
            sweep.asked = 250;
        }
    });
    assert_eq!(run.verdict, Verdict::Proven, "{}", run.reason);
    assert!(says(&run, "recovery points in 3.0 MiB of WAL: something wrote there that no ledger tells"));
    assert!(says(&run, "250 recovery points, as was asked for: 100 could be drawn"), "{:?}", run.not_tested);
}

/// Of two recovered servers only the second was looked at: what it holds says nothing of the first.
#[test]
fn a_recovered_server_of_which_no_check_was_made_is_not_tested() {
    let mut run = sample::second_disaster();
    let item = "what the server restored held: no check was made of it";
    assert!(!run.not_tested.iter().any(|not| not == item));
    let of_the_first = |event: &Event| match &event.what {
        Happening::Measured(Evidence::Check(check)) => check.server == "restored",
        Happening::Measured(Evidence::Tally(tally)) => tally.server == "restored",
        _ => false,
    };
    run.events.retain(|event| !of_the_first(event));
    if let Happening::RunStarted(header) = &mut run.events[0].what {
        // Each check stands once for each server.
        header.checks.dedup();
        let check = header.plan.iter().position(|step| step.name == "check").unwrap();
        "sql".clone_into(&mut header.plan[check].name);
    }
    let run = fold(&run.events).unwrap();
    assert_eq!(run.verdict, Verdict::Proven, "{}", run.reason);
    assert!(run.not_tested.iter().any(|not| not == item), "{:?}", run.not_tested);
}

#[test]
fn a_ledger_that_was_not_held_against_the_wal_is_not_tested() {
    let without =
        |run: &Run| run.not_tested.iter().any(|item| item.starts_with("the ledger against the WAL:"));
    assert!(!without(&sample::second_disaster()));
    let run = changed(sample::second_disaster().events, |evidence| {
        if let Evidence::Tally(tally) = evidence {
            tally.by_wal = false;
        }
    });
    assert!(without(&run), "{:?}", run.not_tested);
}
