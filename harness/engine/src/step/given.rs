//! `backup` of one that is there already: it is looked at where it lies, and nothing is written there. The loss from which a
//! recovery is counted is the moment at which somebody goes and fetches it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pgdrill_backup::standing::{self, NoBackup, Standing};
use pgdrill_backup::verify::Format;
use pgdrill_backup::wal::aim::Origin;
use pgdrill_backup::wal::target::Consistent;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::scenario::{Archive, Backup, BackupFormat, BackupFrom, Given, WalMethod};
use pgdrill_model::units::{Lsn, Major, show_bytes};
use pgdrill_model::witness::Entry;
use pgdrill_repository::{
    Backup as Picked, Found, Held, Layout, NotABackup, Options, Passphrase, Pick, WalPlace, look_with,
    pgbackrest,
};

use crate::archiving;
use crate::drill::{Drill, Lost, on_a_thread};
use crate::given::{Made, Seen, TOGETHER, Taken, view, wal as of_wal, with_tablespaces};

/// With what an encrypted repository of pgBackRest can be read.
const PASSPHRASE: &str = "PGBACKREST_REPO1_CIPHER_PASS";

/// How many times the size of its tars a compressed backup may have, where no manifest says it.
const UNPACKED: u64 = 4;

pub(super) async fn run(drill: &mut Drill<'_>, name: &str, given: &Given) -> Result<Vec<Finding>, Unable> {
    let began = drill.clock.elapsed();
    let key = std::env::var(PASSPHRASE).ok().map(Passphrase::new);
    let (path, options) = (given.path.clone(), Options { key: key.clone() });
    let found = match on_a_thread(move || look_with(&path, &options)).await? {
        Ok(found) => found,
        Err(why) => return no_backup(&why).map(|finding| vec![finding]),
    };
    let (found, picked) = pick(found, given, drill.seed)?;
    expect_major(drill, &picked)?;
    let layout = match found.layout(&picked) {
        Ok(layout) => layout,
        // It is there, and says itself that it is no good, or lacks what it builds upon.
        Err(why) if found.why_unfit(&picked).is_some() => {
            let finding = Finding::new(Code::BackupUnfit, Stage::Backup, why.message).about(&picked.label);
            return Ok(vec![finding.hint(why.hint)]);
        }
        Err(why) => return Err(Unable::new(Code::NotABackup, why.message).hint(why.hint)),
    };
    expect_room(drill, &picked)?;
    archiving::prepare(drill.workspace, &Archive::default(), drill.run_id)?;
    let wal = archived(drill, given, (&found, &picked, &layout), key).await?;
    let directories: Vec<PathBuf> = [picked.path.clone()]
        .into_iter()
        .chain(given.wal.iter().cloned())
        .chain(given.globals.clone())
        .collect();
    let seen =
        on_a_thread(move || directories.iter().map(|root| Seen::of(root)).collect::<Result<Vec<_>, _>>());
    let seen = seen.await?.map_err(|error| Unable::new(Code::BackupUnreadable, error.to_string()))?;
    let taken = Taken {
        name: name.to_owned(),
        path: picked.path.clone(),
        made: Made::Files,
        how: Backup::GIVEN,
        origin: None,
        wal,
        command: given.restore_command.clone(),
        baseline: given.baseline.as_deref().map(baseline).transpose()?,
        witness: given.witness.as_deref().map(witness).transpose()?,
        max_age: given.max_age,
        globals: given.globals.clone(),
        saved: None,
        unfinished: BTreeSet::new(),
        seen,
    };
    let archives = taken.wal.clone();
    let (mut taken, standing) = match &layout {
        Layout::PgBackRest { .. } => (of_pgbackrest(drill, taken, &picked, layout)?, None),
        Layout::Dump { .. } => (Taken { made: Made::Dump(layout), ..taken }, None),
        Layout::Plain { .. } | Layout::Tars { .. } | Layout::OneTar { .. } => {
            match of_files(drill, taken, &layout, &picked).await? {
                Ok((taken, standing)) => (taken, Some(standing)),
                Err(finding) => return Ok(vec![*finding]),
            }
        }
        Layout::WalG { .. } => {
            let message = "a backup of WAL-G is restored by WAL-G, which pgdrill does not run";
            let hint = "fetch it with `wal-g backup-fetch DIR NAME`, and prove DIR with `--restore-command 'wal-g wal-fetch %f %p'`";
            return Err(Unable::new(Code::NotABackup, message).hint(hint));
        }
    };
    let notes = of_wal::unfinished(drill, &mut taken, &archives)?;
    let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    let mut evidence = evidence(&taken, &picked, standing.as_ref(), took_us);
    if taken.path == drill.workspace.path(TOGETHER) {
        evidence.path = Some(picked.path.clone());
    }
    let end = taken.origin.map_or(Place { timeline: 1, position: 0 }, |origin| origin.end);
    drill.timeline = taken.origin.map_or(1, |origin| origin.begin.timeline);
    drill.backups.insert(name.to_owned(), evidence.clone());
    drill.recorder.measured(Evidence::Backup(evidence));
    drill.given = Some(taken);
    let now = drill.clock.elapsed();
    drill.lost = Some(Lost { at: now, noticed: now, timeline: end.timeline, position: Lsn(end.position) });
    Ok(notes)
}

/// What production held at a moment, from its file.
fn baseline(path: &Path) -> Result<crate::live::baseline::Baseline, Unable> {
    let unusable = |why: &dyn std::fmt::Display| {
        Unable::new(Code::OracleUnusable, format!("the baseline {} cannot be used: {why}", path.display()))
    };
    crate::live::baseline::open(&fs::read(path).map_err(|error| unusable(&error))?)
        .map_err(|why| unusable(&why))
}

/// What production was told of its beats, from its file.
fn witness(path: &Path) -> Result<Vec<Entry>, Unable> {
    let unusable = |why: &dyn std::fmt::Display| {
        Unable::new(
            Code::OracleUnusable,
            format!("the witness file {} cannot be used: {why}", path.display()),
        )
    };
    let contents = crate::live::witness::read(path).map_err(|error| unusable(&error))?;
    match contents.unreadable.first() {
        Some((line, why)) => Err(unusable(&format!("line {line}: {why}"))),
        None => Ok(contents.entries),
    }
}

/// What it means that a path holds no backup: part of one, or one that is damaged, is a backup that is not good.
fn no_backup(why: &NotABackup) -> Result<Finding, Unable> {
    match why {
        NotABackup::HalfCopied { .. } | NotABackup::Damaged { .. } => {
            Ok(Finding::new(Code::BackupUnfit, Stage::Backup, why.to_string()).hint(why.hint()))
        }
        NotABackup::Denied { .. } | NotABackup::Unreadable { .. } => {
            Err(Unable::new(Code::BackupUnreadable, why.to_string()).hint(why.hint()))
        }
        _ => Err(Unable::new(Code::NotABackup, why.to_string()).hint(why.hint())),
    }
}

/// The backup that is meant.
fn pick(found: Found, given: &Given, seed: u64) -> Result<(Found, Picked), Unable> {
    let found = match &given.server {
        Some(server) => found.of_server(server),
        None => found,
    };
    let wanted = Pick::read(given.backup.as_deref().unwrap_or("newest"), seed);
    let picked = match wanted.of(&found) {
        Ok(picked) => picked.last().map(|picked| (*picked).clone()),
        Err(why) => return Err(Unable::new(Code::NotABackup, why.message).hint(why.hint)),
    };
    let picked = picked.ok_or_else(|| Unable::bug("a pick of no backup"))?;
    Ok((found, picked))
}

/// Directories in which its archived WAL lies, as PostgreSQL names it.
async fn archived(
    drill: &Drill<'_>,
    given: &Given,
    (found, picked, layout): (&Found, &Picked, &Layout),
    key: Option<Passphrase>,
) -> Result<Vec<PathBuf>, Unable> {
    let mut wal = Vec::new();
    for directory in &given.wal {
        let found = of_wal::archives(directory);
        wal.extend(found.map_err(|error| Unable::new(Code::BackupUnreadable, error.to_string()))?);
    }
    if given.restore_command.is_some() {
        wal.push(drill.workspace.path(archiving::WAL));
    }
    let (place, from) = match layout {
        Layout::Plain { wal, from, .. } | Layout::Tars { wal, from, .. } => (wal.clone(), from.as_deref()),
        Layout::PgBackRest { .. } => {
            let Held::PgBackRest(held) = &picked.held else {
                return Err(Unable::bug("a backup of pgBackRest is described as another"));
            };
            // Each database that the stanza had has a place of its own, `VERSION-NUMBER`.
            let own = |place: &&WalPlace| {
                let name = place.path.file_name().and_then(|name| name.to_str());
                let number = name.and_then(|name| name.rsplit_once('-')?.1.parse().ok());
                place.server == picked.server && (held.database.is_none() || number == held.database)
            };
            (found.wal.iter().find(own).cloned(), held.archive_start.as_deref())
        }
        _ => (None, None),
    };
    if let (Some(place), true) = (place, wal.is_empty()) {
        let key = match (layout, key) {
            (Layout::PgBackRest { repository, stanza, passphrase: Some(_), .. }, Some(key)) => {
                let key = pgbackrest::of_wal(repository, stanza, &key);
                Some(key.map_err(|why| Unable::new(Code::BackupUnreadable, why.to_string()))?)
            }
            _ => None,
        };
        wal.extend(view(drill, &place, from, key).await?);
    }
    Ok(wal)
}

/// A backup whose files pgdrill restores itself; a finding where they do not say from where it must be recovered.
async fn of_files(
    drill: &mut Drill<'_>,
    taken: Taken,
    layout: &Layout,
    picked: &Picked,
) -> Result<Result<(Taken, Standing), Box<Finding>>, Unable> {
    let path = match layout {
        Layout::Plain { chain, .. } => match chain.as_slice() {
            [one] => with_tablespaces(drill, one)?,
            _ => return Err(incremental(picked)),
        },
        Layout::Tars { chain, .. } => match chain.as_slice() {
            [parts] => parts.first().and_then(|base| base.path.parent()).unwrap_or(&picked.path).to_owned(),
            _ => return Err(incremental(picked)),
        },
        _ => {
            let message = format!("{} is one tar, and not those of pg_basebackup", picked.path.display());
            let hint = "unpack it into an empty directory, and prove that";
            return Err(Unable::new(Code::NotABackup, message).hint(hint));
        }
    };
    let looked_at = path.clone();
    let standing = match on_a_thread(move || standing::look(&looked_at)).await? {
        Ok(standing) => standing,
        Err(NoBackup::Unreadable(error)) => {
            return Err(Unable::new(Code::BackupUnreadable, error.to_string()));
        }
        Err(half @ NoBackup::Half { .. }) => {
            return Ok(Err(Box::new(Finding::new(Code::BackupUnfit, Stage::Backup, half.to_string()))));
        }
        Err(other) => return Err(Unable::new(Code::NotABackup, other.to_string())),
    };
    let origin = match origin(&path, &standing)? {
        Ok(origin) => origin,
        Err(finding) => return Ok(Err(finding)),
    };
    let mut wal = taken.wal;
    let own = of_wal::own_wal(drill, &standing).await?;
    let saved = own.clone().filter(|_| standing.label.is_none());
    wal.extend(own);
    drill.made.wal_segment_megabytes = of_wal::segment_size(standing.control.as_ref(), &wal)? >> 20;
    let how = how(&standing);
    Ok(Ok((Taken { path, how, origin: Some(origin), wal, saved, ..taken }, standing)))
}

fn incremental(picked: &Picked) -> Unable {
    let message = format!("{} is an incremental backup, of several that must be combined", picked.label);
    Unable::new(Code::NotABackup, message)
        .hint("combine them first, with pg_combinebackup, and prove what comes of it")
}

/// A backup that pgBackRest restores.
fn of_pgbackrest(
    drill: &mut Drill<'_>,
    taken: Taken,
    picked: &Picked,
    layout: Layout,
) -> Result<Taken, Unable> {
    let from_standby = matches!(&picked.held, Held::PgBackRest(held) if held.from_standby);
    let (Some(timeline), Some(Lsn(start)), Some(Lsn(stop))) = (picked.timeline, picked.start, picked.stop)
    else {
        let message = format!("nothing says where the WAL begins and ends that {} needs", picked.label);
        return Err(
            Unable::new(Code::NotABackup, message).hint("only backups of a running server are proven")
        );
    };
    let origin = Origin {
        begin: Place { timeline, position: start },
        end: Place { timeline, position: stop },
        consistent: if from_standby { Consistent::At(stop) } else { Consistent::AtBackupEnd { start } },
        ended_unix_us: picked.finished_us.unwrap_or(0),
    };
    drill.made.wal_segment_megabytes = of_wal::segment_size(None, &taken.wal)? >> 20;
    Ok(Taken { made: Made::PgBackRest(layout), origin: Some(origin), ..taken })
}

/// How recovery begins from a backup; a finding where nothing says so.
fn origin(path: &Path, standing: &Standing) -> Result<Result<Origin, Box<Finding>>, Unable> {
    let Some(label) = &standing.label else {
        // One of a server that was shut down needs none.
        if let Some(control) = standing.control.as_ref().filter(|control| control.is_shut_down()) {
            let whole = control.redo.max(control.min_recovery_point);
            return Ok(Ok(Origin {
                begin: Place { timeline: control.timeline, position: control.redo },
                end: Place { timeline: control.timeline, position: whole },
                consistent: Consistent::At(whole),
                ended_unix_us: control.modified.saturating_mul(1_000_000),
            }));
        }
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

/// Refuses to recover it by another major than its own. A dump may be loaded into a later one.
fn expect_major(drill: &Drill<'_>, picked: &Picked) -> Result<(), Unable> {
    let fits = match (&picked.held, picked.major) {
        (_, None) => true,
        (Held::Dump(_), Some(major)) => major <= drill.postgres,
        (_, Some(major)) => major == drill.postgres,
    };
    if fits {
        return Ok(());
    }
    let major = picked.major.map_or_else(String::new, |major| major.to_string());
    if picked.major.is_some_and(|major| major < Major::OLDEST) {
        let message = format!("{} is of PostgreSQL {major}", picked.path.display());
        let hint = format!("only backups of PostgreSQL {} and later can be proven", Major::OLDEST);
        return Err(Unable::new(Code::MajorOutOfRange, message).hint(hint));
    }
    let message =
        format!("{} is of PostgreSQL {major}, and {} was asked for", picked.path.display(), drill.postgres);
    Err(Unable::new(Code::MajorOutOfRange, message).hint(format!(
        "install the server of PostgreSQL {major}, or its image, and say `postgres: {major}` in the scenario"
    )))
}

/// Refuses to begin what would not find room.
fn expect_room(drill: &Drill<'_>, picked: &Picked) -> Result<(), Unable> {
    let needed = picked.bytes.or_else(|| picked.stored_bytes.map(|bytes| bytes.saturating_mul(UNPACKED)));
    let (needed, free) = (needed.unwrap_or(0), drill.workspace.free());
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

/// What the backup is, as one that the drill takes would be described.
fn how(standing: &Standing) -> Backup {
    Backup {
        format: match standing.format {
            Format::Plain => BackupFormat::Plain,
            Format::Tar => BackupFormat::Tar,
        },
        wal: if standing.own_wal.as_ref().is_some_and(of_wal::has_segments) {
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

fn evidence(taken: &Taken, picked: &Picked, standing: Option<&Standing>, took_us: u64) -> BackupEvidence {
    let manifest = standing.and_then(|standing| standing.manifest.as_ref());
    let (tool, format, compress) = match &picked.held {
        Held::PgBackRest(held) => {
            ("pgBackRest", held.kind.clone(), held.compression.clone().unwrap_or_else(|| "none".to_owned()))
        }
        Held::Dump(dump) => ("pg_dump", dump.form.words().to_owned(), "none".to_owned()),
        held => {
            let packed = standing.and_then(|standing| standing.base.as_ref()?.packed.program());
            let tool = if matches!(held, Held::Barman(_)) { "Barman" } else { "" };
            (tool, taken.how.format.name().to_owned(), packed.unwrap_or("none").to_owned())
        }
    };
    let nowhere = Place { timeline: 0, position: 0 };
    let (begin, end, ended_unix_us) =
        taken.origin.map_or((nowhere, nowhere, 0), |origin| (origin.begin, origin.end, origin.ended_unix_us));
    BackupEvidence {
        name: taken.name.clone(),
        path: Some(taken.path.clone()),
        label: Some(picked.label.clone()),
        tool: tool.to_owned(),
        format,
        compress,
        compress_side: String::new(),
        compress_detail: String::new(),
        wal: if standing.is_some() { taken.how.wal.name().to_owned() } else { String::new() },
        manifest_checksums: String::new(),
        from: match taken.how.from {
            BackupFrom::Primary => "primary".to_owned(),
            BackupFrom::Standby => "standby".to_owned(),
        },
        incremental_of: picked.prior.clone(),
        tablespaces: 0,
        tablespace_bytes: 0,
        bytes: standing.map_or(picked.stored_bytes.unwrap_or(0), |standing| standing.bytes),
        files: manifest.map_or(0, |(manifest, _)| manifest.files.len() as u64),
        content_bytes: manifest.map_or(picked.bytes.unwrap_or(0), |(manifest, _)| manifest.files.bytes()),
        manifest_sha256: manifest.map(|(_, sha256)| sha256.clone()).unwrap_or_default(),
        start_lsn: Lsn(begin.position),
        end_lsn: Lsn(end.position),
        ended_unix_us: picked.finished_us.unwrap_or(ended_unix_us),
        timeline: begin.timeline,
        took_us,
    }
}
