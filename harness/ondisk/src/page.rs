//! Data pages: their checksum and the sanity of their header (`src/include/storage/checksum_impl.h`,
//! `src/include/storage/bufpage.h`, `PageIsVerified` in `src/backend/storage/page/bufpage.c`).

use std::fmt;

/// Bytes of a page header before the line pointers.
const HEADER_SIZE: usize = 24;

/// All page flags that exist (`PD_VALID_FLAG_BITS`).
const VALID_FLAGS: u16 = 0x0007;

/// The layout of pages since 8.3 (`PG_PAGE_LAYOUT_VERSION`).
const LAYOUT: u8 = 4;

const LANES: usize = 32;
const FNV_PRIME: u32 = 16_777_619;

/// Where the 32 parallel sums begin (`checksumBaseOffsets`).
const OFFSETS: [u32; LANES] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

/// What is wrong with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Its checksum does not match its content.
    Checksum {
        /// The checksum in its header.
        stored: u16,
        /// The checksum of its content.
        computed: u16,
    },
    /// Its header is not possible.
    Header,
    /// Its header is that of a page of another size or layout.
    Layout {
        /// The size in its header.
        size: u16,
        /// The version of the layout in its header.
        version: u8,
    },
    /// Its header says that it is new, but it is not all zeros.
    NewWithContent,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum { stored, computed } => {
                write!(f, "its checksum is {stored:04x}, and its content gives {computed:04x}")
            }
            Self::Header => f.write_str("its header is not possible"),
            Self::Layout { size, version } => {
                write!(f, "its header says that it has {size} bytes in layout {version}")
            }
            Self::NewWithContent => f.write_str("its header says that it is new, but it is not all zeros"),
        }
    }
}

/// The checksum of a page (`pg_checksum_page`). `page` is a whole page, a multiple of 128 bytes; `block` is its
/// number within the relation, counted over all its files.
///
/// It is made with the widest registers that the processor has, which is what this checksum was chosen for.
pub fn checksum(page: &[u8], block: u32) -> u16 {
    let folded = pulp::Arch::new().dispatch(Fold(page));
    ((folded ^ block) % 65_535 + 1) as u16
}

/// [`fold`], to be done for the processor at hand. (A closure does not do: its call is not inlined, and what is not
/// inlined stays as it is for any processor.)
struct Fold<'a>(&'a [u8]);

impl pulp::WithSimd for Fold<'_> {
    type Output = u32;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> u32 {
        fold(self.0)
    }
}

/// The part of a checksum that does not depend on where the page lies (`pg_checksum_block`).
#[inline(always)]
fn fold(page: &[u8]) -> u32 {
    let mut sums = OFFSETS;
    for (row_number, row) in page.chunks_exact(LANES * 4).enumerate() {
        let mut lanes = [0_u32; LANES];
        for (lane, word) in lanes.iter_mut().zip(row.chunks_exact(4)) {
            let mut four = [0; 4];
            four.copy_from_slice(word);
            *lane = u32::from_le_bytes(four);
        }
        if row_number == 0 {
            // The checksum's own two bytes count as zero.
            lanes[2] &= 0xFFFF_0000;
        }
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum = mix(*sum, lane);
        }
    }
    let mut folded = 0;
    for sum in sums {
        folded ^= mix(mix(sum, 0), 0);
    }
    folded
}

#[inline(always)]
fn mix(sum: u32, value: u32) -> u32 {
    let mixed = sum ^ value;
    mixed.wrapping_mul(FNV_PRIME) ^ (mixed >> 17)
}

/// Gives a page the checksum of its content, where it has one (`PageSetChecksumInplace`).
pub fn seal(page: &mut [u8], block: u32) {
    if page[8..10] != [0, 0] {
        let sum = checksum(page, block);
        page[8..10].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The position behind the WAL record of the latest change of a page (`pd_lsn`); 0 of a new one. `page` is a whole
/// page.
pub fn lsn(page: &[u8]) -> u64 {
    let (words, _) = page.as_chunks::<4>();
    let [high, low] = [0, 1].map(|word| words.get(word).map_or(0, |word| u32::from_le_bytes(*word)));
    u64::from(high) << 32 | u64::from(low)
}

/// The size that the first of these pages says of itself, in bytes; none for a new page, or one that cannot be.
pub fn declared_size(pages: &[u8]) -> Option<usize> {
    let size = usize::from(*pages.get(19)?) << 8;
    (size.is_power_of_two() && (1 << 10..=1 << 15).contains(&size)).then_some(size)
}

/// Verifies a page. A page of zeros is good: the server extends files with them.
///
/// The checksum and what is possible in a header are the server's own (`PageIsVerified`). That the header names the
/// size of the page and layout 4 (`pd_pagesize_version`) is asked by us alone: every page that a server since 8.3 has
/// initialised does.
///
/// # Errors
///
/// What is wrong with it.
pub fn verify(page: &[u8], block: u32) -> Result<(), Damage> {
    let half = |at: usize| u16::from_le_bytes([page[at], page[at + 1]]);
    let upper = half(14);
    if upper == 0 {
        return if page.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Damage::NewWithContent) };
    }
    let (stored, computed) = (half(8), checksum(page, block));
    if stored != computed {
        return Err(Damage::Checksum { stored, computed });
    }
    verify_header(page)
}

/// Verifies only a page's header, of a cluster that has no checksums.
///
/// # Errors
///
/// What is wrong with it.
pub fn verify_header(page: &[u8]) -> Result<(), Damage> {
    let half = |at: usize| u16::from_le_bytes([page[at], page[at + 1]]);
    let upper = half(14);
    if upper == 0 {
        return if page.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Damage::NewWithContent) };
    }
    let (flags, lower, special) = (half(10), usize::from(half(12)), usize::from(half(16)));
    let upper = usize::from(upper);
    let possible = flags & !VALID_FLAGS == 0
        && lower >= HEADER_SIZE
        && lower <= upper
        && upper <= special
        && special <= page.len()
        && special.is_multiple_of(8);
    if !possible {
        return Err(Damage::Header);
    }
    let (size, [version, _]) = (half(18) & 0xFF00, half(18).to_le_bytes());
    let ours = usize::from(size) == page.len() && version == LAYOUT;
    if ours { Ok(()) } else { Err(Damage::Layout { size, version }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Vec<u8> {
        let mut page = vec![0; 8192];
        for (i, byte) in page.iter_mut().enumerate().skip(HEADER_SIZE) {
            *byte = (i % 251) as u8;
        }
        page[12..20].copy_from_slice(&[24, 0, 0, 2, 0, 0x20, 4, 0x20]);
        let sum = checksum(&page, 7).to_le_bytes();
        page[8..10].copy_from_slice(&sum);
        page
    }

    #[test]
    fn a_good_page_is_good_at_its_own_place_only() {
        assert_eq!(verify(&page(), 7), Ok(()));
        assert!(matches!(verify(&page(), 8), Err(Damage::Checksum { .. })));
        assert_eq!(verify(&[0; 8192], 7), Ok(()));
    }

    #[test]
    fn every_single_bit_counts() {
        for at in (0..8192).step_by(61) {
            let mut damaged = page();
            damaged[at] ^= 0x10;
            assert!(verify(&damaged, 7).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_header_that_is_not_possible_is_damage_although_its_checksum_matches() {
        let mut damaged = page();
        damaged[12] = 3;
        let sum = checksum(&damaged, 7).to_le_bytes();
        damaged[8..10].copy_from_slice(&sum);
        assert_eq!(verify(&damaged, 7), Err(Damage::Header));
        let mut new = vec![0; 8192];
        new[8000] = 1;
        assert_eq!(verify(&new, 7), Err(Damage::NewWithContent));
    }

    #[test]
    fn a_header_of_another_size_or_layout_is_damage() {
        for (at, instead, size, version) in [(18, 3, 8192, 3), (19, 0x10, 4096, 4)] {
            let mut damaged = page();
            damaged[at] = instead;
            let sum = checksum(&damaged, 7).to_le_bytes();
            damaged[8..10].copy_from_slice(&sum);
            assert_eq!(verify(&damaged, 7), Err(Damage::Layout { size, version }));
        }
    }

    #[test]
    fn the_position_is_stored_with_its_upper_half_first() {
        let mut page = page();
        page[..8].copy_from_slice(&[1, 0, 0, 0, 0x28, 0, 0, 2]);
        assert_eq!(lsn(&page), 0x1_0200_0028);
        assert_eq!(lsn(&[0; 8192]), 0);
    }
}
