//! The WAL of a backup that was there already: where it lies, what of it the backup brings, how large its segments are, and what of
//! it is still being copied.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pgdrill_backup::standing::{OwnWal, Standing};
use pgdrill_backup::wal::Store;
use pgdrill_backup::{Unreadable, parts::Part, tarball, unpack};
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::segment;
use pgdrill_ondisk::wal::Segments;
use pgdrill_repository::{asked_for, is_needed};

use super::{OWN_WAL, Taken};
use crate::drill::{Drill, on_a_thread};
use crate::workspace::trouble;

/// A segment that was written to within this time may be one that is still being copied.
const COPYING: Duration = Duration::from_secs(300);

/// The directories of an archive: itself, and those into which tools sort segments, by the first sixteen digits of their names.
pub fn archives(directory: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let unreadable = |error: io::Error| Unreadable { path: directory.to_owned(), what: error.to_string() };
    let directory = fs::canonicalize(directory).map_err(unreadable)?;
    let mut found = vec![directory.clone()];
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let sorted = name.len() == 16 && name.to_string_lossy().bytes().all(|byte| byte.is_ascii_hexdigit());
        if sorted && entry.file_type().map_err(unreadable)?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Takes down which segments are still being copied into the archives: whoever archives goes on while a drill looks.
pub fn unfinished(
    drill: &Drill<'_>,
    taken: &mut Taken,
    archives: &[PathBuf],
) -> Result<Vec<Finding>, Unable> {
    if archives.is_empty() || taken.command.is_some() {
        return Ok(Vec::new());
    }
    let unreadable = |error: Unreadable| Unable::new(Code::BackupUnreadable, error.to_string());
    let now = u64::try_from(drill.clock.unix_micros()).unwrap_or(0);
    let since = SystemTime::UNIX_EPOCH + Duration::from_micros(now).saturating_sub(COPYING);
    let directories: Vec<&Path> = archives.iter().map(PathBuf::as_path).collect();
    let store = Store::open(&directories).map_err(unreadable)?.with_compressed();
    taken.unfinished = store
        .of_segment_size(drill.made.wal_segment_megabytes << 20)
        .unfinished(since)
        .map_err(unreadable)?;
    let note = |name: &String| {
        let message =
            format!("segment {name} is not whole, and was written to just now: it is taken as not there yet");
        Finding::new(Code::WalUnfinished, Stage::Backup, message).about(name)
    };
    Ok(taken.unfinished.iter().map(note).collect())
}

/// Takes down how the files of WAL are that recovery can ask for. Of an archive that is in use others come and go: what is only
/// being written gets another name, and what no backup needs any more is removed.
pub fn see(drill: &Drill<'_>, taken: &mut Taken, archives: &[PathBuf]) -> Result<(), Unreadable> {
    let Some(origin) = taken.origin else { return Ok(()) };
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let from = segment::name(origin.begin.timeline, origin.begin.position, size);
    for directory in archives.iter().filter(|directory| !directory.starts_with(drill.workspace.root())) {
        let unreadable = |error: io::Error| Unreadable { path: directory.clone(), what: error.to_string() };
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let file = entry.file_name();
            let name = file.to_str().and_then(asked_for).map(|(name, _)| name);
            if name.is_some_and(|name| is_needed(name, Some(&from)) && !taken.unfinished.contains(name)) {
                taken.seen.file(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// The directory with the WAL that a backup brings; what lies in a tar is unpacked.
pub async fn own_wal(drill: &Drill<'_>, standing: &Standing) -> Result<Option<PathBuf>, Unable> {
    let part = match &standing.own_wal {
        None => return Ok(None),
        Some(OwnWal::Directory(directory)) => return Ok(Some(directory.clone())),
        Some(OwnWal::Tar(part)) => part.clone(),
    };
    drill.workspace.make_dir(Path::new(OWN_WAL))?;
    let into = drill.workspace.path(OWN_WAL);
    let directory = into.clone();
    on_a_thread(move || unpack_wal(&part, &into)).await?.map_err(|error| trouble(&directory, &error))?;
    Ok(Some(directory))
}

/// Unpacks the files of WAL in a tar. What is wrong with the tar is for the verification to say.
fn unpack_wal(part: &Part, into: &Path) -> io::Result<()> {
    let mut trouble = None;
    let _ = tarball::read(unpack::of_part(part)?, |member, content| {
        let name = member.path.as_deref().and_then(|path| std::str::from_utf8(path).ok());
        let Some(name) = name.filter(|name| member.kind == tarball::Kind::File && is_of_wal(name)) else {
            return Ok(());
        };
        let written = fs::File::create(into.join(name)).and_then(|mut file| io::copy(content, &mut file));
        trouble = written.err();
        if trouble.is_some() { Err(io::Error::other("cannot be written")) } else { Ok(()) }
    });
    trouble.map_or(Ok(()), Err)
}

/// Bytes of a segment: by the control file, else by what the WAL says.
pub fn segment_size(control: Option<&Control>, wal: &[PathBuf]) -> Result<u32, Unable> {
    if let Some(control) = control {
        return Ok(control.wal_segment_size);
    }
    let directories: Vec<&Path> = wal.iter().map(PathBuf::as_path).collect();
    let store =
        Store::open(&directories).map_err(|error| Unable::new(Code::BackupUnreadable, error.to_string()))?;
    Ok(store.with_compressed().segment_size())
}

/// Whether there is any WAL: an empty directory belongs to every backup.
pub fn has_segments(own: &OwnWal) -> bool {
    match own {
        OwnWal::Tar(_) => true,
        OwnWal::Directory(directory) => fs::read_dir(directory).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| is_of_wal(&entry.file_name().to_string_lossy())))
        }),
    }
}

/// A segment or a history, as it comes from a server.
fn is_of_wal(name: &str) -> bool {
    asked_for(name).is_some_and(|(_, ending)| ending.is_empty())
}
