//! What drills of backups that were there already say of each other: rows beside those of the last proven drill, and which of the
//! backups that are kept are proven.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use pgdrill_model::code::Code;
use pgdrill_model::coverage::{self, Covered};
use pgdrill_model::drift::Before;
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;
use pgdrill_testkit::sample;
use rstest::rstest;

const HOUR_US: i64 = 3_600_000_000;

fn found(run: &Run) -> Vec<(Code, &str)> {
    run.findings.iter().map(|finding| (finding.code, finding.message.as_str())).collect()
}

#[test]
fn a_table_beyond_its_bound_disproves_and_without_a_bound_only_an_empty_one_is_told() {
    let told = sample::given();
    assert_eq!(told.verdict, Verdict::Proven);
    let quote = "table trading.public.Quote held 40 rows in run 2k6mlatr0q, and holds none";
    assert_eq!(found(&told), [(Code::RowsVanished, quote)]);
    let drifted = sample::drifted();
    assert_eq!(drifted.verdict, Verdict::Disproven);
    let orders = "table trading.public.Order held 200 000 rows in run 2k6mlatr0q, and holds 130 000 rows; 20 % are allowed";
    assert_eq!(found(&drifted), [(Code::RowsDrifted, quote), (Code::RowsDrifted, orders)]);
}

#[test]
fn rows_that_are_bounded_and_were_not_counted_prove_nothing() {
    let mut events = sample::given_story(4, 200_000, Some(1_000)).events();
    assert_eq!(fold(&events).unwrap().verdict, Verdict::Disproven, "all of a table is more than any share");
    events.retain(|event| !format!("{:?}", event.what).contains("CountsEvidence"));
    let run = fold(&events).unwrap();
    assert_eq!(run.verdict, Verdict::Unverified);
    assert_eq!(run.findings[0].code, Code::EvidenceMissing);
}

#[test]
fn only_a_proven_drill_of_the_same_source_is_a_measure() {
    let name = "/backups/nightly";
    let before = Before::of(&sample::given(), name).unwrap();
    assert_eq!((before.run.as_str(), before.rows["trading.public.Order"]), ("night4", 201_000));
    assert_eq!(Before::of(&sample::given(), "/backups/weekly"), None);
    assert_eq!(Before::of(&sample::drifted(), name), None);
    let expected = Run { observed: Verdict::Disproven, ..sample::given() };
    assert_eq!(Before::of(&expected, name), None, "what is expected to fail is no measure");
}

#[test]
fn of_each_backup_the_newest_drill_counts() {
    let kept = sample::kept();
    let coverage = coverage::of(&kept);
    let [of] = coverage.as_slice() else { panic!("{coverage:?}") };
    let verdicts: Vec<Option<Verdict>> = of.backups.iter().map(Covered::verdict).collect();
    let (proven, disproven) = (Some(Verdict::Proven), Some(Verdict::Disproven));
    assert_eq!(verdicts, [None, None, proven, disproven, proven]);
    let mut again = kept.clone();
    again.push(Run {
        started_unix_us: kept[1].started_unix_us + HOUR_US,
        verdict: Verdict::Unverified,
        ..kept[1].clone()
    });
    again.push(Run {
        started_unix_us: kept[2].started_unix_us - HOUR_US,
        verdict: Verdict::Unverified,
        ..kept[2].clone()
    });
    let of = &coverage::of(&again)[0];
    assert_eq!((of.count(Some(Verdict::Unverified)), of.count(proven)), (1, 2));
}

#[rstest]
#[case::apart(12, 2)]
#[case::until_the_next_begins(48, 1)]
#[case::over_the_next(60, 1)]
fn times_that_touch_are_one(#[case] hours: i64, #[case] spans: usize) {
    let mut kept = sample::kept();
    let reached = kept[0].recoveries[0].reached.as_mut().unwrap();
    reached.commit_unix_us = reached.commit_unix_us.map(|at| at + (hours - 12) * HOUR_US);
    let of = &coverage::of(&kept)[0];
    let all = of.spans();
    assert_eq!(all.len(), spans, "{all:?}");
    assert!(all.iter().all(|(from, to)| from <= to));
    let extent = of.extent().unwrap();
    assert!(extent.0 <= all[0].0 && all.iter().all(|(_, to)| *to <= extent.1));
}

#[test]
fn a_backup_without_wal_is_proven_for_one_moment() {
    let mut run = sample::given();
    run.recoveries[0].reached = None;
    let runs = [run];
    let of = &coverage::of(&runs)[0];
    let span = of.backups[4].span().unwrap();
    assert_eq!(span.0, span.1);
}
