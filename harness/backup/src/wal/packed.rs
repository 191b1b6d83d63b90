//! WAL files that whoever archived them has packed: `gzip`, `lz4` and `zstd`, and pg_receivewal with `--compress`. A
//! plain `cp` as `restore_command` gets nothing from them, so they are read only where that is asked for.

use std::fs::File;
use std::io::{self, Read};

use crate::parts::Packed;
use crate::unpack;

/// The endings by which it is told.
pub(super) const ENDINGS: [(&str, Packed); 3] =
    [(".gz", Packed::Gzip), (".lz4", Packed::Lz4), (".zst", Packed::Zstd)];

/// How tools name what we do not unpack: only told of.
pub(super) const UNREAD: [&str; 4] = [".xz", ".bz2", ".br", ".snappy"];

/// Why a file was not unpacked.
#[derive(Debug)]
pub(super) enum Fault {
    /// It could not be read: nothing is known about it.
    Io(io::Error),
    /// It is not what its name says, or not all of it is there.
    Corrupt(String),
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => error,
            Fault::Corrupt(what) => Self::new(io::ErrorKind::InvalidData, what),
        }
    }
}

/// Splits a packed file's name into the name of what is in it, and how it is packed.
pub(super) fn parse(name: &str) -> Option<(&str, Packed)> {
    ENDINGS.iter().find_map(|(ending, packing)| Some((name.strip_suffix(ending)?, *packing)))
}

/// Adds what is in the file to `into`, but at most `limit` bytes; one byte more than that when there is more.
pub(super) fn unpack(file: File, packed: Packed, limit: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    let unpacked = unpack::unpacked(unpack::buffered(Box::new(file)), packed);
    match unpacked.and_then(|unpacked| unpacked.take(limit.saturating_add(1)).read_to_end(into)) {
        Ok(_) => Ok(()),
        // What the system says of the file has a number; what a decoder says of its content has none.
        Err(error) if error.raw_os_error().is_some() => Err(Fault::Io(error)),
        Err(error) => Err(Fault::Corrupt(error.to_string())),
    }
}

/// The beginning of what is in the file: at most `length` bytes.
pub(super) fn beginning(file: File, packing: Packed, length: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte less, because the first byte too many is read along.
    unpack(file, packing, length.checked_sub(1)?, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unpack::tests::pack;
    use rstest::rstest;

    fn read(bytes: &[u8], packing: Packed, limit: u64) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("packed");
        std::fs::write(&path, bytes).unwrap();
        let mut into = Vec::new();
        match unpack(File::open(path).unwrap(), packing, limit, &mut into) {
            Ok(()) => Ok(into),
            Err(Fault::Corrupt(what)) => Err(what),
            Err(Fault::Io(error)) => panic!("{error}"),
        }
    }

    #[rstest]
    fn what_was_packed_is_unpacked_and_what_is_cut_off_is_told(
        #[values(Packed::Gzip, Packed::Lz4, Packed::Zstd)] packing: Packed,
    ) {
        let content: Vec<u8> =
            (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let bytes = pack(&content, packing);
        assert_eq!(read(&bytes, packing, content.len() as u64).unwrap(), content);
        assert_eq!(read(&bytes, packing, 1000).unwrap().len(), 1001);
        for cut in [1, 2, 5, 8, bytes.len() / 2] {
            let told = read(&bytes[..bytes.len() - cut], packing, content.len() as u64);
            assert!(told.is_err(), "{packing:?} without its last {cut} bytes");
        }
        assert!(read(b"no such format, whatever its name says", packing, 1000).is_err());
    }
}
