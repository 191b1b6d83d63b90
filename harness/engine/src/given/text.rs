//! Copies a dump that is SQL, line by line, and refuses what no dump has: psql would run it.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

/// Commands of psql that `pg_dump` and `pg_dumpall` write (`src/bin/pg_dump/pg_dumpall.c`, `dumputils.c`; the encoding before the
/// name of a database that is more than letters and digits: `appendPsqlMetaConnect`, `src/fe_utils/string_utils.c`).
const OF_DUMPS: [&str; 5] = ["\\connect ", "\\restrict ", "\\unrestrict ", "\\encoding SQL_ASCII", "\\."];

/// The role that every cluster begins with, and that a dump of one makes all the same.
const FIRST_ROLE: &str = "CREATE ROLE postgres;";

/// The most of a line that is told.
const LONGEST: usize = 80;

/// What became of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it is there. These tablespaces it names and does not make, as SQL has their names.
    Whole(BTreeSet<String>),
    /// It makes a tablespace, in this place.
    Tablespace(String),
    /// It has a command for psql that is none of a dump's.
    Command(String),
}

/// Copies SQL.
///
/// # Errors
///
/// As the standard library has them.
pub fn copy_sql(mut from: impl BufRead, to: &mut impl Write) -> io::Result<Kept> {
    let (mut line, mut data, mut named) = (Vec::new(), false, BTreeSet::new());
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            to.flush()?;
            return Ok(Kept::Whole(named));
        }
        let text = line.trim_ascii_end();
        if data {
            data = text != b"\\.";
        } else if text.starts_with(b"COPY ") && text.ends_with(b" FROM stdin;") {
            data = true;
        } else if text.starts_with(b"CREATE TABLESPACE ") {
            let text = String::from_utf8_lossy(text);
            let location = text.split('\'').nth(1).unwrap_or("an unknown place").to_owned();
            return Ok(Kept::Tablespace(location));
        } else if text.starts_with(b"\\") && !OF_DUMPS.iter().any(|own| text.starts_with(own.as_bytes())) {
            return Ok(Kept::Command(String::from_utf8_lossy(text).chars().take(LONGEST).collect()));
        } else if text == FIRST_ROLE.as_bytes() {
            continue;
        } else {
            named.extend(tablespace(text));
        }
        to.write_all(&line)?;
    }
}

/// The tablespace that a line names, which data or a database is to lie in.
fn tablespace(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let name = match line.strip_prefix("SET default_tablespace = ") {
        Some(rest) => rest,
        None => line.strip_prefix("CREATE DATABASE ")?.split_once(" TABLESPACE = ")?.1,
    };
    let name = name.strip_suffix(';')?;
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let good = !name.is_empty()
        && quoted.map_or_else(|| plain(name), |name| !name.replace("\"\"", "").contains('"'));
    (good && !name.starts_with("pg_")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("SET default_tablespace = fast;", Some("fast"))]
    #[case("SET default_tablespace = \"two words\";", Some("\"two words\""))]
    #[case("SET default_tablespace = \"a\"; DROP TABLE t; --\";", None)]
    #[case("SET default_tablespace = a; DROP TABLE t;", None)]
    #[case("SET default_tablespace = '';", None)]
    #[case("SET default_tablespace = pg_default;", None)]
    #[case("CREATE DATABASE shop WITH TEMPLATE = template0 LOCALE = 'C' TABLESPACE = fast;", Some("fast"))]
    #[case("CREATE DATABASE shop;", None)]
    fn tablespaces_are_named(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(tablespace(line.as_bytes()).as_deref(), expected);
    }

    #[rstest]
    #[case("CREATE ROLE postgres;\nCREATE ROLE app;\n", Ok("CREATE ROLE app;\n"))]
    #[case(
        "\\connect shop\nCOPY t FROM stdin;\n\\N\n\\! not a command\n\\.\nSELECT 1;\n",
        Ok("\\connect shop\nCOPY t FROM stdin;\n\\N\n\\! not a command\n\\.\nSELECT 1;\n")
    )]
    #[case(
        "\\encoding SQL_ASCII\n\\connect -reuse-previous=on \"dbname='a b'\"\n",
        Ok("\\encoding SQL_ASCII\n\\connect -reuse-previous=on \"dbname='a b'\"\n")
    )]
    #[case("SELECT 1;\n\\! touch /tmp/x\n", Err(Kept::Command("\\! touch /tmp/x".to_owned())))]
    #[case("COPY t FROM stdin;\n1\n\\.\n\\copy t to program 'x'\n", Err(Kept::Command("\\copy t to program 'x'".to_owned())))]
    #[case("CREATE TABLESPACE fast OWNER postgres LOCATION '/srv/fast';\n", Err(Kept::Tablespace("/srv/fast".to_owned())))]
    #[case("no newline", Ok("no newline"))]
    fn what_no_dump_has_is_refused(#[case] text: &str, #[case] expected: Result<&str, Kept>) {
        let mut to = Vec::new();
        let kept = copy_sql(text.as_bytes(), &mut to).unwrap();
        match expected {
            Ok(copied) => {
                assert_eq!((kept, to.as_slice()), (Kept::Whole(BTreeSet::new()), copied.as_bytes()));
            }
            Err(refused) => assert_eq!(kept, refused),
        }
    }
}
