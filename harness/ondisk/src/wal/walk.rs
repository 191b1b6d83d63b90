//! Reads records in order, with the checks that PostgreSQL makes (`XLogDecodeNextRecord`, `ReadPageInternal` and
//! `XLogReaderValidatePageHeader` in `src/backend/access/transam/xlogreader.c`, `ReadRecord` in `xlogrecovery.c`).

mod verify;

use self::verify::{says_overwritten, shorter, verify_crc};
use super::end::{End, Reason};
use super::fields::{u32_at, u64_at};
use super::lineage::Lineage;
use super::page::{self, Header, Identity};
use super::record::{HEADER, Record, rmgr};
use super::segments::{Found, Segments};
use super::standing::{Beginning, First, Standing};
use super::{aligned, is_segment_size};
use crate::segment;

/// Reads the records of a lineage, one after another. Holds one segment, and one record that crosses pages.
#[derive(Debug)]
pub struct Walker<S> {
    segments: S,
    lineage: Lineage,
    /// A power of two, like the size of pages: that is verified before a division is made by a mask.
    segment_size: u64,
    /// What the first segment said; all others must say the same.
    identity: Option<(u16, Identity)>,
    /// The part of a segment that is looked at.
    file: Vec<u8>,
    /// Where in the segment that part begins.
    base: usize,
    /// Timeline and number of what `file` holds.
    open: Option<(u32, u64)>,
    /// The timeline of the segment before, or of that which is open: no older one's is read after it.
    floor: u32,
    /// The page whose header was verified last, and its address.
    page: (u64, Header),
    /// Position and timeline of the latest page.
    latest: (u64, u32),
    crossing: Vec<u8>,
    /// Where the next record is looked for.
    position: u64,
    /// The record before; none at the first.
    previous: Option<u64>,
    /// A record that was given up, until the one is read that says so.
    given_up: Option<u64>,
    /// Whether the record that is looked for has begun, and goes on on a later page.
    begun: bool,
    ended: Option<End>,
    /// How reading began, for whoever may have read what is before.
    beginning: Beginning,
}

/// Where a record lies.
struct Located {
    start: u64,
    end: u64,
    /// In the segment; none when it crosses pages and was put together.
    within: Option<(usize, usize)>,
}

/// A page and what is wrong at it: position of the wrong place, and why.
type Wrong = (u64, Reason);

impl<S: Segments> Walker<S> {
    /// Begins at the record that starts at `position`, or directly behind the page header there.
    pub fn new(segments: S, lineage: Lineage, position: u64) -> Self {
        let nothing = Header { magic: 0, info: 0, timeline: 0, address: 0, remaining: 0, long: None };
        Self {
            segment_size: segments.segment_size().into(),
            segments,
            lineage,
            identity: None,
            file: Vec::new(),
            base: 0,
            open: None,
            floor: 0,
            page: (u64::MAX, nothing),
            latest: (0, 0),
            crossing: Vec::new(),
            position,
            previous: None,
            given_up: None,
            begun: false,
            ended: None,
            beginning: Beginning::default(),
        }
    }

    /// Begins at the first record that starts in segment `number` or behind it, and takes what the segment says of the
    /// record before that for granted: [`Standing::is_continued_by`] tells whether it is true.
    ///
    /// # Errors
    ///
    /// Where reading ended before there was one.
    pub fn at_segment(segments: S, lineage: Lineage, number: u64) -> Result<Self, End> {
        let position = number.saturating_mul(segments.segment_size().into());
        let mut walker = Self::new(segments, lineage, position);
        walker.segment(position).map_err(|wrong| walker.end(wrong))?;
        walker.beginning.segment = position;
        walker.beginning.page_timeline = walker.page.1.timeline;
        walker.beginning.file_timeline = walker.floor;
        walker.skip_continuations().map_err(|wrong| walker.end(wrong))?;
        Ok(walker)
    }

    /// Goes on where another walker of the same lineage stands.
    pub fn resume(segments: S, lineage: Lineage, standing: &Standing) -> Self {
        let mut walker = Self::new(segments, lineage, standing.position);
        walker.identity = standing.identity;
        walker.floor = standing.floor;
        walker.previous = standing.previous;
        walker.given_up = standing.given_up;
        walker.latest = standing.latest;
        if standing.open == Some(standing.position / walker.segment_size.max(1)) {
            // Reading a segment again verifies its first page again, which is not the latest.
            if let Err(wrong) = walker.segment(standing.position) {
                walker.end(wrong);
            }
            walker.latest = standing.latest;
        }
        walker
    }

    /// Where it stands between two records.
    pub fn standing(&self) -> Standing {
        Standing {
            position: self.position,
            previous: self.previous,
            identity: self.identity,
            open: self.open.map(|(_, number)| number),
            floor: self.floor,
            latest: self.latest,
            given_up: self.given_up,
        }
    }

    /// How reading began.
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// Begins at the first record that starts at `position` or behind it (`XLogFindNextRecord`).
    ///
    /// # Errors
    ///
    /// Where reading ended before there was one.
    pub fn find(segments: S, lineage: Lineage, position: u64) -> Result<Self, End> {
        let mut walker = Self::new(segments, lineage, position);
        walker.skip_continuations().map_err(|wrong| walker.end(wrong))?;
        loop {
            let before = walker.position;
            match walker.next() {
                Ok(record) if record.start >= position => {
                    walker.position = before;
                    walker.previous = None;
                    // It is read again, from its first byte on, which may lie in the segment before.
                    (walker.open, walker.floor) = (None, 0);
                    walker.page.0 = u64::MAX;
                    walker.beginning = Beginning::default();
                    return Ok(walker);
                }
                Ok(_) => {}
                Err(end) => return Err(end),
            }
        }
    }

    /// Whose WAL it is; none before the first record.
    pub fn identity(&self) -> Option<Identity> {
        self.identity.map(|(_, identity)| identity)
    }

    /// The end of the last record that was read, or where reading begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next record.
    ///
    /// # Errors
    ///
    /// Where and why there is no next one; the same from then on.
    #[expect(
        clippy::should_implement_trait,
        reason = "the record borrows from the walker, so it is no Iterator"
    )]
    pub fn next(&mut self) -> Result<Record<'_>, End> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        match self.locate() {
            Ok(Located { start, end, within }) => {
                self.position = end;
                self.previous = Some(start);
                let bytes = match within {
                    Some((from, to)) => &self.file[from..to],
                    None => &self.crossing,
                };
                if self.beginning.first.is_none() {
                    self.beginning.identity = self.identity;
                    self.beginning.first = Some(First {
                        start,
                        previous: u64_at(bytes, 8),
                        overwrites: says_overwritten(bytes),
                    });
                }
                Ok(Record {
                    start,
                    end,
                    file_timeline: self.open.map_or(0, |(timeline, _)| timeline),
                    major: self.identity.and_then(|(magic, _)| page::major(magic)).unwrap_or(0),
                    bytes,
                })
            }
            Err(wrong) => Err(self.end(wrong)),
        }
    }

    fn end(&mut self, (at, reason): Wrong) -> End {
        // A size that no segment has would divide by zero.
        let size = self.segment_size.max(1 << 20);
        let timeline = match self.open {
            Some((timeline, number)) if number == at / size => timeline,
            _ => self.wanted(at / size, size).next().unwrap_or(self.lineage.timeline()),
        };
        let end = End {
            lsn: self.position,
            at,
            segment: segment::name(timeline, at, size),
            offset: (at % size) as u32,
            cuts_a_record: self.begun,
            reason,
        };
        self.ended = Some(end.clone());
        end
    }

    /// The timelines whose file of a segment would be read, the preferred one first.
    fn wanted(&self, number: u64, size: u64) -> impl Iterator<Item = u32> + '_ {
        self.lineage.candidates(number, size, self.floor)
    }

    fn locate(&mut self) -> Result<Located, Wrong> {
        let mut start = self.position;
        'again: loop {
            self.begun = false;
            self.segment(start)?;
            let page_size = self.page_size();
            let mut page = start & !(page_size - 1);
            self.page(page)?;
            let header = self.page.1.size() as u64;
            if start == page {
                start += header;
            } else if start - page < header || !start.is_multiple_of(8) {
                return Err((start, Reason::NoRecordStart));
            }
            if self.page.1.continues() && start - page == header {
                return Err((start, Reason::WithinRecord));
            }
            let from = (start & (self.segment_size - 1)) as usize - self.base;
            let room = (page + page_size - start) as usize;
            let length = u32_at(&self.file, from);
            let has_header = room >= HEADER;
            if has_header {
                let mut head = [0; HEADER];
                head.copy_from_slice(&self.file[from..from + HEADER]);
                self.verify_header(start, &head)?;
            } else if (length as usize) < HEADER {
                return Err((start, self.too_short(from, room, length)));
            }
            if length as usize <= room {
                let to = from + length as usize;
                verify_crc(start, &self.file[from..to])?;
                let end = self.behind(start + aligned(length.into()), &self.file[from..to]);
                let located = Located { start, end, within: Some((from, to)) };
                self.verify_overwrite(start, located.within)?;
                return Ok(located);
            }
            self.begun = true;
            self.crossing.clear();
            self.crossing.extend_from_slice(&self.file[from..from + room]);
            let mut has_header = has_header;
            loop {
                page = page.checked_add(page_size).ok_or((start, Reason::NoContinuation))?;
                self.page(page)?;
                let header = self.page.1;
                if header.overwrites() {
                    self.given_up = Some(start);
                    start = page;
                    continue 'again;
                }
                if !header.continues() {
                    return Err((page, Reason::NoContinuation));
                }
                let missing = u64::from(length) - self.crossing.len() as u64;
                if u64::from(header.remaining) != missing {
                    let reason = Reason::ContinuationLength { found: header.remaining, expected: missing };
                    return Err((page, reason));
                }
                let from = (page & (self.segment_size - 1)) as usize - self.base + header.size();
                let part = (missing as usize).min(page_size as usize - header.size());
                self.crossing.extend_from_slice(&self.file[from..from + part]);
                if !has_header {
                    // What it says about its header is about where it began.
                    self.begun = false;
                    let mut head = [0; HEADER];
                    head.copy_from_slice(&self.crossing[..HEADER]);
                    self.verify_header(start, &head)?;
                    (self.begun, has_header) = (true, true);
                }
                if self.crossing.len() == length as usize {
                    self.begun = false;
                    verify_crc(start, &self.crossing)?;
                    let end = page + header.size() as u64 + aligned(header.remaining.into());
                    let end = self.behind(end, &self.crossing);
                    self.verify_overwrite(start, None)?;
                    return Ok(Located { start, end, within: None });
                }
            }
        }
    }

    /// Moves to where the first record begins on the page of `position`, or on a later one when a record goes on all
    /// through that page.
    fn skip_continuations(&mut self) -> Result<(), Wrong> {
        self.segment(self.position)?;
        let page_size = self.page_size();
        let mut page = self.position - self.position % page_size;
        loop {
            self.page(page)?;
            let header = self.page.1;
            let (size, rest) = (header.size() as u64, aligned(header.remaining.into()));
            if header.continues() && rest >= page_size - size {
                page = page.checked_add(page_size).ok_or((page, Reason::WithinRecord))?;
            } else {
                self.position = page + size + if header.continues() { rest } else { 0 };
                return Ok(());
            }
        }
    }

    fn page_size(&self) -> u64 {
        self.identity.map_or(8192, |(_, identity)| identity.block_size.into())
    }

    /// The end of a record: after a switch of segments nothing more is in the segment.
    fn behind(&self, end: u64, record: &[u8]) -> u64 {
        let switch = record[17] == rmgr::XLOG && record[16] & 0xF0 == 0x40;
        if switch { end.next_multiple_of(self.segment_size) } else { end }
    }

    /// Verifies the header of the page at `address`, which is a page's beginning.
    fn page(&mut self, address: u64) -> Result<(), Wrong> {
        if self.page.0 == address {
            return Ok(());
        }
        self.segment(address)?;
        if self.page.0 == address {
            return Ok(());
        }
        let offset = self.reach(address)?;
        let header = Header::read(&self.file[offset..]).ok_or((address, Reason::Magic { found: 0 }))?;
        self.verify_page(address, &header)?;
        self.page = (address, header);
        Ok(())
    }

    /// Where in what was read of the segment the page at `address` begins; reads on to it.
    fn reach(&mut self, address: u64) -> Result<usize, Wrong> {
        let (offset, page_size) = ((address & (self.segment_size - 1)) as usize, self.page_size() as usize);
        if offset < self.base {
            self.open = None;
            self.segment(address)?;
        }
        while offset + page_size > self.base + self.file.len() {
            self.read_on(address)?;
        }
        offset.checked_sub(self.base).ok_or_else(|| (address, shorter()))
    }

    /// Reads the next part of the segment.
    fn read_on(&mut self, address: u64) -> Result<(), Wrong> {
        self.base += self.file.len();
        match self.segments.more(&mut self.file) {
            Ok(()) if self.file.is_empty() => Err((address, shorter())),
            Ok(()) => Ok(()),
            Err(error) => Err((address, Reason::Unreadable { error: error.to_string() })),
        }
    }

    /// Reads the segment of a position, and verifies its first page.
    fn segment(&mut self, position: u64) -> Result<(), Wrong> {
        if !u32::try_from(self.segment_size).is_ok_and(is_segment_size) {
            let reason = Reason::Layout { segment_size: self.segment_size as u32, block_size: 0 };
            return Err((position, reason));
        }
        if position > u64::MAX / 2 {
            return Err((position, Reason::NoRecordStart));
        }
        let number = position >> self.segment_size.trailing_zeros();
        if self.open.is_some_and(|(_, open)| open == number) {
            return Ok(());
        }
        self.base = 0;
        let wanted: Vec<u32> = self.wanted(number, self.segment_size).collect();
        let mut instead = None;
        let mut found = None;
        for timeline in wanted {
            match self.segments.read(timeline, number, &mut self.file) {
                Ok(Found::Whole) => {
                    found = Some((timeline, self.file.len() as u64, true));
                    break;
                }
                Ok(Found::Begun { bytes }) => {
                    found = Some((timeline, bytes, false));
                    break;
                }
                Ok(Found::OddSize { bytes }) => {
                    found = Some((timeline, bytes, true));
                    break;
                }
                Ok(Found::Missing { instead: file }) => instead = instead.or(file),
                Ok(Found::Corrupt { what }) => {
                    (self.open, self.floor) = (Some((timeline, number)), timeline);
                    return Err((number * self.segment_size, Reason::Packed { what }));
                }
                Err(error) => {
                    (self.open, self.floor) = (None, 0);
                    return Err((position, Reason::Unreadable { error: error.to_string() }));
                }
            }
        }
        let beginning = number * self.segment_size;
        let Some((timeline, bytes, whole)) = found else {
            return Err((position, Reason::Missing { instead }));
        };
        (self.open, self.floor) = (Some((timeline, number)), timeline);
        if bytes != self.segment_size || (whole && self.file.len() as u64 != bytes) {
            return Err((beginning, Reason::FileSize { bytes, expected: self.segment_size }));
        }
        let header = Header::read(&self.file).ok_or((beginning, Reason::Magic { found: 0 }))?;
        self.verify_page(beginning, &header)?;
        self.page = (beginning, header);
        Ok(())
    }
}
