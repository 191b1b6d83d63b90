//! `pgdrill prove` with what production knows of itself: a baseline that must be there exactly, and beats that tell which database
//! it is, and how old.

use std::fs;
use std::path::Path;

use crate::desk::{Desk, Done, findings};
use crate::server::{Server, bin, postgres};

/// Production, and the files that it wrote of itself.
struct Production<'a> {
    desk: &'a Desk,
    bin: &'a Path,
    server: Server<'a>,
}

impl<'a> Production<'a> {
    fn begin(bin: &'a Path, desk: &'a Desk) -> Self {
        let server = Server::start(bin, desk, 1);
        server.sql("create table held (n int primary key, text text); insert into held select g, 'row number ' || g from generate_series(1, 3000) g;");
        let production = Self { desk, bin, server };
        production.live(&["witness", "install"]).ends_with(0);
        production.beat();
        production
    }

    fn live(&self, args: &[&str]) -> Done {
        let dsn = format!("host={} user=postgres dbname=postgres", self.server.socket);
        let all: Vec<&str> = ["live"].into_iter().chain(args.iter().copied()).collect();
        Done::of(&self.desk.command(&all).env("PGDRILL_DSN", dsn).output().unwrap())
    }

    fn file(&self, name: &str) -> String {
        self.desk.path(name).to_str().unwrap().to_owned()
    }

    fn beat(&self) {
        self.live(&["witness", "beat", "--state", &self.file("witness")]).ends_with(0);
    }

    fn baseline(&self) {
        self.live(&["baseline", "--out", &self.file("baseline")]).ends_with(0);
    }

    fn backup(&self, name: &str) -> String {
        let path = format!("{}/{name}", self.server.socket);
        // Without checksums of any kind, so that nobody but an oracle can tell.
        let args = ["-h", &self.server.socket, "-U", "postgres", "-c", "fast", "--no-manifest", "-D", &path];
        postgres(self.bin, "pg_basebackup", &args, "");
        path
    }

    fn prove(&self, backup: &str, args: &[&str]) -> Done {
        let _ = fs::remove_dir_all(self.desk.path("e"));
        let archive = format!("{}/archive", self.server.socket);
        let all: Vec<&str> =
            ["prove", backup, "--wal", &archive].into_iter().chain(args.iter().copied()).collect();
        let done = self.desk.pgdrill(&all);
        self.desk.assert_clean();
        done
    }

    fn codes(&self) -> Vec<String> {
        findings(&self.desk.record()).into_iter().map(|(code, _, _)| code).collect()
    }
}

#[test]
fn every_row_of_a_baseline_must_be_there_and_one_that_was_changed_is_told() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup");
    production.server.sql("insert into held select g, 'late' from generate_series(4001, 4100) g;");
    production.baseline();
    production.server.sql("update held set text = 'behind it' where n = 7;");
    production.server.stop();
    let baseline = production.file("baseline");
    production.prove(&backup, &["--baseline", &baseline]).ends_with(0);
    let record = desk.record();
    assert_eq!(record["recoveries"][0]["target"], "baseline, exclusive");
    let held = |check: &str| {
        record["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["check"] == check && one["status"] == "held")
    };
    assert!(
        ["row-counts", "fingerprints", "catalog", "sequences"].iter().all(|check| held(check)),
        "{}",
        record["checks"]
    );

    // Further than where it belongs nothing can be said.
    production.prove(&backup, &["--baseline", &baseline, "--to", "latest"]).ends_with(2);
    assert!(production.codes().contains(&"BASELINE_ELSEWHERE".to_owned()), "{:?}", production.codes());

    // One letter of one row, behind the back of everything else.
    let file = production_file(&backup);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes
        .windows(16)
        .position(|part| part == b"row number 1234\0" || part.starts_with(b"row number 1234"))
        .unwrap();
    bytes[at] = b'R';
    fs::write(&file, bytes).unwrap();
    production.prove(&backup, &["--baseline", &baseline]).ends_with(1);
    assert_eq!(production.codes(), ["FINGERPRINT_MISMATCH"]);
    production.prove(&backup, &[]).ends_with(0);

    // A file that is not what it was is no oracle.
    let text = fs::read_to_string(&baseline).unwrap();
    fs::write(&baseline, text.replacen("\"rows\"", "\"rowz\"", 1)).unwrap();
    production.prove(&backup, &["--baseline", &baseline]).ends_with(2);
    assert!(production.codes().contains(&"ORACLE_UNUSABLE".to_owned()), "{:?}", production.codes());
}

/// The file of the backup that holds the rows.
fn production_file(backup: &str) -> String {
    let has = |path: &Path| {
        fs::read(path).is_ok_and(|bytes| bytes.windows(15).any(|part| part == b"row number 1234"))
    };
    let mut files = Vec::new();
    for database in fs::read_dir(format!("{backup}/base")).unwrap() {
        files.extend(fs::read_dir(database.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.into_iter().find(|path| has(path)).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn beats_tell_which_database_it_is_and_how_old() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let old = production.backup("old");
    production.beat();
    production.beat();
    production.server.stop();
    let witness = production.file("witness");
    production.prove(&old, &["--witness", &witness, "--max-age", "1h"]).ends_with(0);
    let seen = &desk.record()["recoveries"][0]["witness"];
    assert_eq!((&seen["returned"], &seen["lost"]), (&3.into(), &0.into()), "{seen}");

    // Without the archive it is as old as its backup, whatever somebody calls it.
    let done = production.prove(&old, &["--witness", &witness, "--to", "immediate", "--max-age", "10ms"]);
    done.ends_with(1);
    assert_eq!(production.codes(), ["BACKUP_STALE"]);
    assert!(done.stdout.contains("beat 1 of"), "{}", done.stdout);

    let other = Desk::new();
    let elsewhere = Production::begin(&bin, &other);
    let foreign = elsewhere.backup("foreign");
    elsewhere.server.stop();
    elsewhere.prove(&foreign, &["--witness", &witness]).ends_with(1);
    assert_eq!(elsewhere.codes(), ["WRONG_DATABASE"]);
}
