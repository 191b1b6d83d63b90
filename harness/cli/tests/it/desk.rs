//! A desk to run pgdrill at: directories of its own, and the question what is left after a run.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pgdrill_testkit::docker;
use serde_json::Value;
use tempfile::TempDir;

/// How long what must go away may take to do so.
const PATIENCE: Duration = Duration::from_secs(20);

/// A small drill in which everything comes back.
pub const GOOD: &str = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - switch-wal\n  - disaster: kill\n  - recover\n  - check: { row-counts: all }\n";

/// One in which the primary's files go, and with them what was not archived.
pub const BAD: &str = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - sql: CREATE TABLE late AS SELECT 1 AS n\n  - disaster: lose-primary\n  - recover\n  - check: { row-counts: all }\n";

/// Directories of one test.
pub struct Desk {
    directory: TempDir,
}

/// Where and on which major a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    runtime: &'static str,
    /// None for the newest that is there.
    major: Option<u16>,
}

impl Cell {
    /// The host's own PostgreSQL.
    pub const LOCAL: Self = Self { runtime: "local", major: None };

    /// A container of a major.
    pub const fn docker(major: u16) -> Self {
        Self { runtime: "docker", major: Some(major) }
    }

    /// A container of one of `majors`: where many cases run on the host and in a container, the majors take turns, as `case` says.
    pub fn in_turn(majors: &[u16], case: &str) -> Self {
        let turn =
            case.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(byte)) % majors.len();
        Self::docker(majors[turn])
    }

    /// Whether it is there; where it is not, the test says that it is skipped, or fails where it must not be.
    pub fn is_there(self) -> bool {
        self.major.is_none_or(|major| docker::required_or_skip(&[major]))
    }

    /// The arguments that ask for it.
    pub fn args(self) -> Vec<String> {
        let major = self.major.map(|major| ["--postgres".to_owned(), major.to_string()]);
        ["--runtime".to_owned(), self.runtime.to_owned()]
            .into_iter()
            .chain(major.into_iter().flatten())
            .collect()
    }
}

/// What a run left to look at.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        // Short, because a socket's path must be; open, because servers run as another account; in memory where
        // that is large enough, because these tests are about verdicts and not about disks.
        let memory = Path::new("/dev/shm");
        let room = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > 4 << 30);
        let parent = if room { memory } else { Path::new("/tmp") };
        let directory = tempfile::Builder::new().prefix("pgd").tempdir_in(parent).unwrap();
        fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a scenario file of this test.
    pub fn scenario(&self, text: &str) -> PathBuf {
        let path = self.path("scenario.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pgdrill"));
        command
            .args(args)
            .current_dir(self.directory.path())
            .env("PGDRILL_WORKSPACE", self.path("w"))
            .env("PGDRILL_EVIDENCE", self.path("e"))
            // Tests that are about containers ask for them.
            .env("PGDRILL_RUNTIME", "local")
            .env_remove("PGDRILL_IMAGE")
            .env_remove("PGDRILL_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs pgdrill to its end.
    pub fn pgdrill(&self, args: &[&str]) -> Done {
        Done::of(&self.command(args).output().unwrap())
    }

    /// Runs one scenario to its end, and asks what is left.
    pub fn drill(&self, text: &str, args: &[&str]) -> Done {
        let scenario = self.scenario(text);
        let all: Vec<&str> =
            ["run", scenario.to_str().unwrap()].into_iter().chain(args.iter().copied()).collect();
        let done = self.pgdrill(&all);
        self.assert_clean();
        done
    }

    /// The same in a cell.
    pub fn drill_in(&self, cell: Cell, text: &str) -> Done {
        let arguments = cell.args();
        self.drill(text, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts one scenario in the background.
    pub fn start(&self, text: &str) -> Child {
        self.start_in(Cell::LOCAL, text)
    }

    /// The same in a cell.
    pub fn start_in(&self, cell: Cell, text: &str) -> Child {
        let scenario = self.scenario(text);
        let mut command = self.command(&["run", scenario.to_str().unwrap()]);
        command.args(cell.args());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until the only run of this desk has begun step `step` of its plan.
    pub fn wait_for_step(&self, child: &mut Child, step: usize) {
        let needle = format!("\"step-started\":{{\"step\":{step}}}");
        let begun = || {
            self.files("journal")
                .iter()
                .any(|path| fs::read_to_string(path).is_ok_and(|t| t.contains(&needle)))
        };
        wait_until(&format!("step {step} to begin"), Duration::from_secs(120), || {
            if let Some(status) = child.try_wait().unwrap() {
                let mut words = String::new();
                child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
                panic!("pgdrill ended ({status}) before step {step}: {words}");
            }
            begun()
        });
    }

    /// The only record of this desk.
    pub fn record(&self) -> Value {
        let records = self.files("json");
        assert_eq!(records.len(), 1, "{records:?}");
        serde_json::from_slice(&fs::read(&records[0]).unwrap()).unwrap()
    }

    /// Files of the evidence directory with this ending.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("e")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect()
    }

    /// The only workspace of this desk, once it is there.
    pub fn workspace(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.path("w")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).find(|path| !path.ends_with("templates"))
    }

    /// The templates of clusters that this desk has.
    pub fn templates(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("w/templates")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Nothing runs, no workspace is there, no journal is there.
    pub fn assert_clean(&self) {
        self.assert_nothing_but("/containers/json?all=1");
        assert_eq!(self.files("journal"), Vec::<PathBuf>::new());
    }

    /// Nothing runs, no workspace is there: also right after a `kill -9`, when the journal still waits for its seal, and a
    /// container that the engine made and was never told to start waits for the next command.
    pub fn assert_nothing_left(&self) {
        let begun = ["running", "paused", "restarting", "removing", "exited", "dead"];
        let begun = begun.map(|status| format!("%22{status}%22")).join(",");
        self.assert_nothing_but(&format!("/containers/json?all=1&filters=%7B%22status%22:%5B{begun}%5D%7D"));
    }

    fn assert_nothing_but(&self, containers: &str) {
        let base = self.path("w");
        let contained = || docker::get(containers).unwrap_or_default();
        wait_until("the processes, the containers and the workspace to go away", PATIENCE, || {
            processes_that_name(&base).is_empty()
                && self.workspace().is_none()
                // Templates stay, and nothing of them is half-made.
                && base.exists() != self.templates().is_empty()
                && self.templates().iter().all(|path| path.join("template.json").is_file())
                && !contained().contains(base.to_str().unwrap())
        });
    }
}

impl Done {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code, and shows everything where it is another.
    pub fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// The text of a scenario that is shipped, by its id.
pub fn shipped(id: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    fs::read_to_string(root.join(format!("{id}.yaml"))).unwrap()
}

/// The findings of a record: code, check or stage, and message.
pub fn findings(record: &Value) -> Vec<(String, String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let findings = record["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| (text(finding, "code"), text(finding, "check"), text(finding, "message")))
        .collect()
}

/// Processes whose command line or working directory is below `path`.
fn processes_that_name(path: &Path) -> Vec<String> {
    let named = path.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.path();
        if !entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let directory = fs::read_link(process.join("cwd")).unwrap_or_default();
        if command.contains(named) || directory.starts_with(path) {
            found.push(command);
        }
    }
    found
}

/// Waits for a condition, bounded.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
