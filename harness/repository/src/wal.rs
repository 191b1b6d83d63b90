//! Files of WAL where a tool keeps them, by the names that PostgreSQL asks for.

use std::path::PathBuf;

use pgdrill_backup::parts::Packed;
use pgdrill_ondisk::segment::{is_history, is_segment};

use crate::barman;
use crate::files::{Kind as EntryKind, Tree, Trouble};
use crate::found::{WalLayout, WalPlace};
use crate::not_a_backup::NotABackup;

/// Digits of the SHA-1 that pgBackRest puts into a name.
const SHA1: usize = 40;

/// With what the names of segments end that tools have packed.
const PACKED: [&str; 9] = ["", ".gz", ".lz4", ".zst", ".bz2", ".xz", ".lzma", ".lzo", ".br"];

/// A file of WAL that a tool keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalFile {
    /// The name by which PostgreSQL asks for it, and behind it the ending by which it is told how the file is packed.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl WalPlace {
    /// A place in which no segment was seen yet, and of whom is not known.
    pub(crate) fn new(path: PathBuf, layout: WalLayout) -> Self {
        Self { path, server: None, system_identifier: None, layout, first: None, last: None, segments: 0 }
    }

    /// Takes down segments that were seen in a place.
    pub(crate) fn note<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.segments += 1;
            if self.first.as_deref().is_none_or(|first| name < first) {
                self.first = Some(name.to_owned());
            }
            if self.last.as_deref().is_none_or(|last| name > last) {
                self.last = Some(name.to_owned());
            }
        }
    }

    /// All that recovery could ask for which begins with the segment `from`, or with any, in the order of names. Of Barman it leaves
    /// out what is packed in a way that is not read here.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn files(&self, from: Option<&str>) -> Result<Vec<WalFile>, NotABackup> {
        if self.layout == WalLayout::Barman {
            let files = barman::wal_files(&self.path, from)?.into_iter();
            return Ok(files
                .filter_map(|file| {
                    Some(WalFile { name: format!("{}{}", file.name, ending(file.packed?)), path: file.path })
                })
                .collect());
        }
        let mut found = self.walk().map_err(|trouble| NotABackup::of(&self.path, trouble))?;
        found.retain(|file| is_needed(&file.name, from));
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The files in it, and in the directories into which tools sort them.
    fn walk(&self) -> Result<Vec<WalFile>, Trouble> {
        let tree = Tree::open(&self.path)?;
        let mut found = Vec::new();
        for directory in [vec![String::new()], tree.directories("")?].concat() {
            let entries = tree.entries(&directory)?.into_iter();
            found.extend(entries.filter(|entry| entry.kind != EntryKind::Directory).filter_map(|entry| {
                let (name, ending) = asked_for(&entry.name)?;
                let path = tree.root().join(&directory).join(&entry.name);
                Some(WalFile { name: format!("{name}{ending}"), path })
            }));
        }
        Ok(found)
    }
}

/// Whether recovery that begins with a segment could ask for a file. A later timeline can begin anew with a lower number only in the
/// segment in which it left the one before, so only the number counts.
pub fn is_needed(name: &str, from: Option<&str>) -> bool {
    let number = |name: &str| name.get(8..24).map(str::to_owned);
    match (from.and_then(number), number(name)) {
        (Some(from), Some(number)) if !name.contains("history") => number >= from,
        _ => true,
    }
}

/// The name by which PostgreSQL asks for what a file of WAL holds, and the ending that tells how it is packed: pgBackRest's
/// `NAME-SHA1.gz` holds `NAME`. None for what PostgreSQL never asks for: segments that were not filled, labels of backups,
/// whatever is only being written.
pub fn asked_for(file: &str) -> Option<(&str, &str)> {
    let (stem, ending) = file.find('.').map_or((file, ""), |dot| file.split_at(dot));
    let (name, ending) = match ending.strip_prefix(".history") {
        Some(ending) => (&file[..file.len() - ending.len()], ending),
        None => (
            stem.split_once('-').filter(|(_, hash)| is_sha1(hash)).map_or(stem, |(segment, _)| segment),
            ending,
        ),
    };
    ((is_segment(name) || is_history(name)) && PACKED.contains(&ending)).then_some((name, ending))
}

/// The segment that a file of WAL holds, if it is one.
pub(crate) fn segment_of(file: &str) -> Option<&str> {
    asked_for(file).map(|(name, _)| name).filter(|name| is_segment(name))
}

fn is_sha1(text: &str) -> bool {
    text.len() == SHA1 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn ending(packed: Packed) -> &'static str {
    match packed {
        Packed::No => "",
        Packed::Gzip => ".gz",
        Packed::Lz4 => ".lz4",
        Packed::Zstd => ".zst",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HASH: &str = "64ac2c0d7a0ee7c4d9a1e2f5b5b5b7ed8f3a5c1e";

    #[rstest]
    #[case("000000010000000000000003-HASH.gz", Some(("000000010000000000000003", ".gz")))]
    #[case("000000010000000000000003-HASH", Some(("000000010000000000000003", "")))]
    #[case("000000010000000000000003.lz4", Some(("000000010000000000000003", ".lz4")))]
    #[case("000000010000000000000003", Some(("000000010000000000000003", "")))]
    #[case("00000002.history", Some(("00000002.history", "")))]
    #[case("00000002.history.gz", Some(("00000002.history", ".gz")))]
    #[case("000000010000000000000003.partial-HASH.gz", None)]
    #[case("000000010000000000000003.partial", None)]
    #[case("000000010000000000000003.00000028.backup", None)]
    #[case("000000010000000000000003.tmp", None)]
    #[case("000000010000000000000003.gz.tmp", None)]
    #[case("00000002.history.tmp", None)]
    #[case(".000000010000000000000003.Xw3k2a", None)]
    #[case("000000010000000000000003-short.gz", None)]
    #[case("archive.info", None)]
    fn a_name_is_that_which_postgresql_asks_for(#[case] file: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(asked_for(&file.replace("HASH", HASH)), expected);
    }
}
