//! Catalogs, as far as they are read for names ([`pgdrill_ondisk::catalog`]).

use pgdrill_ondisk::catalog::{FilenodeMap, PG_CLASS, classes, names};

use crate::again::again;

/// Where the checksum of a map lies, by its size (`RelMapFile`, `src/backend/utils/cache/relmapper.c`).
const CRC_AT: [(usize, usize); 2] = [(512, 504), (524, 520)];

/// A map of file numbers, or a page of a catalog: bytes of any length.
///
/// # Panics
///
/// Where a map leads to a file that does not lead back, a changed bit of it is not seen, or a page has more rows or longer
/// names than there is room for.
pub fn catalog(bytes: &[u8]) {
    map(bytes);
    for (size, crc_at) in CRC_AT {
        if let Some(map_bytes) = bytes.get(..size) {
            let mut mended = map_bytes.to_vec();
            let crc = crc32c::crc32c(&mended[..crc_at]).to_le_bytes();
            mended[crc_at..crc_at + 4].copy_from_slice(&crc);
            map(&mended);
        }
    }
    page(bytes);
}

fn map(bytes: &[u8]) {
    let read = again(|| FilenodeMap::read(bytes));
    let Ok(map) = read else { return };
    if let Some(number) = map.file_of(PG_CLASS) {
        assert!(map.catalog_of(number).is_some(), "{number} leads nowhere");
    }
    let mut changed = bytes.to_vec();
    changed[9] ^= 1;
    assert!(FilenodeMap::read(&changed).is_err(), "a changed bit is not seen");
}

fn page(bytes: &[u8]) {
    // A line pointer has 4 bytes, behind a header of 24.
    let most = bytes.len().saturating_sub(24) / 4;
    let rows = again(|| classes(bytes).collect::<Vec<_>>());
    assert!(rows.len() <= most, "{} rows in {} bytes", rows.len(), bytes.len());
    let named = again(|| names(bytes).collect::<Vec<_>>());
    assert!(named.len() <= most && named.len() >= rows.len());
    let named = named.iter().map(|(_, name)| name);
    for name in rows.iter().map(|class| &class.name).chain(named) {
        // What is no UTF-8 is replaced by three bytes for one.
        assert!(!name.is_empty() && name.len() < 64 * 3 && !name.contains('\0'), "{name:?}");
    }
}
