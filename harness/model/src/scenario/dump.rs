//! A backup by `pg_dump`: what may be said of one, what only `pg_basebackup` has, and what a drill of dumps cannot do: a dump holds
//! one moment, and no WAL leads on from it.

use super::backup::{Backup, BackupFormat, BackupTool, WalMethod, first_by};
use super::compress::{Compress, Method, Side};
use super::file::{BackupArguments, File};
use super::mistake::{Lines, Note};
use super::slot::At;
use super::value::{FromText, read_from_text, whole_number};
use super::wrong::Words;

/// The most connections by which a dump is taken (`PG_MAX_JOBS` of `pg_dump.c` is far more; a drill's server has one hundred).
const MOST_JOBS: u64 = 64;

/// By how many connections a dump is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jobs(pub(super) u32);

impl FromText for Jobs {
    const WANTED: &'static str = "a number of connections, as in 2";

    fn from_text(text: &str) -> Result<Self, Words> {
        let jobs = whole_number(text, Self::WANTED)?;
        u32::try_from(jobs)
            .ok()
            .filter(|jobs| (1..=MOST_JOBS).contains(&u64::from(*jobs)))
            .map(Self)
            .ok_or_else(|| {
                Words::predicate("is no number of connections for pg_dump", "it can be from 1 to 64")
            })
    }
}

read_from_text!(Jobs);

/// The backup by `pg_dump` that `arguments` mean. What makes no sense is noted.
pub(super) fn meaning(arguments: BackupArguments, notes: &mut Vec<Note>) -> Backup {
    let of_base_backups = "leave it out: a dump has no files of the server";
    let others = [
        ("type", arguments.kind.span(), "leave it out: a dump is always whole"),
        ("bundle", arguments.bundle.span(), "leave it out"),
        ("wal", arguments.wal.span(), "leave it out: a dump has no WAL"),
        ("manifest", arguments.manifest.span(), "leave it out: a dump has no checksums of its files"),
        ("checkpoint", arguments.checkpoint.span(), "leave it out: a dump needs none"),
        ("verify-checksums", arguments.verify_checksums.span(), of_base_backups),
        ("max-rate", arguments.max_rate.span(), "leave it out"),
        ("from", arguments.from.span(), "leave it out: the server that is there is dumped"),
        ("incremental", arguments.incremental.span(), "leave it out: a dump is always whole"),
    ];
    for (name, at, hint) in others {
        notes.extend(at.map(|at| {
            Note::new(at, format!("`{name}` is of base backups, and pg_dump takes this backup")).hint(hint)
        }));
    }
    let format = arguments.format.what().unwrap_or(BackupFormat::Custom);
    let fitting = match format {
        BackupFormat::Custom | BackupFormat::Directory => Compress::GZIP,
        BackupFormat::Plain | BackupFormat::Tar => Compress::NONE,
    };
    let at_compress = arguments.compress.span();
    let compress = arguments.compress.what().unwrap_or(fitting);
    if let (Some(at), Some((message, hint))) = (at_compress, beyond(compress, format)) {
        notes.push(Note::new(at, message).hint(hint));
    }
    if let (Some(at), true) = (arguments.jobs.span(), format != BackupFormat::Directory) {
        notes.push(
            Note::new(at, format!("pg_dump takes a dump of format {} by one connection", format.name()))
                .hint("write `format: directory`, or leave `jobs` out"),
        );
    }
    Backup {
        tool: BackupTool::PgDump,
        format,
        compress,
        wal: WalMethod::None,
        jobs: arguments.jobs.what().map(|jobs| jobs.0),
        ..Backup::BARE
    }
}

/// What of a compression `pg_dump` does not have (`src/bin/pg_dump/pg_dump.c`).
fn beyond(compress: Compress, format: BackupFormat) -> Option<(&'static str, &'static str)> {
    if compress.method == Method::None {
        return None;
    }
    if format == BackupFormat::Tar {
        return Some(("pg_dump does not compress a tar", "write `format: custom`, or leave `compress` out"));
    }
    if compress.side == Side::Server {
        return Some((
            "the server compresses for pg_basebackup; pg_dump does it itself",
            "leave `server-` out",
        ));
    }
    if compress.workers.is_some() {
        return Some(("pg_dump gives zstd no workers", "leave `workers` out; `jobs` makes it faster"));
    }
    None
}

/// Tells what is said of a backup by `pg_basebackup`, and only dumps have.
pub(super) fn not_of_pg_basebackup(arguments: &BackupArguments, notes: &mut Vec<Note>) {
    let hint = "write `tool: pg_dump` beside it, or leave it out";
    let of_dumps = |what: &str| format!("{what} is of pg_dump, and pg_basebackup takes this backup");
    if let Some(At { span, what: format @ (BackupFormat::Custom | BackupFormat::Directory) }) =
        &arguments.format.0
    {
        notes.push(Note::new(*span, of_dumps(&format!("`format: {}`", format.name()))).hint(hint));
    }
    notes.extend(arguments.jobs.span().map(|at| Note::new(at, of_dumps("`jobs`")).hint(hint)));
}

/// Tells of what a file says of a server whose dump could not hold it.
pub(super) fn beside(file: &File, lines: &Lines, notes: &mut Vec<Note>) {
    let dump = first_by(file, BackupTool::PgDump);
    if let (Some(dump), Some(place)) = (dump, file.tablespaces.span()) {
        let line = lines.line(dump.start);
        let message = format!(
            "`tablespaces` beside the dump on line {line}: its SQL makes them where those of the lost server lay"
        );
        notes.push(Note::new(place, message).hint("leave it out, or take a base backup"));
    }
}
