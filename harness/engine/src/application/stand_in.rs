//! The stand-in for a trading application: an API and its web, each a process of its own that ends when the pipe closes which
//! only pgdrill holds.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Environment;
use crate::http::Url;
use crate::log;

/// What each of its processes says first, before its address.
const LISTENING: &str = "listening on ";

/// Both processes.
#[derive(Debug)]
pub struct StandIn {
    /// Where the API is: `http://127.0.0.1:40001`.
    pub api: String,
    /// Where the web is.
    pub web: String,
    /// Where both are to be asked how they are.
    pub health: [Url; 2],
    processes: [Child; 2],
}

impl StandIn {
    /// Starts both; each has said where it listens.
    ///
    /// # Errors
    ///
    /// Why one did not start, in words.
    pub async fn start(
        program: &Path,
        environment: &Environment,
        output: &Path,
        limit: Duration,
    ) -> Result<Self, String> {
        let (first, api) = spawn(program, "api", &[], environment, output, limit).await?;
        let (second, web) = spawn(program, "web", &["--api", &api], &Vec::new(), output, limit).await?;
        let health = |at: &str| format!("{at}/api/healthz").parse();
        Ok(Self { health: [health(&api)?, health(&web)?], api, web, processes: [first, second] })
    }

    /// Ends both in order, the web before the API that it asks.
    ///
    /// # Errors
    ///
    /// That one would not end, and was killed.
    pub async fn stop(self, limit: Duration) -> Result<(), String> {
        let [api, web] = self.processes;
        for (name, mut process) in [("web", web), ("API", api)] {
            drop(process.stdin.take());
            if tokio::time::timeout(limit, process.wait()).await.is_err() {
                let _ = process.kill().await;
                return Err(format!("the {name} did not end within {} s, and was killed", limit.as_secs()));
            }
        }
        Ok(())
    }
}

async fn spawn(
    program: &Path,
    role: &str,
    more: &[&str],
    environment: &Environment,
    output: &Path,
    limit: Duration,
) -> Result<(Child, String), String> {
    let err = File::options().create(true).append(true).open(output);
    let err = err.map_err(|error| format!("cannot write {}: {error}", output.display()))?;
    let mut child = Command::new(program)
        .args(["trading-app", role])
        .args(more)
        // Whatever is left of a drill is found by its workspace.
        .current_dir(output.parent().unwrap_or(Path::new("/")))
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(err)
        // Whoever presses Ctrl-C means pgdrill, which ends the others in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let Some(stdout) = child.stdout.take() else { return Err("a process without an output".to_owned()) };
    let mut lines = BufReader::new(stdout).lines();
    let said = tokio::time::timeout(limit, lines.next_line()).await;
    match said {
        Ok(Ok(Some(line))) if line.starts_with(LISTENING) => {
            let at = format!("http://{}", line.trim_start_matches(LISTENING).trim());
            Ok((child, at))
        }
        Ok(_) => Err(format!("the {} ended while starting: {}", role, log::last_words(output))),
        Err(_) => Err(format!("the {} did not listen within {} s", role, limit.as_secs())),
    }
}
