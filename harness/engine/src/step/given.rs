//! `backup` of one that is there already: it is looked at where it lies, and nothing is written there. The loss from which a
//! recovery is counted is the moment at which somebody goes and fetches it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pgdrill_backup::standing::{self, NoBackup, OwnWal, Standing};
use pgdrill_backup::verify::Format;
use pgdrill_backup::wal::Store;
use pgdrill_backup::wal::aim::Origin;
use pgdrill_backup::wal::target::Consistent;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_backup::{Unreadable, parts::Packed, parts::Part, tarball, unpack};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::scenario::{Archive, Backup, BackupFormat, BackupFrom, Given, WalMethod};
use pgdrill_model::units::{Lsn, show_bytes};
use pgdrill_ondisk::wal::Segments;

use crate::archiving;
use crate::drill::{Drill, Lost, on_a_thread};
use crate::given::{OWN_WAL, Seen, Taken};
use crate::workspace::trouble;

/// How many times the size of its tars a compressed backup may have, where no manifest says it.
const UNPACKED: u64 = 4;

pub(super) async fn run(drill: &mut Drill<'_>, name: &str, given: &Given) -> Result<Vec<Finding>, Unable> {
    let began = drill.clock.elapsed();
    let path = fs::canonicalize(&given.path)
        .map_err(|error| Unable::new(Code::NotABackup, format!("{}: {error}", given.path.display())))?;
    let looked_at = path.clone();
    let standing = match on_a_thread(move || standing::look(&looked_at)).await? {
        Ok(standing) => standing,
        Err(NoBackup::Unreadable(error)) => {
            return Err(Unable::new(Code::BackupUnreadable, error.to_string()));
        }
        Err(half @ NoBackup::Half { .. }) => {
            return Ok(vec![Finding::new(Code::BackupUnfit, Stage::Backup, half.to_string())]);
        }
        Err(other) => return Err(Unable::new(Code::NotABackup, other.to_string())),
    };
    let origin = match origin(&path, &standing)? {
        Ok(origin) => origin,
        Err(finding) => return Ok(vec![*finding]),
    };
    expect_major(drill, &path, &standing)?;
    expect_room(drill, &standing)?;
    archiving::prepare(drill.workspace, &Archive::default(), drill.run_id)?;
    let mut seen = vec![path.clone()];
    let mut wal = Vec::new();
    for directory in &given.wal {
        let found =
            archives(directory).map_err(|error| Unable::new(Code::BackupUnreadable, error.to_string()))?;
        seen.extend(found.iter().cloned());
        wal.extend(found);
    }
    if given.restore_command.is_some() {
        wal.push(drill.workspace.path(archiving::WAL));
    }
    wal.extend(own_wal(drill, &standing).await?);
    let directories = seen.clone();
    let seen =
        on_a_thread(move || directories.iter().map(|root| Seen::of(root)).collect::<Result<Vec<_>, _>>());
    let seen = seen.await?.map_err(|error| Unable::new(Code::BackupUnreadable, error.to_string()))?;
    drill.made.wal_segment_megabytes = segment_size(&standing, &wal)? >> 20;
    let how = how(&standing);
    let command = given.restore_command.clone();
    let taken = Taken { name: name.to_owned(), path, how, origin, wal, command, seen };
    let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    let evidence = evidence(&taken, &standing, took_us);
    drill.timeline = origin.begin.timeline;
    drill.backups.insert(name.to_owned(), evidence.clone());
    drill.recorder.measured(Evidence::Backup(evidence));
    drill.given = Some(taken);
    let now = drill.clock.elapsed();
    drill.lost = Some(Lost {
        at: now,
        noticed: now,
        timeline: origin.end.timeline,
        position: Lsn(origin.end.position),
    });
    Ok(Vec::new())
}

/// How recovery begins from a backup; a finding where nothing says so.
fn origin(path: &Path, standing: &Standing) -> Result<Result<Origin, Box<Finding>>, Unable> {
    let Some(label) = &standing.label else {
        let message = format!(
            "{} has no backup_label that could be read: a server would begin its recovery at the wrong place, and not say so",
            path.display()
        );
        return Ok(Err(Box::new(
            Finding::new(Code::BackupUnfit, Stage::Backup, message).about("backup_label"),
        )));
    };
    if standing::is_incremental(standing) {
        let message = format!(
            "{} is an incremental backup, which is none without those that it builds upon",
            path.display()
        );
        let hint = "combine them first, with pg_combinebackup, and prove what comes of it";
        return Err(Unable::new(Code::NotABackup, message).hint(hint));
    }
    let begin = Place { timeline: label.timeline, position: label.start };
    let end = standing
        .manifest
        .as_ref()
        .and_then(|(manifest, _)| manifest.wal.iter().max_by_key(|range| range.end));
    let end = end.map(|range| Place { timeline: range.timeline, position: range.end });
    // One from a standby has no record of its end (`do_pg_backup_stop`, `xlog.c`).
    let consistent = match (label.is_from_standby(), end, &standing.control) {
        (false, ..) => Consistent::AtBackupEnd { start: label.start },
        (true, Some(end), _) => Consistent::At(end.position),
        (true, None, Some(control)) => Consistent::At(control.min_recovery_point),
        (true, None, None) => {
            let message = format!(
                "{} was taken from a standby, in tars and without a manifest: nothing says where it ends",
                path.display()
            );
            return Err(
                Unable::new(Code::NotABackup, message).hint("put its backup_manifest beside its tars")
            );
        }
    };
    let checkpoint = standing.control.as_ref().map_or(0, |control| control.checkpoint_time);
    Ok(Ok(Origin {
        begin,
        // Without a manifest only a record of the WAL says where it ended.
        end: end.unwrap_or(begin),
        consistent,
        ended_unix_us: checkpoint.saturating_mul(1_000_000),
    }))
}

/// Refuses to recover it by another major than its own.
fn expect_major(drill: &Drill<'_>, path: &Path, standing: &Standing) -> Result<(), Unable> {
    match standing.major {
        Some(major) if major != u32::from(drill.postgres.0) => {
            let message =
                format!("{} is of PostgreSQL {major}, and {} was asked for", path.display(), drill.postgres);
            Err(Unable::new(Code::MajorOutOfRange, message)
                .hint(format!("say `postgres: {major}` in the scenario")))
        }
        _ => Ok(()),
    }
}

/// Refuses to begin what would not find room.
fn expect_room(drill: &Drill<'_>, standing: &Standing) -> Result<(), Unable> {
    let packed = standing.base.as_ref().is_some_and(|base| base.packed != Packed::No);
    let needed = match &standing.manifest {
        Some((manifest, _)) => manifest.files.bytes(),
        None if packed => standing.bytes.saturating_mul(UNPACKED),
        None => standing.bytes,
    };
    let free = drill.workspace.free();
    if needed <= free {
        return Ok(());
    }
    let message = format!(
        "the backup takes about {} once it is unpacked in {}, and {} are free",
        show_bytes(needed),
        drill.workspace.base().display(),
        show_bytes(free)
    );
    Err(Unable::new(Code::DiskFull, message).hint("name another disk with --workspace"))
}

/// The directories of an archive: itself, and those into which tools sort segments, by the first sixteen digits of their names.
fn archives(directory: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let unreadable = |error: io::Error| Unreadable { path: directory.to_owned(), what: error.to_string() };
    let directory = fs::canonicalize(directory).map_err(unreadable)?;
    let mut found = vec![directory.clone()];
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let sorted = name.len() == 16 && name.to_string_lossy().bytes().all(|byte| byte.is_ascii_hexdigit());
        if sorted && entry.file_type().map_err(unreadable)?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The directory with the WAL that a backup brings; what lies in a tar is unpacked.
async fn own_wal(drill: &Drill<'_>, standing: &Standing) -> Result<Option<PathBuf>, Unable> {
    let part = match &standing.own_wal {
        None => return Ok(None),
        Some(OwnWal::Directory(directory)) => return Ok(Some(directory.clone())),
        Some(OwnWal::Tar(part)) => part.clone(),
    };
    drill.workspace.make_dir(Path::new(OWN_WAL))?;
    let into = drill.workspace.path(OWN_WAL);
    let directory = into.clone();
    on_a_thread(move || unpack_wal(&part, &into)).await?.map_err(|error| trouble(&directory, &error))?;
    Ok(Some(directory))
}

/// Unpacks the files of WAL in a tar. What is wrong with the tar is for the verification to say.
fn unpack_wal(part: &Part, into: &Path) -> io::Result<()> {
    let mut trouble = None;
    let _ = tarball::read(unpack::of_part(part)?, |member, content| {
        let name = member.path.as_deref().and_then(|path| std::str::from_utf8(path).ok());
        let Some(name) = name.filter(|name| member.kind == tarball::Kind::File && is_of_wal(name)) else {
            return Ok(());
        };
        let written = fs::File::create(into.join(name)).and_then(|mut file| io::copy(content, &mut file));
        trouble = written.err();
        if trouble.is_some() { Err(io::Error::other("cannot be written")) } else { Ok(()) }
    });
    trouble.map_or(Ok(()), Err)
}

fn is_of_wal(name: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (name.len() == 24 && hex(name))
        || name.strip_suffix(".history").is_some_and(|stem| stem.len() == 8 && hex(stem))
}

/// Bytes of a segment: by the control file, else by what the WAL says.
fn segment_size(standing: &Standing, wal: &[PathBuf]) -> Result<u32, Unable> {
    if let Some(control) = &standing.control {
        return Ok(control.wal_segment_size);
    }
    let directories: Vec<&Path> = wal.iter().map(PathBuf::as_path).collect();
    let store =
        Store::open(&directories).map_err(|error| Unable::new(Code::BackupUnreadable, error.to_string()))?;
    Ok(store.with_compressed().segment_size())
}

/// What the backup is, as one that the drill takes would be described.
fn how(standing: &Standing) -> Backup {
    Backup {
        format: match standing.format {
            Format::Plain => BackupFormat::Plain,
            Format::Tar => BackupFormat::Tar,
        },
        wal: if standing.own_wal.as_ref().is_some_and(has_segments) {
            WalMethod::Stream
        } else {
            WalMethod::None
        },
        from: match &standing.label {
            Some(label) if label.is_from_standby() => BackupFrom::Standby,
            _ => BackupFrom::Primary,
        },
        ..Backup::GIVEN
    }
}

/// Whether there is any WAL: an empty directory belongs to every backup.
fn has_segments(own: &OwnWal) -> bool {
    match own {
        OwnWal::Tar(_) => true,
        OwnWal::Directory(directory) => fs::read_dir(directory).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| is_of_wal(&entry.file_name().to_string_lossy())))
        }),
    }
}

fn evidence(taken: &Taken, standing: &Standing, took_us: u64) -> BackupEvidence {
    let manifest = standing.manifest.as_ref();
    let packed = match standing.base.as_ref().map(|base| base.packed) {
        None | Some(Packed::No) => "none",
        Some(packed) => packed.program().unwrap_or("none"),
    };
    let Origin { begin, end, ended_unix_us, .. } = taken.origin;
    BackupEvidence {
        name: taken.name.clone(),
        path: Some(taken.path.clone()),
        tool: String::new(),
        format: taken.how.format.name().to_owned(),
        compress: packed.to_owned(),
        compress_side: String::new(),
        compress_detail: String::new(),
        wal: taken.how.wal.name().to_owned(),
        manifest_checksums: String::new(),
        from: match taken.how.from {
            BackupFrom::Primary => "primary".to_owned(),
            BackupFrom::Standby => "standby".to_owned(),
        },
        incremental_of: None,
        tablespaces: 0,
        tablespace_bytes: 0,
        bytes: standing.bytes,
        files: manifest.map_or(0, |(manifest, _)| manifest.files.len() as u64),
        content_bytes: manifest.map_or(0, |(manifest, _)| manifest.files.bytes()),
        manifest_sha256: manifest.map(|(_, sha256)| sha256.clone()).unwrap_or_default(),
        start_lsn: Lsn(begin.position),
        end_lsn: Lsn(end.position),
        ended_unix_us,
        timeline: begin.timeline,
        took_us,
    }
}
