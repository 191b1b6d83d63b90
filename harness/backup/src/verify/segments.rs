//! WAL segments within a tar: `pg_wal.tar`, or a base with which its WAL was fetched. They are given in the order in which
//! they lie there, which is that of the WAL, and two of them are in memory at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use pgdrill_ondisk::segment::{self, ArchiveFile};
use pgdrill_ondisk::wal::{Found, Segments, is_segment_size};

use crate::parts::Part;
use crate::tarball::{self, Broken, Kind, Member};
use crate::unpack;

/// No segment is larger (`WalSegMaxSize`, `src/include/access/xlog_internal.h`).
const LARGEST: u64 = 1 << 30;

/// What `initdb` takes.
const USUAL_SEGMENT_SIZE: u32 = 16 << 20;

/// A segment on its way.
struct Segment {
    timeline: u32,
    number: u64,
    size: u64,
    /// Its bytes, where it has the size of a segment.
    bytes: Vec<u8>,
}

type OnItsWay = Result<Segment, Broken>;

/// The segments of a tar.
pub struct TarSegments {
    segment_size: u32,
    coming: Option<Receiver<OnItsWay>>,
    reader: Option<JoinHandle<()>>,
    /// One that came before it was asked for.
    ahead: Option<Segment>,
    /// The one that was given last: a reader that looks for its first record reads it twice.
    given: Option<(u32, u64, Vec<u8>)>,
    /// Those that went by.
    gone: BTreeSet<(u32, u64)>,
}

impl TarSegments {
    /// Those of `part`, in which they are members by name, or below `pg_wal/`. `segment_size`: bytes per segment, where it
    /// is known; else as many as the first of them has.
    pub fn open(part: &Part, segment_size: Option<u32>) -> Self {
        let segment_size = segment_size.or_else(|| size_of_first(part)).unwrap_or(USUAL_SEGMENT_SIZE);
        let (send, coming) = sync_channel(1);
        let part = part.clone();
        let reader = thread::spawn(move || {
            if let Err(broken) = read(&part, segment_size, &send) {
                _ = send.send(Err(broken));
            }
        });
        let (coming, reader) = (Some(coming), Some(reader));
        Self { segment_size, coming, reader, ahead: None, given: None, gone: BTreeSet::new() }
    }

    fn next(&mut self) -> Result<Option<Segment>, Broken> {
        match self.ahead.take() {
            Some(segment) => Ok(Some(segment)),
            None => self.coming.as_ref().and_then(|coming| coming.recv().ok()).transpose(),
        }
    }
}

impl Drop for TarSegments {
    fn drop(&mut self) {
        // Nothing more is taken, so the reader ends with what it sends next.
        self.coming = None;
        if let Some(reader) = self.reader.take() {
            _ = reader.join();
        }
    }
}

impl Segments for TarSegments {
    fn segment_size(&self) -> u32 {
        self.segment_size
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        into.clear();
        if let Some((_, _, bytes)) =
            self.given.as_ref().filter(|given| (given.0, given.1) == (timeline, number))
        {
            into.extend_from_slice(bytes);
            return Ok(Found::Whole);
        }
        if self.gone.contains(&(timeline, number)) {
            return Err(io::Error::other("the segments do not lie in their order in the archive"));
        }
        loop {
            let segment = match self.next() {
                Ok(Some(segment)) => segment,
                Ok(None) => break,
                Err(Broken::Damaged { what, .. }) => return Ok(Found::Corrupt { what }),
                Err(unreadable) => return Err(io::Error::other(unreadable.to_string())),
            };
            let its = (segment.number, segment.timeline);
            if its == (number, timeline) {
                if segment.size != u64::from(self.segment_size) {
                    return Ok(Found::OddSize { bytes: segment.size });
                }
                into.extend_from_slice(&segment.bytes);
                if let Some((timeline, number, _)) = self.given.replace((timeline, number, segment.bytes)) {
                    self.gone.insert((timeline, number));
                }
                return Ok(Found::Whole);
            }
            // One of a later place: this one is not there. An earlier one is passed by.
            if its > (number, timeline) {
                self.ahead = Some(segment);
                break;
            }
            self.gone.insert((segment.timeline, segment.number));
        }
        Ok(Found::Missing { instead: None })
    }
}

/// Bytes of the first segment in a tar, if there is one and a segment can have so many.
fn size_of_first(part: &Part) -> Option<u32> {
    let mut size = None;
    let enough = || io::Error::other("the first is enough");
    _ = tarball::read(unpack::of_part(part).ok()?, |member, _| match name_of(part, member) {
        Some(name) if segment::parse(name, USUAL_SEGMENT_SIZE.into()).is_some_and(is_segment) => {
            size = u32::try_from(member.size).ok().filter(|size| is_segment_size(*size));
            Err(enough())
        }
        _ => Ok(()),
    });
    size
}

fn is_segment(file: ArchiveFile) -> bool {
    matches!(file, ArchiveFile::Segment { .. })
}

/// The name of a member that may be a WAL file.
fn name_of<'a>(part: &Part, member: &'a Member) -> Option<&'a str> {
    let path = member.path.as_deref().filter(|_| member.kind == Kind::File)?;
    let path = path.strip_prefix(part.one_tar.as_deref().unwrap_or_default().as_bytes())?;
    std::str::from_utf8(path.strip_prefix(b"pg_wal/").unwrap_or(path)).ok()
}

/// Segments that are kept in memory, since where they came from cannot be read again.
pub struct KeptSegments {
    /// By timeline and number.
    pub segments: BTreeMap<(u32, u64), Vec<u8>>,
    /// Bytes per segment.
    pub segment_size: u32,
}

impl Segments for KeptSegments {
    fn segment_size(&self) -> u32 {
        self.segment_size
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        into.clear();
        match self.segments.get(&(timeline, number)) {
            None => Ok(Found::Missing { instead: None }),
            Some(bytes) if bytes.len() != self.segment_size as usize => {
                Ok(Found::OddSize { bytes: bytes.len() as u64 })
            }
            Some(bytes) => {
                into.extend_from_slice(bytes);
                Ok(Found::Whole)
            }
        }
    }
}

fn read(part: &Part, segment_size: u32, send: &SyncSender<OnItsWay>) -> Result<(), Broken> {
    tarball::read(unpack::of_part(part)?, |member, content| {
        let parsed = name_of(part, member).and_then(|name| segment::parse(name, segment_size.into()));
        let Some(ArchiveFile::Segment { timeline, number }) = parsed else { return Ok(()) };
        let mut bytes = Vec::new();
        if member.size == u64::from(segment_size) && member.size <= LARGEST {
            bytes.reserve_exact(member.size as usize);
            content.read_to_end(&mut bytes)?;
        }
        let gone = |_| io::Error::other("nobody waits for more");
        send.send(Ok(Segment { timeline, number, size: member.size, bytes })).map_err(gone)
    })
    .map(|_| ())
}
