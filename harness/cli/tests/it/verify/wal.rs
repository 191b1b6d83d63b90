//! The WAL that belongs to a backup, and the archive that goes on behind it: the cases of PostgreSQL's own
//! `src/bin/pg_verifybackup/t/007_wal.pl`, and some more.

use std::fs;

use super::copy::{Copy, SEGMENT, invert};
use super::{Row, Theirs, row};

const NO_ARCHIVE: Theirs = Theirs::NotAsked("it knows nothing of an archive");

fn first_segment(copy: &Copy<'_>) -> String {
    let (_, range) = copy.wal_range();
    format!("pg_wal/{}", copy.segment(range.start).0)
}

/// A copy of the archive, and the segments in it, oldest first.
fn archive(copy: &Copy<'_>) -> Vec<String> {
    let kept = copy.root.join("archive");
    let from = copy.stock.original("archive");
    fs::create_dir_all(&kept).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), kept.join(entry.file_name())).unwrap();
        names.push(entry.file_name().into_string().unwrap());
    }
    names.retain(|name| name.len() == 24);
    names.sort();
    names
}

/// The arguments for that archive.
fn with_archive(copy: &Copy<'_>) -> Vec<String> {
    vec!["--wal".to_owned(), copy.root.join("archive").display().to_string()]
}

/// A segment of the archive that is behind the end of the backup, and not the last.
fn behind(copy: &Copy<'_>) -> String {
    let names = archive(copy);
    let (_, range) = copy.wal_range();
    let (last, _) = copy.segment(range.end);
    let at = names.iter().position(|name| *name == last).unwrap();
    names[at + 3].clone()
}

pub fn rows() -> Vec<Row> {
    let failed = "WAL parsing failed for timeline 1";
    vec![
        row("W01", |copy| copy.remove("pg_wal")).says(failed).code("WAL"),
        row("W01-empty", |copy| {
            copy.remove("pg_wal");
            fs::create_dir(copy.path("pg_wal")).unwrap();
        })
        .says(failed)
        .code("WAL"),
        row("W02", |copy| {
            let segment = first_segment(copy);
            copy.write(&segment, vec![b'w'; SEGMENT as usize]);
        })
        .says(failed)
        .code("WAL"),
        row("W02-zeros", |copy| {
            let segment = first_segment(copy);
            copy.write(&segment, vec![0; SEGMENT as usize]);
        })
        .says(failed)
        .code("WAL"),
        // The second record says that it goes on behind the end of the range: there is then no error in any record, and
        // the end of the backup is not among them.
        row("W03-long", |copy| {
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.start);
            let name = format!("pg_wal/{segment}");
            let mut bytes = fs::read(copy.path(&name)).unwrap();
            let length = u32::from_le_bytes(bytes[at as usize..at as usize + 4].try_into().unwrap());
            let second = at as usize + length.next_multiple_of(8) as usize;
            bytes[second..second + 4].copy_from_slice(&900_000_u32.to_le_bytes());
            copy.write(&name, bytes);
        })
        .says(failed)
        .code("WAL")
        .theirs(Theirs::NotAsked(
            "it depends on what lies behind whether its pg_waldump takes that for the end",
        )),
        row("W03-middle", |copy| {
            // Before the backup's end comes the checkpoint with which it began.
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.end - 1);
            copy.invert(&format!("pg_wal/{segment}"), at - 80, 8);
        })
        .says(failed)
        .code("WAL"),
        row("W03-end", |copy| {
            // Within the last record: the backup's end.
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.end - 1);
            copy.invert(&format!("pg_wal/{segment}"), at - 8, 8);
        })
        .says(failed)
        .code("WAL"),
        row("W03", |copy| {
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.start);
            copy.invert(&format!("pg_wal/{segment}"), at + 16, 2);
        })
        .says(failed)
        .code("WAL")
        .theirs(Theirs::NotAsked("its pg_waldump begins with the first record that can be read")),
        row("W03-foreign", |copy| {
            let segment = first_segment(copy);
            let other = copy.stock.original("foreign/data/pg_wal");
            let entries = fs::read_dir(other).unwrap().map(|entry| entry.unwrap().path());
            let other = entries.filter(|path| path.is_file()).max().unwrap();
            copy.write(&segment, fs::read(other).unwrap());
        })
        .says(failed)
        .code("WAL"),
        row("W03-short", |copy| {
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.start);
            copy.truncate(&format!("pg_wal/{segment}"), at + 20);
        })
        .says(failed)
        .code("WAL"),
        row("W05", |copy| copy.remove("pg_wal/00000002.history"))
            .of("turned")
            // All of the range is on this timeline, and a server takes a missing history for none.
            .passes(),
        row("W06", |copy| fs::rename(copy.path("pg_wal"), copy.root.join("wal")).unwrap())
            .args(|copy| {
                let wal = copy.root.join("nowhere").display().to_string();
                vec!["-w".to_owned(), wal, copy.backup.display().to_string()]
            })
            .says(failed)
            .code("WAL"),
        // The archive can stand in for what the backup lacks, and is a chain of its own.
        row("W10", |copy| {
            archive(copy);
        })
        .more(with_archive)
        .passes(),
        row("W10-instead", |copy| {
            archive(copy);
            copy.remove("pg_wal");
            fs::create_dir(copy.path("pg_wal")).unwrap();
        })
        .more(with_archive)
        .passes()
        .theirs(Theirs::Ends(1, "it knows nothing of an archive")),
        row("W11", |copy| {
            let segment = behind(copy);
            fs::remove_file(copy.root.join("archive").join(segment)).unwrap();
        })
        .more(with_archive)
        .code("WAL_GAP")
        .theirs(NO_ARCHIVE),
        row("W12", |copy| {
            let segment = behind(copy);
            invert(&copy.root.join("archive").join(segment), 100, 200);
        })
        .more(with_archive)
        .code("WAL")
        .theirs(NO_ARCHIVE),
        row("W13", |copy| {
            let segment = copy.root.join("archive").join(behind(copy));
            fs::write(&segment, vec![0; SEGMENT as usize]).unwrap();
        })
        .more(with_archive)
        .code("WAL")
        .theirs(NO_ARCHIVE),
        row("W14", |copy| {
            let segment = copy.root.join("archive").join(behind(copy));
            fs::write(&segment, vec![b'w'; SEGMENT as usize / 2]).unwrap();
        })
        .more(with_archive)
        .code("WAL")
        .theirs(NO_ARCHIVE),
    ]
}
