//! What a witness says of a restored server: each case by hand, and simulated productions whose restores are cut anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::recovery_point::{Ended, Leg, Path, RecoveryPoint, Wal};
use pgdrill_model::units::Lsn;
use pgdrill_model::witness::{
    Beat, Entry, Found, Judgement, KEPT, Nonce, Removal, Row, System, Wanted, judge,
};
use proptest::prelude::*;
use rstest::rstest;

const HERE: System = System(7_395_000_000_000_000_001);

/// A beat a minute, each with 1000 bytes of WAL, of which the middle ones are the beat's.
fn beat(number: u64) -> Beat {
    let at = number * 1000;
    Beat {
        beat: number,
        nonce: Nonce([(number % 251) as u8, (number / 251) as u8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        system: HERE,
        database: "trading".to_owned(),
        timeline: 1,
        xid: number + 700,
        written_unix_us: number as i64 * 60_000_000,
        before: Lsn(at + 400),
        acknowledged: true,
        committed_unix_us: Some(number as i64 * 60_000_000 + 1),
        after: Some(Lsn(at + 600)),
        restore_point: None,
    }
}

fn row(beat: &Beat) -> Row {
    Row { beat: beat.beat, nonce: beat.nonce, system: beat.system, written_unix_us: beat.written_unix_us }
}

fn entries(beats: impl IntoIterator<Item = Beat>) -> Vec<Entry> {
    beats.into_iter().map(Entry::Beat).collect()
}

fn found(beats: impl IntoIterator<Item = u64>) -> Found {
    Found { system: HERE, rows: Some(beats.into_iter().map(|number| row(&beat(number))).collect()) }
}

fn at(lsn: u64) -> RecoveryPoint {
    RecoveryPoint { path: Path::only(1), lsn: Lsn(lsn) }
}

fn codes(judgement: &Judgement) -> Vec<Code> {
    judgement.findings.iter().map(|finding| finding.code).collect()
}

/// Judged an hour after the tenth beat.
const NOW: i64 = (10 + 60) * 60_000_000;

#[rstest]
#[case::all_that_had_to(5, 5999, vec![], 0)]
#[case::the_last_is_lost(4, 5999, vec![Code::WitnessLost], 1)]
#[case::nothing_came_back(0, 5999, vec![Code::WitnessLost], 5)]
#[case::one_too_many(6, 5999, vec![Code::WitnessUnexpected], 0)]
#[case::nothing_had_to(0, 900, vec![Code::WitnessMissing], 0)]
fn what_had_to_come_back_is_told_by_positions(
    #[case] there: u64,
    #[case] reached: u64,
    #[case] expected: Vec<Code>,
    #[case] lost: u64,
) {
    let file = entries((1..=10).map(beat));
    let point = at(reached);
    let judgement = judge(&file, &found(1..=there), Wanted::Point(&point, None), NOW, None);
    assert_eq!((codes(&judgement), judgement.lost), (expected, lost), "{:?}", judgement.findings);
}

#[test]
fn what_is_lost_is_told_in_beats_and_seconds() {
    let file = entries((1..=10).map(beat));
    let judgement = judge(&file, &found(1..=6), Wanted::Point(&at(9999), None), NOW, None);
    assert_eq!((judgement.lost, judgement.lost_us, judgement.beyond), (3, 180_000_000, 1));
    assert_eq!(judgement.expected.unwrap().beat, 9);
    assert_eq!(judgement.returned.unwrap().beat, 6);
    assert_eq!(judgement.age_us, Some(64 * 60_000_000));
    assert_eq!(
        judgement.findings[0].message,
        "3 beats that production had acknowledged before the recovery point are not there, from beat 7 to beat 9 of \
         1970-01-01 00:09:00.000000+00; the newest that came back is beat 6 of 1970-01-01 00:06:00.000000+00, 3 min 00 s before"
    );
    let hole = judge(&file, &found([1, 2, 4, 5]), Wanted::Point(&at(5999), None), NOW, None);
    assert_eq!((codes(&hole), hole.lost_us), (vec![Code::WitnessLost], 0));
    assert!(hole.findings[0].message.contains("1 beat that") && hole.findings[0].message.contains("a hole"));
}

#[rstest]
#[case::fresh(Some(65 * 60), vec![])]
#[case::stale(Some(63 * 60), vec![Code::BackupStale])]
#[case::not_asked(None, vec![])]
fn how_old_it_may_be_is_for_the_user_to_say(#[case] max_age: Option<u64>, #[case] expected: Vec<Code>) {
    let file = entries((1..=10).map(beat));
    let max_age = max_age.map(Duration::from_secs);
    let judgement = judge(&file, &found(1..=6), Wanted::Point(&at(6999), None), NOW, max_age);
    assert_eq!(codes(&judgement), expected);
    // It is asked, too, where nobody knows the recovery point.
    let judgement = judge(&file, &found(1..=6), Wanted::Unknown, NOW, max_age);
    assert_eq!((codes(&judgement), judgement.lost, judgement.beyond), (expected, 0, 0));
}

fn commit(number: u64, start: u64, committed: bool) -> Ended {
    Ended { xid: number as u32 + 700, subxids: vec![], committed, start: Lsn(start), end: Lsn(start + 48) }
}

fn wal(from: u64, to: u64, ends: Vec<Ended>) -> Wal {
    Wal { path: Path::only(1), from: Lsn(from), to: Lsn(to), ends }
}

#[rstest]
#[case::no_wal(None, (0, 1))]
#[case::committed_before(Some(wal(0, 5500, vec![commit(5, 5410, true)])), (1, 0))]
#[case::committed_behind(Some(wal(0, 5600, vec![commit(5, 5480, true)])), (0, 0))]
#[case::rolled_back(Some(wal(0, 5500, vec![commit(5, 5410, false)])), (0, 0))]
#[case::another_of_that_number(Some(wal(0, 5500, vec![commit(5, 100, true)])), (0, 0))]
#[case::wal_from_behind(Some(wal(5450, 5500, vec![])), (0, 1))]
#[case::wal_that_ends_before(Some(wal(0, 5450, vec![])), (0, 1))]
fn the_wal_decides_about_a_beat_on_the_border(#[case] wal: Option<Wal>, #[case] expected: (u64, u64)) {
    let file = entries((1..=10).map(beat));
    let judgement = judge(&file, &found(1..=4), Wanted::Point(&at(5500), wal.as_ref()), NOW, None);
    assert_eq!((judgement.lost, judgement.indeterminate), expected);
}

#[test]
fn a_beat_that_was_not_answered_is_required_by_nobody_but_the_wal() {
    let silent = Beat { acknowledged: false, committed_unix_us: None, after: None, ..beat(5) };
    let file = entries((1..=4).map(beat).chain([silent]));
    for there in [1..=4, 1..=5] {
        let judgement = judge(&file, &found(there), Wanted::Point(&at(9000), None), NOW, None);
        assert_eq!((codes(&judgement), judgement.indeterminate), (vec![], 1));
    }
    let wal = wal(0, 9000, vec![commit(5, 5410, true)]);
    let judgement = judge(&file, &found(1..=4), Wanted::Point(&at(9000), Some(&wal)), NOW, None);
    assert_eq!(codes(&judgement), [Code::WitnessLost]);
}

#[test]
fn another_cluster_is_another_database_whatever_it_holds() {
    let file = entries((1..=10).map(beat));
    let other = Found { system: System(5), ..found(1..=5) };
    let judgement = judge(&file, &other, Wanted::Point(&at(5999), None), NOW, Some(Duration::from_secs(1)));
    assert_eq!(codes(&judgement), [Code::WrongDatabase]);
    assert_eq!(
        judgement.findings[0].message,
        "the restored server is cluster 5, and the witness file is of cluster 7395000000000000001"
    );
    // A dump of another cluster, loaded into this one.
    let mut loaded = found(1..=5);
    loaded.rows.as_mut().unwrap().iter_mut().for_each(|row| row.system = System(6));
    assert_eq!(codes(&judge(&file, &loaded, Wanted::Unknown, NOW, None)), [Code::WrongDatabase]);
}

#[test]
fn a_copy_that_went_another_way_is_another_database() {
    let file = entries((1..=10).map(beat));
    let mut forked = found(1..=6);
    let own = forked.rows.as_mut().unwrap().last_mut().unwrap();
    own.nonce = Nonce([9; 16]);
    let judgement = judge(&file, &forked, Wanted::Point(&at(6999), None), NOW, None);
    assert_eq!(codes(&judgement), [Code::WrongDatabase]);
    assert!(judgement.findings[0].message.contains("beat 6"), "{:?}", judgement.findings);
}

#[test]
fn what_a_failover_gave_up_is_not_required_and_must_not_be_there() {
    // Beats 4 and 5 of timeline 1 never came to the server that took over at 4200; it gave their numbers again.
    let again = |number| Beat { timeline: 2, nonce: Nonce([number as u8; 16]), ..beat(number) };
    let file = entries((1..=5).map(beat).chain((4..=6).map(again)));
    let path = Path(vec![Leg { timeline: 1, until: Some(Lsn(4200)) }, Leg { timeline: 2, until: None }]);
    let point = RecoveryPoint { path, lsn: Lsn(6999) };
    let rows = (1..=3).map(beat).chain((4..=6).map(again)).map(|beat| row(&beat)).collect();
    let there = Found { system: HERE, rows: Some(rows) };
    let judgement = judge(&file, &there, Wanted::Point(&point, None), NOW, None);
    assert_eq!((codes(&judgement), judgement.lost), (vec![], 0), "{:?}", judgement.findings);
    let old = judge(&file, &found(1..=5), Wanted::Point(&point, None), NOW, None);
    assert!(codes(&old).contains(&Code::WitnessUnexpected), "{:?}", old.findings);
    assert!(codes(&old).contains(&Code::WitnessLost), "{:?}", old.findings);
}

#[test]
fn a_table_that_was_taken_away_before_the_recovery_point_is_not_required() {
    let removal = Removal { system: HERE, timeline: 1, before: Lsn(5000) };
    let file: Vec<Entry> = entries((1..=4).map(beat)).into_iter().chain([Entry::Removed(removal)]).collect();
    let none = Found { system: HERE, rows: None };
    let before = judge(&file, &none, Wanted::Point(&at(4999), None), NOW, None);
    assert_eq!(codes(&before), [Code::WitnessLost]);
    let after = judge(&file, &none, Wanted::Point(&at(5100), None), NOW, None);
    assert_eq!(codes(&after), [Code::WitnessMissing]);
}

#[test]
fn what_may_have_been_thinned_out_is_not_required() {
    let newest = KEPT + 100;
    let file = entries((1..=newest).map(beat));
    let point = at(newest * 1000 + 999);
    let judged = |there| judge(&file, &found(there), Wanted::Point(&point, None), NOW, None);
    assert_eq!(codes(&judged(101..=newest)), []);
    assert_eq!(judged(102..=newest).lost, 1);
}

#[test]
fn a_row_that_was_changed_is_noticed() {
    let file = entries((1..=3).map(beat));
    let mut changed = found(1..=3);
    changed.rows.as_mut().unwrap()[1].written_unix_us += 1;
    let judgement = judge(&file, &changed, Wanted::Point(&at(3999), None), NOW, None);
    assert_eq!(codes(&judgement), [Code::WitnessUnexpected]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Production beats, with some left unanswered and some rolled back; a restore brings back a prefix of the commits.
    #[test]
    fn a_restore_is_blamed_for_exactly_what_it_lacks(
        fates in prop::collection::vec(0..6_u8, 1..60),
        reached in 0..62_000_u64,
        short in 0..4_usize,
        read in any::<bool>(),
    ) {
        let (mut file, mut ends, mut committed) = (Vec::new(), Vec::new(), Vec::new());
        for (fate, number) in fates.iter().zip(1..) {
            // Not answered, and done; not answered, and not done; all others acknowledged.
            let answered = *fate > 1;
            let done = *fate != 1;
            let beat = beat(number);
            ends.push(commit(number, number * 1000 + 400 + u64::from(*fate) * 20, done));
            if done { committed.push((number, number * 1000 + 400 + u64::from(*fate) * 20 + 48)); }
            file.push(if answered { beat } else { Beat { acknowledged: false, after: None, ..beat } });
        }
        let last = fates.len() as u64 * 1000 + 2000;
        let wal = Wal { path: Path::only(1), from: Lsn(0), to: Lsn(last.max(reached)), ends };
        let mut there: Vec<u64> =
            committed.iter().filter(|(_, end)| *end <= reached).map(|(number, _)| *number).collect();
        let complete = there.len();
        there.truncate(complete.saturating_sub(short));
        let missing = (complete - there.len()) as u64;
        let point = at(reached);
        let wal = read.then_some(&wal);
        let judgement = judge(&entries(file), &found(there), Wanted::Point(&point, wal), NOW, None);
        let said = codes(&judgement);
        if read {
            prop_assert_eq!(judgement.lost, missing);
            prop_assert_eq!(judgement.indeterminate, 0);
            prop_assert_eq!(said.contains(&Code::WitnessLost), missing > 0);
        } else {
            // Without the WAL never more than what is missing is blamed, and nothing that is sure is forgotten.
            prop_assert!(judgement.lost <= missing && missing <= judgement.lost + judgement.indeterminate);
        }
        prop_assert!(!said.contains(&Code::WrongDatabase) && !said.contains(&Code::WitnessUnexpected), "{:?}", said);
    }
}
