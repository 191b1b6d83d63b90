//! The chain of the records in an evidence directory: a line for each, in the order in which they were sealed, with the hash of
//! its file and a link that rests on all lines before. So a record that was changed, taken away, put in or put elsewhere is found;
//! who notes the last link down somewhere else finds also what was cut off behind it.
//!
//! A line is `LINK SHA256 NAME`, where `SHA256` is that of the file, and `LINK` that of the link before (64 zeros at the first),
//! a line break, `SHA256 NAME`, and a line break. Other tools can check it with `sha256sum` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What the first link rests on.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The file of the chain of a directory.
pub fn path(directory: &Path) -> PathBuf {
    directory.join("chain.txt")
}

/// The lock on the chain of a directory: as long as it lives, nobody else puts a record there or signs what is there.
#[derive(Debug)]
pub struct Lock {
    directory: PathBuf,
    file: File,
}

impl Lock {
    /// Waits for the chain of a directory; none where it has no chain.
    ///
    /// # Errors
    ///
    /// A chain that may not be written.
    pub fn wait(directory: &Path) -> io::Result<Option<Self>> {
        match OpenOptions::new().read(true).append(true).open(path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Self::on(directory, opened?).map(Some),
        }
    }

    /// The same, and makes the chain where there is none.
    pub(crate) fn begin(directory: &Path) -> io::Result<Self> {
        Self::on(directory, OpenOptions::new().create(true).read(true).append(true).open(path(directory))?)
    }

    fn on(directory: &Path, file: File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self { directory: directory.to_owned(), file })
    }

    /// Appends a record that lies in the directory. Records from before there was a chain come first, in the order of their
    /// names.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or written.
    pub(crate) fn append(&mut self, name: &str, record: &[u8]) -> io::Result<()> {
        let mut text = String::new();
        self.file.read_to_string(&mut text)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // Whoever wrote that died; its record is in no chain, and that is told.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            text.truncate(whole);
            self.file.set_len(whole as u64)?;
            self.file.seek(io::SeekFrom::End(0))?;
        }
        let sha256 = hash(record);
        // Whoever began the chain meanwhile has found it there.
        if text.lines().any(|line| line.ends_with(&format!(" {sha256} {name}"))) {
            return Ok(());
        }
        let mut link =
            text.lines().last().and_then(|line| line.split(' ').next()).unwrap_or(NOTHING).to_owned();
        let mut lines = String::new();
        if text.is_empty() {
            for older in records(&self.directory)?.into_iter().filter(|older| older != name) {
                let hash = hash(&fs::read(self.directory.join(&older))?);
                lines.push_str(&line(&mut link, &hash, &older));
            }
        }
        lines.push_str(&line(&mut link, &sha256, name));
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_all()
    }

    /// Holds the records against the chain, as [`walk`] does.
    ///
    /// # Errors
    ///
    /// The directory, or its chain, cannot be read.
    pub fn walk(&self, each: &mut dyn FnMut(&Entry, &[u8])) -> io::Result<Checked> {
        examine(&self.directory, each)
    }

    /// Writes a file about the chain beside it, whole or not at all; it may be read by whoever may read the chain.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let part = self.directory.join(format!(".{name}.part"));
        let mut file = File::create(&part)?;
        file.write_all(content)?;
        file.set_permissions(self.file.metadata()?.permissions())?;
        file.sync_all()?;
        fs::rename(&part, self.directory.join(name))?;
        File::open(&self.directory)?.sync_all()
    }
}

/// Writes the chain of a directory that has none; the records lie in it already.
///
/// # Errors
///
/// There is a chain, or it cannot be written.
pub fn write(directory: &Path, entries: &[Entry]) -> io::Result<()> {
    let mut link = NOTHING.to_owned();
    let lines: String = entries.iter().map(|entry| line(&mut link, &entry.sha256, &entry.name)).collect();
    let mut file = File::create_new(path(directory))?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()
}

/// The next line; `link` is then its link.
fn line(link: &mut String, sha256: &str, name: &str) -> String {
    *link = hash(format!("{link}\n{sha256} {name}\n").as_bytes());
    format!("{link} {sha256} {name}\n")
}

/// A record, as the chain names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of its file.
    pub name: String,
    /// The SHA-256 of its file.
    pub sha256: String,
}

/// What a chain says of its directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many records are in it.
    pub records: u64,
    /// Its last link; none where it is empty.
    pub head: Option<String>,
    /// What is wrong, each with the name of a file.
    pub wrong: Vec<String>,
    /// The chain itself.
    pub chain: Vec<u8>,
    /// The SHA-256 of each record that is there, whatever the chain says, by its name.
    pub files: BTreeMap<String, String>,
}

/// Holds the records of a directory against its chain.
///
/// # Errors
///
/// The directory, or its chain, cannot be read.
pub fn check(directory: &Path) -> io::Result<Checked> {
    walk(directory, &mut |_, _| {})
}

/// The same, and shows each record that is what the chain says, in the order of their names.
///
/// # Errors
///
/// The directory, or its chain, cannot be read.
pub fn walk(directory: &Path, each: &mut dyn FnMut(&Entry, &[u8])) -> io::Result<Checked> {
    // A record that is being put there is seen with its line or not at all. Where a chain cannot be locked, nobody of ours
    // can append to it either.
    let chain = File::open(path(directory));
    let _locked = chain.as_ref().map(File::lock_shared);
    examine(directory, each)
}

fn examine(directory: &Path, each: &mut dyn FnMut(&Entry, &[u8])) -> io::Result<Checked> {
    let chain = path(directory);
    let bytes = match fs::read(&chain) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let mut checked = Checked::default();
    let mut link = NOTHING.to_owned();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for (number, written) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let number = number + 1;
        let mut parts = written.splitn(3, ' ');
        let (Some(said), Some(sha256), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            checked.wrong.push(format!("{}: line {number} is none of a chain", chain.display()));
            continue;
        };
        let expected = line(&mut link, sha256, name);
        if expected.trim_end() != written {
            let what =
                "does not follow from the line before it: a line was changed, taken away or put elsewhere";
            checked.wrong.push(format!("{}: line {number}, of {name}, {what}", chain.display()));
            // What follows is held against what is there.
            said.clone_into(&mut link);
        }
        checked.records += 1;
        checked.head = Some(said.to_owned());
        if name.contains('/') {
            let what = "leads out of the directory; no drill leaves such a record";
            checked.wrong.push(format!("{}: line {number}, of {name}, {what}", chain.display()));
        } else if named.insert(name.to_owned(), sha256.to_owned()).is_some() {
            let what = "names a record that an earlier line names; no drill writes over a record";
            checked.wrong.push(format!("{}: line {number}, of {name}, {what}", chain.display()));
        }
    }
    for (name, sha256) in &named {
        let file = directory.join(name);
        match fs::read(&file) {
            Ok(bytes) => {
                let entry = Entry { name: name.clone(), sha256: hash(&bytes) };
                if entry.sha256 == *sha256 {
                    each(&entry, &bytes);
                } else {
                    checked.wrong.push(format!("{}: it was changed since it was sealed", file.display()));
                }
                checked.files.insert(entry.name, entry.sha256);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                checked.wrong.push(format!("{}: it is gone", file.display()));
            }
            Err(error) => checked.wrong.push(format!("{}: {error}", file.display())),
        }
    }
    let known: BTreeSet<String> = named.into_keys().collect();
    for name in records(directory)?.into_iter().filter(|name| !known.contains(name)) {
        let file = directory.join(&name);
        checked
            .wrong
            .push(format!("{}: it is in no chain; no drill of this directory left it", file.display()));
        if let Ok(bytes) = fs::read(&file) {
            checked.files.insert(name, hash(&bytes));
        }
    }
    checked.chain = bytes;
    Ok(checked)
}

/// The names of the records in a directory, in order.
///
/// # Errors
///
/// A directory that cannot be read.
pub fn records(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;

    /// A directory with so many records in its chain.
    fn chained(count: usize) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..count {
            put(directory.path(), &format!("r{number}.json"), &format!("{{\"number\": {number}}}\n"));
        }
        directory
    }

    fn put(directory: &Path, name: &str, content: &str) {
        fs::write(directory.join(name), content).unwrap();
        append(directory, name, content);
    }

    fn append(directory: &Path, name: &str, content: &str) {
        Lock::begin(directory).unwrap().append(name, content.as_bytes()).unwrap();
    }

    fn wrong(directory: &Path) -> Vec<String> {
        check(directory).unwrap().wrong
    }

    #[test]
    fn a_chain_that_nobody_touched_is_whole_and_its_head_is_its_last_link() {
        let directory = chained(3);
        let checked = check(directory.path()).unwrap();
        assert_eq!((checked.records, checked.wrong), (3, vec![]));
        let text = fs::read_to_string(path(directory.path())).unwrap();
        assert_eq!(checked.head.as_deref(), text.lines().last().unwrap().split(' ').next());
        assert_eq!(check(chained(0).path()).unwrap(), Checked::default());
    }

    #[test]
    fn any_changed_byte_of_a_record_is_found_also_one_that_says_nothing() {
        for change in ["{\"number\": 2}\n", "{\"number\":1}\n", "{\"number\": 1}"] {
            let directory = chained(3);
            fs::write(directory.path().join("r1.json"), change).unwrap();
            let [one] = wrong(directory.path()).try_into().unwrap();
            assert!(one.ends_with("r1.json: it was changed since it was sealed"), "{one}");
        }
    }

    #[test]
    fn a_record_that_is_gone_or_was_put_in_is_named() {
        let directory = chained(3);
        fs::rename(directory.path().join("r1.json"), directory.path().join("r9.json")).unwrap();
        let [gone, new] = wrong(directory.path()).try_into().unwrap();
        assert!(gone.ends_with("r1.json: it is gone"), "{gone}");
        assert!(new.contains("r9.json: it is in no chain"), "{new}");
    }

    #[test]
    fn lines_that_are_taken_away_changed_or_put_elsewhere_are_found() {
        let edits: [fn(&mut Vec<String>); 3] = [
            |lines| {
                lines.remove(1);
            },
            |lines| lines.swap(1, 2),
            |lines| lines[1] = lines[1].replace("r1.json", "r2.json"),
        ];
        for edit in edits {
            let directory = chained(4);
            let text = fs::read_to_string(path(directory.path())).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            edit(&mut lines);
            fs::write(path(directory.path()), lines.join("\n") + "\n").unwrap();
            let found = wrong(directory.path());
            assert!(
                found.iter().any(|one| one.contains("does not follow from the line before it")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_was_cut_off_at_the_end_shows_by_another_head() {
        let directory = chained(3);
        let head = check(directory.path()).unwrap().head;
        let text = fs::read_to_string(path(directory.path())).unwrap();
        let kept: Vec<&str> = text.lines().take(2).collect();
        fs::write(path(directory.path()), kept.join("\n") + "\n").unwrap();
        fs::remove_file(directory.path().join("r2.json")).unwrap();
        let checked = check(directory.path()).unwrap();
        assert_eq!(checked.wrong, Vec::<String>::new());
        assert_ne!(checked.head, head);
    }

    #[test]
    fn a_byte_that_is_no_text_is_told_like_any_other() {
        let directory = chained(2);
        let mut bytes = fs::read(path(directory.path())).unwrap();
        bytes[3] = 0xff;
        fs::write(path(directory.path()), bytes).unwrap();
        assert!(wrong(directory.path())[0].contains("does not follow from the line before it"));
    }

    #[test]
    fn a_line_that_follows_but_names_a_record_again_or_one_elsewhere_is_found() {
        for (name, words) in
            [("r0.json", "that an earlier line names"), ("../r.json", "leads out of the directory")]
        {
            let directory = chained(2);
            append(directory.path(), name, "other");
            let found = wrong(directory.path());
            assert!(found.iter().any(|one| one.contains(words)), "{found:?}");
        }
    }

    #[test]
    fn a_chain_that_is_written_at_once_is_the_one_that_is_appended_to() {
        let one_by_one = chained(3);
        let mut entries = Vec::new();
        let checked = walk(one_by_one.path(), &mut |entry, _| entries.push(entry.clone())).unwrap();
        let at_once = chained(0);
        write(at_once.path(), &entries).unwrap();
        assert_eq!(fs::read(path(at_once.path())).unwrap(), checked.chain);
        assert!(write(at_once.path(), &entries).is_err(), "over another");
    }

    #[test]
    fn whoever_looks_waits_for_whoever_puts_a_record_there() {
        let directory = chained(1);
        let mut lock = Lock::wait(directory.path()).unwrap().unwrap();
        fs::write(directory.path().join("r1.json"), "{}").unwrap();
        thread::scope(|scope| {
            let looking = scope.spawn(|| check(directory.path()).unwrap());
            thread::sleep(std::time::Duration::from_millis(50));
            assert!(!looking.is_finished());
            lock.append("r1.json", b"{}").unwrap();
            drop(lock);
            let checked = looking.join().unwrap();
            assert_eq!((checked.records, checked.wrong), (2, vec![]));
        });
        assert!(Lock::wait(chained(0).path()).unwrap().is_none());
    }

    #[test]
    fn records_from_before_there_was_a_chain_come_first() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("old.json"), "{}").unwrap();
        assert!(wrong(directory.path())[0].contains("old.json: it is in no chain"));
        put(directory.path(), "new.json", "[]");
        assert_eq!((check(directory.path()).unwrap().records, wrong(directory.path())), (2, vec![]));
    }

    #[test]
    fn a_record_that_was_found_by_whoever_began_the_chain_is_in_it_once() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("mine.json"), "{}").unwrap();
        put(directory.path(), "other.json", "[]");
        append(directory.path(), "mine.json", "{}");
        assert_eq!((check(directory.path()).unwrap().records, wrong(directory.path())), (2, vec![]));
    }

    #[test]
    fn a_line_that_was_not_written_to_its_end_is_given_up_and_the_chain_goes_on() {
        let directory = chained(2);
        let mut text = fs::read_to_string(path(directory.path())).unwrap();
        text.truncate(text.len() - 5);
        fs::write(path(directory.path()), text).unwrap();
        put(directory.path(), "r2.json", "{}");
        let [one] = wrong(directory.path()).try_into().unwrap();
        assert!(one.contains("r1.json: it is in no chain"), "{one}");
    }

    #[test]
    fn those_who_append_at_the_same_time_stand_in_each_others_line() {
        let directory = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let directory = directory.path();
                scope.spawn(move || {
                    for number in 0..8 {
                        put(directory, &format!("w{writer}-{number}.json"), &format!("{writer} {number}"));
                    }
                });
            }
        });
        let checked = check(directory.path()).unwrap();
        assert_eq!((checked.records, checked.wrong), (32, vec![]));
    }

    /// As the text above says that it can be done.
    #[test]
    fn another_tool_comes_to_the_same_links() {
        let directory = chained(3);
        let script = "link=$(printf '%064d' 0)
while read -r said sha name; do
    [ \"$(sha256sum <\"$name\" | cut -c 1-64)\" = \"$sha\" ] || exit 1
    link=$(printf '%s\\n%s %s\\n' \"$link\" \"$sha\" \"$name\" | sha256sum | cut -c 1-64)
    [ \"$link\" = \"$said\" ] || exit 2
done <chain.txt
printf '%s' \"$link\"";
        let output =
            Command::new("sh").args(["-euc", script]).current_dir(directory.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).ok(), check(directory.path()).unwrap().head);
    }
}
