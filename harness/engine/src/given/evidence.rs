//! A backup that was there already, described as one that a drill takes would be.

use std::path::Path;

use pgdrill_backup::standing::Standing;
use pgdrill_backup::verify::Format;
use pgdrill_backup::wal::aim::Origin;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_model::evidence::{BackupEvidence, HeldEvidence, SourceEvidence};
use pgdrill_model::scenario::{Backup, BackupFormat, BackupFrom, Given, WalMethod};
use pgdrill_model::units::Lsn;
use pgdrill_repository::{Backup as Picked, Found, Held};

use super::chain::Link;
use super::{Taken, wal};

/// How it is restored and replayed.
pub fn how(standing: &Standing) -> Backup {
    Backup {
        format: match standing.format {
            Format::Plain => BackupFormat::Plain,
            Format::Tar => BackupFormat::Tar,
        },
        wal: if standing.own_wal.as_ref().is_some_and(wal::has_segments) {
            WalMethod::Stream
        } else {
            WalMethod::None
        },
        from: match &standing.label {
            Some(label) if label.is_from_standby() => BackupFrom::Standby,
            _ => BackupFrom::Primary,
        },
        ..Backup::BARE
    }
}

/// What there was to choose from.
pub fn source(given: &Given, found: &Found, picked: &Picked) -> SourceEvidence {
    let held = |backup: &Picked| HeldEvidence {
        label: backup.label.clone(),
        unix_us: backup.time_us(),
        upon: backup.prior.clone(),
        unfit: found.why_unfit(backup),
    };
    SourceEvidence {
        name: given.source(),
        kind: found.kind.words().to_owned(),
        taken: picked.label.clone(),
        backups: found.backups.iter().map(held).collect(),
    }
}

/// What a report tells of one that it is built on.
pub fn prior(link: &Link, picked: &Picked, standing: &Standing, origin: Origin) -> BackupEvidence {
    let how = Backup { incremental: picked.prior.is_some(), ..how(standing) };
    told((&link.name, &picked.path), how, Some(origin), picked, Some(standing))
}

/// What a report tells of it.
pub fn of(taken: &Taken, picked: &Picked, standing: Option<&Standing>, took_us: u64) -> BackupEvidence {
    BackupEvidence { took_us, ..told((&taken.name, &taken.path), taken.how, taken.origin, picked, standing) }
}

fn told(
    (name, path): (&str, &Path),
    how: Backup,
    origin: Option<Origin>,
    picked: &Picked,
    standing: Option<&Standing>,
) -> BackupEvidence {
    let manifest = standing.and_then(|standing| standing.manifest.as_ref());
    let (tool, format, compress) = match &picked.held {
        Held::PgBackRest(held) => {
            ("pgBackRest", held.kind.clone(), held.compression.clone().unwrap_or_else(|| "none".to_owned()))
        }
        Held::Dump(dump) => ("pg_dump", dump.form.words().to_owned(), "none".to_owned()),
        held => {
            let packed = standing.and_then(|standing| standing.base.as_ref()?.packed.program());
            let tool = if matches!(held, Held::Barman(_)) { "Barman" } else { "" };
            (tool, how.format.name().to_owned(), packed.unwrap_or("none").to_owned())
        }
    };
    let nowhere = Place { timeline: 0, position: 0 };
    let (begin, end, ended_unix_us) =
        origin.map_or((nowhere, nowhere, 0), |origin| (origin.begin, origin.end, origin.ended_unix_us));
    BackupEvidence {
        name: name.to_owned(),
        path: Some(path.to_owned()),
        label: Some(picked.label.clone()),
        tool: tool.to_owned(),
        format,
        compress,
        wal: if standing.is_some() { how.wal.name().to_owned() } else { String::new() },
        from: match how.from {
            BackupFrom::Primary => "primary".to_owned(),
            BackupFrom::Standby => "standby".to_owned(),
        },
        incremental_of: picked.prior.clone(),
        bytes: standing.map_or(picked.stored_bytes.unwrap_or(0), |standing| standing.bytes),
        files: manifest.map_or(0, |(manifest, _)| manifest.files.len() as u64),
        content_bytes: manifest.map_or(picked.bytes.unwrap_or(0), |(manifest, _)| manifest.files.bytes()),
        manifest_sha256: manifest.map(|(_, sha256)| sha256.clone()).unwrap_or_default(),
        start_lsn: Lsn(begin.position),
        end_lsn: Lsn(end.position),
        ended_unix_us: picked.finished_us.unwrap_or(ended_unix_us),
        timeline: begin.timeline,
        ..BackupEvidence::default()
    }
}
