//! The script, and the log of what came of it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgdrill_model::event::{Event, Happening};
use pgdrill_model::world::Listener;

use super::call::{Call, What};
use super::fault::Fault;

/// How long a killed process may take to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(10);

type Action = Box<dyn Fn(&Script) + Send + Sync>;

/// Which call meets which fault, what happens besides, and the log of it all.
#[derive(Default)]
pub struct Script {
    faults: Vec<(Call, Fault)>,
    steps: Vec<(usize, Action)>,
    stuck: Option<Action>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    /// Started processes, by server.
    pids: Vec<(String, u32)>,
    /// The places that were opened and not closed yet, by server.
    open: Vec<String>,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Something was asked of the runtime; with what became of it, where the script had a say.
    Called(Call, Option<Fault>),
    /// Something happened in the drill.
    Heard(Box<Event>),
}

impl Script {
    /// A script in which nothing fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has a call meet a fault.
    ///
    /// # Panics
    ///
    /// When no such fault can come of such a call.
    #[must_use]
    pub fn fail(mut self, call: &Call, fault: Fault) -> Self {
        assert!(fault.fits(&call.what), "{call} cannot be one that {fault:?}");
        self.faults.push((call.clone(), fault));
        self
    }

    /// Has something done when a step of the plan begins.
    #[must_use]
    pub fn at_step(mut self, step: usize, action: impl Fn(&Self) + Send + Sync + 'static) -> Self {
        self.steps.push((step, Box::new(action)));
        self
    }

    /// Has something done when a call hangs, or when what it was for will never come: time passes, a person loses
    /// patience. Without it a drill that waits for ever does so.
    #[must_use]
    pub fn when_stuck(mut self, action: impl Fn(&Self) + Send + Sync + 'static) -> Self {
        self.stuck = Some(Box::new(action));
        self
    }

    /// Everything that was asked and that happened so far, in order.
    pub fn log(&self) -> Vec<Seen> {
        self.locked().seen.clone()
    }

    /// Everything that was asked so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        let called = |seen: &Seen| if let Seen::Called(call, _) = seen { Some(call.clone()) } else { None };
        self.locked().seen.iter().filter_map(called).collect()
    }

    /// Whether a fault of the script was met.
    pub fn failed(&self) -> bool {
        self.locked().seen.iter().any(|seen| matches!(seen, Seen::Called(_, Some(_))))
    }

    /// Whether a call of the script never returned.
    pub fn hung(&self) -> bool {
        self.locked().seen.iter().any(|seen| matches!(seen, Seen::Called(_, Some(Fault::Hangs))))
    }

    /// The processes that were started so far, of all servers.
    pub fn pids(&self) -> Vec<u32> {
        self.locked().pids.iter().map(|(_, pid)| *pid).collect()
    }

    /// Kills (signal 9) the processes that were started for a server, and waits until they are gone: the postmaster's
    /// children, which notice by themselves, may stay a moment longer.
    pub fn kill(&self, server: &str) {
        let pids = self.locked().pids.clone();
        for (_, pid) in pids.into_iter().filter(|(owner, _)| owner == server) {
            let Some(process) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
                continue;
            };
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
            let began = Instant::now();
            while alive(pid) && began.elapsed() < GONE_LIMIT {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Takes down a call; gives what must become of it.
    pub(super) fn call(&self, server: &str, what: What) -> Option<Fault> {
        let mut log = self.locked();
        let before = log.seen.iter().filter(
            |seen| matches!(seen, Seen::Called(call, _) if call.server == server && call.what == what),
        );
        let nth = before.count() + 1;
        let call = Call { server: server.to_owned(), what, nth };
        let fault = self.faults.iter().find(|(wanted, _)| *wanted == call).map(|(_, fault)| fault.clone());
        log.seen.push(Seen::Called(call, fault.clone()));
        fault
    }

    /// Places that were opened and that nobody asked to close.
    pub fn left_open(&self) -> Vec<String> {
        self.locked().open.clone()
    }

    /// Takes down that a place was opened.
    pub(super) fn opened(&self, server: &str) {
        self.locked().open.push(server.to_owned());
    }

    /// Takes down that a place is closed.
    pub(super) fn closes(&self, server: &str) {
        let open = &mut self.locked().open;
        if let Some(at) = open.iter().position(|name| name == server) {
            open.remove(at);
        }
    }

    /// Takes down a process that was started.
    pub(super) fn started(&self, server: &str, pid: u32) {
        self.locked().pids.push((server.to_owned(), pid));
    }

    /// Never returns.
    pub(super) async fn hang<T>(&self) -> T {
        self.stuck();
        std::future::pending().await
    }

    /// The drill waits for what will not come.
    pub(super) fn stuck(&self) {
        if let Some(action) = &self.stuck {
            action(self);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a process runs: one that only waits for its parent to look does not.
fn alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

impl Listener for Script {
    fn hear(&self, event: &Event) {
        self.locked().seen.push(Seen::Heard(Box::new(event.clone())));
        if let Happening::StepStarted { step } = &event.what {
            for (_, action) in self.steps.iter().filter(|(wanted, _)| wanted == step) {
                action(self);
            }
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called(call, None) => write!(f, "    {call}"),
            Self::Called(call, Some(fault)) => write!(f, "    {call} -- {fault:?}"),
            Self::Heard(event) => match &event.what {
                Happening::StepStarted { step } => write!(f, "step {step} begins"),
                Happening::StepEnded { step, status, .. } => write!(f, "step {step} ends: {status:?}"),
                Happening::Found(finding) => write!(f, "  ! {}: {}", finding.code, finding.message),
                Happening::PlaceOpened { server, .. } => write!(f, "  place of the {server}"),
                Happening::Measured(_) => f.write_str("  evidence"),
                Happening::Progress { what, done, .. } => write!(f, "  {what}: {done}"),
                Happening::RunStarted(_) => f.write_str("the run begins"),
                Happening::TeardownStarted => f.write_str("teardown begins"),
                Happening::TornDown(_) => f.write_str("torn down"),
                Happening::RunEnded { .. } => f.write_str("the run ends"),
            },
        }
    }
}

impl fmt::Display for Script {
    /// The log, readable, without how far things came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for seen in self.log() {
            let progress = matches!(&seen, Seen::Heard(event) if !event.what.lasting());
            if !progress {
                writeln!(f, "{seen}")?;
            }
        }
        Ok(())
    }
}
