//! What a fetch has done so far, one line each, so that the next one can go on from there.
//!
//! Nothing in it is believed: what a line says of a file is compared with the file before anything rests on it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

use serde::{Deserialize, Serialize};

use crate::checksum::Checked;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// Where everything below it comes from.
    Source { url: String },
    /// An object is fetched into the part of this number from its beginning on.
    Began { part: u64, name: String, identity: String },
    /// So many bytes of it are there, and this is their SHA-256.
    Reached { part: u64, bytes: u64, sha256: String },
    /// All of it is there, and was compared with what the store says of it.
    Done { part: u64, checked: Checked },
}

/// What is known of an object that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The number of its part.
    pub part: u64,
    /// Which content of it was fetched.
    pub identity: String,
    /// How many bytes were there.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
    /// By what it was checked, when all of it was there.
    pub done: Option<Checked>,
}

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Where everything came from; none where not even that was written.
    pub source: Option<String>,
    /// The objects, by name.
    pub objects: BTreeMap<String, Known>,
    /// The next part that has no number yet.
    pub next: u64,
    /// Where its last whole line ends; what lies behind was torn off by a crash.
    pub end: u64,
}

impl Told {
    /// Reads a journal. A line that was not written whole ends it.
    pub fn read(file: &File) -> io::Result<Self> {
        let mut told = Self::default();
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        let mut file = BufReader::new(file);
        let mut text = Vec::new();
        while file.read_until(b'\n', &mut text)? > 0 && text.ends_with(b"\n") {
            let Ok(line) = serde_json::from_slice::<Line>(&text) else { break };
            told.end += text.len() as u64;
            text.clear();
            let known = |told: &'_ mut Self, part: u64, change: &dyn Fn(&mut Known)| {
                if let Some(known) = names.get(&part).and_then(|name| told.objects.get_mut(name))
                    && known.part == part
                {
                    change(known);
                }
            };
            match line {
                Line::Source { url } => told.source = Some(url),
                Line::Began { part, name, identity } => {
                    told.next = told.next.max(part + 1);
                    let begun = Known { part, identity, bytes: 0, sha256: String::new(), done: None };
                    told.objects.insert(name.clone(), begun);
                    names.insert(part, name);
                }
                Line::Reached { part, bytes, sha256 } => known(&mut told, part, &|known| {
                    known.bytes = bytes;
                    known.sha256.clone_from(&sha256);
                }),
                Line::Done { part, checked } => known(&mut told, part, &|known| known.done = Some(checked)),
            }
        }
        Ok(told)
    }
}

/// The journal of a fetch that goes on.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Goes on in a file, behind what is in it.
    pub fn new(file: File) -> Self {
        Self { file }
    }

    /// Takes down where everything comes from.
    pub fn source(&self, url: &str) -> io::Result<()> {
        self.write(&Line::Source { url: url.to_owned() })
    }

    /// Takes down that an object is fetched from its beginning on.
    pub fn began(&self, part: u64, name: &str, identity: &str) -> io::Result<()> {
        self.write(&Line::Began { part, name: name.to_owned(), identity: identity.to_owned() })
    }

    /// Takes down how far one came.
    pub fn reached(&self, part: u64, bytes: u64, sha256: &str) -> io::Result<()> {
        self.write(&Line::Reached { part, bytes, sha256: sha256.to_owned() })
    }

    /// Takes down that one is there.
    pub fn done(&self, part: u64, checked: Checked) -> io::Result<()> {
        self.write(&Line::Done { part, checked })
    }

    /// A line is one write, so that those of several objects do not mix.
    fn write(&self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        (&self.file).write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom};

    fn written(torn: &str) -> Told {
        let mut file = tempfile::tempfile().unwrap();
        let journal = Journal::new(file.try_clone().unwrap());
        journal.source("s3://bucket/x").unwrap();
        journal.began(0, "a", "1 e 2").unwrap();
        journal.reached(0, 5, "aa").unwrap();
        journal.began(1, "b", "9 f 2").unwrap();
        journal.reached(1, 9, "bb").unwrap();
        journal.done(1, Checked::Md5).unwrap();
        // Begun anew: what was said of the part before counts no longer.
        journal.began(2, "a", "1 g 2").unwrap();
        journal.reached(0, 7, "cc").unwrap();
        file.write_all(torn.as_bytes()).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        Told::read(&file).unwrap()
    }

    #[test]
    fn what_was_written_is_told_again() {
        let told = written("");
        assert_eq!(told.source.as_deref(), Some("s3://bucket/x"));
        assert_eq!(told.next, 3);
        let known = |part, identity: &str, bytes, sha256: &str, done| Known {
            part,
            identity: identity.to_owned(),
            bytes,
            sha256: sha256.to_owned(),
            done,
        };
        assert_eq!(told.objects["a"], known(2, "1 g 2", 0, "", None));
        assert_eq!(told.objects["b"], known(1, "9 f 2", 9, "bb", Some(Checked::Md5)));
    }

    #[test]
    fn a_torn_line_is_as_if_it_were_not_there() {
        assert_eq!(written("{\"reached\":{\"part\":2,\"by"), written(""));
        assert_eq!(written("\u{0}\u{0}\u{0}"), written(""));
    }
}
