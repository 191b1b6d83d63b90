//! The process table, as `/proc` shows it. Where there is no `/proc` it is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A process for as long as the machine is up: ids are used again, an id with a start time is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Clock ticks since the machine started; 0 where that cannot be known.
    pub(crate) start: u64,
}

impl Identity {
    /// This process.
    pub(crate) fn own() -> Self {
        let pid = std::process::id();
        Self { pid, start: Entry::read(pid).map_or(0, |own| own.id.start) }
    }

    /// Whether the process is there and has not ended.
    pub(crate) fn alive(self) -> bool {
        Entry::read(self.pid).is_some_and(|found| found.id == self && !found.over)
    }
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Identity,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// It has ended and its parent has not looked yet; nothing of it is left but this entry.
    over: bool,
}

impl Entry {
    fn read(pid: u32) -> Option<Self> {
        parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The environment that it was started with, `NAME=value` by `NAME=value`. Empty for a PostgreSQL
    /// backend, which writes its title over it.
    fn environment(&self) -> Vec<u8> {
        fs::read(format!("/proc/{}/environ", self.id.pid)).unwrap_or_default()
    }

    /// The value of a variable of the environment that it was started with.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let environment = self.environment();
        let mut pairs = environment.split(|byte| *byte == 0);
        let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Its program and arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let line = fs::read(format!("/proc/{}/cmdline", self.id.pid)).unwrap_or_default();
        let line = line.strip_suffix(&[0]).unwrap_or(&line);
        line.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    /// The file of its program.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.id.pid)).ok()
    }

    /// Its working directory; of one that was removed, where that was.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        /// What the kernel puts behind the path of what was removed (`d_path`, `fs/d_path.c`).
        const REMOVED: &[u8] = b" (deleted)";
        let path = fs::read_link(format!("/proc/{}/cwd", self.id.pid)).ok()?.into_os_string().into_vec();
        let path = path.strip_suffix(REMOVED).map(<[u8]>::to_vec).unwrap_or(path);
        Some(OsString::from_vec(path).into())
    }

    /// Whether it sees the same process ids as we do. One in a container within this host does not.
    pub(crate) fn same_numbers(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/status", self.id.pid)).is_ok_and(|status| {
            let mut lines = status.lines();
            lines
                .find_map(|line| line.strip_prefix("NSpid:"))
                .is_none_or(|ids| ids.split_whitespace().count() == 1)
        })
    }

    /// What it is, for people: without its arguments, which can hold a secret.
    pub(crate) fn describe(&self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.id.pid)).unwrap_or_default();
        format!("process {} ({})", self.id.pid, name.trim())
    }
}

/// The program's name comes second, in parentheses, and may hold anything, parentheses too.
fn parse_stat(pid: u32, stat: &str) -> Option<Entry> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let state = *fields.first()?;
    let number = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    Some(Entry {
        id: Identity { pid, start: number(19)? },
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        over: matches!(state, "Z" | "X" | "x"),
    })
}

/// Whether there is a process table to read.
pub(crate) fn there() -> bool {
    fs::exists("/proc/self/environ").unwrap_or(false)
}

/// The processes of one account that have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    entries: BTreeMap<u32, Entry>,
}

impl Table {
    pub(crate) fn read(uid: u32) -> Self {
        let Ok(proc) = fs::read_dir("/proc") else {
            return Self::default();
        };
        let pids = proc.filter_map(Result::ok).filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            entry.metadata().is_ok_and(|found| found.uid() == uid).then_some(pid)
        });
        let entries = pids.filter_map(Entry::read).filter(|entry| !entry.over);
        Self { entries: entries.map(|entry| (entry.id.pid, entry)).collect() }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn get(&self, pid: u32) -> Option<&Entry> {
        self.entries.get(&pid)
    }

    /// These processes and all that descend from them. A process whose parent has ended descends from nobody.
    pub(crate) fn with_descendants(&self, roots: impl IntoIterator<Item = u32>) -> Vec<Entry> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in self.entries() {
            children.entry(entry.parent).or_default().push(entry.id.pid);
        }
        let mut found = BTreeSet::new();
        let mut open: Vec<u32> = roots.into_iter().collect();
        while let Some(pid) = open.pop() {
            if found.insert(pid) {
                open.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found.into_iter().filter_map(|pid| self.get(pid).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "42 (a) b (c) S 7 40 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 123 45";
        let entry = parse_stat(42, stat).unwrap();
        let expected = Entry { id: Identity { pid: 42, start: 987_654 }, parent: 7, group: 40, over: false };
        assert_eq!(entry, expected);
        assert!(parse_stat(42, "42 (a) S 7").is_none());
    }

    #[test]
    fn descendants_are_found_over_generations() {
        let entry =
            |pid, parent| (pid, Entry { id: Identity { pid, start: 1 }, parent, group: 1, over: false });
        let table = Table { entries: [entry(2, 1), entry(3, 2), entry(4, 3), entry(5, 1)].into() };
        let found: Vec<_> = table.with_descendants([2]).iter().map(|entry| entry.id.pid).collect();
        assert_eq!(found, [2, 3, 4]);
    }

    /// Backends of a killed postmaster are known by it, also when somebody has removed it under their feet.
    #[test]
    fn a_directory_that_was_removed_is_still_told() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().canonicalize().unwrap().join("primary");
        fs::create_dir(&directory).unwrap();
        let mut sleeper =
            std::process::Command::new("sleep").arg("60").current_dir(&directory).spawn().unwrap();
        let id = Identity { pid: sleeper.id(), start: 0 };
        let entry = Entry { id, parent: 1, group: 1, over: false };
        let before = entry.directory();
        fs::remove_dir(&directory).unwrap();
        let after = entry.directory();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert_eq!((before.as_ref(), after.as_ref()), (Some(&directory), Some(&directory)));
    }

    #[test]
    fn this_process_is_alive_and_an_impostor_is_not() {
        let own = Identity::own();
        assert!(own.alive());
        assert!(!Identity { start: own.start + 1, ..own }.alive());
    }
}
