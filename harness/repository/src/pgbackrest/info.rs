//! The files in which pgBackRest describes its repository: sections of keys with JSON values, and a checksum over them
//! (`src/info/info.c` of pgBackRest).

use std::borrow::Cow;

use serde_json::Value;
use sha1::{Digest, Sha1};

/// With what a file begins that OpenSSL or pgBackRest have encrypted.
pub(crate) const SALTED: &[u8] = b"Salted__";

/// The format that all versions since 1.0 write (`REPOSITORY_FORMAT`).
const FORMAT: u64 = 5;

const HEADER: &str = "backrest";
const CHECKSUM: &str = "backrest-checksum";

/// A described file, as far as its lines go: nothing is known of what its keys mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info {
    /// Sections in their order, and the keys of each with its value.
    sections: Vec<(String, Vec<(String, String)>)>,
}

/// Why a file is not what pgBackRest wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It is no text.
    #[error("it is no text in UTF-8")]
    NotText,
    /// A line is neither a section nor a key with its value.
    #[error("line {0} is neither a section nor a key with a value")]
    Line(usize),
    /// A value is not JSON.
    #[error("the value of {section}:{key} is not JSON")]
    Value {
        /// The section.
        section: String,
        /// The key.
        key: String,
    },
    /// It has no checksum: its end is missing.
    #[error("it has no checksum: its end is missing")]
    NoChecksum,
    /// Its checksum is another than its content gives.
    #[error("its checksum is {stored}, and its content gives {computed}")]
    Checksum {
        /// What it says.
        stored: String,
        /// What it should say.
        computed: String,
    },
    /// It has a format that is not known.
    #[error("it has format {0}, and only {FORMAT} is known")]
    Format(String),
}

impl Info {
    /// Reads a file and verifies its checksum.
    ///
    /// # Errors
    ///
    /// Why it is not what pgBackRest wrote.
    pub fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        let (info, stored, computed) = Self::lines(bytes, true)?;
        let stored = stored.ok_or(Invalid::NoChecksum)?;
        let Ok(Value::String(stored)) = serde_json::from_str(&stored) else {
            return Err(Invalid::Value { section: HEADER.to_owned(), key: CHECKSUM.to_owned() });
        };
        if stored != computed {
            return Err(Invalid::Checksum { stored: crate::files::shown(&stored), computed });
        }
        match info.value(HEADER, "backrest-format") {
            Some(format) if format.as_u64() == Some(FORMAT) => Ok(info),
            other => Err(Invalid::Format(
                other.map_or("none".to_owned(), |format| crate::files::shown(&format.to_string())),
            )),
        }
    }

    /// Reads the sections with which a long file begins, as far as there are whole lines of it. Its checksum cannot be
    /// verified, because the rest is not there.
    ///
    /// # Errors
    ///
    /// Why it is not what pgBackRest wrote.
    pub fn beginning(bytes: &[u8]) -> Result<Self, Invalid> {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Ok(Self::lines(&bytes[..end], false)?.0)
    }

    /// The lines of a file, the checksum that it says, and that which they give.
    fn lines(bytes: &[u8], strict: bool) -> Result<(Self, Option<String>, String), Invalid> {
        if bytes.starts_with(SALTED) {
            return Err(Invalid::Encrypted);
        }
        if bytes.is_empty() {
            return Err(Invalid::Empty);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Invalid::NotText)?;
        let (mut info, mut stored) = (Self::default(), None);
        let mut section = None;
        // The checksum is over the same written as one JSON object, section by section.
        let mut hash = Sha1::new();
        let mut last: Option<&str> = None;
        hash.update("{");
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = Some(name);
                continue;
            }
            let (Some(section), Some((key, value))) = (section, line.split_once('=')) else {
                return Err(Invalid::Line(number));
            };
            if section == HEADER && key == CHECKSUM {
                stored = Some(value.to_owned());
                continue;
            }
            if strict && serde_json::from_str::<serde::de::IgnoredAny>(value).is_err() {
                let (section, key) = (crate::files::shown(section), crate::files::shown(key));
                return Err(Invalid::Value { section, key });
            }
            let before: Cow<'_, str> = match last {
                Some(last) if last == section => ",".into(),
                Some(_) => format!("}},\"{section}\":{{").into(),
                None => format!("\"{section}\":{{").into(),
            };
            for piece in [before.as_ref(), "\"", key, "\":", value] {
                hash.update(piece);
            }
            last = Some(section);
            info.push(section, key, value);
        }
        hash.update("}}");
        Ok((info, stored, hex::encode(hash.finalize())))
    }

    fn push(&mut self, section: &str, key: &str, value: &str) {
        let pair = (key.to_owned(), value.to_owned());
        // A section can come again, but only just after itself or in the header.
        match self.sections.iter_mut().rev().find(|(name, _)| name == section) {
            Some((_, pairs)) => pairs.push(pair),
            None => self.sections.push((section.to_owned(), vec![pair])),
        }
    }

    /// The keys of a section with their values, in their order.
    pub fn section<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, Value)> + use<'a> {
        let section = self.sections.iter().find(|(section, _)| section == name);
        let pairs = section.map_or(&[][..], |(_, pairs)| pairs.as_slice());
        pairs.iter().filter_map(|(key, value)| Some((key.as_str(), serde_json::from_str(value).ok()?)))
    }

    /// The value of a key.
    pub fn value(&self, section: &str, key: &str) -> Option<Value> {
        self.section(section).find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What pgBackRest 2.45 wrote of a stanza.
    const ARCHIVE: &str = "[backrest]\nbackrest-format=5\nbackrest-version=\"2.45\"\n\n[db]\ndb-id=1\n\
        db-system-id=7713728573872372034\ndb-version=\"15\"\n\n[db:history]\n\
        1={\"db-id\":7713728573872372034,\"db-version\":\"15\"}\n\n[backrest]\n\
        backrest-checksum=\"1101b5a6aa4e3bff5e3e4b7fbfc1d224a1daed40\"\n";

    #[test]
    fn what_pgbackrest_wrote_is_read_and_its_checksum_holds() {
        let info = Info::read(ARCHIVE.as_bytes()).unwrap();
        assert_eq!(info.value("db", "db-version"), Some("15".into()));
        assert_eq!(info.value("db", "db-system-id").unwrap().as_u64(), Some(7_713_728_573_872_372_034));
        assert_eq!(info.section("db:history").count(), 1);
        assert_eq!(info.value("db", "nothing"), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let read = |text: &str| Info::read(text.as_bytes()).unwrap_err().to_string();
        let changed = ARCHIVE.replace("db-id=1", "db-id=2");
        assert!(
            read(&changed).starts_with(
                "its checksum is 1101b5a6aa4e3bff5e3e4b7fbfc1d224a1daed40, and its content gives "
            )
        );
        let (cut, _) = ARCHIVE.rsplit_once("[backrest]").unwrap();
        assert_eq!(read(cut), "it has no checksum: its end is missing");
        assert_eq!(read(""), "it is empty");
        assert_eq!(read("Salted__12345678"), "it is encrypted");
        assert_eq!(read("[db]\nnothing\n"), "line 2 is neither a section nor a key with a value");
        assert_eq!(read("a=1\n"), "line 1 is neither a section nor a key with a value");
        assert_eq!(read("[db]\na=b\n"), "the value of db:a is not JSON");
        assert_eq!(Info::read(b"[db]\na=\"\xFF\"\n"), Err(Invalid::NotText));
    }

    proptest! {
        /// A single changed byte is never taken for what was written.
        #[test]
        fn a_changed_byte_is_seen(at in 0..ARCHIVE.len(), byte: u8) {
            let mut bytes = ARCHIVE.as_bytes().to_vec();
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let read = Info::read(&bytes);
            // An empty line more or less says nothing, and is in no checksum.
            prop_assert!(read.is_err() || read == Info::read(ARCHIVE.as_bytes()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            drop(Info::read(&bytes));
            drop(Info::beginning(&bytes));
        }
    }
}
