//! The head and the table of contents of an archive of `pg_dump` (`ReadHead` and `ReadToc`,
//! `src/bin/pg_dump/pg_backup_archiver.c`). Its bytes are read once, from front to back, and no length is believed.

use std::io::{self, Read};

use jiff::civil::DateTime;

/// With what an archive begins.
pub const MAGIC: &[u8] = b"PGDMP";

/// Bytes that a head and a table of contents may take together.
const LARGEST: u64 = 1 << 30;

/// Bytes of one string; the longest are definitions of views and functions.
const LONGEST: u64 = 64 << 20;

/// Entries that are kept, and bytes of a string that is.
const MOST_KEPT: usize = 20_000;
const LONGEST_KEPT: usize = 1 << 10;

/// Versions of the format, as `major << 8 | minor`, since which something is in it.
mod since {
    pub(super) const SIGNS: u32 = 0x0101;
    pub(super) const COPY: u32 = 0x0103;
    pub(super) const TIME: u32 = 0x0104;
    pub(super) const DEPENDENCIES: u32 = 0x0105;
    pub(super) const SCHEMAS: u32 = 0x0106;
    pub(super) const OFFSETS: u32 = 0x0107;
    pub(super) const CATALOGS: u32 = 0x0108;
    pub(super) const OIDS: u32 = 0x0109;
    pub(super) const TABLESPACES: u32 = 0x010A;
    pub(super) const SECTIONS: u32 = 0x010B;
    pub(super) const METHODS: u32 = 0x010E;
    pub(super) const ALGORITHMS: u32 = 0x010F;
    pub(super) const KINDS: u32 = 0x0110;
}

/// The oldest format that a supported `pg_dump` ever wrote, and the newest that is known.
const OLDEST: u32 = since::TABLESPACES;
const NEWEST: u32 = since::KINDS;

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toc {
    /// The version of its format, `1.14`.
    pub format_version: (u8, u8),
    /// The format that its head says: in a directory and in a tar the head says tar.
    pub format: Format,
    /// How its data are packed.
    pub compression: &'static str,
    /// When it was made, by the clock of its host, whose zone it does not say.
    pub made: Option<DateTime>,
    /// The database.
    pub database: Option<String>,
    /// The version of the server, in its own words: `15.18 (Debian 15.18-0+deb12u1)`.
    pub server_version: Option<String>,
    /// The version of `pg_dump`.
    pub dump_version: Option<String>,
    /// The encoding of its text.
    pub encoding: Option<String>,
    /// How many entries it says that there are.
    pub count: u64,
    /// The first of them.
    pub entries: Vec<Entry>,
}

/// What the head says of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file.
    Custom,
    /// A tar, or a directory.
    Tar,
}

/// An entry of the table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: u32,
    /// What it is: `TABLE DATA`.
    pub kind: String,
    /// Its name.
    pub tag: String,
    /// The schema, if it is in one.
    pub schema: Option<String>,
    /// To whom it belongs.
    pub owner: Option<String>,
    /// Where its data lie.
    pub data: Data,
}

/// Where the data of an entry lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// It has none.
    None,
    /// Somewhere: it was written to where nobody could go back to say where.
    Somewhere,
    /// At this position of the file.
    At(u64),
    /// In a file of this name.
    File(String),
}

/// Why bytes are no archive.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It ends within its head or table of contents.
    #[error("it is cut off within its table of contents")]
    CutOff,
    /// It is not what the format says.
    #[error("{0}")]
    Wrong(String),
    /// The system could not read it, or what packed it cannot be unpacked.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for Invalid {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::CutOff } else { Self::Io(error) }
    }
}

impl Toc {
    /// Reads the head and the table of contents from the beginning of an archive.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn read(stream: impl Read) -> Result<Self, Invalid> {
        let mut reader = Reader { stream: stream.take(LARGEST), version: 0, integer: 4, offset: 8 };
        let mut toc = reader.head()?;
        toc.contents(&mut reader)?;
        Ok(toc)
    }

    fn contents(&mut self, reader: &mut Reader<impl Read>) -> Result<(), Invalid> {
        let count = reader.integer()?;
        self.count =
            u64::try_from(count).map_err(|_| wrong(format!("it says that it has {count} entries")))?;
        for number in 0..self.count {
            let (entry, definition) = reader.entry(self.format).map_err(|invalid| match invalid {
                Invalid::Wrong(what) => wrong(format!("entry {number}: {what}")),
                other => other,
            })?;
            if entry.kind == "ENCODING" {
                // SET client_encoding = 'UTF8';
                self.encoding =
                    definition.as_deref().and_then(|text| Some(text.split('\'').nth(1)?.to_owned()));
            }
            if self.entries.len() < MOST_KEPT {
                self.entries.push(entry);
            }
        }
        Ok(())
    }
}

/// An integer of so many bytes, the lowest first, behind a byte that is its sign (`ReadInt`).
pub(super) fn integer(stream: &mut impl Read, size: usize, signed: bool) -> Result<i64, Invalid> {
    let mut byte = || -> Result<u8, Invalid> {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    let negative = signed && byte()? != 0;
    let mut number: u64 = 0;
    for at in 0..size {
        number |= u64::from(byte()?) << (8 * at);
    }
    // PostgreSQL's own is of 32 bits, so a larger one is a damage.
    let number =
        i64::from(i32::try_from(number).map_err(|_| wrong(format!("{number} is too large a number")))?);
    Ok(if negative { -number } else { number })
}

fn wrong(what: impl Into<String>) -> Invalid {
    Invalid::Wrong(what.into())
}

/// Reads what archives are made of.
struct Reader<R> {
    stream: R,
    version: u32,
    /// Bytes of an integer without its sign.
    integer: usize,
    /// Bytes of a position.
    offset: usize,
}

impl<R: Read> Reader<R> {
    fn head(&mut self) -> Result<Toc, Invalid> {
        let mut magic = [0; 5];
        self.stream.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(wrong("it does not begin with PGDMP"));
        }
        let (major, minor, _revision) = (self.byte()?, self.byte()?, self.byte()?);
        self.version = u32::from(major) << 8 | u32::from(minor);
        if self.version < OLDEST {
            return Err(wrong(format!(
                "its format {major}.{minor} is older than any that PostgreSQL 13 or later wrote"
            )));
        }
        if self.version > NEWEST {
            return Err(wrong(format!("its format {major}.{minor} is newer than any that is known here")));
        }
        self.integer = usize::from(self.byte()?);
        self.offset = usize::from(self.byte()?);
        if !(1..=8).contains(&self.integer) || !(1..=8).contains(&self.offset) {
            return Err(wrong(format!(
                "integers of {} bytes and positions of {}",
                self.integer, self.offset
            )));
        }
        let format = match self.byte()? {
            1 => Format::Custom,
            3 => Format::Tar,
            other => return Err(wrong(format!("its head says format {other}, which no archive has"))),
        };
        let compression = self.compression()?;
        let made = self.time()?;
        Ok(Toc {
            format_version: (major, minor),
            format,
            compression,
            made,
            database: self.kept()?,
            server_version: self.kept()?,
            dump_version: self.kept()?,
            encoding: None,
            count: 0,
            entries: Vec::new(),
        })
    }

    fn compression(&mut self) -> Result<&'static str, Invalid> {
        if self.version < since::ALGORITHMS {
            // A level; none means the usual one of gzip.
            return Ok(if self.integer()? == 0 { "none" } else { "gzip" });
        }
        match self.byte()? {
            0 => Ok("none"),
            1 => Ok("gzip"),
            2 => Ok("lz4"),
            3 => Ok("zstd"),
            other => Err(wrong(format!("its data are packed in way {other}, which is not known here"))),
        }
    }

    fn time(&mut self) -> Result<Option<DateTime>, Invalid> {
        if self.version < since::TIME {
            return Ok(None);
        }
        let mut parts = [0; 7];
        for part in &mut parts {
            *part = self.integer()?;
        }
        let [second, minute, hour, day, month, year, _summer] = parts;
        let small = |number: i64| i8::try_from(number).ok();
        let made = || {
            let year = i16::try_from(year.checked_add(1900)?).ok()?;
            DateTime::new(
                year,
                small(month.checked_add(1)?)?,
                small(day)?,
                small(hour)?,
                small(minute)?,
                small(second)?,
                0,
            )
            .ok()
        };
        Ok(made())
    }

    /// An entry, and its definition where that says the encoding.
    fn entry(&mut self, format: Format) -> Result<(Entry, Option<String>), Invalid> {
        let id = self.integer()?;
        let id = u32::try_from(id)
            .ok()
            .filter(|id| *id > 0)
            .ok_or_else(|| wrong(format!("its number is {id}")))?;
        self.integer()?;
        if self.version >= since::CATALOGS {
            self.skip()?;
        }
        self.skip()?;
        let (tag, kind) = (self.kept()?, self.kept()?.unwrap_or_default());
        if self.version >= since::SECTIONS {
            self.integer()?;
        }
        let definition = if kind == "ENCODING" {
            self.kept()?
        } else {
            self.skip()?;
            None
        };
        self.skip()?;
        if self.version >= since::COPY {
            self.skip()?;
        }
        let schema = if self.version >= since::SCHEMAS { self.kept()? } else { None };
        if self.version >= since::TABLESPACES {
            self.skip()?;
        }
        if self.version >= since::METHODS {
            self.skip()?;
        }
        if self.version >= since::KINDS {
            self.integer()?;
        }
        let owner = self.kept()?;
        if self.version >= since::OIDS {
            self.skip()?;
        }
        if self.version >= since::DEPENDENCIES {
            while self.skip()? {}
        }
        let data = match format {
            Format::Custom => self.position()?,
            Format::Tar => self.kept()?.filter(|name| !name.is_empty()).map_or(Data::None, Data::File),
        };
        let schema = schema.filter(|schema| !schema.is_empty());
        Ok((Entry { id, kind, tag: tag.unwrap_or_default(), schema, owner, data }, definition))
    }

    fn position(&mut self) -> Result<Data, Invalid> {
        if self.version < since::OFFSETS {
            self.integer()?;
            return Ok(Data::Somewhere);
        }
        let flag = self.byte()?;
        let mut position = 0;
        for at in 0..self.offset {
            position |= u64::from(self.byte()?) << (8 * at);
        }
        match flag {
            1 => Ok(Data::Somewhere),
            2 => Ok(Data::At(position)),
            3 => Ok(Data::None),
            other => Err(wrong(format!("where its data lie is said in way {other}, which there is not"))),
        }
    }

    fn byte(&mut self) -> Result<u8, Invalid> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn integer(&mut self) -> Result<i64, Invalid> {
        integer(&mut self.stream, self.integer, self.version >= since::SIGNS)
    }

    /// The length of a string; none where there is no string.
    fn length(&mut self) -> Result<Option<u64>, Invalid> {
        let length = self.integer()?;
        match u64::try_from(length) {
            Ok(length) if length > LONGEST => Err(wrong(format!("a text of {length} bytes"))),
            Ok(length) => Ok(Some(length)),
            Err(_) => Ok(None),
        }
    }

    /// Passes a string; whether there was one.
    fn skip(&mut self) -> Result<bool, Invalid> {
        let Some(length) = self.length()? else { return Ok(false) };
        self.pass(length)?;
        Ok(true)
    }

    fn pass(&mut self, length: u64) -> Result<(), Invalid> {
        let passed = io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
        if passed < length { Err(Invalid::CutOff) } else { Ok(()) }
    }

    /// A string, of which the beginning is kept.
    fn kept(&mut self) -> Result<Option<String>, Invalid> {
        let Some(length) = self.length()? else { return Ok(None) };
        let kept = usize::try_from(length).unwrap_or(usize::MAX).min(LONGEST_KEPT);
        let mut bytes = vec![0; kept];
        self.stream.read_exact(&mut bytes)?;
        self.pass(length - kept as u64)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
