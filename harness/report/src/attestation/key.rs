//! The two keys of a signature, as PEM. A private key is in memory no longer than it is needed, and shown nowhere.

use ed25519_dalek::pkcs8::spki::{self, DecodePublicKey, EncodePublicKey};
use ed25519_dalek::pkcs8::{self, DecodePrivateKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

const MAKE: &str = "`openssl genpkey -algorithm ed25519 -out KEY.pem` makes one";
const PUBLISH: &str = "`openssl pkey -in KEY.pem -pubout -out PUBLIC.pem` writes it";

/// Why a text is not the key that it should be. No error says anything of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has no line that begins a PEM object.
    #[error("it is no key in PEM; {0}")]
    NotPem(&'static str),
    /// It wants a password.
    #[error(
        "the key is encrypted, and pgdrill asks nobody for a password; `openssl pkey -in KEY.pem -out PLAIN.pem` writes it \
         plain, for a file that only you can read"
    )]
    Encrypted,
    /// It is in a form of its own.
    #[error("it is a key in the form of OpenSSH, and a signature needs PKCS#8; {MAKE}")]
    OpenSsh,
    /// It is another thing in PEM.
    #[error("it holds \"{found}\", and \"{wanted}\" is needed; {how}")]
    Another {
        /// What it says that it holds.
        found: String,
        /// What it should say.
        wanted: &'static str,
        /// How to come to that.
        how: &'static str,
    },
    /// It is a key of another algorithm.
    #[error("it is a key of another algorithm (OID {oid}), and only ed25519 signs evidence; {MAKE}")]
    Algorithm {
        /// Which, as numbers.
        oid: String,
    },
    /// Its PEM, or what is in it, cannot be read.
    #[error("the key is damaged: it begins like one, and cannot be read to its end")]
    Damaged,
    /// Anybody can make signatures that fit it.
    #[error("the key is one of those with which a signature proves nothing; {MAKE}")]
    Weak,
}

/// What the first object of a PEM text is.
fn label(pem: &str) -> Option<&str> {
    pem.lines().find_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
}

/// A key that signs. What holds it is zeroed when it is dropped.
pub struct PrivateKey {
    key: SigningKey,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads a PKCS#8 key.
    ///
    /// # Errors
    ///
    /// When it is none, of another algorithm, or encrypted.
    pub fn read(pem: &str) -> Result<Self, KeyError> {
        match label(pem) {
            Some("PRIVATE KEY") => {}
            Some("ENCRYPTED PRIVATE KEY") => return Err(KeyError::Encrypted),
            Some("OPENSSH PRIVATE KEY") => return Err(KeyError::OpenSsh),
            // PEM of old encrypts within.
            Some(_) if pem.contains("Proc-Type: 4,ENCRYPTED") => return Err(KeyError::Encrypted),
            Some(other) => {
                return Err(KeyError::Another { found: other.to_owned(), wanted: "PRIVATE KEY", how: MAKE });
            }
            None => return Err(KeyError::NotPem(MAKE)),
        }
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|error| match error {
            pkcs8::Error::PublicKey(spki::Error::OidUnknown { oid }) => {
                KeyError::Algorithm { oid: oid.to_string() }
            }
            _ => KeyError::Damaged,
        })?;
        let public = PublicKey::of(key.verifying_key())?;
        Ok(Self { key, public })
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

/// A key that checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// When it is none, or of another algorithm.
    pub fn read(pem: &str) -> Result<Self, KeyError> {
        match label(pem) {
            Some("PUBLIC KEY") => {}
            Some(other) => {
                let found = other.to_owned();
                return Err(KeyError::Another { found, wanted: "PUBLIC KEY", how: PUBLISH });
            }
            None => return Err(KeyError::NotPem(PUBLISH)),
        }
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|error| match error {
            spki::Error::OidUnknown { oid } => KeyError::Algorithm { oid: oid.to_string() },
            _ => KeyError::Damaged,
        })?;
        Self::of(key)
    }

    fn of(key: VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        let der = key.to_public_key_der().map_err(|_| KeyError::Damaged)?;
        let id = hex::encode(Sha256::digest(der.as_bytes()));
        Ok(Self { key, id })
    }

    /// The SHA-256 of the key: `openssl pkey -pubin -in PUBLIC.pem -outform DER | sha256sum`.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use rstest::rstest;

    use super::*;

    /// The PEM of a key that a number stands for.
    pub fn pem(number: u8) -> String {
        SigningKey::from_bytes(&[number; 32]).to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }

    pub fn private(number: u8) -> PrivateKey {
        PrivateKey::read(&pem(number)).unwrap()
    }

    fn public_pem(number: u8) -> String {
        let key = SigningKey::from_bytes(&[number; 32]).verifying_key();
        key.to_public_key_pem(LineEnding::LF).unwrap()
    }

    /// What `openssl genpkey` and `openssl pkey -pubout` wrote, and the key's hash by `sha256sum`.
    const OPENSSL: (&str, &str, &str) = (
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIGJ00LwCNKtjw70S4Ek7q1MW8Xk5sP4+I4g27H5jM0AC\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJLVj6ndr+O4S/kykT6Ghm5l0Hi64h7RPBrSr4HiXyg4=\n-----END PUBLIC KEY-----\n",
        "45163b37fd1aa27a85d9bc0d66e0c590aa73b5de70f6fb994ef0c4da2dd01447",
    );

    #[test]
    fn keys_of_openssl_are_read_and_belong_together() {
        let (private, public, id) = OPENSSL;
        let private = PrivateKey::read(private).unwrap();
        let public = PublicKey::read(public).unwrap();
        assert_eq!((private.public(), public.id()), (&public, id));
        let signature = private.sign(b"words");
        assert!(public.verifies(b"words", &signature) && !public.verifies(b"other words", &signature));
    }

    const X25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIGJ00LwCNKtjw70S4Ek7q1MW8Xk5sP4+I4g27H5jM0AC\n-----END PRIVATE KEY-----\n";

    #[rstest]
    #[case("", "it is no key in PEM")]
    #[case("-----BEGIN PRIVATE KEY\n", "it is no key in PEM")]
    #[case("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIG=\n", "the key is encrypted")]
    #[case("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", "the key is encrypted")]
    #[case("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "it is a key in the form of OpenSSH")]
    #[case(
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n",
        "it holds \"RSA PRIVATE KEY\", and \"PRIVATE KEY\" is needed"
    )]
    #[case(OPENSSL.1, "it holds \"PUBLIC KEY\", and \"PRIVATE KEY\" is needed")]
    #[case("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n", "the key is damaged")]
    #[case(&OPENSSL.0[..60], "the key is damaged")]
    #[case(X25519, "it is a key of another algorithm (OID 1.3.101.110)")]
    fn what_is_no_private_key_is_refused_in_clear_words(#[case] pem: &str, #[case] begins: &str) {
        let error = PrivateKey::read(pem).err().unwrap().to_string();
        assert!(error.starts_with(begins), "{error}");
    }

    #[rstest]
    #[case("ssh-ed25519 AAAA somebody", "it is no key in PEM")]
    #[case(OPENSSL.0, "it holds \"PRIVATE KEY\", and \"PUBLIC KEY\" is needed")]
    #[case("-----BEGIN CERTIFICATE-----\nMIIE\n", "it holds \"CERTIFICATE\", and \"PUBLIC KEY\" is needed")]
    #[case("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", "the key is damaged")]
    // The neutral element: what it verifies says nothing.
    #[case(
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n",
        "the key is one of those"
    )]
    fn what_is_no_public_key_is_refused_in_clear_words(#[case] pem: &str, #[case] begins: &str) {
        let error = PublicKey::read(pem).unwrap_err().to_string();
        assert!(error.starts_with(begins), "{error}");
    }

    #[test]
    fn no_error_says_anything_of_a_key() {
        let whole = pem(7);
        let body = whole.lines().nth(1).unwrap();
        for end in 0..whole.len() {
            let Err(error) = PrivateKey::read(&whole[..end]) else { continue };
            let told = format!("{error} {error:?}");
            assert!(
                !body.as_bytes().windows(8).any(|part| told.contains(str::from_utf8(part).unwrap())),
                "{told}"
            );
        }
        assert_eq!(PublicKey::read(&public_pem(7)).unwrap(), *private(7).public());
    }
}
