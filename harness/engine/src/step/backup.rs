//! `backup`: takes a base backup of the running primary, or of its standby; or a dump, as `dump` does.

use std::path::Path;
use std::time::Duration;

use pgdrill_backup::{inspect, parts};
use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::{BackupEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{Backup, BackupFormat, BackupFrom, BackupTool, Method, SwitchWal, WalMethod};
use pgdrill_model::units::Lsn;
use pgdrill_model::world::Exit;
use tokio::time::sleep;

use super::{create_standby, low_level, switch_wal};
use crate::barman;
use crate::drill::{Drill, disk_full, on_a_thread};
use crate::dump;
use crate::fault;
use crate::repository::{self, Taken};
use crate::session::Session;
use crate::tablespaces;
use crate::tool::pg_basebackup::{self, Way};

/// How often the server is asked how far its backup is.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How long the archiver may take for the WAL without which a backup is nothing.
pub(super) const ARCHIVED_WITHIN: Duration = Duration::from_secs(60);

const PROGRESS: &str = "SELECT backup_streamed, backup_total FROM pg_stat_progress_basebackup LIMIT 1";

pub(super) async fn run(
    drill: &mut Drill<'_>,
    name: &str,
    how: Backup,
    upon: Option<&str>,
    on: Name,
) -> Result<Vec<Finding>, Unable> {
    match how.tool {
        BackupTool::PgBasebackup => {}
        BackupTool::PgBackRest => return into_repository(drill, name, how, upon, on).await,
        BackupTool::Barman => return by_barman(drill, name, how, on).await,
        BackupTool::LowLevel => return low_level::run(drill, name, how, on).await,
        BackupTool::PgDump => return dump::take(drill, name, how, on).await,
    }
    let from = match how.from {
        BackupFrom::Primary => on,
        BackupFrom::Standby => Name::Standby,
    };
    if how.from == BackupFrom::Standby {
        create_standby::catch_up(drill).await?;
    }
    let target = drill.workspace.path("backup").join(name);
    let watcher = drill.session(from, None).await?;
    let found = match how.format {
        BackupFormat::Plain => tablespaces::of_server(drill.workspace, &watcher, "a plain backup").await?,
        // The tablespaces of one in tar format lie beside its base, and nothing is written anywhere else.
        _ => Vec::new(),
    };
    let manifest = upon.map(|upon| drill.workspace.path("backup").join(upon).join("backup_manifest"));
    let (clock, recorder, major) = (drill.clock, drill.recorder, drill.postgres);
    let server = drill.server(from)?;
    let way = Way {
        socket: &server.socket,
        target: &target,
        tablespaces: &tablespaces::moved(&found, &parts::beside(&target)),
    };
    let command = pg_basebackup::command(way, name, how, manifest.as_deref(), major);
    let began = clock.elapsed();
    let exit = if let Some(fault) = fault::taking::armed(drill) {
        let place = drill.servers.get(&from).ok_or_else(|| Unable::bug("a backup of no server"))?.place();
        fault::taking::kill(drill, fault, place, command, &target, &watcher).await?
    } else {
        let taking = drill.server(from)?.place().run(&command);
        tokio::select! {
            exit = taking => exit?,
            never = watch(&watcher, recorder) => match never {},
        }
    };
    let took_us = clock.elapsed().saturating_sub(began).as_micros() as u64;
    let ended_unix_us = clock.unix_micros();
    let damaged = damaged_pages(&exit, from);
    if !exit.success() && damaged.is_empty() {
        return Err(not_taken(&exit));
    }
    drop(watcher);
    // pg_basebackup waits for the server's archiver. A standby has none that it could wait for, nor has a server whose
    // WAL is received (`do_pg_backup_stop`, `src/backend/access/transam/xlog.c`).
    let waited = how.from == BackupFrom::Primary && drill.made.archive.is_by_the_server();
    if how.wal == WalMethod::None && !waited {
        switch_wal::run(drill, SwitchWal { within: ARCHIVED_WITHIN }, on).await?;
    }
    let measured = match measure(&target, name, how, from, upon, took_us).await {
        Ok(measured) => measured,
        Err(unable) => {
            // From 15 on a backup with damaged pages is left without its manifest: what is wrong with it is known all the
            // same.
            damaged.into_iter().for_each(|finding| drill.recorder.found(finding));
            return Err(unable);
        }
    };
    let evidence = BackupEvidence { ended_unix_us, ..measured };
    drill.backups.insert(name.to_owned(), evidence.clone());
    recorder.measured(Evidence::Backup(evidence));
    Ok(damaged)
}

/// Takes one by pgBackRest.
async fn into_repository(
    drill: &mut Drill<'_>,
    name: &str,
    how: Backup,
    upon: Option<&str>,
    on: Name,
) -> Result<Vec<Finding>, Unable> {
    let Taken { evidence, layout, findings } = repository::take(drill, name, how, upon, on).await?;
    // pgBackRest waits for its own archive at the most, and what the backup needs is to be in the drill's.
    switch_wal::run(drill, SwitchWal { within: ARCHIVED_WITHIN }, on).await?;
    drill.layouts.insert(name.to_owned(), layout);
    drill.backups.insert(name.to_owned(), evidence.clone());
    drill.recorder.measured(Evidence::Backup(evidence));
    Ok(findings)
}

/// Takes one by Barman, which is given what is archived before the backup and what is archived by its end.
async fn by_barman(drill: &mut Drill<'_>, name: &str, how: Backup, on: Name) -> Result<Vec<Finding>, Unable> {
    let archived = SwitchWal { within: ARCHIVED_WITHIN };
    switch_wal::run(drill, archived, on).await?;
    let ready = barman::prepare(drill, on).await?;
    let began = drill.clock.elapsed();
    barman::take(drill, how, on, &ready, |exit| damaged_pages(exit, on)).await?;
    let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    let ended_unix_us = drill.clock.unix_micros();
    switch_wal::run(drill, archived, on).await?;
    barman::end(drill, on, ready, async |data| {
        Ok(BackupEvidence { ended_unix_us, ..measure(data, name, how, on, None, took_us).await? })
    })
    .await?;
    Ok(Vec::new())
}

/// The damaged pages of the source, which `pg_basebackup` reports: it ends with an error, but leaves the backup there.
fn damaged_pages(exit: &Exit, from: Name) -> Vec<Finding> {
    exit.stderr
        .lines()
        .filter(|line| line.contains("checksum verification failed"))
        .map(|line| {
            let what = line.split_once("WARNING:").map_or(line, |(_, what)| what).trim();
            let message = format!("the {} has a damaged page: {what}", from.name());
            Finding::new(Code::PageChecksumFailed, Stage::Backup, message)
        })
        .collect()
}

/// Why there is no backup. A program or a server without a method of compression says so in its own words
/// (`src/common/compression.c`, `src/backend/backup/basebackup_*.c`).
fn not_taken(exit: &Exit) -> Unable {
    let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::BackupFailed };
    let unsupported = |line: &&str| {
        line.contains("not supported by this build") || line.contains("does not support compression")
    };
    let unsupported = exit.stderr.lines().find(unsupported);
    let words = unsupported.unwrap_or(exit.last_words()).trim();
    let unable = Unable::new(code, format!("pg_basebackup ended with {}: {words}", exit.describe()));
    match unsupported {
        Some(_) => unable
            .hint("this PostgreSQL was built without it: write `compress: gzip`, or install another build"),
        None => unable,
    }
}

/// The server that a backup is from, as the record names it: a standby that has taken over is none.
pub(super) fn source(how: Backup, from: Name) -> String {
    match (how.from, from) {
        (BackupFrom::Primary, Name::Standby) => "promoted".to_owned(),
        _ => from.name().to_owned(),
    }
}

async fn measure(
    target: &Path,
    name: &str,
    how: Backup,
    from: Name,
    upon: Option<&str>,
    took_us: u64,
) -> Result<BackupEvidence, Unable> {
    let directory = target.to_owned();
    let summary = on_a_thread(move || inspect::summary(&directory)).await?;
    let summary = summary.map_err(|error| Unable::new(Code::BackupFailed, error.to_string()))?;
    let (Some(newest), Some(oldest)) = (summary.manifest.wal.first(), summary.manifest.wal.last()) else {
        return Err(Unable::new(Code::BackupFailed, format!("the manifest of {name} names no WAL")));
    };
    let compress = how.compress;
    Ok(BackupEvidence {
        name: name.to_owned(),
        tool: "pg_basebackup".to_owned(),
        format: how.format.name().to_owned(),
        compress: compress.method.name().to_owned(),
        compress_side: match compress.method {
            Method::None => String::new(),
            _ => compress.side.name().to_owned(),
        },
        compress_detail: compress.detail(),
        wal: how.wal.name().to_owned(),
        manifest_checksums: how.manifest.name().to_owned(),
        from: source(how, from),
        incremental_of: upon.map(str::to_owned),
        tablespaces: summary.tablespaces,
        tablespace_bytes: summary.tablespace_bytes,
        bytes: summary.bytes,
        files: summary.manifest.files.len() as u64,
        content_bytes: summary.manifest.files.bytes(),
        manifest_sha256: summary.manifest_sha256,
        start_lsn: Lsn(oldest.start),
        end_lsn: Lsn(newest.end),
        timeline: newest.timeline,
        took_us,
        ..BackupEvidence::default()
    })
}

/// Tells how far the backup is, for as long as it is taken.
async fn watch(session: &Session, recorder: &crate::record::Recorder<'_>) -> std::convert::Infallible {
    loop {
        if let Ok(Some(row)) = session.query_opt(PROGRESS, &[]).await {
            let number = |column: usize| -> Option<u64> {
                let value: Option<i64> = row.try_get(column).ok()?;
                value.and_then(|value| u64::try_from(value).ok())
            };
            recorder.progress("pg_basebackup", number(0).unwrap_or(0), number(1), Unit::Bytes);
        }
        sleep(ASK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_method_is_named_in_its_own_words() {
        let exit = Exit {
            code: Some(1),
            stderr: "pg_basebackup: error: could not initiate base backup: ERROR:  lz4 compression is not supported by \
                     this build\npg_basebackup: removing data directory \"/x\"\n"
                .to_owned(),
            ..Exit::default()
        };
        let unable = not_taken(&exit);
        assert_eq!(unable.code, Code::BackupFailed);
        assert!(unable.message.contains("lz4 compression is not supported by this build"), "{unable}");
        assert!(unable.hint.unwrap().contains("built without it"));
    }
}
