//! Paths that are not looked at (`should_ignore_relpath`, `src/bin/pg_verifybackup/pg_verifybackup.c`).

/// What every verification leaves out: the manifest, which does not list itself; the WAL, which is verified apart; and
/// what is often made or changed after a backup.
const ALWAYS: [&[u8]; 5] =
    [b"backup_manifest", b"pg_wal", b"postgresql.auto.conf", b"recovery.signal", b"standby.signal"];

/// Paths that are not looked at, each with everything below it.
#[derive(Clone, Debug)]
pub struct Ignored(Vec<Vec<u8>>);

impl Ignored {
    /// Those of every verification, and `more`.
    pub fn new(more: &[Vec<u8>]) -> Self {
        let always = ALWAYS.into_iter().map(<[u8]>::to_vec);
        Self(always.chain(more.iter().map(|path| canonical(path))).collect())
    }

    /// These and no others.
    pub fn only(paths: &[Vec<u8>]) -> Self {
        Self(paths.to_vec())
    }

    /// Whether the directory itself is one of them, and so everything.
    pub fn has_all(&self) -> bool {
        self.0.iter().any(Vec::is_empty)
    }

    /// Whether `path` is one of them, or lies below one.
    pub fn has(&self, path: &[u8]) -> bool {
        self.0.iter().any(|ignored| match path.strip_prefix(ignored.as_slice()) {
            Some(rest) => rest.is_empty() || rest[0] == b'/',
            None => false,
        })
    }
}

/// A path without `.`, double slashes, and a slash at its end (`canonicalize_path`, `src/port/path.c`).
fn canonical(path: &[u8]) -> Vec<u8> {
    let absolute = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        match part {
            b".." if parts.last().is_some_and(|last| *last != b"..") => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    if absolute { [b"/", joined.as_slice()].concat() } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("pg_wal", true)]
    #[case("pg_wal/000000010000000000000001", true)]
    #[case("pg_wal2", false)]
    #[case("aa/bb", true)]
    #[case("aa/bb/cc", true)]
    #[case("aa/bbb", false)]
    #[case("aa", false)]
    #[case("base/postgresql.auto.conf", false)]
    fn a_path_and_what_is_below_it(#[case] path: &str, #[case] expected: bool) {
        let ignored = Ignored::new(&[b"./aa//x/../bb/".to_vec()]);
        assert_eq!(ignored.has(path.as_bytes()), expected);
    }
}
