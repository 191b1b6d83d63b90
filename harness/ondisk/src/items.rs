//! What lies where on a page of a table or an index (`src/include/storage/bufpage.h`, `src/include/storage/itemid.h`,
//! `src/include/access/nbtree.h`). Nothing is verified: whatever the bytes are, no range leads out of the page but those of
//! items, which are as their pointers have them.

use std::ops::Range;

/// Bytes of a page, in every build that is not made with another on purpose.
pub const PAGE: usize = 8192;

/// `SizeOfPageHeaderData`
const HEADER: usize = 24;

/// Bytes of a line pointer (`ItemIdData`).
const POINTER: usize = 4;

/// Bytes of what a B-tree keeps at the end of a page (`BTPageOpaqueData`); no other kind of index keeps as many.
const BTREE_OPAQUE: usize = 16;

/// `BTP_LEAF`
const LEAF: u16 = 1;

/// What a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A table, or what else keeps nothing at the end of its pages.
    Heap,
    /// A B-tree.
    BTree,
}

/// A line pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Where on the page it is itself.
    pub at: Range<usize>,
    /// Where it says that its item is.
    pub item: Range<usize>,
    /// Whether the item is one that counts (`LP_NORMAL`).
    pub is_normal: bool,
}

/// What a page belongs to, by what is kept at its end; none for a new page, and for other kinds of indexes.
pub fn kind(page: &[u8]) -> Option<Kind> {
    match PAGE.checked_sub(half(page, 16))? {
        0 => Some(Kind::Heap),
        BTREE_OPAQUE => Some(Kind::BTree),
        _ => None,
    }
}

/// The line pointers of a page, in their order.
pub fn pointers(page: &[u8]) -> Vec<Pointer> {
    let lower = half(page, 12).min(page.len());
    let starts = (HEADER..lower.saturating_sub(POINTER - 1)).step_by(POINTER);
    starts
        .filter_map(|at| {
            let bits = u32::from_le_bytes(page.get(at..at + POINTER)?.try_into().ok()?);
            // 15 bits of offset, 2 of flags, 15 of length.
            let (offset, flags, length) = ((bits & 0x7FFF) as usize, bits >> 15 & 3, (bits >> 17) as usize);
            Some(Pointer { at: at..at + POINTER, item: offset..offset + length, is_normal: flags == 1 })
        })
        .collect()
}

/// Where the items of a page are, all together.
pub fn all_items(page: &[u8]) -> Range<usize> {
    let end = half(page, 16).min(page.len());
    half(page, 14).min(end)..end
}

/// Whether a page of a B-tree is a leaf.
pub fn is_leaf(page: &[u8]) -> bool {
    // Flags are the last but one of the numbers that end the page.
    page.len() >= PAGE && half(page, PAGE - 4) & usize::from(LEAF) != 0
}

fn half(page: &[u8], at: usize) -> usize {
    page.get(at..at + 2).map_or(0, |bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(special: u16) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        for (at, value) in [(12, 32_u16), (14, 8000), (16, special)] {
            page[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        // An item of 40 bytes that counts, and one that does not.
        page[24..28].copy_from_slice(&(8100_u32 | 1 << 15 | 40 << 17).to_le_bytes());
        page[28..32].copy_from_slice(&(8000_u32 | 3 << 15 | 100 << 17).to_le_bytes());
        page
    }

    #[test]
    fn a_page_tells_its_kind_and_where_its_items_are() {
        let heap = page(8192);
        assert_eq!((kind(&heap), all_items(&heap)), (Some(Kind::Heap), 8000..8192));
        let expected = [
            Pointer { at: 24..28, item: 8100..8140, is_normal: true },
            Pointer { at: 28..32, item: 8000..8100, is_normal: false },
        ];
        assert_eq!(pointers(&heap), expected);
        let mut btree = page(8192 - 16);
        assert_eq!((kind(&btree), is_leaf(&btree)), (Some(Kind::BTree), false));
        btree[PAGE - 4] = 1;
        assert!(is_leaf(&btree));
        assert_eq!(kind(&vec![0; PAGE]), None);
    }

    #[test]
    fn whatever_the_bytes_are_nothing_leads_out_of_the_page() {
        for bytes in [vec![], vec![0xFF; 10], vec![0xFF; PAGE], vec![0x7F; 30]] {
            assert!(all_items(&bytes).end <= bytes.len());
            assert!(pointers(&bytes).iter().all(|pointer| pointer.at.end <= bytes.len()));
            kind(&bytes);
            is_leaf(&bytes);
        }
    }
}
