//! What lies in the first part of a tar: the few files that say what it is. Reading ends as soon as they are known, and
//! after a bounded number of bytes in any case.

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
            let mut archive = Archive::new(Limited { stream, left: FURTHEST });
            let entries = archive.entries()?;
            members(entries, keep, enough, &mut peeked)
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
        // A data directory that was packed with its own name has that before each of its members.
        let below = below.get_or_insert_with(|| if is_file { String::new() } else { first_directory(&path) });
        let name = path.strip_prefix(below.as_str()).unwrap_or(&path);
        if let Some(limit) = keep(name).filter(|_| is_file) {
            let mut bytes = Vec::new();
            (&mut entry).take(limit.min(LARGEST_KEPT)).read_to_end(&mut bytes)?;
            peeked.kept.push((name.to_owned(), bytes));
            peeked.below.clone_from(below);
            if enough(peeked) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The directory that everything in an archive lies in, if its first member is one that no data directory has.
fn first_directory(path: &str) -> String {
    const OF_A_CLUSTER: [&str; 22] = [
        "base",
        "global",
        "pg_wal",
        "pg_xact",
        "pg_tblspc",
        "pg_multixact",
        "pg_commit_ts",
        "pg_dynshmem",
        "pg_logical",
        "pg_notify",
        "pg_replslot",
        "pg_serial",
        "pg_snapshots",
        "pg_stat",
        "pg_stat_tmp",
        "pg_subtrans",
        "pg_twophase",
        "log",
        "pg_log",
        "current_logfiles",
        "conf.d",
        "pg_upgrade_output.d",
    ];
    let first = path.split('/').next().unwrap_or_default();
    if OF_A_CLUSTER.contains(&first) { String::new() } else { format!("{first}/") }
}

/// A stream of which no more than so much is read.
struct Limited<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
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
