//! Files of an incremental backup that hold only some pages of a relation's file ([`pgdrill_ondisk::incremental`]).

use pgdrill_ondisk::incremental::{PREFIX, Prefix};

use crate::again::again;

/// By what such a file begins (`INCREMENTAL_MAGIC`, `src/include/backup/basebackup_incremental.h`).
const MAGIC: u32 = 0xD3AE_1F0D;

/// Bytes of a page, and how many of them a file has at most: what a build takes by default, what others may, and what
/// is told where nobody knows.
const LAYOUTS: [(u32, u32); 6] =
    [(8192, 131_072), (1024, 1_048_576), (32_768, 32_768), (8192, u32::MAX), (8192, 0), (0, 131_072)];

/// An `INCREMENTAL.*` file: bytes of any length. `make_incremental_rfile`,
/// `src/bin/pg_combinebackup/reconstruct.c`.
///
/// # Panics
///
/// Where more blocks are told than the bytes hold, they do not ascend, a file is shorter than its header, or what was
/// read and is written again is read differently.
pub fn incremental_file(bytes: &[u8]) {
    let mended = mended(bytes);
    for (block_size, blocks_per_file) in LAYOUTS {
        check(bytes, block_size, blocks_per_file);
        check(&mended, block_size, blocks_per_file);
    }
}

/// The file with its magic number, as many blocks as there is room for, and these in order.
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    let Some(count) = bytes.get(4..8) else { return mended };
    let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]) as usize;
    let count = count.min(bytes.len().saturating_sub(PREFIX) / 4);
    mended[..4].copy_from_slice(&MAGIC.to_le_bytes());
    mended[4..8].copy_from_slice(&(count as u32).to_le_bytes());
    let (places, _) = mended.get_mut(PREFIX..).unwrap_or_default().as_chunks_mut::<4>();
    let mut numbers: Vec<u32> =
        places[..count].iter().map(|four| u32::from_le_bytes(*four) % 131_072).collect();
    numbers.sort_unstable();
    for (place, number) in places.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    mended
}

fn check(bytes: &[u8], block_size: u32, blocks_per_file: u32) {
    let read = again(|| Prefix::read(bytes, block_size, blocks_per_file));
    let first = &bytes[..bytes.len().min(PREFIX)];
    assert_eq!(Prefix::read(first, block_size, blocks_per_file), read, "something behind it counts");
    let Ok(prefix) = read else { return };
    assert!(prefix.blocks <= blocks_per_file && prefix.truncated_to <= blocks_per_file);
    assert_eq!(prefix.block_size, block_size);
    assert!(prefix.unpadded() <= prefix.header() && prefix.header() <= prefix.file());
    let pages = u64::from(prefix.blocks) * u64::from(block_size);
    assert_eq!(prefix.file() - prefix.header(), pages);
    assert!(prefix.header() - prefix.unpadded() < u64::from(block_size).max(1));
    let numbers = match again(|| prefix.numbers(bytes)) {
        Ok(numbers) => numbers,
        Err(error) => {
            assert!(!error.what.is_empty());
            return;
        }
    };
    assert_eq!(numbers.len(), prefix.blocks as usize);
    assert!(prefix.unpadded() <= bytes.len() as u64, "more numbers than there are");
    assert!(numbers.is_sorted_by(|before, after| before < after));
    assert!(numbers.last().is_none_or(|last| *last < blocks_per_file));
    let written: Vec<u8> = [MAGIC, prefix.blocks, prefix.truncated_to]
        .iter()
        .chain(&numbers)
        .flat_map(|number| number.to_le_bytes())
        .collect();
    assert_eq!(written, bytes[..written.len()], "not what it was made of");
    assert_eq!(prefix.numbers(&written), Ok(numbers));
}
