//! The header of a WAL page (`src/include/access/xlog_internal.h`, `XLogPageHeaderData` and `XLogLongPageHeaderData`).

use super::fields::{u16_at, u32_at, u64_at};

/// Bytes of a short header.
pub const SHORT: usize = 24;

/// Bytes of a long one, with which each segment begins.
pub const LONG: usize = 40;

/// Where a long one has the unique number of the cluster.
pub const SYSTEM_IDENTIFIER: std::ops::Range<usize> = 24..32;

/// The first record of the page began on an earlier one (`XLP_FIRST_IS_CONTRECORD`).
const CONTINUES: u16 = 0x0001;

/// The header is long (`XLP_LONG_HEADER`).
const IS_LONG: u16 = 0x0002;

/// What should have been continued here never was written (`XLP_FIRST_IS_OVERWRITE_CONTRECORD`).
const OVERWRITES: u16 = 0x0008;

/// All flags that exist (`XLP_ALL_FLAGS`). 13 has the last only since 13.5.
const ALL: u16 = 0x000F;

/// The header of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Tells the major version.
    pub magic: u16,
    /// Flags.
    pub info: u16,
    /// The timeline on which the page was begun.
    pub timeline: u32,
    /// The page's own position.
    pub address: u64,
    /// Bytes that are still to come of the record that began on an earlier page, those of this page included.
    pub remaining: u32,
    /// What only a long header has.
    pub long: Option<Identity>,
}

/// Whose segment it is, and how it is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's unique number.
    pub system_identifier: u64,
    /// Bytes per segment.
    pub segment_size: u32,
    /// Bytes per page.
    pub block_size: u32,
}

impl Header {
    /// Reads a header from the beginning of a page; none when there are too few bytes. Nothing is verified.
    pub fn read(page: &[u8]) -> Option<Self> {
        if page.len() < SHORT {
            return None;
        }
        let info = u16_at(page, 2);
        let long = if info & IS_LONG == 0 {
            None
        } else if page.len() < LONG {
            return None;
        } else {
            Some(Identity {
                system_identifier: u64_at(page, SYSTEM_IDENTIFIER.start),
                segment_size: u32_at(page, 32),
                block_size: u32_at(page, 36),
            })
        };
        Some(Self {
            magic: u16_at(page, 0),
            info,
            timeline: u32_at(page, 4),
            address: u64_at(page, 8),
            remaining: u32_at(page, 16),
            long,
        })
    }

    /// Bytes of the header itself.
    pub fn size(&self) -> usize {
        if self.long.is_some() { LONG } else { SHORT }
    }

    /// Whether the first record of the page began on an earlier one.
    pub fn continues(&self) -> bool {
        self.info & CONTINUES != 0
    }

    /// Whether the record that should have been continued here was given up, and another follows.
    pub fn overwrites(&self) -> bool {
        self.info & OVERWRITES != 0
    }

    /// Whether it has flags that do not exist.
    pub fn has_unknown_flags(&self) -> bool {
        self.info & !ALL != 0
    }
}

/// The major version whose pages have this number; none when it is not one of 13 to 18 (`XLOG_PAGE_MAGIC`).
pub fn major(magic: u16) -> Option<u8> {
    match magic {
        0xD106 => Some(13),
        0xD10D => Some(14),
        0xD110 => Some(15),
        0xD113 => Some(16),
        0xD116 => Some(17),
        0xD118 => Some(18),
        _ => None,
    }
}
