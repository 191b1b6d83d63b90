//! `backup` by the low-level API: a session tells the server that a backup begins, the files of the server are copied, and the
//! session tells that it ends ("Making a Base Backup Using the Low Level API", chapter "Continuous Archiving" of PostgreSQL's
//! documentation). The copy is of files that change under it; what the label of the backup says of its WAL makes them good.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use pgdrill_backup::{inspect, parts};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, CopiedEvidence, Evidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{Backup, BackupFrom, CheckpointMode, SwitchWal};
use pgdrill_model::units::{Lsn, Major};
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::tablespace::Mapping;
use tokio_postgres::Error;

use super::backup::{ARCHIVED_WITHIN, source};
use super::{create_standby, switch_wal};
use crate::clock::within;
use crate::drill::{Drill, on_a_thread};
use crate::growth::{self, Growth};
use crate::session::{Session, describe};
use crate::standstill::Standstill;
use crate::tablespaces;
use crate::tree::{self, Copying, Entry, List};
use crate::workspace::{Workspace, trouble};

/// From here on the functions have these names; before, an exclusive backup had to be asked not to be one.
const RENAMED: Major = Major(15);

/// How long a copy that nobody wants may take to stop writing.
const TO_STOP: Duration = Duration::from_secs(10);

/// The control file. It is copied last: in a backup from a standby its `minRecoveryPoint` is where the backup ends
/// (`do_pg_backup_stop`, `src/backend/access/transam/xlog.c`), and no page in it may be later.
const CONTROL: &str = "global/pg_control";

/// How often it is read again, where it was read while it was written.
const READ_AGAIN: u32 = 100;

/// Directories of which only the content is left out: a server makes it anew, or what is there would do harm.
const EMPTIED: [&str; 8] = [
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
];

/// Files of the data directory that are left out: those of the running postmaster, what the backup itself writes, and the
/// manifest of the backup that the server itself may come from, which says nothing of this one (`excludeFiles`,
/// `src/backend/backup/basebackup.c`).
const LEFT_OUT: [&str; 5] =
    ["postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "backup_manifest"];

/// Files that a server makes anew begin so, wherever they are: those of queries, and caches of the catalog.
const TEMPORARY: [&str; 2] = ["pgsql_tmp", "pg_internal.init"];

/// Takes a backup of a running server, or of its standby.
///
/// # Errors
///
/// `BACKUP_FAILED`, `ARCHIVE_STALLED`, `TABLESPACE_OUTSIDE`, `WORKSPACE_UNUSABLE`, `DISK_FULL`, `SERVER_LOST`.
pub(super) async fn run(
    drill: &mut Drill<'_>,
    name: &str,
    how: Backup,
    on: Name,
) -> Result<Vec<Finding>, Unable> {
    let from = match how.from {
        BackupFrom::Primary => on,
        BackupFrom::Standby => Name::Standby,
    };
    if how.from == BackupFrom::Standby {
        create_standby::catch_up(drill).await?;
    }
    // It stays open: the server gives the backup up when it ends.
    let session = drill.session(from, None).await?;
    let found =
        tablespaces::of_server(drill.workspace, &session, "a server restored from the backup").await?;
    let began = drill.clock.elapsed();
    let calls = Calls::of(drill.postgres);
    let fast = how.checkpoint == CheckpointMode::Fast;
    session.query_one(calls.start, &[&name, &fast]).await.map_err(|error| refused(calls.start, &error))?;
    let files = Files::of(drill.workspace, from, name, &found)?;
    let standstill = if how.snapshot { Some(Standstill::begin(drill, from, name).await?) } else { None };
    let copied = copy(drill, &files).await;
    let paused = match standstill {
        Some(standstill) => standstill.end(drill, from).await?,
        None => Duration::ZERO,
    };
    let copied = copied?;
    let ended = stop(drill, &session, calls, &files).await?;
    drop(session);
    let clock = drill.clock;
    let took_us = clock.elapsed().saturating_sub(began).as_micros() as u64;
    let ended_unix_us = clock.unix_micros();
    // It waits for the archiver of the server on which it was called, where there is one (`do_pg_backup_stop`).
    if how.from == BackupFrom::Standby || !drill.made.archive.is_by_the_server() {
        switch_wal::run(drill, SwitchWal { within: ARCHIVED_WITHIN }, on).await?;
    }
    let end_lsn = match how.from {
        BackupFrom::Primary => ended.position,
        BackupFrom::Standby => copied.consistent.max(Lsn(ended.label.start)),
    };
    let (target, beside) = (files.target.clone(), parts::beside(&files.target));
    let (own, tablespace_bytes) =
        on_a_thread(move || (inspect::size(&target), inspect::size(&beside))).await?;
    let evidence = BackupEvidence {
        name: name.to_owned(),
        tool: how.tool.name().to_owned(),
        format: how.format.name().to_owned(),
        compress: how.compress.method.name().to_owned(),
        wal: how.wal.name().to_owned(),
        from: source(how, from),
        tablespaces: files.tablespaces.len() as u64,
        tablespace_bytes,
        bytes: own + tablespace_bytes,
        files: copied.files,
        content_bytes: copied.bytes,
        start_lsn: Lsn(ended.label.start),
        end_lsn,
        ended_unix_us,
        timeline: ended.label.timeline,
        took_us,
        copied: Some(CopiedEvidence {
            snapshot: how.snapshot,
            paused_us: paused.as_micros() as u64,
            went_away: copied.went_away,
        }),
        ..BackupEvidence::default()
    };
    drill.backups.insert(name.to_owned(), evidence.clone());
    drill.recorder.measured(Evidence::Backup(evidence));
    Ok(Vec::new())
}

/// The functions by which a backup begins and ends.
#[derive(Clone, Copy)]
struct Calls {
    start: &'static str,
    stop: &'static str,
}

impl Calls {
    fn of(major: Major) -> Self {
        if major >= RENAMED {
            Self {
                start: "SELECT pg_backup_start($1, $2)::text",
                stop: "SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop(true)",
            }
        } else {
            Self {
                start: "SELECT pg_start_backup($1, $2, false)::text",
                stop: "SELECT lsn::text, labelfile, spcmapfile FROM pg_stop_backup(false, true)",
            }
        }
    }
}

/// What the server answers when a backup ends.
struct Ended {
    position: Lsn,
    label: Label,
}

/// Ends the backup, and puts into the copy what makes a backup of it, as it comes.
async fn stop(drill: &Drill<'_>, session: &Session, calls: Calls, files: &Files) -> Result<Ended, Unable> {
    let row = within(drill.clock, ARCHIVED_WITHIN, session.query_one(calls.stop, &[])).await;
    let row = row.ok_or_else(|| {
        let message = format!(
            "the WAL of the backup was not archived within {} s, for which its end waits",
            ARCHIVED_WITHIN.as_secs()
        );
        Unable::new(Code::ArchiveStalled, message)
    })?;
    let row = row.map_err(|error| refused(calls.stop, &error))?;
    let (position, label, map): (String, String, Option<String>) = (row.get(0), row.get(1), row.get(2));
    let write = |name: &str, text: &str| drill.workspace.write(files.part.join(name), text, 0o600);
    write("backup_label", &label)?;
    if let Some(map) = map.filter(|map| !map.is_empty()) {
        write("tablespace_map", &map)?;
    }
    let label = Label::read(label.as_bytes()).map_err(|error| {
        Unable::new(Code::BackupFailed, format!("the server gave a label that is none: {error}"))
    })?;
    Ok(Ended { position: position.parse().map_err(Unable::bug)?, label })
}

/// Why the server did not begin or end a backup.
fn refused(call: &str, error: &Error) -> Unable {
    let function = call.split(['(', ')']).next().and_then(|words| words.rsplit(' ').next()).unwrap_or(call);
    Unable::new(Code::BackupFailed, format!("{function} failed: {}", describe(error)))
}

/// Whose files are copied, and where to.
struct Files {
    data: PathBuf,
    target: PathBuf,
    /// The target, within the workspace.
    part: PathBuf,
    /// Tablespaces with a place of their own: OID, where they lie, and where they are copied to.
    tablespaces: Vec<(String, PathBuf, PathBuf)>,
}

impl Files {
    /// Those of a server. Makes the directories that they are copied to: the tablespaces lie beside, as those of a plain backup
    /// by `pg_basebackup` do.
    fn of(workspace: &Workspace, from: Name, name: &str, found: &[Mapping]) -> Result<Self, Unable> {
        let part = Path::new("backup").join(name);
        workspace.make_dir(&part)?;
        let beside = parts::beside(&part);
        if !found.is_empty() {
            workspace.make_dir(&beside)?;
        }
        let mut tablespaces = Vec::new();
        for Mapping { oid, path } in found {
            let own = beside.join(oid);
            workspace.make_dir(&own)?;
            tablespaces.push((oid.clone(), PathBuf::from(path), workspace.path(own)));
        }
        Ok(Self { data: workspace.data(from), target: workspace.path(&part), part, tablespaces })
    }
}

/// What was copied.
struct Copied {
    files: u64,
    bytes: u64,
    went_away: u64,
    /// Where the control file says that it is consistent.
    consistent: Lsn,
}

/// Ends a copy that nobody waits for any more, and waits until it writes no longer: what it writes into is about to be removed.
struct GivenUp {
    flag: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.flag.store(true, Ordering::Relaxed);
        // Also when the thread died: then nobody holds the other end.
        _ = self.ended.recv_timeout(TO_STOP);
    }
}

/// Copies the files on a thread of its own, telling how far it is.
async fn copy(drill: &Drill<'_>, files: &Files) -> Result<Copied, Unable> {
    let (data, target, tablespaces) = (files.data.clone(), files.target.clone(), files.tablespaces.clone());
    let flag = Arc::new(AtomicBool::new(false));
    let (ending, ended) = mpsc::channel();
    let _given_up = GivenUp { flag: Arc::clone(&flag), ended };
    let work = on_a_thread(move || {
        // Dropped last.
        let _ending: mpsc::Sender<()> = ending;
        copy_all(&data, &target, &tablespaces, &flag)
    });
    let growth = Growth { what: "copy", directories: vec![files.target.clone()], total: None };
    let copied = growth::told(drill.recorder, growth, work).await?;
    copied.map_err(|error| trouble(&files.target, &error))
}

fn copy_all(
    data: &Path,
    target: &Path,
    tablespaces: &[(String, PathBuf, PathBuf)],
    given_up: &AtomicBool,
) -> io::Result<Copied> {
    let went_away = AtomicU64::new(0);
    let of_tablespace = |path: &str| {
        path.strip_prefix("pg_tblspc/").is_some_and(|oid| tablespaces.iter().any(|(own, ..)| own == oid))
    };
    let leave_out = |path: &str| is_left_out(path) || of_tablespace(path);
    let copying = Copying { leave_out: &leave_out, given_up, went_away: Some(&went_away) };
    let mut copied = Copied { files: 0, bytes: 0, went_away: 0, consistent: Lsn(0) };
    copied.add(&copying.copy(data, target)?);
    for (oid, from, into) in tablespaces {
        let copying = Copying { leave_out: &is_temporary, ..copying };
        copied.add(&copying.copy(from, into)?);
        let link = target.join("pg_tblspc").join(oid);
        std::os::unix::fs::symlink(into, &link)?;
        tree::own(&link, &fs::symlink_metadata(data)?)?;
    }
    let (control, bytes) = control(data, target)?;
    copied.consistent = Lsn(control.min_recovery_point);
    copied.files += 1;
    copied.bytes += bytes;
    copied.went_away = went_away.into_inner();
    Ok(copied)
}

impl Copied {
    fn add(&mut self, list: &List) {
        for entry in list.values() {
            if let Entry::File(bytes, _) = entry {
                self.files += 1;
                self.bytes += bytes;
            }
        }
    }
}

/// Whether the documentation leaves a path of the data directory out.
fn is_left_out(path: &str) -> bool {
    let below = |directory: &&str| path.strip_prefix(*directory).is_some_and(|rest| rest.starts_with('/'));
    EMPTIED.iter().any(below) || LEFT_OUT.contains(&path) || path == CONTROL || is_temporary(path)
}

fn is_temporary(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    TEMPORARY.iter().any(|beginning| name.starts_with(beginning))
}

/// Copies the control file, which is one page that may be written just now: until its checksum is right.
fn control(data: &Path, target: &Path) -> io::Result<(Control, u64)> {
    let (from, into) = (data.join(CONTROL), target.join(CONTROL));
    let mut tries = 0;
    loop {
        let bytes = fs::read(&from)?;
        match Control::verify(&bytes) {
            Ok(control) => {
                fs::copy(&from, &into)?;
                // What was copied is what was read, or it is read again.
                if fs::read(&into)? == bytes {
                    tree::own(&into, &fs::metadata(&from)?)?;
                    return Ok((control, bytes.len() as u64));
                }
            }
            Err(error) if tries == READ_AGAIN => return Err(io::Error::other(error.to_string())),
            Err(_) => {}
        }
        tries += 1;
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("pg_wal", false)]
    #[case("pg_wal/archive_status", true)]
    #[case("pg_wal_of_mine/file", false)]
    #[case("pg_replslot/pgdrill_standby", true)]
    #[case("postmaster.pid", true)]
    #[case("base/postmaster.pid", false)]
    #[case("global/pg_control", true)]
    #[case("base/pgsql_tmp", true)]
    #[case("base/pgsql_tmp/pgsql_tmp123.0", true)]
    #[case("base/5/16384", false)]
    #[case("base/5/pg_internal.init", true)]
    #[case("backup_manifest", true)]
    #[case("backup_label", true)]
    #[case("backup_label.old", false)]
    fn what_the_documentation_leaves_out_is_left_out(#[case] path: &str, #[case] left_out: bool) {
        let mut above = path.split('/').scan(String::new(), |above, part| {
            above.push_str(part);
            let path = above.clone();
            above.push('/');
            Some(path)
        });
        assert_eq!(above.any(|path| is_left_out(&path)), left_out);
    }

    #[rstest]
    #[case(13, "pg_start_backup", "pg_stop_backup")]
    #[case(14, "pg_start_backup", "pg_stop_backup")]
    #[case(15, "pg_backup_start", "pg_backup_stop")]
    fn the_functions_have_the_names_of_their_major(
        #[case] major: u16,
        #[case] start: &str,
        #[case] stop: &str,
    ) {
        let calls = Calls::of(Major(major));
        assert!(calls.start.contains(&format!(" {start}(")) && calls.stop.contains(&format!(" {stop}(")));
    }

    #[test]
    fn a_control_file_is_copied_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (data, target) = (directory.path().join("data"), directory.path().join("copy"));
        for place in [&data, &target] {
            fs::create_dir_all(place.join("global")).unwrap();
        }
        fs::write(data.join(CONTROL), vec![0; 8192]).unwrap();
        assert!(control(&data, &target).is_err());
        assert!(!target.join(CONTROL).exists());
    }
}
