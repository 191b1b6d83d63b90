//! Directories that hold WAL files: an archive, what is left of a `pg_wal`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pgdrill_ondisk::segment::{self, ArchiveFile, is_segment};
use pgdrill_ondisk::wal::page::Header;
use pgdrill_ondisk::wal::{Found, Segments, is_segment_size};

use super::packed::{self, Fault};
use crate::Unreadable;

/// Bytes per segment where no segment tells: what `initdb` takes by default.
const USUAL_SEGMENT_SIZE: u32 = 16 << 20;

/// Bytes of a part: whole pages, and few enough to stay in the cache of a processor until they were looked at.
const PART: usize = 1 << 18;

/// Directories that hold WAL files. A file of the same name is taken from the first that has it.
#[derive(Clone, Debug)]
pub struct Store {
    directories: Vec<PathBuf>,
    segment_size: u32,
    /// Whether a segment said its size.
    said: bool,
    /// Segments of which a partial file is read, too.
    partial: BTreeSet<String>,
    compressed: bool,
    short: bool,
    /// Segments that are taken as not there, whatever files of them there are.
    left_out: BTreeSet<String>,
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
        let mut store = Self {
            directories,
            segment_size: USUAL_SEGMENT_SIZE,
            said: false,
            partial: BTreeSet::new(),
            compressed: false,
            short: false,
            left_out: BTreeSet::new(),
        };
        let names = store.names()?;
        let said = names
            .iter()
            .filter(|(_, name)| is_segment(name))
            .find_map(|(directory, name)| said(&directory.join(name)));
        store.said = said.is_some();
        store.segment_size = said.unwrap_or(USUAL_SEGMENT_SIZE);
        Ok(store)
    }

    /// Reads a segment too that is cut off, as if zeros followed. A server that finds one in its `pg_wal` reads it as far as
    /// it goes; one that its `restore_command` gives is refused.
    #[must_use]
    pub fn with_short(self) -> Self {
        Self { short: true, ..self }
    }

    /// Reads files too that are packed by gzip, LZ4 or Zstandard, where there is none that is not. PostgreSQL reads them
    /// only through a `restore_command` that unpacks them. Where no segment has said its size, a packed one is asked.
    #[must_use]
    pub fn with_compressed(self) -> Self {
        let mut store = Self { compressed: true, ..self };
        if !store.said {
            let names = store.names().unwrap_or_default();
            let mut packed = names
                .iter()
                .filter_map(|(directory, name)| Some((directory.join(name), packed::parse(name)?)))
                .filter(|(_, (name, _))| is_segment(name));
            let said = packed.find_map(|(path, (_, packing))| {
                let page = packed::beginning(open(&path).ok()?, packing, 64)?;
                Some(Header::read(&page)?.long?.segment_size).filter(|size| is_segment_size(*size))
            });
            store.said = said.is_some();
            store.segment_size = said.unwrap_or(store.segment_size);
        }
        store
    }

    /// Whether a segment said how large segments are.
    pub fn knows_segment_size(&self) -> bool {
        self.said
    }

    /// The directories, in the order in which they are searched.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Takes segments to be of this size (bytes), as a control file says it.
    #[must_use]
    pub fn of_segment_size(self, bytes: u32) -> Self {
        Self { segment_size: bytes, said: true, ..self }
    }

    /// Reads `NAME.partial` too, where `NAME` is one of `names` and there is no whole segment of it. PostgreSQL never does:
    /// it is what somebody gets who renames those files.
    #[must_use]
    pub fn with_partial(self, names: BTreeSet<String>) -> Self {
        Self { partial: names, ..self }
    }

    /// Takes segments as not there, by their names.
    #[must_use]
    pub fn without(self, names: BTreeSet<String>) -> Self {
        Self { left_out: names, ..self }
    }

    /// The newest segments that are still being copied into a directory: what there is of them is not whole, no later one is, and
    /// their files were written to since a moment.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn unfinished(&self, since: SystemTime) -> Result<BTreeSet<String>, Unreadable> {
        let (mut found, mut bytes) = (BTreeSet::new(), Vec::new());
        for (timeline, number) in self.segments()?.into_iter().rev() {
            let name = self.name(timeline, number);
            let read = self.clone().read(timeline, number, &mut bytes);
            let partly = match read {
                Ok(Found::OddSize { bytes }) => bytes < u64::from(self.segment_size),
                Ok(Found::Corrupt { .. }) => true,
                _ => false,
            };
            if !partly || self.written(&name).is_none_or(|written| written < since) {
                break;
            }
            found.insert(name);
        }
        Ok(found)
    }

    /// When the file of a segment was written to last.
    fn written(&self, name: &str) -> Option<SystemTime> {
        let endings = std::iter::once("").chain(packed::ENDINGS.iter().map(|(ending, _)| *ending));
        let mut names = endings.map(|ending| format!("{name}{ending}"));
        names.find_map(|name| {
            let mut paths = self.directories.iter().map(|directory| directory.join(&name));
            paths.find_map(|path| fs::metadata(path).ok()?.modified().ok())
        })
    }

    /// The whole segments, as timeline and number, in order and each once; packed ones where these are read.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read.
    pub fn segments(&self) -> Result<Vec<(u32, u64)>, Unreadable> {
        let size = u64::from(self.segment_size);
        let mut found: Vec<(u32, u64)> = self
            .names()?
            .iter()
            .filter_map(|(_, name)| match segment::parse(self.stem(name), size) {
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
            if let Some(ArchiveFile::History { timeline }) = segment::parse(self.stem(&name), size) {
                // That of the first directory that has it.
                if found.iter().all(|(known, _)| *known != timeline) {
                    found.push((timeline, directory.join(name)));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether there is a file of a segment, of whatever size; a packed one where these are read.
    pub fn has(&self, name: &str) -> bool {
        let packed =
            packed::ENDINGS.iter().filter(|_| self.compressed).map(|(ending, _)| format!("{name}{ending}"));
        std::iter::once(name.to_owned()).chain(packed).any(|name| self.exists(&name))
    }

    /// The name of a segment.
    pub fn name(&self, timeline: u32, number: u64) -> String {
        let size = u64::from(self.segment_size);
        segment::name(timeline, number.saturating_mul(size), size)
    }

    /// A file's name without the ending of its packing, where packed files are read.
    fn stem<'a>(&self, name: &'a str) -> &'a str {
        packed::parse(name).filter(|_| self.compressed).map_or(name, |(stem, _)| stem)
    }

    /// Every file's directory and name, those of the first directory first.
    pub(super) fn names(&self) -> Result<Vec<(&Path, String)>, Unreadable> {
        let mut names = Vec::new();
        for directory in &self.directories {
            let wrong = |error: io::Error| Unreadable::new(directory, error.to_string());
            let mut within = Vec::new();
            for entry in fs::read_dir(directory).map_err(wrong)? {
                let name = entry.map_err(wrong)?.file_name();
                let name = name.into_string().ok().filter(|name| !self.left_out.contains(self.stem(name)));
                within.extend(name.map(|name| (directory.as_path(), name)));
            }
            within.sort();
            names.extend(within);
        }
        Ok(names)
    }

    /// The first directory that has the file.
    fn file(&self, name: &str) -> io::Result<Option<File>> {
        if self.left_out.contains(self.stem(name)) {
            return Ok(None);
        }
        for directory in &self.directories {
            match open(&directory.join(name)) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The file of a segment, when it has the size of one; else what there is of it, which is in `into` when it is whole.
    fn find(&self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Result<File, Found>> {
        let name = self.name(timeline, number);
        let partial = format!("{name}.partial");
        let mut file = self.file(&name)?;
        if file.is_none()
            && self.compressed
            && let Some(found) = self.unpack(&name, into)?
        {
            return Ok(Err(found));
        }
        if file.is_none() && self.partial.contains(&name) {
            file = self.file(&partial)?;
        }
        let Some(file) = file else {
            let packed = packed::ENDINGS.iter().map(|(ending, _)| *ending).filter(|_| !self.compressed);
            let others = std::iter::once(".partial").chain(packed).chain(packed::UNREAD);
            let mut others = others.map(|ending| format!("{name}{ending}"));
            return Ok(Err(Found::Missing { instead: others.find(|other| self.exists(other)) }));
        };
        let (bytes, size) = (file.metadata()?.len(), u64::from(self.segment_size));
        if self.short && bytes < size {
            file.take(size).read_to_end(into)?;
            into.resize(self.segment_size as usize, 0);
            return Ok(Err(Found::Whole));
        }
        if bytes == size { Ok(Ok(file)) } else { Ok(Err(Found::OddSize { bytes })) }
    }

    /// Reads a packed segment; none when there is none.
    fn unpack(&self, name: &str, into: &mut Vec<u8>) -> io::Result<Option<Found>> {
        for (ending, packing) in packed::ENDINGS {
            let Some(file) = self.file(&format!("{name}{ending}"))? else { continue };
            let size = u64::from(self.segment_size);
            return match packed::unpack(file, packing, size, into) {
                Ok(()) if into.len() as u64 == size => Ok(Some(Found::Whole)),
                Ok(()) if into.len() as u64 > size => {
                    Ok(Some(Found::Corrupt { what: format!("{name}{ending} holds more than {size} bytes") }))
                }
                Ok(()) => Ok(Some(Found::OddSize { bytes: into.len() as u64 })),
                Err(Fault::Corrupt(what)) => {
                    Ok(Some(Found::Corrupt { what: format!("{name}{ending}: {what}") }))
                }
                Err(Fault::Io(error)) => Err(error),
            };
        }
        Ok(None)
    }

    fn exists(&self, name: &str) -> bool {
        let left_out = self.left_out.contains(self.stem(name));
        !left_out && self.directories.iter().any(|directory| directory.join(name).exists())
    }
}

impl Segments for Store {
    fn segment_size(&self) -> u32 {
        self.segment_size
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        into.clear();
        let file = match self.find(timeline, number, into)? {
            Ok(file) => file,
            Err(found) => return Ok(found),
        };
        // It can grow meanwhile; a segment is never longer than it was.
        file.take(self.segment_size.into()).read_to_end(into)?;
        Ok(Found::Whole)
    }
}

/// The same segments, read part by part.
#[derive(Debug)]
pub(super) struct Gradual<'a> {
    store: &'a Store,
    /// The segment that was begun, and how much of it is left.
    begun: Option<(File, usize)>,
}

impl<'a> Gradual<'a> {
    pub(super) fn of(store: &'a Store) -> Self {
        Self { store, begun: None }
    }
}

impl Clone for Gradual<'_> {
    fn clone(&self) -> Self {
        Self::of(self.store)
    }
}

impl Segments for Gradual<'_> {
    fn segment_size(&self) -> u32 {
        self.store.segment_size
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        self.begun = None;
        let size = self.store.segment_size;
        // Only what is unpacked is put into an empty buffer; the buffer of parts keeps its length, and is written over.
        let mut unpacked = Vec::new();
        match self.store.find(timeline, number, &mut unpacked)? {
            Ok(file) => {
                self.begun = Some((file, size as usize));
                self.more(into)?;
                Ok(Found::Begun { bytes: size.into() })
            }
            Err(found) => {
                *into = unpacked;
                Ok(found)
            }
        }
    }

    fn more(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let Some((file, left)) = &mut self.begun else {
            into.clear();
            return Ok(());
        };
        into.resize(PART.min(*left), 0);
        file.read_exact(into)?;
        *left -= into.len();
        Ok(())
    }
}

/// Opens a regular file. Others are refused, because to open a FIFO is to wait for whoever writes to it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// The segment size that a segment says, when it can be one.
fn said(path: &Path) -> Option<u32> {
    let mut page = Vec::new();
    open(path).ok()?.take(64).read_to_end(&mut page).ok()?;
    let size = Header::read(&page)?.long?.segment_size;
    (is_segment_size(size) && fs::metadata(path).ok()?.len() == u64::from(size)).then_some(size)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        fs::write(name(5, ".partial"), segment(5)).unwrap();
        let names = [1, 3].map(|number| segment::name(1, number * SIZE as u64, SIZE as u64));
        let mut store = store.with_partial(names.into());
        assert_eq!(read(&mut store, 3), (Found::Whole, Some(3)));
        assert_eq!(read(&mut store, 5), instead("000000010000000000000005.partial"));
        assert_eq!(read(&mut store, 1), (Found::Whole, Some(1)));
    }

    #[test]
    fn the_newest_segments_that_are_not_whole_and_just_written_are_still_being_copied() {
        let archive = tempfile::tempdir().unwrap();
        let name = |number: u64| segment::name(1, number * SIZE as u64, SIZE as u64);
        let path = |number: u64, ending: &str| archive.path().join(name(number) + ending);
        fs::write(path(1, ""), segment(1)).unwrap();
        fs::write(path(2, ""), &segment(2)[..100]).unwrap();
        fs::write(path(3, ""), segment(3)).unwrap();
        fs::write(path(4, ""), &segment(4)[..100]).unwrap();
        fs::write(path(5, ".gz"), [0x1f, 0x8b, 8]).unwrap();
        let store = Store::open(&[archive.path()]).unwrap().with_compressed();
        let (past, future) =
            (SystemTime::now() - Duration::from_secs(60), SystemTime::now() + Duration::from_secs(60));
        assert_eq!(store.unfinished(past).unwrap(), [name(4), name(5)].into());
        assert_eq!(store.unfinished(future).unwrap(), [].into(), "what lies there for long is damaged");
        let mut store = store.clone().without(store.unfinished(past).unwrap());
        assert_eq!(store.segments().unwrap(), [(1, 1), (1, 2), (1, 3)]);
        assert_eq!(read(&mut store, 4).0, Found::Missing { instead: None });
        assert_eq!(read(&mut store, 5).0, Found::Missing { instead: None });
        assert_eq!(read(&mut store, 2).0, Found::OddSize { bytes: 100 });
        assert!(!store.has(&name(5)) && store.has(&name(3)));
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
