//! How a base backup is compressed, in `pg_basebackup`'s own notation:
//! `[{client|server}-]METHOD[:DETAIL]` (`doc/src/sgml/ref/pg_basebackup.sgml`, `src/common/compression.c`).

use std::fmt;

use super::mistake::{nearest, quote};
use super::tree::found_text;
use super::value::{FromText, read_from_text};
use super::wrong::Words;

/// How a base backup is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compress {
    /// With which method; none is no compression, and the rest says nothing then.
    pub method: Method,
    /// By whom.
    pub side: Side,
    /// How hard; none leaves it to the program.
    pub level: Option<i32>,
    /// By how many threads; only zstd has them.
    pub workers: Option<u32>,
    /// Whether zstd looks for repetitions far apart.
    pub long: bool,
}

/// A method of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// No compression.
    None,
    /// gzip: every major, by `pg_basebackup` itself.
    Gzip,
    /// LZ4, from 15 on.
    Lz4,
    /// Zstandard, from 15 on.
    Zstd,
}

/// Who compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `pg_basebackup`.
    Client,
    /// The server, from 15 on; `pg_basebackup` unpacks what is to be plain.
    Server,
}

const METHODS: [Method; 4] = [Method::None, Method::Gzip, Method::Lz4, Method::Zstd];

impl Method {
    /// Its name in the notation and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The levels that it has (`get_compress_level` and its neighbours, `src/common/compression.c`).
    fn levels(self) -> std::ops::RangeInclusive<i32> {
        match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=9,
            Self::Lz4 => 1..=12,
            // ZSTD_minCLevel() and ZSTD_maxCLevel()
            Self::Zstd => -131_072..=22,
        }
    }
}

impl Side {
    /// Its name in the notation and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl Compress {
    /// No compression.
    pub const NONE: Self =
        Self { method: Method::None, side: Side::Client, level: None, workers: None, long: false };

    /// gzip by the client, at its own level.
    pub const GZIP: Self = Self { method: Method::Gzip, ..Self::NONE };

    /// What stands behind the colon of the notation; empty where nothing does.
    pub fn detail(&self) -> String {
        let level = self.level.map(|level| format!("level={level}"));
        let workers = self.workers.map(|workers| format!("workers={workers}"));
        let long = self.long.then(|| "long".to_owned());
        [level, workers, long].into_iter().flatten().collect::<Vec<_>>().join(",")
    }
}

/// The notation, with the side always told, as `pg_basebackup --compress` of 15 and later takes it.
impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.method == Method::None {
            return f.write_str("none");
        }
        write!(f, "{}-{}", self.side.name(), self.method.name())?;
        match self.detail() {
            detail if detail.is_empty() => Ok(()),
            detail => write!(f, ":{detail}"),
        }
    }
}

read_from_text!(Compress);

impl FromText for Compress {
    const WANTED: &'static str = "a compression, as in gzip, zstd:3 or server-lz4";
    const HINT: &'static str = "the methods are none, gzip, lz4, zstd, with client- or server- before them and a level behind a colon";

    fn from_text(text: &str) -> Result<Self, Words> {
        let (head, detail) = match text.split_once(':') {
            Some((head, detail)) => (head, Some(detail)),
            None => (text, None),
        };
        let (side, name) = match (head.strip_prefix("client-"), head.strip_prefix("server-")) {
            (Some(name), _) => (Side::Client, name),
            (_, Some(name)) => (Side::Server, name),
            _ => (Side::Client, head),
        };
        let Some(method) = METHODS.into_iter().find(|method| method.name() == name) else {
            return Err(unknown(text, head, detail));
        };
        if method == Method::None {
            return if head == "none" && detail.is_none() {
                Ok(Self::NONE)
            } else {
                Err(Words::predicate(
                    format!("is no compression and something beside it: {}", quote(text)),
                    "write none",
                ))
            };
        }
        let mut compress = Self { method, side, ..Self::NONE };
        for part in detail.into_iter().flat_map(|detail| detail.split(',')) {
            compress.take(part)?;
        }
        Ok(compress)
    }
}

impl Compress {
    /// Takes one part of the detail.
    fn take(&mut self, part: &str) -> Result<(), Words> {
        let method = self.method.name();
        let (key, value) = match part.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None if part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => ("level", Some(part)),
            None => (part, None),
        };
        match (key, value) {
            ("level", Some(value)) => {
                let levels = self.method.levels();
                let level = value.parse().ok().filter(|level| levels.contains(level)).ok_or_else(|| {
                    Words::predicate(
                        format!("has a level that {method} does not have: {}", quote(value)),
                        format!("{method} has levels {} to {}", levels.start(), levels.end()),
                    )
                })?;
                if self.level.replace(level).is_some() {
                    return Err(Words::predicate("has two levels", "keep one of them"));
                }
                Ok(())
            }
            ("workers" | "long", _) if self.method != Method::Zstd => Err(Words::predicate(
                format!("gives {method} {}, which only zstd has", quote(key)),
                "leave it out, or write zstd",
            )),
            ("workers", Some(value)) => {
                self.workers = Some(
                    value.parse().ok().filter(|workers| (1..=64).contains(workers)).ok_or_else(|| {
                        Words::predicate(
                            format!("has workers that are no number from 1 to 64: {}", quote(value)),
                            "",
                        )
                    })?,
                );
                Ok(())
            }
            ("long", None | Some("on" | "true" | "yes" | "1")) => {
                self.long = true;
                Ok(())
            }
            _ => Err(Words::predicate(
                format!("has a detail that {method} does not have: {}", quote(part)),
                "the details are level=N, or N alone, and of zstd also workers=N and long",
            )),
        }
    }
}

fn unknown(text: &str, head: &str, detail: Option<&str>) -> Words {
    // In versions before 15 a number was the level of gzip.
    if detail.is_none() && !head.is_empty() && head.bytes().all(|byte| byte.is_ascii_digit()) {
        return Words::predicate(
            format!("must be {}; found {}", Compress::WANTED, quote(text)),
            format!("a number alone does not say of what: write gzip:{head}"),
        );
    }
    let sides = ["", "client-", "server-"];
    let heads: Vec<String> =
        sides.iter().flat_map(|side| METHODS.map(|method| format!("{side}{}", method.name()))).collect();
    let hint = match nearest(head, heads.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{}'?", text.replacen(head, near, 1)),
        None => Compress::HINT.to_owned(),
    };
    Words::predicate(format!("must be {}; found {}", Compress::WANTED, found_text(text)), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("none", "none")]
    #[case("gzip", "client-gzip")]
    #[case("client-gzip:9", "client-gzip:level=9")]
    #[case("server-lz4", "server-lz4")]
    #[case("zstd:3", "client-zstd:level=3")]
    #[case("zstd:-5", "client-zstd:level=-5")]
    #[case("server-zstd:level=3,workers=2,long", "server-zstd:level=3,workers=2,long")]
    fn the_notation_is_read_and_written(#[case] text: &str, #[case] full: &str) {
        let compress = Compress::from_text(text).unwrap();
        assert_eq!(compress.to_string(), full);
        assert_eq!(Compress::from_text(full).unwrap(), compress);
    }

    #[rstest]
    #[case("")]
    #[case("5")]
    #[case("gzip:0")]
    #[case("gzip:10")]
    #[case("gzip:")]
    #[case("gzip:3,4")]
    #[case("gzip:workers=2")]
    #[case("lz4:long")]
    #[case("zstd:workers=0")]
    #[case("zstd:23")]
    #[case("none:3")]
    #[case("server-none")]
    #[case("server-")]
    #[case("bzip2")]
    #[case("server_lz4")]
    fn what_is_no_notation_is_refused(#[case] text: &str) {
        assert!(Compress::from_text(text).is_err());
    }
}
