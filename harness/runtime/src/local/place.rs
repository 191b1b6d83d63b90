//! One place on this host: a lease, and the processes that are started under it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::PlaceFacts;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::units::Major;
use pgdrill_model::world::{Command, Exit, Need, Output, Place, Process, Program, Signal};
use rustix::io::Errno;

use super::account::Account;
use super::ending::{self, Reach};
use super::install::Installation;
use super::lease::{self, Lease, Terms};
use super::mark::{MARK, Mark};
use super::process::{COMMAND, LocalProcess, Running};
use super::table::{self, Entry, Table};
use super::{executable, program_in};

/// Sets the file mode mask, which is a property of a process and cannot be set from outside, and becomes the
/// program.
const WRAP: &str = r#"umask 077; exec "$0" "$@""#;

/// The same in a network of its own, in which there is nothing: also without any privilege, since it is done in a user
/// namespace in which the account is who it was (`user_namespaces(7)`).
const WRAP_WITHOUT_NETWORK: &str = r#"umask 077; exec unshare --user --map-current-user --net -- "$0" "$@""#;

/// Refuses a symbolic link where a log file should be.
const NO_LINKS: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Processes of one server on this host.
#[derive(Debug)]
pub(super) struct LocalPlace {
    facts: PlaceFacts,
    major: Major,
    account: Account,
    workspace: PathBuf,
    /// Where other programs are found, PostgreSQL's own directory first.
    path: OsString,
    shell: PathBuf,
    reach: Reach,
    lease: Lease,
    commands: AtomicU64,
    network: bool,
}

impl LocalPlace {
    pub(super) async fn open(
        need: &Need,
        installation: &Installation,
        account: &Account,
        search_path: OsString,
    ) -> Result<Self, Unable> {
        let unusable = |path: &Path, error: &io::Error| {
            Unable::new(Code::WorkspaceUnusable, format!("{} cannot be used: {error}", path.display()))
        };
        let real = |path: &PathBuf| path.canonicalize().map_err(|error| unusable(path, &error));
        let workspace = real(&need.workspace)?;
        // A directory may not be there yet, but the workspace that it will be in is.
        let resolve = |dir: &PathBuf| match dir.strip_prefix(&need.workspace) {
            Ok(below) => workspace.join(below),
            Err(_) => dir.canonicalize().unwrap_or_else(|_| dir.clone()),
        };
        let directories: Vec<PathBuf> = need.writable.iter().map(resolve).collect();
        let program = installation.bin_dir.join("postgres");
        let postgres = real(&program)?;

        let dirs = [installation.bin_dir.clone()].into_iter().chain(std::env::split_paths(&search_path));
        let path = std::env::join_paths(dirs).unwrap_or(search_path);
        let mark = Mark::new(&need.run_id, &need.server)?;
        let terms =
            Terms { workspace: &workspace, postgres: &postgres, directories: &directories, path: &path };
        let lease = Lease::take(&mark, account, &terms)?;
        let reach = Reach { mark, uid: account.uid, group: Some(lease.group), postgres, directories };
        let facts = PlaceFacts {
            runtime: "local".to_owned(),
            postgres: installation.version.clone(),
            bin_dir: installation.bin_dir.clone(),
            user: account.name.clone(),
            shared: shared(account, need.network),
            ..PlaceFacts::default()
        };
        let place = Self {
            facts,
            major: need.major,
            account: account.clone(),
            workspace: need.workspace.clone(),
            shell: lease::shell(&path),
            path,
            reach,
            lease,
            commands: AtomicU64::new(1),
            network: need.network,
        };
        place.expect_isolation().await?;
        place.probe().await.map(|()| place)
    }

    /// Refuses what would reach the network although it must not.
    async fn expect_isolation(&self) -> Result<(), Unable> {
        if self.network {
            return Ok(());
        }
        let exit = self.run(&Command::system("true", [] as [&str; 0])).await?;
        if exit.success() {
            return Ok(());
        }
        let message = format!(
            "this host gives the account '{}' no network of its own: {}",
            self.account.name,
            exit.last_words()
        );
        Err(Unable::new(Code::QuarantineUnavailable, message))
    }

    /// PostgreSQL was found by the caller's account; whether the one that runs it can, only running it tells.
    async fn probe(&self) -> Result<(), Unable> {
        let exit = self.run(&Command::postgres("postgres", ["--version"])).await?;
        if exit.success() {
            return Ok(());
        }
        Err(Unable::new(
            Code::PostgresMissing,
            format!(
                "{} cannot be run by the account '{}': {}, {}",
                self.facts.bin_dir.join("postgres").display(),
                self.account.name,
                exit.describe(),
                exit.last_words()
            ),
        ))
    }

    fn find(&self, program: &Program) -> Result<PathBuf, Unable> {
        match program {
            Program::Postgres(name) => {
                let file = self.facts.bin_dir.join(name);
                executable(&file).then_some(file).ok_or_else(|| {
                    Unable::new(
                        Code::ProgramMissing,
                        format!("there is no `{name}` in {}", self.facts.bin_dir.display()),
                    )
                    .hint(format!(
                        "Install the server, client and contrib packages of PostgreSQL {}.",
                        self.major
                    ))
                })
            }
            Program::System(name) => program_in(&self.path, name).ok_or_else(|| {
                Unable::new(Code::ProgramMissing, format!("there is no program `{name}` in PATH"))
                    .hint(format!("Install the package that holds `{name}`, or add its directory to PATH."))
            }),
        }
    }

    fn lost(&self) -> Unable {
        Unable::new(
            Code::ServerLost,
            format!(
                "the lease of the server '{}' (process {}) was ended by somebody, so nothing more is \
                 started under it",
                self.reach.mark.server, self.lease.group
            ),
        )
        .hint("Look for the OOM killer in the kernel's log, or for somebody who ended the process.")
    }

    /// Starts a command and returns it with the number that its processes carry.
    fn start(&self, command: &Command, only_while_wanted: bool) -> Result<(LocalProcess, u64), Unable> {
        let program = self.find(&command.program)?;
        if !self.lease.stands() {
            return Err(self.lost());
        }
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let (stdout, stderr) = self.streams(&command.output)?;
        let mut child = tokio::process::Command::new(&self.shell);
        child
            .args(["-c", if self.network { WRAP } else { WRAP_WITHOUT_NETWORK }])
            .arg(&program)
            .args(&command.args)
            .env_clear()
            .env("PATH", &self.path)
            .env("LC_ALL", "C")
            .env("LANG", "C")
            .env("TZ", "UTC")
            .env("HOME", &self.workspace)
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .env(MARK, self.reach.mark.to_string())
            .env(COMMAND, number.to_string())
            .current_dir(&self.workspace)
            .process_group(
                i32::try_from(self.lease.group).map_err(|_| Unable::bug("a process id too large"))?,
            )
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(only_while_wanted);
        lease::run_as(&mut child, &self.account);
        let started = Instant::now();
        let child = child.spawn().map_err(|error| self.not_started(command, &error))?;
        Ok((LocalProcess::new(child, started)?, number))
    }

    fn not_started(&self, command: &Command, error: &io::Error) -> Unable {
        // The group cannot be joined: the last of it ended just now.
        if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) {
            return self.lost();
        }
        // The shell is there, since the lease runs in it. What else can be missing, or closed, is the
        // directory.
        let about_files = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        let (code, place) = if about_files {
            (Code::WorkspaceUnusable, format!(" in {}", self.workspace.display()))
        } else {
            (Code::ProgramMissing, String::new())
        };
        let name = command.program.name();
        Unable::new(code, format!("`{name}` cannot be started{place}: {error}"))
    }

    fn streams(&self, output: &Output) -> Result<(Stdio, Stdio), Unable> {
        match output {
            Output::Capture => Ok((Stdio::piped(), Stdio::piped())),
            Output::File(path) => {
                let file = self.log_file(path).and_then(|file| Ok((file.try_clone()?, file)));
                let (stdout, stderr) = file.map_err(|error| {
                    Unable::new(
                        Code::WorkspaceUnusable,
                        format!("the log file {} cannot be written: {error}", path.display()),
                    )
                })?;
                Ok((stdout.into(), stderr.into()))
            }
        }
    }

    /// Opens a log file for appending. The directory may belong to the account, so that a link or another's
    /// file in its place must not lead root to write elsewhere.
    fn log_file(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600).custom_flags(NO_LINKS);
        match options.clone().create_new(true).open(path) {
            Ok(file) => {
                if self.account.switch {
                    fchown(&file, Some(self.account.uid), Some(self.account.gid))?;
                }
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = options.open(path)?;
                let found = file.metadata()?;
                if !found.is_file() || found.uid() != self.account.uid {
                    return Err(io::Error::other(format!(
                        "it is not a file of the account '{}'",
                        self.account.name
                    )));
                }
                Ok(file)
            }
            Err(error) => Err(error),
        }
    }
}

/// What a place on this host does not keep apart.
fn shared(account: &Account, network: bool) -> Vec<String> {
    let network = network.then(|| "the host's network".to_owned());
    let others = [
        format!("files and processes that the account '{}' may reach", account.name),
        "the host's memory, processors and disks".to_owned(),
    ];
    network.into_iter().chain(others).collect()
}

#[async_trait]
impl Place for LocalPlace {
    fn facts(&self) -> &PlaceFacts {
        &self.facts
    }

    async fn run(&self, command: &Command) -> Result<Exit, Unable> {
        let (process, number) = self.start(command, true)?;
        let running = Running::new(process, self.reach.mark.clone(), number, self.account.uid);
        running.within(command.time_limit, command.program.name()).await
    }

    async fn spawn(&self, command: &Command) -> Result<Box<dyn Process>, Unable> {
        let (process, _) = self.start(command, false)?;
        Ok(Box::new(process))
    }

    async fn signal(&self, pid: u32, signal: Signal) -> Result<(), Unable> {
        // A number that was a process of this place may be somebody else's by now: ours is gone then, which
        // is what success means here.
        let table = Table::read(self.account.uid);
        if table::there() && !self.reach.members(&table).iter().any(|entry| entry.id.pid == pid) {
            return Ok(());
        }
        ending::signal(pid, signal).map_err(|error| {
            Unable::bug(format!("{signal:?} cannot be sent to process {pid} of a local place: {error}"))
        })
    }

    async fn close(self: Box<Self>) -> Vec<Finding> {
        let mut left = self.reach.end().await;
        left.extend(self.lease.end(self.account.uid).await);
        let left = left.iter().map(Entry::describe);
        let finding = |what: String| {
            let message = format!("{what} of the server '{}' would not end", self.reach.mark.server);
            Finding::new(Code::CleanupFailed, Stage::Teardown, message).about(what)
        };
        left.map(finding).collect()
    }
}
