//! One file of a backup comes by, wherever from: what its manifest says of it, and what is done with its content.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pgdrill_model::code::Code;
use pgdrill_ondisk::manifest::{File, Manifest};

use super::content::{Comparing, Guessing, Keeping, incremental_of, is_kept, relation_of};
use super::ignore::Ignored;
use super::incremental::Incremental;
use super::observed::{Observed, Order, Unexplained};
use super::pages::{Layout, Pages};
use super::{Options, Progress};
use crate::flow::{Hands, Work};

/// What more is done with the files of a backup while it is verified: they are restored.
pub trait Also: Sync {
    /// What to do with the content of a file.
    ///
    /// # Errors
    ///
    /// Why nothing can be done with it, which ends the reading.
    fn file(&self, path: &[u8], size: u64, mode: u32) -> io::Result<Box<dyn Work>>;

    /// A directory.
    ///
    /// # Errors
    ///
    /// As for a file.
    fn directory(&self, path: &[u8], mode: u32) -> io::Result<()>;

    /// Whether something of it failed, so that there is no use in going on.
    fn has_failed(&self) -> bool;
}

/// What all who read files of one backup share.
pub struct Reading<'a> {
    /// What was seen.
    pub observed: &'a Arc<Observed>,
    /// What must be seen; none where there is no manifest, or none yet.
    pub manifest: Option<&'a Manifest>,
    /// Whether a manifest may still come.
    pub manifest_may_come: bool,
    /// What is wanted.
    pub options: &'a Options,
    /// What is not looked at.
    pub ignored: &'a Ignored,
    /// Who does the work.
    pub hands: &'a Hands,
    /// Whether WAL segments are kept in memory, because they cannot be read again.
    pub keeps_segments: bool,
    /// How pages are laid out, where it is known beforehand.
    pub layout: Option<Layout>,
    /// How far it is.
    pub progress: &'a Progress,
    /// What more is done with the files.
    pub also: Option<&'a dyn Also>,
}

/// A file that comes by.
pub struct Coming<'a> {
    /// Its path, relative to the data directory.
    pub path: &'a [u8],
    /// Its path as the archive has it.
    pub written: &'a [u8],
    /// Bytes.
    pub size: u64,
    /// The archive that it comes from; none in a plain backup.
    pub archive: Option<&'a Arc<str>>,
}

impl<'a> Reading<'a> {
    /// What the manifest says of a file; nothing where there is no manifest, or what it says is wrong, which is then told.
    pub fn expect(&self, coming: &Coming<'_>) -> Option<File<'a>> {
        expect(self.observed, self.manifest?, coming)
    }

    /// Whether nothing more is to be read.
    pub fn is_over(&self) -> bool {
        self.observed.is_over()
            || self.progress.given_up.load(Ordering::Relaxed)
            || self.also.is_some_and(Also::has_failed)
    }

    /// Reads the content of a file, and has done with it what is to be done. Gives how many bytes there were.
    ///
    /// # Errors
    ///
    /// What reading gives.
    pub fn content(
        &self,
        coming: &Coming<'_>,
        expected: Option<File<'_>>,
        also: Option<Box<dyn Work>>,
        content: impl Read,
    ) -> io::Result<u64> {
        let Coming { path, size, archive, .. } = *coming;
        let observed = || Arc::clone(self.observed);
        let mut work: Vec<Box<dyn Work>> = Vec::with_capacity(4);
        let checksum = expected.and_then(|file| file.checksum).filter(|_| self.options.checksums);
        if let Some(checksum) = checksum {
            work.push(Box::new(Comparing::new(observed(), path, archive.cloned(), size, &checksum)));
        } else if self.manifest_may_come {
            work.push(Box::new(Guessing::new(observed(), path)));
        }
        let latest = || match self.manifest {
            Some(manifest) => manifest.wal.iter().map(|range| range.end).max(),
            None => self.options.needs.map(|range| range.end),
        };
        if let Some(relation) = relation_of(path).filter(|_| self.options.checksums) {
            work.push(Box::new(Pages::new(observed(), path, size, relation, self.layout, latest())));
        } else if let Some(relation) = incremental_of(path) {
            self.observed.look().incremental(path);
            if self.options.checksums {
                let pages = Pages::new(observed(), path, size, relation, self.layout, latest());
                work.push(Box::new(Incremental::new(observed(), path, size, self.layout, pages)));
            }
        }
        if is_kept(path, size) {
            work.push(Box::new(Keeping::new(observed(), path)));
        }
        work.extend(also);
        if work.is_empty() {
            return Ok(size);
        }
        let read = self.hands.pour(size, work, content)?;
        let mut inner = self.observed.look();
        inner.files += 1;
        inner.bytes += read;
        Ok(read)
    }
}

/// Compares name and size of a file with the manifest, and gives what that says of it; nothing where it has no such file,
/// or one of another size, which is then told.
fn expect<'a>(observed: &Observed, manifest: &'a Manifest, coming: &Coming<'_>) -> Option<File<'a>> {
    let Coming { path, written, size, archive } = coming;
    let shown = String::from_utf8_lossy(if archive.is_some() { written } else { path });
    let Some(index) = manifest.files.find(path) else {
        let message = match archive {
            None => format!("\"{shown}\" is present on disk but not in the manifest"),
            Some(archive) => {
                format!("file \"{shown}\" is present in archive \"{archive}\" but not in the manifest")
            }
        };
        observed.found(Order::Walk, Code::ManifestMismatch, path, message);
        return None;
    };
    let twice = observed.look().comes(index);
    if twice {
        let archive = archive.map_or("", |archive| archive);
        let message = format!("file \"{shown}\" is present in archive \"{archive}\" more than once");
        observed.found(Order::Walk, Code::ManifestMismatch, path, message);
    }
    let file = manifest.files.get(index)?;
    if file.size == *size {
        return Some(file);
    }
    let listed = file.size;
    let message = match archive {
        None => format!("\"{shown}\" has size {size} on disk but size {listed} in the manifest"),
        Some(archive) => format!(
            "file \"{shown}\" has size {size} in archive \"{archive}\" but size {listed} in the manifest"
        ),
    };
    observed.found(Order::Walk, Code::ManifestMismatch, path, message);
    None
}

/// Compares a file that came before its manifest with it.
pub fn explain(
    observed: &Observed,
    manifest: &Manifest,
    options: &Options,
    archive: &Arc<str>,
    seen: &Unexplained,
) {
    let coming = Coming { path: &seen.path, written: &seen.path, size: seen.size, archive: Some(archive) };
    let Some(checksum) = expect(observed, manifest, &coming).and_then(|file| file.checksum) else { return };
    if !options.checksums {
        return;
    }
    let name = String::from_utf8_lossy(&seen.path);
    match seen.checksums.iter().find(|(algorithm, _)| *algorithm == checksum.algorithm) {
        Some((_, computed)) => {
            observed.look().compared += 1;
            if computed.as_slice() != checksum.bytes {
                let message = format!("checksum mismatch for file \"{name}\" in archive \"{archive}\"");
                observed.found(Order::Content, Code::ManifestMismatch, &seen.path, message);
            }
        }
        None => {
            let algorithm = checksum.algorithm.name();
            let message = format!(
                "the {algorithm} of file \"{name}\" was not taken, since the manifest came last: name it with -m"
            );
            observed.found(Order::Content, Code::CheckNotRun, &seen.path, message);
        }
    }
}

/// Counts what is read.
pub struct Counted<'a, R> {
    /// What is read.
    pub stream: R,
    /// Where it is counted.
    pub count: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
