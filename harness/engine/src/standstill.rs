//! A server that stands still: all its processes are stopped, and go on where they were. Its files are of one moment then, as
//! those of a volume snapshot are.
//!
//! A process in the server's place stops them and lets them go on (`sh/stop-server.sh`), since only there they have the
//! numbers by which they are known. It waits for a file, so that they go on also where a drill is cut short.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::world::{Command, Process};
use tokio::time::sleep;

use crate::drill::Drill;
use crate::server::LOOK_AGAIN;
use crate::workspace::Workspace;

const STOP_SERVER: &str = include_str!("sh/stop-server.sh");

/// How long it may take until all have stopped. The script gives up before.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// A server that stands still, until it is told to go on, or forgotten.
pub struct Standstill<'a> {
    workspace: &'a Workspace,
    go_on: PathBuf,
    log: PathBuf,
    since: Duration,
    process: Box<dyn Process>,
}

impl<'a> Standstill<'a> {
    /// Stops all processes of a server. `purpose` is a name that no other standstill of the drill has.
    ///
    /// # Errors
    ///
    /// `BACKUP_FAILED`: they do not stop; what the place cannot do.
    pub async fn begin(drill: &mut Drill<'a>, of: Name, purpose: &str) -> Result<Self, Unable> {
        let workspace = drill.workspace;
        let script = workspace.write("bin/stop-server", STOP_SERVER, 0o700)?;
        let go_on = PathBuf::from(format!("conf/{purpose}.go-on"));
        let log = workspace.path(format!("log/{purpose}.standstill.log"));
        let server = drill.server(of)?;
        let postmaster = server.postmaster().ok_or_else(|| Unable::bug("a standstill of no server"))?;
        let told = workspace.path(&go_on);
        let arguments = [script.display().to_string(), postmaster.to_string(), told.display().to_string()];
        let process = server.place().spawn(&Command::system("sh", arguments).log_to(&log)).await?;
        let mut standstill = Self { workspace, go_on, log, since: drill.clock.elapsed(), process };
        while standstill.said() != "stopped" {
            let late = drill.clock.elapsed() > standstill.since + STOP_WITHIN;
            if late || !standstill.process.running() {
                return Err(standstill.failed(of));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(standstill)
    }

    /// Lets them go on; gives how long they stood still.
    ///
    /// # Errors
    ///
    /// `BACKUP_FAILED`: they went on before they were told.
    pub async fn end(mut self, drill: &Drill<'_>, of: Name) -> Result<Duration, Unable> {
        if !self.process.running() {
            return Err(self.failed(of));
        }
        self.tell()?;
        self.process.wait().await?;
        Ok(drill.clock.elapsed().saturating_sub(self.since))
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }

    fn tell(&self) -> Result<(), Unable> {
        self.workspace.write(&self.go_on, "", 0o600).map(|_| ())
    }

    fn failed(&self, of: Name) -> Unable {
        let (name, said) = (of.name(), self.said());
        let words = if said.is_empty() { "whoever stops them says nothing" } else { said.as_str() };
        Unable::new(Code::BackupFailed, format!("the processes of the {name} do not stand still: {words}"))
    }
}

impl Drop for Standstill<'_> {
    fn drop(&mut self) {
        // Where this cannot be written, they go on by themselves after a while, or end with their place.
        let _ = self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Child, Command as Program, Stdio};
    use std::thread;
    use std::time::Instant;

    /// Two that count into files of their own, and their parent, which has brackets and blanks in its name.
    const FAMILY: &str = "for who in one two; do (while :; do echo >>$who; sleep 0.001; done) & done; wait";

    fn sizes(directory: &Path) -> [u64; 2] {
        ["one", "two"].map(|name| fs::metadata(directory.join(name)).map_or(0, |metadata| metadata.len()))
    }

    fn grow(directory: &Path, from: [u64; 2]) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            let now = sizes(directory);
            if now[0] > from[0] && now[1] > from[1] {
                return true;
            }
            thread::sleep(LOOK_AGAIN);
        }
        false
    }

    fn family(directory: &Path) -> Child {
        let shell = directory.join("a) S 1 (shell");
        fs::copy("/bin/sh", &shell).unwrap();
        Program::new(shell).args(["-c", FAMILY]).current_dir(directory).spawn().unwrap()
    }

    /// The parent is gone with its children, whatever a test came to.
    struct Gone(Child);

    impl Drop for Gone {
        fn drop(&mut self) {
            let children = Program::new("pgrep").args(["-P", &self.0.id().to_string()]).output().unwrap();
            let _ = self.0.kill();
            for child in String::from_utf8_lossy(&children.stdout).lines() {
                let _ = Program::new("kill").args(["-KILL", child]).status();
            }
            let _ = self.0.wait();
        }
    }

    #[test]
    fn everybody_stands_still_until_the_file_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let family = Gone(family(directory.path()));
        assert!(grow(directory.path(), [0, 0]));
        let go_on = directory.path().join("go-on");
        let pid = family.0.id().to_string();
        let mut stopping = Program::new("sh")
            .args(["-c", STOP_SERVER, "stop-server", &pid, go_on.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(stopping.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "stopped\n");
        let still = sizes(directory.path());
        // This is what is asked for: that nothing happens for a while.
        thread::sleep(Duration::from_millis(100));
        assert_eq!(sizes(directory.path()), still);
        fs::write(go_on, "").unwrap();
        assert!(stopping.wait().unwrap().success());
        assert!(grow(directory.path(), still));
    }

    #[test]
    fn a_server_that_is_not_there_is_told() {
        let mut gone = Program::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let stopping = Program::new("sh")
            .args(["-c", STOP_SERVER, "stop-server", &gone.id().to_string(), "/nowhere"])
            .output()
            .unwrap();
        assert!(!stopping.status.success() && stopping.stdout.is_empty());
    }
}
