//! How pgBackRest encrypts a repository (`src/common/crypto/cipherBlock.c` of pgBackRest): AES-256-CBC, with a key from a passphrase
//! and a salt as OpenSSL makes it, by one round of SHA-1. Descriptions have the passphrase of the repository, and hold those of what
//! they describe.

use std::fmt;
use std::path::Path;

use aes::Aes256;
use cbc::Decryptor;
use cbc::cipher::block_padding::{NoPadding, Pkcs7};
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use sha1::{Digest, Sha1};

use super::LARGEST_INFO;
use super::info::{Info, SALTED};
use crate::files::Tree;
use crate::not_a_backup::NotABackup;

/// Bytes before what is encrypted: the sign, and the salt.
const HEADER: usize = 16;

/// Bytes of a block.
const BLOCK: usize = 16;

/// Bytes of a key and of what the first block is combined with.
const KEY: usize = 32;

/// With what a description begins.
const INFO_BEGINS: &[u8] = b"[backrest]";

/// A passphrase. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// That of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Decrypts a whole file.
    ///
    /// # Errors
    ///
    /// It was not encrypted with this passphrase, or is damaged: these look the same.
    pub fn decrypt(&self, bytes: &[u8]) -> Result<Vec<u8>, Closed> {
        let (cipher, mut content) = self.begin(bytes)?;
        let plain = cipher.decrypt_padded::<Pkcs7>(&mut content).map_err(|_| Closed)?.len();
        content.truncate(plain);
        Ok(content)
    }

    /// Decrypts the beginning of a file, as far as there are whole blocks of it.
    pub(super) fn decrypt_beginning(&self, bytes: &[u8]) -> Result<Vec<u8>, Closed> {
        let (cipher, mut content) = self.begin(bytes)?;
        content.truncate(content.len() / BLOCK * BLOCK);
        cipher.decrypt_padded::<NoPadding>(&mut content).map_err(|_| Closed)?;
        Ok(content)
    }

    /// Decrypts a description; none where this is not its passphrase, and as it is where it is not encrypted.
    pub(super) fn description(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if !bytes.starts_with(SALTED) {
            return Some(bytes);
        }
        let beginning = self.decrypt_beginning(&bytes).ok()?;
        if !beginning.starts_with(INFO_BEGINS) {
            return None;
        }
        // With the right passphrase only damage is left, which its checksum tells.
        Some(self.decrypt(&bytes).unwrap_or(beginning))
    }

    fn begin(&self, bytes: &[u8]) -> Result<(Decryptor<Aes256>, Vec<u8>), Closed> {
        let (header, content) = bytes.split_at_checked(HEADER).ok_or(Closed)?;
        let salt = header.strip_prefix(SALTED).ok_or(Closed)?;
        let mut derived: Vec<u8> = Vec::new();
        let mut last: Vec<u8> = Vec::new();
        while derived.len() < KEY + BLOCK {
            let mut hash = Sha1::new();
            hash.update(&last);
            hash.update(self.0.as_bytes());
            hash.update(salt);
            last = hash.finalize().to_vec();
            derived.extend(&last);
        }
        let cipher = Decryptor::new_from_slices(&derived[..KEY], &derived[KEY..KEY + BLOCK]);
        Ok((cipher.map_err(|_| Closed)?, content.to_vec()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// What a passphrase does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be decrypted: it is damaged, or has another passphrase")]
pub struct Closed;

/// The passphrase of the WAL of a stanza, which its description holds.
///
/// # Errors
///
/// Why it cannot be read.
pub fn of_wal(repository: &Path, stanza: &str, key: &Passphrase) -> Result<Passphrase, NotABackup> {
    let trouble = |trouble| NotABackup::of(repository, trouble);
    let tree = Tree::open(repository).map_err(trouble)?;
    let path = format!("archive/{stanza}/archive.info");
    let read = |path: &str| -> Option<Info> {
        Info::read(&key.description(tree.read(path, LARGEST_INFO).ok()?)?).ok()
    };
    let info = read(&path).or_else(|| read(&format!("{path}.copy")));
    let sub = info.as_ref().and_then(inner);
    sub.ok_or_else(|| NotABackup::Damaged {
        path: repository.join(path),
        what: "neither it nor its copy tells the passphrase of the WAL".to_owned(),
    })
}

/// The passphrase of what a description describes.
pub(super) fn inner(info: &Info) -> Option<Passphrase> {
    Some(Passphrase::new(info.value("cipher", "cipher-pass")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `openssl enc -aes-256-cbc -md sha1 -k swordfish -S 0001020304050607`, which is what pgBackRest does.
    const CLOSED: &str =
        "53616c7465645f5f0001020304050607388d83a0a7929317775436cf2ab9d97e6ee98150529da600b89a9125894f833a";

    #[test]
    fn what_openssl_encrypted_is_decrypted_and_with_another_passphrase_is_not() {
        let bytes = hex::decode(CLOSED).unwrap();
        let key = Passphrase::new("swordfish");
        assert_eq!(key.decrypt(&bytes).unwrap(), b"[backrest]\nbackrest-format=5\n");
        assert_eq!(key.decrypt_beginning(&bytes[..40]).unwrap(), b"[backrest]\nbackr");
        assert_eq!(Passphrase::new("sunfish").description(bytes.clone()), None);
        assert_eq!(key.decrypt(&bytes[..bytes.len() - 1]), Err(Closed));
        assert_eq!(key.decrypt(b"Salted__"), Err(Closed));
        assert_eq!(key.description(b"plain".to_vec()).as_deref(), Some(b"plain".as_slice()));
        assert_eq!(format!("{key:?}"), "Passphrase");
    }
}
