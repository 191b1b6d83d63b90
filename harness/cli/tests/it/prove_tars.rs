//! `pgdrill prove` of a data directory in one tar, as `pg_basebackup -D -` writes it, and as people pack one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;

use crate::desk::Desk;
use crate::prove::{Production, codes};
use crate::server::{bin, bytes_of};

impl Production<'_> {
    /// A backup in one tar, by `pg_basebackup` itself.
    pub fn one_tar(&self) -> Vec<u8> {
        let socket = &self.server.socket;
        let args = ["-h", socket, "-U", "postgres", "-c", "fast", "-Ft", "-X", "fetch", "-D", "-"];
        bytes_of(self.bin, "pg_basebackup", &args, "")
    }

    /// What lies in the directory above that of a server, in one tar.
    fn packed(&self, name: &str, args: &[&str]) -> String {
        let path = format!("{}/{name}", self.server.socket);
        let tar = Command::new("tar").args(["-C", &self.server.socket, "-cf", &path]).args(args).status();
        assert!(tar.unwrap().success());
        path
    }

    fn written(&self, name: &str, bytes: &[u8]) -> String {
        let path = format!("{}/{name}", self.server.socket);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Packs a file beside itself.
pub fn pack(path: &str, program: &str, ending: &str) -> String {
    let output = Command::new(program).args(["-c", path]).output().unwrap();
    assert!(output.status.success(), "{program}");
    let packed = format!("{path}{ending}");
    fs::write(&packed, output.stdout).unwrap();
    packed
}

#[test]
fn what_pg_basebackup_writes_to_standard_output_is_proven_however_it_is_packed() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let tar = production.written("one.tar", &production.one_tar());
    let archive = production.end();
    let paths = [
        tar.clone(),
        pack(&tar, "gzip", ".gz"),
        pack(&tar, "lz4", ".lz4"),
        // By its content, whatever it is called.
        pack(&tar, "zstd", ".backup"),
    ];
    for path in &paths {
        production.prove(&[path, "--wal", &archive, "--check", "read-all,archive-untouched"]).ends_with(0);
        let record = desk.record();
        assert_eq!(record["recoveries"][0]["archive_end"]["missing"], true);
        let (files, checked) =
            (&record["backups"][0]["files"], &record["recoveries"][0]["verified"]["checksums"]);
        assert!(
            files.as_u64().unwrap() > 900 && files.as_u64().unwrap() - checked.as_u64().unwrap() < 3,
            "{files} {checked}"
        );
    }
    // Its own WAL is enough for what it holds itself.
    production.prove(&[&paths[1], "--check", "read-all"]).ends_with(0);
    for command in ["verify", "restore"] {
        let into = desk.path("into").display().to_string();
        let mut args = vec![command, &paths[1]];
        if command == "restore" {
            args.extend(["--into", &into]);
        }
        let done = desk.pgdrill(&args);
        assert!(done.ends_with(0).stdout.contains("backup successfully verified"), "{}", done.stdout);
    }
    assert!(desk.path("into/global/pg_control").exists());
}

#[test]
fn a_changed_byte_or_a_missing_end_is_disproven() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let mut bytes = production.one_tar();
    production.end();
    let at = bytes.windows(5).position(|window| window == b"ustar").map(|at| at + 9_000_000).unwrap();
    let whole = production.written("whole.tar", &bytes);
    let packed = fs::read(pack(&whole, "gzip", ".gz")).unwrap();
    bytes[at] ^= 0x55;
    let path = production.written("changed.tar", &bytes);
    production.finds(&[&path], 1, "MANIFEST_MISMATCH", "checksum mismatch for file");
    let cut = production.written("cut.tar.gz", &packed[..packed.len() - 100]);
    production.finds(&[&cut], 1, "UNPACK_FAILED", "could not read archive");
    let mut changed = packed.clone();
    changed[packed.len() / 2] ^= 0x55;
    let path = production.written("changed.tar.gz", &changed);
    // Wherever it is met first.
    production.prove(&[&path]).ends_with(1);
    let found = codes(&desk).swap_remove(0);
    assert!(["UNPACK_FAILED", "MANIFEST_MISMATCH", "BACKUP_UNFIT"].contains(&found.as_str()), "{found}");
}

/// With a directory before the names, or several, and without a manifest.
#[rstest]
#[case::with_its_name(&["-z", "cold"])]
#[case::without(&["-C", "cold", "."])]
#[case::far_below(&["--transform", "s,^cold,srv/postgresql/15/main,", "cold", "notes.txt"])]
fn a_copy_of_a_server_that_was_shut_down_is_proven_out_of_one_tar(#[case] how: &[&str]) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    production.end();
    let socket = production.server.socket.clone();
    fs::rename(format!("{socket}/data"), format!("{socket}/cold")).unwrap();
    fs::write(format!("{socket}/notes.txt"), "of nothing").unwrap();
    let tar = production.packed("cold.backup", how);
    fs::rename(format!("{socket}/cold"), format!("{socket}/data")).unwrap();
    production.prove(&[&tar]).ends_with(0);
    let record = desk.record();
    let read =
        record["checks"].as_array().unwrap().iter().find(|check| check["check"] == "read-all").unwrap();
    assert!(read["summary"].as_str().unwrap().ends_with("; 38 000 rows in those of users"), "{read}");
}

#[test]
fn tablespaces_that_are_only_links_and_names_that_lead_out_are_disproven() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    production.end();
    let socket = production.server.socket.clone();
    let link = PathBuf::from(format!("{}/pg_tblspc/16400", production.server.data));
    std::os::unix::fs::symlink(desk.path("server"), &link).unwrap();
    let tar = production.packed("linked.tar", &["data"]);
    let words = "\"pg_tblspc/16400\" is a link, and the files of that tablespace are not in the archive";
    production.finds(&[&tar], 1, "BACKUP_UNFIT", words);
    fs::remove_file(&link).unwrap();
    fs::write(Path::new(&socket).join("evil"), "x").unwrap();
    let tar =
        production.packed("hostile.tar", &["-P", "--transform", "s,^evil,data/../../evil,", "data", "evil"]);
    production.finds(&[&tar], 1, "BACKUP_UNFIT", "leads out of the data directory");
}
