//! How recovery begins from a backup that was there already, by what it says of itself.

use std::path::Path;

use pgdrill_backup::standing::Standing;
use pgdrill_backup::wal::aim::Origin;
use pgdrill_backup::wal::target::Consistent;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::units::Lsn;
use pgdrill_repository::Backup;

/// Of a base backup, or the newest of a chain of them, by its label, its manifest and its control file; a finding where nothing says so.
///
/// # Errors
///
/// `NOT_A_BACKUP`: pgdrill does not recover such a one.
pub fn of_files(path: &Path, standing: &Standing) -> Result<Result<Origin, Box<Finding>>, Unable> {
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

/// Of one of pgBackRest, by its manifest.
///
/// # Errors
///
/// `NOT_A_BACKUP`: it does not say.
pub fn of_pgbackrest(picked: &Backup, from_standby: bool) -> Result<Origin, Unable> {
    let (Some(timeline), Some(Lsn(start)), Some(Lsn(stop))) = (picked.timeline, picked.start, picked.stop)
    else {
        let message = format!("nothing says where the WAL begins and ends that {} needs", picked.label);
        return Err(
            Unable::new(Code::NotABackup, message).hint("only backups of a running server are proven")
        );
    };
    Ok(Origin {
        begin: Place { timeline, position: start },
        end: Place { timeline, position: stop },
        consistent: if from_standby { Consistent::At(stop) } else { Consistent::AtBackupEnd { start } },
        ended_unix_us: picked.finished_us.unwrap_or(0),
    })
}
