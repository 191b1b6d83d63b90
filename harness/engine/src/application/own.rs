//! Somebody's own application: a command that starts it, and one that stops it, for this host's shell.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Environment;
use crate::log;

/// Runs a command to its end. What it prints goes to the log, so that what it leaves running holds nothing that anybody
/// waits for.
///
/// # Errors
///
/// Why it did not do what it should, in words.
pub async fn run(
    command: &str,
    environment: &Environment,
    output: &Path,
    limit: Duration,
) -> Result<(), String> {
    let open = || File::options().create(true).append(true).open(output);
    let (out, err) = match (open(), open()) {
        (Ok(out), Ok(err)) => (out, err),
        (Err(error), _) | (_, Err(error)) => {
            return Err(format!("cannot write {}: {error}", output.display()));
        }
    };
    let mut child = Command::new("sh")
        .args(["-c", command])
        .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run `sh`: {error}"))?;
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            let last = log::last_words(output);
            Err(format!("`{command}` ended with {status}{}{last}", if last.is_empty() { "" } else { ": " }))
        }
        Ok(Err(error)) => Err(format!("`{command}` cannot be waited for: {error}")),
        Err(_) => {
            let _ = child.kill().await;
            Err(format!("`{command}` did not end within {} s", limit.as_secs()))
        }
    }
}
