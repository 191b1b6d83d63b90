//! Directories that hold WAL files: an archive, what is left of a `pg_wal`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pgdrill_ondisk::segment::{self, ArchiveFile};
use pgdrill_ondisk::wal::page::Header;
use pgdrill_ondisk::wal::{Found, Segments, is_segment_size};

use crate::Unreadable;

/// Bytes per segment where no segment tells: what `initdb` takes by default.
const USUAL_SEGMENT_SIZE: u32 = 16 << 20;

/// How tools name segments that they compressed: not read, but told of.
const COMPRESSED: [&str; 7] = [".gz", ".lz4", ".zst", ".xz", ".bz2", ".br", ".snappy"];

/// Directories that hold WAL files. A file of the same name is taken from the first that has it.
#[derive(Clone, Debug)]
pub struct Store {
    directories: Vec<PathBuf>,
    segment_size: u32,
    partial: bool,
}

impl Store {
    /// Looks into the directories, of which PostgreSQL would read the first before the others: an archive comes before
    /// `pg_wal`. The segment size is that which the first whole segment says of itself.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn open(directories: &[&Path]) -> Result<Self, Unreadable> {
        let directories = directories.iter().map(|directory| (*directory).to_owned()).collect();
        let mut store = Self { directories, segment_size: USUAL_SEGMENT_SIZE, partial: false };
        let names = store.names()?;
        let said = names
            .iter()
            .filter(|(_, name)| is_segment(name))
            .find_map(|(directory, name)| said(&directory.join(name)));
        store.segment_size = said.unwrap_or(USUAL_SEGMENT_SIZE);
        Ok(store)
    }

    /// Takes segments to be of this size (bytes), as a control file says it.
    #[must_use]
    pub fn of_segment_size(self, bytes: u32) -> Self {
        Self { segment_size: bytes, ..self }
    }

    /// Reads `NAME.partial` too, where there is no whole segment `NAME`. PostgreSQL never does: it is what somebody gets
    /// who renames the file.
    #[must_use]
    pub fn with_partial(self) -> Self {
        Self { partial: true, ..self }
    }

    /// The whole segments, as timeline and number, in order and each once.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn segments(&self) -> Result<Vec<(u32, u64)>, Unreadable> {
        let size = u64::from(self.segment_size);
        let mut found: Vec<(u32, u64)> = self
            .names()?
            .iter()
            .filter_map(|(_, name)| match segment::parse(name, size) {
                Some(ArchiveFile::Segment { timeline, number }) => Some((timeline, number)),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The timelines of which there is a history file, in order, with the file.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn histories(&self) -> Result<Vec<(u32, PathBuf)>, Unreadable> {
        let size = u64::from(self.segment_size);
        let mut found: Vec<(u32, PathBuf)> = Vec::new();
        for (directory, name) in self.names()? {
            if let Some(ArchiveFile::History { timeline }) = segment::parse(&name, size) {
                // That of the first directory that has it.
                if found.iter().all(|(known, _)| *known != timeline) {
                    found.push((timeline, directory.join(name)));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The name of a segment.
    pub fn name(&self, timeline: u32, number: u64) -> String {
        let size = u64::from(self.segment_size);
        segment::name(timeline, number.saturating_mul(size), size)
    }

    /// Every file's directory and name, those of the first directory first.
    fn names(&self) -> Result<Vec<(&Path, String)>, Unreadable> {
        let mut names = Vec::new();
        for directory in &self.directories {
            let wrong = |error: io::Error| Unreadable::new(directory, error.to_string());
            let mut within = Vec::new();
            for entry in fs::read_dir(directory).map_err(wrong)? {
                let name = entry.map_err(wrong)?.file_name();
                within.extend(name.into_string().ok().map(|name| (directory.as_path(), name)));
            }
            within.sort();
            names.extend(within);
        }
        Ok(names)
    }

    /// The first directory that has the file.
    fn file(&self, name: &str) -> io::Result<Option<File>> {
        for directory in &self.directories {
            match File::open(directory.join(name)) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn exists(&self, name: &str) -> bool {
        self.directories.iter().any(|directory| directory.join(name).exists())
    }
}

impl Segments for Store {
    fn segment_size(&self) -> u32 {
        self.segment_size
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        into.clear();
        let name = self.name(timeline, number);
        let partial = format!("{name}.partial");
        let file = match self.file(&name)? {
            None if self.partial => self.file(&partial)?,
            file => file,
        };
        let Some(file) = file else {
            let mut others =
                std::iter::once(".partial").chain(COMPRESSED).map(|ending| format!("{name}{ending}"));
            return Ok(Found::Missing { instead: others.find(|other| self.exists(other)) });
        };
        let bytes = file.metadata()?.len();
        if bytes != u64::from(self.segment_size) {
            return Ok(Found::OddSize { bytes });
        }
        // It can grow meanwhile; a segment is never longer than it was.
        file.take(bytes).read_to_end(into)?;
        Ok(Found::Whole)
    }
}

fn is_segment(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The segment size that a segment says, when it can be one.
fn said(path: &Path) -> Option<u32> {
    let mut page = Vec::new();
    File::open(path).ok()?.take(64).read_to_end(&mut page).ok()?;
    let size = Header::read(&page)?.long?.segment_size;
    (is_segment_size(size) && fs::metadata(path).ok()?.len() == u64::from(size)).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1 << 20;

    /// A segment of nothing but a long page header, and one byte to know it by.
    fn segment(mark: u8) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        bytes[..4].copy_from_slice(&[0x10, 0xD1, 2, 0]);
        bytes[32..36].copy_from_slice(&(SIZE as u32).to_le_bytes());
        bytes[100] = mark;
        bytes
    }

    fn read(store: &mut Store, number: u64) -> (Found, Option<u8>) {
        let mut bytes = Vec::new();
        let found = store.read(1, number, &mut bytes).unwrap();
        (found, bytes.get(100).copied())
    }

    #[test]
    fn the_first_directory_that_has_a_file_serves_it() {
        let (archive, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = |number: u64| segment::name(1, number * SIZE as u64, SIZE as u64);
        fs::write(archive.path().join(name(3)), segment(3)).unwrap();
        fs::write(left.path().join(name(3)), segment(13)).unwrap();
        fs::write(left.path().join(name(4)), segment(4)).unwrap();
        fs::write(left.path().join("00000002.history"), "").unwrap();
        let mut store = Store::open(&[archive.path(), left.path()]).unwrap();
        assert_eq!(store.segment_size(), 1 << 20);
        assert_eq!(read(&mut store, 3), (Found::Whole, Some(3)));
        assert_eq!(read(&mut store, 4), (Found::Whole, Some(4)));
        assert_eq!(read(&mut store, 5), (Found::Missing { instead: None }, None));
        assert_eq!(store.segments().unwrap(), [(1, 3), (1, 4)]);
        assert_eq!(store.histories().unwrap(), [(2, left.path().join("00000002.history"))]);
    }

    #[test]
    fn what_stands_for_a_segment_is_named_and_a_partial_one_is_read_only_on_request() {
        let archive = tempfile::tempdir().unwrap();
        let name = |number: u64, ending: &str| {
            archive.path().join(segment::name(1, number * SIZE as u64, SIZE as u64) + ending)
        };
        fs::write(name(1, ""), segment(1)).unwrap();
        fs::write(name(2, ".gz"), "packed").unwrap();
        fs::write(name(3, ".partial"), segment(3)).unwrap();
        fs::write(name(4, ""), &segment(4)[..100]).unwrap();
        fs::write(name(1, ".partial"), segment(11)).unwrap();
        let mut store = Store::open(&[archive.path()]).unwrap();
        let instead = |text: &str| (Found::Missing { instead: Some(text.to_owned()) }, None);
        assert_eq!(read(&mut store, 2), instead("000000010000000000000002.gz"));
        assert_eq!(read(&mut store, 3), instead("000000010000000000000003.partial"));
        assert_eq!(read(&mut store, 4), (Found::OddSize { bytes: 100 }, None));
        let mut store = store.with_partial();
        assert_eq!(read(&mut store, 3), (Found::Whole, Some(3)));
        assert_eq!(read(&mut store, 1), (Found::Whole, Some(1)));
    }

    #[test]
    fn an_archive_without_a_segment_has_the_usual_size_until_told() {
        let archive = tempfile::tempdir().unwrap();
        let store = Store::open(&[archive.path()]).unwrap();
        assert_eq!(store.segment_size(), 16 << 20);
        assert_eq!(store.of_segment_size(1 << 20).segment_size(), 1 << 20);
        let error = Store::open(&[&archive.path().join("nowhere")]).unwrap_err();
        assert!(error.to_string().ends_with("nowhere: No such file or directory (os error 2)"), "{error}");
    }
}
