//! The lease: what makes a place end when pgdrill dies in any way, `kill -9` included.
//!
//! A leader process waits at the other end of a pipe that only pgdrill holds open. The kernel closes it when
//! pgdrill is gone, and the leader ends the place. It is a pipe and not a FIFO, because with a FIFO a leader
//! whose pgdrill died before it had opened its end would wait for ever. A child that was being started when
//! pgdrill died cannot slip away: until it executes its program it holds the pipe open itself, and by then it
//! is a member.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::process::{Child, Command};

use super::account::Account;
use super::ending;
use super::program_in;
use super::table::{self, Entry, Identity};

/// The variable that every process of a place carries; its value is the place's [`Mark`].
pub(super) const MARK: &str = "PGDRILL_PLACE";

/// What the leader calls itself, so that people who list processes see what it is.
const NAME: &str = "pgdrill-lease";

/// What the leader runs.
const SCRIPT: &str = include_str!("lease.sh");

/// Which place a process belongs to, and who holds it. Written `RUN/SERVER/PID-START-NUMBER/`; the slash at
/// the end keeps one mark from being the beginning of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) run_id: String,
    pub(super) server: String,
    pub(super) holder: Identity,
    number: u64,
}

impl Mark {
    /// A new one, held by this process.
    pub(super) fn new(run_id: &str, server: &str) -> Result<Self, Unable> {
        static OPENED: AtomicU64 = AtomicU64::new(1);
        for name in [run_id, server] {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                return Err(Unable::bug(format!("'{name}' cannot name a run or a server of a local place")));
            }
        }
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Self { run_id: run_id.to_owned(), server: server.to_owned(), holder: Identity::own(), number })
    }

    /// The mark that a process carries.
    pub(super) fn on(entry: &Entry) -> Option<Self> {
        entry.variable(MARK)?.parse().ok()
    }

    /// The mark of the place whose lease this process is.
    pub(super) fn led_by(entry: &Entry) -> Option<Self> {
        let arguments = entry.arguments();
        let name = arguments.iter().position(|argument| argument == NAME)?;
        let [run, server, holder] = arguments.get(name + 1..name + 4)? else {
            return None;
        };
        format!("{run}/{server}/{holder}/").parse().ok()
    }

    /// The holder as the leader is told of it.
    fn holder_argument(&self) -> String {
        format!("{}-{}-{}", self.holder.pid, self.holder.start, self.number)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/", self.run_id, self.server, self.holder_argument())
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('/').collect();
        let [run_id, server, holder, ""] = parts[..] else {
            return Err(());
        };
        let numbers: Vec<u64> = holder.split('-').map_while(|number| number.parse().ok()).collect();
        let [pid, start, number] = numbers[..] else {
            return Err(());
        };
        let holder = Identity { pid: u32::try_from(pid).map_err(|_| ())?, start };
        Ok(Self { run_id: run_id.to_owned(), server: server.to_owned(), holder, number })
    }
}

/// The leader of a place's process group, and our end of its pipe.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) group: u32,
    /// Holds the pipe as the child's standard input. Not killed when dropped: the closed pipe does more.
    leader: Child,
}

/// What the lease has to know beside the mark.
pub(super) struct Terms<'a> {
    pub(super) workspace: &'a Path,
    pub(super) postgres: &'a Path,
    pub(super) directories: &'a [PathBuf],
    pub(super) path: &'a OsString,
}

impl Lease {
    pub(super) fn take(mark: &Mark, account: &Account, terms: &Terms<'_>) -> Result<Self, Unable> {
        let script: Vec<&str> = SCRIPT.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let mut command = Command::new(shell(terms.path));
        command
            .args(["-c", &script.join("\n"), NAME, &mark.run_id, &mark.server, &mark.holder_argument()])
            .arg(terms.postgres)
            .args(terms.directories)
            .env_clear()
            .env("PATH", terms.path)
            .env("LC_ALL", "C")
            .current_dir(terms.workspace)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        run_as(&mut command, account);
        let leader = command.spawn().map_err(|error| {
            Unable::new(
                Code::WorkspaceUnusable,
                format!(
                    "no process of the account '{}' can be started in {}: {error}",
                    account.name,
                    terms.workspace.display()
                ),
            )
            .hint("The account must be able to enter the workspace and every directory above it.")
        })?;
        let group = leader.id().ok_or_else(|| Unable::bug("a lease ended before it was looked at"))?;
        Ok(Self { group, leader })
    }

    /// Whether the lease still stands. A leader that has ended is left to be waited for, because until then
    /// the number of its group cannot become another's.
    pub(super) fn stands(&self) -> bool {
        let leader = i32::try_from(self.group).ok().and_then(Pid::from_raw);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        leader.is_some_and(|leader| matches!(waitid(WaitId::Pid(leader), options), Ok(None)))
    }

    /// Ends the leader and what little is in its group, when all else has ended, and returns what would not
    /// end.
    pub(super) async fn end(mut self, uid: u32) -> Vec<Entry> {
        if !table::there() {
            // Nobody can be looked for, so that the leader does what it does when pgdrill dies.
            drop(self.leader.stdin.take());
            let _ = tokio::time::timeout(Duration::from_secs(10), self.leader.wait()).await;
            return Vec::new();
        }
        let left = ending::kill_group(uid, self.group).await;
        if left.is_empty() {
            // It has ended, and only its exit status is left to be taken.
            let _ = self.leader.wait().await;
        }
        left
    }
}

/// The shell that wraps every command of a place.
pub(super) fn shell(path: &OsString) -> PathBuf {
    program_in(path, "sh").unwrap_or_else(|| PathBuf::from("/bin/sh"))
}

/// Has a command run as the account. The standard library drops root's supplementary groups along with root.
pub(super) fn run_as(command: &mut Command, account: &Account) {
    if account.switch {
        command.uid(account.uid).gid(account.gid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        let mark = Mark::new("20250101-ab12", "primary").unwrap();
        assert_eq!(mark.to_string().parse(), Ok(mark.clone()));
        assert!(mark.holder.alive());
        for other in ["", "run/server/1-2-3", "run/server/1-2/", "a/run/server/1-2-3/", "run/server/1-2-x/"] {
            assert!(other.parse::<Mark>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_name_that_would_blur_the_mark_is_refused() {
        for name in ["", "a/b", "a b", "ü"] {
            assert_eq!(Mark::new(name, "primary").unwrap_err().code, Code::InternalError);
        }
    }
}
