//! Changing a page on disk and making its checksum right again (`PageSetChecksumInplace`,
//! `src/backend/storage/page/bufpage.c`).

use pgdrill_ondisk::page::checksum;

/// Bytes of a page, in every build that is not made with another on purpose.
pub(super) const PAGE: usize = 8192;

/// Bytes of a page header before the line pointers.
const HEADER: usize = 24;

/// Bytes of a line pointer (`ItemIdData`, `src/include/storage/itemid.h`).
const POINTER: usize = 4;

/// Gives a page the checksum of its content, where it has one.
pub(super) fn seal(page: &mut [u8], block: u32) {
    if page[8..10] != [0, 0] {
        let sum = checksum(page, block);
        page[8..10].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Where the line pointers of a page are.
pub(super) fn pointers(page: &[u8]) -> Vec<std::ops::Range<usize>> {
    let lower = usize::from(u16::from_le_bytes([page[12], page[13]]));
    (HEADER..lower.min(page.len())).step_by(POINTER).map(|at| at..at + POINTER).collect()
}

/// Where the item of a line pointer is: 15 bits of offset, 2 of flags, 15 of length.
pub(super) fn item(pointer: &[u8]) -> std::ops::Range<usize> {
    let bits = u32::from_le_bytes([pointer[0], pointer[1], pointer[2], pointer[3]]);
    let (offset, length) = ((bits & 0x7FFF) as usize, (bits >> 17) as usize);
    offset..offset + length
}
