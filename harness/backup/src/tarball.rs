//! A tar, member by member, taken literally. The library that reads the format is lenient: it ends quietly where a tar is
//! cut off between two members, gives less than a member's size where it is cut within one, and unpacks some sparse files
//! wrongly. Here each of these is said.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, BufReader, ErrorKind, Read};
use std::rc::Rc;

use tar::{Archive, EntryType};

/// Bytes of a tar's block (`ustar`, POSIX.1-1988).
const BLOCK: u64 = 512;

/// Bytes of a member that are passed by at once.
const SKIPPED: usize = 256 << 10;

/// A member of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path, without `.` and without a slash at its end; of what would lead out of the directory into which a tar is
    /// unpacked there is none.
    pub path: Option<Vec<u8>>,
    /// Its path as it stands in the tar.
    pub written: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of its content.
    pub size: u64,
    /// Its permissions.
    pub mode: u32,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// What has no place in a backup: a hard link, a device, a pipe, a sparse file.
    Other(&'static str),
}

/// How a tar ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With its two blocks of zeros.
    Whole,
    /// Between two members, without them: what came after may be cut off.
    Early,
    /// With something behind them.
    WithMore,
}

/// Why a tar cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It is not what its format says, or it is cut off.
    #[error("{what}")]
    Damaged {
        /// What is wrong.
        what: String,
        /// The member within which it is; none when it is between two.
        within: Option<Vec<u8>>,
    },
    /// The system could not read it, which says nothing about it.
    #[error("{what}")]
    Unreadable {
        /// What the system says.
        what: String,
    },
    /// What was to be done with a member failed.
    #[error(transparent)]
    Stopped(#[from] io::Error),
}

/// Reads a tar to its end, and gives each member to `each` with its content, which has just the bytes of its size; what
/// is left unread of it is skipped. That of a sparse file is better left: its holes can be of any size.
///
/// # Errors
///
/// Why it cannot be read any further, and what `each` gives.
pub fn read(
    stream: impl Read,
    mut each: impl FnMut(&Member, &mut dyn Read) -> io::Result<()>,
) -> Result<Ended, Broken> {
    let tail = Rc::new(Cell::new(Tail::default()));
    let mut archive = Archive::new(Watched { stream, tail: Rc::clone(&tail) });
    {
        let members = archive.entries().map_err(|error| broken(&error))?;
        for entry in members {
            let mut entry = entry.map_err(|error| broken(&error))?;
            let member = member(&mut entry).map_err(|error| broken(&error))?;
            // The library goes past them without reading what they stand for.
            let has_no_holes = !entry.header().entry_type().is_gnu_sparse();
            let mut content = Content { left: member.size, entry: &mut entry, failed: None };
            let done = each(&member, &mut content);
            if done.is_ok() && has_no_holes && content.left > 0 {
                // In large pieces: unpacking into small ones takes half as long again.
                io::copy(&mut BufReader::with_capacity(SKIPPED, &mut content), &mut io::sink()).ok();
            }
            if let Some(mut failed) = content.failed.take() {
                if let Broken::Damaged { within, .. } = &mut failed {
                    *within = Some(member.written);
                }
                return Err(failed);
            }
            done?;
        }
    }
    // The last that was read is the first block of zeros; where there is none, one block more or less decides nothing.
    let behind = tail.get().all.saturating_sub(BLOCK);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| broken(&error))?;
    let Tail { all, zeros } = tail.get();
    let rest = all.saturating_sub(behind);
    Ok(if rest < 2 * BLOCK {
        Ended::Early
    } else if zeros < rest {
        Ended::WithMore
    } else {
        Ended::Whole
    })
}

/// Why a tar cannot be read: what the system says of a file has a number, somewhere below what the library says; what is
/// wrong with its content has none.
fn broken(error: &io::Error) -> Broken {
    let first: &(dyn Error + 'static) = error;
    let mut causes = std::iter::successors(Some(first), |cause| (*cause).source());
    let of_the_system = |cause: &(dyn Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .filter(|cause| cause.raw_os_error().is_some())
            .map(ToString::to_string)
    };
    match (causes.find_map(of_the_system), error.kind()) {
        (Some(what), _) => Broken::Unreadable { what },
        (None, ErrorKind::UnexpectedEof) => {
            Broken::Damaged { what: "it is cut off".to_owned(), within: None }
        }
        (None, _) => Broken::Damaged { what: error.to_string(), within: None },
    }
}

fn member<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Member> {
    let written = entry.path_bytes().into_owned();
    let sparse_by_pax = match entry.pax_extensions()? {
        Some(extensions) => {
            let names: Result<Vec<_>, _> = extensions.map(|e| e.map(|e| e.key_bytes().to_vec())).collect();
            names?.iter().any(|name| name.starts_with(b"GNU.sparse."))
        }
        None => false,
    };
    let kind = match entry.header().entry_type() {
        _ if sparse_by_pax => Kind::Other("a sparse file"),
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Link,
        EntryType::Link => Kind::Other("a hard link"),
        EntryType::Char | EntryType::Block => Kind::Other("a device"),
        EntryType::Fifo => Kind::Other("a pipe"),
        EntryType::GNUSparse => Kind::Other("a sparse file"),
        _ => Kind::Other("of an unknown kind"),
    };
    Ok(Member {
        path: within(&written),
        written,
        kind,
        size: entry.size(),
        mode: entry.header().mode()? & 0o7777,
    })
}

/// A path without `.` and double slashes; none when it is absolute, or leads upwards. The directory itself is empty.
pub fn within(path: &[u8]) -> Option<Vec<u8>> {
    if path.starts_with(b"/") || path.contains(&0) {
        return None;
    }
    let mut plain: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if part == b".." {
            return None;
        }
        if !plain.is_empty() {
            plain.push(b'/');
        }
        plain.extend_from_slice(part);
    }
    Some(plain)
}

/// The content of a member. It never ends before its size without an error.
struct Content<'a, 'b, R: Read> {
    entry: &'a mut tar::Entry<'b, R>,
    left: u64,
    /// Why reading failed.
    failed: Option<Broken>,
}

impl<R: Read> Read for Content<'_, '_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.left == 0 {
            return Ok(0);
        }
        let end = ErrorKind::UnexpectedEof;
        let read = self.entry.read(into).and_then(|read| if read == 0 { Err(end.into()) } else { Ok(read) });
        match &read {
            Ok(read) => self.left = self.left.saturating_sub(*read as u64),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.failed = Some(broken(error)),
        }
        read
    }
}

/// How much was read, and how many zeros it ended with.
#[derive(Clone, Copy, Default)]
struct Tail {
    all: u64,
    zeros: u64,
}

struct Watched<R> {
    stream: R,
    tail: Rc<Cell<Tail>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        let bytes = &into[..read];
        let Tail { all, zeros } = self.tail.get();
        let at_the_end = match bytes.iter().rposition(|byte| *byte != 0) {
            Some(last) => (read - last - 1) as u64,
            None => zeros + read as u64,
        };
        self.tail.set(Tail { all: all + read as u64, zeros: at_the_end });
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sample() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, size) in [("backup_label", 200), ("./base/5/1259", 8192), ("global/pg_control", 8192)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(size);
            header.set_mode(0o600);
            header.set_cksum();
            builder.append_data(&mut header, name, io::repeat(7).take(size)).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn paths(tar: &[u8]) -> (Vec<String>, Result<Ended, String>) {
        let mut paths = Vec::new();
        let ended = read(tar, |member, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            assert_eq!(bytes.len() as u64, member.size);
            paths.push(String::from_utf8(member.path.clone().unwrap()).unwrap());
            Ok(())
        });
        (paths, ended.map_err(|error| error.to_string()))
    }

    #[test]
    fn each_member_comes_with_its_content() {
        let (paths, ended) = paths(&sample());
        assert_eq!(paths, ["backup_label", "base/5/1259", "global/pg_control"]);
        assert_eq!(ended, Ok(Ended::Whole));
    }

    #[test]
    fn where_a_tar_is_cut_is_said() {
        let whole = sample();
        let two_members = 512 + 512 + 512 + 8192;
        assert_eq!(paths(&whole[..two_members]).1, Ok(Ended::Early));
        assert_eq!(paths(&whole[..two_members]).0.len(), 2);
        assert_eq!(paths(&whole[..whole.len() - 512]).1, Ok(Ended::Early));
        assert_eq!(paths(&[whole.clone(), vec![1; 512]].concat()).1, Ok(Ended::WithMore));
        assert_eq!(paths(&[whole.clone(), vec![0; 9000]].concat()).1, Ok(Ended::Whole));
        for cut in [two_members - 1, 512 + 100, 512 + 512 + 3, 300, two_members + 512 + 8191] {
            assert!(paths(&whole[..cut]).1.is_err(), "cut to {cut}");
        }
        assert_eq!(paths(&[]).1, Ok(Ended::Early));
    }

    /// A sparse file with nothing but a hole of this size, and what comes with it.
    fn with_hole(hole: u64, first: bool) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_path("sparse").unwrap();
        header.set_size(0);
        header.set_mode(0o600);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(hole);
        gnu.sparse[0].set_offset(hole);
        gnu.sparse[0].set_length(0);
        header.set_cksum();
        let (whole, sparse) = (sample(), header.as_bytes().as_slice());
        let at = if first { 0 } else { whole.len() - 1024 };
        [&whole[..at], sparse, &whole[at..]].concat()
    }

    /// Who read it would be busy for years; who rounded its size up would fall over.
    #[rstest]
    fn a_hole_can_be_of_any_size(
        #[values(1, 512, 8192, 1 << 62, u64::MAX)] hole: u64,
        #[values(true, false)] first: bool,
    ) {
        let tar = with_hole(hole, first);
        let kinds = |tar: &[u8]| {
            let mut kinds = Vec::new();
            let ended = read(tar, |member, _| {
                kinds.push(member.kind.clone());
                Ok(())
            });
            (kinds, ended.ok())
        };
        let (seen, ended) = kinds(&tar);
        let mut expected = vec![Kind::File; 3];
        expected.insert(if first { 0 } else { 3 }, Kind::Other("a sparse file"));
        assert_eq!((seen, ended), (expected, Some(Ended::Whole)));
        assert_eq!(kinds(&tar[..tar.len() - 1024]).1, Some(Ended::Early));
        assert_eq!(kinds(&[tar, vec![1; 512]].concat()).1, Some(Ended::WithMore));
    }

    /// A medium that fails, at its beginning, within a member, and within a header.
    #[rstest]
    #[case(0)]
    #[case(600)]
    #[case(1100)]
    fn what_the_system_cannot_read_is_not_damaged(#[case] from: usize) {
        const IO: i32 = 5;
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(IO))
            }
        }
        let tar = sample();
        let read = read((&tar[..from]).chain(Failing), |_, _| Ok(()));
        let Err(Broken::Unreadable { what }) = read else { panic!("{read:?}") };
        assert!(what.contains("os error 5"), "{what}");
    }

    #[test]
    fn a_member_that_is_not_read_is_skipped() {
        let mut seen = 0;
        let ended = read(&sample()[..], |_, _| {
            seen += 1;
            Ok(())
        });
        assert_eq!((seen, ended.unwrap()), (3, Ended::Whole));
    }

    #[rstest]
    #[case("base/5/1259", Some("base/5/1259"))]
    #[case("./base//5/.", Some("base/5"))]
    #[case("./", Some(""))]
    #[case("/etc/passwd", None)]
    #[case("base/../../etc", None)]
    #[case("..", None)]
    fn paths_that_lead_out_are_none(#[case] path: &str, #[case] expected: Option<&str>) {
        assert_eq!(within(path.as_bytes()).as_deref(), expected.map(str::as_bytes));
    }
}
