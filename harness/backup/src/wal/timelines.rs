//! Which timelines an archive knows, and which lineage recovery would follow (`findNewestTimeLine` and
//! `readTimeLineHistory` in `src/backend/access/transam/timeline.c`, the checks at the start of recovery in
//! `InitWalRecovery`, `xlogrecovery.c`).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::scenario::Timeline;
use pgdrill_ondisk::history;
use pgdrill_ondisk::wal::{Lineage, lsn};

use super::{Store, packed, store};
use crate::Unreadable;

/// Bytes of the longest history file that is read: one has some fifty for each timeline.
const LONGEST: u64 = 1 << 20;

/// The history files of an archive.
#[derive(Clone, Debug, Default)]
pub struct Timelines {
    files: BTreeMap<u32, PathBuf>,
}

/// A position on a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The timeline.
    pub timeline: u32,
    /// The position.
    pub position: u64,
}

/// Why recovery would not follow a timeline.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// There is no history file of it.
    #[error("timeline {0} does not exist: the archive has no {0:08X}.history")]
    Unknown(u32),
    /// The backup does not lie on it: PostgreSQL refuses to start.
    #[error(
        "timeline {timeline} is not a child of the backup's: the backup begins at {} on timeline {}, {}",
        lsn(begin.position), begin.timeline,
        match left_at { Some(at) => format!("which its history left at {}", lsn(*at)), None => "which its history does not have".to_owned() }
    )]
    NotAChild {
        /// The timeline that was wanted.
        timeline: u32,
        /// Where the backup begins.
        begin: Place,
        /// Where the history left the backup's timeline; none when it does not have it.
        left_at: Option<u64>,
    },
    /// It left the backup's timeline before the backup ended: the backup never becomes consistent on it.
    #[error(
        "timeline {timeline} left timeline {} at {}, before the backup ended at {}",
        end.timeline, left_at.map_or_else(|| "an unknown position".to_owned(), lsn), lsn(end.position)
    )]
    LeftDuringBackup {
        /// The timeline that was wanted.
        timeline: u32,
        /// Where the backup ends.
        end: Place,
        /// Where the history left the backup's timeline; none when it does not have it.
        left_at: Option<u64>,
    },
    /// A history file that cannot be read, or says what cannot be.
    #[error(transparent)]
    Damaged(#[from] Unreadable),
}

impl Unresolved {
    /// What is wrong with a history; none where none is, and it is only that nothing leads there.
    pub fn damage(&self) -> Option<Finding> {
        let Self::Damaged(error) = self else { return None };
        let message = format!("a timeline's history cannot be read: {error}");
        Some(Finding::new(Code::WalDamaged, Stage::Recover, message))
    }
}

impl Timelines {
    /// Looks for history files. They are read only when one is asked for.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn of(store: &Store) -> Result<Self, Unreadable> {
        Ok(Self { files: store.histories()?.into_iter().collect() })
    }

    /// The timelines that have a history file, in order.
    pub fn known(&self) -> impl Iterator<Item = u32> + '_ {
        self.files.keys().copied()
    }

    /// The newest timeline, counted up from `timeline` as long as there are history files. One behind a gap is not seen.
    pub fn latest(&self, timeline: u32) -> u32 {
        let next = |newest: &u32| newest.checked_add(1).filter(|next| self.files.contains_key(next));
        std::iter::successors(Some(timeline), next).last().unwrap_or(timeline)
    }

    /// The lineage of a timeline. One without a history file has no parents (`readTimeLineHistory`).
    ///
    /// # Errors
    ///
    /// A history file that cannot be read, or says what cannot be.
    pub fn lineage(&self, timeline: u32) -> Result<Lineage, Unreadable> {
        // The first timeline never has a history.
        let Some(path) = self.files.get(&timeline).filter(|_| timeline > 1) else {
            return Ok(Lineage::single(timeline));
        };
        let text = read(path).map_err(|error| Unreadable::new(path, error.to_string()))?;
        let ancestors = history::read(&text).map_err(|error| Unreadable::new(path, error.to_string()))?;
        Lineage::of(timeline, &ancestors).map_err(|error| Unreadable::new(path, error.to_string()))
    }

    /// The lineage that recovery follows, from a backup that begins at `begin`, the position of its checkpoint, and ends
    /// at `end`.
    ///
    /// # Errors
    ///
    /// Why recovery would not follow it, or would not become consistent.
    pub fn resolve(&self, wanted: Timeline, begin: Place, end: Place) -> Result<Lineage, Unresolved> {
        // The control file, from which PostgreSQL takes the backup's timeline, is copied last.
        let own = begin.timeline.max(end.timeline);
        let timeline = match wanted {
            Timeline::Latest => self.latest(own),
            Timeline::Current => own,
            Timeline::Number(number) if number == 1 || self.files.contains_key(&number) => number,
            Timeline::Number(number) => return Err(Unresolved::Unknown(number)),
        };
        let lineage = self.lineage(timeline)?;
        if lineage.timeline_at(begin.position) != Some(begin.timeline) {
            let left_at = lineage.left_at(begin.timeline);
            return Err(Unresolved::NotAChild { timeline, begin, left_at });
        }
        // The position is that behind the last byte.
        if lineage.timeline_at(end.position.saturating_sub(1)) != Some(end.timeline) {
            return Err(Unresolved::LeftDuringBackup {
                timeline,
                end,
                left_at: lineage.left_at(end.timeline),
            });
        }
        Ok(lineage)
    }
}

/// The text of a history file, packed or not.
fn read(path: &Path) -> io::Result<String> {
    let file = store::open(path)?;
    let mut bytes = Vec::new();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match packed::parse(name) {
        Some((_, packing)) => packed::unpack(file, packing, LONGEST, &mut bytes)?,
        None => _ = file.take(LONGEST + 1).read_to_end(&mut bytes)?,
    }
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it has more than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("stream did not contain valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::fs;

    /// An archive with the history files of 2, 3 and 5; the third timeline left the first earlier than the second did.
    fn archive() -> (tempfile::TempDir, Timelines) {
        let directory = tempfile::tempdir().unwrap();
        for (timeline, text) in [
            (2, "1\t0/5000000\tafter LSN 0/5000000\n"),
            (3, "1\t0/4000000\tbefore 2026-01-01\n"),
            (5, "1\t0/5000000\tx\n\n2\t0/6000000\ty\n"),
        ] {
            fs::write(directory.path().join(format!("{timeline:08X}.history")), text).unwrap();
        }
        let timelines = Timelines::of(&Store::open(&[directory.path()]).unwrap()).unwrap();
        (directory, timelines)
    }

    fn place(timeline: u32, position: u64) -> Place {
        Place { timeline, position }
    }

    #[rstest]
    #[case(Timeline::Current, Ok(1))]
    // Four is missing, so five is not seen.
    #[case(Timeline::Latest, Ok(3))]
    #[case(Timeline::Number(5), Ok(5))]
    #[case(Timeline::Number(1), Ok(1))]
    #[case(Timeline::Number(4), Err("timeline 4 does not exist: the archive has no 00000004.history"))]
    fn latest_is_counted_up_from_the_backups(#[case] wanted: Timeline, #[case] expected: Result<u32, &str>) {
        let (_directory, timelines) = archive();
        let resolved = timelines.resolve(wanted, place(1, 0x300_0028), place(1, 0x300_0130));
        let resolved = resolved.map(|lineage| lineage.timeline()).map_err(|error| error.to_string());
        assert_eq!(resolved, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_backup_is_on_the_lineage_with_its_beginning_and_its_end() {
        let (_directory, timelines) = archive();
        let resolve = |wanted, begin, end| {
            timelines.resolve(wanted, begin, end).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(
            resolve(Timeline::Number(3), place(1, 0x400_0028), place(1, 0x400_0130)).unwrap_err(),
            "timeline 3 is not a child of the backup's: the backup begins at 0/4000028 on timeline 1, which its \
             history left at 0/4000000"
        );
        assert_eq!(
            resolve(Timeline::Number(3), place(1, 0x3FF_0028), place(1, 0x400_0130)).unwrap_err(),
            "timeline 3 left timeline 1 at 0/4000000, before the backup ended at 0/4000130"
        );
        // The very last byte before the switch is still the parent's.
        assert_eq!(resolve(Timeline::Number(3), place(1, 0x3FF_0028), place(1, 0x400_0000)), Ok(()));
        assert!(
            resolve(Timeline::Latest, place(2, 0x500_0028), place(2, 0x500_0130))
                .unwrap_err()
                .contains("on timeline 2, which its history does not have")
        );
    }

    #[test]
    fn a_damaged_history_is_told_with_its_file() {
        let (directory, timelines) = archive();
        fs::write(directory.path().join("00000003.history"), "1\tnonsense\n").unwrap();
        let error = timelines.resolve(Timeline::Latest, place(1, 1), place(1, 2)).unwrap_err();
        assert!(matches!(error, Unresolved::Damaged(_)));
        assert!(
            error.to_string().ends_with("00000003.history: timeline history: line 1: no position"),
            "{error}"
        );
        fs::write(directory.path().join("00000003.history"), "3\t0/1\tx\n").unwrap();
        let error = timelines.resolve(Timeline::Latest, place(1, 1), place(1, 2)).unwrap_err();
        assert!(error.to_string().ends_with("timeline 3 cannot be an ancestor of 3"), "{error}");
    }
}
