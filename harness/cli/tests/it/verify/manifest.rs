//! Manifests that cannot be read, or are those of something else: the cases of PostgreSQL's own
//! `src/bin/pg_verifybackup/t/005_bad_manifest.pl`, and some more. All are fatal: of the files nothing is then said.

use super::copy::Copy;
use super::{Row, Theirs, row};

/// What is said before the parser's own words (`src/common/parse_manifest.c`).
macro_rules! parse {
    ($words:literal) => {
        concat!("could not parse backup manifest: ", $words)
    };
}

/// A manifest with this in it; nobody asks for its checksum before the rest can be read.
macro_rules! manifest {
    ($($line:literal)+) => {
        |copy: &Copy<'_>| copy.write("backup_manifest", concat!($($line, "\n"),+))
    };
}

const VERSION: &str = "{\"PostgreSQL-Backup-Manifest-Version\": 1, ";

/// A manifest of one file entry.
fn entry(copy: &Copy<'_>, fields: &str) {
    copy.write("backup_manifest", format!("{VERSION}\"Files\": [\n{{{fields}}}\n]}}\n"));
}

/// A manifest of one range of WAL.
fn range(copy: &Copy<'_>, fields: &str) {
    copy.write("backup_manifest", format!("{VERSION}\"WAL-Ranges\": [\n{{{fields}}}\n]}}\n"));
}

/// A manifest that ends in this checksum.
fn sealed(copy: &Copy<'_>, checksum: &str) {
    let text = format!("{VERSION}\"Files\": [],\n\"Manifest-Checksum\": {checksum}}}\n");
    copy.write("backup_manifest", text);
}

pub fn rows() -> Vec<Row> {
    let rows = vec![
        row("M01", manifest!("{")).says(parse!("The input string ended unexpectedly")),
        row("M02", manifest!("{}")).says(parse!("unexpected object end")),
        row("M03", manifest!("[]")).says(parse!("unexpected array start")),
        row("M04", manifest!("{\"not-expected\": 1}")).says(parse!("expected version indicator")),
        row("M05", manifest!("{\"PostgreSQL-Backup-Manifest-Version\": \"phooey\"}"))
            .says(parse!("manifest version not an integer")),
        row("M06", manifest!("{\"PostgreSQL-Backup-Manifest-Version\": 9876599}"))
            .says(parse!("unexpected manifest version")),
        row("M06-zero", manifest!("{\"PostgreSQL-Backup-Manifest-Version\": 0}"))
            .says(parse!("unexpected manifest version")),
        row("M07", manifest!("{\"PostgreSQL-Backup-Manifest-Version\": 1, \"Files\": true}"))
            .says(parse!("unexpected scalar")),
        row("M08", manifest!("{\"PostgreSQL-Backup-Manifest-Version\": 1, \"Oops\": 1}"))
            .says(parse!("unrecognized top-level field")),
        row("M09", manifest!("{\"PostgreSQL-Backup-Manifest-Version\": 1, \"Files\": {}}"))
            .says(parse!("unexpected object start")),
        row("M10", |copy| entry(copy, "")).says(parse!("missing path name")),
        row("M11", |copy| entry(copy, "\"Path\": \"x\", \"Encoded-Path\": \"1234\""))
            .says(parse!("both path name and encoded path name")),
        row("M12", |copy| entry(copy, "\"Oops\": 1")).says(parse!("unexpected file field")),
        row("M13", |copy| entry(copy, "\"Path\": \"x\"")).says(parse!("missing size")),
        row("M14", |copy| entry(copy, "\"Path\": \"x\", \"Size\": \"Oops\""))
            .says(parse!("file size is not an integer")),
        row("M15", |copy| entry(copy, "\"Encoded-Path\": \"123\", \"Size\": 0"))
            .says(parse!("could not decode file name")),
        row("M15-letters", |copy| entry(copy, "\"Encoded-Path\": \"zz\", \"Size\": 0"))
            .says(parse!("could not decode file name")),
        row("M17", |copy| entry(copy, "\"Path\": \"x\", \"Size\": 100, \"Checksum\": \"Oops\""))
            .says(parse!("checksum without algorithm")),
        row("M18", |copy| {
            entry(
                copy,
                "\"Path\": \"x\", \"Size\": 100, \"Checksum-Algorithm\": \"Oops\", \"Checksum\": \"00\"",
            );
        })
        .says("unrecognized checksum algorithm: \"Oops\""),
        row("M19", |copy| {
            entry(
                copy,
                "\"Path\": \"x\", \"Size\": 100, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"0\"",
            );
        })
        .says("invalid checksum for file \"x\": \"0\""),
        row("M20-start", |copy| range(copy, "\"Timeline\": 1")).says(parse!("missing start LSN")),
        row("M20-end", |copy| range(copy, "\"Timeline\": 1, \"Start-LSN\": \"0/0\""))
            .says(parse!("missing end LSN")),
        row("M20-timeline", |copy| range(copy, "\"Start-LSN\": \"0/0\", \"End-LSN\": \"0/0\""))
            .says(parse!("missing timeline")),
        row("M21", |copy| range(copy, "\"Oops\": 1")).says(parse!("unexpected WAL range field")),
        row("M22", |copy| {
            range(copy, "\"Timeline\": true, \"Start-LSN\": \"0/0\", \"End-LSN\": \"0/0\"");
        })
        .says(parse!("timeline is not an integer")),
        row("M23-start", |copy| {
            range(copy, "\"Timeline\": 1, \"Start-LSN\": \"oops\", \"End-LSN\": \"0/0\"");
        })
        .says(parse!("could not parse start LSN")),
        row("M23-end", |copy| {
            range(copy, "\"Timeline\": 1, \"Start-LSN\": \"0/0\", \"End-LSN\": \"oops\"");
        })
        .says(parse!("could not parse end LSN")),
        row("M24", |copy| {
            copy.write("backup_manifest", format!("{VERSION}\"Files\": [], \"Manifest-Checksum\": null}}\n"));
        })
        .says(parse!("expected at least 2 lines")),
        row("M25", |copy| {
            copy.write(
                "backup_manifest",
                format!("{VERSION}\n\"Files\": [],\n\"Manifest-Checksum\": null}}"),
            );
        })
        .says(parse!("last line not newline-terminated")),
        row("M26", |copy| sealed(copy, &format!("\"{}\"", "z".repeat(64))))
            .says("invalid manifest checksum: \"zzzz"),
        row("M27", |copy| sealed(copy, "null")).says("invalid manifest checksum: \"null\""),
        row("M28", |copy| copy.write("backup_manifest", format!("{VERSION}\n\"Files\": []\n}}\n")))
            .says(parse!("unexpected object end")),
        row("M29", |copy| {
            copy.edit(|text| {
                let at = text.rfind('"').unwrap() - 1;
                let digit = if &text[at..=at] == "0" { "1" } else { "0" };
                format!("{}{digit}{}", &text[..at], &text[at + 1..])
            });
        })
        .says("manifest checksum mismatch"),
        row("M29-body", |copy| copy.edit(|text| text.replacen(" GMT", " gmt", 1)))
            .says("manifest checksum mismatch"),
        row("M30", |copy| copy.half("backup_manifest")).says(parse!("")),
        row("M30-line", |copy| {
            copy.edit(|text| text.lines().take(20).map(|line| format!("{line}\n")).collect());
        })
        .says(parse!("")),
        row("M30-empty", |copy| copy.write("backup_manifest", "")).says(parse!("")),
        row("M30-zeros", |copy| copy.write("backup_manifest", [0; 4096])).says(parse!("")),
        row("M30-twice", |copy| {
            copy.reseal(|text| {
                let line = text.lines().find(|line| line.contains("\"PG_VERSION\"")).unwrap();
                text.replacen("\"Files\": [\n", &format!("\"Files\": [\n{line}\n"), 1)
            });
        })
        .says("duplicate path name in backup manifest: \"PG_VERSION\""),
        // There may well be one elsewhere: nothing is known of the backup.
        row("M31", |copy| copy.remove("backup_manifest"))
            .unverified()
            .says("could not open file \"")
            .says("/backup_manifest\": No such file or directory"),
        row("M33", |copy| copy.take("sibling/data/backup_manifest", "backup_manifest"))
            .says("\"{item}\" has size ")
            .says("WAL parsing failed for timeline 1"),
        row("M32", |copy| {
            copy.reseal(|text| {
                let lines = text.lines().filter(|line| !line.starts_with("\"System-Identifier\""));
                lines.map(|line| format!("{line}\n")).collect()
            });
        })
        .only(17..=18)
        .says("manifest system identifier is 0, but control file has "),
        // Who takes an entry out and seals the manifest anew leaves no trace in the backup: only a copy of it tells.
        row("M35", |copy| {
            copy.remove("pg_hba.conf");
            copy.reseal(|text| {
                let lines = text.lines().filter(|line| !line.contains("\"pg_hba.conf\""));
                lines.map(|line| format!("{line}\n")).collect()
            });
        })
        .passes(),
        row("M36", |copy| copy.edit(|text| format!("{text} ")))
            .says(parse!("last line not newline-terminated")),
        row("M37", |copy| copy.take("foreign/data/backup_manifest", "backup_manifest"))
            .only(17..=18)
            .says("manifest system identifier is "),
        row("M37-13", |copy| copy.take("foreign/data/backup_manifest", "backup_manifest"))
            .only(13..=16)
            .says("present in the manifest but not on disk"),
        row("M38", manifest!("{\"PostgreSQL-Backup-Manifest-Version\": 99999999999999999999}"))
            .says(parse!(""))
            .theirs(Theirs::NotAsked("it reads the number as far as it fits")),
        row("M39", |copy| {
            copy.write("backup_manifest", format!("{VERSION}\"Files\": {}", "[".repeat(200_000)));
        })
        .says(parse!(""))
        .theirs(Theirs::NotAsked("it recurses, and where it stops is its own affair")),
    ];
    rows.into_iter().map(|row| row.code("MANIFEST")).collect()
}
