//! Frames: a record's length, its bytes, and a CRC-32C that goes on from that of the frame before it.
//!
//! Because each CRC is a link of one chain, a record that was taken out, put in or moved breaks it as much as one that
//! was changed. Because each link needs nothing but the four bytes before the frame, a whole frame can be told anywhere:
//! that is how a write that was cut short, behind which nothing can follow, is told from damage, behind which the file
//! goes on.

use crate::varint::{self, Cursor};

/// Bytes at the end of a frame.
pub const CRC_BYTES: usize = 4;

/// Bytes that a length can have.
pub const LENGTH_BYTES: usize = 3;

/// Appends a frame with `payload` to `out`; gives its CRC. `previous` is that of the frame before it.
pub fn put(out: &mut Vec<u8>, previous: u32, payload: &[u8]) -> u32 {
    let from = out.len();
    varint::put(out, payload.len() as u64);
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c_append(previous, &out[from..]);
    out.extend_from_slice(&crc.to_le_bytes());
    crc
}

/// What lies at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// A frame: where its payload begins, where it ends, and its CRC.
    Whole { payload: usize, end: usize, crc: u32 },
    /// The beginning of a frame of at least so many bytes, perhaps.
    Short { wanted: usize },
    /// No frame.
    Broken,
}

/// Looks for a frame of at most `longest` bytes of payload at the start of `bytes`.
pub fn look(bytes: &[u8], previous: u32, longest: usize) -> Seen {
    let mut cursor = Cursor::new(&bytes[..bytes.len().min(LENGTH_BYTES)]);
    let Some(length) = cursor.small::<usize>() else {
        let unfinished = bytes.len() < LENGTH_BYTES && bytes.iter().all(|byte| byte & 0x80 != 0);
        return if unfinished { Seen::Short { wanted: bytes.len() + 1 } } else { Seen::Broken };
    };
    let payload = bytes.len().min(LENGTH_BYTES) - cursor.rest().len();
    if length > longest {
        return Seen::Broken;
    }
    let end = payload + length + CRC_BYTES;
    let Some(stored) = bytes.get(end - CRC_BYTES..end) else { return Seen::Short { wanted: end } };
    let crc = crc32c::crc32c_append(previous, &bytes[..end - CRC_BYTES]);
    if stored == crc.to_le_bytes() { Seen::Whole { payload, end, crc } } else { Seen::Broken }
}

/// Whether a whole frame lies anywhere in `bytes` but at their start.
pub fn any_within(bytes: &[u8], longest: usize) -> bool {
    (CRC_BYTES..bytes.len()).any(|at| {
        let Ok(before) = <[u8; CRC_BYTES]>::try_from(&bytes[at - CRC_BYTES..at]) else { return false };
        matches!(look(&bytes[at..], u32::from_le_bytes(before), longest), Seen::Whole { .. })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_where_it_is_and_only_after_the_one_before_it() {
        let mut bytes = Vec::new();
        let crc = put(&mut bytes, 7, b"one");
        let second = bytes.len();
        put(&mut bytes, crc, b"two");
        assert_eq!(look(&bytes, 7, 100), Seen::Whole { payload: 1, end: second, crc });
        assert_eq!(look(&bytes, 8, 100), Seen::Broken);
        assert_eq!(look(&bytes[second..], 7, 100), Seen::Broken);
        assert!(matches!(look(&bytes[second..], crc, 100), Seen::Whole { .. }));
        assert_eq!(look(&bytes[..5], 7, 100), Seen::Short { wanted: 8 });
        assert_eq!(look(&[], 7, 100), Seen::Short { wanted: 1 });
        assert_eq!(look(&bytes, 7, 2), Seen::Broken);
        assert!(any_within(&bytes, 100));
        assert!(!any_within(&bytes[second..], 100));
    }
}
