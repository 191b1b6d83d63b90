//! Segments of WAL in memory, of which only the beginning is kept.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use pgdrill_ondisk::history::Ancestor;
use pgdrill_ondisk::segment::PAGE;
use pgdrill_ondisk::wal::page::Header;
use pgdrill_ondisk::wal::{Found, Lineage, Segments};

use crate::chance::Chance;

/// Bytes per segment: the least that there can be.
pub const SIZE: u32 = 1 << 20;

/// No segment has a higher number: behind it positions end.
const LAST: u64 = u64::MAX / 2 / SIZE as u64 - 16;

/// Some segments, by timeline and number, each with the pages at its beginning.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The pages of each.
    pub segments: Rc<BTreeMap<(u32, u64), Vec<u8>>>,
    /// Whether all behind the pages is zero; otherwise one byte soon behind them is not, so that not a whole segment of
    /// zeros has to be looked at each time.
    pub zero: bool,
    /// Bytes in which a segment is given; none for all of it at once.
    part: Option<usize>,
    /// The segment that was begun, and how much of it was given.
    begun: ((u32, u64), usize),
}

impl Archive {
    /// Those whose beginnings lie in these bytes, one behind the other.
    pub fn of(bytes: &[u8]) -> Self {
        let mut segments = BTreeMap::<(u32, u64), Vec<u8>>::new();
        let mut current: Option<(u32, u64)> = None;
        for page in bytes.chunks(PAGE) {
            let header = Header::read(page);
            let begins = header.filter(|header| header.long.is_some()).map(|header| header.address);
            let number =
                begins.filter(|address| address.is_multiple_of(SIZE.into())).map(|at| at / u64::from(SIZE));
            let key = match (current, number) {
                (Some(current), None) => current,
                (Some(current), Some(number)) if current.1 == number => current,
                _ => {
                    let timeline = header.map_or(1, |header| header.timeline.max(1));
                    (timeline, number.unwrap_or(1).min(LAST))
                }
            };
            current = Some(key);
            let pages = segments.entry(key).or_default();
            if pages.len() < SIZE as usize {
                pages.extend_from_slice(page);
                pages.resize(pages.len().next_multiple_of(PAGE), 0);
            }
        }
        Self::from(segments, Chance::of(bytes).is_one_of(16))
    }

    /// These.
    pub fn from(segments: BTreeMap<(u32, u64), Vec<u8>>, zero: bool) -> Self {
        Self { segments: Rc::new(segments), zero, part: None, begun: ((0, 0), 0) }
    }

    /// The same, of which only `part` bytes are given at once.
    pub fn in_parts(&self, part: usize) -> Self {
        Self { part: Some(part), ..self.clone() }
    }

    /// The lowest number of a segment.
    pub fn first(&self) -> u64 {
        self.segments.keys().map(|(_, number)| *number).min().unwrap_or_default()
    }

    /// The highest number of a segment.
    pub fn last(&self) -> u64 {
        self.segments.keys().map(|(_, number)| *number).max().unwrap_or_default()
    }

    /// Whether some segment has data at a position.
    pub fn holds(&self, position: u64) -> bool {
        let (number, offset) = (position / u64::from(SIZE), position % u64::from(SIZE));
        self.segments.iter().any(|((_, of), pages)| *of == number && offset < pages.len() as u64)
    }

    /// The newest timeline, which left each older one where its own first segment begins.
    pub fn lineage(&self) -> Lineage {
        let mut begins = BTreeMap::<u32, u64>::new();
        for (timeline, number) in self.segments.keys() {
            let begin = begins.entry(*timeline).or_insert(*number);
            *begin = *number.min(begin);
        }
        let Some((newest, _)) = begins.pop_last() else { return Lineage::single(1) };
        let next = begins.values().skip(1).copied().chain([self.last()]);
        let ancestors: Vec<Ancestor> = begins
            .keys()
            .zip(next)
            .map(|(timeline, number)| Ancestor { timeline: *timeline, switched_at: number * u64::from(SIZE) })
            .collect();
        Lineage::of(newest, &ancestors).unwrap_or(Lineage::single(newest))
    }

    /// Where in a segment with so many bytes of pages a byte behind them is not zero; none where none is.
    pub fn mark(&self, pages: usize) -> Option<usize> {
        Some(pages + PAGE).filter(|mark| !self.zero && *mark < SIZE as usize)
    }

    /// Puts the next part of the segment that was begun into `into`.
    fn give(&mut self, into: &mut Vec<u8>) {
        into.clear();
        let (key, at) = self.begun;
        let part = self.part.unwrap_or(SIZE as usize).min(SIZE as usize - at);
        let pages = self.segments.get(&key).map(Vec::as_slice).unwrap_or_default();
        let mark = self.mark(pages.len());
        let pages = pages.get(at..).unwrap_or_default();
        into.extend_from_slice(&pages[..pages.len().min(part)]);
        into.resize(part, 0);
        if let Some(byte) = mark.and_then(|mark| into.get_mut(mark.checked_sub(at)?)) {
            *byte = 1;
        }
        self.begun.1 += part;
    }
}

impl Segments for Archive {
    fn segment_size(&self) -> u32 {
        SIZE
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        if !self.segments.contains_key(&(timeline, number)) {
            return Ok(Found::Missing { instead: None });
        }
        self.begun = ((timeline, number), 0);
        self.give(into);
        Ok(if self.part.is_some() { Found::Begun { bytes: SIZE.into() } } else { Found::Whole })
    }

    fn more(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        self.give(into);
        Ok(())
    }
}
