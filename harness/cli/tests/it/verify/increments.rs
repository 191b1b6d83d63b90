//! Incremental backups, from 17 on, as far as one of them alone can tell (`src/bin/pg_combinebackup/t/005_integrity.pl`).

use std::fs;

use super::copy::Copy;
use super::{Row, Theirs, row};

/// The files that hold only what has changed begin with this.
fn incremental(copy: &Copy<'_>) -> String {
    copy.fact("item").rsplit_once('/').map(|(path, file)| format!("{path}/INCREMENTAL.{file}")).unwrap()
}

pub fn rows() -> Vec<Row> {
    let rows = vec![
        row("I00", |copy| assert!(copy.path(&incremental(copy)).exists())).passes(),
        row("I04", |copy| copy.take("foreign/data/backup_manifest", "backup_manifest"))
            .says("manifest system identifier is ")
            .code("MANIFEST"),
        row("I18", |copy| copy.remove("backup_manifest"))
            .says("/backup_manifest\": No such file or directory")
            .unverified(),
        row("I20", |copy| copy.half(&incremental(copy))).says("INCREMENTAL.").says("on disk but size"),
        row("I21", |copy| copy.flip(&incremental(copy), 100)).says("checksum mismatch for file \"base/"),
        row("I22", |copy| copy.remove(&incremental(copy))).says("is present in the manifest but not on disk"),
        // What was wrong before the backup, or is since, with a manifest that agrees: the head says what follows.
        row("I23", |copy| {
            copy.flip(&incremental(copy), 0);
            copy.relist(&incremental(copy));
        })
        .says("INCREMENTAL.")
        .theirs(Theirs::Ends(0, "it takes such files for any others")),
        row("I24", |copy| {
            let length = fs::metadata(copy.path(&incremental(copy))).unwrap().len();
            copy.truncate(&incremental(copy), length - 8192);
            copy.relist(&incremental(copy));
        })
        .says("INCREMENTAL.")
        .theirs(Theirs::Ends(0, "it takes such files for any others")),
        row("I25", |copy| {
            let length = fs::metadata(copy.path(&incremental(copy))).unwrap().len();
            copy.flip(&incremental(copy), length - 100);
            copy.relist(&incremental(copy));
        })
        .says("INCREMENTAL.")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(Theirs::Ends(0, "it reads no pages")),
    ];
    rows.into_iter().map(|row| row.of("increment").only(17..=18)).collect()
}
