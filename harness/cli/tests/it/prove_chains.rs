//! `pgdrill prove` of incremental backups: each of a chain is verified before all are combined, and what a chain lacks is told.

use std::fs;
use std::path::Path;

use pgdrill_testkit::docker;
use rstest::rstest;

use crate::desk::{Desk, Done, findings};
use crate::prove::{Production, damage, largest};
use crate::server::bin;

/// A full backup, an incremental one and one upon that, made by a drill in a container, and what was archived.
struct Chain {
    desk: Desk,
    major: String,
    archive: String,
}

impl Chain {
    /// None where there is no container of that major. `formats` are those of the three.
    fn take(major: u16, formats: [&str; 3]) -> Option<Self> {
        if !docker::required_or_skip(&[major]) {
            return None;
        }
        let desk = Desk::new();
        let [full, first, second] = formats;
        let scenario = desk.scenario(&format!(
            "title: t\ndata: {{ orders: 10 }}\ntablespaces: {{ history: [AuditLog] }}\nsteps:\n  - backup: {{ {full} }}\n  \
             - sql: CREATE TABLE late AS SELECT g AS n FROM generate_series(1, 1000) g\n  - backup: {{ {first}, incremental: on }}\n  \
             - sql: UPDATE late SET n = n + 1 WHERE n % 2 = 0\n  - backup: {{ {second}, incremental: on }}\n  \
             - sql: CREATE TABLE later AS SELECT 1 AS n\n  - switch-wal\n  - disaster: lose-primary\n  - recover\n"
        ));
        let major = major.to_string();
        let run = [
            "run",
            scenario.to_str().unwrap(),
            "--keep",
            "always",
            "--runtime",
            "docker",
            "--postgres",
            &major,
        ];
        desk.pgdrill(&run).ends_with(0);
        let made = desk.workspace().unwrap();
        fs::create_dir(desk.path("b")).unwrap();
        for (from, to) in [("backup-1", "full"), ("backup-2", "monday"), ("backup-3", "tuesday")] {
            fs::rename(made.join("backup").join(from), desk.path("b").join(to)).unwrap();
        }
        let archive = made.join("archive").display().to_string();
        Some(Self { desk, major, archive })
    }

    fn path(&self, name: &str) -> String {
        self.desk.path("b").join(name).display().to_string()
    }

    /// Proves from another desk, since this one's workspace holds the archive, and the tablespaces of what is plain.
    fn prove(&self, args: &[&str]) -> (Desk, Done) {
        let desk = Desk::new();
        let in_docker = ["--runtime", "docker", "--wal", &self.archive];
        let all: Vec<&str> = ["prove"].into_iter().chain(args.iter().copied()).chain(in_docker).collect();
        let done = desk.pgdrill(&all);
        desk.assert_clean();
        (desk, done)
    }

    /// Proves what is not as it should be, by its exit code and what it must say.
    fn finds(&self, args: &[&str], code: i32, finding: &str, words: &[&str]) {
        let (desk, done) = self.prove(args);
        done.ends_with(code);
        let found = findings(&desk.record());
        let says = |(code, _, message): &(String, String, String)| {
            code == finding && words.iter().all(|words| message.contains(words))
        };
        assert!(found.iter().any(says), "{args:?}: {finding} {words:?} is not in {found:?}");
    }

    fn end(self) {
        self.desk.pgdrill(&["clean"]);
    }
}

#[rstest]
#[case::plain_and_tars(17, ["format: plain", "format: tar, compress: zstd", "format: plain"])]
#[case::tars(18, ["format: tar", "format: tar, compress: gzip", "format: tar, wal: none"])]
fn the_newest_of_a_directory_is_combined_of_all_that_it_is_built_on(
    #[case] major: u16,
    #[case] formats: [&str; 3],
) {
    let Some(chain) = Chain::take(major, formats) else { return };
    let (desk, done) = chain.prove(&[&chain.path("")]);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!(record["postgres"].to_string(), chain.major);
    let recovery = &record["recoveries"][0];
    assert_eq!((&recovery["by"], &recovery["state"]), (&"combine".into(), &"promoted".into()));
    assert_eq!(recovery["backups"], serde_json::json!(["full", "monday", "backup-1"]));
    assert_eq!(recovery["tablespaces"], 1);
    // Every file of each has the checksum of its manifest.
    let backups = record["backups"].as_array().unwrap();
    let files: u64 = backups.iter().map(|backup| backup["files"].as_u64().unwrap()).sum();
    let tablespaces_maps = backups.len() as u64;
    let checked = recovery["verified"]["checksums"].as_u64().unwrap();
    assert!(files > 3000 && checked + tablespaces_maps >= files, "{checked} of {files}");
    let told: Vec<_> = backups.iter().map(|backup| (&backup["label"], &backup["incremental_of"])).collect();
    let null = serde_json::Value::Null;
    let (full, monday, tuesday) = ("full".into(), "monday".into(), "tuesday".into());
    assert_eq!(told, [(&full, &null), (&monday, &full), (&tuesday, &monday)]);
    let untouched =
        record["checks"].as_array().unwrap().iter().find(|check| check["check"] == "archive-untouched");
    assert_eq!(untouched.unwrap()["status"], "held");
    let rows =
        record["checks"].as_array().unwrap().iter().find(|check| check["check"] == "read-all").unwrap();
    // Ten orders with what belongs to them, a thousand rows that changed, and one that only the archive has.
    assert!(rows["summary"].as_str().unwrap().ends_with("; 1 044 rows in those of users"), "{rows}");
    chain.end();
}

#[test]
fn a_chain_in_several_directories_is_found_and_what_it_lacks_is_told() {
    let Some(chain) = Chain::take(17, ["format: tar", "format: plain", "format: tar, compress: gzip"]) else {
        return;
    };
    let elsewhere = chain.desk.path("elsewhere");
    fs::rename(chain.path(""), &elsewhere).unwrap();
    let path = |name: &str| elsewhere.join(name).display().to_string();
    let (full, monday, tuesday) = (path("full"), path("monday"), path("tuesday"));
    let (desk, done) = chain.prove(&[&tuesday, "--upon", &monday, "--upon", &full, "--check", "read-all"]);
    done.ends_with(0);
    assert_eq!(desk.record()["recoveries"][0]["backups"][1], "monday");
    // The same as a scenario, and the one in the middle by itself.
    let saved = chain.desk.path("saved.yaml").display().to_string();
    chain.prove(&[&monday, "--upon", &full, "--check", "read-all", "--save", &saved]).1.ends_with(0);
    let written = fs::read_to_string(&saved).unwrap();
    assert!(written.contains(&format!("        upon:\n          - \"{full}\"\n")), "{written}");

    let lacks = "tuesday is an incremental backup, built on one that began at 0/";
    chain.finds(&[&tuesday], 2, "NOT_A_BACKUP", &[lacks, "on timeline 1, which is not there"]);
    chain.finds(&[&tuesday, "--upon", &full], 2, "NOT_A_BACKUP", &[lacks, "; full began at 0/"]);
    // The other way round.
    chain.finds(
        &[&full, "--upon", &monday],
        2,
        "NOT_A_BACKUP",
        &["full is a full backup, and is built on no other"],
    );
    if let Some(bin) = bin() {
        let here = Desk::new();
        let other = Production::begin(&bin, &here).backup("other", &["-Ft"]);
        chain.finds(
            &[&monday, "--upon", &other],
            2,
            "NOT_A_BACKUP",
            &["other is of another cluster: its system identifier is"],
        );
    }

    // Of a directory in which the middle one is missing, the newest that can be restored is taken, and that is said.
    let middle = elsewhere.with_extension("away");
    fs::rename(&monday, &middle).unwrap();
    let (_, done) = chain.prove(&[&path(""), "--check", "read-all"]);
    done.ends_with(0);
    assert!(
        done.stderr.contains("pgdrill: tuesday, which is newer, is left out: tuesday is an incremental"),
        "{}",
        done.stderr
    );
    chain.finds(&[&path(""), "--pick", "tuesday"], 2, "NOT_A_BACKUP", &[lacks]);
    fs::remove_dir_all(&full).unwrap();
    chain.finds(&[&path("")], 2, "NOT_A_BACKUP", &["none of the 1 backups", "which is not there"]);
    chain.end();
}

/// `pg_combinebackup` would not see any of it.
#[test]
fn a_changed_byte_in_any_of_them_is_disproven_with_its_name() {
    let Some(chain) = Chain::take(18, ["format: plain", "format: tar, compress: none", "format: plain"])
    else {
        return;
    };
    let within = |name: &str, part: &str| Path::new(&chain.path(name)).join(part);
    for (name, file) in [
        ("full", largest(&within("full", "base/1"))),
        ("monday", within("monday", "base.tar")),
        ("tuesday", largest(&within("tuesday", "base/1"))),
    ] {
        let kept = fs::read(&file).unwrap();
        damage(&file);
        chain.finds(
            &[&chain.path("")],
            1,
            "MANIFEST_MISMATCH",
            &[&format!("{name}: checksum mismatch for file")],
        );
        fs::write(&file, kept).unwrap();
    }
    fs::remove_file(within("full", "base/1/1259")).unwrap();
    chain.finds(
        &[&chain.path("")],
        1,
        "MANIFEST_MISMATCH",
        &["full: \"base/1/1259\" is present in the manifest but not on disk"],
    );
    chain.end();
}
