//! The lease: what makes a place end when pgdrill dies in any way, `kill -9` included.
//!
//! A leader process waits at the other end of a pipe that only pgdrill holds open. The kernel closes it when
//! pgdrill is gone, and the leader ends the place. It is a pipe and not a FIFO, because with a FIFO a leader
//! whose pgdrill died before it had opened its end would wait for ever. A child that was being started when
//! pgdrill died cannot slip away: until it executes its program it holds the pipe open itself, and by then it
//! is a member.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::process::{Child, Command};

use super::account::Account;
use super::ending;
use super::mark::{Mark, NAME};
use super::program_in;
use super::table::{self, Entry};

/// What the leader runs.
const SCRIPT: &str = include_str!("lease.sh");

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
