//! A backup by pgBackRest: what may be said of one, and what only `pg_basebackup` has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::{Backup, BackupTool, WalMethod};
use super::compress::{Compress, Method, Side};
use super::file::BackupArguments;
use super::mistake::{Note, Span};

/// The lowest level of Zstandard that pgBackRest has (`src/build/config/config.yaml`).
const LOWEST_ZSTD: i32 = -7;

/// What a backup by pgBackRest holds, by pgBackRest's own words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupKind {
    /// All files.
    Full,
    /// What changed since the last full backup.
    Diff,
    /// What changed since the last backup of any type.
    Incr,
}

impl BackupKind {
    /// Its name in the scenario language, for the program, and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Diff => "diff",
            Self::Incr => "incr",
        }
    }
}

/// The backup by pgBackRest that `arguments` mean, after the backups `before` it. What makes no sense is noted.
pub(super) fn meaning(
    arguments: BackupArguments,
    span: Span,
    before: &[Backup],
    notes: &mut Vec<Note>,
) -> Backup {
    let others = [
        ("format", arguments.format.span(), "leave it out: a repository has one form"),
        ("wal", arguments.wal.span(), "leave it out: the archive has the WAL"),
        ("manifest", arguments.manifest.span(), "leave it out: pgBackRest takes SHA-1 of each file"),
        ("checkpoint", arguments.checkpoint.span(), "leave it out: the checkpoint is made at once"),
        (
            "verify-checksums",
            arguments.verify_checksums.span(),
            "leave it out: pgBackRest verifies pages that have checksums",
        ),
        ("max-rate", arguments.max_rate.span(), "leave it out"),
        ("from", arguments.from.span(), "leave it out: the server that is there is backed up"),
        ("incremental", arguments.incremental.span(), "write `type: incr`, or `type: diff`"),
    ];
    notes.extend(arguments.jobs.span().map(|at| {
        Note::new(at, "`jobs` is of pg_dump, and pgBackRest takes this backup")
            .hint("leave it out: pgBackRest takes as many processes as there are processors")
    }));
    for (name, at, hint) in others {
        notes.extend(at.map(|at| {
            Note::new(at, format!("`{name}` is of pg_basebackup, and pgBackRest takes this backup"))
                .hint(hint)
        }));
    }
    let at_kind = arguments.kind.span();
    let kind = arguments.kind.what().unwrap_or(BackupKind::Full);
    let upon = before.last().filter(|_| kind != BackupKind::Full).map(|upon| upon.compress);
    let at_compress = arguments.compress.span();
    let compress = arguments.compress.what().unwrap_or(upon.unwrap_or(Compress::GZIP));
    if let Some(at) = at_compress {
        if let Some((message, hint)) = beyond(compress) {
            notes.push(Note::new(at, message).hint(hint));
        }
        // Else it warns, and takes the method of the full one (`backupBuildIncrPrior`, `src/command/backup/backup.c`).
        if let Some(upon) = upon.filter(|upon| upon.method != compress.method) {
            let (name, method) = (kind.name(), upon.method.name());
            notes.push(
                Note::new(
                    at,
                    format!("pgBackRest packs a backup of type {name} as the full one before it: {method}"),
                )
                .hint("leave `compress` out, or change its level alone"),
            );
        }
    }
    if kind != BackupKind::Full && before.is_empty() {
        let what = match kind {
            BackupKind::Diff => "a differential backup without a full one before it",
            _ => "an incremental backup without a backup before it",
        };
        notes.push(
            Note::new(at_kind.unwrap_or(span), what).hint(
                "pgBackRest would take a full one instead: write a `- backup` of `type: full` above it",
            ),
        );
    }
    Backup {
        tool: BackupTool::PgBackRest,
        compress,
        wal: WalMethod::None,
        verify_checksums: true,
        incremental: kind != BackupKind::Full,
        kind,
        bundle: arguments.bundle.what().is_some_and(|switch| switch.0),
        ..Backup::BARE
    }
}

/// What of a compression pgBackRest does not have.
fn beyond(compress: Compress) -> Option<(&'static str, &'static str)> {
    if compress.method == Method::None {
        return None;
    }
    if compress.side == Side::Server {
        return Some((
            "the server compresses for pg_basebackup; pgBackRest does it itself",
            "leave `server-` out",
        ));
    }
    if compress.workers.is_some() || compress.long {
        return Some((
            "pgBackRest gives zstd neither workers nor long",
            "write the level alone, as in zstd:3",
        ));
    }
    if compress.level.is_some_and(|level| level < LOWEST_ZSTD) {
        return Some(("pgBackRest does not have this level of zstd", "write one of -7 to 22"));
    }
    None
}

/// Tells what is said of a backup by `pg_basebackup`, and only pgBackRest has.
pub(super) fn not_of_pg_basebackup(arguments: &BackupArguments, notes: &mut Vec<Note>) {
    let others = [
        (
            "type",
            arguments.kind.span(),
            "write `tool: pgbackrest` beside it; pg_basebackup has `incremental: on`",
        ),
        ("bundle", arguments.bundle.span(), "write `tool: pgbackrest` beside it, or leave it out"),
    ];
    for (name, at, hint) in others {
        notes.extend(at.map(|at| {
            Note::new(at, format!("`{name}` is of pgBackRest, and pg_basebackup takes this backup"))
                .hint(hint)
        }));
    }
}
