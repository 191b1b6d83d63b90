//! The ledger of a drill, as all its writers share it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use pgdrill_ledger::{Appender, Counts, Record, Trouble};

use crate::workload::identity::Tag;

/// A ledger that is being written. Clones write to the same one.
#[derive(Clone)]
pub struct Book {
    appender: Arc<Mutex<Option<Appender>>>,
    tag: Tag,
}

impl Book {
    /// Begins a ledger in a new file.
    ///
    /// # Errors
    ///
    /// A file that is there already, or cannot be written.
    pub fn create(path: &Path, run: &str, seed: u64) -> Result<Self, Trouble> {
        Ok(Self::over(Appender::create(path, run, seed)?))
    }

    /// Goes on with one that was closed.
    ///
    /// # Errors
    ///
    /// One that is damaged or was not closed.
    pub fn reopen(path: &Path) -> Result<Self, Trouble> {
        Ok(Self::over(Appender::reopen(path)?))
    }

    fn over(appender: Appender) -> Self {
        let tag = Tag::of(&appender.header().run);
        Self { appender: Arc::new(Mutex::new(Some(appender))), tag }
    }

    /// The run's tag in the database.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Appends a record; it is in the file when this returns.
    ///
    /// # Errors
    ///
    /// See [`Appender::append`]; also when the ledger is closed.
    pub fn append(&self, record: &Record<'_>) -> Result<(), Trouble> {
        self.guard().as_mut().ok_or(Trouble::GivenUp)?.append(record)
    }

    /// A writer's number.
    ///
    /// # Errors
    ///
    /// See [`Appender::open_writer`].
    pub fn open_writer(&self, branch: u32, time_us: i64) -> Result<u16, Trouble> {
        self.guard().as_mut().ok_or(Trouble::GivenUp)?.open_writer(branch, time_us)
    }

    /// Notes that something happened.
    ///
    /// # Errors
    ///
    /// See [`append`](Self::append).
    pub fn note(&self, time_us: i64, text: &str) -> Result<(), Trouble> {
        self.append(&Record::Note { time_us, text })
    }

    /// Closes the ledger, for all clones. No writer may still be at work: what it does afterwards is refused, and it
    /// commits nothing any more.
    ///
    /// # Errors
    ///
    /// A ledger that could not be written, now or before.
    pub fn close(&self, time_us: i64) -> Result<Counts, Trouble> {
        self.guard().take().ok_or(Trouble::GivenUp)?.close(time_us)
    }

    fn guard(&self) -> MutexGuard<'_, Option<Appender>> {
        // Nothing panics while it is held; if something did, the appender itself refuses what cannot follow.
        self.appender.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
