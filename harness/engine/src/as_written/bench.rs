//! What the commands of a step find: a machine in the small, with the data directory of the lost server where the runbook
//! has it, and its backups where the runbook looks for them.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use pgdrill_backup::inspect;
use pgdrill_model::as_written::{By, Entry, Need, Stands, Wanted};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::show_time;

use super::look::files_in;
use crate::drill::{Drill, on_a_thread};
use crate::mounts;
use crate::tablespaces;
use crate::tree::Copying;
use crate::workspace::trouble;

const NAME: Name = Name::AsWritten;

/// Where the backups lie, within the workspace.
pub const BACKUPS: &str = "as-written-backup";

const DAY: i64 = 24 * 3600 * 1_000_000;

/// Bytes of a small disk beyond the files and the half of a second copy.
const SPARE: u64 = 4 << 20;

/// What the commands find.
pub struct Bench {
    /// The directory that stands for `/var/lib/postgresql`.
    pub root: PathBuf,
    /// The data directory in it.
    pub data: PathBuf,
    /// Where the commands' own words go.
    pub said: PathBuf,
    /// Files that the data directory holds, and their bytes.
    pub files_before: u64,
    /// See `files_before`.
    pub bytes_before: u64,
}

/// Prepares it. The files of a lost server are taken as they are: nothing else of the drill needs them any more.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`, `DISK_FULL`; also where only root could do it.
pub async fn prepare(
    drill: &Drill<'_>,
    entry: &Entry,
    of: Name,
    backup: Option<&str>,
) -> Result<Bench, Unable> {
    let workspace = drill.workspace;
    if needs_root(entry.by, entry.wanted) && workspace.owner().is_none() {
        return Err(only_root(
            "the step is about files of root",
            "pgdrill does not run as root, so its `sudo` would make files of the servers' own account",
        ));
    }
    let (root, said) = (workspace.data(NAME), workspace.path("log/as-written"));
    // A step above may have left its own.
    mounts::remove_below(&root);
    for old in [&root, &said, &workspace.path(BACKUPS)] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(|error| trouble(old, &error))?;
        }
    }
    workspace.make_dir(Path::new(NAME.name()))?;
    workspace.make_dir(Path::new("log/as-written"))?;
    workspace.make_dir(Path::new(BACKUPS))?;
    workspace.need_dir(&Path::new("socket").join(NAME.name()))?;
    workspace.need_dir(&tablespaces::root(NAME))?;
    let data = root.join("data");
    if entry.stands == Stands::Live {
        workspace.make_dir(&Path::new(NAME.name()).join("data"))?;
    } else if entry.needs.contains(&Need::SmallDisk) {
        on_a_small_disk(drill, of, &root).await?;
    } else {
        let lost = workspace.data(of);
        fs::rename(&lost, &data).map_err(|error| trouble(&lost, &error))?;
    }
    let days = entry.needs.iter().find_map(|need| match need {
        Need::TodaysFile => Some(0),
        Need::YesterdaysFile => Some(1),
        _ => None,
    });
    if let (Some(days), Some(backup)) = (days, backup) {
        let date: String = show_time(drill.clock.unix_micros() - days * DAY).chars().take(10).collect();
        let name = format!("{BACKUPS}/postgresql-{}.tar.gz", date.replace('-', ""));
        put_backup(drill, backup, &name)?;
    }
    let measured = data.clone();
    let (files_before, bytes_before) =
        on_a_thread(move || (files_in(&measured), inspect::size(&measured))).await?;
    Ok(Bench { root, data, said, files_before, bytes_before })
}

/// What only root can show, and whoever is not is told.
fn only_root(what: &str, why: &str) -> Unable {
    Unable::new(Code::WorkspaceUnusable, format!("{what}: {why}"))
        .hint("run pgdrill as root, or leave this step of the runbook out")
}

/// Whether the commands are typed by whoever runs pgdrill, who has to be root for `sudo` to mean what it says.
fn needs_root(by: By, wanted: Wanted) -> bool {
    by == By::Operator && wanted == Wanted::OnTheCopy
}

/// The backup as the runbook names it: a file of its own, so that nothing can become of the drill's.
fn put_backup(drill: &Drill<'_>, backup: &str, name: &str) -> Result<(), Unable> {
    let workspace = drill.workspace;
    let (from, to) = (workspace.path("backup").join(backup).join("base.tar.gz"), workspace.path(name));
    fs::copy(&from, &to).map_err(|error| trouble(&from, &error))?;
    match workspace.owner() {
        Some(owner) => chown(&to, Some(owner.uid), Some(owner.gid)).map_err(|error| trouble(&to, &error)),
        None => Ok(()),
    }
}

/// Puts the files onto a disk that has room for them, and for half of a second copy.
async fn on_a_small_disk(drill: &Drill<'_>, of: Name, root: &Path) -> Result<(), Unable> {
    let workspace = drill.workspace;
    let (lost, data) = (workspace.data(of), root.join("data"));
    let measured = lost.clone();
    let size = on_a_thread(move || inspect::size(&measured)).await?;
    mounts::limit(root, size + size / 2 + SPARE, workspace.owner())
        .map_err(|error| only_root("the server's files cannot be put on a small disk", &error.to_string()))?;
    workspace.make_dir(&Path::new(NAME.name()).join("data"))?;
    let (from, into) = (lost.clone(), data);
    let copied = on_a_thread(move || {
        Copying { leave_out: &|_| false, given_up: &AtomicBool::new(false), went_away: None }
            .copy(&from, &into)
    });
    copied.await?.map_err(|error| trouble(&lost, &error))?;
    Ok(())
}
