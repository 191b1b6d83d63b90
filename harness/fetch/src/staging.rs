//! What a fetch keeps beside the fetched files while it goes on: parts that are not whole, and the journal. It goes away at the end.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checksum::{Checked, Hashing};
use crate::journal::{Journal, Known, Told};
use crate::listing::Object;
use crate::names::STAGING;
use crate::tree::Tree;
use crate::trouble::{Kind, Trouble};

/// How much of a file is read at once to hash it.
const BUFFER: usize = 1 << 20;

/// A directory that is being fetched into. It is locked while this lives.
#[derive(Debug)]
pub(crate) struct Staging {
    tree: Tree,
    journal: Journal,
    told: Told,
    next: AtomicU64,
}

/// A file that is being written.
pub(crate) struct Writing {
    part: u64,
    file: File,
    hashing: Hashing,
}

/// How an object is begun.
pub(crate) enum Begun {
    /// All of it is there.
    Whole { sha256: String, checked: Checked },
    /// Some of it is there, or nothing.
    Open(Box<Writing>),
}

/// What the journal in a directory says; nothing where there is none. For a look before anything is written.
pub(crate) fn look(into: &Path) -> Told {
    File::open(into.join(STAGING).join("journal")).and_then(|file| Told::read(&file)).unwrap_or_default()
}

impl Staging {
    /// Begins or goes on with a fetch from `source` into a directory, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// `Kind::Local`: it cannot be used, is not empty, belongs to a fetch from elsewhere or to one that goes on.
    pub fn open(into: &Path, source: &str) -> Result<Self, Trouble> {
        let tree = Tree::open(into)?;
        let unusable = |error: io::Error| Trouble::local("use the directory", into, &error);
        let top = tree.top().map_err(unusable)?;
        let resumed = top.iter().any(|name| name == STAGING);
        if !resumed && !top.is_empty() {
            return Err(Trouble::new(
                Kind::Local,
                format!("{} is not empty, and nothing in it is from an interrupted fetch", into.display()),
                "name a directory that is empty or not there",
            ));
        }
        let file = tree.file(&journal()).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Trouble::new(
                    Kind::Local,
                    format!("another fetch writes into {} just now", into.display()),
                    "wait for it, or name another directory",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let told = Told::read(&file).map_err(unusable)?;
        match &told.source {
            Some(other) if other != source => {
                return Err(Trouble::new(
                    Kind::Local,
                    format!("{} holds what an interrupted fetch from {other} left", into.display()),
                    "name another directory, or remove this one",
                ));
            }
            None if top.iter().any(|name| name != STAGING) => {
                return Err(Trouble::new(
                    Kind::Local,
                    format!("{} holds files, and not where they were fetched from", into.display()),
                    "name a directory that is empty or not there",
                ));
            }
            _ => {}
        }
        // What was torn off by a crash is cut away, so that the next line begins on a line of its own.
        file.set_len(told.end).and_then(|()| (&file).seek(SeekFrom::End(0))).map_err(unusable)?;
        let journal = Journal::new(file);
        if told.source.is_none() {
            journal.source(source).map_err(unusable)?;
        }
        let next = AtomicU64::new(told.next);
        Ok(Self { tree, journal, told, next })
    }

    /// Names that were begun, and are not among those that are to be fetched now.
    pub fn gone<'a>(&'a self, wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a str> {
        self.told.objects.keys().map(String::as_str).filter(move |name| !wanted(name))
    }

    /// Removes whatever there is of an object.
    ///
    /// # Errors
    ///
    /// `Kind::Local`.
    pub fn remove(&self, name: &str) -> Result<(), Trouble> {
        let removed = match self.told.objects.get(name) {
            Some(known) => self.tree.remove(&part(known.part)).and_then(|()| self.tree.remove(name)),
            None => Ok(()),
        };
        removed.map_err(|error| Trouble::local("remove", &self.tree.path(name), &error))
    }

    /// Makes a directory that holds no object.
    ///
    /// # Errors
    ///
    /// `Kind::Local`.
    pub fn make_directory(&self, name: &str) -> Result<(), Trouble> {
        self.tree
            .make_directory(name)
            .map(drop)
            .map_err(|error| Trouble::local("make", &self.tree.path(name), &error))
    }

    /// Goes on with an object where an earlier fetch was, where all that is there is what had been written; else says why not,
    /// and begins anew.
    ///
    /// # Errors
    ///
    /// `Kind::Local`.
    pub fn resume(&self, object: &Object, with_md5: bool) -> Result<(Begun, Option<&'static str>), Trouble> {
        let Some(known) = self.told.objects.get(&object.name) else {
            return Ok((Begun::Open(Box::new(self.begin(object, with_md5)?)), None));
        };
        let why = if known.identity == object.identity() {
            let found = self.found(object, known, with_md5);
            match found.map_err(|error| Trouble::local("read", &self.tree.path(&object.name), &error))? {
                Ok(begun) => return Ok((begun, None)),
                // Nothing of it had been written yet, so nothing is begun anew.
                Err(_) if known.bytes == 0 => None,
                Err(why) => Some(why),
            }
        } else {
            Some("it has changed in the store since it was begun")
        };
        self.remove(&object.name)?;
        Ok((Begun::Open(Box::new(self.begin(object, with_md5)?)), why))
    }

    /// What is there of an object, where it is what the journal says; else why it is of no use.
    fn found(
        &self,
        object: &Object,
        known: &Known,
        with_md5: bool,
    ) -> io::Result<Result<Begun, &'static str>> {
        const OTHER: &str = "what was there of it is not what had been written";
        // It may have got its name just before the fetch ended.
        let (mut file, in_place) = match self.tree.existing(&part(known.part))? {
            Some(file) => (file, false),
            None => match self.tree.existing(&object.name)? {
                Some(file) => (file, true),
                None => return Ok(Err(OTHER)),
            },
        };
        if known.bytes == 0 || known.bytes > object.size {
            return Ok(Err(OTHER));
        }
        let mut hashing = Hashing::new(with_md5 && known.done.is_none());
        let mut buffer = vec![0; BUFFER];
        let mut left = known.bytes;
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = file.read(&mut buffer[..wanted])?;
            if read == 0 {
                return Ok(Err(OTHER));
            }
            hashing.update(&buffer[..read]);
            left -= read as u64;
        }
        if hashing.sha256() != known.sha256 {
            return Ok(Err(OTHER));
        }
        match known.done {
            Some(checked) if known.bytes == object.size => {
                if file.metadata()?.len() != object.size {
                    return Ok(Err(OTHER));
                }
                if !in_place {
                    self.tree.rename(&part(known.part), &object.name)?;
                }
                Ok(Ok(Begun::Whole { sha256: known.sha256.clone(), checked }))
            }
            // What the store says of the bytes comes with an answer, and without one nothing could be compared.
            _ if in_place || known.bytes == object.size => Ok(Err("it had not been compared with the store")),
            _ => {
                file.set_len(known.bytes)?;
                file.seek(SeekFrom::Start(known.bytes))?;
                Ok(Ok(Begun::Open(Box::new(Writing { part: known.part, file, hashing }))))
            }
        }
    }

    /// Begins an object, with nothing of it there.
    ///
    /// # Errors
    ///
    /// `Kind::Local`, `Kind::DiskFull`.
    pub fn begin(&self, object: &Object, with_md5: bool) -> Result<Writing, Trouble> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let begin = || {
            let file = self.tree.file(&part(number))?;
            file.set_len(0)?;
            self.journal.began(number, &object.name, &object.identity())?;
            Ok(Writing { part: number, file, hashing: Hashing::new(with_md5) })
        };
        begin().map_err(|error| Trouble::local("write", &self.tree.path(&object.name), &error))
    }

    /// Writes the bytes that come next.
    ///
    /// # Errors
    ///
    /// `Kind::Local`, `Kind::DiskFull`.
    pub fn write(&self, writing: &mut Writing, bytes: &[u8], name: &str) -> Result<(), Trouble> {
        writing
            .file
            .write_all(bytes)
            .and_then(|()| {
                writing.hashing.update(bytes);
                self.journal.reached(writing.part, writing.hashing.bytes(), &writing.hashing.sha256())
            })
            .map_err(|error| Trouble::local("write", &self.tree.path(name), &error))
    }

    /// Puts a whole file where it belongs.
    ///
    /// # Errors
    ///
    /// `Kind::Local`, `Kind::DiskFull`.
    pub fn finish(&self, writing: &Writing, name: &str, checked: Checked) -> Result<(), Trouble> {
        self.journal
            .done(writing.part, checked)
            .and_then(|()| self.tree.rename(&part(writing.part), name))
            .map_err(|error| Trouble::local("write", &self.tree.path(name), &error))
    }

    /// Gives up what was written of an object.
    pub fn discard(&self, writing: &Writing) {
        // The next fetch finds it and sees that it is of no use.
        let _ = self.tree.remove(&part(writing.part));
    }

    /// Everything is there: nothing has to be kept any more.
    ///
    /// # Errors
    ///
    /// `Kind::Local`.
    pub fn close(&self) -> Result<(), Trouble> {
        self.tree
            .remove_directory(STAGING)
            .map_err(|error| Trouble::local("remove", &self.tree.path(STAGING), &error))
    }
}

impl Writing {
    /// What is there.
    pub fn hashing(&self) -> &Hashing {
        &self.hashing
    }
}

fn journal() -> String {
    format!("{STAGING}/journal")
}

fn part(number: u64) -> String {
    format!("{STAGING}/{number}.part")
}
