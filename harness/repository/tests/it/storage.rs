//! Storages of WAL-G, and what Barman's newer versions and its programs for object stores write: laid out as their sources say, since
//! no distribution has these programs.

use std::fs;
use std::path::Path;

use pgdrill_repository::{Held, Kind, Layout, Pick, State, WalLayout, look};
use tempfile::TempDir;

use crate::kept::found;

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

const FULL: &str = "base_000000010000000000000005";
const DELTA: &str = "base_000000010000000000000009_D_000000010000000000000005";

fn walg() -> TempDir {
    let storage = TempDir::new().unwrap();
    let root = storage.path();
    // An older sentinel, with its times beside it.
    write(
        root,
        &format!("basebackups_005/{FULL}_backup_stop_sentinel.json"),
        r#"{"LSN":83886120,"Timeline":1,"PgVersion":150018,"FinishLSN":83886416,"SystemIdentifier":7713728573872372034,
            "UncompressedSize":30505339,"CompressedSize":3759742,"Spec":null}"#,
    );
    write(
        root,
        &format!("basebackups_005/{FULL}/metadata.json"),
        r#"{"start_time":"2026-11-29T22:47:14.5Z","finish_time":"2026-11-29T22:47:16Z","hostname":"db1","data_dir":"/pg",
            "pg_version":150018,"is_permanent":true}"#,
    );
    write(
        root,
        &format!("basebackups_005/{DELTA}_backup_stop_sentinel.json"),
        &format!(
            r#"{{"LSN":150994984,"DeltaLSN":83886120,"DeltaFrom":"{FULL}","DeltaFullName":"{FULL}","DeltaCount":1,
                "PgVersion":150018,"FinishLSN":150995040,"Version":2,"StartTime":"2026-11-29T23:47:14Z",
                "FinishTime":"2026-11-29T23:47:16.000001Z","Hostname":"db1","IsPermanent":false}}"#
        ),
    );
    write(root, &format!("basebackups_005/{DELTA}/metadata.json"), "{}");
    write(root, "basebackups_005/base_00000001000000000000000B/tar_partitions/part_001.tar.lz4", "");
    for name in [
        "000000010000000000000005.lz4",
        "000000010000000000000009.lz4",
        "000000010000000000000005.00000028.backup.lz4",
    ] {
        write(root, &format!("wal_005/{name}"), "");
    }
    storage
}

#[test]
fn sentinels_of_walg_are_read() {
    let storage = walg();
    let all = found(storage.path());
    assert_eq!((all.kind, all.backups.len()), (Kind::WalG, 2));
    let full = &all.backups[0];
    assert_eq!((full.label.as_str(), full.major.unwrap().0, full.timeline), (FULL, 15, Some(1)));
    assert_eq!(full.system_identifier, Some(7_713_728_573_872_372_034));
    assert_eq!(full.start.unwrap().to_string(), "0/5000028");
    assert_eq!(full.finished_us, Some(1_795_992_436_000_000));
    assert_eq!((full.bytes, full.stored_bytes), (Some(30_505_339), Some(3_759_742)));
    let Held::WalG(held) = &full.held else { panic!("{full:?}") };
    assert!(held.permanent && held.host.as_deref() == Some("db1"));
    let delta = Pick::Newest.of(&all).unwrap()[0];
    assert_eq!((delta.prior.as_deref(), delta.timeline), (Some(FULL), Some(1)));
    assert_eq!(all.chain(delta).unwrap().len(), 2);
    assert_eq!((all.wal[0].layout, all.wal[0].segments), (WalLayout::WalG, 2));
    assert_eq!(all.remarks, ["base_00000001000000000000000B: it has no sentinel: it was not finished"]);
    let Layout::WalG { name, storage: of } = all.layout(delta).unwrap() else { panic!("not WAL-G's") };
    assert_eq!((name.as_str(), of), (DELTA, fs::canonicalize(storage.path()).unwrap()));
}

#[test]
fn sentinels_that_are_none_are_told() {
    let storage = walg();
    for name in [FULL, DELTA] {
        write(storage.path(), &format!("basebackups_005/{name}_backup_stop_sentinel.json"), "[1, 2");
    }
    let not = look(storage.path()).unwrap_err().to_string();
    assert!(not.contains("a WAL-G storage without any backup in it"), "{not}");
}

const DONE: &str = "status=DONE\nversion=170002\nbegin_wal=000000010000000000000005\nend_wal=000000010000000000000005\n\
    begin_xlog=0/5000028\nend_xlog=0/5000120\nbegin_time=2026-11-29 22:47:28.412334+00:00\n\
    end_time=2026-11-29 22:47:29.730649+00:00\nmode=postgres\nsystemid=7713728573872372034\ntimeline=1\n";

#[test]
fn a_description_in_the_newer_place_and_a_chain_are_read() {
    let home = TempDir::new().unwrap();
    let root = home.path();
    for (id, more) in [("20261129T224728", ""), ("20261130T224728", "parent_backup_id=20261129T224728\n")] {
        let description = format!(
            "{}{more}",
            DONE.replace("2026-11-29", if more.is_empty() { "2026-11-29" } else { "2026-11-30" })
        );
        write(root, &format!("main/meta/{id}-backup.info"), &description);
        write(root, &format!("main/base/{id}/data/PG_VERSION"), "17\n");
        write(root, &format!("main/base/{id}/data/global/pg_control"), "");
    }
    write(root, "main/wals/0000000100000000/000000010000000000000005", "");
    write(root, "main/meta/20261201T224728-backup.info", "status=STARTED\nerror=None\nversion=170002\n");
    let all = found(root);
    assert_eq!(all.backups.len(), 3);
    let newest = Pick::Newest.of(&all).unwrap()[0];
    assert_eq!(newest.label, "20261130T224728");
    let Layout::Plain { chain, from, .. } = all.layout(newest).unwrap() else { panic!("not plain") };
    assert_eq!((chain.len(), from.as_deref()), (2, Some("000000010000000000000005")));
    assert!(chain[0].data.ends_with("main/base/20261129T224728/data"));
    let started = Pick::Label("20261201T224728".to_owned()).of(&all).unwrap()[0];
    assert_eq!(started.state, State::Unfit("Barman says that it is STARTED".to_owned()));
}

#[test]
fn wal_that_a_backup_needs_and_is_not_there_is_told() {
    let home = TempDir::new().unwrap();
    let root = home.path();
    write(root, "base/1/backup.info", &DONE.replace("DONE", "WAITING_FOR_WALS"));
    write(root, "base/1/data/PG_VERSION", "17\n");
    write(root, "base/1/data/global/pg_control", "");
    fs::create_dir(root.join("wals")).unwrap();
    write(root, "incoming/000000010000000000000005", "");
    let all = found(root);
    assert!(all.backups[0].is_complete());
    assert!(
        all.remarks[0].ends_with("it needs the segment 000000010000000000000005, for which Barman still waits, and wals does not have it"),
        "{:?}",
        all.remarks
    );
    assert!(all.remarks[1].contains("1 segments of WAL lie in incoming"), "{:?}", all.remarks);
}

#[test]
fn backups_of_barman_cloud_are_tars_under_another_name() {
    let bucket = TempDir::new().unwrap();
    let root = bucket.path();
    write(root, "main/base/20261129T224728/backup.info", DONE);
    write(root, "main/base/20261129T224728/data.tar.gz", "");
    write(root, "main/base/20261129T224728/16384.tar.gz", "");
    let all = found(root);
    let Layout::Tars { chain, .. } = all.layout(&all.backups[0]).unwrap() else { panic!("not tars") };
    let stems: Vec<&str> = chain[0].iter().map(|part| part.stem.as_str()).collect();
    assert_eq!(stems, ["base", "16384"]);
    assert!(chain[0][0].path.ends_with("data.tar.gz"));
}

#[test]
fn what_is_encrypted_or_elsewhere_is_told() {
    let home = TempDir::new().unwrap();
    for (id, more) in [
        ("1", "encryption=gpg\n"),
        ("2", "snapshots_info={}\n"),
        ("3", "tablespaces=[('one', 16384, '/ts')]\n"),
    ] {
        write(home.path(), &format!("base/{id}/backup.info"), &format!("{DONE}{more}"));
        write(home.path(), &format!("base/{id}/data/PG_VERSION"), "17\n");
        write(home.path(), &format!("base/{id}/data/global/pg_control"), "");
    }
    let all = found(home.path());
    let why: Vec<String> = all.backups.iter().map(|backup| all.why_unfit(backup).unwrap()).collect();
    assert_eq!(why[0], "it is encrypted by gpg, which only Barman with its key reads");
    assert_eq!(why[1], "its data are snapshots of a cloud's disks, which are not here");
    assert_eq!(why[2], "base/3/16384 is not there");
    let none = Pick::Newest.of(&all).unwrap_err().to_string();
    assert!(none.contains("none of the 3 backups"), "{none}");
}
