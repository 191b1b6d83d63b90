//! `backup`: takes a base backup while the primary runs.

use std::time::Duration;

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::{BackupEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{Backup, BackupFormat, BackupTool, Compress};
use pgdrill_model::units::Lsn;
use tokio::time::sleep;

use crate::drill::{Drill, disk_full, on_a_thread};
use crate::session::Session;
use crate::tool::pg_basebackup;

/// How often the server is asked how far its backup is.
const ASK_AGAIN: Duration = Duration::from_millis(250);

const PROGRESS: &str = "SELECT backup_streamed, backup_total FROM pg_stat_progress_basebackup LIMIT 1";

pub(super) async fn run(drill: &mut Drill<'_>, name: &str, how: Backup) -> Result<Vec<Finding>, Unable> {
    let BackupTool::PgBasebackup = how.tool;
    let target = drill.workspace.path("backup").join(name);
    let watcher = drill.session(Name::Primary, None).await?;
    let clock = drill.clock;
    let recorder = drill.recorder;
    let began = clock.elapsed();
    let server = drill.server(Name::Primary)?;
    let command = pg_basebackup::command(&server.socket, &target, name, how);
    let taking = server.place().run(&command);
    let exit = tokio::select! {
        exit = taking => exit?,
        never = watch(&watcher, recorder) => match never {},
    };
    let took_us = clock.elapsed().saturating_sub(began).as_micros() as u64;
    // pg_basebackup reports damaged pages of the source and ends with an error, but leaves the backup there.
    let damaged: Vec<Finding> = exit
        .stderr
        .lines()
        .filter(|line| line.contains("checksum verification failed"))
        .map(|line| {
            let what = line.split_once("WARNING:").map_or(line, |(_, what)| what).trim();
            Finding::new(
                Code::PageChecksumFailed,
                Stage::Backup,
                format!("the primary has a damaged page: {what}"),
            )
        })
        .collect();
    if !exit.success() && damaged.is_empty() {
        let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::BackupFailed };
        let message = format!("pg_basebackup ended with {}: {}", exit.describe(), exit.last_words());
        return Err(Unable::new(code, message));
    }
    let summary = on_a_thread(move || inspect::summary(&target)).await?;
    let summary = summary.map_err(|error| Unable::new(Code::BackupFailed, error.to_string()))?;
    let (Some(newest), Some(oldest)) = (summary.manifest.wal.first(), summary.manifest.wal.last()) else {
        return Err(Unable::new(Code::BackupFailed, format!("the manifest of {name} names no WAL")));
    };
    recorder.measured(Evidence::Backup(BackupEvidence {
        name: name.to_owned(),
        tool: "pg_basebackup".to_owned(),
        format: match how.format {
            BackupFormat::Plain => "plain".to_owned(),
            BackupFormat::Tar => "tar".to_owned(),
        },
        compress: match how.compress {
            Compress::None => "none".to_owned(),
            Compress::Gzip => "gzip".to_owned(),
        },
        bytes: summary.bytes,
        files: summary.manifest.files,
        content_bytes: summary.manifest.bytes,
        manifest_sha256: summary.manifest_sha256,
        start_lsn: Lsn(oldest.start),
        end_lsn: Lsn(newest.end),
        timeline: newest.timeline,
        took_us,
    }));
    Ok(damaged)
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
