//! What is no damage: an alarm here is as bad as silence elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Row, Theirs, row};

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("N00", |_| ()),
        row("N00-crc", |_| ()).of("crc"),
        row("N00-sibling", |_| ()).of("sibling"),
        row("N00-foreign", |_| ()).of("foreign"),
        row("N00-none", |_| ()).of("none"),
        row("N01", |copy| copy.append("postgresql.auto.conf", b"work_mem = '1GB'\n")),
        row("N01-gone", |copy| copy.remove("postgresql.auto.conf")),
        row("N02", |copy| {
            copy.write("standby.signal", "");
            copy.write("recovery.signal", "");
        }),
        row("N04", |copy| {
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.end);
            copy.invert(&format!("pg_wal/{segment}"), at + 8192, 10_000);
        }),
        row("N04-short", |copy| {
            let (_, range) = copy.wal_range();
            let (segment, at) = copy.segment(range.end);
            copy.truncate(&format!("pg_wal/{segment}"), at.next_multiple_of(8192));
        }),
        row("N05", |copy| fs::rename(copy.path("pg_wal"), copy.root.join("wal")).unwrap()).args(|copy| {
            let wal = copy.root.join("wal").display().to_string();
            vec!["-w".to_owned(), wal, copy.backup.display().to_string()]
        }),
        row("N07", |copy| {
            let directory = Path::new(copy.fact("history")).parent().unwrap().parent().unwrap();
            let name = directory.with_file_name("PG_99_999999991").join("1/123").display().to_string();
            fs::create_dir_all(copy.path(&name).parent().unwrap()).unwrap();
            copy.write(&name, "foo");
            copy.relist(&name);
        }),
        row("N08", |copy| {
            copy.write("INCREMENTAL.config", "x");
            copy.relist("INCREMENTAL.config");
        }),
        row("N09", |_| ()).of("turned"),
        row("N11", |copy| {
            // An empty page has no checksum.
            copy.append("{item}", &[0; 8192]);
            copy.relist("{item}");
        }),
        row("N12", |copy| {
            copy.set_aside("backup_manifest");
        })
        .args(|copy| {
            let manifest = copy.root.join("aside").display().to_string();
            vec!["-m".to_owned(), manifest, copy.backup.display().to_string()]
        }),
        row("N13", |copy| {
            copy.write("extra_file", "x");
            copy.remove("pg_xact/0000");
            copy.flip("{item}", 12_000);
        })
        .args(|copy| {
            let ignored = ["extra_file", "pg_xact", copy.fact("item")];
            let ignored = ignored.into_iter().flat_map(|name| ["-i".to_owned(), name.to_owned()]);
            ignored.chain([copy.backup.display().to_string()]).collect()
        }),
        row("N14", |copy| {
            copy.reseal(|text| text.replace("\"SHA256\"", "\"sha256\""));
        }),
        row("B20", |copy| {
            fs::rename(copy.path("base"), copy.root.join("elsewhere")).unwrap();
            symlink(copy.root.join("elsewhere"), copy.path("base")).unwrap();
        }),
        row("B22", |copy| copy.flip("postgresql.conf", 10))
            .args(|copy| vec!["-s".to_owned(), copy.backup.display().to_string()]),
        row("W04", |copy| copy.remove("pg_wal"))
            .args(|copy| vec!["-n".to_owned(), copy.backup.display().to_string()]),
        row("B27", |_| ())
            .of("gz")
            .theirs(Theirs::NotAsked("before 18 it cannot read a tar, and 18 not the WAL of one")),
    ];
    rows.extend([row("N20", |_| ())
        .of("crc.tar")
        .args(|_| vec!["-".to_owned()])
        .on_stdin()
        .theirs(Theirs::NotAsked("it reads no standard input"))]);
    rows.into_iter().map(Row::passes).collect()
}
