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
            Some((oid, path)) if !path.is_empty() && oid.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Mapping { oid: oid.to_owned(), path: path.to_owned() })
            }
            _ => Err(Malformed::new(FORMAT, format!("'{line}' is not an OID and a path"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_newlines_and_backslashes() {
        let mappings = read("16400 /srv/ts one\n16401 /srv/a\\\nb\\\\c\n").unwrap();
        let pairs: Vec<(&str, &str)> = mappings.iter().map(|m| (m.oid.as_str(), m.path.as_str())).collect();
        assert_eq!(pairs, [("16400", "/srv/ts one"), ("16401", "/srv/a\nb\\c")]);
        assert!(read("nonsense\n").is_err());
        assert_eq!(read("").unwrap(), []);
    }
}
