//! `tablespace_map`, by which a restored backup finds its tablespaces (`read_tablespace_map`,
//! `src/backend/access/transam/xlogrecovery.c`): lines of `OID path`, with newlines and backslashes in the path
//! escaped by a backslash.

use crate::Malformed;

const FORMAT: &str = "tablespace_map";

/// One tablespace of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its OID, which names its link under `pg_tblspc/`.
    pub oid: String,
    /// Where the link will lead.
    pub path: String,
}

/// Reads a tablespace map.
///
/// # Errors
///
/// A line without an OID and a path.
pub fn read(text: &str) -> Result<Vec<Mapping>, Malformed> {
    let mut lines = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => lines.last_mut().into_iter().for_each(|line| line.extend(characters.next())),
            '\n' | '\r' => lines.push(String::new()),
            other => lines.last_mut().into_iter().for_each(|line| line.push(other)),
        }
    }
    lines
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(' ') {
            Some((oid, path)) if !path.is_empty() && is_number(oid) => {
                Ok(Mapping { oid: oid.to_owned(), path: path.to_owned() })
            }
            _ => Err(Malformed::new(FORMAT, format!("'{line}' is not an OID and a path"))),
        })
        .collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes a tablespace map. `backslashes`: whether readers take a backslash for an escape before any character, as
/// those from 14 on do; for 13 it is one only before a line break.
pub fn write(mappings: &[Mapping], backslashes: bool) -> String {
    let mut text = String::new();
    for mapping in mappings {
        text.push_str(&mapping.oid);
        text.push(' ');
        for character in mapping.path.chars() {
            if matches!(character, '\n' | '\r') || (backslashes && character == '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_newlines_and_backslashes() {
        let mappings = read("16400 /srv/ts one\n16401 /srv/a\\\nb\\\\c\n").unwrap();
        let pairs: Vec<(&str, &str)> = mappings.iter().map(|m| (m.oid.as_str(), m.path.as_str())).collect();
        assert_eq!(pairs, [("16400", "/srv/ts one"), ("16401", "/srv/a\nb\\c")]);
        for wrong in ["nonsense\n", "16400 \n", "16400\n", " /srv/ts\n", "1x /srv/ts\n"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mappings: Vec<Mapping> = ["/srv/ts one", "/srv/a\nb\\c", "/\r"]
            .into_iter()
            .zip(16_400..)
            .map(|(path, oid)| Mapping { oid: oid.to_string(), path: path.to_owned() })
            .collect();
        assert_eq!(read(&write(&mappings, true)).unwrap(), mappings);
        assert_eq!(write(&mappings[1..2], false), "16401 /srv/a\\\nb\\c\n");
    }
}
