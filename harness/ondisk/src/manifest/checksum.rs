//! The checksums that a manifest can have of its files (`src/common/checksum_helper.c`).

use std::fmt;

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// How a checksum is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CRC-32C, which `pg_basebackup` takes where nothing else is asked of it.
    Crc32c,
    /// SHA-224
    Sha224,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// What the content of a file must give.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checksum<'a> {
    /// How it is made.
    pub algorithm: Algorithm,
    /// As the manifest says it; [`Algorithm::length`] bytes, unless the manifest is wrong there, which its reader
    /// leaves to those who compare it, as PostgreSQL does.
    pub bytes: &'a [u8],
}

impl Algorithm {
    /// The algorithm of this name, in whatever case; nothing for `NONE` (`pg_checksum_parse_type`).
    pub(super) fn named(name: &[u8]) -> Option<Option<Self>> {
        let all = [Self::Crc32c, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];
        if name.eq_ignore_ascii_case(b"NONE") {
            return Some(None);
        }
        all.into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.name().as_bytes())).map(Some)
    }

    /// Its name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "CRC32C",
            Self::Sha224 => "SHA224",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        }
    }

    /// How many bytes its checksums have.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Begins a checksum.
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Crc32c => State::Crc32c(0),
            Self::Sha224 => State::Sha224(Sha224::new()),
            Self::Sha256 => State::Sha256(Sha256::new()),
            Self::Sha384 => State::Sha384(Sha384::new()),
            Self::Sha512 => State::Sha512(Sha512::new()),
        })
    }
}

/// A checksum that is being made.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Crc32c(u32),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// Takes more of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            State::Sha224(sha) => sha.update(bytes),
            State::Sha256(sha) => sha.update(bytes),
            State::Sha384(sha) => sha.update(bytes),
            State::Sha512(sha) => sha.update(bytes),
        }
    }

    /// The checksum of all that was taken, as it is in a manifest. A CRC-32C is there as it lies in a little-endian
    /// server's memory, so its lowest byte comes first.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Crc32c(crc) => crc.to_le_bytes().to_vec(),
            State::Sha224(sha) => sha.finalize().to_vec(),
            State::Sha256(sha) => sha.finalize().to_vec(),
            State::Sha384(sha) => sha.finalize().to_vec(),
            State::Sha512(sha) => sha.finalize().to_vec(),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Checksum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
