//! Backups that the programs of this machine make now, by the script that made those that are kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use pgdrill_backup::parts::Packed;
use pgdrill_repository::base::Form;
use pgdrill_repository::{Held, Layout, NotABackup, Pick, State, look};

use crate::kept::found;
use crate::oracle;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Whether everything is there that the script needs; where it must be and is not, that is a failure.
fn has_programs() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let in_path = |name: &str| std::env::split_paths(&paths).any(|directory| directory.join(name).is_file());
    let postgres = Path::new(BIN).join("postgres").is_file();
    let missing: Vec<&str> =
        [("PostgreSQL 15", postgres), ("pgbackrest", in_path("pgbackrest")), ("barman", in_path("barman"))]
            .into_iter()
            .filter_map(|(name, there)| (!there).then_some(name))
            .collect();
    let required = std::env::var("PGDRILL_REQUIRE_DOCKER").is_ok_and(|value| value == "1")
        || std::env::var_os("CI").is_some();
    assert!(
        missing.is_empty() || !required,
        "{missing:?} is missing, which this test needs; ci/test installs it"
    );
    if !missing.is_empty() {
        eprintln!("SKIPPED: {missing:?} is not installed; what these programs make today is not looked at");
    }
    missing.is_empty()
}

#[test]
fn what_programs_make_now_is_what_they_say() {
    if !has_programs() {
        return;
    }
    // Sockets have short paths.
    let room = tempfile::Builder::new().prefix("pgr").tempdir_in("/tmp").unwrap();
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let made = room.path().join("made");
    for directory in [&made, &room.path().join("s")] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/repositories/make");
    // The account that runs servers need not see the sources.
    let copy = room.path().join("make");
    fs::copy(script, &copy).unwrap();
    let mut command = if rustix::process::getuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "bash"]);
        command
    } else {
        Command::new("bash")
    };
    let run =
        command.arg(&copy).arg(BIN).arg(room.path().join("s")).arg(&made).current_dir("/").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    assert_eq!(oracle::dumps(&made.join("dumps"), 15), 5);
    assert_eq!(oracle::pgbackrest(&made.join("pgbackrest"), &made.join("pgbackrest.json")), 3);
    assert_eq!(oracle::barman(&made.join("barman"), &made), 2);
    tars(&made.join("base"));
    damaged(&made);
    half_copied(&made);
    server(&room.path().join("s/primary"));
    restored(room.path(), &made);
}

/// Tars of `pg_basebackup`, which are not kept, against the plain backup of the same cluster.
fn tars(base: &Path) {
    let all = found(base);
    let of = |label: &str| all.backups.iter().find(|backup| backup.label == label).unwrap();
    let plain = of("plain");
    for (label, packed) in [("tar", Packed::No), ("packed", Packed::Gzip)] {
        let backup = of(label);
        assert_eq!((backup.major, backup.system_identifier), (plain.major, plain.system_identifier));
        assert!(backup.start > plain.stop && backup.stop > backup.start);
        let Held::Base(held) = &backup.held else { panic!("{backup:?}") };
        let Form::Tars(parts) = &held.form else { panic!("{held:?}") };
        assert_eq!(parts.len(), 3, "the base, its WAL, a tablespace");
        assert!(parts.iter().all(|part| part.packed == packed));
        assert_eq!(held.tablespaces.len(), 1);
    }
    let one = of("one.tar.gz");
    let Held::Base(held) = &one.held else { panic!("{one:?}") };
    assert_eq!(held.form, Form::OneTar { packed: Packed::Gzip, below: "cluster/".to_owned() });
    assert_eq!(
        (one.start, one.system_identifier, one.major),
        (plain.start, plain.system_identifier, plain.major)
    );
}

/// A description that is damaged, with a copy that is good, and both.
fn damaged(made: &Path) {
    let repository = made.join("pgbackrest");
    let info = repository.join("backup/main/backup.info");
    let (whole, copy) = (fs::read_to_string(&info).unwrap(), info.with_extension("info.copy"));
    fs::write(&info, whole.replace("\"backup-type\":\"diff\"", "\"backup-type\":\"full\"")).unwrap();
    let all = found(&repository);
    assert_eq!(all.backups.len(), 3);
    assert!(
        all.remarks[0].starts_with("backup/main/backup.info is of no use: its checksum is "),
        "{:?}",
        all.remarks
    );
    assert!(all.remarks[0].ends_with("; its copy was read instead"), "{:?}", all.remarks);
    fs::write(&copy, "").unwrap();
    let not = look(&repository).unwrap_err();
    assert!(matches!(not, NotABackup::Damaged { .. }), "{not}");
    assert!(not.to_string().ends_with("; and of its copy: it is empty"), "{not}");
    fs::remove_file(&copy).unwrap();
    fs::write(&info, &whole).unwrap();
    let all = found(&repository);
    assert!(
        all.remarks[0].starts_with("backup/main/backup.info.copy is of no use: it is not there"),
        "{:?}",
        all.remarks
    );
    // What is built on a backup goes with it.
    let diff = all.backups[1].clone();
    fs::rename(&diff.path, made.join("moved")).unwrap();
    let all = found(&repository);
    assert_eq!(
        all.backups.iter().map(|of| all.why_unfit(of).is_some()).collect::<Vec<_>>(),
        [false, true, true],
        "{:?}",
        all.backups
    );
    assert_eq!(Pick::Newest.of(&all).unwrap()[0].label, all.backups[0].label);
    let no = all.layout(&all.backups[2]).unwrap_err();
    assert!(no.to_string().contains("its directory is not there"), "{no}");
    fs::rename(made.join("moved"), &diff.path).unwrap();
}

/// Copies that somebody has not finished.
fn half_copied(made: &Path) {
    let base = made.join("base");
    fs::rename(base.join("plain/global/pg_control"), base.join("kept")).unwrap();
    let not = look(&base.join("plain")).unwrap_err();
    assert!(not.to_string().ends_with("PG_VERSION is there, and global/pg_control is not"), "{not}");
    fs::rename(base.join("kept"), base.join("plain/global/pg_control")).unwrap();

    let manifest = base.join("plain/backup_manifest");
    fs::rename(&manifest, base.join("plain/backup_manifest.tmp")).unwrap();
    let found_so = found(&base.join("plain"));
    assert!(
        matches!(&found_so.backups[0].state, State::Unfit(why) if why.contains("did not come to its end"))
    );
    fs::rename(base.join("plain/backup_manifest.tmp"), &manifest).unwrap();

    let packed = base.join("packed/base.tar.gz");
    fs::rename(&packed, base.join("packed/base.tar.gz.part")).unwrap();
    let not = look(&base.join("packed")).unwrap_err();
    assert!(not.to_string().contains("base.tar.gz.part is still being copied"), "{not}");
    fs::rename(base.join("packed/base.tar.gz.part"), &packed).unwrap();

    let dump = made.join("dumps/custom.dump");
    let whole = fs::read(&dump).unwrap();
    fs::write(&dump, &whole[..whole.len() / 3]).unwrap();
    assert!(matches!(look(&dump), Err(NotABackup::HalfCopied { .. })), "within its table of contents");
    let toc_ends = (whole.len() / 3..whole.len()).find(|length| {
        fs::write(&dump, &whole[..*length]).unwrap();
        look(&dump).is_ok()
    });
    let of_toc = found(&dump);
    assert!(
        matches!(&of_toc.backups[0].state, State::Unfit(why) if why.contains("it is cut off")),
        "{toc_ends:?}: {of_toc:?}"
    );
    fs::write(&dump, &whole).unwrap();
    let sql = made.join("dumps/plain.sql");
    let text = fs::read_to_string(&sql).unwrap();
    fs::write(&sql, text.split("-- PostgreSQL database dump complete").next().unwrap()).unwrap();
    assert!(matches!(&found(&sql).backups[0].state, State::Unfit(why) if why.contains("it is cut off")));
    fs::write(&sql, text).unwrap();
    let data = fs::read_dir(made.join("dumps/directory")).unwrap().map(|file| file.unwrap().path());
    let data = data.into_iter().find(|path| path.to_string_lossy().ends_with(".dat.gz")).unwrap();
    fs::rename(&data, made.join("kept")).unwrap();
    assert!(
        matches!(&found(&made.join("dumps/directory")).backups[0].state, State::Unfit(why) if why.ends_with("is not there"))
    );
    fs::rename(made.join("kept"), &data).unwrap();
}

/// A server's own directory, while nobody runs it and when its process file says that somebody does.
fn server(primary: &Path) {
    // The script stops it at once, as by a loss of power: its process file is gone, its state is not "shut down".
    let all = found(primary);
    assert!(
        all.remarks.iter().any(|remark| remark.contains("its server was 'in production'")),
        "{:?}",
        all.remarks
    );
    let real = fs::canonicalize(primary).unwrap();
    fs::write(primary.join("postmaster.pid"), format!("{}\n{}\n", std::process::id(), real.display()))
        .unwrap();
    let not = look(primary).unwrap_err();
    assert!(matches!(not, NotABackup::ServersOwn { .. }), "{not}");
}

/// What is said of how to restore is followed, by hand, and a server starts from it.
fn restored(room: &Path, made: &Path) {
    let as_postgres = |script: &str, arguments: &[&str]| {
        let mut command = if rustix::process::getuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh", "-euc", script, "sh"]);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-euc", script, "sh"]);
            command
        };
        let run = command.args(arguments).current_dir("/").output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{said}");
        said
    };
    let room = room.to_str().unwrap();

    // pgBackRest with just the arguments that were given.
    let all = found(&made.join("pgbackrest"));
    let layout = all.layout(all.backups.last().unwrap()).unwrap();
    let data = format!("{room}/by-pgbackrest");
    let arguments = layout.pgbackrest_arguments(&data, &format!("{room}/ts")).unwrap();
    let mut all_arguments = vec![room.to_owned(), data.clone()];
    all_arguments.extend(arguments);
    as_postgres(
        "mkdir -m 700 \"$2\" \"$1/ts\"; room=$1; shift 2
         exec pgbackrest --config=/dev/null --log-level-file=off --lock-path=\"$room/lock\" \"$@\"",
        &all_arguments.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert!(Path::new(&data).join("global/pg_control").is_file());
    let links: Vec<_> =
        fs::read_dir(format!("{data}/pg_tblspc")).unwrap().map(|link| link.unwrap().path()).collect();
    assert!(fs::read_link(&links[0]).unwrap().starts_with(format!("{room}/ts")), "{links:?}");

    // What Barman keeps, as a plain backup: data, tablespaces, WAL that is unpacked.
    let all = found(&made.join("barman"));
    let nightly = Pick::Newest.of(&all).unwrap()[0];
    let Layout::Plain { chain, wal, from } = all.layout(nightly).unwrap() else { panic!("not plain") };
    let (chained, wal) = (&chain[0], wal.unwrap());
    assert!(chained.has_manifest);
    let placed = &chained.tablespaces[0];
    let segments = pgdrill_repository::barman::wal_files(&wal.path, from.as_deref()).unwrap();
    let mut arguments = vec![
        format!("{room}/by-hand"),
        chained.data.to_str().unwrap().to_owned(),
        placed.oid.to_string(),
        placed.files.as_ref().unwrap().to_str().unwrap().to_owned(),
        BIN.to_owned(),
    ];
    arguments.extend(segments.iter().map(|file| file.path.to_str().unwrap().to_owned()));
    let script = "
        hand=$1 bin=$5
        mkdir \"$hand\" \"$hand/wal\" \"$hand/socket\"
        cp -r \"$2\" \"$hand/data\"
        cp -r \"$4\" \"$hand/$3\"
        ln -sfn \"$hand/$3\" \"$hand/data/pg_tblspc/$3\"
        chmod 700 \"$hand/data\"
        shift 5
        for file; do gzip -dc <\"$file\" >\"$hand/wal/$(basename \"$file\")\"; done
        cat >>\"$hand/data/postgresql.auto.conf\" <<END
archive_mode = off
unix_socket_directories = '$hand/socket'
restore_command = 'cp $hand/wal/%f %p'
recovery_target_action = 'promote'
END
        touch \"$hand/data/recovery.signal\"
        rm -f \"$hand/data/tablespace_map\"
        \"$bin/pg_ctl\" -D \"$hand/data\" -l \"$hand/log\" -w start >/dev/null || { cat \"$hand/log\"; exit 1; }
        \"$bin/psql\" -h \"$hand/socket\" -U postgres -d trading -XAtc 'SELECT count(*) FROM \"Order\"' \
            -c 'SELECT count(*) FROM audit.log' || true
        \"$bin/pg_ctl\" -D \"$hand/data\" -m immediate -w stop >/dev/null";
    let said = as_postgres(script, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["100", "2"], "{said}");
}
