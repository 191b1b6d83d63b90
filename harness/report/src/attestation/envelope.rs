//! A signed text and its signature in one line: the DSSE envelope, version 1.0.0.
//!
//! An envelope is read only as it is written here: compact JSON, fields in this order, standard base64. DSSE allows more; but of
//! evidence no byte may change without being told, not even one that changes nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::key::{PrivateKey, PublicKey};

/// What is in our envelopes: an in-toto Statement.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The bytes that are signed, which bind the text to its type: DSSE's pre-authentication encoding.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let before = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [before.as_bytes(), payload].concat()
}

/// The envelope, as in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: [Signed; 1],
}

/// One signature.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    keyid: String,
    sig: String,
}

/// Signs a statement: the envelope, as one line without its line break.
///
/// # Errors
///
/// When it cannot become JSON, which text always can.
pub fn seal(payload: &[u8], key: &PrivateKey) -> Result<String, serde_json::Error> {
    let signature = key.sign(&pre_authentication_encoding(PAYLOAD_TYPE, payload));
    let signed = Signed { keyid: key.public().id().to_owned(), sig: STANDARD.encode(signature) };
    let payload = STANDARD.encode(payload);
    serde_json::to_string(&Envelope { payload_type: PAYLOAD_TYPE.to_owned(), payload, signatures: [signed] })
}

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// A statement that was signed by one of the keys.
    Signed {
        /// The key's id.
        key: String,
        /// The statement.
        payload: Vec<u8>,
    },
    /// A statement of somebody else, unless its `keyid` lies.
    ByAnother {
        /// The id that it names.
        key: String,
    },
    /// A statement that names one of the keys, which did not sign it as it is.
    Changed {
        /// The key's id.
        key: String,
    },
    /// No envelope, or not as it was written.
    Unreadable,
}

/// Opens one line with the keys that are trusted.
pub fn open(line: &str, keys: &[PublicKey]) -> Opened {
    let Ok(envelope) = serde_json::from_str::<Envelope>(line) else { return Opened::Unreadable };
    if serde_json::to_string(&envelope).ok().as_deref() != Some(line) {
        return Opened::Unreadable;
    }
    let [Signed { keyid: key, sig }] = envelope.signatures;
    let decoded = STANDARD.decode(&envelope.payload).ok().zip(STANDARD.decode(sig).ok());
    let Some((payload, sig)) = decoded else { return Opened::Unreadable };
    // The id is not signed. It says which key to try, and must be right, since no byte may be wrong.
    let Some(trusted) = keys.iter().find(|trusted| trusted.id() == key) else {
        return Opened::ByAnother { key };
    };
    let message = pre_authentication_encoding(&envelope.payload_type, &payload);
    let fits = <[u8; 64]>::try_from(sig).is_ok_and(|sig| trusted.verifies(&message, &sig));
    if fits && envelope.payload_type == PAYLOAD_TYPE {
        Opened::Signed { key, payload }
    } else {
        Opened::Changed { key }
    }
}

/// The id of the key that a line names, where it is an envelope.
pub fn names(line: &str) -> Option<String> {
    let [signed] = serde_json::from_str::<Envelope>(line).ok()?.signatures;
    Some(signed.keyid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::key::tests::private;

    #[test]
    fn what_is_signed_is_the_example_of_the_specification() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        // Lengths are of bytes.
        assert_eq!(
            pre_authentication_encoding("t", "ü".as_bytes()),
            [&b"DSSEv1 1 t 2 "[..], &[0xc3, 0xbc]].concat()
        );
        assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn an_envelope_is_opened_by_its_key_alone() {
        let (one, two) = (private(1), private(2));
        let line = seal(b"{}", &one).unwrap();
        assert!(line.starts_with("{\"payloadType\":\"application/vnd.in-toto+json\",\"payload\":\"e30=\",\"signatures\":[{\"keyid\":\""));
        let key = one.public().id().to_owned();
        let keys = [two.public().clone(), one.public().clone()];
        assert_eq!(open(&line, &keys), Opened::Signed { key: key.clone(), payload: b"{}".to_vec() });
        assert_eq!(open(&line, &keys[..1]), Opened::ByAnother { key: key.clone() });
        assert_eq!(names(&line).as_ref(), Some(&key));
        // Whoever claims to be another is found out.
        let lying = line.replace(&key, two.public().id());
        assert_eq!(open(&lying, &keys), Opened::Changed { key: two.public().id().to_owned() });
    }

    #[test]
    fn no_changed_byte_passes() {
        let one = private(1);
        // A text whose base64 has characters of both alphabets, and fills its last character half.
        let line = seal(&[0xfb, 0xff, 0xbf, b'{', b'}'], &one).unwrap();
        for at in 0..line.len() {
            for new in 0x20..0x7f_u8 {
                let mut changed = line.clone().into_bytes();
                if changed[at] == new {
                    continue;
                }
                changed[at] = new;
                let changed = String::from_utf8(changed).unwrap();
                let opened = open(&changed, &[one.public().clone()]);
                assert!(!matches!(opened, Opened::Signed { .. }), "{changed}");
            }
        }
    }

    #[test]
    fn what_says_the_same_in_other_words_is_not_as_it_was_written() {
        let one = private(1);
        let line = seal(&[0xfb, 0xff, 0xbf], &one).unwrap();
        let others = [
            line.replace(",\"payload\"", ", \"payload\""),
            line.replace("+/+/", "-_-_"),
            line.replace("{\"keyid\"", "{\"more\":1,\"keyid\""),
            line.replace("in-toto", "in\\u002dtoto"),
            format!(" {line}"),
            "{}".to_owned(),
            String::new(),
        ];
        for other in others {
            assert_ne!(other, line);
            assert_eq!(open(&other, &[one.public().clone()]), Opened::Unreadable, "{other}");
        }
    }
}
