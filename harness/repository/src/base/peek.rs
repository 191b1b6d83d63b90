//! What lies in the first part of a tar: the few files that say what it is. Reading ends as soon as they are known, and
//! after a bounded number of bytes in any case.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use pgdrill_backup::parts::Packed;
use pgdrill_backup::{tarball, unpack};
use tar::{Archive, Entries};

/// Bytes that are unpacked of an archive at most: `PG_VERSION` comes after whatever the file system lists before it.
const FURTHEST: u64 = 2 << 30;

/// Members that are looked at, at most.
const MOST_MEMBERS: usize = 2_000_000;

/// Bytes of a file that is kept.
const LARGEST_KEPT: u64 = 1 << 20;

/// Bytes with which a tar begins: its first header.
const HEADER: usize = 512;

/// What was seen of a tar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peeked {
    /// The files that were asked for, by their names without what comes before all of them.
    pub(crate) kept: Vec<(String, Vec<u8>)>,
    /// What comes before the names of all members: the directory that was packed.
    pub(crate) below: String,
    /// Why reading ended before everything that was asked for was seen; none where the archive ended.
    pub(crate) ended: Option<String>,
    /// Whether that was our own bound, and nothing that is wrong with the archive.
    pub(crate) bounded: bool,
    /// Members that were seen.
    pub(crate) members: usize,
}

impl Peeked {
    /// A file that was asked for and seen.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        self.kept.iter().find(|(kept, _)| kept == name).map(|(_, bytes)| bytes.as_slice())
    }
}

/// How a file is packed, and the first bytes of what is in it.
pub(crate) fn begins(mut file: File, length: usize) -> io::Result<(Packed, Vec<u8>)> {
    let mut magic = [0; 4];
    let read = fill(&mut file, &mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    let packed = match magic.get(..read).unwrap_or_default() {
        [0x1F, 0x8B, ..] => Packed::Gzip,
        [0x04, 0x22, 0x4D, 0x18] => Packed::Lz4,
        [0x28, 0xB5, 0x2F, 0xFD] => Packed::Zstd,
        _ => Packed::No,
    };
    let mut bytes = vec![0; length];
    let read = fill(&mut unpack::unpacked(unpack::buffered(Box::new(file)), packed)?, &mut bytes)?;
    bytes.truncate(read);
    Ok((packed, bytes))
}

/// Reads until a buffer is full or there is no more.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match from.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Whether bytes begin a tar: POSIX's mark, or that of GNU, and of pg_dump.
pub(crate) fn is_tar(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER && bytes.get(257..262) == Some(b"ustar")
}

/// Looks into a tar until `wanted` says that what was kept is enough. `keep` says of a member's name, without what comes before all of
/// them, how many bytes of it are kept at most.
pub(crate) fn peek(
    file: File,
    packed: Packed,
    keep: &dyn Fn(&str) -> Option<u64>,
    enough: &dyn Fn(&Peeked) -> bool,
) -> Peeked {
    let mut peeked = Peeked::default();
    let read = if packed == Packed::No {
        // What is not packed need not be read to be passed.
        Archive::new(file).entries_with_seek().and_then(|entries| members(entries, keep, enough, &mut peeked))
    } else {
        let stream = unpack::unpacked(unpack::buffered(Box::new(file)), packed);
        stream.and_then(|stream| {
            let spent = Cell::new(false);
            let mut archive = Archive::new(Limited { stream, left: FURTHEST, spent: &spent });
            let read = archive.entries().and_then(|entries| members(entries, keep, enough, &mut peeked));
            peeked.bounded = spent.get();
            read
        })
    };
    if let Err(error) = read {
        peeked.ended = Some(error.to_string());
    }
    peeked
}

fn members<R: Read>(
    entries: Entries<'_, R>,
    keep: &dyn Fn(&str) -> Option<u64>,
    enough: &dyn Fn(&Peeked) -> bool,
    peeked: &mut Peeked,
) -> io::Result<()> {
    let mut below: Option<String> = None;
    for entry in entries {
        let mut entry = entry?;
        peeked.members += 1;
        if peeked.members > MOST_MEMBERS {
            return Err(io::Error::other(format!(
                "it has more than {MOST_MEMBERS} members, the rest of which was not looked at"
            )));
        }
        let is_file = entry.header().entry_type().is_file();
        let Some(path) = tarball::within(&entry.path_bytes()).and_then(|path| String::from_utf8(path).ok())
        else {
            continue;
        };
        if path.is_empty() {
            continue;
        }
        // A data directory that was packed with its own name has that before each of its members: the first file that every one has
        // says what that is.
        let above = below_of(&path);
        let name = path.strip_prefix(below.as_deref().or(above).unwrap_or_default()).unwrap_or(&path);
        if let Some(limit) = keep(name).filter(|_| is_file) {
            let mut bytes = Vec::new();
            (&mut entry).take(limit.min(LARGEST_KEPT)).read_to_end(&mut bytes)?;
            peeked.kept.push((name.to_owned(), bytes));
            if let (None, Some(above)) = (&below, above) {
                peeked.below = above.to_owned();
                below = Some(above.to_owned());
            }
            if enough(peeked) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What comes before the name that a file has in its data directory, where it is one that tells; with the slash.
fn below_of(path: &str) -> Option<&str> {
    const TELLING: [&str; 4] = ["global/pg_control", "backup_label", "tablespace_map", "backup_manifest"];
    let before =
        |name: &str| path.strip_suffix(name).filter(|before| before.is_empty() || before.ends_with('/'));
    if let Some(before) = TELLING.iter().find_map(|name| before(name)) {
        return Some(before);
    }
    let directory = before("PG_VERSION")?;
    // Each database has one, too; that of a tablespace tells nothing.
    let (outer, own) = match directory.trim_end_matches('/').rsplit_once('/') {
        Some((outer, own)) => (outer, own),
        None => ("", directory.trim_end_matches('/')),
    };
    let of_a_database = !own.is_empty() && own.bytes().all(|byte| byte.is_ascii_digit());
    match outer.strip_suffix("base") {
        Some(before) if of_a_database && (before.is_empty() || before.ends_with('/')) => Some(before),
        _ if of_a_database => None,
        _ => Some(directory),
    }
}

/// A stream of which no more than so much is read.
struct Limited<'a, R> {
    stream: R,
    left: u64,
    /// Whether more was asked for.
    spent: &'a Cell<bool>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.spent.set(true);
            return Err(io::Error::other(format!(
                "{} MiB of it were looked at, and the rest was not",
                FURTHEST >> 20
            )));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let read = self.stream.read(&mut into[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::below_of;
    use rstest::rstest;

    #[rstest]
    #[case("PG_VERSION", Some(""))]
    #[case("data/PG_VERSION", Some("data/"))]
    #[case("var/lib/15/main/global/pg_control", Some("var/lib/15/main/"))]
    #[case("base/5/PG_VERSION", Some(""))]
    #[case("data/base/5/PG_VERSION", Some("data/"))]
    #[case("database/5/PG_VERSION", None)]
    #[case("pg_tblspc/16400/PG_15_202209061/5/PG_VERSION", None)]
    #[case("data/backup_label", Some("data/"))]
    #[case("old_backup_label", None)]
    #[case("base/5/1259", None)]
    fn what_comes_before_a_file_that_every_data_directory_has(
        #[case] path: &str,
        #[case] below: Option<&str>,
    ) {
        assert_eq!(below_of(path), below);
    }
}
