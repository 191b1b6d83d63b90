//! The descriptions of repositories: pgBackRest's ([`pgdrill_repository::pgbackrest`]) and Barman's
//! ([`pgdrill_repository::barman`]).

use pgdrill_repository::barman;
use pgdrill_repository::pgbackrest::{Info, Invalid};

use crate::again::again;

/// Bytes of the longest message: a section and a key, of each two hundred characters, and words around them.
const LONGEST_MESSAGE: usize = 1800;

/// A description: bytes of any length. `src/info/info.c` of pgBackRest, `barman/infofile.py` of Barman.
///
/// # Panics
///
/// Where a checksum that is set right does not hold, one that holds does so in spite of a change, or tablespaces are told that
/// the bytes do not hold.
pub fn described(bytes: &[u8]) {
    match again(|| Info::read(bytes)) {
        Ok(info) => sealed(&info, bytes),
        Err(Invalid::Checksum { stored, computed }) => {
            // As it is, almost no change gets past its checksum.
            let text = String::from_utf8_lossy(bytes);
            let sealed = text.replace(
                &format!("backrest-checksum=\"{stored}\""),
                &format!("backrest-checksum=\"{computed}\""),
            );
            if let Ok(info) = again(|| Info::read(sealed.as_bytes())) {
                self::sealed(&info, sealed.as_bytes());
            }
        }
        Err(invalid) => assert!(invalid.to_string().len() <= LONGEST_MESSAGE, "{invalid}"),
    }
    drop(again(|| Info::beginning(bytes)));
    if let Ok(info) = again(|| barman::Info::read(bytes)) {
        let tablespaces = info.tablespaces().unwrap_or_default();
        let told = tablespaces.iter().flat_map(|of| [&of.name, &of.path]).flatten().map(String::len);
        assert!(told.sum::<usize>() <= bytes.len(), "{tablespaces:?}");
    }
}

/// What is whole stays so with an empty line more, and does not with a changed key.
fn sealed(info: &Info, bytes: &[u8]) {
    let with_empty_line = [bytes, b"\n\n"].concat();
    assert_eq!(Info::read(&with_empty_line).as_ref(), Ok(info), "an empty line says nothing");
    let with_key = [bytes, b"\n[db]\nmore=1\n"].concat();
    assert!(matches!(Info::read(&with_key), Err(Invalid::Checksum { .. })), "a key more must be seen");
    // Without the end that is checked, the sections are the same.
    if bytes.ends_with(b"\n") {
        assert_eq!(Info::beginning(bytes).as_ref(), Ok(info));
    }
}
