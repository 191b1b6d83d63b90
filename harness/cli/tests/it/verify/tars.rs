//! The same damages in tars, compressed or not: `pg_verifybackup` of 18 reads these, too, and says where
//! (`src/bin/pg_verifybackup/astreamer_verify.c`).

use std::fs;

use super::copy::{Copy, SEGMENT, invert};
use super::{Row, Theirs, row};

/// Where a tar is cut off, pg_verifybackup says that a COPY stream ended, or that all of the files behind are missing.
const CUT: Theirs = Theirs::Ends(1, "pgdrill names the archive, and counts the files behind");

const FORMATS: [&str; 4] = ["tar", "gz", "lz4", "zst"];

/// The damages of one format; the file names in what is said are those without the endings of its compression.
fn of_one() -> Vec<Row> {
    let their_wal = Theirs::NotAsked("it does not read the WAL of a tar");
    vec![
        row("T00", |_| ()).passes(),
        row("T00-one", |_| ())
            .args(|copy| vec![copy.archive("base.tar").display().to_string()])
            .passes()
            .theirs(Theirs::NotAsked("it wants the directory")),
        row("T01", |copy| {
            copy.repack("base.tar", |content| fs::write(content.join("extra_file"), "x").unwrap());
        })
        .says("\"extra_file\" is present in archive \"base.tar")
        .says("but not in the manifest")
        .code("MANIFEST"),
        row("T02", |copy| {
            copy.repack("{space}.tar", |content| {
                let directory = fs::read_dir(content).unwrap().next().unwrap().unwrap().path();
                fs::write(directory.join("extra_file"), "x").unwrap();
            });
        })
        .says("extra_file\" is present in archive \"{space}.tar")
        .code("MANIFEST"),
        row("T03", |copy| {
            copy.repack("base.tar", |content| fs::remove_file(content.join("pg_xact/0000")).unwrap());
        })
        .says("\"pg_xact/0000\" is present in the manifest but not on disk")
        .code("MANIFEST"),
        row("T04", |copy| fs::remove_file(copy.archive("{space}.tar")).unwrap())
            .says("\"{history}\" is present in the manifest but not on disk")
            .code("MANIFEST"),
        row("T05", |copy| {
            copy.repack("base.tar", |content| {
                let control = content.join("global/pg_control");
                let longer = [fs::read(&control).unwrap(), b"x".to_vec()].concat();
                fs::write(control, longer).unwrap();
            });
        })
        .says("\"global/pg_control\" has size 8193 in archive \"base.tar")
        .says("but size 8192 in the manifest")
        .code("MANIFEST"),
        row("T06", |copy| {
            copy.repack("base.tar", |content| fs::write(content.join("pg_hba.conf"), "").unwrap());
        })
        .says("\"pg_hba.conf\" has size 0 in archive \"base.tar")
        .code("MANIFEST")
        .theirs(Theirs::Ends(1, "18 prints the name of a zstd archive from memory that it gave back")),
        row("T07", |copy| copy.repack("base.tar", |content| invert(&content.join("PG_VERSION"), 0, 1)))
            .says("checksum mismatch for file \"PG_VERSION\" in archive \"base.tar")
            .code("MANIFEST"),
        row("T13", |copy| {
            copy.repack("base.tar", |content| invert(&content.join("global/pg_control"), 60, 1));
        })
        .only(17..=18)
        .says("CRC is incorrect"),
        row("T17", |copy| {
            copy.repack("base.tar", |content| fs::remove_file(content.join("backup_label")).unwrap());
        })
        .says("\"backup_label\" is present in the manifest but not on disk")
        .code("MANIFEST"),
        row("T17-map", |copy| {
            copy.repack("base.tar", |content| fs::remove_file(content.join("tablespace_map")).unwrap());
        })
        .says("\"tablespace_map\" is present in the manifest but not on disk")
        .code("MANIFEST"),
        row("T23", |copy| {
            copy.repack("base.tar", |content| {
                fs::write(content.join("extra_file"), "x").unwrap();
                fs::remove_file(content.join("pg_xact/0000")).unwrap();
                invert(&content.join("postgresql.conf"), 10, 1);
            });
        })
        .says("\"extra_file\" is present in archive")
        .says("\"pg_xact/0000\" is present in the manifest but not on disk")
        .says("checksum mismatch for file \"postgresql.conf\" in archive")
        .code("MANIFEST"),
        row("T26", |copy| copy.write("notes.txt", "x"))
            .says("file \"notes.txt\" is not expected in a tar format backup"),
        row("T27", |copy| fs::remove_file(copy.archive("base.tar")).unwrap())
            .says("\"PG_VERSION\" is present in the manifest but not on disk"),
        row("T30", |copy| {
            let tar = copy.archive("base.tar");
            let length = fs::metadata(&tar).unwrap().len();
            fs::File::options().write(true).open(&tar).unwrap().set_len(length / 2).unwrap();
        })
        .says("could not read archive \"base.tar")
        .theirs(CUT),
        row("T31", |copy| {
            let tar = copy.archive("base.tar");
            let length = fs::metadata(&tar).unwrap().len();
            invert(&tar, length / 2, 64);
        })
        .theirs(Theirs::NotAsked("where the bytes are of a header it may end in any way")),
        row("T32", |copy| {
            let tar = copy.archive("base.tar");
            fs::write(tar, "").unwrap();
        }),
        row("T33", |copy| {
            let tar = copy.archive("{space}.tar");
            let bytes = fs::read(&tar).unwrap();
            fs::write(&tar, &bytes[..bytes.len() / 3]).unwrap();
        })
        .says("could not read archive \"{space}.tar")
        .theirs(CUT),
        // As after `pg_basebackup -X none`: it is elsewhere, or nowhere.
        row("T40", |copy| fs::remove_file(copy.archive("pg_wal.tar")).unwrap())
            .says("the WAL that the backup needs is not with it")
            .unverified()
            .theirs(their_wal),
        row("T41", |copy| {
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.start);
            copy.repack("pg_wal.tar", |content| invert(&content.join(segment), at + 16, 2));
        })
        .says("WAL parsing failed for timeline 1")
        .code("WAL")
        .theirs(their_wal),
        row("T42", |copy| {
            let (_, range) = copy.wal_range();
            let (segment, _) = copy.segment(range.start);
            copy.repack("pg_wal.tar", |content| {
                fs::write(content.join(segment), vec![b'w'; SEGMENT as usize]).unwrap();
            });
        })
        .says("WAL parsing failed for timeline 1")
        .code("WAL")
        .theirs(their_wal),
        row("T43", |copy| fs::remove_file(copy.archive("pg_wal.tar")).unwrap())
            .args(|copy: &Copy<'_>| vec!["-n".to_owned(), copy.backup.display().to_string()])
            .passes(),
        row("T44", |copy| copy.remove("backup_manifest"))
            .unverified()
            .says("/backup_manifest\": No such file or directory"),
        row("T50", |copy| {
            copy.repack("base.tar", |content| {
                let item = content.join(copy.fact("item"));
                invert(&item, 8192 + 5000, 1);
                // What the manifest will be made of.
                fs::copy(&item, copy.root.join("page")).unwrap();
            });
            fs::create_dir_all(copy.path("{item}").parent().unwrap()).unwrap();
            fs::rename(copy.root.join("page"), copy.path("{item}")).unwrap();
            copy.relist("{item}");
            fs::remove_dir_all(copy.path("base")).unwrap();
        })
        .says("{item}")
        .says("block 1")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(Theirs::NotAsked("it reads no pages")),
    ]
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for format in FORMATS {
        rows.extend(of_one().into_iter().map(|row| {
            let theirs = if matches!(row.theirs, Theirs::Same) { Theirs::Tar } else { row.theirs };
            Row { id: format!("{}-{format}", row.id), of: format, theirs, ..row }
        }));
    }
    rows
}
