//! Names and places of relation files (`src/common/relpath.c`, `src/backend/storage/smgr/md.c`).

/// OID of the tablespace of what all databases share (`pg_tablespace.dat`).
pub const GLOBAL: u32 = 1664;

/// OID of the tablespace in which databases lie by default.
pub const DEFAULT: u32 = 1663;

/// A file that lies where relations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located<'a> {
    /// Its directory, within the data directory.
    pub directory: &'a str,
    /// Its name there.
    pub name: &'a str,
    /// OID of its tablespace.
    pub tablespace: u32,
    /// OID of its database; 0 for what all databases share.
    pub database: u32,
}

/// Reads the path of a file within the data directory (`GetRelationPath`); none when no relation lies there.
pub fn locate(path: &str) -> Option<Located<'_>> {
    let (directory, name) = path.rsplit_once('/')?;
    let mut parts = directory.split('/');
    let (tablespace, database) = match (parts.next()?, parts.next(), parts.next(), parts.next(), parts.next())
    {
        ("global", None, ..) => (GLOBAL, 0),
        ("base", Some(database), None, ..) => (DEFAULT, number(database)?),
        ("pg_tblspc", Some(oid), Some(version), Some(database), None) if version.starts_with("PG_") => {
            (number(oid)?, number(database)?)
        }
        _ => return None,
    };
    Some(Located { directory, name, tablespace, database })
}

/// A file of a relation, as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationFile {
    /// The relation's file number.
    pub number: u32,
    /// The fork: `main`, `fsm`, `vm` or `init`.
    pub fork: &'static str,
    /// Which of the files of a large relation, from 0.
    pub segment: u32,
}

/// Reads a file's name; none when it is not a permanent relation's file.
pub fn parse(name: &str) -> Option<RelationFile> {
    let (stem, segment) = match name.split_once('.') {
        Some((stem, segment)) => (stem, number(segment).filter(|n| *n > 0)?),
        None => (name, 0),
    };
    let (number_text, fork) = match stem.split_once('_') {
        Some((number_text, fork)) => {
            (number_text, ["fsm", "vm", "init"].into_iter().find(|name| *name == fork)?)
        }
        None => (stem, "main"),
    };
    Some(RelationFile { number: number(number_text)?, fork, segment })
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("global/1262", Some((GLOBAL, 0, "1262")))]
    #[case("base/5/PG_VERSION", Some((DEFAULT, 5, "PG_VERSION")))]
    #[case("pg_tblspc/16400/PG_15_202209061/5/16401.1", Some((16_400, 5, "16401.1")))]
    #[case("pg_tblspc/16400/5/16401", None)]
    #[case("pg_tblspc/16400/15_202209061/5/16401", None)]
    #[case("base/5/deeper/16384", None)]
    #[case("base/+5/16384", None)]
    #[case("base/pgsql_tmp/5", None)]
    #[case("16384", None)]
    fn places(#[case] path: &str, #[case] expected: Option<(u32, u32, &str)>) {
        let located = locate(path).map(|located| (located.tablespace, located.database, located.name));
        assert_eq!(located, expected);
    }

    #[rstest]
    #[case("16384", Some((16384, "main", 0)))]
    #[case("16384.1", Some((16384, "main", 1)))]
    #[case("16384_fsm", Some((16384, "fsm", 0)))]
    #[case("16384_vm.2", Some((16384, "vm", 2)))]
    #[case("PG_VERSION", None)]
    #[case("pg_filenode.map", None)]
    #[case("t3_16390", None)]
    #[case("16384.0", None)]
    #[case("16384_tmp", None)]
    #[case("", None)]
    fn names(#[case] name: &str, #[case] expected: Option<(u32, &'static str, u32)>) {
        let expected = expected.map(|(number, fork, segment)| RelationFile { number, fork, segment });
        assert_eq!(parse(name), expected);
    }
}
