//! What a WAL archive holds, so that a drill can show that it changed nothing in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Unreadable;

/// The files of an archive, by name.
pub type Snapshot = BTreeMap<String, Entry>;

/// One file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// Kind and access rights (`st_mode`).
    pub mode: u32,
    /// Time of the last change of its content, nanoseconds since 1970.
    pub modified_ns: i128,
    /// Time of the last change of content or attributes, nanoseconds since 1970. The kernel sets it, and lets nobody
    /// set it back.
    pub changed_ns: i128,
    /// Inode: another one means that the file was replaced.
    pub inode: u64,
    /// CRC-32C of the content.
    pub crc32c: u32,
}

/// Takes down what is in the archive `directory` and below it, each file by its path from there. Of a directory only its access
/// rights count, since its times change with what is added to it; one that may not be looked into is itself all that is taken down.
///
/// # Errors
///
/// A directory or file that cannot be read.
pub fn snapshot(directory: &Path, known: &Snapshot) -> Result<Snapshot, Unreadable> {
    let mut files = Snapshot::new();
    below(directory, "", known, &mut files)?;
    Ok(files)
}

fn below(directory: &Path, at: &str, known: &Snapshot, files: &mut Snapshot) -> Result<(), Unreadable> {
    let prefixed = |name: &str| format!("{at}{name}");
    let known_here: Snapshot = known
        .iter()
        .filter_map(|(path, entry)| Some((path.strip_prefix(at)?.to_owned(), *entry)))
        .filter(|(name, _)| !name.contains('/'))
        .collect();
    for (name, entry) in snapshot_of_directory(directory, &known_here)? {
        let path = directory.join(&name);
        let is_directory = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        if !is_directory || fs::read_dir(&path).is_err() {
            files.insert(prefixed(&name), entry);
            continue;
        }
        let only_rights = Entry { size: 0, modified_ns: 0, changed_ns: 0, ..entry };
        files.insert(prefixed(&name), only_rights);
        below(&path, &format!("{}/", prefixed(&name)), known, files)?;
    }
    Ok(())
}

/// Takes down what is in `directory` itself, and not what is below it. A file whose size, times and inode are
/// still those of `known` is not read again: no write leaves them as they were. A file that goes away while the
/// archive is read is not in it: a server that still archives removes its half-written files under our eyes.
///
/// # Errors
///
/// A directory or file that cannot be read.
pub fn snapshot_of_directory(directory: &Path, known: &Snapshot) -> Result<Snapshot, Unreadable> {
    let mut files = Snapshot::new();
    let entries = fs::read_dir(directory).map_err(|error| Unreadable::new(directory, error.to_string()))?;
    for entry in entries {
        let path = entry.map_err(|error| Unreadable::new(directory, error.to_string()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match look(&path, known.get(&name)) {
            Ok(entry) => _ = files.insert(name, entry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Unreadable::new(&path, error.to_string())),
        }
    }
    Ok(files)
}

fn look(path: &Path, known: Option<&Entry>) -> io::Result<Entry> {
    let metadata = fs::symlink_metadata(path)?;
    let entry = Entry {
        size: metadata.len(),
        mode: metadata.mode(),
        modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        changed_ns: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        inode: metadata.ino(),
        crc32c: 0,
    };
    let crc32c = match known.filter(|known| Entry { crc32c: 0, ..**known } == entry) {
        Some(same) => same.crc32c,
        None if metadata.is_file() => checksum(path)?,
        None => 0,
    };
    Ok(Entry { crc32c, ..entry })
}

/// What changed between two snapshots, one sentence each.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, old) in before {
        let what = match after.get(name) {
            None => "it is gone".to_owned(),
            Some(new) if new.crc32c != old.crc32c => "its content changed".to_owned(),
            Some(new) if new.inode != old.inode => "it was replaced by a file of the same content".to_owned(),
            Some(new) if new != old => "its times or attributes changed".to_owned(),
            Some(_) => continue,
        };
        found.push((name.clone(), what));
    }
    let added = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(added.map(|name| (name.clone(), "it was added".to_owned())));
    found
}

/// CRC-32C of a file's content. Every change shows in a file's times; this only tells a changed content from a touched
/// file.
fn checksum(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut sum = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum),
            read => sum = crc32c::crc32c_append(sum, &buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_shows() {
        let archive = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(archive.path().join(name), text).unwrap();
        for name in ["same", "gone", "changed", "replaced", "touched"] {
            write(name, "content");
        }
        let before = snapshot(archive.path(), &Snapshot::new()).unwrap();
        fs::remove_file(archive.path().join("gone")).unwrap();
        write("changed", "CONTENT");
        write("fresh", "content");
        fs::rename(archive.path().join("fresh"), archive.path().join("replaced")).unwrap();
        write("added", "");
        File::options()
            .write(true)
            .open(archive.path().join("touched"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        let differences = differences(&before, &snapshot(archive.path(), &before).unwrap());
        let expected = [
            ("changed", "its content changed"),
            ("gone", "it is gone"),
            ("replaced", "it was replaced by a file of the same content"),
            ("touched", "its times or attributes changed"),
            ("added", "it was added"),
        ];
        assert_eq!(differences, expected.map(|(name, what)| (name.to_owned(), what.to_owned())));
    }

    #[test]
    fn a_file_that_goes_away_while_the_archive_is_read_is_no_error() {
        let archive = tempfile::tempdir().unwrap();
        let directory = archive.path().to_owned();
        let (stop, stopped) = std::sync::mpsc::channel();
        let coming_and_going = std::thread::spawn(move || {
            while stopped.try_recv().is_err() {
                for n in 0..50 {
                    fs::write(directory.join(format!(".part{n}")), "half").unwrap();
                }
                for n in 0..50 {
                    fs::remove_file(directory.join(format!(".part{n}"))).unwrap();
                }
            }
        });
        fs::write(archive.path().join("segment"), "content").unwrap();
        for _ in 0..200 {
            assert!(snapshot(archive.path(), &Snapshot::new()).unwrap().contains_key("segment"));
        }
        stop.send(()).unwrap();
        coming_and_going.join().unwrap();
    }

    #[test]
    fn an_archive_that_is_not_there_is_told_by_its_path() {
        let error = snapshot(Path::new("/nonexistent/archive"), &Snapshot::new()).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/archive: No such file or directory (os error 2)");
    }

    /// pgBackRest sorts segments into directories; that another one is added there changes none of the others.
    #[test]
    fn what_lies_in_directories_shows_by_its_path() {
        let archive = tempfile::tempdir().unwrap();
        let directory = archive.path().join("15-1/0000000100000000");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("one"), "1").unwrap();
        let before = snapshot(archive.path(), &Snapshot::new()).unwrap();
        fs::write(directory.join("two"), "2").unwrap();
        let added = differences(&before, &snapshot(archive.path(), &before).unwrap());
        assert_eq!(added, [("15-1/0000000100000000/two".to_owned(), "it was added".to_owned())]);
        fs::write(directory.join("one"), "another").unwrap();
        let changed = differences(&before, &snapshot(archive.path(), &before).unwrap());
        assert_eq!(changed[0], ("15-1/0000000100000000/one".to_owned(), "its content changed".to_owned()));
    }
}
