//! Verifies every page of every relation file of a data directory, also of one whose server is running.
//!
//! A page that is being written can be read half old, half new. So a page that looks damaged is read again, until it
//! is good or has stayed the same; only a page that stays damaged is reported.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use pgdrill_ondisk::page::{self, Damage};
use pgdrill_ondisk::relation;

use crate::Unreadable;

/// How often, and how far apart, a page that looks damaged is read again.
const READINGS: u32 = 5;
const BETWEEN_READINGS: Duration = Duration::from_millis(20);

/// Read this much at once.
const CHUNK_PAGES: usize = 32;

/// What was verified, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Relation files that were read.
    pub files: u64,
    /// Pages that were read.
    pub pages: u64,
    /// Pages that are damaged, by path relative to the data directory and block.
    pub damaged: Vec<DamagedPage>,
}

/// A damaged page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPage {
    /// The file, relative to the data directory.
    pub file: String,
    /// The block within that file.
    pub block: u32,
    /// What is wrong, in words.
    pub what: String,
}

/// How pages are laid out, by the cluster's control file.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Bytes per page.
    pub block_size: u32,
    /// Pages per file of a large relation.
    pub blocks_per_file: u32,
    /// Whether pages have checksums; else only their headers are verified.
    pub checksums: bool,
}

impl Layout {
    fn verify(self, page: &[u8], number: u32) -> Result<(), Damage> {
        if self.checksums { page::verify(page, number) } else { page::verify_header(page) }
    }
}

/// Verifies all pages below `data`, by `threads` threads.
///
/// # Errors
///
/// A directory or file that cannot be read. A file that goes away meanwhile is no error.
pub fn verify(data: &Path, layout: Layout, threads: usize) -> Result<Report, Unreadable> {
    let files = relation_files(data)?;
    let queue = Mutex::new(files.into_iter());
    let results: Vec<Result<Report, Unreadable>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    let mut report = Report::default();
                    loop {
                        let next = queue.lock().ok().and_then(|mut files| files.next());
                        let Some((path, segment)) = next else { return Ok(report) };
                        verify_file(data, &path, segment, layout, &mut report)?;
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker.join().unwrap_or_else(|_| Err(Unreadable::new(data, "a reading thread died")))
            })
            .collect()
    });
    let mut all = Report::default();
    for result in results {
        let report = result?;
        all.files += report.files;
        all.pages += report.pages;
        all.damaged.extend(report.damaged);
    }
    all.damaged.sort_by(|a, b| (&a.file, a.block).cmp(&(&b.file, b.block)));
    Ok(all)
}

/// The relation files of a data directory with their segment numbers: `global/`, each database below `base/`, and
/// each tablespace.
fn relation_files(data: &Path) -> Result<Vec<(PathBuf, u32)>, Unreadable> {
    let mut directories = vec![data.join("global")];
    directories.extend(sub_directories(&data.join("base"))?);
    for tablespace in sub_directories(&data.join("pg_tblspc"))? {
        for version in sub_directories(&tablespace)? {
            directories.extend(sub_directories(&version)?);
        }
    }
    let mut files = Vec::new();
    for directory in directories {
        let entries =
            fs::read_dir(&directory).map_err(|error| Unreadable::new(&directory, error.to_string()))?;
        for entry in entries.flatten() {
            if let Some(file) = entry.file_name().to_str().and_then(relation::parse) {
                files.push((entry.path(), file.segment));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn sub_directories(directory: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let entries = fs::read_dir(directory).map_err(|error| Unreadable::new(directory, error.to_string()))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn verify_file(
    data: &Path,
    path: &Path,
    segment: u32,
    layout: Layout,
    report: &mut Report,
) -> Result<(), Unreadable> {
    let block_size = layout.block_size as usize;
    let file = match File::open(path) {
        Ok(file) => file,
        // Dropped since it was listed.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Unreadable::new(path, error.to_string())),
    };
    report.files += 1;
    let name = path.strip_prefix(data).unwrap_or(path).to_string_lossy().into_owned();
    let mut chunk = vec![0; block_size * CHUNK_PAGES];
    let mut block = 0_u32;
    loop {
        let offset = u64::from(block) * block_size as u64;
        let read =
            read_at(&file, &mut chunk, offset).map_err(|error| Unreadable::new(path, error.to_string()))?;
        for page in chunk[..read].chunks(block_size) {
            let number = segment * layout.blocks_per_file + block;
            if page.len() < block_size {
                let what = format!("the file ends {} bytes into the block", page.len());
                report.damaged.push(DamagedPage { file: name.clone(), block, what });
            } else {
                report.pages += 1;
                if layout.verify(page, number).is_err()
                    && let Some(damage) = stays_damaged(&file, offset_of(block, block_size), number, layout)
                {
                    report.damaged.push(DamagedPage { file: name.clone(), block, what: damage.to_string() });
                }
            }
            block += 1;
        }
        if read < chunk.len() {
            return Ok(());
        }
    }
}

fn offset_of(block: u32, block_size: usize) -> u64 {
    u64::from(block) * block_size as u64
}

/// Reads a page again until it is good; gives its damage when it never is.
fn stays_damaged(file: &File, offset: u64, number: u32, layout: Layout) -> Option<Damage> {
    let block_size = layout.block_size as usize;
    let mut page = vec![0; block_size];
    let mut damage = None;
    for reading in 0..READINGS {
        if reading > 0 {
            thread::sleep(BETWEEN_READINGS);
        }
        match read_at(file, &mut page, offset) {
            // Truncated since it was first read.
            Ok(read) if read < block_size => return None,
            Ok(_) => damage = Some(layout.verify(&page, number).err()?),
            Err(_) => {}
        }
    }
    damage
}

/// Fills the buffer from `offset`, less only at the end of the file.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good_page(number: u32) -> Vec<u8> {
        let mut page = vec![0; 8192];
        page[12..20].copy_from_slice(&[24, 0, 0, 0x20, 0, 0x20, 4, 0x20]);
        let sum = page::checksum(&page, number).to_le_bytes();
        page[8..10].copy_from_slice(&sum);
        page
    }

    #[test]
    fn damage_is_named_by_file_and_block_and_the_rest_is_good() {
        let data = tempfile::tempdir().unwrap();
        for directory in ["global", "base/5", "pg_tblspc"] {
            fs::create_dir_all(data.path().join(directory)).unwrap();
        }
        let mut pages: Vec<u8> = (0..40).flat_map(good_page).collect();
        fs::write(data.path().join("base/5/16384"), &pages).unwrap();
        fs::write(data.path().join("base/5/16384.1"), good_page(131_072)).unwrap();
        fs::write(data.path().join("base/5/PG_VERSION"), "15").unwrap();
        pages[33 * 8192 + 100] ^= 1;
        pages.truncate(40 * 8192 - 5);
        fs::write(data.path().join("global/1262"), &pages).unwrap();
        let layout = Layout { block_size: 8192, blocks_per_file: 131_072, checksums: true };
        let report = verify(data.path(), layout, 2).unwrap();
        assert_eq!((report.files, report.pages), (3, 80));
        let places: Vec<(&str, u32)> =
            report.damaged.iter().map(|page| (page.file.as_str(), page.block)).collect();
        assert_eq!(places, [("global/1262", 33), ("global/1262", 39)]);
        assert!(report.damaged[1].what.contains("ends 8187 bytes into the block"));
    }
}
