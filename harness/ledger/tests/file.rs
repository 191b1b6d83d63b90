//! The file: read as it was written, whole or refused, whatever is done to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use pgdrill_ledger::history::Fate;
use pgdrill_ledger::judge::{Question, Required, judge};
use pgdrill_ledger::{
    Appender, Change, Damage, Flaw, Found, History, Leg, Level, Reader, Record, Sums, Table, Trouble,
    expected,
};
use tempfile::TempDir;

fn changes(seq: u64, amended: Option<u64>) -> Vec<Change> {
    let hash = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) as i64;
    let mut changes = vec![
        Change { table: Table::Order, group: Some(seq), sums: Sums::row(hash(seq), hash(seq + 1)) },
        Change { table: Table::AuditLog, group: Some(seq), sums: Sums::row(hash(seq + 2), hash(seq + 3)) },
    ];
    let mut moved = Sums::row(hash(seq + 4), hash(seq + 5));
    moved -= Sums::row(hash(seq + 6), hash(seq + 7));
    changes.push(Change { table: Table::Position, group: None, sums: moved });
    if let Some(group) = amended {
        changes.push(Change { table: Table::Order, group: Some(group), sums: moved });
    }
    changes
}

/// A closed ledger of two writers with every outcome.
fn ledger(directory: &Path) -> PathBuf {
    let path = directory.join("ledger");
    let mut appender = Appender::create(&path, "run-1", 42).unwrap();
    for _ in 0..2 {
        appender.open_writer(1, 1_000).unwrap();
    }
    for seq in 1..=20_u64 {
        for writer in 0..2 {
            let time_us = 1_795_374_900_000_000 + seq as i64 * 700;
            let before = 0x0200_0000 + seq * 500 + u64::from(writer) * 90;
            let number = 1_000 + seq * 2 + u64::from(writer);
            let xid = Some(number);
            if seq % 7 == 0 {
                appender.append(&Record::RolledBack { writer, seq, xid, time_us }).unwrap();
                continue;
            }
            let changes = changes(seq, (seq % 5 == 0).then(|| seq - 3));
            let sent = Record::Sent { writer, seq, xid: number, before, changes: &changes };
            appender.append(&sent).unwrap();
            let outcome = match seq {
                3 => Record::Failed { writer, seq, xid, sqlstate: *b"40001", time_us },
                20 => Record::Unanswered { writer, seq, time_us },
                _ => {
                    let (after, cancelled) = (Some(before + 200), seq == 9);
                    Record::Acknowledged { writer, seq, after, time_us, level: Level::On, cancelled }
                }
            };
            appender.append(&outcome).unwrap();
        }
    }
    appender.append(&Record::Note { time_us: 5, text: "the server went away" }).unwrap();
    appender.close(6).unwrap();
    path
}

#[test]
fn a_ledger_is_read_as_it_was_written() {
    let directory = TempDir::new().unwrap();
    let history = History::read(&ledger(directory.path())).unwrap();
    assert_eq!((history.header.run.as_str(), history.header.seed), ("run-1", 42));
    assert_eq!(history.notes, [(5, "the server went away".to_owned())]);
    assert_eq!(history.writers.len(), 2);
    let fates: Vec<Fate> = [1, 3, 7, 9, 20].map(|seq| history.transaction(1, seq).unwrap().fate).to_vec();
    let on = Fate::Acknowledged(Level::On);
    assert_eq!(fates, [on, Fate::Failed, Fate::RolledBack, Fate::CancelledWait, Fate::Unanswered]);
    let one = history.transaction(1, 2).unwrap();
    assert_eq!((one.before, one.after), (0x0200_0000 + 1_090, 0x0200_0000 + 1_290));
    assert_eq!((one.xid, one.rows, one.audited, one.time_us), (1_005, 2, 1, 1_795_374_900_001_400));
    assert_eq!((history.counts.sent, history.counts.acknowledged, history.counts.cancelled), (36, 30, 2));
    assert_eq!(size_of::<pgdrill_ledger::history::Transaction>(), 32);
}

#[test]
fn a_file_that_lost_its_tail_is_damaged_wherever_it_was_cut() {
    let directory = TempDir::new().unwrap();
    let path = ledger(directory.path());
    let bytes = std::fs::read(&path).unwrap();
    let mut unclosed = 0;
    for length in 0..bytes.len() {
        let damage = match Reader::new(&bytes[..length]) {
            Ok(reader) => History::salvage(reader).1.expect("a ledger that is cut is damaged"),
            Err(damage) => damage,
        };
        match damage {
            // Cut between two records.
            Damage::Unclosed { at } => {
                assert_eq!(at, length as u64);
                unclosed += 1;
            }
            // Cut within one: never taken for damage in the middle.
            Damage::Torn { at, bytes } => assert!(at + bytes == length as u64 || at < 16),
            Damage::NotALedger => assert!(length < 8),
            other => panic!("cut at {length}: {other}"),
        }
    }
    // Every record but the closing one, and the header.
    assert_eq!(unclosed, 1 + 2 + 36 * 2 + 4 + 1);
}

#[test]
fn any_changed_byte_and_anything_added_is_damage_that_says_where() {
    let directory = TempDir::new().unwrap();
    let bytes = std::fs::read(ledger(directory.path())).unwrap();
    for at in 0..bytes.len() {
        for bit in [0, 7] {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let damage = match Reader::new(&changed[..]) {
                Ok(reader) => History::salvage(reader).1.expect("a changed byte is damage"),
                Err(damage) => damage,
            };
            // Only where nothing whole follows can it be taken for a write that was cut short.
            assert!(!damage.is_only_cut_short() || at + 80 > bytes.len(), "byte {at}: {damage}");
            if let Damage::Record { at: place } = damage {
                assert!(place <= at as u64 && at as u64 - place < 200, "byte {at} is told at {place}");
            }
        }
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&bytes[..40]);
    assert!(History::salvage(Reader::new(&longer[..]).unwrap()).1.is_some());
}

#[test]
fn a_record_taken_out_of_the_middle_is_damage_although_all_others_are_whole() {
    let directory = TempDir::new().unwrap();
    let path = ledger(directory.path());
    let bytes = std::fs::read(&path).unwrap();
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let mut borders = vec![reader.position()];
    while reader.next().unwrap().is_some() {
        borders.push(reader.position());
    }
    for pair in borders.windows(2) {
        let (from, to) = (pair[0] as usize, pair[1] as usize);
        let without = [&bytes[..from], &bytes[to..]].concat();
        assert!(History::salvage(Reader::new(&without[..]).unwrap()).1.is_some(), "{from}..{to}");
        let twice = [&bytes[..to], &bytes[from..]].concat();
        assert!(History::salvage(Reader::new(&twice[..]).unwrap()).1.is_some(), "{from}..{to}");
    }
}

#[test]
fn what_was_written_before_a_kill_is_readable_and_told_from_a_whole_ledger() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("ledger");
    let mut appender = Appender::create(&path, "r", 1).unwrap();
    let writer = appender.open_writer(1, 0).unwrap();
    let changes = changes(1, None);
    appender.append(&Record::Sent { writer, seq: 1, xid: 9, before: 100, changes: &changes }).unwrap();
    // Nobody closes or drops it: as if the process were gone.
    std::mem::forget(appender);
    let (history, damage) = History::salvage(Reader::open(&path).unwrap());
    assert_eq!(history.transaction(writer, 1).unwrap().fate, Fate::Unanswered);
    assert!(damage.unwrap().is_only_cut_short());
    assert!(History::read(&path).is_err());
    assert!(matches!(Appender::reopen(&path), Err(Trouble::Damaged(_))));
}

#[test]
fn a_closed_ledger_goes_on_and_its_old_end_is_no_end_any_more() {
    let directory = TempDir::new().unwrap();
    let path = ledger(directory.path());
    let old = std::fs::metadata(&path).unwrap().len();
    let mut appender = Appender::reopen(&path).unwrap();
    assert_eq!(appender.header().seed, 42);
    let writer = appender.open_writer(2, 7).unwrap();
    assert_eq!(writer, 2);
    let changes = changes(1, None);
    appender.append(&Record::Sent { writer, seq: 1, xid: 5, before: 10, changes: &changes }).unwrap();
    let after = Some(20);
    let level = Level::Off;
    appender
        .append(&Record::Acknowledged { writer, seq: 1, after, time_us: 8, level, cancelled: false })
        .unwrap();
    appender.close(9).unwrap();
    let history = History::read(&path).unwrap();
    assert_eq!(history.writers[&2].branch, 2);
    assert_eq!(history.counts.writers, 3);
    // Cut back to the length at which it was closed before, it does not pass for whole.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(old).unwrap();
    assert!(History::read(&path).is_err());
}

#[test]
fn a_ledger_is_never_written_over_and_takes_nothing_after_a_refusal() {
    let directory = TempDir::new().unwrap();
    let path = ledger(directory.path());
    assert!(matches!(Appender::create(&path, "r", 1), Err(Trouble::Unwritable(_))));
    let mut appender = Appender::create(&directory.path().join("other"), "r", 1).unwrap();
    let writer = appender.open_writer(1, 0).unwrap();
    let gap = appender.append(&Record::RolledBack { writer, seq: 2, xid: None, time_us: 0 });
    assert!(matches!(gap, Err(Trouble::Refused(Flaw::Gap { expected: 1, found: 2, .. }))));
    assert!(matches!(appender.close(0), Err(Trouble::GivenUp)));
}

#[test]
fn what_the_tables_must_hold_is_the_sum_over_what_must_be_there() {
    let directory = TempDir::new().unwrap();
    let path = ledger(directory.path());
    let history = History::read(&path).unwrap();
    let mut found = Found::new();
    // Everything that can be there is, but the second transaction of writer 0 and the last, unanswered one of writer 1.
    for writer in 0..2 {
        for seq in (1..=20).filter(|seq| seq % 7 != 0 && *seq != 3) {
            if (writer, seq) != (0, 2) && (writer, seq) != (1, 20) {
                found.add(writer, seq, 1);
            }
        }
    }
    let line = Leg::only(1);
    let required = Required::Everything;
    let judgement =
        judge(&Question { history: &history, line: &line, required, replayed: None, found: &found });
    assert_eq!((judgement.lost.count, judgement.lost.first.unwrap().seq), (1, 2));
    let tables = expected::tables(Reader::open(&path).unwrap(), &judgement).unwrap();
    let mut by_hand = Sums::default();
    for writer in 0..2 {
        for seq in (1..=20).filter(|seq| seq % 7 != 0 && *seq != 3 && (writer, *seq) != (1, 20)) {
            let all = changes(seq, (seq % 5 == 0).then(|| seq - 3));
            all.iter()
                .filter(|change| change.table == Table::Order)
                .for_each(|change| by_hand += change.sums);
        }
    }
    assert_eq!(tables[&Table::Order], by_hand);
    assert_eq!(tables[&Table::AuditLog].rows, 33);
    assert_eq!(tables[&Table::Position].rows, 0);
    // By group: what is lost is named, at once in runs and then alone.
    let coarse = expected::Window::all(8);
    let all = expected::groups(Reader::open(&path).unwrap(), &judgement, Table::AuditLog, &coarse).unwrap();
    let mut there = all.clone();
    *there.get_mut(&(0, 0)).unwrap() -= changes(2, None)[1].sums;
    let run = *expected::differences(&all, &there).keys().next().unwrap();
    assert_eq!(run, (0, 0));
    let fine = coarse.into_run(run);
    let all = expected::groups(Reader::open(&path).unwrap(), &judgement, Table::AuditLog, &fine).unwrap();
    let mut there = all.clone();
    there.remove(&(0, 2));
    let named = expected::differences(&all, &there);
    assert_eq!(
        named.into_iter().collect::<Vec<_>>(),
        [((0, 2), (changes(2, None)[1].sums, Sums::default()))]
    );
}

#[test]
fn a_transaction_of_ordinary_size_takes_about_eighty_bytes() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("ledger");
    let mut appender = Appender::create(&path, "r", 1).unwrap();
    let writers: Vec<u16> = (0..8).map(|_| appender.open_writer(1, 1_795_374_900_000_000).unwrap()).collect();
    let mut lsn = 0x0200_0000_u64;
    let mut transactions = 0;
    for seq in 1..=1_000_u64 {
        for &writer in &writers {
            transactions += 1;
            let changes = changes(seq, None);
            lsn += 900;
            let xid = 1_000 + transactions;
            let time_us = 1_795_374_900_000_000 + xid as i64 * 300;
            appender.append(&Record::Sent { writer, seq, xid, before: lsn, changes: &changes }).unwrap();
            let after = Some(lsn + 2_000);
            let (level, cancelled) = (Level::On, false);
            appender.append(&Record::Acknowledged { writer, seq, after, time_us, level, cancelled }).unwrap();
        }
    }
    appender.close(0).unwrap();
    let each = std::fs::metadata(&path).unwrap().len() / transactions;
    assert!(each <= 80, "{each} bytes each");
}
