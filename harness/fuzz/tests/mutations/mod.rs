//! Changes of bytes by chance, such as make a reader stumble: flipped bits, cuts, runs that are taken out, put in or
//! doubled, numbers at the edges of their range, and the beginning of one file with the end of another.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Numbers at which something may turn.
const EDGES: [u64; 14] = [
    0,
    1,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    1 << 32,
    u64::MAX / 2,
    u64::MAX,
];

/// What is put into texts.
const WORDS: [&[u8]; 12] = [
    b"\"",
    b"\\",
    b"\\u0000",
    b"{",
    b"]",
    b"\n",
    b"\r\n",
    b"/",
    b"../",
    b"-1",
    b"18446744073709551616",
    b"\xFF",
];

/// No mutation is longer than the seed and this.
const LONGEST_RUN: usize = 600;

/// A source of mutations that are the same at each run.
pub struct Mutations {
    rng: TestRng,
}

impl Mutations {
    /// From a number.
    pub fn from(seed: u8) -> Self {
        Self { rng: TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]) }
    }

    /// A seed with one to four changes; `other` may lend its end.
    pub fn of(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, other);
        }
        bytes
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.rng.next_u64() % end.max(1) as u64) as usize
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.place(bytes.len());
        let run = self.below(LONGEST_RUN).min(bytes.len() - at);
        match self.below(9) {
            0 => bytes.truncate(at),
            1 => _ = bytes.drain(at..at + run),
            2 => {
                let run = bytes[at..at + run].to_vec();
                _ = bytes.splice(at..at, run);
            }
            3 => {
                let word = WORDS[self.below(WORDS.len())];
                _ = bytes.splice(at..at, word.iter().copied());
            }
            4 => {
                let end = self.place(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[end..]);
            }
            5 => {
                let number = EDGES[self.below(EDGES.len())].to_le_bytes();
                let width = 1 << self.below(4);
                for (byte, instead) in bytes[at..].iter_mut().zip(&number[..width]) {
                    *byte = *instead;
                }
            }
            6 => bytes[at..at + run.min(64)].fill(0),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }

    /// A place in a file of this length: more often near its beginning, where its format is told, or aligned.
    fn place(&mut self, length: usize) -> usize {
        let at = self.below(length + 1);
        match self.below(4) {
            0 => at.min(self.below(64)),
            1 => at / 8 * 8,
            _ => at,
        }
    }
}
