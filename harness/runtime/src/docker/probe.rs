//! Whether containers of an engine can work on this host's files and sockets: asked once, in the first place of a
//! process, before anything rests on it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::engine::Engine;
use super::lease::trouble;
use crate::account::Account;

/// The socket of a server that is not there, by its usual name.
const SOCKET: &str = ".s.PGSQL.5432";

/// A call that was made is noticed at once.
const NOTICE: Duration = Duration::from_secs(1);

/// A directory that a container is to write into, and a socket in it that it is to call.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) directory: PathBuf,
    called: JoinHandle<bool>,
}

impl Probe {
    /// Makes both, in a directory of the workspace that is there.
    pub(super) fn prepare(directory: PathBuf, account: &Account) -> Result<Self, Unable> {
        let made =
            DirBuilder::new().mode(0o700).create(&directory).and_then(|()| listen(&directory, account));
        match made {
            Ok(called) => Ok(Self { directory, called }),
            Err(error) => Err(trouble(&directory, &error)),
        }
    }

    /// What is wrong, as a sentence about the containers; to be asked when the container has done its part.
    pub(super) async fn verdict(mut self, account: &Account) -> Result<(), String> {
        let file = self.directory.join("file");
        match fs::symlink_metadata(&file) {
            Err(_) => {
                return Err("what they write into a mounted directory does not reach this host".to_owned());
            }
            Ok(found) if (found.uid(), found.gid()) != (account.uid, account.gid) => {
                return Err(format!(
                    "what they write as user {}:{} belongs to {}:{} on this host",
                    account.uid,
                    account.gid,
                    found.uid(),
                    found.gid()
                ));
            }
            Ok(_) => {}
        }
        match tokio::time::timeout(NOTICE, &mut self.called).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err("a Unix socket in a mounted directory does not connect them with this host".to_owned()),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.called.abort();
        // Whether it is there does not matter: the workspace goes away with all that is in it.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn listen(directory: &Path, account: &Account) -> io::Result<JoinHandle<bool>> {
    let socket = directory.join(SOCKET);
    let listener = UnixListener::bind(&socket)?;
    if account.switch {
        chown(&socket, Some(account.uid), Some(account.gid))?;
        chown(directory, Some(account.uid), Some(account.gid))?;
    }
    // Who called is told that nobody is there by the closed connection.
    Ok(tokio::spawn(async move { listener.accept().await.is_ok() }))
}

/// What it means that a container is gone as soon as it is started.
pub(super) const ENDS_AT_ONCE: &str =
    "they end at once, because their first process cannot open a FIFO that is mounted from this host";

/// An inability to use the engine for what was seen, with the engine's own word on why, where it has one.
pub(super) async fn unusable(engine: &Engine, what: &str) -> Unable {
    let info = engine.docker.info().await.ok();
    let has = |option: &str| {
        let options = info.as_ref().and_then(|info| info.security_options.as_ref());
        options.is_some_and(|options| options.iter().any(|found| found.contains(option)))
    };
    let kernel = info.as_ref().and_then(|info| info.kernel_version.clone()).unwrap_or_default();
    let own = rustix::system::uname().release().to_string_lossy().into_owned();
    let (why, hint) = if has("name=rootless") {
        (
            " (the engine runs without root, so that users of a container are not users of this host)",
            "Use an engine that runs as root, or `--runtime local`.",
        )
    } else if has("name=userns") {
        (
            " (the engine gives containers users of their own: userns-remap)",
            "Use an engine without userns-remap, or `--runtime local`.",
        )
    } else if !kernel.is_empty() && kernel != own {
        (
            " (the engine runs on another machine or in a virtual one)",
            "Use an engine on this host, or `--runtime local`.",
        )
    } else {
        ("", "Use an engine on this host that runs as root, or `--runtime local`.")
    };
    let message = format!("containers of {} cannot be used for drills: {what}{why}", engine.version);
    Unable::new(Code::EngineUnusable, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(uid: u32) -> Account {
        Account { uid, gid: rustix::process::getegid().as_raw(), name: "me".to_owned(), switch: false }
    }

    #[tokio::test]
    async fn only_a_file_of_the_right_owner_and_a_call_will_do() {
        let base = tempfile::tempdir_in("/tmp").unwrap();
        let own = rustix::process::geteuid().as_raw();
        let probe = async |name: &str, write: bool, call: bool, uid: u32| {
            let probe = Probe::prepare(base.path().join(name), &account(uid)).unwrap();
            if write {
                fs::write(probe.directory.join("file"), "").unwrap();
            }
            if call {
                tokio::net::UnixStream::connect(probe.directory.join(SOCKET)).await.unwrap();
            }
            probe.verdict(&account(uid)).await
        };
        assert_eq!(probe("good", true, true, own).await, Ok(()));
        assert!(probe("nothing", false, true, own).await.unwrap_err().contains("does not reach this host"));
        let other = probe("other", true, true, own + 1).await.unwrap_err();
        assert!(other.starts_with(&format!("what they write as user {}:", own + 1)), "{other}");
        assert!(probe("deaf", true, false, own).await.unwrap_err().contains("Unix socket"));
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
