//! Reading a ledger: one record after the other, in bounded memory, and never silently less than was written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::damage::Damage;
use crate::frame::{self, Seen};
use crate::record::{LONGEST, Record, decode};
use crate::rules::State;
use crate::sums::Change;
use crate::varint::Cursor;

/// How every ledger begins.
pub(crate) const MAGIC: [u8; 8] = *b"PGDLEDGR";

/// The version of the format.
pub(crate) const VERSION: u64 = 1;

/// Bytes that are read at once.
const AT_ONCE: usize = 1 << 20;

/// What a ledger is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The id of the run.
    pub run: String,
    /// The seed of the drill.
    pub seed: u64,
}

/// Reads a ledger.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    header: Header,
    state: State,
    crc: u32,
    /// Bytes that were read, of which those before `next` are done with.
    buffer: Vec<u8>,
    next: usize,
    /// Where in the file the buffer begins.
    offset: u64,
    at_end: bool,
    /// Where the record that closed the ledger begins, and the CRC before it.
    closed: Option<(u64, u32)>,
    changes: Vec<Change>,
}

impl Reader<File> {
    /// Opens a ledger.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or does not begin as a ledger.
    pub fn open(path: &Path) -> Result<Self, Damage> {
        Self::new(File::open(path)?)
    }
}

impl<R: Read> Reader<R> {
    /// Reads a ledger from its first byte.
    ///
    /// # Errors
    ///
    /// What cannot be read, or does not begin as a ledger.
    pub fn new(from: R) -> Result<Self, Damage> {
        let mut reader = Self {
            from,
            header: Header::default(),
            state: State::default(),
            crc: crc32c::crc32c(&MAGIC),
            buffer: Vec::new(),
            next: 0,
            offset: 0,
            at_end: false,
            closed: None,
            changes: Vec::new(),
        };
        reader.want(MAGIC.len())?;
        if !reader.buffer.starts_with(&MAGIC) {
            return Err(Damage::NotALedger);
        }
        reader.next = MAGIC.len();
        let Some((payload, end, crc)) = reader.frame()? else {
            return Err(Damage::Torn { at: reader.position(), bytes: 0 });
        };
        let mut bytes = Cursor::new(&reader.buffer[payload..end]);
        let version = bytes.number().ok_or(Damage::NotALedger)?;
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let seed = bytes.number().ok_or(Damage::NotALedger)?;
        let run = str::from_utf8(bytes.rest()).map_err(|_| Damage::NotALedger)?.to_owned();
        reader.header = Header { run, seed };
        reader.passed(end, crc);
        Ok(reader)
    }

    /// The run and the seed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; none after the one that closed the ledger, which must be the last. Not an `Iterator`, because
    /// a record borrows from the reader.
    ///
    /// # Errors
    ///
    /// What is wrong with the file. All that was given before is as it was written; nothing after it can be had.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Damage> {
        let at = self.position();
        let Some((payload, end, crc)) = self.frame()? else {
            return if self.closed.is_some() { Ok(None) } else { Err(Damage::Unclosed { at }) };
        };
        if self.closed.is_some() {
            return Err(Damage::AfterClosed { at });
        }
        let before = self.crc;
        self.passed(end, crc);
        let flawed = |flaw| Damage::Flaw { at, flaw };
        let record = decode(&self.buffer[payload..end], &self.state, &mut self.changes).map_err(flawed)?;
        self.state.follow(&record).map_err(flawed)?;
        if matches!(record, Record::Closed { .. }) {
            self.closed = Some((at, before));
        }
        Ok(Some(record))
    }

    /// Where in the file the next record begins.
    pub fn position(&self) -> u64 {
        self.offset + self.next as u64
    }

    /// What goes on from here: the state after all records but the closing one, where that begins, and the CRC before.
    pub(crate) fn before_closed(self) -> (Header, State, u64, u32) {
        let (at, crc) = self.closed.unwrap_or((self.offset + self.next as u64, self.crc));
        (self.header, self.state, at, crc)
    }

    fn passed(&mut self, end: usize, crc: u32) {
        // `end` is that of the payload.
        self.next = end + frame::CRC_BYTES;
        self.crc = crc;
    }

    /// The next frame: where its payload begins and ends in the buffer, and its CRC. None at the end of the file.
    fn frame(&mut self) -> Result<Option<(usize, usize, u32)>, Damage> {
        loop {
            let bytes = &self.buffer[self.next..];
            let at = self.offset + self.next as u64;
            match frame::look(bytes, self.crc, LONGEST) {
                Seen::Whole { payload, end, crc } => {
                    let payload = self.next + payload;
                    return Ok(Some((payload, self.next + end - frame::CRC_BYTES, crc)));
                }
                Seen::Broken => return Err(Damage::Record { at }),
                Seen::Short { .. } if self.at_end && bytes.is_empty() => return Ok(None),
                Seen::Short { .. } if self.at_end => {
                    // A length that was damaged makes a frame seem longer than the file; then others follow.
                    return Err(if frame::any_within(bytes, LONGEST) {
                        Damage::Record { at }
                    } else {
                        Damage::Torn { at, bytes: bytes.len() as u64 }
                    });
                }
                Seen::Short { wanted } => self.want(wanted)?,
            }
        }
    }

    /// Reads until the buffer holds so many bytes that are not done with, or the file ends.
    fn want(&mut self, wanted: usize) -> io::Result<()> {
        if self.buffer.len() - self.next >= wanted {
            return Ok(());
        }
        self.buffer.drain(..self.next);
        self.offset += self.next as u64;
        self.next = 0;
        while self.buffer.len() < wanted && !self.at_end {
            let room = (AT_ONCE.max(wanted) - self.buffer.len()) as u64;
            let read = self.from.by_ref().take(room).read_to_end(&mut self.buffer)?;
            self.at_end = read == 0;
        }
        Ok(())
    }
}
