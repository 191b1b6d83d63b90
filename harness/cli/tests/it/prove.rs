//! `pgdrill prove`: backups of a server that pgdrill knows nothing of, proven where they lie; and what is said when they are not
//! what they should be.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use pgdrill_testkit::docker;
use rstest::rstest;

use crate::desk::{Desk, Done, findings};
use crate::server::{Server, bin, postgres};

/// A server with something in it, and a backup of it, from before a part of that.
pub struct Production<'a> {
    pub desk: &'a Desk,
    pub bin: &'a Path,
    pub server: Server<'a>,
}

impl<'a> Production<'a> {
    pub fn begin(bin: &'a Path, desk: &'a Desk) -> Self {
        let server = Server::start(bin, desk, 1);
        server
            .sql("create table held as select g as n, md5(g::text) as text from generate_series(1, 5000) g;");
        Self { desk, bin, server }
    }

    /// Takes a backup by this name.
    pub fn backup(&self, name: &str, options: &[&str]) -> String {
        let path = format!("{}/{name}", self.server.socket);
        let mut args = vec!["-h", &self.server.socket, "-U", "postgres", "-c", "fast", "-D", &path];
        args.extend(options);
        postgres(self.bin, "pg_basebackup", &args, "");
        path
    }

    /// Goes on for a while after it, and ends.
    pub fn end(&self) -> String {
        self.server.sql("insert into held select g, 'late' from generate_series(1, 3000) g; select pg_create_restore_point('here');");
        self.server.sql("insert into held select g, 'later' from generate_series(1, 30000) g;");
        self.server.stop().to_str().unwrap().to_owned()
    }

    pub fn prove(&self, args: &[&str]) -> Done {
        self.prove_with(&[], args)
    }

    /// The same with variables of the environment. What was said before is forgotten.
    pub fn prove_with(&self, environment: &[(&str, &str)], args: &[&str]) -> Done {
        let _ = fs::remove_dir_all(self.desk.path("e"));
        let all: Vec<&str> = ["prove"].into_iter().chain(args.iter().copied()).collect();
        let mut command = self.desk.command(&all);
        let done = Done::of(&command.envs(environment.iter().copied()).output().unwrap());
        self.desk.assert_clean();
        done
    }

    /// Proves what is not as it should be, by its exit code and what it must say.
    pub fn finds(&self, args: &[&str], code: i32, finding: &str, words: &str) {
        let done = self.prove(args);
        done.ends_with(code);
        let found = findings(&self.desk.record());
        let says = |(code, _, message): &(String, String, String)| code == finding && message.contains(words);
        assert!(found.iter().any(says), "{args:?}: {finding} '{words}' is not in {found:?}");
    }
}

pub fn codes(desk: &Desk) -> Vec<String> {
    findings(&desk.record()).into_iter().map(|(code, _, _)| code).collect()
}

/// The largest file below a directory.
pub fn largest(directory: &Path) -> PathBuf {
    files(directory).into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// All files below a directory, sorted.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Whether programs are in PATH; where they must be and are not, that is a failure.
pub fn has_programs(names: &[&str]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &&&str| std::env::split_paths(&paths).any(|directory| directory.join(name).is_file());
    let missing: Vec<&&str> = names.iter().filter(|name| !there(name)).collect();
    let required = std::env::var("PGDRILL_REQUIRE_DOCKER").is_ok_and(|value| value == "1")
        || std::env::var_os("CI").is_some();
    assert!(
        missing.is_empty() || !required,
        "{missing:?} is missing, which this test needs; ci/test installs it"
    );
    if !missing.is_empty() {
        eprintln!("SKIPPED: {missing:?} is not installed; its backups are not proven");
    }
    missing.is_empty()
}

/// Changes one byte in the middle of a file.
pub fn damage(path: &Path) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

#[rstest]
#[case::plain(&["-Fp"])]
#[case::tar(&["-Ft"])]
#[case::gzip(&["-Ft", "-z"])]
#[case::without_manifest(&["-Fp", "--no-manifest"])]
#[case::without_its_wal(&["-Ft", "-X", "none"])]
fn a_backup_is_proven_where_it_lies_and_nothing_is_changed_there(#[case] how: &[&str]) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", how);
    let archive = production.end();
    let done = production.prove(&[&backup, "--wal", &archive]);
    done.ends_with(0);
    assert!(done.stdout.contains("PROVEN"), "{}", done.stdout);
    let record = desk.record();
    assert_eq!(record["recoveries"][0]["state"], "promoted");
    assert_eq!(record["backups"][0]["path"], backup.as_str());
    // Everything that was archived is there: the segment after the last is what recovery did not find.
    assert_eq!(record["recoveries"][0]["archive_end"]["missing"], true);
    let untouched =
        record["checks"].as_array().unwrap().iter().find(|check| check["check"] == "archive-untouched");
    assert_eq!(untouched.unwrap()["status"], "held");
}

#[test]
fn recovery_stops_where_it_is_told_to_and_a_saved_drill_does_the_same() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Ft"]);
    let archive = production.end();
    let saved = desk.path("drill.yaml");
    let to = ["--to", "name=here", "--check", "read-all", "--rto", "10m", "--save", saved.to_str().unwrap()];
    production.prove(&[&[backup.as_str(), "--wal", &archive], to.as_slice()].concat()).ends_with(0);
    let proven = desk.record();
    let reached = proven["recoveries"][0]["reached_lsn"].as_str().unwrap().to_owned();
    assert_eq!(proven["recoveries"][0]["target"], "restore point here");
    assert_eq!(proven["objectives"][0]["name"], "rto");

    fs::remove_dir_all(desk.path("e")).unwrap();
    desk.drill(&fs::read_to_string(saved).unwrap(), &[]).ends_with(0);
    assert_eq!(desk.record()["recoveries"][0]["reached_lsn"], reached.as_str());
}

#[test]
fn packed_wal_is_unpacked_and_a_command_may_give_it() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Ft"]);
    let archive = production.end();
    let plain = production.prove(&[&backup, "--wal", &archive]);
    plain.ends_with(0);
    let reached = desk.record()["recoveries"][0]["reached_lsn"].clone();
    let command = format!("cp {archive}/%f \"%p\"");
    fs::remove_dir_all(desk.path("e")).unwrap();
    production.prove(&[&backup, "--restore-command", &command]).ends_with(0);
    assert_eq!(desk.record()["recoveries"][0]["reached_lsn"], reached);

    for entry in fs::read_dir(&archive).unwrap() {
        let path = entry.unwrap().path();
        assert!(Command::new("gzip").args(["-1", "-S", ".gz"]).arg(path).status().unwrap().success());
    }
    fs::remove_dir_all(desk.path("e")).unwrap();
    production.prove(&[&backup, "--wal", &archive]).ends_with(0);
    assert_eq!(desk.record()["recoveries"][0]["reached_lsn"], reached);

    // A command that fails in another way than that a file is not there says nothing about the backup.
    fs::remove_dir_all(desk.path("e")).unwrap();
    let done = production.prove(&[&backup, "--restore-command", "echo no route to %f %p >&2; exit 200"]);
    done.ends_with(2);
    assert!(codes(&desk).contains(&"WAL_NOT_FETCHED".to_owned()), "{:?}", codes(&desk));
    assert!(done.stdout.contains("no route to"), "{}", done.stdout);
}

#[test]
fn a_changed_byte_a_hole_and_half_a_copy_are_disproven() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let plain = production.backup("plain", &["-Fp"]);
    let tar = production.backup("tar", &["-Ft"]);
    let archive = production.end();
    let disproven = |args: &[&str], code: &str| {
        let _ = fs::remove_dir_all(desk.path("e"));
        production.prove(args).ends_with(1);
        let found = codes(&desk);
        assert!(found.contains(&code.to_owned()), "{args:?}: {found:?}");
        desk.record()
    };

    // The third segment from the end: later ones follow.
    let mut segments: Vec<PathBuf> = fs::read_dir(&archive)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().len() == 24)
        .collect();
    segments.sort();
    let hole = segments[segments.len() - 3].clone();
    let kept = fs::read(&hole).unwrap();
    fs::remove_file(&hole).unwrap();
    let record = disproven(&[&tar, "--wal", &archive], "WAL_GAP");
    let name = hole.file_name().unwrap().to_str().unwrap();
    assert!(findings(&record)[0].2.contains(name), "{:?}", findings(&record));
    fs::write(&hole, &kept).unwrap();
    damage(&hole);
    disproven(&[&tar, "--wal", &archive], "WAL_DAMAGED");
    fs::write(&hole, &kept).unwrap();

    damage(&Path::new(&tar).join("base.tar"));
    disproven(&[&tar, "--wal", &archive], "MANIFEST_MISMATCH");
    let largest = fs::read_dir(format!("{plain}/base/1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len());
    damage(&largest.unwrap());
    disproven(&[&plain, "--wal", &archive], "MANIFEST_MISMATCH");
    fs::remove_file(format!("{plain}/global/pg_control")).unwrap();
    disproven(&[&plain, "--wal", &archive], "BACKUP_UNFIT");
}

#[test]
fn what_is_no_backup_is_named_and_leaves_a_record() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let empty = desk.path("empty");
    fs::create_dir(&empty).unwrap();
    for (path, words) in [
        (empty.to_str().unwrap(), "it is no backup: no PG_VERSION"),
        ("/no/such/directory", "there is no such file or directory"),
        (production.server.data.as_str(), "it is a server's own data directory"),
    ] {
        production.finds(&[path], 2, "NOT_A_BACKUP", words);
        let done = production.prove(&[path]);
        assert!(
            done.stdout.starts_with("\nCOULD NOT VERIFY: ") && done.stdout.contains("hint:"),
            "{}",
            done.stdout
        );
    }
    production.prove(&["/b", "--to", "time=yesterday"]).ends_with(64);
    production.prove(&["/b", "--to", "latest", "--exclusive"]).ends_with(64);
    production.prove(&["/b", "--wal", "/a", "--restore-command", "cp /a/%f %p"]).ends_with(64);
}

/// All of nothing can be read just as well.
#[test]
fn a_database_without_a_row_must_be_declared() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    production.server.sql("create database bare;");
    let backup = production.backup("backup", &["-Fp"]);
    production.end();
    let wanted = "database bare holds no row in any table of its own";
    production.finds(&[&backup], 1, "DATABASE_EMPTY", wanted);
    production.finds(
        &[&backup, "--empty", "bare", "--empty", "bear"],
        1,
        "DATABASE_MISSING",
        "database bear, which may be empty",
    );
    let done = production.prove(&[&backup, "--empty", "bare"]);
    done.ends_with(0);
    let record = production.desk.record();
    let read =
        record["checks"].as_array().unwrap().iter().find(|check| check["check"] == "read-all").unwrap();
    let said = read["summary"].as_str().unwrap();
    assert!(said.ends_with("; 5 000 rows in those of users"), "{said}");
}

#[test]
fn what_cannot_be_fetched_leaves_a_record_and_nothing_else() {
    let desk = Desk::new();
    let url = format!("file://{}/nowhere", desk.path("").display());
    let done = Done::of(&desk.command(&["prove", &url]).output().unwrap());
    done.ends_with(2);
    assert!(done.stdout.starts_with("\nCOULD NOT VERIFY: there is no "), "{}", done.stdout);
    assert_eq!(codes(&desk), ["SOURCE_REFUSED"]);
    assert_eq!(desk.record()["scenario"], "prove/nowhere");
    assert!(!desk.path("fetched").exists());
    Done::of(&desk.command(&["prove", &url, "--plan"]).output().unwrap()).ends_with(2);
}

/// A port on which nobody may call.
struct Silence(TcpListener);

impl Silence {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn callers(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

#[rstest]
#[case::local("local")]
#[case::docker("docker")]
fn a_restored_server_reaches_nobody(#[case] runtime: &str) {
    let Some(bin) = bin() else { return };
    if runtime == "docker" && !docker::required_or_skip(&[15]) {
        return;
    }
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let (publisher, far, upstream) = (Silence::listen(), Silence::listen(), Silence::listen());
    let traces = PathBuf::from(&production.server.socket).join("traces");
    fs::create_dir(&traces).unwrap();
    fs::set_permissions(&traces, fs::Permissions::from_mode(0o777)).unwrap();
    let trace = |name: &str| traces.join(name).display().to_string();
    // All that production may have which acts by itself. It is left in what is backed up, not done.
    production.server.sql(&format!(
        "create extension postgres_fdw;
         create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '{far}');
         create user mapping for postgres server far options (user 'postgres');
         create foreign table elsewhere (n int) server far;
         create subscription from_afar connection 'host=127.0.0.1 port={publisher} user=postgres' publication p
             with (connect = false);
         alter subscription from_afar enable;
         create function leave_a_trace() returns event_trigger language plpgsql as
             $$ begin copy (select 1) to program 'touch {ddl}'; end $$;
         create event trigger on_ddl on ddl_command_end execute function leave_a_trace();
         alter system set archive_command = 'touch {archived}; false';
         alter system set archive_mode = 'always';
         alter system set primary_conninfo = 'host=127.0.0.1 port={upstream} user=postgres';
         alter system set archive_cleanup_command = 'touch {cleanup}';
         alter system set recovery_end_command = 'touch {ended}';
         alter system set restore_command = 'touch {restored}; false';
         alter system set shared_preload_libraries = 'no_such_library';
         alter system set synchronous_standby_names = 'nobody';",
        far = far.port(),
        publisher = publisher.port(),
        upstream = upstream.port(),
        ddl = trace("ddl"),
        archived = trace("archived"),
        cleanup = trace("cleanup"),
        ended = trace("ended"),
        restored = trace("restored"),
    ).replace("         ", " ").replace(";\n", ";\n\n"));
    let backup = production.backup("backup", &["-Fp"]);
    let archive = production.end();
    // Until here production itself acted.
    assert!(publisher.callers() > 0, "the subscription does not call anybody");
    for entry in fs::read_dir(&traces).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let (before, _) = (upstream.callers(), far.callers());
    assert_eq!(before, 0, "a primary has no upstream");

    let done = production.prove(&[&backup, "--wal", &archive, "--runtime", runtime]);
    done.ends_with(0);
    assert_eq!((publisher.callers(), far.callers(), upstream.callers()), (0, 0, 0));
    let left: Vec<_> = fs::read_dir(&traces).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    let shared = desk.record()["places"][0][1]["shared"].to_string();
    assert!(!shared.contains("network"), "{shared}");
}

#[test]
fn a_tablespace_of_production_is_put_into_the_drill_and_one_made_later_is_refused() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let make = |name: &str| {
        let path = format!("{}/{name}", production.server.socket);
        let script = format!("mkdir -m 700 {path}");
        postgres(Path::new("/bin"), "sh", &["-c", &script], "");
        path
    };
    let live = make("live");
    production.server.sql(&format!("create tablespace history location '{live}';"));
    production.server.sql("create table old tablespace history as select generate_series(1, 1000) as n;");
    let tar = production.backup("tar", &["-Ft"]);
    let files = |path: &str| {
        let found =
            postgres(Path::new("/usr/bin"), "find", &[path, "-type", "f", "-printf", "%p %s %T@\n"], "");
        let mut lines: Vec<String> = found.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let archive = production.end();
    let before = files(&live);
    production.prove(&[&tar, "--wal", &archive]).ends_with(0);
    assert_eq!(desk.record()["recoveries"][0]["tablespaces"], 1);
    assert_eq!(files(&live), before);

    postgres(&bin, "pg_ctl", &["-w", "-s", "-D", &production.server.data, "-l", "/dev/null", "start"], "");
    let later = make("later");
    production.server.sql(&format!("create tablespace later location '{later}';"));
    production.server.stop();
    let _ = fs::remove_dir_all(desk.path("e"));
    production.prove(&[&tar, "--wal", &archive]).ends_with(2);
    assert!(codes(&desk).contains(&"TABLESPACE_OUTSIDE".to_owned()), "{:?}", codes(&desk));
}
