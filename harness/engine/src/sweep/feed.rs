//! What the moving server is fed: whole segments up to a position, and in the one that holds it nothing behind it.
//!
//! A server in standby mode that has neither an archive nor a primary looks into its `pg_wal` again and again, and opens a
//! segment anew each time it has met the end of its WAL there (`ReadRecord` and `WaitForWALToBecomeAvailable`,
//! `src/backend/access/transam/xlogrecovery.c`). So segments are put there, whole or not at all, and the cut one grows in
//! place. It is cut between two records, and zero behind: zeros are no record, and where they begin is where the server
//! waits. What it has replayed, it removes itself at its restartpoints.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use pgdrill_backup::wal::Store;
use pgdrill_ondisk::wal::{Found, Lineage, Segments};

/// A `pg_wal` that is fed from an archive.
#[derive(Debug)]
pub struct Feed {
    store: Store,
    lineage: Lineage,
    directory: PathBuf,
    size: u64,
    /// The first segment that is not there whole.
    next: u64,
    /// What there is of it, by timeline.
    cut: BTreeMap<u32, Cut>,
}

/// A segment that is fed piece by piece.
#[derive(Debug)]
struct Cut {
    whole: Vec<u8>,
    file: File,
    /// How many bytes of it are fed.
    fed: u64,
}

impl Feed {
    /// Begins with nothing but the histories of the timelines. Replay will begin at `from`, along `lineage`.
    ///
    /// # Errors
    ///
    /// Files that cannot be read or written.
    pub fn begin(store: Store, lineage: Lineage, directory: &Path, from: u64) -> io::Result<Self> {
        let size = u64::from(store.segment_size());
        let histories = store.histories().map_err(|error| io::Error::other(error.to_string()))?;
        let directory = directory.to_owned();
        let feed = Self { store, lineage, directory, size, next: from / size, cut: BTreeMap::new() };
        for (timeline, path) in histories {
            if feed.lineage.contains(timeline) {
                let history = fs::read(path)?;
                feed.put(&format!("{timeline:08X}.history"), &history, history.len() as u64)?;
            }
        }
        Ok(feed)
    }

    /// Feeds up to `position`, the end of a record, and nothing behind it.
    ///
    /// # Errors
    ///
    /// Files that cannot be read or written.
    pub fn until(&mut self, position: u64) -> io::Result<()> {
        while self.next < position / self.size {
            self.segment(self.size)?;
            self.next += 1;
            self.cut.clear();
        }
        match position % self.size {
            within if within > 0 && self.next == position / self.size => self.segment(within),
            _ => Ok(()),
        }
    }

    /// Feeds the next segment up to a byte within it. One that is not in the archive is not fed.
    fn segment(&mut self, until: u64) -> io::Result<()> {
        let timelines: Vec<u32> = self.lineage.candidates(self.next, self.size, 0).collect();
        for timeline in timelines {
            if let Some(Cut { whole, file, fed }) = self.cut.get_mut(&timeline) {
                let more = whole.get(*fed as usize..until as usize).unwrap_or_default();
                file.write_all_at(more, *fed)?;
                *fed = until.max(*fed);
                continue;
            }
            let mut whole = Vec::new();
            if self.store.read(timeline, self.next, &mut whole)? == Found::Whole {
                let now = whole.get(..until as usize).unwrap_or(&whole);
                let file = self.put(&self.store.name(timeline, self.next), now, self.size)?;
                self.cut.insert(timeline, Cut { whole, file, fed: until });
            }
        }
        Ok(())
    }

    /// Puts a file of `size` bytes in its place, whole or not at all: these bytes, and zeros behind them.
    fn put(&self, name: &str, bytes: &[u8], size: u64) -> io::Result<File> {
        let part = self.directory.join(format!("{name}.part"));
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.set_len(size)?;
        // The server runs as another account, in a directory that nobody else can enter.
        fs::set_permissions(&part, Permissions::from_mode(0o644))?;
        fs::rename(&part, self.directory.join(name))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_ondisk::history::Ancestor;
    use pgdrill_ondisk::segment;

    const SIZE: u64 = 1 << 20;

    fn name(timeline: u32, number: u64) -> String {
        segment::name(timeline, number * SIZE, SIZE)
    }

    /// An archive with these segments, each filled with its number.
    fn archive(segments: &[(u32, u64)]) -> tempfile::TempDir {
        let archive = tempfile::tempdir().unwrap();
        for (timeline, number) in segments {
            let bytes = vec![0x10 * *timeline as u8 + *number as u8; SIZE as usize];
            fs::write(archive.path().join(name(*timeline, *number)), bytes).unwrap();
        }
        archive
    }

    fn begin(archive: &Path, into: &Path, lineage: Lineage, from: u64) -> Feed {
        let store = Store::open(&[archive]).unwrap().of_segment_size(SIZE as u32);
        Feed::begin(store, lineage, into, from).unwrap()
    }

    fn there(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// How many bytes of a fed segment are not zero, all of them at its beginning.
    fn filled(path: &Path) -> usize {
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes.len() as u64, SIZE);
        let filled = bytes.iter().take_while(|byte| **byte != 0).count();
        assert!(bytes[filled..].iter().all(|byte| *byte == 0));
        filled
    }

    #[test]
    fn nothing_behind_the_position_is_fed_and_the_cut_segment_grows_in_place() {
        let archive = archive(&[(1, 3), (1, 4), (1, 5)]);
        let into = tempfile::tempdir().unwrap();
        let mut feed = begin(archive.path(), into.path(), Lineage::single(1), 3 * SIZE + 40);
        assert_eq!(there(into.path()), [""; 0]);
        feed.until(3 * SIZE + 1_000).unwrap();
        assert_eq!(there(into.path()), [name(1, 3)]);
        assert_eq!(filled(&into.path().join(name(1, 3))), 1_000);
        feed.until(3 * SIZE + 2_000).unwrap();
        assert_eq!(filled(&into.path().join(name(1, 3))), 2_000);
        feed.until(5 * SIZE + 8).unwrap();
        let sizes = [3, 4, 5].map(|number| filled(&into.path().join(name(1, number))));
        assert_eq!(sizes, [SIZE as usize, SIZE as usize, 8]);
        // The archive itself stays as it is.
        assert_eq!(there(archive.path()).len(), 3);
        assert_eq!(filled(&archive.path().join(name(1, 5))), SIZE as usize);
    }

    #[test]
    fn a_position_between_two_segments_needs_nothing_of_the_second() {
        let archive = archive(&[(1, 3), (1, 4)]);
        let into = tempfile::tempdir().unwrap();
        let mut feed = begin(archive.path(), into.path(), Lineage::single(1), 3 * SIZE);
        feed.until(4 * SIZE).unwrap();
        assert_eq!(there(into.path()), [name(1, 3)]);
        assert_eq!(filled(&into.path().join(name(1, 3))), SIZE as usize);
        feed.until(4 * SIZE + 16).unwrap();
        assert_eq!(filled(&into.path().join(name(1, 4))), 16);
    }

    #[test]
    fn a_segment_that_is_missing_is_not_fed_and_one_behind_it_is() {
        let archive = archive(&[(1, 3), (1, 5)]);
        let into = tempfile::tempdir().unwrap();
        let mut feed = begin(archive.path(), into.path(), Lineage::single(1), 3 * SIZE);
        feed.until(6 * SIZE).unwrap();
        assert_eq!(there(into.path()), [name(1, 3), name(1, 5)]);
    }

    #[test]
    fn the_segment_in_which_a_timeline_begins_is_fed_of_both() {
        let archive = archive(&[(1, 3), (1, 4), (1, 5), (2, 4), (2, 5)]);
        fs::write(archive.path().join("00000002.history"), "1\t0/400100\tno recovery target specified\n")
            .unwrap();
        fs::write(archive.path().join("00000003.history"), "another\n").unwrap();
        let into = tempfile::tempdir().unwrap();
        let fork = Ancestor { timeline: 1, switched_at: 4 * SIZE + 0x100 };
        let mut feed = begin(archive.path(), into.path(), Lineage::of(2, &[fork]).unwrap(), 3 * SIZE);
        assert_eq!(there(into.path()), ["00000002.history"]);
        feed.until(4 * SIZE + 0x180).unwrap();
        assert_eq!(
            there(into.path()),
            [&name(1, 3), &name(1, 4), "00000002.history", &name(2, 4)].map(str::to_owned)
        );
        assert_eq!(filled(&into.path().join(name(1, 4))), 0x180);
        assert_eq!(filled(&into.path().join(name(2, 4))), 0x180);
    }
}
