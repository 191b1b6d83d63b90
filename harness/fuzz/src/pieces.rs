//! Bytes that come in pieces of any length, as those of a pipe do.

use std::io::{self, Read};

use crate::chance::Chance;

/// Gives bytes in pieces by chance.
pub struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    /// Bytes of a piece at most.
    most: usize,
    chance: Chance,
}

impl Pieces {
    /// These bytes, never more than `most` of them at once.
    pub fn of(bytes: &[u8], most: usize) -> Self {
        Self { bytes: bytes.to_vec(), at: 0, most: most.max(1), chance: Chance::of(bytes) }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = &self.bytes[self.at..];
        let length = (1 + self.chance.below(self.most)).min(left.len()).min(into.len());
        into[..length].copy_from_slice(&left[..length]);
        self.at += length;
        Ok(length)
    }
}
