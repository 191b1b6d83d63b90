//! A dump as SQL: the comments with which `pg_dump` and `pg_dumpall` begin and end it.

/// Bytes at the beginning of a dump in which its comments lie: `pg_dumpall` writes its roles before the first of them.
pub(crate) const BEGINS: usize = 1 << 20;

/// Bytes at its end in which it says that it is complete.
pub(crate) const ENDS: usize = 4 << 10;

/// What the comments of a dump say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments {
    /// Whether it is of all databases of a cluster, or of what they share (`pg_dumpall`).
    pub cluster: bool,
    /// The version of the server, in its own words.
    pub server_version: Option<String>,
    /// The version of `pg_dump`.
    pub dump_version: Option<String>,
    /// When it was begun, where that was asked for (`--verbose`).
    pub started: Option<String>,
    /// The encoding of its text.
    pub encoding: Option<String>,
}

impl Comments {
    /// Reads the comments with which a dump begins; none where it begins with none of them.
    pub fn read(begin: &str) -> Option<Self> {
        let mut comments = Self::default();
        let mut lines = begin.trim_start_matches('\u{FEFF}').lines().map(str::trim_end);
        // The comment is the first that such a dump has.
        let first = lines.by_ref().find(|line| !line.is_empty() && *line != "--")?;
        match first {
            "-- PostgreSQL database dump" => {}
            "-- PostgreSQL database cluster dump" => comments.cluster = true,
            _ => return None,
        }
        let take = |into: &mut Option<String>, value: &str| {
            if into.is_none() {
                *into = Some(value.to_owned());
            }
        };
        for line in lines {
            if let Some(value) = line.strip_prefix("-- Dumped from database version ") {
                take(&mut comments.server_version, value);
            } else if let Some(value) = line.strip_prefix("-- Dumped by pg_dump version ") {
                take(&mut comments.dump_version, value);
            } else if let Some(value) = line.strip_prefix("-- Started on ") {
                take(&mut comments.started, value);
            } else if let Some(value) = line.strip_prefix("SET client_encoding = '") {
                take(&mut comments.encoding, value.trim_end_matches("';"));
            }
            if comments.dump_version.is_some() && comments.encoding.is_some() {
                break;
            }
        }
        Some(comments)
    }

    /// Whether the end of a dump says that it is complete.
    pub fn ends(&self, end: &str) -> bool {
        let last = if self.cluster {
            "-- PostgreSQL database cluster dump complete"
        } else {
            "-- PostgreSQL database dump complete"
        };
        end.lines().any(|line| line.trim_end() == last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read_wherever_psql_is_restricted() {
        let text = "--\n-- PostgreSQL database dump\n--\n\n\\restrict V5XK\n\n-- Dumped from database version 15.18 (Debian)\n\
            -- Dumped by pg_dump version 17.2\n\nSET client_encoding = 'LATIN1';\n";
        let comments = Comments::read(text).unwrap();
        assert_eq!(comments.server_version.as_deref(), Some("15.18 (Debian)"));
        assert_eq!(comments.dump_version.as_deref(), Some("17.2"));
        assert_eq!(comments.encoding.as_deref(), Some("LATIN1"));
        assert!(!comments.cluster);
        assert!(comments.ends("x\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict V5XK\n\n"));
        assert!(!comments.ends("COPY public.a (i, t) FROM stdin;\n1\tx\n"));
    }

    #[test]
    fn other_sql_is_no_dump() {
        assert_eq!(Comments::read("SELECT 1; -- PostgreSQL database dump\n"), None);
        assert_eq!(Comments::read("-- MySQL dump 10.13\n"), None);
        assert_eq!(Comments::read(""), None);
    }
}
