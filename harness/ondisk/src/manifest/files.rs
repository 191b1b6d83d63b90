//! The files that a manifest lists, kept small: a backup can have a million of them.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::{Algorithm, Checksum};

/// How many files are indexed together.
const TOGETHER: usize = 64;

/// The files of a manifest, in its order, each path once.
///
/// Paths and checksums lie one behind the other in one piece of memory; a file takes 32 bytes more than they do. The
/// hash by which a path is found is seeded by chance, so that nobody can write a manifest whose paths all collide.
#[derive(Clone, Default)]
pub struct Files {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    by_path: HashTable<u32>,
    seed: RandomState,
    bytes: u64,
}

/// A file's path begins at `at` in the arena, and its checksum where the path ends.
#[derive(Clone, Copy)]
struct Entry {
    size: u64,
    at: u32,
    path: u32,
    checksum: u32,
    algorithm: Option<Algorithm>,
}

/// One file of a manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Where it lies below the data directory. Any bytes but zero.
    pub path: &'a [u8],
    /// Its size in bytes.
    pub size: u64,
    /// What its content must give, unless the backup was made without checksums.
    pub checksum: Option<Checksum<'a>>,
}

impl Files {
    /// For about so many files.
    pub(super) fn with_capacity(files: usize) -> Self {
        Self {
            entries: Vec::with_capacity(files),
            by_path: HashTable::with_capacity(files),
            ..Self::default()
        }
    }

    /// Adds a file, which is found once it is indexed. All paths and checksums together are not to be longer than
    /// [`u32::MAX`].
    pub(super) fn add(&mut self, file: File<'_>) {
        let checksum = file.checksum.map_or(&[][..], |checksum| checksum.bytes);
        self.entries.push(Entry {
            size: file.size,
            at: self.arena.len() as u32,
            path: file.path.len() as u32,
            checksum: checksum.len() as u32,
            algorithm: file.checksum.map(|checksum| checksum.algorithm),
        });
        self.arena.extend_from_slice(file.path);
        self.arena.extend_from_slice(checksum);
        self.bytes = self.bytes.saturating_add(file.size);
    }

    /// Whether so many files wait to be indexed that it is worth it. Each of them needs memory that is far from that
    /// of the others, and the processor can wait for many at once.
    pub(super) fn is_index_due(&self) -> bool {
        self.entries.len() - self.by_path.len() >= TOGETHER
    }

    /// Indexes the files that are not yet. Gives the first of them whose path was there already, and then goes no
    /// further.
    pub(super) fn index(&mut self) -> Option<File<'_>> {
        let path_of = |index: u32| {
            let entry = &self.entries[index as usize];
            &self.arena[entry.at as usize..][..entry.path as usize]
        };
        let new = self.by_path.len() as u32..self.entries.len() as u32;
        let hashes: Vec<u64> = new.clone().map(|index| self.seed.hash_one(path_of(index))).collect();
        for (index, hash) in new.zip(hashes) {
            let same = |other: &u32| path_of(*other) == path_of(index);
            match self.by_path.entry(hash, same, |other| self.seed.hash_one(path_of(*other))) {
                Slot::Vacant(slot) => slot.insert(index),
                Slot::Occupied(_) => return self.get(index as usize),
            };
        }
        None
    }

    /// Gives back what was set aside for more files.
    pub(super) fn shrink(&mut self) {
        self.arena.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sum of their sizes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file of this number, counted from 0 in the order of the manifest.
    pub fn get(&self, index: usize) -> Option<File<'_>> {
        self.entries.get(index).map(|entry| self.file(entry))
    }

    /// All files, in the order of the manifest.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = File<'_>> {
        self.entries.iter().map(|entry| self.file(entry))
    }

    /// The number of the file with this path.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        let same = |index: &u32| self.get(*index as usize).is_some_and(|file| file.path == path);
        self.by_path.find(self.seed.hash_one(path), same).map(|index| *index as usize)
    }

    fn file(&self, entry: &Entry) -> File<'_> {
        let (path, rest) = self.arena[entry.at as usize..].split_at(entry.path as usize);
        let bytes = &rest[..entry.checksum as usize];
        let checksum = entry.algorithm.map(|algorithm| Checksum { algorithm, bytes });
        File { path, size: entry.size, checksum }
    }
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Files {}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path.escape_ascii().to_string())
            .field("size", &self.size)
            .field("checksum", &self.checksum)
            .finish()
    }
}
