//! The journal: the events of a run, written down as they happen, so that the record of a run that was killed can
//! be sealed by the next one.
//!
//! It lies in the evidence directory, not in the workspace, because the workspace goes away with its run. While its
//! run lives the file is locked; the lock, not the process id, tells the living from the dead.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use pgdrill_model::event::Event;

use crate::chain;

const ENDING: &str = "journal";

/// The journal of a living run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins the journal of run `id` in `directory`, which is made if need be.
    ///
    /// # Errors
    ///
    /// A directory or file that cannot be made or locked.
    pub fn begin(directory: &Path, id: &str) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join(format!("{id}.{ENDING}"));
        let temporary = directory.join(format!(".{id}.{ENDING}.part"));
        let file = OpenOptions::new().create_new(true).append(true).open(&temporary)?;
        // It gets its name when it is locked: else somebody who looks for the journals of the dead could take it.
        let named = file.lock().and_then(|()| fs::hard_link(&temporary, &path));
        fs::remove_file(&temporary)?;
        named.map(|()| Self { path, file })
    }

    /// Appends an event, a line of JSON.
    ///
    /// # Errors
    ///
    /// A disk that is full or gone.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }

    /// Ends the journal: the sealed record is in its place now.
    ///
    /// # Errors
    ///
    /// A file that is there and cannot be removed.
    pub fn end(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// The journals of dead runs in `directory`, each locked, so that two who look seal it once.
pub fn dead(directory: &Path) -> Vec<DeadJournal> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<DeadJournal> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
        .filter_map(DeadJournal::open)
        .collect();
    found.sort_by(|a, b| a.journal.path.cmp(&b.journal.path));
    found
}

/// The journal of a dead run.
#[derive(Debug)]
pub struct DeadJournal {
    journal: Journal,
    /// Its events, as far as they can be read.
    pub events: Vec<Event>,
}

impl DeadJournal {
    fn open(path: PathBuf) -> Option<Self> {
        let file = OpenOptions::new().read(true).append(true).open(&path).ok()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
        // The last line of a killed run may be cut.
        let events = BufReader::new(&file)
            .lines()
            .map_while(Result::ok)
            .map_while(|line| serde_json::from_str(&line).ok())
            .collect();
        Some(Self { journal: Journal { path, file }, events })
    }

    /// Ends it: its record is sealed.
    ///
    /// # Errors
    ///
    /// A file that cannot be removed.
    pub fn end(self) -> io::Result<()> {
        self.journal.end()
    }
}

/// Writes a sealed record into the evidence directory, never half and never over another, and appends it to the chain.
///
/// # Errors
///
/// A directory or file that cannot be made.
pub fn store(directory: &Path, name: &str, record: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let path = directory.join(name);
    let temporary = directory.join(format!(".{name}.part"));
    let mut file = File::create(&temporary)?;
    file.write_all(record)?;
    file.sync_all()?;
    // Whoever holds the records against the chain meanwhile must not find one without its line.
    let mut chain = chain::Lock::begin(directory)?;
    fs::hard_link(&temporary, &path)?;
    fs::remove_file(&temporary)?;
    File::open(directory)?.sync_all()?;
    chain.append(name, record)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::event::Happening;

    fn event(at_us: u64) -> Event {
        Event { at_us, unix_us: 5, what: Happening::RunEnded { interrupted: false } }
    }

    #[test]
    fn only_the_dead_are_found_and_a_cut_line_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let mut living = Journal::begin(directory.path(), "living").unwrap();
        living.write(&event(1)).unwrap();
        let mut dying = Journal::begin(directory.path(), "dying").unwrap();
        dying.write(&event(1)).unwrap();
        dying.write(&event(2)).unwrap();
        dying.file.write_all(b"{\"at_us\":").unwrap();
        drop(dying);
        let found = dead(directory.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].events, [event(1), event(2)]);
        assert!(dead(directory.path()).is_empty(), "a second finder must not get it too");
        found.into_iter().for_each(|journal| journal.end().unwrap());
        drop(living);
        assert_eq!(dead(directory.path()).len(), 1);
    }

    #[test]
    fn a_record_is_never_written_over_another() {
        let directory = tempfile::tempdir().unwrap();
        store(directory.path(), "a.json", b"1").unwrap();
        assert!(store(directory.path(), "a.json", b"2").is_err());
        assert_eq!(fs::read(directory.path().join("a.json")).unwrap(), b"1");
    }
}
