//! A backup by PostgreSQL's low-level API: what may be said of one, and what no other has ("Making a Base Backup Using the Low
//! Level API", chapter "Continuous Archiving" of PostgreSQL's documentation).

use super::backup::{Backup, BackupFrom, BackupTool, CheckpointMode, WalMethod};
use super::file::BackupArguments;
use super::given::FromArguments;
use super::mistake::Note;

/// The backup by the low-level API that `arguments` mean. What makes no sense is noted.
pub(super) fn meaning(arguments: BackupArguments, notes: &mut Vec<Note>) -> Backup {
    let others = [
        ("format", arguments.format.span(), "leave it out: the files are copied as they are"),
        ("compress", arguments.compress.span(), "leave it out: the files are copied as they are"),
        ("wal", arguments.wal.span(), "leave it out: the archive has the WAL"),
        (
            "manifest",
            arguments.manifest.span(),
            "leave it out: only pg_basebackup is sent a manifest by the server",
        ),
        (
            "verify-checksums",
            arguments.verify_checksums.span(),
            "leave it out: the check `verify` reads every page",
        ),
        ("max-rate", arguments.max_rate.span(), "leave it out"),
        ("incremental", arguments.incremental.span(), "leave it out: all files are copied"),
        ("type", arguments.kind.span(), "leave it out: all files are copied"),
        ("bundle", arguments.bundle.span(), "leave it out: the files are copied as they are"),
        ("jobs", arguments.jobs.span(), "leave it out: the files are copied one by one"),
    ];
    for (name, at, hint) in others {
        notes.extend(at.map(|at| {
            Note::new(at, format!("`{name}` says what a program does, and the low-level API has none"))
                .hint(hint)
        }));
    }
    Backup {
        tool: BackupTool::LowLevel,
        wal: WalMethod::None,
        checkpoint: arguments.checkpoint.what().unwrap_or(CheckpointMode::Fast),
        from: match arguments.from.what() {
            Some(FromArguments::Server(server)) => server,
            _ => BackupFrom::Primary,
        },
        snapshot: arguments.snapshot.what().is_some_and(|switch| switch.0),
        ..Backup::BARE
    }
}

/// Tells what is said of a backup by a program, and only the low-level API has.
pub(super) fn not_of_others(arguments: &BackupArguments, tool: BackupTool, notes: &mut Vec<Note>) {
    if let (Some(at), true) = (arguments.snapshot.span(), tool != BackupTool::LowLevel) {
        notes.push(
            Note::new(at, format!("{} copies the files itself, and not at one moment", tool.name()))
                .hint("write `tool: low-level` beside it, or leave `snapshot` out"),
        );
    }
}
