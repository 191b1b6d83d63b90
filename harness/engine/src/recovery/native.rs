//! `native`: pgdrill restores the backup itself, as `pgdrill restore` does. It is verified by the time it is on disk, so what
//! is wrong with it is known before a server is started.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use pgdrill_backup::restore::{self, Mapping, Place, Refused, Restored};
use pgdrill_backup::tablespaces as of_backup;
use pgdrill_backup::verify::{Options, Progress, Source};
use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::VerifiedEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::{BackupFormat, WalMethod};
use tokio::time::sleep;

use super::remap;
use super::unpack::{ASK_AGAIN, Unpacked};
use crate::drill::{Drill, disk_full, on_a_thread};
use crate::verified;

/// How long an interrupted restore may take to stop writing.
const TO_STOP: Duration = Duration::from_secs(10);

/// Restores a backup that builds upon no other into `data`, and its tablespaces below `own`, both within the workspace;
/// findings when it is not what its manifest says.
///
/// # Errors
///
/// `DISK_FULL`, `TABLESPACE_OUTSIDE`, `RESTORE_FAILED`: it cannot be written; that says nothing about the backup.
pub async fn restore(
    drill: &Drill<'_>,
    member: &Member,
    data: &Path,
    own: &Path,
) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let workspace = drill.workspace;
    let source = drill.backup(member);
    // Each tablespace of one that was there already is put into the restored server's own tree, wherever it lies.
    if member.how.format == BackupFormat::Plain && drill.given.is_none() {
        remap::refuse_links(&source)?;
    }
    let options = Options {
        // A backup without WAL of its own needs what was archived while it was taken.
        wal_elsewhere: (member.how.wal == WalMethod::None).then(|| workspace.path("archive")),
        needs: verified::needs(member, &drill.backups),
        ..Options::default()
    };
    restore_as(drill, Source::Directory(source), options, data, own).await
}

/// The same of a backup anywhere, with what is wanted of its verification. One that builds upon others is restored as it is:
/// no server starts on it.
///
/// # Errors
///
/// As of `restore`.
pub async fn restore_as(
    drill: &Drill<'_>,
    source: Source,
    options: Options,
    data: &Path,
    own: &Path,
) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let workspace = drill.workspace;
    // Most tools make no manifest. Where there is none, the record says what was not looked at.
    let may_lack_it = drill.given.is_some() || options.needs.is_some();
    let options = Options { jobs: thread::available_parallelism().map_or(1, usize::from), ..options };
    let place = Place {
        into: workspace.path(data),
        tablespaces: mappings(&source, &workspace.path(own)).await?,
        owner: workspace.owner().map(|owner| (owner.uid, owner.gid)),
        settings: None,
        sync: true,
        accept_damage: false,
    };
    let restored = watched(drill, source, options, place).await?.map(|mut restored| {
        if may_lack_it {
            restored.report.findings.retain(|finding| finding.code != Code::ManifestMissing);
        }
        restored
    });
    Ok(match restored {
        Ok(restored) => judge(restored)?,
        Err(refused) => Err(vec![of_refused(&refused)?]),
    })
}

/// Where the tablespaces of a backup go: each into a directory of the restored server's own.
async fn mappings(source: &Source, own: &Path) -> Result<Vec<Mapping>, Unable> {
    let found = match source {
        Source::OneTar(part) => {
            let part = part.clone();
            on_a_thread(move || of_backup::of_one_tar(&part)).await?
        }
        Source::Directory(path) | Source::Archive(path) => {
            let path = path.clone();
            on_a_thread(move || of_backup::of_backup(&path)).await?
        }
        Source::Stream(_) => Ok(Vec::new()),
    };
    // A backup that cannot be read so far is for the restore to judge.
    let (own, mut found) = (own.to_owned(), found.unwrap_or_default());
    found.sort_by(|a, b| a.oid.cmp(&b.oid));
    // A plain one has both a link and a line in its map.
    found.dedup_by(|a, b| a.oid == b.oid);
    Ok(found.into_iter().map(|each| Mapping { from: each.path.into(), to: own.join(each.oid) }).collect())
}

/// Ends a restore that nobody waits for any more, and waits until it writes no longer: what it writes into is about to be
/// removed.
struct GivenUp {
    progress: Arc<Progress>,
    ended: Receiver<()>,
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.progress.given_up.store(true, Ordering::Relaxed);
        // Also when the thread died: then nobody holds the other end.
        _ = self.ended.recv_timeout(TO_STOP);
    }
}

/// Restores on a thread of its own, telling how far it is.
async fn watched(
    drill: &Drill<'_>,
    source: Source,
    options: Options,
    place: Place,
) -> Result<Result<Restored, Refused>, Unable> {
    let progress = Arc::new(Progress::default());
    let (ending, ended) = mpsc::channel();
    let _given_up = GivenUp { progress: Arc::clone(&progress), ended };
    let on_its_way = Arc::clone(&progress);
    let work = on_a_thread(move || {
        // Dropped last.
        let _ending: mpsc::Sender<()> = ending;
        restore::restore(source, &options, &place, &on_its_way)
    });
    let tell = async {
        loop {
            sleep(ASK_AGAIN).await;
            let (done, total) =
                (progress.done.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed));
            drill.recorder.progress("unpack", done, (total > 0).then(|| total.max(done)), Unit::Bytes);
        }
    };
    tokio::select! {
        restored = work => restored,
        () = tell => Err(Unable::bug("the watch of a restore ended")),
    }
}

/// What a restore comes to.
fn judge(restored: Restored) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let report = restored.report;
    if let Some(failed) = report.findings.iter().find(|finding| finding.code == Code::RestoreFailed) {
        let code = if disk_full(&failed.message) { Code::DiskFull } else { Code::RestoreFailed };
        return Err(Unable::new(code, format!("the backup was not restored: {}", failed.message)));
    }
    let found = report.findings.into_iter();
    let findings = found.map(|finding| Finding { stage: Stage::Recover, ..finding }).collect();
    if !restored.complete {
        return Ok(Err(findings));
    }
    let verified = VerifiedEvidence {
        files: report.checked.files,
        bytes: report.checked.bytes,
        checksums: report.checked.checksums,
        pages: report.checked.pages,
        wal_records: report.backup.wal_records,
    };
    Ok(Ok(Unpacked { verified: Some(verified), doubts: findings, ..Unpacked::default() }))
}

/// What it means that a restore was not begun.
fn of_refused(refused: &Refused) -> Result<Finding, Unable> {
    let message = format!("the backup could not be unpacked: {refused}");
    match refused {
        Refused::Unknown { .. } => Ok(Finding::new(Code::UnpackFailed, Stage::Recover, message)),
        Refused::Unusable { error, .. } if disk_full(&error.to_string()) => {
            Err(Unable::new(Code::DiskFull, message))
        }
        _ => Err(Unable::new(Code::RestoreFailed, message)),
    }
}
