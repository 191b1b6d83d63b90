//! The ways of taking and restoring backups: each scenario below `scenarios/restore`, what becomes of tablespaces, and
//! what is said when a backup, a program or a locale is not what it should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rstest::rstest;

use crate::desk::{Cell, Desk, Done, findings, wait_until};

/// The majors of the host, ascending, as `doctor` tells them.
fn majors(desk: &Desk) -> Vec<u16> {
    let mut majors: Vec<u16> = desk
        .pgdrill(&["doctor", "--runtime", "local"])
        .stdout
        .lines()
        .filter_map(|line| {
            line.strip_prefix("ok")?.split_once("(PostgreSQL) ")?.1.split('.').next()?.parse().ok()
        })
        .collect();
    majors.sort_unstable();
    majors.dedup();
    majors
}

/// The arguments that choose a major of at least `oldest`, in a container where the host has none; says loudly when
/// there is none at all.
fn on(desk: &Desk, oldest: u16) -> Option<Vec<String>> {
    if let Some(major) = majors(desk).into_iter().find(|major| *major >= oldest) {
        return Some(["--runtime", "local", "--postgres", &major.to_string()].map(str::to_owned).to_vec());
    }
    let cell = Cell::docker([13, 15, 17, 18].into_iter().find(|major| *major >= oldest)?);
    cell.is_there().then(|| cell.args())
}

fn drill(desk: &Desk, text: &str, oldest: u16) -> Option<Done> {
    let arguments = on(desk, oldest)?;
    Some(desk.drill(text, &arguments.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// The oldest major that a scenario is for.
fn oldest(text: &str) -> u16 {
    let range = text.lines().find_map(|line| line.strip_prefix("postgres: '>="));
    range.map_or(13, |rest| rest.trim_end_matches('\'').parse().unwrap())
}

/// On the host, and in containers on the majors that it is for in turn. The images have no Barman; `barman` tests that.
#[rstest]
fn every_way_to_restore_is_proven(
    #[files("../../scenarios/restore/*.yaml")]
    #[exclude("barman")]
    path: PathBuf,
    #[values(false, true)] contained: bool,
) {
    let desk = Desk::new();
    let text = fs::read_to_string(&path).unwrap();
    let oldest = oldest(&text);
    let fitting: Vec<u16> = [13, 15, 17, 18].into_iter().filter(|major| *major >= oldest).collect();
    let cell = if contained { Cell::in_turn(&fitting, &text) } else { Cell::LOCAL };
    if !cell.is_there() {
        return;
    }
    let done = match cell {
        Cell::LOCAL if majors(&desk).iter().all(|major| *major < oldest) => {
            eprintln!("SKIPPED: there is no PostgreSQL {oldest} or later on this host");
            return;
        }
        cell => desk.drill_in(cell, &text),
    };
    done.ends_with(0);
    let record = desk.record();
    assert_eq!((findings(&record), record["verdict"].as_str()), (vec![], Some("proven")));
}

/// What the record says of a backup is what was asked for.
#[test]
fn a_record_says_how_each_backup_was_taken() {
    let desk = Desk::new();
    let text = "title: t
data: { orders: 500 }
tablespaces: { history: [AuditLog] }
steps:
  - backup: { compress: 'server-zstd:level=3', wal: fetch, manifest: crc32c }
  - backup: { format: plain, wal: none, manifest: none, from: standby, max-rate: 512M, verify-checksums: off }
  - switch-wal
  - disaster: lose-primary
  - recover
  - check: all
";
    let Some(done) = drill(&desk, text, 15) else { return };
    done.ends_with(0);
    let record = desk.record();
    let says = |backup: usize, key: &str| record["backups"][backup][key].as_str().unwrap_or("-").to_owned();
    let said = |backup| {
        ["format", "compress", "compress_side", "compress_detail", "wal", "manifest_checksums", "from"]
            .map(|key| says(backup, key))
    };
    assert_eq!(said(0), ["tar", "zstd", "server", "level=3", "fetch", "CRC32C", "primary"]);
    assert_eq!(said(1), ["plain", "none", "", "", "none", "NONE", "standby"]);
    for backup in [0, 1] {
        assert_eq!(record["backups"][backup]["tablespaces"], 1);
        assert!(record["backups"][backup]["tablespace_bytes"].as_u64() > Some(1000));
    }
    assert_eq!(record["recoveries"][0]["tablespaces"], 1);
    let places: Vec<&str> =
        record["places"].as_array().unwrap().iter().map(|place| place[0].as_str().unwrap()).collect();
    assert_eq!(places, ["primary", "standby", "restored"]);
    assert!(
        done.stdout
            .contains("pg_basebackup (tar, zstd by the server at level=3, CRC32C manifest, WAL fetched)")
    );
    assert!(done.stdout.contains("of the standby"), "{}", done.stdout);
}

/// Every file below a directory with its content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// The primary's files stay after the crash, and the restored server drops the table and the tablespace. Were its
/// tablespace the primary's, the files would be gone.
#[rstest]
fn what_the_restored_server_drops_stays_on_the_primary(
    #[values("{ format: tar, compress: zstd }", "{ format: tar, compress: none }", "{ format: plain }")]
    backup: &str,
    #[values(Cell::LOCAL, Cell::docker(17))] cell: Cell,
) {
    if !cell.is_there() {
        return;
    }
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 2_500 }}
tablespaces: {{ history: [AuditLog] }}
steps:
  - backup: {backup}
  - disaster: kill
  - recover
  - sql: DROP TABLE \"AuditLog\"
  - sql: DROP TABLESPACE history
  - sql: CHECKPOINT
  - check: {{ server-log: all, page-checksums: all }}
"
    );
    let scenario = desk.scenario(&text);
    let arguments = ["run", scenario.to_str().unwrap(), "--keep", "always"];
    let mut child = desk.command(&arguments).args(cell.args()).spawn().unwrap();
    desk.wait_for_step(&mut child, 5);
    let signal = |name: &str| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    };
    signal("STOP");
    let workspace = desk.workspace().unwrap();
    // Nothing of the restored server has been started yet.
    let started = workspace.join("conf/restored.conf").exists();
    let own = workspace.join("tablespaces/primary");
    let before = files(&own);
    signal("CONT");
    assert!(!started);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(before.len() > 3, "{:?}", before.keys());
    assert!(before == files(&own), "the restored server changed the primary's tablespace");
    // It had one of its own, and that is empty now but for its directory.
    let restored =
        fs::read_dir(workspace.join("tablespaces/restored")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(files(&restored).len(), 0);
    assert!(desk.pgdrill(&["clean"]).code == 0);
}

/// A link in a backup that leads to the primary is not followed, not even to be copied.
#[test]
fn a_link_to_the_primarys_tablespace_is_refused() {
    let desk = Desk::new();
    let tamper =
        "for l in ../backup/backup-1/pg_tblspc/*; do ln -sfn $PWD/../tablespaces/primary/history $l; done";
    let text = format!(
        "title: t
data: {{ orders: 10 }}
tablespaces: {{ history: [AuditLog] }}
steps:
  - backup: {{ format: plain }}
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; {tamper}'
  - disaster: kill
  - recover
  - check: all
"
    );
    let Some(done) = drill(&desk, &text, 13) else { return };
    done.ends_with(2);
    assert_eq!(findings(&desk.record())[0].0, "TABLESPACE_OUTSIDE", "{}", done.stdout);
}

/// A place for a tablespace that is not the drill's own, which the server may make.
fn outside(desk: &Desk) -> String {
    let live = desk.path("live");
    fs::create_dir(&live).unwrap();
    fs::set_permissions(&live, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    live.join("ts").display().to_string()
}

/// A plain backup of a tablespace that is not the drill's own would be written into it.
#[test]
fn a_plain_backup_does_not_touch_a_tablespace_outside() {
    let desk = Desk::new();
    let place = outside(&desk);
    let text = format!(
        "title: t
data: {{ orders: 10 }}
steps:
  - sql: \"COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; mkdir -p {place}'\"
  - sql: \"CREATE TABLESPACE ts LOCATION '{place}'\"
  - backup: {{ format: plain }}
  - disaster: kill
  - recover
  - check: all
"
    );
    let Some(done) = drill(&desk, &text, 13) else { return };
    done.ends_with(2);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "TABLESPACE_OUTSIDE");
    assert!(found[0].2.contains("a plain backup would write into it"), "{found:?}");
}

/// The WAL is looked through although the manifest does not say any more where to begin.
#[test]
fn a_broken_manifest_does_not_open_the_way_for_a_tablespace_outside() {
    let desk = Desk::new();
    let place = outside(&desk);
    let text = format!(
        "title: t
data: {{ orders: 10 }}
steps:
  - backup: {{ format: tar }}
  - sql: \"COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; mkdir -p {place}; echo >> ../backup/backup-1/backup_manifest'\"
  - sql: \"CREATE TABLESPACE ts LOCATION '{place}'\"
  - switch-wal
  - disaster: kill
  - recover
  - check: all
"
    );
    let Some(done) = drill(&desk, &text, 13) else { return };
    done.ends_with(2);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "TABLESPACE_OUTSIDE");
    assert!(found[0].2.contains("WAL to be replayed"), "{found:?}");
}

/// One without a location of its own lies within the data directory, and needs no new place. (Before 16 a backup in tar
/// format leaves it out.)
#[rstest]
#[case("tar", 16)]
#[case("plain", 15)]
fn a_tablespace_in_place_comes_back(#[case] format: &str, #[case] oldest: u16) {
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 500 }}
settings: {{ allow_in_place_tablespaces: on }}
steps:
  - sql: CREATE TABLESPACE inside LOCATION ''
  - sql: ALTER TABLE \"AuditLog\" SET TABLESPACE inside
  - backup: {{ format: {format} }}
  - sql: CREATE TABLESPACE later LOCATION ''
  - sql: ALTER TABLE \"Position\" SET TABLESPACE later
  - switch-wal
  - disaster: lose-primary
  - recover
  - check: all
"
    );
    let Some(done) = drill(&desk, &text, oldest) else { return };
    done.ends_with(0);
}

#[rstest]
#[case::zstd("zstd", "truncate -s 20000 ../backup/backup-1/base.tar.zst", "tar ended with")]
#[case::lz4("lz4", "truncate -s 20000 ../backup/backup-1/base.tar.lz4", "tar ended with")]
#[case::gzip("gzip", "truncate -s 20000 ../backup/backup-1/base.tar.gz", "tar ended with")]
#[case::no_wal("lz4", "rm ../backup/backup-1/pg_wal.tar", "backup-1 has no pg_wal.tar")]
#[case::no_tablespace("lz4", "rm ../backup/backup-1/1*.tar.lz4", "and does not hold it")]
fn a_damaged_backup_is_a_finding(#[case] compress: &str, #[case] damage: &str, #[case] words: &str) {
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 500 }}
tablespaces: {{ history: [AuditLog] }}
steps:
  - backup: {{ compress: {compress} }}
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; {damage}'
  - disaster: lose-primary
  - recover
  - check: all
"
    );
    let Some(done) = drill(&desk, &text, 15) else { return };
    done.ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "UNPACK_FAILED", "{found:?}");
    assert!(found[0].2.contains(words), "{found:?}");
}

/// That a program is missing says nothing about the backup.
#[test]
fn a_program_that_is_missing_is_named() {
    let desk = Desk::new();
    let programs = desk.path("bin");
    fs::create_dir(&programs).unwrap();
    for directory in ["/bin", "/usr/bin"] {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_name() != "zstd" {
                let _ = std::os::unix::fs::symlink(entry.path(), programs.join(entry.file_name()));
            }
        }
    }
    let text = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { compress: zstd }\n  - disaster: kill\n  - recover\n  - check: all\n";
    let scenario = desk.scenario(text);
    let Some(chosen) = on(&desk, 15) else { return };
    let output = desk
        .command(&["run", scenario.to_str().unwrap()])
        .args(chosen)
        .env("PATH", &programs)
        .output()
        .unwrap();
    let done = Done::of(&output);
    done.ends_with(2);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "PROGRAM_MISSING", "{found:?}");
    assert!(
        found[0].2.contains("`zstd`") && done.stdout.contains("package that holds `zstd`"),
        "{}",
        done.stdout
    );
}

#[rstest]
#[case("locale: xx_YY.UTF-8", "there is no locale xx_YY.UTF-8 (line 3) here")]
#[case("icu-locale: xx-nonsense-u-zz-nothing-at-all", "")]
fn a_locale_that_is_not_there_is_named(#[case] locale: &str, #[case] words: &str) {
    let desk = Desk::new();
    let text = format!(
        "title: t\ndata: {{ orders: 10 }}\ncluster: {{ {locale} }}\nsteps:\n  - backup\n  - disaster: kill\n  - recover\n  - check: all\n"
    );
    let Some(done) = drill(&desk, &text, 15) else { return };
    // ICU takes many a name that means nothing, and falls back to its root.
    if words.is_empty() && done.code == 0 {
        return;
    }
    done.ends_with(2);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "LOCALE_MISSING", "{found:?}");
    assert!(found[0].2.contains(words), "{found:?}");
}

/// Without page checksums the check that reads them has nothing to look at, and says so.
#[test]
fn a_cluster_without_page_checksums_is_proven_for_the_rest() {
    let desk = Desk::new();
    let text = |checks: &str| {
        format!(
            "title: t\ndata: {{ orders: 10 }}\ncluster: {{ checksums: off }}\nsteps:\n  - backup\n  - disaster: kill\n  - recover\n  - check: {checks}\n"
        )
    };
    let Some(done) = drill(&desk, &text("{ row-counts: all, fingerprints: all }"), 13) else { return };
    done.ends_with(0);
    let other = Desk::new();
    let Some(done) = drill(&other, &text("all"), 13) else { return };
    done.ends_with(2);
    assert!(findings(&other.record()).iter().any(|(code, _, _)| code == "PAGE_CHECKSUMS_OFF"));
}

/// Killed while there is a standby, or while it is being made: nothing is left.
#[rstest]
fn a_standby_goes_with_a_drill_that_is_killed(#[values(2, 3)] step: usize) {
    let desk = Desk::new();
    let text = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { from: standby }\n  - disaster: kill\n  - recover\n  - check: all\n";
    let mut child = desk.start(text);
    desk.wait_for_step(&mut child, step);
    if step == 2 {
        let made = || desk.workspace().is_some_and(|run| run.join("log/standby.log").exists());
        wait_until("the standby to start", Duration::from_secs(120), made);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    desk.assert_nothing_left();
}

/// A member of a chain that is not the one it was disproves the chain.
#[test]
fn a_chain_with_a_damaged_member_is_not_restored() {
    let desk = Desk::new();
    let text = "title: t
data: { orders: 500 }
steps:
  - backup
  - backup: { format: plain, incremental: on }
  - sql: UPDATE \"Order\" SET \"fee\" = 0
  - backup: { incremental: on }
  - sql: COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; rm ../backup/backup-2/backup_label'
  - disaster: lose-primary
  - recover
  - check: all
";
    let Some(done) = drill(&desk, text, 17) else { return };
    done.ends_with(1);
    let found = findings(&desk.record());
    assert_eq!(found[0].0, "UNPACK_FAILED", "{found:?}");
    assert!(
        found[0].2.contains("pg_combinebackup ended with exit code 1: pg_combinebackup: error"),
        "{found:?}"
    );
}

/// The WAL that a member needs is read, wherever it is: in the backup, or in the archive, which only some need.
#[rstest]
#[case("{ wal: none }", "{ incremental: on }")]
#[case("{ format: plain }", "{ format: plain, wal: none, incremental: on }")]
fn members_of_a_chain_with_and_without_wal_are_verified(#[case] full: &str, #[case] more: &str) {
    let desk = Desk::new();
    let text = format!(
        "title: t
data: {{ orders: 10 }}
steps:
  - backup: {full}
  - sql: UPDATE \"Order\" SET \"fee\" = 0
  - backup: {more}
  - switch-wal
  - disaster: lose-primary
  - recover
  - check: {{ verify: all }}
"
    );
    let Some(done) = drill(&desk, &text, 17) else { return };
    done.ends_with(0);
    let record = desk.record();
    let checked = record["checks"].as_array().unwrap();
    let verify = checked.iter().find(|check| check["check"] == "verify").unwrap();
    assert_eq!(verify["status"], "held", "{verify}");
    assert!(verify["summary"].as_str().unwrap().ends_with("records of WAL"), "{verify}");
}
