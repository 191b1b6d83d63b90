//! What is stored of a drill, a backup and an archive, and how a fault is done to it: at a place that the seed chooses,
//! with proof that something changed there and nothing elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pgdrill_backup::Unreadable;
use pgdrill_backup::members::{Edit, Members};
use pgdrill_model::evidence::FaultEvidence;
use pgdrill_model::fault::{Fault, Site};
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Member;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::segment::{self, ArchiveFile};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::proof::Files;
use super::{archive, backup, not_made};
use crate::drill::{Drill, on_a_thread};

/// What came of a fault.
pub enum Made {
    /// It was made.
    Done(FaultEvidence),
    /// There is nothing here that it could be done to.
    NotHere(String),
}

/// Why a fault was not made.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is nothing that it could be done to.
    NotHere(String),
    /// Files that cannot be read or written.
    Failed(String),
}

impl From<Unreadable> for Trouble {
    fn from(error: Unreadable) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What was done, in words.
pub(super) type Done = Result<String, Trouble>;

/// Why there is nothing that a fault could be done to.
pub(super) fn not_here<T>(why: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::NotHere(why.into()))
}

/// Makes a fault of what is stored: of the first of `backups`, or of the WAL in the archive behind its end, where a
/// recovery stops before all of it is read: before `until`.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`: it changed nothing, or more than it was to.
pub async fn make(
    drill: &Drill<'_>,
    fault: Fault,
    backups: &[Member],
    until: Option<u64>,
) -> Result<Made, Unable> {
    let stored = Stored::of(drill, fault, backups, until)?;
    let root = drill.workspace.root().to_owned();
    on_a_thread(move || proven(fault, stored, &root)).await?
}

/// Makes the fault between two looks at all that is stored.
fn proven(fault: Fault, mut stored: Stored, root: &Path) -> Result<Made, Unable> {
    let look = |known: &[Files]| -> Result<Vec<Files>, Unable> {
        let nothing = Files::default();
        ["backup", "archive"]
            .iter()
            .enumerate()
            .map(|(index, part)| Files::below(&root.join(part), known.get(index).unwrap_or(&nothing)))
            .collect::<Result<_, _>>()
            .map_err(|error| not_made(fault, &error.to_string()))
    };
    let before = look(&[])?;
    let done = match fault.site() {
        Site::Backup => backup::run(fault, &mut stored),
        _ => archive::run(fault, &mut stored),
    };
    let done = match done {
        Ok(done) => done,
        Err(Trouble::NotHere(why)) => return Ok(Made::NotHere(why)),
        Err(Trouble::Failed(why)) => return Err(not_made(fault, &why)),
    };
    let after = look(&before)?;
    let changed: Vec<Vec<String>> =
        after.iter().zip(&before).map(|(after, before)| after.changed_since(before)).collect();
    let (own, spared) = if fault.site() == Site::Backup {
        (("backup", &changed[0]), &changed[1])
    } else {
        (("archive", &changed[1]), &changed[0])
    };
    if own.1.is_empty() {
        return Err(not_made(fault, "not a byte is another than before"));
    }
    if let Some(other) = spared.first() {
        return Err(Unable::bug(format!("the fault {fault} changed {other}, which it must spare")));
    }
    let changed = own.1.iter().map(|path| format!("{}/{path}", own.0)).collect();
    Ok(Made::Done(FaultEvidence { fault, done, changed }))
}

/// The bytes that say something: zeros may stand where no checksum is, and nobody minds another.
pub(super) fn not_zero(content: &[u8]) -> Vec<usize> {
    (0..content.len()).filter(|at| content[*at] != 0).collect()
}

/// What is stored, and the chance by which a place in it is chosen.
pub(super) struct Stored {
    /// The backup's name in the workspace.
    pub(super) name: String,
    /// Where it lies.
    pub(super) directory: PathBuf,
    /// The backup.
    pub(super) backup: Members,
    /// The backups before it, the newest first.
    pub(super) older: Vec<PathBuf>,
    /// Where its WAL begins, and where it is consistent.
    pub(super) begin: Lsn,
    /// Where it is consistent.
    pub(super) end: Lsn,
    /// Its timeline.
    pub(super) timeline: u32,
    /// The archive.
    pub(super) archive: PathBuf,
    /// Bytes of a WAL segment.
    pub(super) segment_size: u64,
    /// WAL from here on is not needed; none where all of it is.
    until: Option<u64>,
    chance: ChaCha8Rng,
}

/// A segment in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its timeline.
    pub(super) timeline: u32,
    /// Its number.
    pub(super) number: u64,
    /// Its file's name.
    pub(super) name: String,
    /// Its file.
    pub(super) path: PathBuf,
}

impl Stored {
    pub(super) fn of(
        drill: &Drill<'_>,
        fault: Fault,
        backups: &[Member],
        until: Option<u64>,
    ) -> Result<Self, Unable> {
        let [newest, older @ ..] = backups else { return Err(not_made(fault, "there is no backup")) };
        let taken = drill.backups.get(&newest.name);
        let taken = taken.ok_or_else(|| not_made(fault, "the backup was not taken"))?;
        let path = |name: &str| drill.workspace.path("backup").join(name);
        // Each fault has a stream of chance of its own, so that one more does not move the others.
        let mut chance = ChaCha8Rng::seed_from_u64(drill.seed);
        chance.set_stream(1 + fault as u64);
        Ok(Self {
            name: newest.name.clone(),
            directory: path(&newest.name),
            backup: Members::of(&path(&newest.name)),
            older: older
                .iter()
                .filter(|other| !other.how.incremental)
                .map(|other| path(&other.name))
                .collect(),
            begin: taken.start_lsn,
            end: taken.end_lsn,
            timeline: taken.timeline,
            archive: drill.workspace.path("archive"),
            segment_size: u64::from(drill.made.wal_segment_megabytes) << 20,
            until,
            chance,
        })
    }

    /// One of several, by chance.
    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.choose(&mut self.chance)
    }

    /// How many bytes of a segment a recovery reads.
    pub(super) fn needed(&self, segment: &Segment) -> usize {
        let start = segment.number * self.segment_size;
        let until = self.until.map_or(u64::MAX, |until| until.saturating_sub(start));
        until.min(self.segment_size) as usize
    }

    /// A number below `end`, by chance; 0 where there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.chance.random_range(0..end) }
    }

    /// Flips one bit of one of the bytes at `places`, by chance; says which.
    pub(super) fn flip(&mut self, bytes: &mut [u8], places: &[usize]) -> Result<String, Trouble> {
        let Some(place) = self.one_of(places).copied() else {
            return not_here("there is no byte to change");
        };
        let bit = self.below(8);
        bytes[place] ^= 1 << bit;
        Ok(format!("bit {bit} of byte {place}"))
    }

    /// Flips one bit of a member of the backup, of one of the bytes that `places` gives of its content.
    pub(super) fn flip_in(&mut self, path: &str, places: impl Fn(&[u8]) -> Vec<usize>) -> Done {
        let mut content = self.content(path)?;
        let places = places(&content);
        let what = self.flip(&mut content, &places)?;
        self.edit(path, Edit::Write(content))?;
        Ok(format!("{what} of {path} is another"))
    }

    /// Changes one member of the backup.
    pub(super) fn edit(&self, path: &str, edit: Edit) -> Result<(), Trouble> {
        Ok(self.backup.edit(BTreeMap::from([(path.to_owned(), edit)]))?)
    }

    /// The content of a member.
    pub(super) fn content(&self, path: &str) -> Result<Vec<u8>, Trouble> {
        match self.backup.read(path)? {
            Some(bytes) => Ok(bytes),
            None => not_here(format!("{} has no {path}", self.name)),
        }
    }

    /// The segments behind the backup's own that a recovery reads, in order; of several timelines the newest, as a server
    /// reads them.
    pub(super) fn segments(&self) -> Result<Vec<Segment>, Trouble> {
        let last_of_backup = self.end.0.saturating_sub(1) / self.segment_size;
        let all = self.archived()?;
        let mut newest: BTreeMap<u64, Segment> = BTreeMap::new();
        for segment in all {
            let start = segment.number * self.segment_size;
            let needed = segment.number > last_of_backup && self.until.is_none_or(|until| start < until);
            if needed && newest.get(&segment.number).is_none_or(|other| other.timeline < segment.timeline) {
                newest.insert(segment.number, segment);
            }
        }
        Ok(newest.into_values().collect())
    }

    /// Every segment in the archive.
    pub(super) fn archived(&self) -> Result<Vec<Segment>, Trouble> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.archive)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(ArchiveFile::Segment { timeline, number }) = segment::parse(&name, self.segment_size)
            {
                all.push(Segment { timeline, number, name, path });
            }
        }
        all.sort_by_key(|segment| (segment.number, segment.timeline));
        Ok(all)
    }

    /// One of the segments that a recovery reads, by chance. Where it reads all there is, one that others follow: without
    /// the last nobody would know that there was more.
    pub(super) fn segment(&mut self) -> Result<Segment, Trouble> {
        let mut segments = self.segments()?;
        if self.until.is_none() {
            segments.pop();
        }
        match self.one_of(&segments) {
            Some(segment) => Ok(segment.clone()),
            None => not_here(format!(
                "a recovery from {} reads no segment of the archive that is not in the backup, too, and that others follow",
                self.name
            )),
        }
    }
}
