//! In which files a base backup lies. One in tar format is `base.tar`, `pg_wal.tar` and one tar per tablespace, named by
//! its OID, each of which may be compressed; one in plain format is a directory, and its tablespaces lie beside it.

use std::fs;
use std::path::{Path, PathBuf};

/// One tar of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `base`, `pg_wal`, or the OID of a tablespace.
    pub stem: String,
    /// The file.
    pub path: PathBuf,
    /// How it is compressed.
    pub packed: Packed,
    /// Of a whole data directory in one tar, with what the paths of its members begin that is none of the data directory's: nothing, or
    /// a directory with a slash, where somebody packed that directory itself.
    pub one_tar: Option<String>,
}

/// How a tar is compressed, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Packed {
    /// Not at all.
    No,
    /// By gzip.
    Gzip,
    /// By LZ4.
    Lz4,
    /// By Zstandard.
    Zstd,
}

/// What the tar of a data directory is called, without its ending.
const BASE: &str = "base";

const ENDINGS: [(&str, Packed); 5] = [
    (".tar", Packed::No),
    (".tar.gz", Packed::Gzip),
    (".tgz", Packed::Gzip),
    (".tar.lz4", Packed::Lz4),
    (".tar.zst", Packed::Zstd),
];

impl Part {
    /// The name of its file.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Where in the data directory its members lie, as what their paths begin with.
    pub fn below(&self) -> String {
        match self.stem.as_str() {
            "base" => String::new(),
            "pg_wal" => "pg_wal/".to_owned(),
            oid => format!("pg_tblspc/{oid}/"),
        }
    }

    /// A whole data directory in one tar, whatever that is called.
    pub fn one_tar(path: PathBuf, packed: Packed, below: String) -> Self {
        Self { stem: BASE.to_owned(), path, packed, one_tar: Some(below) }
    }

    /// Where in the data directory a member of it lies, by its path in the tar; none where it is none of the data directory's.
    pub fn path_of(&self, member: &[u8]) -> Option<Vec<u8>> {
        let strip = self.one_tar.as_deref().unwrap_or_default().as_bytes();
        let within = match member.strip_prefix(strip) {
            Some(within) => within,
            None => strip.starts_with(&[member, b"/"].concat()).then_some(b"")?,
        };
        Some([self.below().as_bytes(), within].concat())
    }

    /// Whether it holds a tablespace.
    pub fn is_tablespace(&self) -> bool {
        self.stem.bytes().all(|byte| byte.is_ascii_digit())
    }
}

impl Packed {
    /// The program that unpacks it, which `tar` starts.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Gzip => Some("gzip"),
            Self::Lz4 => Some("lz4"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The tars of the backup in `directory`, the base first; none where it is in plain format.
pub fn of_tar(directory: &Path) -> Vec<Part> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut parts: Vec<Part> = entries.flatten().filter_map(|entry| part(&entry.path())).collect();
    parts.sort_by_key(|part| (part.stem != "base", part.stem != "pg_wal", part.stem.clone()));
    parts
}

/// The tar that a file is, by its name; none for a file that is no part of a backup.
pub fn part(path: &Path) -> Option<Part> {
    let name = path.file_name()?.to_str()?;
    let (stem, packed) =
        ENDINGS.iter().find_map(|(ending, packed)| Some((name.strip_suffix(ending)?, *packed)))?;
    let known = matches!(stem, "base" | "pg_wal")
        || (!stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()));
    known.then(|| Part { stem: stem.to_owned(), path: path.to_owned(), packed, one_tar: None })
}

/// Where the tablespaces of the plain backup in `directory` lie, each in a directory named by its OID: beside it, so
/// that whoever copies the backup does not copy them into the data directory.
pub fn beside(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(".tablespaces");
    directory.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_comes_first_and_what_is_no_part_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "16400.tar.zst",
            "base.tar.lz4",
            "pg_wal.tar",
            "16399.tar.gz",
            "backup_manifest",
            "x.tar",
            ".tar",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let parts = of_tar(directory.path());
        let shown: Vec<(&str, Packed, bool)> =
            parts.iter().map(|part| (part.stem.as_str(), part.packed, part.is_tablespace())).collect();
        let expected = [
            ("base", Packed::Lz4, false),
            ("pg_wal", Packed::No, false),
            ("16399", Packed::Gzip, true),
            ("16400", Packed::Zstd, true),
        ];
        assert_eq!(shown, expected);
        assert_eq!(beside(Path::new("/b/backup-1")), Path::new("/b/backup-1.tablespaces"));
    }

    #[test]
    fn members_of_one_tar_are_those_of_the_data_directory() {
        let one = |below: &str| Part::one_tar("x".into(), Packed::No, below.to_owned());
        let path = |below: &str, member: &str| {
            one(below).path_of(member.as_bytes()).map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(path("", "base/5/1259").as_deref(), Some("base/5/1259"));
        assert_eq!(path("srv/data/", "srv/data/PG_VERSION").as_deref(), Some("PG_VERSION"));
        // What lies above it is nothing of it, and no trouble either; what lies beside it is none of it.
        assert_eq!(path("srv/data/", "srv").as_deref(), Some(""));
        assert_eq!(path("srv/data/", "srv/data").as_deref(), Some(""));
        assert_eq!(path("srv/data/", "srv/database/PG_VERSION"), None);
        let wal = part(Path::new("pg_wal.tar")).unwrap();
        assert_eq!(wal.path_of(b"000000010000000000000001").unwrap(), b"pg_wal/000000010000000000000001");
    }
}
