//! A backup in plain format: a directory. First it is walked, so that whatever can be told without reading is told, as
//! `pg_verifybackup` does it; then its files are read, the largest first, by several threads.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use pgdrill_model::code::Code;
use pgdrill_ondisk::manifest;

use super::observed::Order;
use super::reading::{Coming, Counted, Reading};

/// A file that is there, and what its manifest says of it.
pub struct Found<'a> {
    path: Vec<u8>,
    full: PathBuf,
    size: u64,
    mode: u32,
    /// Whether it is left out of what is verified, so that it is only there to be restored.
    ignored: bool,
    expected: Option<manifest::File<'a>>,
}

/// Walks the backup in `root`; gives the files, the largest first.
pub fn walk<'a>(root: &Path, reading: &Reading<'a>) -> Vec<Found<'a>> {
    let mut files = Vec::new();
    directory(root, &[], &mut BTreeSet::new(), reading, &mut files);
    files.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    files
}

/// Walks one directory. `above`: those on the way to it, by device and inode, so that a link that leads back is not
/// followed for ever.
fn directory<'a>(
    full: &Path,
    path: &[u8],
    above: &mut BTreeSet<(u64, u64)>,
    reading: &Reading<'a>,
    files: &mut Vec<Found<'a>>,
) {
    let wrong = |message: String| reading.observed.found(Order::Walk, Code::BackupUnreadable, path, message);
    let same = fs::metadata(full).map(|metadata| (metadata.dev(), metadata.ino()));
    let (entries, same) = match fs::read_dir(full).and_then(|entries| Ok((entries, same?))) {
        Ok(read) => read,
        Err(error) => {
            reading.observed.look().unreached.push(path.to_vec());
            return wrong(format!("could not open directory \"{}\": {}", full.display(), words(&error)));
        }
    };
    if !above.insert(same) {
        return wrong(format!("directory \"{}\" lies within itself, by a link", full.display()));
    }
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => names.push(entry.path()),
            Err(error) => {
                wrong(format!("could not read directory \"{}\": {}", full.display(), words(&error)));
            }
        }
    }
    names.sort();
    for full in names {
        if reading.is_over() {
            return;
        }
        let name = full.file_name().unwrap_or_default().as_bytes();
        let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
        one(full, path, above, reading, files);
    }
    above.remove(&same);
}

fn one<'a>(
    full: PathBuf,
    path: Vec<u8>,
    above: &mut BTreeSet<(u64, u64)>,
    reading: &Reading<'a>,
    files: &mut Vec<Found<'a>>,
) {
    let metadata = fs::metadata(&full);
    if metadata.as_ref().is_ok_and(fs::Metadata::is_dir) {
        reading.observed.look().directories.insert(path.clone());
    }
    let ignored = reading.ignored.has(&path);
    if ignored && reading.also.is_none() {
        return;
    }
    let shown = String::from_utf8_lossy(&path);
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(error) => {
            let message = format!("could not stat file or directory \"{shown}\": {}", words(&error));
            reading.observed.look().unreached.push(path.clone());
            // A link that leads nowhere is part of the backup; what may not be looked at is not known.
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => Code::ManifestMismatch,
                _ => Code::BackupUnreadable,
            };
            return reading.observed.found(Order::Walk, code, &path, message);
        }
    };
    if metadata.is_dir() {
        // Whoever cannot make it says so.
        if reading.also.is_some_and(|also| also.directory(&path, metadata.mode()).is_err()) {
            return;
        }
        return directory(&full, &path, above, reading, files);
    }
    if !metadata.is_file() {
        let kind = metadata.file_type();
        let message = format!("\"{shown}\" is not a regular file or directory");
        debug_assert!(kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device());
        return reading.observed.found(Order::Walk, Code::ManifestMismatch, &path, message);
    }
    let size = metadata.len();
    let coming = Coming { path: &path, written: &path, size, archive: None };
    let expected = if ignored { None } else { reading.expect(&coming) };
    files.push(Found { path, full, size, mode: metadata.mode(), ignored, expected });
}

/// Reads the files by `threads` threads.
pub fn read(files: Vec<Found<'_>>, threads: usize, reading: &Reading<'_>) {
    let queue = Mutex::new(files.into_iter());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !reading.is_over() {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(found) = next else { return };
                    file(&found, reading);
                }
            });
        }
    });
}

fn file(found: &Found<'_>, reading: &Reading<'_>) {
    let Found { path, full, size, mode, ignored, expected } = found;
    let shown = String::from_utf8_lossy(path);
    let wrong = |code, message: String| reading.observed.found(Order::Content, code, path, message);
    let opened = match File::open(full) {
        Ok(opened) => opened,
        Err(error) => {
            reading.observed.look().unreached.push(path.to_vec());
            let message = format!("could not open file \"{shown}\": {}", words(&error));
            return wrong(Code::BackupUnreadable, message);
        }
    };
    let coming = Coming { path, written: path, size: *size, archive: None };
    let counted = Counted { stream: opened, count: &reading.progress.done };
    // Whoever could not take it says so.
    let Ok(also) = reading.also.map(|also| also.file(path, *size, *mode)).transpose() else { return };
    let read = match also {
        Some(also) if *ignored => reading.hands.pour(*size, vec![also], counted),
        also => reading.content(&coming, *expected, also, counted),
    };
    match read {
        Ok(read) if read != *size => {
            let message = format!("file \"{shown}\" should contain {size} bytes, but read {read}");
            wrong(Code::ManifestMismatch, message);
        }
        Ok(_) => {}
        Err(error) => {
            reading.observed.look().unreached.push(path.to_vec());
            let message = format!("could not read file \"{shown}\": {}", words(&error));
            wrong(Code::BackupUnreadable, message);
        }
    }
}

/// An error of the system in its own words, as PostgreSQL's programs print it.
pub fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// The bytes of a path.
pub fn bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}
