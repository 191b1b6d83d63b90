//! Data pages made out of nothing, with checksums, about as compressible as trading data.

use pgdrill_ondisk::page;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Bytes per page (`BLCKSZ`).
pub const PAGE: usize = 8192;

/// Bytes of a page's header (`PageHeaderData`, `src/include/storage/bufpage.h`).
const HEADER: usize = 24;

/// Bytes of a row.
const ROW: usize = 128;

/// This many pages, from block 0 on; `seed` makes them other than others.
pub fn pages(count: usize, seed: u64) -> Vec<u8> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut pages = vec![0; count * PAGE];
    for (block, page) in (0..).zip(pages.chunks_exact_mut(PAGE)) {
        for row in page[HEADER..].chunks_mut(ROW) {
            fill(row, &mut chance);
        }
        // An LSN in front of the backup; the layout; and the checksum last.
        page[..8].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        page[8..HEADER].copy_from_slice(&[0, 0, 0, 0, 24, 0, 24, 0, 0, 0x20, 4, 0x20, 0, 0, 0, 0]);
        let sum = page::checksum(page, block).to_le_bytes();
        page[8..10].copy_from_slice(&sum);
    }
    pages
}

/// Half of a row is numbers that differ, the other half is text and flags that repeat.
fn fill(row: &mut [u8], chance: &mut ChaCha8Rng) {
    let half = row.len() / 2;
    let (numbers, text) = row.split_at_mut(half);
    chance.fill_bytes(numbers);
    let symbols: [&[u8]; 4] = [b"BTC-USD LIMIT ", b"ETH-USD MARKET ", b"SOL-EUR LIMIT ", b"XRP-USD STOP "];
    let symbol = symbols[chance.next_u32() as usize % symbols.len()];
    for (byte, from) in text.iter_mut().zip(symbol.iter().cycle()) {
        *byte = *from;
    }
}
