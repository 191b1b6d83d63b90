//! A backup by Barman: what may be said of one, what only `pg_basebackup` has, and by what WAL may be archived beside it.

use super::archive::ArchiveBy;
use super::backup::{Backup, BackupFrom, BackupTool, CheckpointMode, ManifestChecksums, WalMethod, first_by};
use super::file::{BackupArguments, File};
use super::given::FromArguments;
use super::mistake::{Lines, Note};
use super::slot::At;

/// The backup by Barman that `arguments` mean: `backup_method = postgres`, by which Barman runs `pg_basebackup` itself. What makes no
/// sense is noted.
pub(super) fn meaning(arguments: BackupArguments, notes: &mut Vec<Note>) -> Backup {
    let others = [
        ("format", arguments.format.span(), "leave it out: Barman keeps the files as they are"),
        ("compress", arguments.compress.span(), "leave it out: Barman keeps the files as they are"),
        ("wal", arguments.wal.span(), "leave it out: the archive has the WAL"),
        (
            "manifest",
            arguments.manifest.span(),
            "leave it out: pg_basebackup takes CRC-32C of each file for Barman",
        ),
        (
            "verify-checksums",
            arguments.verify_checksums.span(),
            "leave it out: the server verifies the pages that it sends to Barman",
        ),
        ("max-rate", arguments.max_rate.span(), "leave it out"),
        ("incremental", arguments.incremental.span(), "leave it out: a drill's backups by Barman are full"),
        ("type", arguments.kind.span(), "leave it out: a drill's backups by Barman are full"),
        ("bundle", arguments.bundle.span(), "leave it out: Barman keeps the files as they are"),
        ("jobs", arguments.jobs.span(), "leave it out: one connection takes the backup"),
    ];
    for (name, at, hint) in others {
        notes.extend(at.map(|at| {
            Note::new(
                at,
                format!("`{name}` is nothing that this drill tells Barman, which takes this backup"),
            )
            .hint(hint)
        }));
    }
    if let Some(At { span, what: FromArguments::Server(BackupFrom::Standby) }) = &arguments.from.0 {
        notes.push(
            Note::new(*span, "a drill's Barman takes its backups from the primary")
                .hint("leave `from` out, or write `from: primary`"),
        );
    }
    Backup {
        tool: BackupTool::Barman,
        wal: WalMethod::None,
        manifest: ManifestChecksums::Crc32c,
        checkpoint: arguments.checkpoint.what().unwrap_or(CheckpointMode::Fast),
        verify_checksums: true,
        ..Backup::BARE
    }
}

/// Tells of an archive that leaves Barman without WAL: it is given what the drill's own `archive_command` archived, and takes no
/// backup of a server that archives nothing (`check_archive`, `barman/server.py`).
pub(super) fn beside(file: &File, lines: &Lines, notes: &mut Vec<Note>) {
    let backup = first_by(file, BackupTool::Barman);
    let by = file.archive.0.as_ref().and_then(|archive| archive.what.by.0.as_ref());
    let (Some(backup), Some(At { span, what: by @ (ArchiveBy::PgBackRest | ArchiveBy::Receivewal) })) =
        (backup, by)
    else {
        return;
    };
    let by = if *by == ArchiveBy::PgBackRest { "pgbackrest" } else { "receivewal" };
    let line = lines.line(backup.start);
    notes.push(
        Note::new(
            *span,
            format!("`by: {by}` beside the backup by Barman on line {line}, which needs an archive_command"),
        )
        .hint("leave `by` out: Barman is given what the drill's own archive_command archived"),
    );
}
