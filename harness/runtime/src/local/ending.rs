//! Ending what runs in a place, and knowing that it has ended.
//!
//! A process belongs to a place when it carries the place's mark, when it is in the group of the place's
//! lease, when it descends from such a one, or when it is a backend that outlived its postmaster. The group
//! alone does not do: backends have sessions of their own. Nor does the mark alone: backends write their
//! title over it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgdrill_model::world::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

use super::mark::{MARK, Mark};
use super::table::{Entry, Identity, Table};

/// A postmaster in immediate shutdown kills its stubborn backends after five seconds
/// (`SIGKILL_CHILDREN_AFTER_SECS` in `postmaster.c`); killed before that it would leave them behind.
const PATIENCE_WITH_SERVER: Duration = Duration::from_secs(7);

/// What is no server has nobody to say goodbye to.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a killed process may take to be gone. It only takes long where the disk does not answer.
const KILLED_LIMIT: Duration = Duration::from_secs(3);

/// Between two looks at the process table, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// What the processes of a place are known by.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) mark: Mark,
    pub(super) uid: u32,
    /// The process group, while its leader is there.
    pub(super) group: Option<u32>,
    /// The program `postgres`, with no symbolic link in its path.
    pub(super) postgres: PathBuf,
    /// The directories in which only this server's backends work, with no symbolic link in their paths.
    pub(super) directories: Vec<PathBuf>,
}

impl Reach {
    /// The processes that were started in the place and can be told so by themselves.
    fn roots(&self, table: &Table) -> Vec<Entry> {
        let mark = self.mark.to_string();
        // The leader and its `cat` stay, so that the lease stands until the last.
        let leading = |entry: &Entry| Some(entry.id.pid) == self.group || Some(entry.parent) == self.group;
        let member = |entry: &Entry| self.group.is_some_and(|group| entry.group == group);
        let marked = |entry: &Entry| entry.variable(MARK).is_some_and(|found| found == mark);
        let here = table.entries().filter(|entry| !leading(entry) && (member(entry) || marked(entry)));
        here.copied().collect()
    }

    fn is_postgres(&self, entry: &Entry) -> bool {
        entry.program().is_some_and(|program| program == self.postgres)
    }

    /// Backends whose postmaster was killed. Their program and where they work tells them from anybody
    /// else's.
    fn orphans(&self, table: &Table) -> Vec<Entry> {
        let orphaned = |entry: &&Entry| {
            let parent_is_one = table.get(entry.parent).is_some_and(|parent| self.is_postgres(parent));
            let here = |directory: PathBuf| self.directories.iter().any(|own| directory.starts_with(own));
            !parent_is_one
                && self.is_postgres(entry)
                && entry.directory().is_some_and(here)
                && entry.variable(MARK).is_none()
        };
        table.entries().filter(orphaned).copied().collect()
    }

    /// All processes of the place.
    pub(super) fn members(&self, table: &Table) -> Vec<Entry> {
        let roots = self.roots(table).into_iter().chain(self.orphans(table));
        table.with_descendants(roots.map(|entry| entry.id.pid))
    }

    /// Ends everything and returns what would not end.
    pub(super) async fn end(&self) -> Vec<Entry> {
        let mut told = Vec::new();
        let mut seen = BTreeMap::new();
        let started = Instant::now();
        let mut looks = Looks::default();
        loop {
            let (table, roots, members) = self.look().await;
            seen.extend(members.into_iter().map(|entry| (entry.id, entry)));
            seen.retain(|id, _| table.get(id.pid).is_some_and(|entry| entry.id == *id));
            if seen.is_empty() {
                return Vec::new();
            }
            for root in roots.iter().filter(|root| !told.contains(&root.id)) {
                // An immediate shutdown for a postmaster, which does not hear the SIGTERM after it; what a
                // shell has put in the background ignores the SIGQUIT. SIGCONT wakes what was stopped.
                for signal in [QUIT, TERM, CONT] {
                    send(root.id.pid, signal);
                }
            }
            told.extend(roots.iter().map(|root| root.id));
            let server = roots.iter().any(|root| self.is_postgres(root));
            let patience = if server { PATIENCE_WITH_SERVER } else { PATIENCE };
            if roots.is_empty() || started.elapsed() > patience {
                break;
            }
            looks.pause().await;
        }
        let reach = self.clone();
        let seen: Vec<Identity> = seen.into_keys().collect();
        kill_all(self.uid, move |table| {
            let still =
                seen.iter().filter_map(|id| table.get(id.pid).filter(|entry| entry.id == *id).copied());
            still.chain(reach.members(table)).collect()
        })
        .await
    }

    async fn look(&self) -> (Table, Vec<Entry>, Vec<Entry>) {
        let reach = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let table = Table::read(reach.uid);
            let (roots, members) = (reach.roots(&table), reach.members(&table));
            (table, roots, members)
        });
        looked.await.unwrap_or_default()
    }
}

/// Kills what `which` finds in the process table, waits until it is gone, and returns what would not go.
pub(super) async fn kill_all(uid: u32, which: impl Fn(&Table) -> Vec<Entry> + Send + 'static) -> Vec<Entry> {
    let killed = tokio::task::spawn_blocking(move || freeze_and_kill(uid, &which)).await.unwrap_or_default();
    let started = Instant::now();
    let mut looks = Looks::default();
    loop {
        let left: Vec<Entry> = killed.iter().filter(|entry| entry.id.alive()).copied().collect();
        if left.is_empty() || started.elapsed() > KILLED_LIMIT {
            return left;
        }
        looks.pause().await;
    }
}

/// Stops what `which` finds until it finds nothing new, and only then kills: a process that is killed while
/// its parent still runs may be replaced, and one whose parent is killed first can no longer be told.
pub(super) fn freeze_and_kill(uid: u32, which: impl Fn(&Table) -> Vec<Entry>) -> Vec<Entry> {
    const ROUNDS: usize = 50;
    let mut frozen: Vec<Entry> = Vec::new();
    for _ in 0..ROUNDS {
        let found = which(&Table::read(uid));
        let new: Vec<Entry> =
            found.into_iter().filter(|entry| !frozen.iter().any(|known| known.id == entry.id)).collect();
        if new.is_empty() {
            break;
        }
        for entry in &new {
            send(entry.id.pid, rustix::process::Signal::STOP);
        }
        frozen.extend(new);
    }
    for entry in &frozen {
        send(entry.id.pid, rustix::process::Signal::KILL);
    }
    frozen
}

/// Pauses between looks that grow from a short to a longer one.
struct Looks(Duration);

impl Default for Looks {
    fn default() -> Self {
        Self(FIRST_LOOK)
    }
}

impl Looks {
    async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_LOOK);
    }
}

const QUIT: rustix::process::Signal = rustix::process::Signal::QUIT;
const TERM: rustix::process::Signal = rustix::process::Signal::TERM;
const CONT: rustix::process::Signal = rustix::process::Signal::CONT;

/// Sends a signal; whether the process was still there does not matter, because whoever calls looks again.
fn send(pid: u32, signal: rustix::process::Signal) {
    let _ = deliver(pid, signal);
}

fn deliver(pid: u32, signal: rustix::process::Signal) -> rustix::io::Result<()> {
    // Process 1 and the numbers below it mean the system's own first process, or whole groups.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw);
    match kill_process(pid.ok_or(rustix::io::Errno::INVAL)?, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        sent => sent,
    }
}

/// Sends one of PostgreSQL's signals; a process that is gone is success.
pub(super) fn signal(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    use rustix::process::Signal as Os;
    deliver(
        pid,
        match signal {
            Signal::Term => Os::TERM,
            Signal::Int => Os::INT,
            Signal::Quit => Os::QUIT,
            Signal::Kill => Os::KILL,
            Signal::Stop => Os::STOP,
            Signal::Continue => Os::CONT,
        },
    )
}

/// Kills a whole process group, waits until it is gone, and returns what would not go. The caller knows that
/// the leader is there, if only for its parent to look at, so that the number is not another group's.
pub(super) async fn kill_group(uid: u32, group: u32) -> Vec<Entry> {
    if let Some(group) = i32::try_from(group).ok().filter(|group| *group > 1).and_then(Pid::from_raw) {
        // Whether anybody was left does not matter; what matters is looked at below.
        let _ = kill_process_group(group, rustix::process::Signal::KILL);
    }
    kill_all(uid, move |table| table.entries().filter(|entry| entry.group == group).copied().collect()).await
}
