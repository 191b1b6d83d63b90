//! Each record is what that major's own `pg_waldump` printed of it.

use std::collections::BTreeMap;

use pgdrill_ondisk::wal::{Content, End, Reason, Record, Walker, lsn, rmgr};
use rstest::rstest;

use crate::archive::{Archive, SIZE, archive, unpacked, walk};

/// A time as `pg_waldump` prints it, in UTC.
fn time(micros: i64) -> String {
    let (days, in_day) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    // The civil date of a day number (Howard Hinnant's `civil_from_days`).
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (second, micro) = (in_day / 1_000_000, in_day % 1_000_000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06} UTC")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `pg_waldump` prints of a record's content, as far as it is read here: all of these pieces, in this order.
fn described(record: &Record<'_>) -> Vec<String> {
    let subxacts = |xids: Vec<u32>| match xids.as_slice() {
        [] => Vec::new(),
        xids => {
            let numbers: Vec<String> = xids.iter().map(u32::to_string).collect();
            vec![format!("; subxacts: {}", numbers.join(" "))]
        }
    };
    let mut pieces = match record.content().unwrap() {
        Content::Commit(finish) | Content::Abort(finish) => {
            let commit = matches!(record.content(), Ok(Content::Commit(_)));
            let word = if commit { "COMMIT" } else { "ABORT" };
            let mut pieces = if finish.prepared {
                vec![format!("{word}_PREPARED {}: {}", finish.xid, time(finish.time))]
            } else {
                vec![format!("{word} {}", time(finish.time))]
            };
            if finish.dropped_files > 0 {
                pieces.push("; rels: ".to_owned());
            }
            pieces.extend(subxacts(finish.subxids.iter().collect()));
            pieces
        }
        Content::Prepare(prepare) => {
            let mut pieces = vec![format!("PREPARE gid {}: {}", text(prepare.gid), time(prepare.time))];
            pieces.extend(subxacts(prepare.subxids.iter().collect()));
            pieces
        }
        Content::RestorePoint { name, .. } => vec![format!("RESTORE_POINT {}", text(name))],
        Content::BackupEnd { start } => vec![format!("BACKUP_END {}", lsn(start))],
        Content::Switch => vec!["SWITCH".to_owned()],
        Content::Checkpoint(checkpoint) => vec![
            format!(
                "CHECKPOINT_{} redo {}; tli {}; prev tli {}; ",
                if checkpoint.shutdown { "SHUTDOWN" } else { "ONLINE" },
                lsn(checkpoint.redo),
                checkpoint.timeline,
                checkpoint.previous
            ),
            if checkpoint.shutdown { "; shutdown" } else { "; online" }.to_owned(),
        ],
        Content::CheckpointRedo => vec!["CHECKPOINT_REDO".to_owned()],
        Content::EndOfRecovery { time: at, timeline, previous } => {
            vec![format!("END_OF_RECOVERY tli {timeline}; prev tli {previous}; time {}", time(at))]
        }
        Content::ParameterChange(now) => vec![format!(
            "PARAMETER_CHANGE max_connections={} max_worker_processes={} max_wal_senders={} max_prepared_xacts={} \
             max_locks_per_xact={} wal_level={}",
            now.max_connections,
            now.max_worker_processes,
            now.max_wal_senders,
            now.max_prepared_transactions,
            now.max_locks_per_transaction,
            ["minimal", "replica", "logical"][now.wal_level as usize],
        )],
        Content::CreateTablespace { oid, path } => vec![format!("CREATE {oid} \"{}\"", text(path))],
        Content::Overwrite { overwritten, time: at } => {
            vec![format!("OVERWRITE_CONTRECORD lsn {}; time {}", lsn(overwritten), time(at))]
        }
        Content::DropTablespace { oid } => vec![format!("DROP {oid}")],
        _ => Vec::new(),
    };
    for block in record.blocks().unwrap() {
        let relation = block.relation;
        let fork = ["", " fork fsm", " fork vm", " fork init"][usize::from(block.fork)];
        pieces.push(format!(
            "blkref #{}: rel {}/{}/{}{fork} blk {}{}",
            block.id,
            relation.tablespace,
            relation.database,
            relation.number,
            block.number,
            if block.image.is_some() { " FPW" } else { "" },
        ));
    }
    pieces
}

/// A record in the words of `pg_waldump`, up to its description.
fn line(record: &Record<'_>) -> String {
    let images: u32 = record
        .blocks()
        .unwrap()
        .iter()
        .filter_map(|block| block.image)
        .map(|image| u32::from(image.length))
        .sum();
    let long = |position: u64| format!("{:X}/{:08X}", position >> 32, position & 0xFFFF_FFFF);
    format!(
        "rmgr: {:<11} len (rec/tot): {:>6}/{:>6}, tx: {:>10}, lsn: {}, prev {}, desc: ",
        rmgr::name(record.rmgr()).unwrap(),
        record.length() - images,
        record.length(),
        record.xid(),
        long(record.start),
        long(record.previous()),
    )
}

/// Compares all records with what `pg_waldump` printed, and counts the kinds of which the content is read.
fn compare(walker: &mut Walker<Archive>, dump: &str, major: u32) -> (End, BTreeMap<String, usize>) {
    let mut lines = dump.lines();
    let mut kinds = BTreeMap::new();
    let end = walk(walker, |record| {
        let expected = lines.next().unwrap();
        let begin = line(record);
        assert!(expected.starts_with(&begin), "{begin}\n{expected}");
        let mut rest = &expected[begin.len()..];
        for piece in described(record) {
            let at = rest.find(&piece).unwrap_or_else(|| panic!("{piece}\nis not in\n{expected}"));
            rest = &rest[at + piece.len()..];
            *kinds.entry(piece.split([' ', ';']).next().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        assert!(!rest.contains("blkref") && !rest.contains("subxacts"), "{expected}");
        assert_eq!(u32::from(record.major), major);
    });
    assert_eq!(lines.next(), None);
    (end, kinds)
}

#[rstest]
fn every_record_is_what_pg_waldump_prints(
    #[values(13, 15, 17, 18)] major: u32,
    #[values(1, 2)] timeline: u32,
) {
    let dump = text(&unpacked(major, &format!("waldump-{timeline}.gz")));
    let (end, kinds) = compare(&mut archive(major).walker(timeline), &dump, major);
    assert_eq!(end.reason, Reason::Missing { instead: None }, "{end}");
    assert!(end.is_clean());
    // The fixture must not lose what it is for.
    if timeline == 1 {
        for kind in [
            "COMMIT",
            "ABORT",
            "COMMIT_PREPARED",
            "ABORT_PREPARED",
            "PREPARE",
            "RESTORE_POINT",
            "BACKUP_END",
            "SWITCH",
            "CHECKPOINT_ONLINE",
            "CHECKPOINT_SHUTDOWN",
            "PARAMETER_CHANGE",
            "CREATE",
            "DROP",
        ] {
            assert!(kinds.contains_key(kind), "{kind} of {major}");
        }
        assert_eq!(kinds.contains_key("CHECKPOINT_REDO"), major >= 17);
    } else {
        assert!(kinds.contains_key("END_OF_RECOVERY"));
    }
}

/// A crash cut a record off, and the server went on behind it.
#[rstest]
fn a_record_that_was_given_up_is_left_out(#[values(13, 15, 17, 18)] major: u32) {
    let archive = Archive::of(&unpacked(major, "overwritten.tar.gz"));
    let dump = text(&unpacked(major, "waldump-overwritten.gz"));
    let mut starts = Vec::new();
    let mut overwritten = None;
    walk(&mut archive.clone().walker(1), |record| {
        if let Ok(Content::Overwrite { overwritten: at, .. }) = record.content() {
            overwritten = Some((at, record.start));
        }
        starts.push(record.start);
    });
    let (at, by) = overwritten.unwrap();
    assert!(!starts.contains(&at) && at < by && starts.iter().any(|start| *start > by));
    let (end, kinds) = compare(&mut archive.clone().walker(1), &dump, major);
    assert!(end.is_clean(), "{end}");
    assert_eq!(kinds["OVERWRITE_CONTRECORD"], 1);
    // One that names another record, with a good CRC: behind its header, and the length of its data, is the position.
    let mut changed = archive.clone();
    let segment = changed.segments.get_mut(&(1, by / u64::from(SIZE))).unwrap();
    let record = &mut segment[(by % u64::from(SIZE)) as usize..][..42];
    record[26] ^= 8;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&record[24..]), &record[..20]);
    record[20..24].copy_from_slice(&crc.to_le_bytes());
    let end = walk(&mut changed.walker(1), |_| ());
    assert_eq!(end.reason, Reason::Overwrite { found: at ^ 8, expected: Some(at) });
    // Without its flag the page that says so is only not the rest of the record.
    let mut changed = archive;
    changed.segments.get_mut(&(1, by / u64::from(SIZE))).unwrap()[2] &= !8;
    let end = walk(&mut changed.walker(1), |_| ());
    assert_eq!((end.reason, end.cuts_a_record), (Reason::NoContinuation, true));
}

#[rstest]
fn images_are_compressed_and_not(#[values(13, 15, 17, 18)] major: u32) {
    let mut seen = [0; 2];
    walk(&mut archive(major).walker(1), |record| {
        for image in record.blocks().unwrap().iter().filter_map(|block| block.image) {
            seen[usize::from(image.compressed)] += 1;
            assert!(image.applied, "{}", lsn(record.start));
        }
    });
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[rstest]
fn a_timeline_is_followed_through_the_switch_within_a_segment(#[values(13, 15, 17, 18)] major: u32) {
    let archive = archive(major);
    let (lineage, begin) = (archive.lineage(2), archive.begin(1));
    let left = lineage.left_at(1).unwrap();
    assert_ne!(left % u64::from(SIZE), 0);
    let mut timelines = Vec::new();
    let mut changed = None;
    let mut walker = Walker::find(archive, lineage, begin).unwrap();
    let end = walk(&mut walker, |record| {
        if timelines.last() != Some(&record.file_timeline) {
            timelines.push(record.file_timeline);
        }
        if let Ok(Content::EndOfRecovery { timeline, previous, .. }) = record.content() {
            changed = Some((record.start, timeline, previous));
        }
    });
    assert_eq!(timelines, [1, 2]);
    assert_eq!(changed, Some((left, 2, 1)));
    assert!(end.is_clean(), "{end}");
}

/// As PostgreSQL does: where the segments of the new timeline are not there, it goes on with those of the old one,
/// beyond the position at which that was left.
#[test]
fn without_the_files_of_the_new_timeline_those_of_the_old_are_read_on() {
    let mut archive = archive(15);
    archive.segments.retain(|(timeline, _), _| *timeline == 1);
    let (lineage, begin) = (archive.lineage(2), archive.begin(1));
    let left = lineage.left_at(1).unwrap();
    let mut beyond = 0;
    let mut walker = Walker::find(archive, lineage, begin).unwrap();
    walk(&mut walker, |record| beyond += usize::from(record.start >= left));
    assert!(beyond > 300, "{beyond}");
}

/// `pg_waldump` prints neither the time of a checkpoint nor that of a restore point: they lie between those of commits.
#[rstest]
fn times_that_are_not_printed_fit_those_that_are(#[values(13, 15, 17, 18)] major: u32) {
    let mut times = Vec::new();
    let mut checked = 0;
    walk(&mut archive(major).walker(1), |record| match record.content().unwrap() {
        Content::Commit(finish) => times.push(finish.time),
        // In whole seconds, of when the checkpoint began, before its own record.
        Content::Checkpoint(checkpoint) if !times.is_empty() => {
            let since = times[times.len() - 1] - checkpoint.time;
            assert!(since.abs() < 60_000_000, "{since} of {major}");
            checked += 1;
        }
        Content::RestorePoint { time, .. } => {
            let since = time - times[times.len() - 1];
            assert!((0..60_000_000).contains(&since), "{since} of {major}");
            checked += 1;
        }
        _ => {}
    });
    assert!(checked >= 6, "{checked} of {major}");
}
