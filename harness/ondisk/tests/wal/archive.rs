//! WAL that servers of several majors have written (`fixtures/ondisk/wal`, made by the script there), in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use pgdrill_ondisk::history;
use pgdrill_ondisk::segment::{self, ArchiveFile};
use pgdrill_ondisk::wal::{End, Found, Lineage, Record, Segments, Walker};

pub const SIZE: u32 = 1 << 20;

/// An archive in memory.
#[derive(Clone, Default)]
pub struct Archive {
    pub segments: BTreeMap<(u32, u64), Vec<u8>>,
    pub histories: BTreeMap<u32, String>,
}

impl Segments for Archive {
    fn segment_size(&self) -> u32 {
        SIZE
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        into.clear();
        let Some(bytes) = self.segments.get(&(timeline, number)) else {
            return Ok(Found::Missing { instead: None });
        };
        into.extend_from_slice(bytes);
        Ok(Found::Whole)
    }
}

pub fn unpacked(major: u32, name: &str) -> Vec<u8> {
    let path = PathBuf::from(format!("../../fixtures/ondisk/wal/{major}/{name}"));
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

pub fn archive(major: u32) -> Archive {
    Archive::of(&unpacked(major, "archive.tar.gz"))
}

impl Archive {
    pub fn of(tar: &[u8]) -> Self {
        let mut archive = Self::default();
        for entry in tar::Archive::new(tar).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            match segment::parse(&name, SIZE.into()) {
                Some(ArchiveFile::Segment { timeline, number }) => {
                    archive.segments.insert((timeline, number), bytes);
                }
                Some(ArchiveFile::History { timeline }) => {
                    archive.histories.insert(timeline, String::from_utf8(bytes).unwrap());
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        archive
    }

    pub fn lineage(&self, timeline: u32) -> Lineage {
        match self.histories.get(&timeline) {
            Some(text) => Lineage::of(timeline, &history::read(text).unwrap()).unwrap(),
            None => Lineage::single(timeline),
        }
    }

    /// Where the first segment of a timeline begins.
    pub fn begin(&self, timeline: u32) -> u64 {
        let numbers = self.segments.keys().filter(|(of, _)| *of == timeline).map(|(_, number)| *number);
        numbers.min().unwrap() * u64::from(SIZE)
    }

    pub fn walker(self, timeline: u32) -> Walker<Self> {
        let (lineage, begin) = (self.lineage(timeline), self.begin(timeline));
        Walker::find(self, lineage, begin).unwrap()
    }
}

/// Reads all there is.
pub fn walk(walker: &mut Walker<impl Segments>, mut each: impl FnMut(&Record<'_>)) -> End {
    loop {
        match walker.next() {
            Ok(record) => each(&record),
            Err(end) => return end,
        }
    }
}

#[test]
fn fixtures_stay_small() {
    let root = PathBuf::from("../../fixtures/ondisk/wal");
    let mut bytes = 0;
    for major in fs::read_dir(root).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        bytes += fs::read_dir(major.path())
            .unwrap()
            .flatten()
            .map(|file| file.metadata().unwrap().len())
            .sum::<u64>();
    }
    assert!(bytes < 800_000, "{bytes}");
}
