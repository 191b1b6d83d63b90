//! The lease of a container: what makes it end when pgdrill dies in any way, `kill -9` included.
//!
//! A FIFO that only pgdrill holds open for writing; the container's first process ends when that end is closed. It is
//! opened, for both ways so that nobody is waited for, before the container is made, so that there is no moment in
//! which a container could be without it. Unlinking it does not matter to those who have it open, so the guardian may
//! remove the workspace at any time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::world::Signal;
use rustix::fs::{CWD, FileType, Mode};

use crate::account::Account;

/// The part of a workspace in which the files of its containers are.
const PART: &str = "docker";

/// Our end of the FIFO, and the files that a container gets beside it.
#[derive(Debug)]
pub(super) struct Lease {
    fifo: File,
    pub(super) files: Files,
}

/// The files that a container gets beside what its server needs. They go away with it.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    number: u64,
}

impl Files {
    /// The FIFO, at the same path on both sides.
    pub(super) fn fifo(&self) -> PathBuf {
        self.directory.join("lease")
    }

    /// The one account that there is in the container, which satisfies `initdb`.
    pub(super) fn passwd(&self) -> PathBuf {
        self.directory.join("passwd")
    }

    /// A path for something else of this container's, outside of its own files.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.directory.with_file_name(format!("{name}{}", self.number))
    }

    /// Its one group.
    pub(super) fn group(&self) -> PathBuf {
        self.directory.join("group")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Whether they are there does not matter: the workspace goes away with all that is in it.
        let _ = fs::remove_dir_all(&self.directory);
        let _ = self.directory.parent().map(fs::remove_dir);
    }
}

impl Lease {
    /// Makes the files for the container of a server in `workspace`; `name` is unique within the run.
    pub(super) fn take(workspace: &Path, name: &str, account: &Account) -> Result<Self, Unable> {
        let part = workspace.join(PART);
        let made = make_dir(&part).and_then(|()| make(part.join(name), workspace, account));
        made.map_err(|error| trouble(&part, &error))
    }

    /// Has the container's first process send a signal. It is the first process that does it, because a process that
    /// is started for it would take a hundred times as long.
    pub(super) fn send(&self, pid: u32, signal: Signal) -> io::Result<()> {
        let name = match signal {
            Signal::Term => "TERM",
            Signal::Int => "INT",
            Signal::Quit => "QUIT",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        // So short a line goes into a FIFO whole or not at all.
        (&self.fifo).write_all(format!("{name} {pid}\n").as_bytes())
    }
}

fn make(directory: PathBuf, workspace: &Path, account: &Account) -> io::Result<Lease> {
    DirBuilder::new().mode(0o700).create(&directory)?;
    static TAKEN: AtomicU64 = AtomicU64::new(1);
    let files = Files { directory, number: TAKEN.fetch_add(1, Ordering::Relaxed) };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = if account.name.chars().all(plain) { &account.name } else { "pgdrill" };
    let (uid, gid, home) = (account.uid, account.gid, workspace.display());
    for (path, text) in [
        (files.passwd(), format!("{name}:x:{uid}:{gid}::{home}:/bin/sh\n")),
        (files.group(), format!("{name}:x:{gid}:\n")),
    ] {
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    let path = files.fifo();
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    if account.switch {
        chown(&path, Some(uid), Some(gid))?;
    }
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let fifo = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)?;
    Ok(Lease { fifo, files })
}

fn make_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes a directory that a server needs and that is not there yet.
pub(super) fn make_needed(path: &Path, account: &Account) -> Result<(), Unable> {
    let owned = |()| if account.switch { chown(path, Some(account.uid), Some(account.gid)) } else { Ok(()) };
    match DirBuilder::new().mode(0o700).create(path).and_then(owned) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(trouble(path, &error)),
        _ => Ok(()),
    }
}

/// What it means that a file of the workspace cannot be made.
pub(super) fn trouble(path: &Path, error: &io::Error) -> Unable {
    let full = error.kind() == io::ErrorKind::StorageFull;
    let code = if full { Code::DiskFull } else { Code::WorkspaceUnusable };
    Unable::new(code, format!("{} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_files_of_a_container_come_and_go_with_its_lease() {
        let workspace = tempfile::tempdir().unwrap();
        let account = Account { uid: 4711, gid: 4712, name: "uid 4711".to_owned(), switch: false };
        let lease = Lease::take(workspace.path(), "primary", &account).unwrap();
        let home = workspace.path().display();
        let passwd = fs::read_to_string(lease.files.passwd()).unwrap();
        assert_eq!(passwd, format!("pgdrill:x:4711:4712::{home}:/bin/sh\n"));
        assert_eq!(fs::read_to_string(lease.files.group()).unwrap(), "pgdrill:x:4712:\n");
        let second = Lease::take(workspace.path(), "primary", &account).unwrap_err();
        assert_eq!(second.code, Code::WorkspaceUnusable);
        lease.send(12, Signal::Kill).unwrap();
        let mut said = [0; 16];
        let count = io::Read::read(&mut &lease.fifo, &mut said).unwrap();
        assert_eq!(&said[..count], b"KILL 12\n");
        drop(lease);
        assert_eq!(fs::read_dir(workspace.path()).unwrap().count(), 0);
    }
    /// The container's first process, without a container.
    fn first_process(fifo: &Path) -> Child {
        let script = super::super::container::script(include_str!("lease.sh"));
        let mut command = Command::new("sh");
        command.args(["-c", &script, "pgdrill-lease"]).arg(fifo).stdin(Stdio::null()).spawn().unwrap()
    }

    fn ends(process: &mut Child) -> bool {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if process.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        false
    }

    #[test]
    fn the_first_process_ends_with_its_holder_however_early_that_has_died() {
        let workspace = tempfile::tempdir().unwrap();
        let own = Account { uid: 0, gid: 0, name: "me".to_owned(), switch: false };
        let lease = Lease::take(workspace.path(), "primary", &own).unwrap();
        let fifo = lease.files.fifo();
        let mut first = first_process(&fifo);
        let mut sleep = Command::new("sleep").arg("600").spawn().unwrap();
        lease.send(sleep.id(), Signal::Term).unwrap();
        assert!(ends(&mut sleep), "the signal was not delivered");
        assert_eq!(first.try_wait().unwrap(), None, "it is held");
        // The end of the FIFO closes; the files stay, as after a `kill -9`.
        let Lease { fifo: end, files } = lease;
        drop(end);
        assert!(ends(&mut first), "nobody holds it any more");
        let mut late = first_process(&fifo);
        assert!(ends(&mut late), "nobody held it from the beginning");
        drop(files);
        let mut without = first_process(&fifo);
        assert!(ends(&mut without), "there is none");
    }
}
