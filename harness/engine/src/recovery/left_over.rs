//! What was saved after the disaster beside the archive, and what PostgreSQL does not read of itself: the segment that
//! `pg_receivewal` was writing, and a lost server's own `pg_wal`. An operator copies both into the `pg_wal` of the
//! restored server by hand, and so does this, without changing the archive.
//!
//! PostgreSQL asks the archive first, and only for what the archive has not got it looks into `pg_wal`
//! (`XLogFileReadAnyTLI`, `src/backend/access/transam/xlogrecovery.c`). So what the archive has is never copied.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::evidence::LeftOverEvidence;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::ArchiveBy;
use pgdrill_model::world::Command;
use pgdrill_ondisk::segment::{self, ArchiveFile};

use crate::drill::{Drill, disk_full, on_a_thread};
use crate::recovery::unpack::SCRATCH;
use crate::workspace::{SAVED_WAL, Workspace, trouble};

const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// How many files one `cp` is given: their paths must fit into one command line.
const AT_ONCE: usize = 500;

/// How many characters the name of a segment has.
const SEGMENT_NAME: usize = 24;

/// The servers whose `pg_wal` may have been saved, in the order in which they are lost.
pub const LOST: [Name; 5] =
    [Name::Primary, Name::Standby, Name::Restored(1), Name::Restored(2), Name::Restored(3)];

/// A file that the archive lacks, and that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOver {
    /// Its name in `pg_wal`.
    pub name: String,
    /// Where it is; a segment that was being received has another name there.
    pub from: PathBuf,
}

/// Finds what was saved beside the archive, by name.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`: a directory that cannot be read.
pub async fn find(drill: &Drill<'_>) -> Result<Vec<LeftOver>, Unable> {
    let archive = drill.workspace.path("archive");
    let saved = saved(drill.workspace);
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    // Of another archive nobody can say whose a partial segment is: PostgreSQL puts there what a timeline left behind.
    let received = drill.made.archive.by == ArchiveBy::Receivewal;
    on_a_thread(move || look(&archive, &saved, size, received)).await?
}

/// The directories of WAL that was saved of lost servers, in the order in which these were lost.
pub fn saved(workspace: &Workspace) -> Vec<PathBuf> {
    let all = LOST.map(|server| workspace.path(SAVED_WAL).join(server.name()));
    all.into_iter().filter(|directory| directory.is_dir()).collect()
}

/// What is in no archive file of its name: first each timeline's newest segment that was being received; then the saved
/// directories, of which the first that has a file counts, since it is that of the server which wrote it.
fn look(archive: &Path, saved: &[PathBuf], size: u64, received: bool) -> Result<Vec<LeftOver>, Unable> {
    let archived = names(archive)?;
    let partial = if received { unfinished(archive, size)? } else { Vec::new() };
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in saved {
        for name in names(directory)? {
            let from = directory.join(&name);
            let counts = match segment::parse(&name, size) {
                Some(ArchiveFile::Segment { number, .. }) => holds_wal(&from, number, size),
                Some(ArchiveFile::History { .. }) => true,
                _ => false,
            };
            if counts {
                found.entry(name).or_insert(from);
            }
        }
    }
    for name in partial {
        // The receiver never has more than the server that sends.
        let from = archive.join(format!("{name}.partial"));
        found.entry(name).or_insert(from);
    }
    let lacks = |(name, _): &(String, PathBuf)| !archived.contains(name);
    Ok(found.into_iter().filter(lacks).map(|(name, from)| LeftOver { name, from }).collect())
}

/// Each timeline's newest segment that was being received: what an operator completes. A partial file before it was left by
/// somebody else, and nobody knows what is in it.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`: a directory that cannot be read.
pub fn unfinished(archive: &Path, size: u64) -> Result<Vec<String>, Unable> {
    let mut newest: BTreeMap<u32, (u64, String)> = BTreeMap::new();
    for name in names(archive)?.iter().filter_map(|name| name.strip_suffix(".partial")) {
        let Some(ArchiveFile::Segment { timeline, number }) = segment::parse(name, size) else { continue };
        let newer = newest.get(&timeline).is_none_or(|(found, _)| *found < number);
        if newer && holds_wal(&archive.join(format!("{name}.partial")), number, size) {
            newest.insert(timeline, (number, name.to_owned()));
        }
    }
    Ok(newest.into_values().map(|(_, name)| name).collect())
}

/// Whether a file is a segment of its own name. One that was recycled for later use has a name to come and old pages, and
/// one in which nothing was received yet has none.
fn holds_wal(path: &Path, number: u64, size: u64) -> bool {
    let mut page = [0; segment::PAGE];
    let read = File::open(path).and_then(|mut file| {
        file.read_exact(&mut page)?;
        file.metadata()
    });
    read.is_ok_and(|metadata| metadata.len() == size) && segment::is_page_of(&page, number * size)
}

fn names(directory: &Path) -> Result<Vec<String>, Unable> {
    let failed = |error: &io::Error| trouble(directory, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| failed(&error))? {
        names.push(entry.map_err(|error| failed(&error))?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Puts what was saved into the `pg_wal` of a server that was unpacked and not started yet; gives what was put there. What
/// the backup itself brought stays where it reaches as far.
///
/// # Errors
///
/// `DISK_FULL`, `PROGRAM_KILLED`, `WORKSPACE_UNUSABLE`, and what the place cannot do.
pub async fn put(
    drill: &Drill<'_>,
    server: Name,
    found: Vec<LeftOver>,
) -> Result<Vec<LeftOverEvidence>, Unable> {
    let wal = drill.workspace.data(server).join("pg_wal");
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let into = wal.clone();
    let wanted = on_a_thread(move || -> Vec<LeftOver> {
        found.into_iter().filter(|file| reaches_further(file, &into.join(&file.name), size)).collect()
    })
    .await?;
    let (alike, renamed): (Vec<&LeftOver>, Vec<&LeftOver>) =
        wanted.iter().partition(|file| file.from.ends_with(&file.name));
    let mut commands: Vec<Vec<&Path>> = alike
        .chunks(AT_ONCE)
        .map(|some| some.iter().map(|file| file.from.as_path()).chain([wal.as_path()]).collect())
        .collect();
    let targets: Vec<PathBuf> = renamed.iter().map(|file| wal.join(&file.name)).collect();
    commands.extend(renamed.iter().zip(&targets).map(|(file, to)| vec![file.from.as_path(), to.as_path()]));
    let lost = || Unable::bug("the restored server has no place");
    let place = drill.servers.get(&server).ok_or_else(lost)?.place();
    for paths in commands {
        let arguments =
            ["-a".to_owned()].into_iter().chain(paths.iter().map(|path| path.display().to_string()));
        let exit = place.run(&Command::system("cp", arguments).within(LIMIT)).await?;
        if !exit.success() {
            let words = format!("cp ended with {}: {}", exit.describe(), exit.last_words());
            let code = if disk_full(&exit.stderr) {
                Code::DiskFull
            } else if exit.killed() {
                Code::ProgramKilled
            } else {
                Code::WorkspaceUnusable
            };
            return Err(Unable::new(
                code,
                format!("the WAL that was saved could not be put into pg_wal: {words}"),
            ));
        }
    }
    let root = drill.workspace.root();
    let told = |file: &LeftOver| LeftOverEvidence {
        name: file.name.clone(),
        from: file.from.strip_prefix(root).unwrap_or(&file.from).display().to_string(),
    };
    Ok(wanted.iter().map(told).collect())
}

/// Whether what was saved has more WAL than a file of the same name that the backup brought.
fn reaches_further(file: &LeftOver, there: &Path, size: u64) -> bool {
    let Some(ArchiveFile::Segment { number, .. }) = segment::parse(&file.name, size) else {
        return !there.exists();
    };
    let extent = |path: &Path| {
        File::open(path)
            .and_then(|open| segment::extent(io::BufReader::new(open), number * size))
            .unwrap_or(0)
    };
    !there.exists() || extent(&file.from) > extent(there)
}

/// A directory in which all WAL is that a server will be given: the archive, where that is all, else one of links to what
/// is in the archive and to what was saved.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub fn view(workspace: &Workspace, server: Name, found: &[LeftOver]) -> Result<PathBuf, Unable> {
    let archive = workspace.path("archive");
    if found.is_empty() {
        return Ok(archive);
    }
    let part = Path::new(SCRATCH).join(format!("wal-of-{}", server.name()));
    workspace.need_dir(&part)?;
    for name in names(&archive)?.iter().filter(|name| name.len() == SEGMENT_NAME) {
        workspace.link(&part.join(name), &archive.join(name))?;
    }
    for file in found {
        workspace.link(&part.join(&file.name), &file.from)?;
    }
    Ok(workspace.path(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;
    const ONE: &str = "000000010000000000000001";
    const TWO: &str = "000000010000000000000002";
    const THREE: &str = "000000010000000000000003";

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { directory: tempfile::tempdir().unwrap() };
            for name in ["archive", "primary", "restored"] {
                fs::create_dir(place.path(name)).unwrap();
            }
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// A segment whose first pages, as many as `pages`, are those of segment `number`.
        fn segment(&self, path: &str, number: u64, pages: u64) {
            let mut bytes = vec![0; SIZE as usize];
            for page in 0..pages {
                let at = (page as usize) * segment::PAGE;
                bytes[at..at + 2].copy_from_slice(&0xD110_u16.to_le_bytes());
                bytes[at + 8..at + 16].copy_from_slice(&(number * SIZE + at as u64).to_le_bytes());
            }
            fs::write(self.path(path), bytes).unwrap();
        }

        fn found(&self) -> Vec<(String, String)> {
            let saved = ["primary", "restored"].map(|name| self.path(name));
            let found = look(&self.path("archive"), &saved, SIZE, true).unwrap();
            found
                .into_iter()
                .map(|file| {
                    let from = file.from.strip_prefix(self.directory.path()).unwrap();
                    (file.name, from.display().to_string())
                })
                .collect()
        }
    }

    fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        expected.map(|(name, from)| (name.to_owned(), from.to_owned())).to_vec()
    }

    #[test]
    fn only_the_newest_segment_that_was_being_received_is_completed() {
        let place = Place::new();
        place.segment(&format!("archive/{ONE}.partial"), 1, 9);
        place.segment(&format!("archive/{TWO}.partial"), 2, 9);
        assert_eq!(place.found(), pairs([(TWO, &format!("archive/{TWO}.partial"))]));
        // One that is there whole needs no completion.
        place.segment(&format!("archive/{TWO}"), 2, 128);
        assert_eq!(place.found(), pairs([]));
        // One in which nothing was received yet is none.
        fs::write(place.path(&format!("archive/{THREE}.partial")), "").unwrap();
        assert_eq!(place.found(), pairs([]));
    }

    #[test]
    fn a_segment_that_was_recycled_for_later_is_left_out() {
        let place = Place::new();
        place.segment(&format!("primary/{TWO}"), 2, 9);
        place.segment(&format!("primary/{THREE}"), 1, 128);
        assert_eq!(place.found(), pairs([(TWO, &format!("primary/{TWO}"))]));
    }

    #[test]
    fn a_servers_own_wal_goes_before_what_others_have_of_it() {
        let place = Place::new();
        place.segment(&format!("archive/{TWO}.partial"), 2, 3);
        place.segment(&format!("primary/{TWO}"), 2, 9);
        place.segment(&format!("restored/{TWO}"), 2, 3);
        fs::write(place.path("restored/00000002.history"), "1\t0/200000\tx\n").unwrap();
        let expected = [("00000002.history", "restored/00000002.history"), (TWO, &format!("primary/{TWO}"))];
        let mut found = place.found();
        found.sort();
        let mut expected = pairs(expected);
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_backup_brought_stays_where_it_reaches_as_far() {
        let place = Place::new();
        let file = LeftOver { name: TWO.to_owned(), from: place.path("archive/saved") };
        let further = |saved, brought| {
            place.segment("archive/saved", 2, saved);
            place.segment("primary/brought", 2, brought);
            reaches_further(&file, &place.path("primary/brought"), SIZE)
        };
        assert!(further(5, 3));
        assert!(!further(3, 3));
        assert!(!further(3, 5));
        // Old pages behind the WAL are no WAL, although they are not empty.
        place.segment("archive/saved", 2, 5);
        place.segment("primary/brought", 2, 3);
        let mut bytes = fs::read(place.path("primary/brought")).unwrap();
        bytes[3 * segment::PAGE..].fill(7);
        fs::write(place.path("primary/brought"), bytes).unwrap();
        assert!(reaches_further(&file, &place.path("primary/brought"), SIZE));
        assert!(reaches_further(&file, &place.path("primary/nothing"), SIZE));
    }
}
