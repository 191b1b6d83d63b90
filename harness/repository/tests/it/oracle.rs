//! What is said here against what the programs say that made the backups.

use std::fs;
use std::path::Path;

use pgdrill_repository::dump::{Dump, Form};
use pgdrill_repository::{Backup, Held, Kind, Pick, State, WalLayout, barman, look};
use serde_json::Value;

use crate::kept::found;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn dump(backup: &Backup) -> &Dump {
    match &backup.held {
        Held::Dump(dump) => dump,
        other => panic!("{other:?}"),
    }
}

/// Every dump of a directory against `pg_restore -l`; how many there were.
pub fn dumps(directory: &Path, major: u16) -> usize {
    let all = found(directory);
    assert!(all.backups.iter().all(|backup| backup.state == State::Complete), "{:?}", all.backups);
    let mut compared = 0;
    for backup in &all.backups {
        let list = directory.join(format!("{}.list", backup.label));
        let of = dump(backup);
        match backup.label.as_str() {
            "globals.sql" => assert_eq!(of.form, Form::ClusterSql { with_databases: Some(false) }),
            "cluster.sql" => assert_eq!(of.form, Form::ClusterSql { with_databases: Some(true) }),
            "plain.sql" | "plain.sql.gz" => {
                assert_eq!((of.form, of.encoding.as_deref()), (Form::Sql, Some("UTF8")));
            }
            _ => {
                listed(of, &fs::read_to_string(&list).unwrap());
                compared += 1;
            }
        }
        if backup.label != "globals.sql" {
            assert_eq!(backup.major.map(|major| major.0), Some(major), "{}", backup.label);
        }
    }
    assert_eq!(all.backups.len(), compared + 4, "and SQL in four files");
    compared
}

/// What `pg_restore -l` says of an archive.
fn listed(dump: &Dump, list: &str) {
    let toc = dump.toc.as_ref().unwrap();
    let says = |name: &str| {
        let line = list.lines().find_map(|line| line.trim_start_matches(';').trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {list}")).trim().to_owned()
    };
    assert_eq!(dump.database.as_deref(), Some(says("dbname:").as_str()));
    assert_eq!(dump.server_version.as_deref(), Some(says("Dumped from database version:").as_str()));
    assert_eq!(dump.dump_version.as_deref(), Some(says("Dumped by pg_dump version:").as_str()));
    assert_eq!(toc.count.to_string(), says("TOC Entries:"));
    assert_eq!(format!("{}.{}-0", toc.format_version.0, toc.format_version.1), says("Dump Version:"));
    let form = match dump.form {
        Form::Custom => "CUSTOM",
        Form::Directory => "DIRECTORY",
        Form::Tar => "TAR",
        other => panic!("{other:?}"),
    };
    assert_eq!(form, says("Format:"));
    let packed = match says("Compression:").as_str() {
        "0" => "none".to_owned(),
        "-1" => "gzip".to_owned(),
        other => other.to_owned(),
    };
    assert_eq!(toc.compression, packed);
    // `2026-11-29 23:10:06 UTC`, of a machine that knows no other zone.
    assert_eq!(dump.made.as_deref(), says("Archive created at").strip_suffix(" UTC"));
    assert_eq!(dump.encoding.as_deref(), Some("UTF8"));
    let entries: Vec<&str> = list.lines().filter(|line| !line.starts_with(';') && !line.is_empty()).collect();
    let ours: Vec<String> = toc
        .entries
        .iter()
        .map(|entry| {
            let (schema, owner) =
                (entry.schema.as_deref().unwrap_or("-"), entry.owner.as_deref().unwrap_or(""));
            format!("{}; {} {schema} {} {owner}", entry.id, entry.kind, entry.tag)
        })
        .collect();
    for line in &entries {
        let (id, rest) = line.split_once("; ").unwrap();
        let without_catalog = rest.splitn(3, ' ').nth(2).unwrap();
        assert!(ours.contains(&format!("{id}; {without_catalog}")), "{line} is not in {ours:?}");
    }
    assert!(entries.len() >= 8, "{list}");
    let unlisted = toc
        .entries
        .iter()
        .filter(|entry| !entries.iter().any(|line| line.starts_with(&format!("{}; ", entry.id))));
    for entry in unlisted {
        let known = ["ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE"];
        assert!(known.contains(&entry.kind.as_str()), "{entry:?} is not listed by pg_restore");
    }
}

/// A repository of pgBackRest against what `pgbackrest info` says of it; how many backups there were.
pub fn pgbackrest(repository: &Path, info: &Path) -> usize {
    let all = found(repository);
    let said = &json(info)[0];
    let backups = said["backup"].as_array().unwrap();
    assert_eq!(all.kind, Kind::PgBackRest);
    assert_eq!(all.backups.len(), backups.len());
    for (backup, said) in all.backups.iter().zip(backups) {
        let Held::PgBackRest(held) = &backup.held else { panic!("{backup:?}") };
        let database = said_of(&json(info)[0]["db"], said["database"]["id"].as_u64().unwrap());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        assert_eq!(Some(backup.label.clone()), text(&said["label"]));
        assert_eq!(backup.server, text(&json(info)[0]["name"]));
        assert_eq!(Some(held.kind.clone()), text(&said["type"]));
        assert_eq!(backup.prior, text(&said["prior"]));
        assert_eq!(backup.major.unwrap().to_string(), text(&database["version"]).unwrap());
        assert_eq!(backup.system_identifier, database["system-id"].as_u64());
        // Versions before 2.36 do not tell positions, and write them into the manifest all the same.
        let (start, stop) = (backup.start.unwrap().to_string(), backup.stop.unwrap().to_string());
        assert!(text(&said["lsn"]["start"]).is_none_or(|said| said == start), "{start}");
        assert!(text(&said["lsn"]["stop"]).is_none_or(|said| said == stop), "{stop}");
        assert_eq!(backup.started_us, said["timestamp"]["start"].as_i64().map(|seconds| seconds * 1_000_000));
        assert_eq!(backup.finished_us, said["timestamp"]["stop"].as_i64().map(|seconds| seconds * 1_000_000));
        let history: Vec<(u64, &str)> = held.history.iter().map(|of| (of.id, of.version.as_str())).collect();
        assert_eq!(history, [(1, database["version"].as_str().unwrap())]);
        assert_eq!((held.current, held.database), (Some(1), said["database"]["id"].as_u64()));
        assert_eq!(held.archive_start, text(&said["archive"]["start"]));
        assert_eq!(held.archive_stop, text(&said["archive"]["stop"]));
        assert_eq!(held.version, text(&said["backrest"]["version"]));
        assert_eq!(held.error, said["error"].as_bool());
        assert_eq!(backup.bytes, said["info"]["size"].as_u64());
        assert_eq!(held.delta_bytes, said["info"]["delta"].as_u64());
        let stored = said["info"]["repository"]["size"].as_u64();
        assert_eq!(backup.stored_bytes, stored.or_else(|| said["info"]["repository"]["delta"].as_u64()));
        let references: Vec<String> =
            said["reference"].as_array().into_iter().flatten().filter_map(text).collect();
        assert_eq!(held.references, references);
        assert_eq!((held.tablespaces.len(), held.tablespaces[0].name.as_deref()), (1, Some("one")));
        assert_eq!(held.compression.as_deref(), Some("zst"));
        assert_eq!(backup.state, State::Complete);
    }
    let archives = said["archive"].as_array().unwrap();
    assert_eq!(all.wal.len(), archives.len());
    for (place, said) in all.wal.iter().zip(archives) {
        assert_eq!(place.layout, WalLayout::PgBackRest);
        assert!(place.path.ends_with(said["id"].as_str().unwrap()));
        assert_eq!(
            (place.first.as_deref(), place.last.as_deref()),
            (said["min"].as_str(), said["max"].as_str())
        );
    }
    let newest = Pick::Newest.of(&all).unwrap()[0];
    let chain: Vec<&str> = all.chain(newest).unwrap().iter().map(|of| of.label.as_str()).collect();
    assert_eq!((chain.len(), chain.last().copied()), (3, Some(newest.label.as_str())));
    assert!(all.remarks.is_empty(), "{:?}", all.remarks);
    all.backups.len()
}

fn said_of(databases: &Value, id: u64) -> Value {
    let databases = databases.as_array().unwrap();
    databases.iter().find(|database| database["id"].as_u64() == Some(id)).unwrap().clone()
}

/// What Barman keeps against `barman list-backups` and `barman show-backup`; how many backups there were.
pub fn barman(home: &Path, said: &Path) -> usize {
    let all = found(home);
    let list = &json(&said.join("barman.json"))["main"];
    let list = list.as_array().unwrap();
    assert_eq!((all.kind, all.backups.len()), (Kind::Barman, list.len()));
    for said in list {
        let id = said["backup_id"].as_str().unwrap();
        let backup = all.backups.iter().find(|backup| backup.label == id).unwrap();
        let Held::Barman(held) = &backup.held else { panic!("{backup:?}") };
        assert_eq!(Some(held.status.as_str()), said["status"].as_str());
        assert_eq!(backup.is_complete(), said["status"] == "DONE", "{:?}", backup.state);
        assert_eq!(backup.name.as_deref(), said["backup_name"].as_str());
        let at = said["end_time_timestamp"].as_str().map(|at| at.parse::<i64>().unwrap());
        if backup.is_complete() {
            assert_eq!(backup.finished_us.map(|us| us / 1_000_000), at);
        }
    }
    let show = &json(&said.join("barman-show.json"))["main"];
    let nightly = Pick::Label("nightly".to_owned()).of(&all).unwrap()[0];
    let Held::Barman(held) = &nightly.held else { panic!("{nightly:?}") };
    let of = &show["base_backup_information"];
    assert_eq!(Some(nightly.label.as_str()), show["backup_id"].as_str());
    assert_eq!(held.version, show["postgresql_version"].as_u64());
    assert_eq!(held.begin_wal.as_deref(), of["begin_wal"].as_str());
    assert_eq!(held.end_wal.as_deref(), of["end_wal"].as_str());
    assert_eq!(nightly.start.map(|lsn| lsn.to_string()).as_deref(), of["begin_lsn"].as_str());
    assert_eq!(nightly.stop.map(|lsn| lsn.to_string()).as_deref(), of["end_lsn"].as_str());
    assert_eq!(nightly.timeline.map(u64::from), of["timeline"].as_u64());
    assert_eq!(held.tablespaces.len(), 1);
    let tablespace = &show["tablespaces"][0];
    assert_eq!(Some(u64::from(held.tablespaces[0].oid)), tablespace["oid"].as_u64());
    assert_eq!(held.tablespaces[0].name.as_deref(), tablespace["name"].as_str());
    assert_eq!(held.tablespaces[0].path.as_deref(), tablespace["location"].as_str());
    // pg_basebackup took it, so it has a manifest.
    assert!(held.has_manifest);
    let data = look(&nightly.path.join("data")).unwrap_err();
    assert!(data.hint().contains("choose the backup by its label"), "{data}");
    let wal = &all.wal[0];
    assert_eq!(wal.last.as_deref(), show["wal_information"]["last_available"].as_str());
    let files = barman::wal_files(&wal.path, held.begin_wal.as_deref()).unwrap();
    assert_eq!(files.first().map(|file| file.name.as_str()), held.begin_wal.as_deref());
    assert!(files.iter().all(|file| file.packed == Some(pgdrill_backup::parts::Packed::Gzip)), "{files:?}");
    all.backups.len()
}
