//! The state of a drill that is under way: what the steps share, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pgdrill_backup::archive::Snapshot;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, LoadEvidence, MarkEvidence};
use pgdrill_model::fault::Fault;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::query::Query;
use pgdrill_model::scenario::{Archive, Cluster, Rpo, Tablespace};
use pgdrill_model::units::{Lsn, Major};
use pgdrill_model::world::{Clock, Need, Place, Runtime};
use pgdrill_repository::Layout;
use tokio::task::JoinHandle;

use crate::application::Front;
use crate::barman;
use crate::baseline::{Baseline, Unrecorded, Written};
use crate::books::Ledger;
use crate::data::DATABASE;
use crate::dump::Dumped;
use crate::given::Taken;
use crate::live::Watching;
use crate::receiver::Receiver;
use crate::record::Recorder;
use crate::recovery::aim::Aim;
use crate::safety::Seal;
use crate::server::Server;
use crate::session::{Door, SUPERUSER, Session, describe};
use crate::tablespaces;
use crate::template::Templates;
use crate::template::key::Key;
use crate::workload::Running;
use crate::workspace::Workspace;

/// The name of a segment begins with its timeline.
const POSITION: &str = "SELECT ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::int, lsn::text \
                        FROM pg_current_wal_insert_lsn() AS lsn";

/// Writers that go on behind the steps of a drill.
pub struct Behind {
    /// What they do.
    pub running: Running,
    /// To which server.
    pub on: Name,
}

/// A step that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Its name.
    pub name: String,
    /// Its line in the scenario.
    pub line: Option<usize>,
    /// When.
    pub at: Duration,
}

/// A drill that is under way.
pub struct Drill<'a> {
    /// Where servers run.
    pub runtime: &'a dyn Runtime,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The same clock, for what goes on behind the steps.
    pub shared_clock: Arc<dyn Clock>,
    /// Takes down what happens.
    pub recorder: &'a Recorder<'a>,
    /// The run's id.
    pub run_id: &'a str,
    /// The major version.
    pub postgres: Major,
    /// Where all chance comes from.
    pub seed: u64,
    /// The host's main memory in bytes; 0 where it is not known.
    pub memory_bytes: u64,
    /// Whether a server that comes from a backup which was there already may reach the host's network.
    pub host_network: bool,
    /// Its files.
    pub workspace: &'a Workspace,
    /// What may be lost; none: nothing of what the ledger holds.
    pub rpo: Option<Rpo>,
    /// What a recovered server is asked, and must answer.
    pub queries: &'a [Query],
    /// The servers that are there. They are closed in this order: a standby before its primary, which would wait for it.
    pub servers: BTreeMap<Name, Server>,
    /// The receiver of the WAL of the server that is there, where the drill archives by one.
    pub receiver: Option<Receiver>,
    /// Templates of clusters, where they are used.
    pub templates: Option<Templates>,
    /// What the primary's cluster was made with.
    pub made: Made,
    /// What was there at quiet moments, the latest last.
    pub baselines: Vec<Baseline>,
    /// Where the last step that wrote had ended.
    pub settled: Lsn,
    /// Where something wrote that no ledger tells.
    pub unrecorded: Vec<Unrecorded>,
    /// The backups that were taken, by their names in the workspace.
    pub backups: BTreeMap<String, BackupEvidence>,
    /// How those are restored that pgBackRest took, by the same names.
    pub layouts: BTreeMap<String, Layout>,
    /// The dumps that were taken, by the same names.
    pub dumps: BTreeMap<String, Dumped>,
    /// The backup that was there already, where the drill is about one.
    pub given: Option<Taken>,
    /// The instants that were marked, by their names.
    pub marks: BTreeMap<String, MarkEvidence>,
    /// What the writers were told.
    pub ledger: Ledger,
    /// Writers that go on behind the steps.
    pub behind: Option<Behind>,
    /// SQL that goes on behind the steps.
    pub aside: Vec<JoinHandle<()>>,
    /// The watch on the server that is there.
    pub watching: Option<Watching>,
    /// What stands before the servers, once an application was started.
    pub application: Option<Front>,
    /// pgdrill's own program, which is the application's stand-in, too.
    pub program: &'a Path,
    /// The steps that were begun, by their numbers in the plan.
    pub begun: BTreeMap<usize, Begun>,
    /// How often writers have begun.
    pub shifts: u64,
    /// Faults that are to be made while the next backup is taken, or in the next recovery.
    pub armed: Vec<Fault>,
    /// The timeline of the server that is there.
    pub timeline: u32,
    /// When the last server was lost, and when that was noticed.
    pub lost: Option<Lost>,
    /// The ending of what is left of it, while it goes on.
    pub losing: Option<JoinHandle<Result<Vec<Finding>, Unable>>>,
    /// What was put aside of a lost server.
    pub put_aside: Option<Seal>,
    /// The last recovery.
    pub recovered: Option<Recovered>,
}

/// What the primary's cluster was made with, as far as later steps must know it.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// By which options of initdb.
    pub cluster: Cluster,
    /// Its tablespaces.
    pub tablespaces: Vec<Tablespace>,
    /// How its WAL is archived.
    pub archive: Archive,
    /// Megabytes per WAL segment.
    pub wal_segment_megabytes: u32,
    /// The part of its configuration that a standby of it needs too.
    pub shared_settings: String,
    /// Whether it is a copy, or is to be copied.
    pub template: Template,
}

/// What a primary's cluster has to do with a template.
#[derive(Clone, Debug, Default)]
pub enum Template {
    /// Nothing.
    #[default]
    None,
    /// It becomes the template of this key when its data is loaded; until then it archives nothing.
    Wanted(Key),
    /// It has become one.
    Kept,
    /// It is a copy of one, with this data.
    Copied(LoadEvidence),
}

/// The loss of the primary.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// When.
    pub at: Duration,
    /// When a client could tell.
    pub noticed: Duration,
    /// On which timeline the server was.
    pub timeline: u32,
    /// How far it had come there, as far as is known for sure.
    pub position: Lsn,
}

/// A recovery, as far as it came.
#[derive(Debug)]
pub struct Recovered {
    /// The backups that it was made of.
    pub from: Vec<Member>,
    /// The archive as it was when the restore began.
    pub archive: Option<Snapshot>,
    /// Whether the server adds to the archive by itself, since it goes on as the primary did.
    pub archives: bool,
    /// The drill's own first write on it, or why that failed.
    pub first_write: Option<Result<FirstWrite, String>>,
    /// Where it was to go, and by which WAL; none where a dump was loaded.
    pub aim: Option<Aim>,
    /// Where replay stopped.
    pub reached: Option<Lsn>,
    /// Which of the drill's baselines it is compared with.
    pub base: Option<usize>,
    /// Whether it ended in a server that can be asked.
    pub promoted: bool,
}

/// The drill's own first write.
#[derive(Clone, Debug)]
pub struct FirstWrite {
    /// The transaction, by which its rows are told from the others; none where it left no row.
    pub xid: Option<String>,
    /// The order that it placed, where it placed one.
    pub order_id: Option<i64>,
}

impl Drill<'_> {
    /// The server that is there.
    ///
    /// # Errors
    ///
    /// A bug: no plan uses a server that its own steps did not start.
    pub fn server(&mut self, name: Name) -> Result<&mut Server, Unable> {
        self.servers
            .get_mut(&name)
            .ok_or_else(|| Unable::bug(format!("the plan uses the {} before it is there", name.name())))
    }

    /// A session with the fixture's database, or another, of a running server; where nothing is known of it, with the one that
    /// every cluster begins with.
    ///
    /// # Errors
    ///
    /// `SERVER_LOST`.
    pub async fn session(&mut self, name: Name, database: Option<&str>) -> Result<Session, Unable> {
        let own = if self.given.is_some() { SUPERUSER } else { DATABASE };
        let server = self.server(name)?;
        let door = Door::superuser(&server.socket, database.unwrap_or(own));
        match door.open().await {
            Ok(session) => Ok(session),
            Err(error) if server.running() => {
                let message = format!("cannot connect to the {}: {}", name.name(), describe(&error));
                Err(Unable::new(Code::ServerLost, message))
            }
            Err(_) => {
                let message = format!("the {} went away: {}", name.name(), server.last_words());
                Err(Unable::new(Code::ServerLost, message))
            }
        }
    }

    /// Where a backup lies.
    pub fn backup(&self, member: &Member) -> PathBuf {
        match &self.given {
            Some(taken) if taken.name == member.name => taken.path.clone(),
            _ => barman::stored(self.workspace, member, &self.backups),
        }
    }

    /// The last recovery.
    ///
    /// # Errors
    ///
    /// A bug: no plan asks for one that its own steps did not make.
    pub fn recovered(&mut self) -> Result<&mut Recovered, Unable> {
        self.recovered.as_mut().ok_or_else(|| Unable::bug("the plan uses a recovery before it is made"))
    }

    /// What the last recovered server is compared with.
    pub fn baseline(&self) -> Option<&Baseline> {
        self.baselines.get(self.recovered.as_ref()?.base?)
    }

    /// Takes note that a step has written, and where the server is now. One that went away meanwhile is where it was.
    pub async fn settle(&mut self, on: Name, by: Written) {
        let Ok(session) = self.session(on, None).await else { return };
        let Some((timeline, lsn)) = position(&session).await else { return };
        if by == Written::Unrecorded {
            // A new timeline may be behind where the one before it was given up.
            self.unrecorded.push(Unrecorded { timeline, from: self.settled.min(lsn), to: lsn });
        }
        self.settled = lsn;
    }

    /// Waits until nothing is left of the lost primary; gives what would not go.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE`: files that cannot be removed.
    pub async fn primary_is_gone(&mut self) -> Result<Vec<Finding>, Unable> {
        let Some(losing) = &mut self.losing else { return Ok(Vec::new()) };
        let ended = losing.await;
        // Not before: who waits may be cut short, and then somebody else must wait.
        self.losing = None;
        ended.map_err(|error| Unable::bug(format!("a task died: {error}")))?
    }

    /// Opens a place for a server: it may write its own directories, and `writable` beside them, and read the rest.
    ///
    /// # Errors
    ///
    /// What the runtime cannot do.
    pub async fn open_place(
        &self,
        server: Name,
        writable: &[&str],
        readable: &[&str],
    ) -> Result<Box<dyn Place>, Unable> {
        let paths =
            |parts: &[&str]| -> Vec<PathBuf> { parts.iter().map(|part| self.workspace.path(part)).collect() };
        let mut own = paths(writable);
        own.extend([
            self.workspace.data(server),
            self.workspace.path(tablespaces::root(server)),
            self.workspace.socket(server).to_path_buf(),
            self.workspace.path("log"),
        ]);
        let mut others = paths(readable);
        others.extend(paths(&["bin", "conf"]));
        self.runtime
            .open(&Need {
                run_id: self.run_id.to_owned(),
                server: server.name().to_owned(),
                major: self.postgres,
                workspace: self.workspace.root().to_owned(),
                writable: own,
                readable: others,
                network: self.given.is_none() || self.host_network,
            })
            .await
    }
}

/// Where a running server is: its timeline, and the end of its WAL.
pub async fn position(session: &Session) -> Option<(u32, Lsn)> {
    let row = session.query_one(POSITION, &[]).await.ok()?;
    let timeline: i32 = row.try_get(0).ok()?;
    Some((timeline.unsigned_abs(), row.try_get::<_, String>(1).ok()?.parse().ok()?))
}

/// What a program's words about a full disk mean, wherever they are met.
pub fn disk_full(words: &str) -> bool {
    words.contains("No space left on device") || words.contains("Disk quota exceeded")
}

/// Runs something that reads many files on a thread of its own.
///
/// # Errors
///
/// A bug, when the thread died.
pub async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Unable> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Unable::bug(format!("a thread died: {error}")))
}
