//! Runs a program that made a backup, on this host and as the account of pgdrill.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::world::Exit;
use tokio::process::Command;

/// A program, and what it is told.
pub struct Program<'a> {
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// What the names of variables begin with that it is given of the environment: its own, which may hold passwords.
    pub environment: &'a [&'static str],
    /// Variables that it is given beside these, whatever the environment says of them.
    pub sets: &'a [(&'a str, &'a Path)],
    /// Where it is run.
    pub directory: &'a Path,
    /// How long it may take.
    pub limit: Duration,
}

impl Program<'_> {
    /// Runs it to its end. It ends with pgdrill, where the system can do so.
    ///
    /// # Errors
    ///
    /// `PROGRAM_MISSING`, `TIME_LIMIT`.
    pub async fn run(self) -> Result<Exit, Unable> {
        let missing = |error: &std::io::Error| {
            Unable::new(Code::ProgramMissing, format!("`{}` cannot be run on this host: {error}", self.name))
                .hint(format!(
                    "Install the package that holds `{}`: it restores the backups that it made.",
                    self.name
                ))
        };
        let own = |name: &str| self.environment.iter().any(|prefix| name.starts_with(prefix));
        let environment: Vec<_> = std::env::vars_os()
            .filter(|(name, _)| {
                name.to_str().is_some_and(|name| matches!(name, "PATH" | "HOME" | "TZ") || own(name))
            })
            .collect();
        let ends_with_us = Path::new("/usr/bin/setpriv").exists();
        let mut command = if ends_with_us {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--pdeathsig", "KILL", "--", self.name]);
            command
        } else {
            Command::new(self.name)
        };
        // What is not there, setpriv would say in its own words.
        let there = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|directory| directory.join(self.name).is_file())
        });
        if !there {
            return Err(missing(&std::io::ErrorKind::NotFound.into()));
        }
        let child = command
            .args(&self.args)
            .env_clear()
            .envs(environment)
            .envs(self.sets.iter().copied())
            .env("LC_ALL", "C")
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| missing(&error))?;
        match tokio::time::timeout(self.limit, child.wait_with_output()).await {
            Ok(output) => {
                let output = output.map_err(|error| missing(&error))?;
                let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                Ok(Exit {
                    code: output.status.code(),
                    signal: output.status.signal(),
                    stdout: said(&output.stdout),
                    stderr: said(&output.stderr),
                    ..Exit::default()
                })
            }
            Err(_) => {
                let message = format!("`{}` did not end within {} s", self.name, self.limit.as_secs());
                Err(Unable::new(Code::TimeLimit, message))
            }
        }
    }
}
