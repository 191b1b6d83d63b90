//! `pgdrill prove` on what pgBackRest and Barman keep: proven as they left it, and what is damaged in it told for what it is.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::desk::Desk;
use crate::prove::{Production, codes, damage, files, has_programs, largest};
use crate::server::{bin, postgres};

const KEY: &str = "PGBACKREST_REPO1_CIPHER_PASS";

/// A repository of pgBackRest, into which a server archives.
struct Repository<'a> {
    production: Production<'a>,
    config: String,
    path: String,
}

impl<'a> Repository<'a> {
    fn begin(bin: &'a Path, desk: &'a Desk, options: &str) -> Self {
        let production = Production::begin(bin, desk);
        let room = production.server.socket.clone();
        let (path, config) = (format!("{room}/repository"), format!("{room}/pgbackrest.conf"));
        let text = format!(
            "[global]\nrepo1-path={path}\nrepo1-retention-full=9\nlock-path={room}/lock\nspool-path={room}/spool\n\
             log-level-file=off\nlog-level-console=warn\nstart-fast=y\ncompress-type=gz\n{options}[main]\n\
             pg1-path={}\npg1-socket-path={room}\npg1-user=postgres\n",
            production.server.data
        );
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
        let repository = Self { production, config, path };
        repository.run(&["stanza-create"]);
        // The server reads the passphrase from its configuration, as a production server would.
        let push = format!("pgbackrest --config={} --stanza=main archive-push %p", repository.config);
        repository
            .production
            .server
            .sql(&format!("alter system set archive_command = '{push}';\nselect pg_reload_conf();"));
        repository
    }

    fn run(&self, args: &[&str]) {
        let config = format!("--config={}", self.config);
        let all: Vec<&str> =
            [config.as_str(), "--stanza=main"].into_iter().chain(args.iter().copied()).collect();
        postgres(Path::new("/usr/bin"), "pgbackrest", &all, "");
    }

    /// A full backup, a differential one, and what happened after them.
    fn with_backups(self) -> Self {
        self.run(&["--type=full", "backup"]);
        self.production.server.sql("insert into held select g, 'between' from generate_series(1, 3000) g;");
        self.run(&["--type=diff", "backup"]);
        self.production.server.sql("insert into held select g, 'later' from generate_series(1, 30000) g;");
        self.production.server.stop();
        self
    }

    /// What is archived, without the marks of backups.
    fn segments(&self) -> Vec<PathBuf> {
        let all = files(&Path::new(&self.path).join("archive/main"));
        all.into_iter().filter(|path| path.to_str().unwrap().ends_with(".gz")).collect()
    }

    fn label(&self) -> String {
        self.production.desk.record()["backups"][0]["label"].as_str().unwrap().to_owned()
    }
}

/// What Barman keeps of a server with a tablespace.
struct Barman<'a> {
    production: Production<'a>,
    home: String,
}

impl<'a> Barman<'a> {
    fn begin(bin: &'a Path, desk: &'a Desk, method: &str) -> Self {
        let production = Production::begin(bin, desk);
        let room = production.server.socket.clone();
        let home = format!("{room}/barman");
        sh(&format!("mkdir -p {home}/main/incoming {room}/lock {room}/barman.d {room}/live"));
        let account = sh("id -un").trim().to_owned();
        let text = format!(
            "[barman]\nbarman_user = {account}\nbarman_home = {home}\nbarman_lock_directory = {room}/lock\n\
             configuration_files_directory = {room}/barman.d\nlog_file = {room}/barman.log\n[main]\ndescription = main\n\
             conninfo = host={room} user=postgres dbname=postgres\nstreaming_conninfo = host={room} user=postgres\n\
             backup_method = {method}\narchiver = on\npath_prefix = {}\ncompression = gzip\n",
            bin.display()
        );
        fs::write(format!("{room}/barman.conf"), text).unwrap();
        production.server.sql(&format!(
            "alter system set archive_command = 'cp %p {home}/main/incoming/%f';\nselect pg_reload_conf();\n\
             create tablespace history location '{room}/live';\n\
             create table old tablespace history as select generate_series(1, 1000) as n;"
        ));
        // The first look makes its directories, and finds that nothing was archived yet.
        sh(&format!("barman -c {room}/barman.conf check main >>{room}/said 2>&1 || true"));
        Self { production, home }
    }

    fn run(&self, args: &str) {
        let room = &self.production.server.socket;
        sh(&format!("barman -c {room}/barman.conf {args} >>{room}/said 2>&1"));
    }

    /// Has what was written archived, and sorted.
    fn archived(&self) {
        let server = &self.production.server;
        let file = server.sql("select pg_walfile_name(pg_current_wal_lsn());").trim().to_owned();
        server.sql("select pg_create_restore_point('switched'); select pg_switch_wal();");
        let there = format!("{}/main/incoming/{file}", self.home);
        sh(&format!("timeout 30 sh -c 'until [ -e {there} ]; do sleep 0.05; done'"));
        self.run("archive-wal main");
    }

    /// A backup, and what happened after it, until the server ends.
    fn backup(&self) {
        self.archived();
        self.run("backup main");
        for _ in 0..3 {
            self.production.server.sql("insert into held select g, 'later' from generate_series(1, 9000) g;");
            self.archived();
        }
        self.production.server.end("fast");
    }
}

/// Runs a script as the account that runs servers.
fn sh(script: &str) -> String {
    postgres(Path::new("/bin"), "sh", &["-euc", script], "")
}

#[test]
fn backups_of_pgbackrest_are_proven_and_any_of_them_can_be_meant() {
    let Some(bin) = bin() else { return };
    if !has_programs(&["pgbackrest"]) {
        return;
    }
    let desk = Desk::new();
    let repository = Repository::begin(&bin, &desk, "repo1-bundle=y\n").with_backups();
    let (production, path) = (&repository.production, repository.path.as_str());
    production.prove(&[path]).ends_with(0);
    let newest = repository.label();
    assert!(newest.ends_with('D'), "{newest}");
    let record = desk.record();
    assert_eq!(record["backups"][0]["tool"], "pgBackRest");
    assert_eq!(record["recoveries"][0]["state"], "promoted");
    assert_eq!(record["recoveries"][0]["archive_end"]["missing"], true);

    production.prove(&[path, "--pick", "oldest"]).ends_with(0);
    let oldest = repository.label();
    assert!(oldest.ends_with('F'), "{oldest}");
    production.prove(&[path, "--pick", &newest, "--to", "immediate"]).ends_with(0);
    assert_eq!(repository.label(), newest);
    let chosen: Vec<String> = ["5", "5"]
        .iter()
        .map(|seed| {
            production.prove(&[path, "--pick", "random", "--seed", seed]).ends_with(0);
            repository.label()
        })
        .collect();
    assert_eq!(chosen[0], chosen[1]);
    let done = production.prove(&[path, "--pick", "all"]);
    done.ends_with(0);
    assert_eq!(desk.files("json").len(), 2, "{}", done.stdout);

    let done = production.prove(&[path, "--pick", "20200101-000000F"]);
    done.ends_with(64);
    assert!(done.stderr.contains("holds no backup") && done.stderr.contains(&oldest), "{}", done.stderr);
    // Another stanza beside it: what was clear is not any more.
    for part in ["backup", "archive"] {
        let [from, to] = ["main", "other"].map(|stanza| format!("{path}/{part}/{stanza}"));
        postgres(Path::new("/usr/bin"), "cp", &["-r", &from, &to], "");
    }
    let done = production.prove(&[path]);
    done.ends_with(64);
    assert!(done.stderr.contains("holds backups of several servers: main, other"), "{}", done.stderr);
    production.prove(&[path, "--server", "other"]).ends_with(0);
    let arguments = desk.record()["backups"][0]["path"].to_string();
    assert!(arguments.contains("/backup/other/"), "{arguments}");
}

#[test]
fn what_is_damaged_in_a_repository_of_pgbackrest_is_disproven() {
    let Some(bin) = bin() else { return };
    if !has_programs(&["pgbackrest"]) {
        return;
    }
    let desk = Desk::new();
    let repository = Repository::begin(&bin, &desk, "repo1-bundle=y\n").with_backups();
    let (production, path) = (&repository.production, repository.path.as_str());
    let segments = repository.segments();
    let hole = &segments[segments.len() - 3];
    let name = &hole.file_name().unwrap().to_str().unwrap()[..24];
    let kept = fs::read(hole).unwrap();
    fs::remove_file(hole).unwrap();
    production.finds(&[path], 1, "WAL_GAP", name);
    fs::write(hole, &kept).unwrap();
    damage(hole);
    production.finds(&[path], 1, "WAL_DAMAGED", name);
    fs::write(hole, &kept).unwrap();

    let label = files(&Path::new(path).join("backup/main"));
    let full = label.iter().find(|path| {
        path.ends_with("backup.manifest") && path.parent().unwrap().to_str().unwrap().ends_with('F')
    });
    let stored = largest(full.unwrap().parent().unwrap());
    let kept = fs::read(&stored).unwrap();
    damage(&stored);
    // The differential one is built on it.
    production.finds(&[path], 1, "UNPACK_FAILED", "pgbackrest restore ended with exit code");
    fs::write(&stored, kept).unwrap();
    production.prove(&[path]).ends_with(0);
}

#[test]
fn an_encrypted_repository_is_proven_with_its_passphrase_and_never_judged_without() {
    let Some(bin) = bin() else { return };
    if !has_programs(&["pgbackrest"]) {
        return;
    }
    let desk = Desk::new();
    let options = "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=swordfish\n";
    let repository = Repository::begin(&bin, &desk, options).with_backups();
    let (production, path) = (&repository.production, repository.path.as_str());
    production.finds(&[path], 2, "NOT_A_BACKUP", "encrypted: needs PGBACKREST_REPO1_CIPHER_PASS");
    production.prove_with(&[(KEY, "sunfish")], &[path]).ends_with(2);
    let done = production.prove_with(&[(KEY, "swordfish")], &[path]);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!(record["recoveries"][0]["archive_end"]["missing"], true);
    assert!(!record.to_string().contains("swordfish") && !done.stdout.contains("swordfish"));

    let segments = repository.segments();
    let hole = &segments[segments.len() - 3];
    let kept = fs::read(hole).unwrap();
    damage(hole);
    production.prove_with(&[(KEY, "swordfish")], &[path]).ends_with(1);
    assert!(codes(&desk).contains(&"WAL_DAMAGED".to_owned()), "{:?}", codes(&desk));
    fs::write(hole, kept).unwrap();
    fs::remove_file(hole).unwrap();
    production.prove_with(&[(KEY, "swordfish")], &[path]).ends_with(1);
    assert!(codes(&desk).contains(&"WAL_GAP".to_owned()), "{:?}", codes(&desk));
}

/// Barman copies the tablespaces beside the data directory then, and makes no links.
#[test]
fn what_barman_copied_by_rsync_is_proven() {
    let Some(bin) = bin() else { return };
    if !has_programs(&["barman", "rsync"]) {
        return;
    }
    let desk = Desk::new();
    let barman = Barman::begin(&bin, &desk, "local-rsync");
    barman.backup();
    let production = &barman.production;
    production.prove(&[&barman.home]).ends_with(0);
    let record = desk.record();
    assert_eq!(record["recoveries"][0]["tablespaces"], 1);
    assert!(
        record["backups"][0]["path"].as_str().unwrap().contains("/main/base/"),
        "{}",
        record["backups"][0]
    );
    let base = fs::read_dir(format!("{}/main/base", barman.home)).unwrap().next().unwrap().unwrap().path();
    // It has neither a manifest nor page checksums: a byte is seen where a server or a check meets it, as in the header of a page.
    let file = fs::File::options().write(true).open(largest(&base.join("data/base/1"))).unwrap();
    file.write_all_at(&[0xff; 24], 0).unwrap();
    production.prove(&[&barman.home]).ends_with(1);
}

#[test]
fn what_barman_keeps_is_proven_and_what_is_damaged_in_it_disproven() {
    let Some(bin) = bin() else { return };
    if !has_programs(&["barman"]) {
        return;
    }
    let desk = Desk::new();
    let barman = Barman::begin(&bin, &desk, "postgres");
    barman.backup();
    let (production, home) = (&barman.production, barman.home.clone());
    let room = &production.server.socket;

    production.prove(&[&home]).ends_with(0);
    let record = desk.record();
    assert_eq!(record["backups"][0]["tool"], "Barman");
    assert_eq!(record["recoveries"][0]["tablespaces"], 1);
    assert_eq!(record["recoveries"][0]["archive_end"]["missing"], true);

    // These have no ending, and are packed all the same.
    let wals = Path::new(&home).join("main/wals");
    let is_segment = |path: &PathBuf| path.file_name().unwrap().len() == 24;
    let segments: Vec<PathBuf> = files(&wals).into_iter().filter(is_segment).collect();
    let hole = &segments[segments.len() - 3];
    let (name, kept) = (hole.file_name().unwrap().to_str().unwrap(), fs::read(hole).unwrap());
    assert_eq!(kept[..2], [0x1f, 0x8b]);
    fs::remove_file(hole).unwrap();
    production.finds(&[&home], 1, "WAL_GAP", name);
    fs::write(hole, &kept).unwrap();
    damage(hole);
    production.finds(&[&home], 1, "WAL_DAMAGED", name);
    fs::write(hole, &kept).unwrap();

    let base = fs::read_dir(format!("{home}/main/base")).unwrap().next().unwrap().unwrap().path();
    let stored = largest(&base.join("data/base/1"));
    let kept = fs::read(&stored).unwrap();
    damage(&stored);
    production.finds(&[&home], 1, "MANIFEST_MISMATCH", "checksum mismatch");
    fs::write(&stored, kept).unwrap();
    // Where links of a moved one lead, another's files may lie: only its own are taken.
    let moved = format!("{room}/moved");
    fs::rename(&home, &moved).unwrap();
    production.prove(&[&moved]).ends_with(0);
    let own = fs::read_dir(format!("{moved}/main/base")).unwrap().next().unwrap().unwrap().path();
    let tablespace = fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().path());
    let is_tablespace = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u32>().is_ok();
    damage(&largest(&tablespace.into_iter().find(is_tablespace).unwrap()));
    production.finds(&[&moved], 1, "MANIFEST_MISMATCH", "checksum mismatch");
}
