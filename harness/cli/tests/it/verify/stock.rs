//! The backups that the tests damage: made once by real programs of each major, kept below the target directory, and
//! copied for each test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pgdrill_testkit::docker;

use crate::desk::Desk;

const MAKE: &str = include_str!("make.sh");

/// Whose PostgreSQL made the backups, and is asked for its opinion of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The newest of this host.
    Host,
    /// A container of a major.
    Container(u16),
}

/// Backups of one major.
pub struct Stock {
    pub major: u16,
    /// What the tests need to know of them: where tables lie, and such.
    pub facts: BTreeMap<String, String>,
    directory: PathBuf,
    programs: Programs,
}

/// Where PostgreSQL's programs are, and as whom they run: the servers among them refuse root.
struct Programs {
    place: Origin,
    major: u16,
    /// Of the programs of this host.
    bin_dir: String,
    /// User and group where the tests are root.
    account: Option<(u32, u32)>,
    /// Changes with the programs.
    version: String,
}

impl Stock {
    /// The backups of an origin, made where they are not there yet. None where it cannot be had, which is said.
    pub fn of(origin: Origin, desk: &Desk) -> Option<Self> {
        let programs = Programs::find(origin, desk)?;
        let major = programs.major;
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify");
        fs::create_dir_all(&kept).unwrap();
        let directory = kept.join(format!("{origin:?}-{major}").replace(['(', ')'], ""));
        // Each test may be a process of its own, and all want the same.
        let lock = File::create(directory.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let recipe = format!("{}\n{MAKE}", programs.version);
        if fs::read_to_string(directory.join("recipe")).ok().as_deref() != Some(&recipe) {
            let _ = fs::remove_dir_all(&directory);
            // What servers work on must be where their account can go, and where a socket's path is short.
            let making = desk.path("stock");
            fs::create_dir(&making).unwrap();
            programs.give(&making);
            let made = programs.run(&making, MAKE);
            assert!(made.status.success(), "{origin:?}: {}", String::from_utf8_lossy(&made.stderr));
            done(Command::new("cp").arg("-a").args([&making, &directory]));
            fs::remove_dir_all(&making).unwrap();
            fs::write(directory.join("recipe"), recipe).unwrap();
        }
        let facts = fs::read_to_string(directory.join("facts")).unwrap();
        let pairs = facts.lines().map(|line| line.split_once('=').unwrap());
        let mut facts: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        facts.insert("archive".to_owned(), directory.join("archive").display().to_string());
        Some(Self { major, facts, directory, programs })
    }

    /// Whether there is such a backup: not every major can make each.
    pub fn has(&self, backup: &str) -> bool {
        self.directory.join(backup).exists()
    }

    /// Copies a backup to where it can be linked to.
    pub fn fetch(&self, backup: &str, to: &Path) {
        done(Command::new("cp").arg("-a").args([&self.original(backup), to]));
    }

    /// Where a file of the stock itself is; it must stay as it is.
    pub fn original(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Hands a tree to the account that PostgreSQL's programs run as.
    pub fn give(&self, path: &Path) {
        self.programs.give(path);
    }

    /// Runs a script of PostgreSQL's programs in a directory.
    pub fn run(&self, directory: &Path, script: &str) -> Output {
        self.programs.run(directory, script)
    }

    /// A program as that account, where the tests are root: for what root is allowed and others are not.
    pub fn unprivileged(&self, program: &Path) -> Command {
        match self.programs.account {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={group}")]);
                command.arg("--clear-groups").arg(program);
                command
            }
        }
    }
}

impl Programs {
    fn find(origin: Origin, desk: &Desk) -> Option<Self> {
        let doctor = desk.pgdrill(&["doctor", "--runtime", "local"]).stdout;
        let line = |subject: &str| {
            doctor.lines().find_map(|line| line.strip_prefix("ok ")?.trim_start().strip_prefix(subject))
        };
        let account = line("account").and_then(|words| words.split_once("servers run as "));
        let account = account.map(|(_, name)| {
            let name = name.split(' ').next().unwrap_or(name);
            let id = |which| {
                let output = Command::new("id").args([which, name]).output().unwrap();
                String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
            };
            (id("-u"), id("-g"))
        });
        let (major, bin_dir, version) = match origin {
            Origin::Container(major) => {
                if !docker::required_or_skip(&[major]) {
                    return None;
                }
                let image = docker::get(&format!("/images/{}/json", docker::image(major))).unwrap();
                let image: serde_json::Value = serde_json::from_str(&image).unwrap();
                (major, String::new(), image["Id"].to_string())
            }
            Origin::Host => {
                let Some((version, bin_dir)) = line("postgresql").and_then(|line| line.split_once(" in "))
                else {
                    eprintln!("SKIPPED: there is no PostgreSQL on this host");
                    return None;
                };
                let number = version.split_once("(PostgreSQL) ").unwrap().1;
                let number = number.split(|c: char| !c.is_ascii_digit()).next().unwrap();
                (number.parse().unwrap(), bin_dir.to_owned(), version.trim().to_owned())
            }
        };
        Some(Self { place: origin, major, bin_dir, account, version })
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.account {
            done(Command::new("chown").args(["-hR", &format!("{user}:{group}")]).arg(path));
        }
    }

    fn run(&self, directory: &Path, script: &str) -> Output {
        let mut command = match (self.place, self.account) {
            (Origin::Container(major), account) => {
                let (user, group) = account.unwrap_or_else(|| {
                    (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
                });
                let mounted = format!("{0}:{0}", directory.display());
                let mut command = Command::new("docker");
                command.args(["run", "--rm", "-i", "--network=none", "-v", &mounted]);
                command.args(["-v", "/etc/passwd:/etc/passwd:ro", &format!("--user={user}:{group}")]);
                command.args([&docker::image(major), "sh", "-s"]);
                command
            }
            (Origin::Host, account) => {
                let mut command = Command::new("env");
                if let Some((user, group)) = account {
                    command = Command::new("setpriv");
                    command.args([format!("--reuid={user}"), format!("--regid={group}")]);
                    command.args(["--clear-groups", "env"]);
                }
                command.args(["-i", &format!("PATH={}:/usr/bin:/bin", self.bin_dir), "sh", "-s"]);
                command
            }
        };
        command.arg(directory).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

/// Runs a program that must succeed.
pub fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
