//! Writing a ledger while the writers run.
//!
//! Every record is one `write(2)`: what was written when this process is killed is in the file, because it is in the
//! kernel. Only closing waits for the disk: a ledger is for a drill on a machine that stays up.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use thiserror::Error;

use crate::damage::{Damage, Flaw};
use crate::frame;
use crate::read::{Header, MAGIC, Reader, VERSION};
use crate::record::{Counts, LONGEST, Record, encode};
use crate::rules::State;

/// Why a record could not be written. Nothing of it is in the file then.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The file could not be written. Nothing more can be: the last record may be there in part.
    #[error("the ledger could not be written: {0}")]
    Unwritable(#[from] io::Error),
    /// The record cannot follow those before it.
    #[error("the ledger refuses a record: {0}")]
    Refused(#[from] Flaw),
    /// The ledger that should be continued is not whole.
    #[error("the ledger cannot be continued: {0}")]
    Damaged(#[from] Damage),
    /// An earlier record could not be written.
    #[error("the ledger could not be written before, and takes nothing more")]
    GivenUp,
}

/// Writes a ledger. To be closed: one that is not counts as damaged.
#[derive(Debug)]
pub struct Appender {
    file: File,
    header: Header,
    state: State,
    crc: u32,
    payload: Vec<u8>,
    frame: Vec<u8>,
    broken: bool,
}

impl Appender {
    /// Begins a ledger in a new file. `run` and `seed` are those of the drill.
    ///
    /// # Errors
    ///
    /// A file that is there already, or cannot be made or written.
    pub fn create(path: &Path, run: &str, seed: u64) -> Result<Self, Trouble> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let header = Header { run: run.to_owned(), seed };
        let payload = header.encode();
        if payload.len() > LONGEST {
            return Err(Flaw::TooLong(payload.len()).into());
        }
        let mut bytes = MAGIC.to_vec();
        let crc = frame::put(&mut bytes, crc32c::crc32c(&MAGIC), &payload);
        file.write_all(&bytes)?;
        Ok(Self::over(file, header, State::default(), crc))
    }

    /// Goes on with a ledger that was closed. The record that closed it is taken away first, so that a file that loses
    /// its tail can never end in an older one.
    ///
    /// # Errors
    ///
    /// A ledger that is damaged or was not closed, a file that cannot be read or written.
    pub fn reopen(path: &Path) -> Result<Self, Trouble> {
        let mut reader = Reader::open(path)?;
        while reader.next()?.is_some() {}
        let (header, state, at, crc) = reader.before_closed();
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(at)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Self::over(file, header, state, crc))
    }

    fn over(file: File, header: Header, state: State, crc: u32) -> Self {
        Self { file, header, state, crc, payload: Vec::new(), frame: Vec::new(), broken: false }
    }

    /// The run and the seed that it was begun with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What it holds so far.
    pub fn counts(&self) -> Counts {
        self.state.counts
    }

    /// Opens a writer under a number of its own.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); also when all 65 536 numbers are used.
    pub fn open_writer(&mut self, branch: u32, time_us: i64) -> Result<u16, Trouble> {
        let writer = self.state.free_writer().ok_or(Flaw::OpenedTwice(u16::MAX))?;
        self.append(&Record::Opened { writer, branch, time_us })?;
        Ok(writer)
    }

    /// Appends a record. When this returns, the record is in the file.
    ///
    /// # Errors
    ///
    /// A record that cannot follow those before it, of which nothing is written; a file that cannot be written, to which
    /// nothing is written any more.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        if self.broken {
            return Err(Trouble::GivenUp);
        }
        self.payload.clear();
        encode(record, &self.state, &mut self.payload);
        if self.payload.len() > LONGEST {
            return Err(Flaw::TooLong(self.payload.len()).into());
        }
        let refused = self.state.follow(record);
        // A record that is refused may have left a mark on what is known of its writer, so it is the last.
        self.broken = true;
        refused?;
        self.frame.clear();
        let crc = frame::put(&mut self.frame, self.crc, &self.payload);
        self.file.write_all(&self.frame)?;
        self.crc = crc;
        self.broken = false;
        Ok(())
    }

    /// Closes the ledger, and waits until it is on disk.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn close(mut self, time_us: i64) -> Result<Counts, Trouble> {
        let counts = self.counts();
        self.append(&Record::Closed { counts, time_us })?;
        self.file.sync_all()?;
        Ok(counts)
    }
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        crate::varint::put(&mut payload, VERSION);
        crate::varint::put(&mut payload, self.seed);
        payload.extend_from_slice(self.run.as_bytes());
        payload
    }
}
