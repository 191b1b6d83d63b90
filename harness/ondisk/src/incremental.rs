//! The header of the files of an incremental backup whose names begin with `INCREMENTAL.` (17 and later): which blocks
//! of a relation's file they hold (`make_incremental_rfile`, `src/bin/pg_combinebackup/reconstruct.c`;
//! `GetIncrementalHeaderSize`, `src/backend/backup/basebackup_incremental.c`).

use crate::Malformed;

const FORMAT: &str = "incremental file";

/// By what such a file begins (`INCREMENTAL_MAGIC`).
const MAGIC: u32 = 0xD3AE_1F0D;

/// Bytes of a header before the numbers of its blocks.
pub const PREFIX: usize = 12;

/// What the first [`PREFIX`] bytes say: how much there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// How many blocks the file holds.
    pub blocks: u32,
    /// How many blocks the whole file had at least: those before it that are not here come from an earlier backup.
    pub truncated_to: u32,
    /// Bytes per page, as was told.
    pub block_size: u32,
    blocks_per_file: u32,
}

impl Prefix {
    /// Reads the first bytes of a file, in a cluster with pages and files of relations of this size. What is wrong with
    /// it is told in the words of `pg_combinebackup` 18.
    ///
    /// # Errors
    ///
    /// What is too short, is no such file, or has more blocks than a file of a relation can have.
    pub fn read(bytes: &[u8], block_size: u32, blocks_per_file: u32) -> Result<Self, Malformed> {
        let Some(prefix) = bytes.first_chunk::<PREFIX>() else {
            let what = format!("{} bytes, at least {PREFIX} are needed", bytes.len());
            return Err(Malformed::new(FORMAT, what));
        };
        let mut numbers = numbers(prefix);
        let mut next = || numbers.next().unwrap_or_default();
        let (magic, blocks, truncated_to) = (next(), next(), next());
        if magic != MAGIC {
            let what = format!("bad incremental magic number (0x{magic:x}, expected 0x{MAGIC:x})");
            return Err(Malformed::new(FORMAT, what));
        }
        for (count, name) in [(blocks, "block count"), (truncated_to, "truncation block length")] {
            if count > blocks_per_file {
                let what = format!("{name} {count} in excess of segment size {blocks_per_file}");
                return Err(Malformed::new(FORMAT, what));
            }
        }
        Ok(Self { blocks, truncated_to, block_size, blocks_per_file })
    }

    /// Bytes of the header up to where the numbers of the blocks end.
    pub fn unpadded(&self) -> u64 {
        PREFIX as u64 + 4 * u64::from(self.blocks)
    }

    /// Bytes of the header: whole pages, unless no block follows.
    pub fn header(&self) -> u64 {
        match self.blocks {
            0 => PREFIX as u64,
            _ => self.unpadded().next_multiple_of(u64::from(self.block_size).max(1)),
        }
    }

    /// Bytes that the file must have.
    pub fn file(&self) -> u64 {
        self.header() + u64::from(self.blocks) * u64::from(self.block_size)
    }

    /// Reads the numbers of the blocks out of the beginning of the file, [`Prefix::unpadded`] bytes at least.
    ///
    /// That they ascend is asked by us: the server sorts them, and `pg_combinebackup` relies on nothing of the kind.
    ///
    /// # Errors
    ///
    /// What is too short, and numbers that do not ascend or lie behind the end of a file of a relation.
    pub fn numbers(&self, bytes: &[u8]) -> Result<Vec<u32>, Malformed> {
        let wanted = self.unpadded();
        let header = usize::try_from(wanted).ok().and_then(|wanted| bytes.get(PREFIX..wanted));
        let Some(header) = header else {
            let what = format!("it ends after {} bytes, within its header of {wanted}", bytes.len());
            return Err(Malformed::new(FORMAT, what));
        };
        let numbers: Vec<u32> = numbers(header).collect();
        if let Some(number) = numbers.iter().find(|number| **number >= self.blocks_per_file) {
            let what = format!("block {number} in excess of segment size {}", self.blocks_per_file);
            return Err(Malformed::new(FORMAT, what));
        }
        if let Some([before, after]) = numbers.array_windows().find(|[before, after]| before >= after) {
            return Err(Malformed::new(FORMAT, format!("block {after} behind block {before}")));
        }
        Ok(numbers)
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn file(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[rstest]
    #[case(0, 12, 12)]
    #[case(1, 8192, 16_384)]
    #[case(2045, 8192, 8192 * 2046)]
    #[case(2046, 16_384, 8192 * 2048)]
    fn the_header_is_padded_when_blocks_follow(#[case] blocks: u32, #[case] header: u64, #[case] all: u64) {
        let prefix = Prefix::read(&file(&[MAGIC, blocks, 7]), 8192, 131_072).unwrap();
        assert_eq!((prefix.truncated_to, prefix.header(), prefix.file()), (7, header, all));
    }

    #[rstest]
    #[case(&[MAGIC, 0], "8 bytes, at least 12 are needed")]
    #[case(&[1, 0, 0], "bad incremental magic number (0x1, expected 0xd3ae1f0d)")]
    #[case(&[MAGIC, 131_073, 0], "block count 131073 in excess of segment size 131072")]
    #[case(&[MAGIC, 0, 131_073], "truncation block length 131073 in excess of segment size 131072")]
    fn what_cannot_be_is_refused(#[case] numbers: &[u32], #[case] what: &str) {
        assert_eq!(Prefix::read(&file(numbers), 8192, 131_072).unwrap_err().what, what);
    }

    #[rstest]
    #[case(&[MAGIC, 2, 9, 4], "it ends after 16 bytes, within its header of 20")]
    #[case(&[MAGIC, 2, 9, 4, 131_072], "block 131072 in excess of segment size 131072")]
    #[case(&[MAGIC, 2, 9, 4, 4], "block 4 behind block 4")]
    #[case(&[MAGIC, 2, 9, 4, 3], "block 3 behind block 4")]
    fn numbers_that_cannot_be_are_refused(#[case] numbers: &[u32], #[case] what: &str) {
        let bytes = file(numbers);
        let prefix = Prefix::read(&bytes, 8192, 131_072).unwrap();
        assert_eq!(prefix.numbers(&bytes).unwrap_err().what, what);
    }
}
