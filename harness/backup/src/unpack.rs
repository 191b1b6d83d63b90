//! Streams of what is compressed by gzip, LZ4 or Zstandard, whole or not at all: a stream that ends too early is an
//! error, and so is anything behind its end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use crate::parts::{Packed, Part};

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// The most that a Zstandard stream may ask to keep in mind, as a power of two: what `--ultra -22` takes.
const WINDOW_LOG_MAX: u32 = 27;

/// A compressed stream, buffered.
pub type Source = BufReader<Box<dyn Read + Send>>;

/// Buffers a stream.
pub fn buffered(stream: Box<dyn Read + Send>) -> Source {
    BufReader::with_capacity(BUFFER, stream)
}

/// How a stream is compressed, by its first bytes (RFC 1952, the LZ4 frame format, RFC 8878).
///
/// # Errors
///
/// What reading gives.
fn recognise(source: &mut Source) -> io::Result<Packed> {
    let begin = source.fill_buf()?;
    Ok(match begin {
        [0x1F, 0x8B, ..] => Packed::Gzip,
        [0x04, 0x22, 0x4D, 0x18, ..] => Packed::Lz4,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Packed::Zstd,
        _ => Packed::No,
    })
}

/// What an archive of a backup holds, packed as its name says. Reading it to its end tells whether it is whole.
///
/// # Errors
///
/// A file that cannot be opened.
pub fn of_part(part: &Part) -> io::Result<Box<dyn Read + Send>> {
    unpacked(buffered(Box::new(File::open(&part.path)?)), part.packed)
}

/// What a stream holds, which has no name that says how it is packed.
///
/// # Errors
///
/// What reading gives.
pub fn of_stream(stream: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut source = buffered(stream);
    let packed = recognise(&mut source)?;
    unpacked(source, packed)
}

/// What a stream holds. Reading it to its end tells whether it is whole.
///
/// # Errors
///
/// A stream that cannot be the beginning of a compressed one.
pub fn unpacked(mut source: Source, packed: Packed) -> io::Result<Box<dyn Read + Send>> {
    // Nothing is packed in nothing: it is then for its manifest to say what is missing, as in 18.
    if source.fill_buf().is_ok_and(<[u8]>::is_empty) {
        return Ok(Box::new(io::empty()));
    }
    Ok(match packed {
        Packed::No => Box::new(source),
        Packed::Gzip => Box::new(MultiGzDecoder::new(source)),
        Packed::Lz4 => Box::new(Lz4 { state: Lz4State::Between(source) }),
        Packed::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// Frames of LZ4, one after another. The library ends quietly where a frame is cut off, unless it is asked.
struct Lz4 {
    state: Lz4State,
}

enum Lz4State {
    Between(Source),
    Within(lz4::Decoder<Source>),
    Ended,
}

impl Read for Lz4 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, Lz4State::Ended) {
                Lz4State::Ended => return Ok(0),
                Lz4State::Between(mut source) => {
                    if !source.fill_buf()?.is_empty() {
                        self.state = Lz4State::Within(lz4::Decoder::new(source)?);
                    }
                }
                Lz4State::Within(mut decoder) => match decoder.read(into)? {
                    0 => {
                        let (source, whole) = decoder.finish();
                        whole
                            .map_err(|_| io::Error::new(ErrorKind::UnexpectedEof, "LZ4 frame is cut off"))?;
                        self.state = Lz4State::Between(source);
                    }
                    read => {
                        self.state = Lz4State::Within(decoder);
                        return Ok(read);
                    }
                },
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::Write;

    fn content() -> Vec<u8> {
        // Hardly compressible, so that a cut lies within data.
        let mut state = 1_u64;
        let step = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 56) as u8
        };
        (0..700_000).map(|_| step(&mut state)).collect()
    }

    /// Content, packed.
    pub(crate) fn pack(content: &[u8], packed: Packed) -> Vec<u8> {
        match packed {
            Packed::No => content.to_vec(),
            Packed::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Packed::Lz4 => {
                let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
                encoder.write_all(content).unwrap();
                let (bytes, written) = encoder.finish();
                written.unwrap();
                bytes
            }
            Packed::Zstd => zstd::encode_all(content, 1).unwrap(),
        }
    }

    fn unpack(bytes: Vec<u8>, packed: Packed) -> io::Result<Vec<u8>> {
        let mut source = buffered(Box::new(io::Cursor::new(bytes)));
        assert_eq!(recognise(&mut source)?, packed);
        let mut content = Vec::new();
        unpacked(source, packed)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[rstest]
    fn what_was_packed_is_unpacked_in_one_piece_or_in_several(
        #[values(Packed::No, Packed::Gzip, Packed::Lz4, Packed::Zstd)] packed: Packed,
    ) {
        let content = content();
        assert!(unpack(pack(&content, packed), packed).unwrap() == content);
        let (first, second) = content.split_at(300_000);
        let both = [pack(first, packed), pack(second, packed)].concat();
        assert!(unpack(both, packed).unwrap() == content);
    }

    #[rstest]
    fn a_stream_that_is_cut_or_goes_on_is_an_error(
        #[values(Packed::Gzip, Packed::Lz4, Packed::Zstd)] packed: Packed,
    ) {
        let whole = pack(&content(), packed);
        for cut in [whole.len() - 1, whole.len() - 4, whole.len() - 12, whole.len() / 2, 70_000, 20] {
            assert!(unpack(whole[..cut].to_vec(), packed).is_err(), "cut to {cut} of {}", whole.len());
        }
        assert!(unpack([whole, vec![b'x'; 100]].concat(), packed).is_err());
    }

    #[rstest]
    fn an_empty_file_holds_nothing(
        #[values(Packed::No, Packed::Gzip, Packed::Lz4, Packed::Zstd)] packed: Packed,
    ) {
        let mut content = Vec::new();
        let nothing = buffered(Box::new(io::empty()));
        assert_eq!(unpacked(nothing, packed).unwrap().read_to_end(&mut content).unwrap(), 0);
    }

    /// A frame of LZ4 can be cut where one of its blocks ends.
    #[test]
    fn an_lz4_frame_that_is_cut_between_two_blocks_is_an_error() {
        let whole = pack(&content(), Packed::Lz4);
        let mut at = 7;
        while at + 4 < whole.len() {
            let length = u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) & 0x7FFF_FFFF;
            if length == 0 {
                break;
            }
            // Each block is followed by its checksum where the frame says so.
            at += 4 + length as usize + if whole[4] & 0x10 == 0 { 0 } else { 4 };
            assert!(unpack(whole[..at].to_vec(), Packed::Lz4).is_err(), "cut to {at} of {}", whole.len());
        }
        assert!(at > 600_000);
    }
}
