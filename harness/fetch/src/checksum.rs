//! What was read is hashed on the way, and compared with what the store says that its bytes are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// By what the bytes of an object were compared with what the store says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// The MD5 of the whole object.
    Md5,
    /// The CRC-32C of the whole object.
    Crc32c,
    /// The store says nothing that can be compared: how many bytes came is all that is known to be right.
    Length,
}

/// What a store says of the bytes of a whole object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Their MD5.
    pub md5: Option<[u8; 16]>,
    /// Their CRC-32C.
    pub crc32c: Option<u32>,
    /// Whether the ETag is known not to be an MD5, because the object is ciphered by another key than the store's own.
    pub ciphered: bool,
}

impl Said {
    /// Takes over what a header of an answer says of the whole object.
    pub fn hear(&mut self, name: &str, value: &str) {
        match name {
            // Google's, of the object as it is stored, whatever range was asked for: `crc32c=n03x6A==,md5=...`.
            "x-goog-hash" => {
                for hash in value.split(',') {
                    match hash.trim().split_once('=') {
                        Some(("crc32c", text)) => self.crc32c = decoded(text).map(u32::from_be_bytes),
                        Some(("md5", text)) => self.md5 = decoded(text),
                        _ => {}
                    }
                }
            }
            // Azure's: of a range, `Content-MD5` would be that of the range, and this one is of the whole.
            "x-ms-blob-content-md5" => self.md5 = decoded(value),
            "x-amz-server-side-encryption" => self.ciphered |= value != "AES256",
            "x-amz-server-side-encryption-customer-algorithm" => self.ciphered = true,
            _ => {}
        }
    }

    /// Adds what another answer said of the same object.
    pub fn add(&mut self, other: &Self) {
        self.md5 = other.md5.or(self.md5);
        self.crc32c = other.crc32c.or(self.crc32c);
        self.ciphered |= other.ciphered;
    }

    /// Takes an ETag of S3 for the MD5 that it is of an object that came in one part and is not ciphered.
    pub fn hear_etag(&mut self, etag: &str) {
        if !self.ciphered && self.md5.is_none() {
            self.md5 = md5_of_etag(etag);
        }
    }
}

/// The MD5 that an ETag may be; that of an object which came in several parts is none.
pub(crate) fn md5_of_etag(etag: &str) -> Option<[u8; 16]> {
    let mut md5 = [0; 16];
    hex::decode_to_slice(etag.trim_matches('"'), &mut md5).ok().map(|()| md5)
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

/// Hashes bytes in their order.
#[derive(Clone)]
pub(crate) struct Hashing {
    sha256: Sha256,
    md5: Option<Md5>,
    crc32c: u32,
    bytes: u64,
}

impl Hashing {
    /// Before the first byte. MD5 is the slowest of them, so it is left out where nothing will be compared with it.
    pub fn new(with_md5: bool) -> Self {
        Self { sha256: Sha256::new(), md5: with_md5.then(Md5::new), crc32c: 0, bytes: 0 }
    }

    /// The bytes that come next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes there were.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 so far, in hexadecimal.
    pub fn sha256(&self) -> String {
        hex::encode(self.sha256.clone().finalize())
    }

    /// Whether these are the bytes that the store speaks of, or what it says that they are and what they are.
    pub fn compare(&self, said: &Said) -> Result<Checked, String> {
        if let (Some(md5), Some(hash)) = (said.md5, &self.md5) {
            let found: [u8; 16] = hash.clone().finalize().into();
            if found != md5 {
                return Err(format!("MD5 {}, and what came has {}", hex::encode(md5), hex::encode(found)));
            }
            return Ok(Checked::Md5);
        }
        if let Some(crc) = said.crc32c {
            if crc != self.crc32c {
                return Err(format!("CRC-32C {crc:08x}, and what came has {:08x}", self.crc32c));
            }
            return Ok(Checked::Crc32c);
        }
        Ok(Checked::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn of(bytes: &[u8]) -> Hashing {
        let mut hashing = Hashing::new(true);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        hashing.update(first);
        hashing.update(second);
        hashing
    }

    // The values are those of `md5sum`, and of the check value of CRC-32C in RFC 3720.
    #[rstest]
    #[case("x-goog-hash", "crc32c=4waSgw==", Ok(Checked::Crc32c))]
    #[case("x-goog-hash", "crc32c=4waShA==", Err(()))]
    #[case("x-goog-hash", "crc32c=4waSgw==, md5=JfnnlDI7RTiF9RgfG2JNCw==", Ok(Checked::Md5))]
    #[case("x-ms-blob-content-md5", "JfnnlDI7RTiF9RgfG2JNCw==", Ok(Checked::Md5))]
    #[case("x-ms-blob-content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", Err(()))]
    #[case("x-ms-blob-content-md5", "nonsense", Ok(Checked::Length))]
    #[case("content-type", "text/plain", Ok(Checked::Length))]
    fn what_a_store_says_is_compared(
        #[case] name: &str,
        #[case] value: &str,
        #[case] told: Result<Checked, ()>,
    ) {
        let mut said = Said::default();
        said.hear(name, value);
        assert_eq!(of(b"123456789").compare(&said).map_err(|_| ()), told);
    }

    #[rstest]
    #[case(&[], "\"25f9e794323b453885f5181f1b624d0b\"", Ok(Checked::Md5))]
    #[case(&[], "\"25f9e794323b453885f5181f1b624d0c\"", Err(()))]
    #[case(&[], "\"25f9e794323b453885f5181f1b624d0b-2\"", Ok(Checked::Length))]
    #[case(&["AES256"], "25f9e794323b453885f5181f1b624d0c", Err(()))]
    #[case(&["aws:kms"], "\"25f9e794323b453885f5181f1b624d0c\"", Ok(Checked::Length))]
    fn an_etag_is_an_md5_where_it_is_one(
        #[case] sse: &[&str],
        #[case] etag: &str,
        #[case] told: Result<Checked, ()>,
    ) {
        let mut said = Said::default();
        sse.iter().for_each(|value| said.hear("x-amz-server-side-encryption", value));
        said.hear_etag(etag);
        assert_eq!(of(b"123456789").compare(&said).map_err(|_| ()), told);
    }
}
