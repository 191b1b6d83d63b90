//! A backup that comes by standard input: written to a file of this host first, since it is looked at, read and restored one after
//! the other.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::show_bytes;
use rustix::fs::{FlockOperation, flock, statvfs};
use tokio::sync::oneshot;

use crate::{interrupt, printer};

/// What it is called in records.
pub const NAME: &str = "standard input";

/// With what the names of directories begin that hold one.
const PREFIX: &str = "standard-input-";

/// How often a long reading says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// Bytes that are left to others on the disk.
const RESERVE: u64 = 64 << 20;

/// What was read; it is removed when nobody needs it any more.
#[derive(Debug)]
pub struct Spooled {
    directory: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    /// Locked as long as it is needed: what nobody holds is left over from one that was killed.
    _held: File,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
        // Others may be beside it.
        let _ = self.directory.parent().map(fs::remove_dir);
    }
}

/// Why there is nothing to go on with.
#[derive(Debug)]
pub enum Stopped {
    /// Somebody interrupted it.
    Interrupted,
    /// Nothing can be proven.
    Unable(Unable),
}

/// Whether a path stands for standard input.
pub fn is_meant(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads all of standard input into a directory of its own below `base`.
///
/// # Errors
///
/// A terminal, and a directory that cannot be made.
pub fn all(base: &Path, quiet: bool) -> anyhow::Result<Result<Spooled, Stopped>> {
    if io::stdin().is_terminal() {
        bail!(
            "- stands for standard input, and that is a terminal: pipe a backup into it, as in `pg_basebackup -D - -Ft -X fetch | pgdrill prove -`"
        );
    }
    sweep(base);
    let directory = base.join(format!("{PREFIX}{}", std::process::id()));
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join(NAME);
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).context("cannot lock what is read")?;
    let mut into = file.try_clone()?;
    let spooled = Spooled { directory: directory.clone(), path, _held: file };
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stopped = tokio.block_on(async {
        let cancel = interrupt::listen().context("cannot listen for signals")?;
        let (tell, told) = oneshot::channel();
        // Nobody can wake a thread that waits for input: when it is not waited for any more, it ends with the program.
        std::thread::spawn(move || {
            let free = || statvfs(&directory).map_or(u64::MAX, |disk| disk.f_bavail * disk.f_frsize);
            let _ = tell.send(copy(&mut io::stdin().lock(), &mut into, &free, quiet));
        });
        anyhow::Ok(tokio::select! {
            read = told => match read {
                Ok(Ok(_)) => None,
                Ok(Err(unable)) => Some(Stopped::Unable(unable)),
                Err(_) => Some(Stopped::Unable(Unable::bug("the thread died that reads standard input"))),
            },
            () = cancel.cancelled() => Some(Stopped::Interrupted),
        })
    })?;
    tokio.shutdown_background();
    Ok(stopped.map_or(Ok(spooled), Err))
}

/// Removes what those left who were killed.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let held = || {
            let file = File::open(entry.path().join(NAME)).ok()?;
            flock(&file, FlockOperation::NonBlockingLockExclusive).err()
        };
        if is_one && held().is_none() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies all there is; gives how much that was.
fn copy(
    from: &mut impl Read,
    into: &mut impl Write,
    free: &dyn Fn() -> u64,
    quiet: bool,
) -> Result<u64, Unable> {
    let (mut buffer, mut all, mut told) = (vec![0; BUFFER], 0_u64, Instant::now());
    let full = |all: u64| {
        let message = format!("the disk is full after {} of standard input", show_bytes(all));
        Unable::new(Code::DiskFull, message)
            .hint("name another disk with --evidence: what is read lies beside the records")
    };
    loop {
        let read = match from.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                let message = format!("standard input cannot be read after {}: {error}", show_bytes(all));
                return Err(Unable::new(Code::BackupUnreadable, message));
            }
        };
        if read == 0 {
            break;
        }
        if free() < RESERVE + read as u64 {
            return Err(full(all));
        }
        into.write_all(&buffer[..read]).map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => full(all),
            _ => Unable::new(Code::WorkspaceUnusable, format!("what is read cannot be written: {error}")),
        })?;
        all += read as u64;
        if !quiet && told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            printer::say(&format!("pgdrill: read {} of standard input", show_bytes(all)));
        }
    }
    if all == 0 {
        return Err(Unable::new(Code::NotABackup, "standard input was empty: it ended before a single byte came").hint(
            "look at what should have written it; in a pipe the shell asks only for the last one's end, unless `set -o pipefail`",
        ));
    }
    if !quiet {
        printer::say(&format!("pgdrill: read {} of standard input", show_bytes(all)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_no_room_are_told_and_all_else_is_copied() {
        let mut into = Vec::new();
        let bytes = vec![7; 3 * BUFFER + 5];
        assert_eq!(copy(&mut bytes.as_slice(), &mut into, &|| u64::MAX, true).unwrap(), bytes.len() as u64);
        assert_eq!(into, bytes);
        let empty = copy(&mut io::empty(), &mut into, &|| u64::MAX, true).unwrap_err();
        assert_eq!(empty.code, Code::NotABackup);
        let full = copy(&mut bytes.as_slice(), &mut into, &|| RESERVE, true).unwrap_err();
        assert_eq!(
            (full.code, full.message.as_str()),
            (Code::DiskFull, "the disk is full after 0 B of standard input")
        );
    }

    #[test]
    fn what_one_that_was_killed_left_is_removed_and_what_is_held_is_not() {
        let base = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            fs::create_dir(base.path().join(name)).unwrap();
            File::create(base.path().join(name).join(NAME)).unwrap()
        };
        drop(make("standard-input-1"));
        let held = make("standard-input-2");
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        drop(make("0123456789abcdef"));
        sweep(base.path());
        let mut left: Vec<_> =
            fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["0123456789abcdef", "standard-input-2"]);
    }
}
