//! The state of a drill that is under way: what the steps share, and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use pgdrill_backup::archive::Snapshot;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::ServerEvidence;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::scenario::Tablespace;
use pgdrill_model::units::{Lsn, Major};
use pgdrill_model::world::{Clock, Need, Place, Runtime};
use tokio::task::JoinHandle;

use crate::content::Content;
use crate::data::DATABASE;
use crate::definitions::Definitions;
use crate::record::Recorder;
use crate::sequences::Sequences;
use crate::server::Server;
use crate::session::{Door, Session, describe};
use crate::tablespaces;
use crate::workspace::Workspace;

/// A drill that is under way.
pub struct Drill<'a> {
    /// Where servers run.
    pub runtime: &'a dyn Runtime,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Takes down what happens.
    pub recorder: &'a Recorder<'a>,
    /// The run's id.
    pub run_id: &'a str,
    /// The major version.
    pub postgres: Major,
    /// Where all chance comes from.
    pub seed: u64,
    /// Its files.
    pub workspace: &'a Workspace,
    /// The server that is lost.
    pub primary: Option<Server>,
    /// The standby that backups are taken from, where there is one.
    pub standby: Option<Server>,
    /// The server that is recovered.
    pub restored: Option<Server>,
    /// What the primary's cluster was made with.
    pub made: Made,
    /// What was there before the disaster.
    pub baseline: Option<Baseline>,
    /// The backups that the recovered server was made of, by their names in the workspace.
    pub restored_from: Vec<Member>,
    /// When the primary was lost, and when that was noticed.
    pub lost: Option<Lost>,
    /// The ending of what is left of the lost primary, while it goes on.
    pub losing: Option<JoinHandle<Result<Vec<Finding>, Unable>>>,
    /// The archive as it was when the restore began.
    pub archive: Option<Snapshot>,
    /// The drill's own first write on the recovered server, or why it failed.
    pub first_write: Option<Result<FirstWrite, String>>,
}

/// What the primary's cluster was made with, as far as later steps must know it.
#[derive(Debug, Default)]
pub struct Made {
    /// Its tablespaces.
    pub tablespaces: Vec<Tablespace>,
    /// Megabytes per WAL segment.
    pub wal_segment_megabytes: u32,
    /// The part of its configuration that a standby of it needs too.
    pub shared_settings: String,
}

/// What was there before the disaster.
pub struct Baseline {
    /// The primary's position in the WAL.
    pub lsn: Lsn,
    /// Its content.
    pub content: Content,
    /// Its definitions, where they were asked for.
    pub definitions: Option<Definitions>,
    /// Its sequences, where they were asked for.
    pub sequences: Option<Sequences>,
    /// By which versions it orders text, where that could be asked.
    pub collations: Option<ServerEvidence>,
}

/// The loss of the primary.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// When.
    pub at: Duration,
    /// When a client could tell.
    pub noticed: Duration,
}

/// The drill's own first write.
#[derive(Clone, Debug)]
pub struct FirstWrite {
    /// The transaction, by which its rows are told from the others.
    pub xid: String,
    /// The order that it placed.
    pub order_id: i64,
}

impl Drill<'_> {
    /// The server that is there.
    ///
    /// # Errors
    ///
    /// A bug: no plan uses a server that its own steps did not start.
    pub fn server(&mut self, name: Name) -> Result<&mut Server, Unable> {
        let server = match name {
            Name::Primary => self.primary.as_mut(),
            Name::Standby => self.standby.as_mut(),
            Name::Restored => self.restored.as_mut(),
        };
        server.ok_or_else(|| Unable::bug(format!("the plan uses the {} before it is there", name.name())))
    }

    /// A session with the fixture's database, or another, of a running server.
    ///
    /// # Errors
    ///
    /// `SERVER_LOST`.
    pub async fn session(&mut self, name: Name, database: Option<&str>) -> Result<Session, Unable> {
        let server = self.server(name)?;
        let door = Door::superuser(&server.socket, database.unwrap_or(DATABASE));
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
            self.workspace.socket(server),
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
            })
            .await
    }
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
