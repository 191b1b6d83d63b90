//! The witness file: one line of JSON for each beat, appended once the server had answered and forced to disk before anything
//! else is done. Whoever appends holds a lock on it. A line that broke off stays as it is, and the next begins on a new one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pgdrill_model::witness::{Entry, LONGEST_LINE, Line};

/// A witness file that is held by who appends.
#[derive(Debug)]
pub struct WitnessFile {
    file: File,
    torn: bool,
    last: Option<Entry>,
}

/// What a witness file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// What happened, in the order of the file.
    pub entries: Vec<Entry>,
    /// Lines that cannot be read, by their number, and why.
    pub unreadable: Vec<(u64, String)>,
    /// Whether the last line broke off: whoever wrote it was killed.
    pub torn: bool,
}

impl WitnessFile {
    /// Opens a file to append to it, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// A file that cannot be written, `WouldBlock` where somebody else holds it, and `InvalidData` for what is no witness file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let new = !path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if new {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let (torn, last) = tail(&mut file)?;
        Ok(Self { file, torn, last })
    }

    /// The last thing in it.
    pub fn last(&self) -> Option<&Entry> {
        self.last.as_ref()
    }

    /// Whether its last line broke off when it was opened.
    pub fn torn(&self) -> bool {
        self.torn
    }

    /// Appends, and returns once it is on disk.
    ///
    /// # Errors
    ///
    /// A full disk and the like.
    pub fn append(&mut self, entry: Entry) -> io::Result<()> {
        let line = Line::new(entry);
        let text = serde_json::to_string(&line)?;
        if text.len() > LONGEST_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the line would be too long"));
        }
        let text = if self.torn { format!("\n{text}\n") } else { format!("{text}\n") };
        // Until it is whole, it may be torn.
        self.torn = true;
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.torn = false;
        self.last = Some(line.entry);
        Ok(())
    }
}

/// Whether the last line of a file broke off, and what its last readable one says. A file without any is no witness file.
fn tail(file: &mut File) -> io::Result<(bool, Option<Entry>)> {
    let length = file.seek(SeekFrom::End(0))?;
    // A whole line before one that broke off is within two lines of the end, but for several that broke off.
    let from = length.saturating_sub(8 * LONGEST_LINE as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(length - from).read_to_end(&mut bytes)?;
    let torn = bytes.last().is_some_and(|byte| *byte != b'\n');
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rev().find_map(|line| Line::parse(line).ok());
    if last.is_none() && bytes.contains(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is there and is no witness file"));
    }
    Ok((torn, last.map(|line| line.entry)))
}

/// Reads a witness file, also one that somebody appends to.
///
/// # Errors
///
/// A file that cannot be read. What is wrong within it is told in what comes back.
pub fn read(path: &Path) -> io::Result<Contents> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut contents = Contents::default();
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let limit = LONGEST_LINE as u64 + 1;
        if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(contents);
        }
        let whole = line.ends_with(b"\n");
        if !whole && line.len() as u64 == limit {
            reader.skip_until(b'\n')?;
            contents.unreadable.push((number, "it is too long".to_owned()));
            continue;
        }
        match Line::parse(String::from_utf8_lossy(&line).trim_end()) {
            Ok(line) => contents.entries.push(line.entry),
            Err(_) if !whole => contents.torn = true,
            Err(why) => contents.unreadable.push((number, why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pgdrill_model::units::Lsn;
    use pgdrill_model::witness::{Removal, System};

    use super::*;

    fn entry(lsn: u64) -> Entry {
        Entry::Removed(Removal { system: System(7), timeline: 1, before: Lsn(lsn) })
    }

    #[test]
    fn what_was_appended_is_read_and_the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        let mut file = WitnessFile::open(&path).unwrap();
        assert!(file.last().is_none());
        file.append(entry(1)).unwrap();
        assert_eq!(WitnessFile::open(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(file);
        let mut file = WitnessFile::open(&path).unwrap();
        assert_eq!(file.last(), Some(&entry(1)));
        file.append(entry(2)).unwrap();
        let contents = read(&path).unwrap();
        assert_eq!(contents.entries, [entry(1), entry(2)]);
        assert!(contents.unreadable.is_empty() && !contents.torn);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// Wherever its writer is killed, only the last line is lost, and the next one is whole.
    #[test]
    fn a_file_that_broke_off_anywhere_is_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        let mut file = WitnessFile::open(&path).unwrap();
        (1..=2).for_each(|lsn| file.append(entry(lsn)).unwrap());
        drop(file);
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in first..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            // All but its line break is a line, too.
            let lost = length < whole.len() - 1;
            let before = read(&path).unwrap();
            assert_eq!(
                (before.entries.len(), before.torn),
                (if lost { 1 } else { 2 }, lost && length > first)
            );
            let mut file = WitnessFile::open(&path).unwrap();
            file.append(entry(3)).unwrap();
            let after = read(&path).unwrap();
            assert_eq!(after.entries.last(), Some(&entry(3)));
            assert_eq!(after.unreadable.len(), usize::from(before.torn), "{length}");
            assert!(!after.torn);
        }
    }

    #[test]
    fn what_is_no_witness_file_is_not_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes");
        fs::write(&path, "Milk\nEggs\n").unwrap();
        assert_eq!(WitnessFile::open(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&path).unwrap(), "Milk\nEggs\n");
        fs::write(&path, "x".repeat(100_000) + "\n{}\n").unwrap();
        let contents = read(&path).unwrap();
        assert_eq!(contents.unreadable.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
    }
}
