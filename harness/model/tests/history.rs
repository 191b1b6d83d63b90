//! What many runs say together: which are compared, how old the last proof is, and how times are summed up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use pgdrill_model::history::{Kind, lines, lost, recovery_time};
use pgdrill_model::run::Run;
use pgdrill_model::units::Major;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::sample;
use rstest::rstest;

const HOUR_US: i64 = 3_600_000_000;

/// A proven run that began so many hours after the first sample, with this recovery time.
fn run(hours: i64, rto_us: u64) -> Run {
    let mut run = sample::proven();
    run.header.id = format!("run{hours}");
    run.started_unix_us += hours * HOUR_US;
    run.recoveries[0].rto_us = Some(rto_us);
    run
}

#[test]
fn runs_of_a_kind_are_a_line_in_the_order_of_their_time_whatever_the_order_of_the_records() {
    let runs = [run(2, 30), run(0, 10), run(1, 20), run(1, 20)];
    let lines = lines(&runs);
    assert_eq!(lines.len(), 1);
    let ids: Vec<&str> = lines[0].runs().iter().map(|run| run.header.id.as_str()).collect();
    assert_eq!(ids, ["run0", "run1", "run2"], "one that is there twice counts once");
    assert_eq!(lines[0].times(), [10, 20, 30]);
    assert_eq!(lines[0].kind, Kind::of(&runs[0]));
}

#[rstest]
#[case::scenario(|run: &mut Run| run.header.scenario = "other".to_owned())]
#[case::major(|run: &mut Run| run.header.postgres = Major(99))]
#[case::runtime(|run: &mut Run| run.header.runtime = "moon".to_owned())]
#[case::machine(|run: &mut Run| run.header.host.cpus += 1)]
fn what_cannot_be_compared_is_another_line(#[case] change: fn(&mut Run)) {
    let mut other = run(1, 10);
    change(&mut other);
    assert_eq!(lines(&[run(0, 10), other]).len(), 2);
}

#[rstest]
#[case::not_proven(|run: &mut Run| run.verdict = Verdict::Unverified)]
#[case::not_alone(|run: &mut Run| run.header.jobs = 2)]
#[case::by_another_file(|run: &mut Run| run.header.scenario_sha256 = "0".repeat(64))]
#[case::without_an_end(|run: &mut Run| run.recoveries[0].rto_us = None)]
fn times_of_something_else_are_left_out(#[case] change: fn(&mut Run)) {
    let mut other = run(0, 1_000_000);
    change(&mut other);
    let runs = [other, run(1, 10), run(2, 30)];
    let lines = lines(&runs);
    assert_eq!((lines.len(), lines[0].runs().len()), (1, 3));
    assert_eq!(lines[0].times(), [10, 30]);
}

#[rstest]
#[case(&[], None)]
#[case(&[7], Some((1, 7, 7, 7)))]
#[case(&[9, 1, 5], Some((3, 1, 5, 9)))]
#[case(&[1, 2, 4, 9], Some((4, 1, 3, 9)))]
fn times_are_summed_up(#[case] times: &[u64], #[case] expected: Option<(u64, u64, u64, u64)>) {
    let mut runs: Vec<Run> = times.iter().zip(0..).map(|(time, hour)| run(hour, *time)).collect();
    // One without a time, so that there is a line.
    let mut none = run(100, 0);
    none.recoveries[0].rto_us = None;
    runs.push(none);
    let spread = lines(&runs)[0].spread();
    assert_eq!(
        spread.map(|spread| (spread.count(), spread.least(), spread.median(), spread.most())),
        expected
    );
}

#[test]
fn the_age_is_that_of_the_end_of_the_last_proof() {
    let mut failed = run(5, 10);
    failed.verdict = Verdict::Disproven;
    let runs = [run(0, 10), run(3, 10), failed];
    let lines = lines(&runs);
    let line = &lines[0];
    assert_eq!(line.newest().unwrap().header.id, "run5");
    assert_eq!(line.last_proven().unwrap().header.id, "run3");
    let ended = runs[1].started_unix_us + runs[1].took_us as i64;
    let hour = Duration::from_secs(3600);
    assert_eq!(line.age(ended + HOUR_US), Some(hour));
    assert!(!line.is_stale(ended + HOUR_US, hour) && line.is_stale(ended + HOUR_US + 1, hour));
    // A clock that was set back makes nothing older.
    assert_eq!(line.age(ended - HOUR_US), Some(Duration::ZERO));
    assert_eq!(
        [Verdict::Proven, Verdict::Disproven, Verdict::Unverified].map(|of| line.count(of)),
        [2, 1, 0]
    );
}

#[test]
fn what_was_never_proven_is_stale_whatever_the_limit() {
    let mut never = run(0, 10);
    never.verdict = Verdict::Unverified;
    let runs = [never];
    assert!(lines(&runs)[0].is_stale(i64::MAX, Duration::MAX));
    assert_eq!(lines(&runs)[0].age(0), None);
}

#[test]
fn of_several_recoveries_the_longest_counts_and_each_must_have_come_to_an_end() {
    let mut run = run(0, 10);
    let mut second = run.recoveries[0].clone();
    second.rto_us = Some(25);
    run.recoveries.push(second);
    assert_eq!(recovery_time(&run), Some(25));
    run.recoveries[0].rto_us = None;
    assert_eq!(recovery_time(&run), None);
}

#[test]
fn nothing_is_known_of_losses_where_nothing_was_written_down() {
    assert_eq!(lost(&sample::proven()), None);
    let lossy = sample::lossy();
    let lost_transactions: u64 = lossy.tallies.iter().map(|tally| tally.lost).sum();
    assert!(lost_transactions > 0);
    assert_eq!(lost(&lossy), Some(lost_transactions));
}
