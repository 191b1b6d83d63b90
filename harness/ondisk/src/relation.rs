//! Names of relation files (`src/common/relpath.c`, `src/backend/storage/smgr/md.c`).

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
