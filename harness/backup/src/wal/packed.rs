//! WAL files that whoever archived them has packed: `gzip`, `lz4` and `zstd`, and pg_receivewal with `--compress`. A
//! plain `cp` as `restore_command` gets nothing from them, so they are read only where that is asked for.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Lz4,
    Zstd,
}

/// The endings by which it is told.
pub(super) const ENDINGS: [(&str, Packing); 3] =
    [(".gz", Packing::Gzip), (".lz4", Packing::Lz4), (".zst", Packing::Zstd)];

/// How tools name what we do not unpack: only told of.
pub(super) const UNREAD: [&str; 4] = [".xz", ".bz2", ".br", ".snappy"];

/// Bytes that are read from a file at once.
const BUFFER: usize = 1 << 16;

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
pub(super) fn parse(name: &str) -> Option<(&str, Packing)> {
    ENDINGS.iter().find_map(|(ending, packing)| Some((name.strip_suffix(ending)?, *packing)))
}

/// Adds what is in the file to `into`, but at most `limit` bytes; one byte more than that when there is more.
pub(super) fn unpack(file: File, packing: Packing, limit: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    let file = BufReader::with_capacity(BUFFER, file);
    let most = limit.saturating_add(1);
    let told = match packing {
        Packing::Gzip => flate2::bufread::MultiGzDecoder::new(file).take(most).read_to_end(into),
        Packing::Zstd => {
            zstd::stream::read::Decoder::with_buffer(file).and_then(|d| d.take(most).read_to_end(into))
        }
        Packing::Lz4 => unpack_lz4(file, most, into),
    };
    match told {
        Ok(_) => Ok(()),
        // What the system says of the file has a number; what a decoder says of its content has none.
        Err(error) if error.raw_os_error().is_some() => Err(Fault::Io(error)),
        Err(error) => Err(Fault::Corrupt(error.to_string())),
    }
}

/// The beginning of what is in the file: at most `length` bytes.
pub(super) fn beginning(file: File, packing: Packing, length: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte less, because the first byte too many is read along.
    unpack(file, packing, length.checked_sub(1)?, &mut bytes).ok()?;
    Some(bytes)
}

fn unpack_lz4(file: impl Read, most: u64, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut decoder = lz4::Decoder::new(file)?;
    let read = decoder.by_ref().take(most).read_to_end(into)?;
    if (read as u64) < most {
        // Only now it tells whether the frame has come to its end.
        decoder.finish().1?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::Write;

    fn packed(packing: Packing, content: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Lz4 => {
                let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
                encoder.write_all(content).unwrap();
                let (bytes, result) = encoder.finish();
                result.unwrap();
                bytes
            }
            Packing::Zstd => zstd::stream::encode_all(content, 1).unwrap(),
        }
    }

    fn read(bytes: &[u8], packing: Packing, limit: u64) -> Result<Vec<u8>, String> {
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
        #[values(Packing::Gzip, Packing::Lz4, Packing::Zstd)] packing: Packing,
    ) {
        let content: Vec<u8> =
            (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let bytes = packed(packing, &content);
        assert_eq!(read(&bytes, packing, content.len() as u64).unwrap(), content);
        assert_eq!(read(&bytes, packing, 1000).unwrap().len(), 1001);
        for cut in [1, 2, 5, 8, bytes.len() / 2] {
            let told = read(&bytes[..bytes.len() - cut], packing, content.len() as u64);
            assert!(told.is_err(), "{packing:?} without its last {cut} bytes");
        }
        assert!(read(b"no such format, whatever its name says", packing, 1000).is_err());
    }
}
