//! Files of a plain backup that are too many, missing, or not what they were: the cases of PostgreSQL's own
//! `src/bin/pg_verifybackup/t/003_corruption.pl` and `004_options.pl`, and some more.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::copy::Copy;
use super::stock::done;
use super::{Row, Theirs, row};

fn several(copy: &Copy<'_>) {
    copy.write("extra_file", "x");
    copy.remove("pg_xact/0000");
    copy.append("pg_hba.conf", b"#");
    copy.flip("postgresql.conf", 10);
}

pub fn rows() -> Vec<Row> {
    vec![
        row("B01", |copy| copy.write("extra_file", "x"))
            .says("\"extra_file\" is present on disk but not in the manifest")
            .code("MANIFEST"),
        row("B01-postmaster", |copy| copy.write("postmaster.pid", "4194300\n"))
            .says("\"postmaster.pid\" is present on disk but not in the manifest")
            .code("MANIFEST"),
        row("B02", |copy| copy.write("{history}_extra", "x"))
            .says("\"{history}_extra\" is present on disk but not in the manifest")
            .code("MANIFEST"),
        row("B03", |copy| copy.remove("pg_xact/0000"))
            .says("\"pg_xact/0000\" is present in the manifest but not on disk")
            .code("MANIFEST"),
        row("B03-directory", |copy| copy.remove("pg_xact"))
            .says("\"pg_xact/0000\" is present in the manifest but not on disk")
            .code("MANIFEST"),
        row("B04", |copy| copy.remove("pg_tblspc/{space}"))
            .says("\"{history}\" is present in the manifest but not on disk")
            .code("MANIFEST"),
        row("B04-away", |copy| fs::remove_dir_all(copy.root.join("space")).unwrap())
            .says("could not stat file or directory \"")
            .code(""),
        row("B05", |copy| copy.append("global/pg_control", b"x"))
            .says("\"global/pg_control\" has size 8193 on disk but size 8192 in the manifest")
            .code("MANIFEST"),
        row("B05-control", |copy| copy.remove("global/pg_control"))
            .says("\"global/pg_control\" is present in the manifest but not on disk")
            .code("MANIFEST"),
        row("B06", |copy| copy.truncate("pg_hba.conf", 0))
            .says("\"pg_hba.conf\" has size 0 on disk but size ")
            .code("MANIFEST"),
        row("B07", |copy| {
            let length = fs::metadata(copy.path("PG_VERSION")).unwrap().len();
            copy.write("PG_VERSION", "q".repeat(length as usize));
        })
        .says("checksum mismatch for file \"PG_VERSION\"")
        .code("MANIFEST"),
        row("B07-relation", |copy| copy.flip("{item}", 12_000))
            .says("checksum mismatch for file \"{item}\"")
            .code("MANIFEST"),
        row("B07-tablespace", |copy| copy.flip("{history}", 20_000))
            .says("checksum mismatch for file \"{history}\"")
            .code("MANIFEST"),
        row("B07-crc", |copy| copy.flip("{item}", 12_000))
            .of("crc")
            .says("checksum mismatch for file \"{item}\"")
            .code("MANIFEST"),
        row("B09", |copy| copy.mode("pg_subtrans", 0))
            .unprivileged()
            .unverified()
            .says("could not open directory \""),
        row("B10", |copy| copy.mode("base", 0o400))
            .unprivileged()
            .unverified()
            .says("could not stat file or directory \""),
        row("B10-file", |copy| copy.mode("PG_VERSION", 0))
            .unprivileged()
            .unverified()
            .says("could not open file \"PG_VERSION\": Permission denied"),
        row("B11", |copy| {
            done(Command::new("mkfifo").arg(copy.path("pipe")));
        })
        .says("\"pipe\" is not a regular file or directory")
        .code("MANIFEST"),
        row("B11-file", |copy| {
            copy.remove("PG_VERSION");
            done(Command::new("mkfifo").arg(copy.path("PG_VERSION")));
        })
        .says("\"PG_VERSION\" is not a regular file or directory")
        .code("MANIFEST"),
        row("B12", |copy| {
            copy.set_aside("backup_manifest");
            fs::remove_dir_all(&copy.backup).unwrap();
        })
        .args(|copy| {
            let manifest = copy.root.join("aside").display().to_string();
            vec!["-m".to_owned(), manifest, copy.backup.display().to_string()]
        })
        .unverified()
        .says("could not open directory \""),
        row("B13", |copy| copy.flip("global/pg_control", 60)).only(17..=18).says("CRC is incorrect"),
        row("B13-16", |copy| copy.flip("global/pg_control", 60))
            .only(13..=16)
            .says("checksum mismatch for file \"global/pg_control\""),
        row("B14", |copy| copy.flip("global/pg_control", 1000))
            .says("checksum mismatch for file \"global/pg_control\"")
            .code("MANIFEST"),
        row("B15", |copy| copy.take("foreign/data/global/pg_control", "global/pg_control"))
            .only(17..=18)
            .says("manifest system identifier is "),
        row("B17", |copy| copy.remove("backup_label"))
            .says("\"backup_label\" is present in the manifest but not on disk")
            .code("MANIFEST"),
        row("B19", |copy| copy.mode("", 0o755)).says("permissions").theirs(Theirs::Ends(
            0,
            "it looks at no permissions; a server does not start on such a directory",
        )),
        row("B21", |copy| copy.flip("{item}", 12_000)).of("none").code("PAGE").theirs(Theirs::Ends(
            0,
            "there is nothing that it compares with; the page has a checksum of its own",
        )),
        row("B23", several)
            .says("\"extra_file\" is present on disk but not in the manifest")
            .says("\"pg_xact/0000\" is present in the manifest but not on disk")
            .says("\"pg_hba.conf\" has size ")
            .says("checksum mismatch for file \"postgresql.conf\"")
            .code("MANIFEST"),
        row("B23-first", several)
            .args(|copy| vec!["-e".to_owned(), copy.backup.display().to_string()])
            .code("MANIFEST")
            .theirs(Theirs::Ends(1, "which is the first depends on the order of the directory")),
        row("B24", |_| ())
            .args(|copy| {
                ["-n", "-F", "tar"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain([copy.backup.display().to_string()])
                    .collect()
            })
            .only(18..=18)
            .says("\"pg_multixact\" is not a regular file"),
        row("B30", |copy| {
            copy.remove("pg_xact");
            symlink("nowhere", copy.path("pg_xact")).unwrap();
        })
        .says("could not stat file or directory \""),
        row("B31", |copy| {
            copy.remove("pg_tblspc/{space}");
            symlink("../..", copy.path("pg_tblspc/{space}")).unwrap();
        })
        .theirs(Theirs::NotAsked("it walks in a circle until the path is too long")),
    ]
}
