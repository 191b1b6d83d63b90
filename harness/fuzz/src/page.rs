//! Data pages ([`pgdrill_ondisk::page`]).

use pgdrill_ondisk::page::{self, Damage};

use crate::again::again;
use crate::chance::Chance;

/// Where the checksum is (`pd_checksum`, `src/include/storage/bufpage.h`), two bytes.
const CHECKSUM: std::ops::Range<usize> = 8..10;

/// A page: bytes of any length, of which the first are looked at as a page of each size that a cluster can have.
/// `PageIsVerified`, `src/backend/storage/page/bufpage.c`.
///
/// # Panics
///
/// Where a page that is taken cannot be, a changed bit is not seen, or the checksum depends on where it is stored.
pub fn page(bytes: &[u8]) {
    let declared = again(|| page::declared_size(bytes));
    assert!(declared.is_none_or(|size| size.is_power_of_two() && (1 << 10..=1 << 15).contains(&size)));
    let mut chance = Chance::of(bytes);
    let block = chance.below(usize::MAX) as u32;
    for size in (10..=15).map(|power| 1 << power) {
        let Some(page) = bytes.get(..size) else { return };
        check(page, block, &mut chance);
        let mended = mended(page, block);
        assert_eq!(page::checksum(&mended, block), page::checksum(page, block), "it depends on itself");
        let verified = page::verify(&mended, block);
        assert!(!matches!(verified, Err(Damage::Checksum { .. })), "{verified:?}");
        assert_eq!(verified, page::verify_header(&mended), "with a good checksum only the header counts");
        check(&mended, block, &mut chance);
    }
}

/// The page with the checksum that it should have.
pub fn mended(page: &[u8], block: u32) -> Vec<u8> {
    let mut mended = page.to_vec();
    mended[CHECKSUM].copy_from_slice(&page::checksum(page, block).to_le_bytes());
    mended
}

fn check(page: &[u8], block: u32, chance: &mut Chance) {
    let verified = again(|| page::verify(page, block));
    let header = again(|| page::verify_header(page));
    let high = u32::from_le_bytes([page[0], page[1], page[2], page[3]]);
    assert_eq!(page::lsn(page) >> 32, u64::from(high));
    if let Err(damage) = verified {
        assert!(!damage.to_string().is_empty());
        return;
    }
    assert_eq!(header, Ok(()), "what is good with its checksum is so without it");
    if page.iter().all(|byte| *byte == 0) {
        return;
    }
    assert_eq!(page::declared_size(page), Some(page.len()).filter(|size| *size <= 1 << 15));
    let half = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
    let (lower, upper, special) = (half(12), half(14), half(16));
    assert!(24 <= lower && lower <= upper && upper <= special && special <= page.len());
    let mut flipped = page.to_vec();
    let at = chance.below(page.len());
    flipped[at] ^= 1 << chance.below(8);
    // Two contents in 65535 share a checksum.
    let collides = page::checksum(&flipped, block) == page::checksum(page, block) && !CHECKSUM.contains(&at);
    assert!(collides || page::verify(&flipped, block).is_err(), "a changed bit in byte {at} is not seen");
}
