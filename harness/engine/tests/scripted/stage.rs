//! A stage on which drills are played: directories of their own, a clock and an interrupt in the test's hands, and the
//! questions that every drill must be able to answer afterwards.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pgdrill_engine::beginning::Beginnings;
use pgdrill_engine::execute::{Files, Keep, World, execute};
use pgdrill_engine::{chain, journal};
use pgdrill_model::code::Code;
use pgdrill_model::event::{Event, Happening, Host};
use pgdrill_model::judge::fold;
use pgdrill_model::plan::{Plan, compile};
use pgdrill_model::redact::Redactor;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::parse;
use pgdrill_model::units::Major;
use pgdrill_model::verdict::Verdict;
use pgdrill_model::world::Runtime;
use pgdrill_report::record;
use pgdrill_runtime::local::{LocalRuntime, LocalSettings};
use pgdrill_testkit::clock::ManualClock;
use pgdrill_testkit::scripted::{Call, Fault, Script, Scripted, Seen, What};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Every kind of step and every check, with as little data as there can be: about a second on a memory file system.
pub const WHOLE_DRILL: &str = "title: everything that a drill can do
data: { orders: 200 }
steps:
  - backup: { format: tar, compress: gzip }
  - sql: UPDATE \"Order\" SET \"fee\" = \"fee\" + 0.01 WHERE \"id\" % 7 = 0
  - switch-wal
  - disaster: lose-primary
  - recover: { by: tar, to: latest }
  - check: all
objectives: { rto: 10m }
";

/// How long what is left to the lease may take to be gone.
const LEASE_LIMIT: Duration = Duration::from_secs(20);

/// Longer than any bound of a drill.
pub const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// This host's PostgreSQL, looked for once.
pub fn local() -> Arc<dyn Runtime> {
    static LOCAL: OnceLock<Arc<LocalRuntime>> = OnceLock::new();
    let made = || Arc::new(LocalRuntime::new(LocalSettings::from_env(|name| std::env::var_os(name))));
    LOCAL.get_or_init(made).clone()
}

/// A plan of the newest major that a runtime has.
pub async fn plan(runtime: &Arc<dyn Runtime>, text: &str) -> Plan {
    let majors = runtime.majors().await.unwrap();
    let newest: Major = *majors.last().expect("these tests need a PostgreSQL");
    let scenario = parse("scripted", "scripted.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    compile(&scenario, newest, runtime.name(), None).unwrap()
}

/// Where one drill is played.
pub struct Stage {
    /// Everything below it is the stage's.
    pub directory: TempDir,
    /// The drill's time.
    pub clock: Arc<ManualClock>,
    /// A person's.
    pub interrupt: CancellationToken,
    /// When the workspace is kept.
    pub keep: Keep,
    /// By whom templates of clusters are kept; by default nobody keeps them.
    pub templates_by: Option<String>,
    /// What drills have in common; by default nothing.
    pub beginnings: Option<Arc<Beginnings>>,
    /// The run.
    pub id: String,
}

/// A drill that was played.
pub struct Played {
    /// Its record, read back from where it was stored.
    pub run: Run,
    /// Its events, as `execute` gave them.
    pub events: Vec<Event>,
    /// The script and its log.
    pub script: Arc<Script>,
}

impl Stage {
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        // Short, because a socket's path must be; open, because servers run as another account; in memory where that
        // is large enough, because these tests are about verdicts and not about disks.
        let memory = Path::new("/dev/shm");
        let room = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > 4 << 30);
        let parent = if room { memory } else { Path::new("/tmp") };
        let directory = tempfile::Builder::new().prefix("pgs").tempdir_in(parent).unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let id = format!("s{}x{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Self {
            directory,
            clock: Arc::new(ManualClock::running()),
            interrupt: CancellationToken::new(),
            keep: Keep::Never,
            templates_by: None,
            beginnings: None,
            id,
        }
    }

    /// Where workspaces are made.
    pub fn base(&self) -> PathBuf {
        self.directory.path().join("w")
    }

    /// The workspace of the drill.
    pub fn workspace(&self) -> PathBuf {
        self.base().join(&self.id)
    }

    /// Where the record goes.
    pub fn evidence(&self) -> PathBuf {
        self.directory.path().join("e")
    }

    /// A script for this stage: what waits for ever reaches its time limit.
    pub fn script(&self) -> Script {
        let clock = Arc::clone(&self.clock);
        Script::new().when_stuck(move |_| {
            clock.pass(FOR_EVER);
            // Whatever is waited for after that does not come either.
            clock.tick(Duration::from_secs(10));
        })
    }

    /// Plays a drill, stores its record as the command line does, and asks what every drill must be able to answer.
    pub async fn play(&self, plan: &Plan, runtime: &Arc<dyn Runtime>, script: Script) -> Played {
        let script = Arc::new(script);
        // A process of the drill may get the number of one that died long ago and left a segment.
        let before = segments();
        let scripted = Scripted::new(Arc::clone(runtime), Arc::clone(&script));
        let redactor = Redactor::default();
        let world = World {
            runtime: &scripted,
            clock: Arc::<ManualClock>::clone(&self.clock),
            listener: script.as_ref(),
            redactor: &redactor,
            interrupt: self.interrupt.clone(),
            host: Host::default(),
            jobs: 1,
            host_network: true,
            version: "test",
            program: "pgdrill".into(),
        };
        let files = Files {
            base: self.base(),
            evidence: Some(self.evidence()),
            keep: self.keep,
            templates_by: self.templates_by.clone(),
            beginnings: self.beginnings.clone(),
        };
        let (events, journal) = execute(plan, &self.id, &world, &files).await;
        let run = fold(&events).expect("a drill begins with its header");
        let left = self.left(&script, &run, &before);
        let sealed = record::seal(&run, &redactor);
        let stored = journal::store(&self.evidence(), &record::file_name(&run), &sealed);
        let opened = match stored {
            Ok(path) => {
                if let Some(journal) = journal {
                    journal.end().unwrap();
                }
                let files = fs::read_dir(self.evidence()).unwrap().count();
                assert_eq!(files, 2, "more than the record and its chain is left in the evidence directory");
                let chained = chain::check(&self.evidence()).unwrap();
                assert_eq!((chained.records, chained.wrong), (1, vec![]));
                record::open(&fs::read(path).unwrap()).unwrap()
            }
            // Where the evidence directory is the trouble, the record is shown and not stored.
            Err(_) => record::open(&sealed).unwrap(),
        };
        assert_eq!(opened, run, "what was sealed is not what is opened");
        let played = Played { run: opened, events, script };
        played.assert_in_order();
        assert_eq!(left, Vec::<String>::new(), "left behind\n{}", played.script);
        played
    }

    /// What is left of the drill: processes, shared memory, files. When nothing was cut short, at this very moment;
    /// what a place was still doing when its step was dropped is ended by its lease, a moment later.
    fn left(&self, script: &Script, run: &Run, before: &BTreeMap<u64, u32>) -> Vec<String> {
        let cut = run.interrupted
            || script.hung()
            || run.findings.iter().any(|finding| finding.code == Code::TimeLimit);
        let began = Instant::now();
        let mut left = processes_of(&self.id, self.directory.path());
        while cut && !left.is_empty() && began.elapsed() < LEASE_LIMIT {
            std::thread::sleep(Duration::from_millis(5));
            left = processes_of(&self.id, self.directory.path());
        }
        let pids = script.pids();
        let ours = |(id, creator): &(u64, u32)| !before.contains_key(id) && pids.contains(creator);
        let lied = script.log().iter().any(|seen| {
            let ipcrm = |call: &Call| call.what == What::Run("ipcrm".to_owned());
            matches!(seen, Seen::Called(call, Some(Fault::Lies | Fault::Hangs)) if ipcrm(call))
        });
        for (id, creator) in segments().into_iter().filter(ours) {
            let told = run.findings.iter().any(|finding| {
                finding.code == Code::CleanupFailed && finding.message.contains(&format!(" {id} "))
            });
            // What could not be removed is told, and what the script kept from being removed cannot be; this host shall
            // not suffer from it.
            if told || lied {
                let ipcrm = Command::new("ipcrm").args(["--shmem-id", &id.to_string()]).status();
                assert!(ipcrm.unwrap().success());
            } else {
                left.push(format!("shared memory: segment {id}, made by process {creator}"));
            }
        }
        if self.keep != Keep::Always && self.workspace().exists() {
            left.push(format!("{}", self.workspace().display()));
        }
        left
    }
}

impl Played {
    /// Asserts the verdict and one of its codes.
    pub fn assert_is(&self, verdict: Verdict, code: Code, what: &str) {
        assert_eq!(self.run.verdict, verdict, "{what}: {}\n{}", self.run.reason, self.script);
        self.assert_found(code, what);
    }

    /// Asserts that there is a finding of this code.
    pub fn assert_found(&self, code: Code, what: &str) {
        let found: Vec<Code> = self.run.findings.iter().map(|finding| finding.code).collect();
        assert!(found.contains(&code), "{what}: {code} is not among {found:?}\n{}", self.script);
    }

    /// Teardown comes after everything, the end comes last, and what was opened was closed before that.
    fn assert_in_order(&self) {
        let log = self.script.log();
        let torn_down =
            |seen: &Seen| matches!(seen, Seen::Heard(event) if matches!(event.what, Happening::TornDown(_)));
        let at = log.iter().position(torn_down).unwrap_or_else(|| panic!("no teardown\n{}", self.script));
        let after: Vec<String> = log[at + 1..].iter().map(ToString::to_string).collect();
        assert_eq!(after, ["the run ends"], "after teardown\n{}", self.script);
        assert!(self.run.teardown.is_some());
        // What hangs while its place is being closed is cut together with it; the lease does the rest.
        let cut = |seen: &Seen| matches!(seen, Seen::Called(call, Some(Fault::Hangs)) if call.what == What::Run("ipcrm".to_owned()));
        let open = self.script.left_open();
        assert!(open.is_empty() || log.iter().any(cut), "places left open: {open:?}\n{}", self.script);
        let lasting: Vec<&Event> = log
            .iter()
            .filter_map(|seen| if let Seen::Heard(event) = seen { Some(event.as_ref()) } else { None })
            .filter(|event| event.what.lasting())
            .collect();
        assert_eq!(lasting, self.events.iter().collect::<Vec<_>>(), "the listener heard something else");
    }
}

/// The System V shared memory segments of this host, by number, with the process that made each.
fn segments() -> BTreeMap<u64, u32> {
    let memory = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segment = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        Some((columns.get(1)?.parse().ok()?, columns.get(4)?.parse().ok()?))
    };
    memory.lines().skip(1).filter_map(segment).collect()
}

/// Processes that carry the mark of a run, or that work below a directory.
fn processes_of(run_id: &str, directory: &Path) -> Vec<String> {
    let mark = format!("PGDRILL_PLACE={run_id}/");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.path();
        if !entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(process.join(name)).unwrap_or_default()).into_owned()
        };
        let inside = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
        let command = read("cmdline").replace('\0', " ");
        let named = command.contains(&*directory.to_string_lossy());
        let ended = read("stat").rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
        if (inside || named || read("environ").contains(&mark)) && !ended {
            found.push(format!("process {}: {command}", entry.file_name().to_string_lossy()));
        }
    }
    found
}
