//! What the pieces of a manifest mean, and where each may stand (`src/common/parse_manifest.c` of PostgreSQL 18).

use std::borrow::Cow;

use super::checksum::{Algorithm, Checksum};
use super::files::{File, Files};
use super::grammar::Meaning;
use super::json::Quoted;
use super::{Refused, WalRange, number};

/// What is to come (`JsonManifestSemanticState`).
#[derive(Clone, Copy)]
enum State {
    TopStart,
    TopField,
    TopEnd,
    Version,
    SystemIdentifier,
    FilesStart,
    FilesNext,
    FileField,
    FileValue(FileField),
    RangesStart,
    RangesNext,
    RangeField,
    RangeValue(RangeField),
    ManifestChecksum,
    End,
}

#[derive(Clone, Copy)]
enum FileField {
    Path,
    EncodedPath,
    Size,
    LastModified,
    Algorithm,
    Checksum,
}

#[derive(Clone, Copy)]
enum RangeField {
    Timeline,
    Start,
    End,
}

type Text<'a> = Option<Cow<'a, [u8]>>;

/// What has been read of one file.
#[derive(Default)]
struct RawFile<'a> {
    path: Text<'a>,
    encoded_path: Text<'a>,
    size: Text<'a>,
    algorithm: Text<'a>,
    checksum: Text<'a>,
}

/// What has been read of one range of WAL.
#[derive(Default)]
struct RawRange<'a> {
    timeline: Text<'a>,
    start: Text<'a>,
    end: Text<'a>,
}

/// What has been read of a manifest.
pub(super) struct Reading<'a> {
    state: State,
    file: RawFile<'a>,
    range: RawRange<'a>,
    /// What is decoded of one file, kept so as not to be made anew for each.
    decoded_path: Vec<u8>,
    decoded_checksum: Vec<u8>,
    pub(super) version: Option<u32>,
    pub(super) system_identifier: Option<u64>,
    pub(super) files: Files,
    pub(super) wal: Vec<WalRange>,
    pub(super) checksum: Cow<'a, [u8]>,
}

impl Reading<'_> {
    /// For about so many files.
    pub(super) fn new(files: usize) -> Self {
        Self {
            state: State::TopStart,
            file: RawFile::default(),
            range: RawRange::default(),
            decoded_path: Vec::new(),
            decoded_checksum: Vec::new(),
            version: None,
            system_identifier: None,
            files: Files::with_capacity(files),
            wal: Vec::new(),
            checksum: Cow::Borrowed(&[]),
        }
    }

    /// Whether all is there that a manifest must have.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// `json_manifest_finalize_version`
    fn version(&mut self, text: &[u8]) -> Result<(), Refused> {
        let version = number::signed(text).ok_or(Refused::Content("manifest version not an integer"))?;
        // It is kept in an `int` before it is looked at.
        match version as i32 {
            version @ 1..=2 => self.version = Some(version.unsigned_abs()),
            _ => return Err(Refused::Content("unexpected manifest version")),
        }
        Ok(())
    }

    /// `json_manifest_finalize_file`
    fn file(&mut self) -> Result<(), Refused> {
        let raw = std::mem::take(&mut self.file);
        match (&raw.path, &raw.encoded_path) {
            (None, None) => return Err(Refused::Content("missing path name")),
            (Some(_), Some(_)) => return Err(Refused::Content("both path name and encoded path name")),
            _ => (),
        }
        let Some(size) = raw.size else { return Err(Refused::Content("missing size")) };
        if raw.algorithm.is_none() && raw.checksum.is_some() {
            return Err(Refused::Content("checksum without algorithm"));
        }
        let path = match (&raw.path, &raw.encoded_path) {
            (_, Some(encoded)) => {
                if !decode(encoded, &mut self.decoded_path) {
                    return Err(Refused::Content("could not decode file name"));
                }
                // A string ends at its first zero byte in C.
                self.decoded_path.split(|byte| *byte == 0).next().unwrap_or_default()
            }
            (Some(path), None) => path.as_ref(),
            (None, None) => &[],
        };
        let size = number::unsigned(&size).ok_or(Refused::Content("file size is not an integer"))?;
        let algorithm = match &raw.algorithm {
            None => None,
            Some(name) => {
                Algorithm::named(name).ok_or_else(|| Refused::UnknownAlgorithm(Quoted::new(name)))?
            }
        };
        let checksum = raw.checksum.unwrap_or_default();
        if !decode(&checksum, &mut self.decoded_checksum) {
            return Err(Refused::FileChecksum { path: Quoted::new(path), checksum: Quoted::new(&checksum) });
        }
        let checksum = algorithm.map(|algorithm| Checksum { algorithm, bytes: &self.decoded_checksum });
        self.files.add(File { path, size, checksum });
        if self.files.is_index_due() { self.index() } else { Ok(()) }
    }

    /// Refuses the first file whose path was there already, of those that have been read so far.
    pub(super) fn index(&mut self) -> Result<(), Refused> {
        match self.files.index() {
            Some(file) => Err(Refused::Duplicate(Quoted::new(file.path))),
            None => Ok(()),
        }
    }

    /// `json_manifest_finalize_wal_range`
    fn range(&mut self) -> Result<(), Refused> {
        let raw = std::mem::take(&mut self.range);
        let timeline = raw.timeline.ok_or(Refused::Content("missing timeline"))?;
        let start = raw.start.ok_or(Refused::Content("missing start LSN"))?;
        let end = raw.end.ok_or(Refused::Content("missing end LSN"))?;
        let timeline = number::unsigned(&timeline).ok_or(Refused::Content("timeline is not an integer"))?;
        let start = number::position(&start).ok_or(Refused::Content("could not parse start LSN"))?;
        let end = number::position(&end).ok_or(Refused::Content("could not parse end LSN"))?;
        self.wal.push(WalRange { timeline: timeline as u32, start, end });
        Ok(())
    }
}

impl<'a> Meaning<'a> for Reading<'a> {
    fn object_start(&mut self) -> Result<(), Refused> {
        self.state = match self.state {
            State::TopStart => State::TopField,
            State::FilesNext => State::FileField,
            State::RangesNext => State::RangeField,
            _ => return Err(Refused::Content("unexpected object start")),
        };
        Ok(())
    }

    fn object_end(&mut self) -> Result<(), Refused> {
        self.state = match self.state {
            State::TopEnd => State::End,
            State::FileField => {
                self.file()?;
                State::FilesNext
            }
            State::RangeField => {
                self.range()?;
                State::RangesNext
            }
            _ => return Err(Refused::Content("unexpected object end")),
        };
        Ok(())
    }

    fn array_start(&mut self) -> Result<(), Refused> {
        self.state = match self.state {
            State::FilesStart => State::FilesNext,
            State::RangesStart => State::RangesNext,
            _ => return Err(Refused::Content("unexpected array start")),
        };
        Ok(())
    }

    fn array_end(&mut self) -> Result<(), Refused> {
        self.state = match self.state {
            State::FilesNext | State::RangesNext => State::TopField,
            _ => return Err(Refused::Content("unexpected array end")),
        };
        Ok(())
    }

    fn field(&mut self, name: &[u8]) -> Result<(), Refused> {
        self.state = match (self.state, name) {
            (State::TopField, _) if self.version.is_none() => match name {
                b"PostgreSQL-Backup-Manifest-Version" => State::Version,
                _ => return Err(Refused::Content("expected version indicator")),
            },
            (State::TopField, b"System-Identifier") => State::SystemIdentifier,
            (State::TopField, b"Files") => State::FilesStart,
            (State::TopField, b"WAL-Ranges") => State::RangesStart,
            (State::TopField, b"Manifest-Checksum") => State::ManifestChecksum,
            (State::TopField, _) => return Err(Refused::Content("unrecognized top-level field")),
            (State::FileField, b"Path") => State::FileValue(FileField::Path),
            (State::FileField, b"Encoded-Path") => State::FileValue(FileField::EncodedPath),
            (State::FileField, b"Size") => State::FileValue(FileField::Size),
            (State::FileField, b"Last-Modified") => State::FileValue(FileField::LastModified),
            (State::FileField, b"Checksum-Algorithm") => State::FileValue(FileField::Algorithm),
            (State::FileField, b"Checksum") => State::FileValue(FileField::Checksum),
            (State::FileField, _) => return Err(Refused::Content("unexpected file field")),
            (State::RangeField, b"Timeline") => State::RangeValue(RangeField::Timeline),
            (State::RangeField, b"Start-LSN") => State::RangeValue(RangeField::Start),
            (State::RangeField, b"End-LSN") => State::RangeValue(RangeField::End),
            (State::RangeField, _) => return Err(Refused::Content("unexpected WAL range field")),
            _ => return Err(Refused::Content("unexpected object field")),
        };
        Ok(())
    }

    fn scalar(&mut self, value: Cow<'a, [u8]>) -> Result<(), Refused> {
        self.state = match self.state {
            State::Version => {
                self.version(&value)?;
                State::TopField
            }
            State::SystemIdentifier => {
                let number = number::unsigned(&value);
                let wrong = Refused::Content("system identifier in manifest not an integer");
                self.system_identifier = Some(number.ok_or(wrong)?);
                State::TopField
            }
            State::FileValue(field) => {
                match field {
                    FileField::Path => self.file.path = Some(value),
                    FileField::EncodedPath => self.file.encoded_path = Some(value),
                    FileField::Size => self.file.size = Some(value),
                    FileField::LastModified => (),
                    FileField::Algorithm => self.file.algorithm = Some(value),
                    FileField::Checksum => self.file.checksum = Some(value),
                }
                State::FileField
            }
            State::RangeValue(field) => {
                match field {
                    RangeField::Timeline => self.range.timeline = Some(value),
                    RangeField::Start => self.range.start = Some(value),
                    RangeField::End => self.range.end = Some(value),
                }
                State::RangeField
            }
            State::ManifestChecksum => {
                self.checksum = value;
                State::TopEnd
            }
            _ => return Err(Refused::Content("unexpected scalar")),
        };
        Ok(())
    }
}

/// Reads hexadecimal digits, two to a byte, into what it first empties (`hexdecode_string`).
pub(super) fn decode(digits: &[u8], into: &mut Vec<u8>) -> bool {
    /// The value of a digit; 16 and more for what is none.
    const VALUES: [u8; 256] = {
        let mut values = [0xFF; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789abcdef"[value] as usize] = value as u8;
            values[b"0123456789ABCDEF"[value] as usize] = value as u8;
            value += 1;
        }
        values
    };
    let (pairs, odd) = digits.as_chunks::<2>();
    let mut seen = 0;
    into.clear();
    into.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        seen |= high | low;
        high << 4 | low & 0x0F
    }));
    odd.is_empty() && seen < 16
}
