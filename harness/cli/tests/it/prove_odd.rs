//! `pgdrill prove` on what is odd about backups: where they lie, how they were copied, who is still writing, and what somebody put
//! into them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use pgdrill_testkit::docker;
use rstest::rstest;

use crate::desk::{Desk, findings};
use crate::prove::{Production, codes, damage, files, largest};
use crate::server::{bin, postgres};

fn sh(script: &str) {
    let done = Command::new("sh").args(["-euc", script]).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn of_several_backups_the_newest_is_meant_or_each_has_a_drill() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    postgres(Path::new("/bin"), "mkdir", &[&format!("{}/nightly", production.server.socket)], "");
    production.backup("nightly/2026-11-27", &["-Ft", "-z"]);
    // Times in labels are whole seconds.
    production.server.sql("select pg_sleep(1.1);");
    production.backup("nightly/2026-11-28", &["-Fp"]);
    let archive = production.end();
    let nightly = format!("{}/nightly", production.server.socket);
    production.prove(&[&nightly, "--wal", &archive]).ends_with(0);
    assert_eq!(desk.record()["backups"][0]["label"], "2026-11-28");
    let done = production.prove(&[&nightly, "--wal", &archive, "--pick", "all"]);
    done.ends_with(0);
    assert_eq!(desk.files("json").len(), 2);
    assert_eq!(done.stdout.lines().last(), Some("2 drills: 2 proven"), "{}", done.stdout);
    // Beside one that is good, one that is not is told by the worst code.
    fs::remove_file(format!("{nightly}/2026-11-28/global/pg_control")).unwrap();
    let done = production.prove(&[&nightly, "--wal", &archive, "--pick", "all"]);
    done.ends_with(1);
    assert_eq!(done.stdout.lines().last(), Some("2 drills: 1 proven, 1 disproven"), "{}", done.stdout);
    production.prove(&[&nightly, "--wal", &archive]).ends_with(0);
    assert_eq!(desk.record()["backups"][0]["label"], "2026-11-27");
}

/// Members of a tar that would be written elsewhere.
#[test]
fn a_tar_with_hostile_names_writes_nothing_outside() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Ft", "--no-manifest"]);
    production.end();
    let room = desk.path("room");
    let trap = desk.path("trap");
    fs::create_dir(&room).unwrap();
    fs::create_dir(&trap).unwrap();
    let shown = trap.display();
    for (name, add) in [
        ("above", "echo x >x; tar -P --transform='s,^x$,../../../../trapped,' -rf base.tar x".to_owned()),
        ("absolute", format!("echo x >x; tar -P --transform='s,^x$,{shown}/trapped,' -rf base.tar x")),
        (
            "link",
            format!(
                "ln -s {shown} way; tar -rf base.tar way; rm way; mkdir way; echo x >way/trapped; tar -rf base.tar way/trapped"
            ),
        ),
        (
            "link in base",
            format!(
                "mkdir -p base; ln -s {shown} base/777; tar -rf base.tar base/777; rm base/777; mkdir base/777; echo x >base/777/trapped; tar -rf base.tar base/777/trapped"
            ),
        ),
    ] {
        let copy = room.join(name);
        sh(&format!("cp -r {backup} '{0}'; cd '{0}'; {add}", copy.display()));
        let done = production.prove(&[copy.to_str().unwrap()]);
        assert!(matches!(done.code, 1 | 2), "{name}: {}\n{}", done.code, done.stdout);
        let found: Vec<PathBuf> = [desk.path(""), room.clone(), trap.clone()]
            .iter()
            .flat_map(|directory| fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()))
            .filter(|path| path.ends_with("trapped"))
            .collect();
        assert_eq!(found, Vec::<PathBuf>::new(), "{name}");
    }
}

#[test]
fn a_backup_of_a_major_that_is_not_there_says_what_to_install() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Fp"]);
    production.end();
    fs::write(format!("{backup}/PG_VERSION"), "12\n").unwrap();
    production.finds(&[&backup], 2, "MAJOR_OUT_OF_RANGE", "is of PostgreSQL 12");
    fs::write(format!("{backup}/PG_VERSION"), "19\n").unwrap();
    let done = production.prove(&[&backup]);
    done.ends_with(2);
    assert!(codes(&desk).contains(&"POSTGRES_MISSING".to_owned()), "{:?}", codes(&desk));
    assert!(done.stdout.contains("Install the server package of that major"), "{}", done.stdout);
}

#[test]
fn what_would_not_find_room_is_not_begun() {
    let Some(bin) = bin() else { return };
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: only root can mount a small disk; a full one is not looked at");
        return;
    }
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Fp"]);
    production.end();
    let small = desk.path("small");
    fs::create_dir(&small).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m,mode=755", "none"]).arg(&small).status();
    if !mounted.unwrap().success() {
        eprintln!("SKIPPED: this root may not mount; a full disk is not looked at");
        return;
    }
    let workspace = small.join("w");
    let done = production.prove(&[&backup, "--workspace", workspace.to_str().unwrap()]);
    let found = findings(&desk.record());
    let left = files(&small);
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    done.ends_with(2);
    assert!(
        found.iter().any(|(code, _, words)| code == "DISK_FULL" && words.contains("are free")),
        "{found:?}"
    );
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn a_segment_that_is_still_being_copied_is_not_there_yet_and_an_old_one_is_damaged() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Ft"]);
    let archive = production.end();
    let newest =
        files(Path::new(&archive)).into_iter().rfind(|path| path.file_name().unwrap().len() == 24).unwrap();
    let name = newest.file_name().unwrap().to_str().unwrap().to_owned();
    let file = fs::File::options().write(true).open(&newest).unwrap();
    file.set_len(300_000).unwrap();
    let done = production.prove(&[&backup, "--wal", &archive]);
    done.ends_with(0);
    let found = findings(&desk.record());
    assert!(
        found.iter().any(|(code, _, words)| code == "WAL_UNFINISHED" && words.contains(&name)),
        "{found:?}"
    );
    assert!(done.stdout.contains("WAL_UNFINISHED"), "{}", done.stdout);

    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    production.finds(&[&backup, "--wal", &archive], 1, "WAL_DAMAGED", &name);
}

/// What somebody does meanwhile where the backup and its archive lie, by a shell that is there.
#[rstest]
#[case::retention("rm $old", None)]
#[case::a_name_for_the_time_of_writing("rm archive/000000010000000000000099.tmp", None)]
#[case::a_new_segment("echo new > archive/000000010000000000000098", None)]
#[case::the_backup_is_written_to("touch backup/PG_VERSION", Some("it was written to"))]
#[case::a_needed_segment_is_replaced(
    "cp $needed archive/new && mv archive/new $needed",
    Some("it was replaced")
)]
#[case::a_needed_segment_is_removed("rm $needed", Some("it is gone"))]
fn an_archive_may_be_in_use_and_what_a_drill_rests_upon_must_stay_as_it_is(
    #[case] meanwhile: &str,
    #[case] told: Option<&str>,
) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Fp"]);
    let archive = production.end();
    fs::write(format!("{archive}/000000010000000000000099.tmp"), "half").unwrap();
    let label = fs::read_to_string(format!("{backup}/backup_label")).unwrap();
    let needed = &label.split("file ").nth(1).unwrap()[..24];
    let old = fs::read_dir(&archive).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let old = old.filter(|name| name.starts_with("00000001")).min().unwrap();
    assert!(*old < *needed, "nothing was archived before the backup");
    let script = format!(
        "until ls w/*/restored/PG_VERSION; do sleep 0.02; done; cd server; needed=archive/{needed} old=archive/{old}; \
         {meanwhile}"
    );
    let mut somebody = Command::new("sh")
        .args(["-euc", &script])
        .current_dir(desk.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let done = production.prove(&[&backup, "--wal", &archive]);
    assert!(somebody.wait().unwrap().success(), "{meanwhile}");
    let found = findings(&desk.record());
    done.ends_with(i32::from(told.is_some()));
    let changed: Vec<&str> = found
        .iter()
        .filter(|(code, ..)| code == "ARCHIVE_CHANGED")
        .map(|(_, _, message)| message.as_str())
        .collect();
    assert_eq!(changed.len(), usize::from(told.is_some()), "{changed:?}");
    assert!(changed.iter().all(|message| told.is_some_and(|words| message.contains(words))), "{changed:?}");
}

#[test]
fn a_data_directory_without_configuration_and_a_cold_copy_are_proven() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    // As on Debian: the configuration lies elsewhere.
    let backup = production.backup("backup", &["-Fp", "--no-manifest"]);
    for name in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
        fs::remove_file(format!("{backup}/{name}")).unwrap();
    }
    // A copy of files of a server that runs, which nobody told.
    let warm = format!("{}/warm", production.server.socket);
    postgres(Path::new("/bin"), "cp", &["-r", &production.server.data, &warm], "");
    fs::remove_file(format!("{warm}/postmaster.pid")).unwrap();
    let archive = production.end();
    production.prove(&[&backup, "--wal", &archive]).ends_with(0);
    production.finds(&[&warm, "--wal", &archive], 1, "BACKUP_UNFIT", "no backup_label");

    let cold = format!("{}/cold", production.server.socket);
    postgres(Path::new("/bin"), "cp", &["-r", &production.server.data, &cold], "");
    production.prove(&[&cold]).ends_with(0);
    assert_eq!(desk.record()["recoveries"][0]["state"], "promoted");
    production.prove(&[&cold, "--wal", &archive]).ends_with(0);
}

/// As `cp -r` and `rsync -r` leave one: a server would not start there, and none is to.
#[test]
fn a_copy_that_is_open_to_others_is_restored_with_a_note() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let backup = production.backup("backup", &["-Fp"]);
    production.end();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&backup, open).unwrap();
    let words =
        "has permissions 0755: PostgreSQL starts with 0700 or 0750 only, and what is restored of it has 0700";
    production.finds(&[&backup, "--check", "read-all"], 0, "BACKUP_PERMISSIONS", words);
    let into = desk.path("into").display().to_string();
    let restored = desk.pgdrill(&["restore", &backup, "--into", &into]);
    assert!(restored.ends_with(0).stderr.contains(words), "{}", restored.stderr);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&into).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    // These very files are none on which a server starts.
    let verified = desk.pgdrill(&["verify", &backup]);
    assert!(verified.ends_with(1).stdout.contains("BACKUP_UNFIT"), "{}", verified.stdout);
    // All else is as bad as before.
    damage(&largest(&Path::new(&backup).join("base/1")));
    production.finds(&[&backup, "--check", "read-all"], 1, "MANIFEST_MISMATCH", "checksum mismatch");
}

/// A backup of each major, made by a drill in a container of it.
#[test]
fn base_backups_of_every_major_are_proven_in_containers() {
    const MAJORS: [u16; 4] = [13, 15, 17, 18];
    if !docker::required_or_skip(&MAJORS) {
        return;
    }
    for major in MAJORS {
        let maker = Desk::new();
        let scenario = maker.scenario(
            "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: tar }\n  - sql: CREATE TABLE late AS SELECT 1 AS n\n  \
             - switch-wal\n  - disaster: lose-primary\n  - recover\n",
        );
        let number = major.to_string();
        let in_docker = ["--runtime", "docker", "--postgres", &number];
        let all = [&["run", scenario.to_str().unwrap(), "--keep", "always"], in_docker.as_slice()].concat();
        maker.pgdrill(&all).ends_with(0);
        let made = maker.workspace().unwrap();
        let (backup, archive) = (made.join("backup/backup-1"), made.join("archive"));
        let desk = Desk::new();
        let prove =
            ["prove", backup.to_str().unwrap(), "--wal", archive.to_str().unwrap(), "--runtime", "docker"];
        desk.pgdrill(&prove).ends_with(0);
        desk.assert_clean();
        let record = desk.record();
        assert_eq!(record["postgres"], major);
        assert_eq!(record["recoveries"][0]["archive_end"]["missing"], true);
        maker.pgdrill(&["clean"]);
    }
}

/// The role that `initdb` made has the name that whoever ran it liked; and nothing is a bad backup only because of a name.
#[test]
fn the_first_role_need_not_be_called_postgres() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let socket = production.server.socket.clone();
    let as_helper = |sql: &str| {
        postgres(&bin, "psql", &["-h", &socket, "-U", "helper", "-d", "postgres", "-qc", sql], "");
    };
    let backup = |name: &str| {
        let path = format!("{socket}/{name}");
        postgres(&bin, "pg_basebackup", &["-h", &socket, "-U", "helper", "-c", "fast", "-D", &path], "");
        path
    };
    production.server.sql("create role helper superuser login;");
    let before = backup("before");
    as_helper("alter role postgres rename to boss");
    let after = backup("after");
    as_helper("select pg_switch_wal()");
    production.server.end("fast");
    let archive = &format!("{socket}/archive");
    production.prove(&[&after, "--wal", archive]).ends_with(0);
    assert_eq!(desk.record()["checks"].as_array().unwrap().len(), 8);
    // By the files of this one it has its old name still, and by its WAL the new one.
    production.finds(&[&before, "--wal", archive], 2, "SERVER_LOST", "role \"postgres\" does not exist");
    production.prove(&[&before, "--wal", archive, "--to", "immediate"]).ends_with(0);
}
