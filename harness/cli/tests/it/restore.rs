//! `pgdrill restore` of backups that pg_basebackup made: PostgreSQL starts on what was restored, verifies it, and recovers
//! from it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use rstest::rstest;

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
    let made = desk.path("made");
    // The server's account makes its socket here; what was restored is its own already.
    stock.give(&made);
    let said = stock.run(&made, START);
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

/// With a target the server recovers from the archive, further than the backup reaches.
#[rstest]
fn a_restored_server_recovers_to_its_target(#[values(Origin::Host, Origin::Container(18))] origin: Origin) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    let archive = desk.path("made/archive");
    fs::create_dir(desk.path("made")).unwrap();
    done(Command::new("cp").arg("-a").args([&stock.original("archive"), &archive]));
    let backup = stock.original("gz");
    let from = tablespace(&desk, &backup).unwrap();
    let mapping = format!("--tablespace-mapping={from}={}", desk.path("made/space").display());
    let more = ["--to", "latest", "--action", "promote", "--wal", archive.to_str().unwrap(), &mapping];
    let restored = restore(&desk, &backup, &more);
    assert_eq!(restored.code, 0, "{}{}", restored.stdout, restored.stderr);
    // 500 rows, and 501 in each of four batches that were archived afterwards.
    assert_eq!(started(&desk, &stock), ["f", "2504", "1000"]);
}
