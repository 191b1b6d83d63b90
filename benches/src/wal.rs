//! WAL made out of nothing, as a busy server writes it: small changes of rows, some images of pages, and a commit after
//! every few records.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use pgdrill_ondisk::wal::{Found, Segments};

/// Bytes per segment.
pub const SEGMENT: usize = 16 << 20;

/// Bytes per page.
const PAGE: usize = 8192;

const MAGIC_17: u16 = 0xD116;

/// Segments in memory, from the first on.
#[derive(Clone, Debug)]
pub struct Made {
    segments: Arc<Vec<Vec<u8>>>,
}

impl Made {
    /// Makes this many segments, without page images when `rows_only`.
    pub fn new(segments: usize, rows_only: bool) -> Self {
        let mut endless = Endless::new(rows_only, u32::MAX);
        Self { segments: Arc::new((0..segments).map(|_| endless.segment()).collect()) }
    }

    /// Writes them into a directory, as an archive of timeline 1 has them.
    ///
    /// # Errors
    ///
    /// What writing gives.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let mut segments = self.segments.iter().zip(0_u32..);
        segments.try_for_each(|(bytes, number)| {
            fs::write(directory.join(format!("{:016X}{number:08X}", 1_u64 << 32)), bytes)
        })
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        (self.segments.len() * SEGMENT) as u64
    }
}

impl Segments for Made {
    fn segment_size(&self) -> u32 {
        SEGMENT as u32
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        into.clear();
        match usize::try_from(number).ok().and_then(|number| self.segments.get(number)) {
            Some(segment) if timeline == 1 => {
                into.extend_from_slice(segment);
                Ok(Found::Whole)
            }
            _ => Ok(Found::Missing { instead: None }),
        }
    }
}

/// Segments that are made when they are read, one after another.
#[derive(Clone, Debug)]
pub struct Endless {
    writer: Writer,
    rows_only: bool,
    transactions: u32,
    number: u32,
}

impl Endless {
    /// WAL of this many transactions, without page images when `rows_only`.
    pub fn new(rows_only: bool, transactions: u32) -> Self {
        let writer = Writer { bytes: Vec::with_capacity(SEGMENT + 2 * PAGE), begin: 0, previous: 0 };
        Self { writer, rows_only, transactions, number: 0 }
    }

    fn segment(&mut self) -> Vec<u8> {
        while self.writer.bytes.len() < SEGMENT && self.number < self.transactions {
            self.number += 1;
            self.transaction(self.number);
        }
        if self.writer.bytes.len() < SEGMENT {
            self.writer.bytes.resize(SEGMENT, 0);
        }
        let rest = self.writer.bytes.split_off(SEGMENT);
        self.writer.begin += SEGMENT;
        std::mem::replace(&mut self.writer.bytes, rest)
    }

    /// Three inserts of a row, sometimes the image of a page, and the commit.
    fn transaction(&mut self, number: u32) {
        let data = |length: usize| {
            let mut data = vec![number as u8; length];
            // The main data's length, with which the rest of the record must agree.
            data[0] = 254;
            data[1..5].copy_from_slice(&((length - 5) as u32).to_le_bytes());
            data
        };
        for _ in 0..3 {
            self.writer.record(number, 10, &data(110));
        }
        if !self.rows_only && number.is_multiple_of(16) {
            self.writer.record(number, 11, &data(7000));
        }
        let mut commit = [0; 10];
        commit[..2].copy_from_slice(&[255, 8]);
        commit[2..].copy_from_slice(&(u64::from(number) * 500).to_le_bytes());
        self.writer.record(number, 1, &commit);
    }
}

impl Segments for Endless {
    fn segment_size(&self) -> u32 {
        SEGMENT as u32
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        let done = self.number == self.transactions && self.writer.bytes.is_empty();
        if timeline != 1 || done || number != (self.writer.begin / SEGMENT) as u64 {
            return Ok(Found::Missing { instead: None });
        }
        *into = self.segment();
        Ok(Found::Whole)
    }
}

#[derive(Clone, Debug)]
struct Writer {
    bytes: Vec<u8>,
    /// Position of the first of them, the beginning of a segment.
    begin: usize,
    previous: u64,
}

impl Writer {
    /// Begins a page where one must begin. `rest`: what is still to come of a record.
    fn page(&mut self, rest: usize) {
        let at = self.begin + self.bytes.len();
        if !at.is_multiple_of(PAGE) {
            return;
        }
        let long = at.is_multiple_of(SEGMENT);
        let info = u16::from(rest > 0) | if long { 2 } else { 0 };
        self.bytes.extend(MAGIC_17.to_le_bytes());
        self.bytes.extend(info.to_le_bytes());
        self.bytes.extend(1_u32.to_le_bytes());
        self.bytes.extend((at as u64).to_le_bytes());
        self.bytes.extend((rest as u32).to_le_bytes());
        self.bytes.extend([0; 4]);
        if long {
            self.bytes.extend(7_000_000_000_000_000_001_u64.to_le_bytes());
            self.bytes.extend((SEGMENT as u32).to_le_bytes());
            self.bytes.extend((PAGE as u32).to_le_bytes());
        }
    }

    fn record(&mut self, xid: u32, rmgr: u8, data: &[u8]) {
        self.page(0);
        let start = (self.begin + self.bytes.len()) as u64;
        let mut record = Vec::with_capacity(24 + data.len());
        record.extend(((24 + data.len()) as u32).to_le_bytes());
        record.extend(xid.to_le_bytes());
        record.extend(self.previous.to_le_bytes());
        record.extend([0, rmgr, 0, 0]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(data), &record);
        record.extend(crc.to_le_bytes());
        record.extend_from_slice(data);
        let mut rest = record.as_slice();
        while !rest.is_empty() {
            self.page(rest.len());
            let room = PAGE - self.bytes.len() % PAGE;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.bytes.extend_from_slice(now);
            rest = later;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.previous = start;
    }
}
