//! The workspace: the one directory of a drill, and the guarantee that it goes away with its run.
//!
//! A guardian process waits on a pipe that only this process holds open. When the pipe closes, because the run ended
//! or because pgdrill died in any way, by `kill -9` too, the guardian removes the directory; only a run that keeps its
//! workspace tells it not to. So the way out after a `kill -9` is the one that every run takes.
//! For what even the guardian cannot outlive (the machine's end), the directory is also locked, and the next run
//! removes those that nobody holds.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server;
use pgdrill_model::units::show_bytes;
use pgdrill_model::world::Owner;

use crate::mounts;
use crate::session::Socket;

use crate::template;

/// The longest path of a Unix socket is 107 bytes on Linux and 103 elsewhere (`sun_path`); the longest name that
/// PostgreSQL puts into our socket directories is this.
const LONGEST_SOCKET_PATH: usize = 103;
const SOCKET_FILE: &str = ".s.PGSQL.5432.lock";

/// A file in the archive directory by which the archiver's script is told to fail. A recovered server that goes on as the
/// primary did begins without it.
pub const STOPPED: &str = ".stopped";

/// What is left of the `pg_wal` of servers whose data is lost, within the workspace, each by its server's name.
pub const SAVED_WAL: &str = "saved-wal";

/// A file by which a kept workspace is known.
const KEPT: &str = "KEPT";

/// Removes the workspace when its pipe closes without a word, and the template that was being made of it. Servers that are
/// being ended at the same time may still make files, so it tries until the directory is gone.
const GUARDIAN: &str = r#"
trap '' INT TERM HUP QUIT
read -r word && [ "$word" = keep ] && exit 0
grep -F " $1/" /proc/mounts 2>/dev/null | while read -r _ at _; do
    umount -l "$(printf '%b' "$at")" 2>/dev/null
done
tries=0
while [ -e "$1" ] && [ "$tries" -lt 200 ]; do
    rm -rf -- "$1" 2>/dev/null
    tries=$((tries + 1))
    [ -e "$1" ] && sleep 0.05
done
rm -rf -- "$3" 2>/dev/null
rmdir -- "${3%/*}" 2>/dev/null
rmdir -- "$2" 2>/dev/null
exit 0
"#;

/// The directory of one drill.
#[derive(Debug)]
pub struct Workspace {
    base: PathBuf,
    root: PathBuf,
    owner: Option<Owner>,
    guardian: Child,
    _lock: File,
}

impl Workspace {
    /// Makes the workspace of run `id` below `base`, for servers that run as `owner`, with at least `needed` bytes
    /// of free space.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE`: a path too long for a socket, a directory that cannot be made or is not ours;
    /// `DISK_FULL`.
    pub fn create(base: &Path, id: &str, owner: Option<Owner>, needed: u64) -> Result<Self, Unable> {
        let unusable = |what: String| Unable::new(Code::WorkspaceUnusable, what);
        let base =
            std::path::absolute(base).map_err(|error| unusable(format!("{}: {error}", base.display())))?;
        let root = base.join(id);
        let longest = root.join("socket").join(Server::Restored(2).name()).join(SOCKET_FILE);
        let length = longest.as_os_str().len();
        if length > LONGEST_SOCKET_PATH {
            let message = format!(
                "the workspace path {} is too long: sockets in it would have paths of {length} bytes, and at most \
                 {LONGEST_SOCKET_PATH} are possible",
                root.display()
            );
            return Err(unusable(message).hint("name a directory with a shorter path: --workspace DIR"));
        }
        let failed =
            |error: &io::Error| unusable(format!("cannot make the workspace {}: {error}", root.display()));
        make_root(&base, &root)?.map_err(|error| failed(&error))?;
        let guardian = start_guardian(&root, &base, &template::half_made(&base, id));
        let lock = File::open(&root).and_then(|directory| directory.lock().map(|()| directory));
        let (guardian, lock) = match (guardian, lock) {
            (Ok(guardian), Ok(lock)) => (guardian, lock),
            (guardian, lock) => {
                let _ = fs::remove_dir(&root);
                let error = guardian.err().or(lock.err());
                return Err(failed(&error.unwrap_or_else(|| io::Error::other("no guardian, no lock"))));
            }
        };
        let workspace = Self { base, root, owner, guardian, _lock: lock };
        // From here on the guardian removes the directory, whatever happens.
        match workspace.prepare(needed) {
            Ok(()) => Ok(workspace),
            Err(unable) => {
                // Not before it is gone: whoever hears of the error may look.
                let _ = workspace.remove();
                Err(unable)
            }
        }
    }

    /// Makes what every drill needs in it, where a drill can work at all.
    fn prepare(&self, needed: u64) -> Result<(), Unable> {
        self.check_space(needed)?;
        self.check_execution()?;
        let parts = [
            "archive",
            "backup",
            "bin",
            "conf",
            "log",
            "socket",
            "socket/primary",
            "socket/restored",
            "tablespaces",
        ];
        for part in parts {
            self.make_dir(Path::new(part))?;
        }
        self.own(Path::new(""))
    }

    /// Bytes that are free in it.
    pub fn free(&self) -> u64 {
        rustix::fs::statvfs(&self.root).map_or(u64::MAX, |fs| fs.f_bavail * fs.f_frsize)
    }

    /// Whether a server cannot work here any more. One that gave up over a full disk has freed the WAL segment that it
    /// could not write, so a few of them may fit again.
    pub fn is_full(&self) -> bool {
        const WAL_SEGMENT: u64 = 16 << 20;
        self.free() < 4 * WAL_SEGMENT
    }

    fn check_space(&self, needed: u64) -> Result<(), Unable> {
        let free = self.free();
        if free >= needed {
            return Ok(());
        }
        let message = format!(
            "the drill needs about {} in {}, and {} are free",
            show_bytes(needed),
            self.base.display(),
            show_bytes(free)
        );
        Err(Unable::new(Code::DiskFull, message))
    }

    /// What archives and gives back WAL are scripts in the workspace. Where these cannot be started, a server takes that for
    /// an archive that has nothing.
    fn check_execution(&self) -> Result<(), Unable> {
        let forbidden = rustix::fs::statvfs(&self.root)
            .is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC));
        if !forbidden {
            return Ok(());
        }
        let message = format!(
            "nothing can be executed in {}: its file system is mounted noexec, and a drill's archive works by scripts",
            self.base.display()
        );
        let hint = "name a directory on another file system: --workspace DIR, or PGDRILL_WORKSPACE";
        Err(Unable::new(Code::WorkspaceUnusable, message).hint(hint))
    }

    /// A path within the workspace.
    pub fn path(&self, part: impl AsRef<Path>) -> PathBuf {
        self.root.join(part)
    }

    /// The directory in which it was made.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The workspace itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The data directory of a server.
    pub fn data(&self, server: Server) -> PathBuf {
        self.path(server.name())
    }

    /// The log file of a server.
    pub fn log(&self, server: Server) -> PathBuf {
        self.path("log").join(format!("{}.log", server.name()))
    }

    /// The directory of a server's Unix socket.
    pub fn socket(&self, server: Server) -> Socket {
        Socket::of_ours(self.path("socket").join(server.name()))
    }

    /// The account that servers run as, where it is not the caller's.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Makes a directory, mode 0700, of the servers' account.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE` or `DISK_FULL`.
    pub fn make_dir(&self, part: &Path) -> Result<(), Unable> {
        let path = self.path(part);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| trouble(&path, &error))?;
        self.own(part)
    }

    /// The same, where it may be there already.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE` or `DISK_FULL`.
    pub fn need_dir(&self, part: &Path) -> Result<(), Unable> {
        if self.path(part).is_dir() { Ok(()) } else { self.make_dir(part) }
    }

    /// Writes a small file of the servers' account with the given mode.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE` or `DISK_FULL`.
    pub fn write(&self, part: impl AsRef<Path>, text: &str, mode: u32) -> Result<PathBuf, Unable> {
        let path = self.path(part.as_ref());
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(|error| trouble(&path, &error))?;
        self.own(part.as_ref())?;
        Ok(path)
    }

    /// Puts a small file of the servers' account in the place of another, whole or not at all.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE` or `DISK_FULL`.
    pub fn replace(&self, part: &Path, text: &str) -> Result<(), Unable> {
        let fresh = fresh_name(part);
        let (path, written) = (self.path(part), self.write(&fresh, text, 0o600)?);
        File::open(&written)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&written, &path))
            .map_err(|error| trouble(&path, &error))
    }

    /// Makes a symbolic link to `target`, of the servers' account, in the place of whatever link is there. Nothing is
    /// ever done through a link.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE` or `DISK_FULL`.
    pub fn link(&self, part: &Path, target: &Path) -> Result<(), Unable> {
        let (path, fresh) = (self.path(part), self.path(fresh_name(part)));
        let owned = |()| match &self.owner {
            Some(owner) => lchown(&fresh, Some(owner.uid), Some(owner.gid)),
            None => Ok(()),
        };
        symlink(target, &fresh)
            .and_then(owned)
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(|error| trouble(&path, &error))
    }

    fn own(&self, part: &Path) -> Result<(), Unable> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let path = self.path(part);
        std::os::unix::fs::chown(&path, Some(owner.uid), Some(owner.gid))
            .map_err(|error| trouble(&path, &error))
    }

    /// Removes the workspace.
    ///
    /// # Errors
    ///
    /// `CLEANUP_FAILED`: what could not be removed.
    pub fn remove(mut self) -> Result<(), Unable> {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
        // What the guardian could not remove is tried once more, for the words of the error.
        if self.root.exists() { remove_all(&self.root) } else { Ok(()) }
    }

    /// Keeps the workspace for a person to look at; only `pgdrill clean` removes it. Gives its path.
    pub fn keep(mut self) -> PathBuf {
        let _ = fs::write(self.root.join(KEPT), "kept on request; `pgdrill clean` removes it\n");
        if let Some(mut pipe) = self.guardian.stdin.take() {
            let _ = pipe.write_all(b"keep\n");
        }
        let _ = self.guardian.wait();
        self.root.clone()
    }
}

/// A name beside `part` that nothing else has.
fn fresh_name(part: &Path) -> PathBuf {
    let mut name = part.file_name().unwrap_or_default().to_owned();
    name.push(".pgdrill-new");
    part.with_file_name(name)
}

/// Makes the workspace's directory. Another run that ends just now may take the base directory away in between.
fn make_root(base: &Path, root: &Path) -> Result<io::Result<()>, Unable> {
    const ATTEMPTS: usize = 10;
    let mut made = Ok(());
    for _ in 0..ATTEMPTS {
        make_base(base)?;
        made = DirBuilder::new().mode(0o700).create(root);
        if !made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    Ok(made)
}

/// The base directory: made if need be; where it is shared with other accounts it must be ours, or somebody else
/// could put links into it.
fn make_base(base: &Path) -> Result<(), Unable> {
    let unusable = |what: String| Unable::new(Code::WorkspaceUnusable, what);
    if !base.exists() {
        // The servers' account must be able to pass through, and nothing more; the umask has no say in it.
        let made = DirBuilder::new()
            .recursive(true)
            .create(base)
            .and_then(|()| fs::set_permissions(base, fs::Permissions::from_mode(0o711)));
        made.map_err(|error| unusable(format!("cannot make the directory {}: {error}", base.display())))?;
    }
    let metadata =
        fs::symlink_metadata(base).map_err(|error| unusable(format!("{}: {error}", base.display())))?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("{} is not a directory of the account that runs pgdrill", base.display());
        return Err(unusable(message).hint("name another directory: --workspace DIR"));
    }
    Ok(())
}

fn start_guardian(root: &Path, base: &Path, half_made: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", GUARDIAN, "pgdrill-guardian"])
        .args([root, base, half_made])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: a Ctrl-C in the terminal is for pgdrill alone.
        .process_group(0)
        .spawn()
}

/// What an error of the file system means for the drill.
pub fn trouble(path: &Path, error: &io::Error) -> Unable {
    let code =
        if error.kind() == io::ErrorKind::StorageFull { Code::DiskFull } else { Code::WorkspaceUnusable };
    Unable::new(code, format!("{}: {error}", path.display()))
}

fn remove_all(root: &Path) -> Result<(), Unable> {
    mounts::remove_below(root);
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Unable::new(Code::CleanupFailed, format!("cannot remove {}: {error}", root.display())))
        }
        _ => Ok(()),
    }
}

/// A workspace of a run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its directory.
    pub path: PathBuf,
    /// Whether somebody asked for it to be kept.
    pub kept: bool,
}

/// The workspaces below `base` that no living run holds.
pub fn leftovers(base: &Path) -> Vec<Leftover> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let mut found: Vec<Leftover> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("socket").is_dir() && path.join("archive").is_dir())
        .filter(|path| File::open(path).is_ok_and(|directory| !held(&directory)))
        .map(|path| Leftover { kept: path.join(KEPT).exists(), path })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn held(directory: &File) -> bool {
    matches!(directory.try_lock(), Err(TryLockError::WouldBlock))
}

/// Removes one of them, and the base directory when it was the last.
///
/// # Errors
///
/// `CLEANUP_FAILED`: what could not be removed.
pub fn remove_leftover(leftover: &Leftover) -> Result<(), Unable> {
    remove_all(&leftover.path)?;
    if let Some(base) = leftover.path.parent() {
        let _ = fs::remove_dir(base);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_private_and_goes_away_with_its_base() {
        let parent = tempfile::tempdir().unwrap();
        let base = parent.path().join("base");
        let workspace = Workspace::create(&base, "run1", None, 1).unwrap();
        assert_eq!(fs::metadata(workspace.root()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(leftovers(&base).is_empty(), "a living run's workspace is nobody's leftover");
        workspace.remove().unwrap();
        assert!(!base.exists());
    }

    #[test]
    fn what_is_dropped_without_a_word_is_removed_by_the_guardian() {
        let parent = tempfile::tempdir().unwrap();
        let base = parent.path().join("base");
        let mut workspace = Workspace::create(&base, "run1", None, 1).unwrap();
        drop(workspace.guardian.stdin.take());
        workspace.guardian.wait().unwrap();
        assert!(!base.exists());
    }

    #[test]
    fn a_kept_workspace_stays_and_says_so() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(parent.path(), "run1", None, 1).unwrap();
        let path = workspace.keep();
        assert_eq!(leftovers(parent.path()), [Leftover { path: path.clone(), kept: true }]);
        remove_leftover(&Leftover { path: path.clone(), kept: true }).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("x".repeat(90));
        let unable = Workspace::create(&long, "run1", None, 1).unwrap_err();
        assert_eq!(unable.code, Code::WorkspaceUnusable);
        assert!(unable.message.contains("too long"), "{unable}");
        assert!(!long.exists());
        fs::write(parent.path().join("file"), "").unwrap();
        let unable = Workspace::create(&parent.path().join("file"), "run1", None, 1).unwrap_err();
        assert_eq!(unable.code, Code::WorkspaceUnusable);
        let unable = Workspace::create(parent.path(), "run2", None, u64::MAX).unwrap_err();
        assert_eq!(unable.code, Code::DiskFull);
    }
}
