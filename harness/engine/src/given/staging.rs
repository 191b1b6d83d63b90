//! Puts the WAL that recovery needs into the drill's own archive: a server in a container sees nothing else, packed files are
//! unpacked, and no program but ours reads where it lies.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use pgdrill_backup::wal::Store;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::show_bytes;
use pgdrill_ondisk::wal::{Found, Segments};

use crate::archiving;
use crate::drill::{Drill, disk_full, on_a_thread};
use crate::recovery::aim::Aim;

/// How many segments behind a target's own are put there: a server reads ahead.
const AHEAD: u64 = 2;

/// Puts them there; gives how many.
///
/// # Errors
///
/// `DISK_FULL`, `WORKSPACE_UNUSABLE`; `BACKUP_UNREADABLE`: it cannot be read where it lies.
pub async fn stage(drill: &Drill<'_>, aim: &Aim) -> Result<u64, Unable> {
    let Some(taken) = &drill.given else { return Ok(0) };
    let size = drill.made.wal_segment_megabytes << 20;
    let store = taken.store(size).map_err(|error| unreadable(&error))?;
    let origin = taken.origin.ok_or_else(|| Unable::bug("WAL for a dump"))?;
    let first = origin.begin.position / u64::from(size);
    let last = if aim.to_the_end { u64::MAX } else { aim.stop.replayed_to / u64::from(size) + AHEAD };
    let followed = |timeline: u32| aim.lineage.contains(timeline);
    let segments = store.segments().map_err(|error| unreadable(&error))?;
    let wanted: Vec<(u32, u64)> = segments
        .into_iter()
        .filter(|(timeline, number)| followed(*timeline) && (first..=last).contains(number))
        .collect();
    let needed = (wanted.len() as u64).saturating_mul(u64::from(size));
    let free = drill.workspace.free();
    if needed > free {
        let message = format!(
            "the WAL to be replayed takes {} in {}, and {} are free",
            show_bytes(needed),
            drill.workspace.base().display(),
            show_bytes(free)
        );
        return Err(Unable::new(Code::DiskFull, message));
    }
    let archive = drill.workspace.path(archiving::WAL);
    let owner = drill.workspace.owner().map(|owner| (owner.uid, owner.gid));
    on_a_thread(move || put(store, &wanted, &archive, owner)).await?
}

fn put(
    mut store: Store,
    wanted: &[(u32, u64)],
    archive: &Path,
    owner: Option<(u32, u32)>,
) -> Result<u64, Unable> {
    let histories = store.histories().map_err(|error| unreadable(&error))?;
    for (timeline, path) in histories {
        let text = fs::read(&path).map_err(|error| unreadable(&format!("{}: {error}", path.display())))?;
        write(&archive.join(format!("{timeline:08X}.history")), &text, owner)?;
    }
    let (mut staged, mut bytes) = (0, Vec::new());
    for (timeline, number) in wanted {
        let name = store.name(*timeline, *number);
        match store.read(*timeline, *number, &mut bytes) {
            Ok(Found::Whole) => write(&archive.join(&name), &bytes, owner)?,
            // As a command would give it that copies: a server refuses it.
            Ok(Found::OddSize { .. }) => {
                let plain = store.directories().iter().map(|directory| directory.join(&name));
                let Some(plain) = plain.into_iter().find(|path| path.exists()) else { continue };
                let odd =
                    fs::read(&plain).map_err(|error| unreadable(&format!("{}: {error}", plain.display())))?;
                write(&archive.join(&name), &odd, owner)?;
            }
            // What cannot be unpacked no command gives either.
            Ok(Found::Corrupt { .. } | Found::Missing { .. } | Found::Begun { .. }) => continue,
            Err(error) => return Err(unreadable(&format!("segment {name}: {error}"))),
        }
        staged += 1;
    }
    Ok(staged)
}

fn write(path: &PathBuf, bytes: &[u8], owner: Option<(u32, u32)>) -> Result<(), Unable> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        owner.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)))
    });
    written.map_err(|error: io::Error| {
        let message = format!("cannot write {}: {error}", path.display());
        let code = if disk_full(&message) { Code::DiskFull } else { Code::WorkspaceUnusable };
        Unable::new(code, message)
    })
}

fn unreadable(what: &dyn Display) -> Unable {
    Unable::new(Code::BackupUnreadable, format!("the WAL of the backup cannot be read: {what}"))
}
