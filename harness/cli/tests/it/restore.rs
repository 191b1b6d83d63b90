//! `pgdrill restore` of backups that pg_basebackup made: PostgreSQL starts on what was restored, verifies it, and recovers
//! from it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use pgdrill_model::units::Lsn;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Desk, Done};
use crate::verify::stock::{Origin, Stock, done};

/// Asks pg_verifybackup, starts a server on `data`, waits until it is promoted, and counts rows. What a restore with
/// another place for a tablespace changes is left out.
const START: &str = r#"
set -eu
dir=$1
pg_verifybackup -q -n -i tablespace_map "$dir/data" >&2
rm -f "$dir/data/postmaster.pid"
mkdir "$dir/socket"
pg_ctl -D "$dir/data" -l "$dir/log" -w -t 60 -s \
    -o "-k $dir/socket -c listen_addresses='' -c archive_mode=off -c fsync=off" start || { cat "$dir/log" >&2; exit 1; }
trap 'pg_ctl -D "$dir/data" -m immediate -s stop' EXIT
query() { psql -X -A -t -h "$dir/socket" -U postgres -d postgres -c "$1" </dev/null; }
# pg_ctl is content with a server that can be read from.
for second in $(seq 30); do
    [ "$(query 'SELECT pg_is_in_recovery()')" = f ] && break
    sleep 1
done
query "SELECT pg_is_in_recovery()"
query "SELECT count(*) FROM item"
query "SELECT count(*) FROM history" 2>/dev/null || echo none
"#;

/// Where a tablespace lay, as the refusal without a place for it says it.
fn tablespace(desk: &Desk, backup: &Path) -> Option<String> {
    let into = desk.path("nowhere");
    let refused = desk.pgdrill(&["restore", backup.to_str().unwrap(), "--into", into.to_str().unwrap()]);
    if refused.code != 64 {
        fs::remove_dir_all(into).unwrap();
        return None;
    }
    assert!(!into.exists(), "{}", refused.stderr);
    let words = refused.stderr.split_once("--tablespace-mapping=").expect("it says what to do").1;
    Some(words.split_once("=NEW").unwrap().0.to_owned())
}

fn restore(desk: &Desk, backup: &Path, more: &[&str]) -> Done {
    let into = desk.path("made/data");
    let mut arguments = vec!["restore", backup.to_str().unwrap(), "--into", into.to_str().unwrap()];
    arguments.extend(more);
    desk.pgdrill(&arguments)
}

/// What the server says.
fn started(desk: &Desk, stock: &Stock) -> Vec<String> {
    started_by(desk, stock, START)
}

fn started_by(desk: &Desk, stock: &Stock, start: &str) -> Vec<String> {
    let made = desk.path("made");
    // The server's account makes its socket here; what was restored is its own already.
    stock.give(&made);
    let said = stock.run(&made, start);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[rstest]
fn postgres_starts_on_what_was_restored(
    #[values("gz", "lz4", "zst", "tar", "crc/data")] backup: &str,
    #[values(Origin::Host, Origin::Container(13), Origin::Container(17), Origin::Container(18))]
    origin: Origin,
) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    if !stock.has(backup) {
        return;
    }
    let original = stock.original(backup);
    let mapping = tablespace(&desk, &original);
    assert_eq!(mapping.is_some(), backup != "crc/data");
    let space = desk.path("made/space").display().to_string();
    let mapping = mapping.map(|from| format!("--tablespace-mapping={from}={space}"));
    let restored = restore(&desk, &original, &mapping.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(restored.code, 0, "{}{}", restored.stdout, restored.stderr);
    assert!(restored.stdout.contains("backup successfully verified"), "{}", restored.stdout);
    let history = if mapping.is_some() { "1000" } else { "none" };
    assert_eq!(started(&desk, &stock), ["f", "500", history]);
}

/// What `pg_basebackup -D -` writes is restored as it comes.
#[rstest]
fn a_backup_is_restored_from_a_stream(#[values(Origin::Host, Origin::Container(17))] origin: Origin) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    let into = desk.path("made/data");
    let stream = File::open(stock.original("crc.tar")).unwrap();
    let mut command: Command = desk.command(&["restore", "-", "--into", into.to_str().unwrap()]);
    let output = command.stdin(Stdio::from(stream)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(started(&desk, &stock), ["f", "500", "none"]);
}

/// A target of this kind at the commit of the second batch of rows, as `pgdrill wal` tells it.
fn at_the_second_batch(desk: &Desk, archive: &Path, kind: &str) -> String {
    let listed = desk.pgdrill(&["wal", archive.to_str().unwrap(), "--json", "-"]);
    let list: Value = serde_json::from_str(&listed.ends_with(0).stdout).unwrap();
    let mut batches = list["transactions"].as_array().unwrap().iter().filter(|transaction| {
        let rows = transaction["relations"].as_array().into_iter().flatten();
        rows.map(|relation| relation["inserts"].as_u64().unwrap()).sum::<u64>() == 501
    });
    let commit = &batches.nth(1).unwrap()["commit"];
    format!("{kind}={}", commit[kind].as_str().map_or_else(|| commit[kind].to_string(), str::to_owned))
}

/// With a target the server recovers from the archive, further than the backup reaches, and stops where it was said.
#[rstest]
fn a_restored_server_recovers_to_its_target(
    // 500 rows, and 501 in each of four batches that were archived afterwards.
    #[values(
        ("latest", "", "2504"),
        ("immediate", "", "500"),
        ("xid", "", "1502"),
        ("xid", "--exclusive", "1001"),
        ("lsn", "", "1502"),
        ("lsn", "--exclusive", "1001"),
        ("time", "", "1502"),
        ("time", "--exclusive", "1001")
    )]
    to: (&str, &str, &str),
    #[values(Origin::Host, Origin::Container(18))] origin: Origin,
) {
    let (kind, exclusive, rows) = to;
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    let archive = desk.path("made/archive");
    fs::create_dir(desk.path("made")).unwrap();
    done(Command::new("cp").arg("-a").args([&stock.original("archive"), &archive]));
    let backup = stock.original("gz");
    let from = tablespace(&desk, &backup).unwrap();
    let mapping = format!("--tablespace-mapping={from}={}", desk.path("made/space").display());
    let json = desk.path("report.json").display().to_string();
    let target = match kind {
        "latest" | "immediate" => kind.to_owned(),
        _ => at_the_second_batch(&desk, &archive, kind),
    };
    let mut more = vec!["--to", &target, "--action", "promote", "--wal", archive.to_str().unwrap(), &mapping];
    more.extend(["--json", &json]);
    more.extend(Some(exclusive).filter(|exclusive| !exclusive.is_empty()));
    let restored = restore(&desk, &backup, &more);
    assert_eq!(restored.code, 0, "{}{}", restored.stdout, restored.stderr);
    assert_eq!(started(&desk, &stock), ["f", rows, "1000"]);
    // It left its timeline where it was said beforehand that it would.
    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let history = fs::read_to_string(desk.path("made/data/pg_wal/00000002.history")).unwrap();
    assert_eq!(report["aim"]["lsn"].as_str(), history.split('\t').nth(1), "{history}");
    assert_eq!(report["aim"]["timeline"], 1);
}

/// A recovery that would not come to its target is refused before a server has tried: with how far it would come.
#[rstest]
#[case::position_behind_the_end(
    "lsn=F/0",
    1,
    "TARGET_BEYOND_ARCHIVE",
    "the archive does not reach position F/0"
)]
#[case::time_to_come(
    "time=2100-01-01 00:00:00+00",
    1,
    "TARGET_BEYOND_ARCHIVE",
    "the archive does not reach time"
)]
#[case::name_of_nothing("name=nowhere", 1, "TARGET_BEYOND_ARCHIVE", "does not reach restore point nowhere")]
#[case::time_long_ago("time=2000-01-01 00:00:00+00", 2, "TARGET_BEFORE_BACKUP", ", where the backup ends")]
#[case::position_long_ago("lsn=0/1", 2, "TARGET_BEFORE_BACKUP", ", where the backup ends")]
fn a_target_that_is_out_of_reach_is_refused(
    #[case] target: &str,
    #[case] exit: i32,
    #[case] code: &str,
    #[case] words: &str,
) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(Origin::Host, &desk) else { return };
    let (archive, json) = (stock.original("archive"), desk.path("report.json").display().to_string());
    let more = ["--to", target, "--wal", archive.to_str().unwrap(), "--json", &json];
    let restored = restore(&desk, &stock.original("crc/data"), &more);
    restored.ends_with(exit);
    assert!(restored.stderr.contains(words), "{}", restored.stderr);
    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let codes: Vec<_> = report["findings"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert_eq!(codes, [code]);
    assert_eq!((&report["complete"], &report["aim"]), (&false.into(), &Value::Null));
    assert!(!desk.path("made/data/global/pg_control").exists());
}

/// The usual `restore_command` copies, and does not unpack: an archive that is packed gives it nothing.
#[test]
fn a_packed_archive_needs_a_command_that_unpacks() {
    let desk = Desk::new();
    let Some(stock) = Stock::of(Origin::Host, &desk) else { return };
    let archive = desk.path("archive");
    done(Command::new("cp").arg("-a").args([&stock.original("archive"), &archive]));
    done(Command::new("sh").arg("-c").arg("gzip \"$1\"/0*").args(["sh", archive.to_str().unwrap()]));
    let archive = archive.to_str().unwrap();
    let backup = stock.original("crc/data");
    let more = ["--to", "lsn=F/0", "--wal", archive];
    let plain = restore(&desk, &backup, &more);
    plain.ends_with(1);
    let reached = |done: &Done| {
        let (_, rest) = done.stderr.split_once("it ends at ").unwrap();
        Lsn::from_str(rest.split_once(' ').unwrap().0).unwrap()
    };
    fs::remove_dir_all(desk.path("made")).unwrap();
    let command = format!("gunzip < {archive}/%f.gz > %p");
    let unpacking = restore(&desk, &backup, &[&more[..], &["--restore-command", &command]].concat());
    unpacking.ends_with(1);
    assert!(reached(&plain) < reached(&unpacking), "{}{}", plain.stderr, unpacking.stderr);
}

/// Where there is no archive to look into, it is said that nobody knows.
#[test]
fn a_command_alone_does_not_tell_how_far_it_comes() {
    let desk = Desk::new();
    let Some(stock) = Stock::of(Origin::Host, &desk) else { return };
    let more = ["--to", "name=release", "--restore-command", "fetch %f %p"];
    let restored = restore(&desk, &stock.original("crc/data"), &more);
    restored.ends_with(0);
    let words = "whether recovery comes to restore point release: no archive was named with --wal";
    assert!(restored.stdout.contains(words), "{}", restored.stdout);
}

/// Damage that somebody has to live with: PostgreSQL starts on it, and the exit code still says that it is there.
#[test]
fn damage_is_restored_only_where_it_is_accepted() {
    let desk = Desk::new();
    let Some(stock) = Stock::of(Origin::Host, &desk) else { return };
    let backup = desk.path("damaged");
    stock.fetch("crc/data", &backup);
    let mut hba = File::options().append(true).open(backup.join("pg_hba.conf")).unwrap();
    hba.write_all(b"# and more\n").unwrap();
    let refused = restore(&desk, &backup, &[]);
    refused.ends_with(1);
    assert!(refused.stderr.contains("\"pg_hba.conf\" has size"), "{}", refused.stderr);
    assert!(refused.stderr.contains("or with --accept-damage"), "{}", refused.stderr);
    assert!(!desk.path("made/data/global/pg_control").exists());
    fs::remove_dir_all(desk.path("made")).unwrap();
    let accepted = restore(&desk, &backup, &["--accept-damage"]);
    accepted.ends_with(1);
    assert!(accepted.stderr.contains("\"pg_hba.conf\" has size"), "{}", accepted.stderr);
    let start = START.replace("-i tablespace_map", "-i tablespace_map -i pg_hba.conf");
    assert_eq!(started_by(&desk, &stock, &start), ["f", "500", "none"]);
}

/// Root restores for the account that is to run the server.
#[test]
fn what_root_restores_belongs_to_whom_it_is_for() {
    let desk = Desk::new();
    let Some(stock) = Stock::of(Origin::Host, &desk) else { return };
    let backup = stock.original("gz");
    let restored = restore(&desk, &stock.original("crc/data"), &["--owner", "nobody"]);
    if !rustix::process::geteuid().is_root() {
        restored.ends_with(64);
        assert!(restored.stderr.contains("only root can give files to nobody"), "{}", restored.stderr);
        return;
    }
    restored.ends_with(0);
    let from = tablespace(&desk, &backup).unwrap();
    fs::remove_dir_all(desk.path("made")).unwrap();
    let mapping = format!("--tablespace-mapping={from}={}", desk.path("made/space").display());
    restore(&desk, &backup, &["--owner", "nobody", &mapping]).ends_with(0);
    let mut others = Command::new("find");
    others.arg(desk.path("made")).args(["-mindepth", "1", "!", "-user", "nobody"]);
    let output = others.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    restore(&desk, &backup, &["--owner", "no-such-account", &mapping]).ends_with(64);
}
