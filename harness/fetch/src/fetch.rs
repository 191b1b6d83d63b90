//! The fetch: several objects side by side, large ones in parts, hashed on the way, and gone on with where it was interrupted.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use pgdrill_model::units::show_bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::checksum::{Checked, Hashing, Said};
use crate::listing::{Listing, Object};
use crate::names;
use crate::part::{self, Tally};
use crate::place::Failure;
use crate::source::Source;
use crate::staging::{self, Begun, Staging, Writing};
use crate::tree::{self, Tree};
use crate::trouble::{Kind, Trouble};

/// How often an object may change, or come with other bytes than the store speaks of, before the fetch is given up.
const BEGINNINGS: usize = 3;

/// How a fetch is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many requests are made at the same time.
    pub jobs: usize,
    /// How much one request asks for; so much is kept in memory for each of the jobs.
    pub part_bytes: u64,
    /// More bytes than this are refused before anything is written.
    pub limit_bytes: Option<u64>,
    /// What must stay free on the disk beside what is fetched.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { jobs: 8, part_bytes: 8 << 20, limit_bytes: None, reserve_bytes: 256 << 20 }
    }
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Files that are there.
    pub files: u64,
    /// Files that will be.
    pub files_of: u64,
    /// Bytes that are there.
    pub bytes: u64,
    /// Bytes that will be.
    pub bytes_of: u64,
    /// Requests that had to be made once more.
    pub retries: u64,
}

/// One file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFile {
    /// Its name below the directory.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of what was read, in hexadecimal.
    pub sha256: String,
    /// By what it was compared with what the store says of it.
    pub checked: Checked,
}

/// An object of which what was there could not be gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunAnew {
    /// Its name.
    pub name: String,
    /// Why, in words that follow it.
    pub why: String,
}

/// What a fetch brought.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Every file, by name.
    pub files: Vec<FetchedFile>,
    /// How many bytes they have together.
    pub bytes: u64,
    /// The SHA-256 of the list of files as `sha256sum` prints it, sorted by name; in hexadecimal.
    pub sha256: String,
    /// Requests that had to be made once more.
    pub retries: u64,
    /// Bytes that came from the source now.
    pub received_bytes: u64,
    /// Bytes that an interrupted fetch had brought, and that were not fetched again.
    pub resumed_bytes: u64,
    /// Objects that were begun anew, and why.
    pub begun_anew: Vec<BegunAnew>,
    /// How long it took.
    pub took: Duration,
}

/// Fetches all that a source has into a directory, which is made where it is missing and must hold nothing but what an interrupted
/// fetch from the same source left. That one is gone on with.
///
/// # Errors
///
/// What kept it from being done. What was fetched stays, for the next fetch; where the trouble was seen before, nothing was written.
pub async fn fetch(
    source: &Source,
    into: &Path,
    options: &Options,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Fetched, Trouble> {
    let began = Instant::now();
    let listing = tokio::select! {
        () = cancel.cancelled() => return Err(Trouble::interrupted(&source.url)),
        listing = source.list() => listing?,
    };
    names::prove(&listing, into, &source.url)?;
    check_room(source, &listing, into, options)?;
    let staging = Arc::new(Staging::open(into, &source.url)?);
    let work = Work::new(source, options, cancel);
    let wanted: BTreeMap<&str, ()> =
        listing.objects.iter().map(|object| (object.name.as_str(), ())).collect();
    for name in staging.gone(|name| wanted.contains_key(name)) {
        staging.remove(name)?;
        work.anew(name, "it is not in the store any more");
    }
    for directory in &listing.directories {
        staging.make_directory(directory)?;
    }
    let tell = |work: &Work<'_>| {
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        progress(Progress {
            files: load(&work.tally.files),
            files_of: listing.objects.len() as u64,
            bytes: load(&work.tally.bytes),
            bytes_of: listing.bytes().unwrap_or(u64::MAX),
            retries: load(&work.tally.retries),
        });
    };
    // The largest first, so that it is not what everything waits for at the end.
    let mut order: Vec<&Object> = listing.objects.iter().collect();
    order.sort_by_key(|object| std::cmp::Reverse(object.size));
    let files = Mutex::new(Vec::new());
    let failed: Mutex<Option<Trouble>> = Mutex::new(None);
    stream::iter(order)
        .for_each_concurrent(options.jobs.max(1), |object| {
            let (work, staging, files, failed, tell) = (&work, &staging, &files, &failed, &tell);
            async move {
                // After the first trouble nothing new is begun, and whoever writes comes to the end of it.
                if work.stop.is_cancelled() && (cancel.is_cancelled() || held(failed).is_some()) {
                    return;
                }
                match work.bring(staging, object, &|| tell(work)).await {
                    Ok(file) => held(files).extend(file),
                    Err(trouble) => {
                        held(failed).get_or_insert(trouble);
                        work.stop.cancel();
                    }
                }
            }
        })
        .await;
    if let Some(trouble) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(trouble);
    }
    if cancel.is_cancelled() {
        return Err(Trouble::interrupted(&source.url));
    }
    staging.close()?;
    let mut files: Vec<FetchedFile> = files.into_inner().unwrap_or_else(PoisonError::into_inner);
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(work.result(files, began.elapsed()))
}

impl Source {
    /// Brings one object to a file, such as a WAL segment of an archive. The file appears when it is whole; one of its name is
    /// replaced.
    ///
    /// # Errors
    ///
    /// `Kind::NoObject` where there is none of that name, and what else can keep it from coming.
    pub async fn get(
        &self,
        name: &str,
        to: &Path,
        options: &Options,
        cancel: &CancellationToken,
    ) -> Result<FetchedFile, Trouble> {
        let (Some(directory), Some(file)) = (to.parent(), to.file_name().and_then(std::ffi::OsStr::to_str))
        else {
            return Err(Trouble::new(Kind::Local, format!("{} is no file", to.display()), "name a file"));
        };
        let one = |object: Object| Listing { objects: vec![object], ..Listing::default() };
        let blank = Object { name: name.to_owned(), size: 0, etag: None, modified_us: 0 };
        names::prove(&one(blank), directory, &self.url)?;
        let work = Work::new(self, options, cancel);
        for _ in 0..BEGINNINGS {
            let object = self.look(name, cancel).await?;
            check_room(self, &one(object.clone()), directory, options)?;
            let tree = Tree::open(directory)?;
            let partial = format!("{file}.part");
            let failed = |error: &std::io::Error| Trouble::local("write", to, error);
            let opened = tree.file(&partial).map_err(|error| failed(&error))?;
            opened.set_len(0).map_err(|error| failed(&error))?;
            let path = to.to_owned();
            let sink = Sink {
                state: (opened, Hashing::new(self.place.says_md5(&object))),
                write: move |(file, hashing): &mut (std::fs::File, Hashing), bytes: &[u8]| {
                    hashing.update(bytes);
                    std::io::Write::write_all(file, bytes)
                        .map_err(|error| Trouble::local("write", &path, &error))
                },
            };
            let brought = work.pour(&object, 0, sink, &|| {}).await;
            let compared = brought.and_then(|((_, hashing), said)| match hashing.compare(&said) {
                Ok(checked) => Ok((hashing, checked)),
                Err(_) => Err(Failure::Changed),
            });
            match compared {
                Ok((hashing, checked)) => {
                    tree.rename(&partial, file).map_err(|error| failed(&error))?;
                    return Ok(FetchedFile {
                        name: name.to_owned(),
                        bytes: hashing.bytes(),
                        sha256: hashing.sha256(),
                        checked,
                    });
                }
                Err(failure) => {
                    // What is left of it is of no use to anybody.
                    let _ = tree.remove(&partial);
                    if !matches!(failure, Failure::Changed) {
                        return Err(self.trouble(failure));
                    }
                }
            }
        }
        Err(changing(self, name))
    }
}

/// What all objects of a fetch share.
struct Work<'a> {
    source: &'a Source,
    options: &'a Options,
    permits: Arc<Semaphore>,
    tally: Tally,
    resumed: std::sync::atomic::AtomicU64,
    begun_anew: Mutex<Vec<BegunAnew>>,
    stop: CancellationToken,
}

/// Where the bytes of an object go, in their order. Writing and hashing take a thread of their own.
struct Sink<S, W> {
    state: S,
    write: W,
}

impl<'a> Work<'a> {
    fn new(source: &'a Source, options: &'a Options, cancel: &CancellationToken) -> Self {
        Self {
            source,
            options,
            permits: Arc::new(Semaphore::new(options.jobs.max(1))),
            tally: Tally::default(),
            resumed: std::sync::atomic::AtomicU64::new(0),
            begun_anew: Mutex::new(Vec::new()),
            stop: cancel.child_token(),
        }
    }

    fn anew(&self, name: &str, why: &str) {
        held(&self.begun_anew).push(BegunAnew { name: name.to_owned(), why: why.to_owned() });
    }

    /// Brings one object; none where it only stands for a directory.
    async fn bring(
        &self,
        staging: &Arc<Staging>,
        object: &Object,
        tell: &(dyn Fn() + Sync),
    ) -> Result<Option<FetchedFile>, Trouble> {
        let mut object = object.clone();
        let mut with_md5 = self.source.place.says_md5(&object);
        let (begun, why) = {
            let (staging, object) = (Arc::clone(staging), object.clone());
            blocking(move || staging.resume(&object, with_md5)).await?
        };
        if let Some(why) = why {
            self.anew(&object.name, why);
        }
        let writing = match begun {
            Begun::Open(writing) => *writing,
            Begun::Whole { sha256, checked } => {
                self.resumed.fetch_add(object.size, Ordering::Relaxed);
                self.tally.bytes.fetch_add(object.size, Ordering::Relaxed);
                return Ok(Some(self.there(object, sha256, checked, tell)));
            }
        };
        self.resumed.fetch_add(writing.hashing().bytes(), Ordering::Relaxed);
        let (mut first, mut lied) = (Some(writing), None);
        for _ in 0..BEGINNINGS {
            let writing = if let Some(writing) = first.take() {
                writing
            } else {
                object = self.source.look(&object.name, &self.stop).await?;
                with_md5 = self.source.place.says_md5(&object);
                let (staging, object) = (Arc::clone(staging), object.clone());
                blocking(move || staging.begin(&object, with_md5)).await?
            };
            let from = writing.hashing().bytes();
            let sink = {
                let (staging, name) = (Arc::clone(staging), object.name.clone());
                Sink {
                    state: writing,
                    write: move |writing: &mut Writing, bytes: &[u8]| staging.write(writing, bytes, &name),
                }
            };
            let why = match self.pour(&object, from, sink, tell).await {
                Ok((written, said)) => match written.hashing().compare(&said) {
                    Ok(checked) => {
                        let sha256 = written.hashing().sha256();
                        let (staging, name) = (Arc::clone(staging), object.name.clone());
                        blocking(move || staging.finish(&written, &name, checked)).await?;
                        return Ok(Some(self.there(object, sha256, checked, tell)));
                    }
                    Err(words) => {
                        staging.discard(&written);
                        self.tally.bytes.fetch_sub(object.size, Ordering::Relaxed);
                        lied = Some(words);
                        "what came is not what the store says that it is"
                    }
                },
                Err(Failure::Changed) => "it changed while it was fetched",
                Err(Failure::Missing(words)) => {
                    return self.missing(staging, &object, words).await;
                }
                Err(failure) => return Err(self.source.trouble(failure)),
            };
            self.anew(&object.name, why);
        }
        Err(match lied {
            Some(words) => Trouble::new(
                Kind::Lies,
                format!(
                    "{} gave other bytes than it says it has, {BEGINNINGS} times: {} has {words}",
                    self.source.url, object.name
                ),
                "the object is damaged in the store, or on the way: look at what stands between, and at other copies of it",
            ),
            None => changing(self.source, &object.name),
        })
    }

    /// A file that is there.
    fn there(
        &self,
        object: Object,
        sha256: String,
        checked: Checked,
        tell: &(dyn Fn() + Sync),
    ) -> FetchedFile {
        self.tally.files.fetch_add(1, Ordering::Relaxed);
        tell();
        FetchedFile { name: object.name, bytes: object.size, sha256, checked }
    }

    /// An object that was listed and cannot be read: it marks an empty directory, or has gone.
    async fn missing(
        &self,
        staging: &Staging,
        object: &Object,
        words: String,
    ) -> Result<Option<FetchedFile>, Trouble> {
        let source = self.source;
        let asked = source.place.is_directory(&object.name, source.patience).await;
        if object.size == 0 && asked.map_err(|failure| source.trouble(failure))? {
            staging.make_directory(&object.name)?;
            self.tally.files.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        Err(Trouble::new(
            Kind::Changing,
            format!("{words}; it was there when the objects were listed"),
            "something removes backups while they are fetched: fetch one that stays",
        ))
    }

    /// Pours the bytes of an object into a sink, from one byte on. Parts of it come side by side, and are written in their order;
    /// one that waits for its turn keeps its permit, so that no more is ever in memory than the permits allow.
    async fn pour<S, W>(
        &self,
        object: &Object,
        from: u64,
        sink: Sink<S, W>,
        tell: &(dyn Fn() + Sync),
    ) -> Result<(S, Said), Failure>
    where
        S: Send + 'static,
        W: FnMut(&mut S, &[u8]) -> Result<(), Trouble> + Send + 'static,
    {
        let mut counted = from;
        self.tally.bytes.fetch_add(from, Ordering::Relaxed);
        let poured = self.pour_parts(object, from, sink, &mut counted, tell).await;
        if poured.is_err() {
            self.tally.bytes.fetch_sub(counted, Ordering::Relaxed);
        }
        poured
    }

    async fn pour_parts<S, W>(
        &self,
        object: &Object,
        from: u64,
        mut sink: Sink<S, W>,
        counted: &mut u64,
        tell: &(dyn Fn() + Sync),
    ) -> Result<(S, Said), Failure>
    where
        S: Send + 'static,
        W: FnMut(&mut S, &[u8]) -> Result<(), Trouble> + Send + 'static,
    {
        let source = self.source;
        let coming = stream::iter(parts(from, object.size, self.options.part_bytes.max(1)))
            .then(|range| async move { (self.permit().await, range) })
            .map(|(permit, range)| async move {
                let permit = permit?;
                let (bytes, said) = part::read(
                    &source.place,
                    &source.url,
                    object,
                    range,
                    source.patience,
                    &self.tally,
                    &self.stop,
                )
                .await?;
                Ok((bytes, said, permit))
            })
            .buffered(self.options.jobs.max(1));
        let mut coming = std::pin::pin!(coming);
        let mut said = Said::default();
        let mut next: Option<Result<(Bytes, Said, OwnedSemaphorePermit), Failure>> = coming.next().await;
        while let Some(part) = next {
            let (bytes, more, permit) = part?;
            said.add(&more);
            let length = bytes.len() as u64;
            let writing = tokio::task::spawn_blocking(move || {
                let written = (sink.write)(&mut sink.state, &bytes);
                drop((bytes, permit));
                written.map(|()| sink)
            });
            let (following, written) = tokio::join!(coming.next(), writing);
            sink = written.map_err(|error| Failure::Lasting(lost(&error)))?.map_err(Failure::Lasting)?;
            *counted += length;
            self.tally.bytes.fetch_add(length, Ordering::Relaxed);
            tell();
            next = following;
        }
        Ok((sink.state, said))
    }

    /// A permit to make one request and to keep its answer.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Failure::Lasting(Trouble::interrupted(&self.source.url))),
            permit = Arc::clone(&self.permits).acquire_owned() => {
                permit.map_err(|_| Failure::Lasting(Trouble::interrupted(&self.source.url)))
            }
        }
    }

    fn result(self, files: Vec<FetchedFile>, took: Duration) -> Fetched {
        let mut all = Sha256::new();
        for file in &files {
            all.update(format!("{}  {}\n", file.sha256, file.name));
        }
        Fetched {
            bytes: files.iter().map(|file| file.bytes).sum(),
            sha256: hex::encode(all.finalize()),
            files,
            retries: self.tally.retries.into_inner(),
            received_bytes: self.tally.received.into_inner(),
            resumed_bytes: self.resumed.into_inner(),
            begun_anew: self.begun_anew.into_inner().unwrap_or_else(PoisonError::into_inner),
            took,
        }
    }
}

/// Refuses what has no room, before anything is written.
fn check_room(source: &Source, listing: &Listing, into: &Path, options: &Options) -> Result<(), Trouble> {
    let limit = options.limit_bytes.unwrap_or(u64::MAX);
    let bytes = listing.bytes().filter(|bytes| *bytes <= limit);
    let Some(bytes) = bytes else {
        let (has, limit) = (listing.bytes().unwrap_or(u64::MAX), show_bytes(limit));
        return Err(Trouble::new(
            Kind::Limit,
            format!("{} has {}, and no more than {limit} are to be fetched", source.url, show_bytes(has)),
            "name a prefix that holds the backup alone, or allow more; nothing was written",
        ));
    };
    let told = staging::look(into);
    let there: u64 = listing
        .objects
        .iter()
        .filter_map(|object| told.objects.get(&object.name).map(|known| known.bytes.min(object.size)))
        .sum();
    let Some((free, files)) = tree::free(into) else { return Ok(()) };
    let needed = bytes.saturating_sub(there);
    if needed.saturating_add(options.reserve_bytes) > free {
        return Err(Trouble::no_room(into, needed, options.reserve_bytes, free));
    }
    let wanted = listing.objects.len() as u64;
    if wanted.saturating_sub(told.objects.len() as u64) > files {
        return Err(Trouble::new(
            Kind::DiskFull,
            format!(
                "{wanted} files are to be fetched into {}, and its file system can take {files} more",
                into.display()
            ),
            "name a directory on another disk; nothing was written",
        ));
    }
    Ok(())
}

/// The parts of an object that is there up to `from`. One without bytes is asked for, too: it must be there.
fn parts(from: u64, size: u64, length: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    let empty = (size == 0).then_some(0..0);
    let count = size.saturating_sub(from).div_ceil(length);
    empty.into_iter().chain((0..count).map(move |at| {
        let start = from + at * length;
        start..size.min(start + length)
    }))
}

fn changing(source: &Source, name: &str) -> Trouble {
    Trouble::new(
        Kind::Changing,
        format!("{name} of {} changed {BEGINNINGS} times while it was fetched", source.url),
        "fetch what nobody writes to any more",
    )
}

/// What is done with files takes a thread that may wait for the disk.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> impl Future<Output = Result<T, Trouble>> {
    let done = tokio::task::spawn_blocking(work);
    async move { done.await.unwrap_or_else(|error| Err(lost(&error))) }
}

fn lost(error: &tokio::task::JoinError) -> Trouble {
    Trouble::new(Kind::Local, format!("a thread that wrote files ended: {error}"), "please report it")
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_cover_what_is_missing_and_nothing_twice(size in 0..5_000_u64, share in 0..100_u64, length in 1..900_u64) {
            let from = size * share / 100;
            let parts: Vec<_> = parts(from, size, length).collect();
            if size == 0 {
                prop_assert!(parts.len() == 1 && parts[0] == (0..0));
            } else {
                let mut at = from;
                for part in &parts {
                    prop_assert_eq!(part.start, at);
                    prop_assert!(part.end > part.start && part.end - part.start <= length);
                    at = part.end;
                }
                prop_assert_eq!(at, size);
            }
        }
    }
}
