//! The facts that triage rests on. Each is known, or is not and says why.

use serde::{Deserialize, Serialize};

use super::Unknown;

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fact<T> {
    /// What it is.
    Known(T),
    /// Why that is not known.
    Unknown(String),
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::Unknown("nobody asked".to_owned())
    }
}

impl<T> Fact<T> {
    /// What it is, where that is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// Why it is not known.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }
}

/// Everything that was found out about a server and what is around it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Facts {
    /// The server, by its place and role, without any password.
    pub server: String,
    /// When the questions were asked, microseconds since 1970.
    pub asked_unix_us: i64,
    /// Whether the server can be reached, and what it said.
    pub reach: Reach,
    /// `server_version`.
    pub version: Fact<String>,
    /// Whether it recovers, and whether it may be written to.
    pub recovery: Fact<Recovery>,
    /// How many connections there are, of how many.
    pub connections: Fact<Connections>,
    /// The pooler in front of it; none where nobody named one.
    pub pooler: Option<Pooler>,
    /// The disks that were named.
    pub disks: Vec<Disk>,
    /// `pg_stat_archiver`.
    pub archiver: Fact<Archiver>,
    /// WAL segments that wait to be archived.
    pub segments_waiting: Fact<u64>,
    /// Who streams from it.
    pub replication: Fact<Replication>,
    /// Its replication slots.
    pub slots: Fact<Vec<Slot>>,
    /// What has been going on for long, and who blocks others; the longest first.
    pub queries: Fact<Vec<Query>>,
    /// Who waits for a lock.
    pub locks: Fact<Vec<LockWait>>,
    /// Pages that were read and were not as they had been written.
    pub checksums: Fact<Checksums>,
    /// Transactions since the statistics were reset.
    pub transactions: Fact<Transactions>,
    /// Transactions while triage looked.
    pub recent: Fact<Transactions>,
    /// The applications' own words about their health.
    pub health: Vec<Health>,
    /// The application's metrics; none where nobody named them.
    pub metrics: Option<Metrics>,
}

/// What a connection came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reach {
    /// In one word.
    pub state: State,
    /// In the words of the server, or of the network.
    pub words: Option<String>,
    /// By SQLSTATE, where the server answered with an error.
    pub sqlstate: Option<String>,
    /// How long it took to connect, microseconds.
    pub connect_us: Option<u64>,
    /// How long `SELECT 1` (`SHOW VERSION` of a pooler) took, microseconds.
    pub answer_us: Option<u64>,
    /// How the connection is protected; none where there is none.
    pub tls: Option<Tls>,
}

/// What a server is like, seen from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It answers, and may be written to.
    Answers,
    /// It answers, and its transactions may not write (`default_transaction_read_only`).
    ReadOnly,
    /// It answers and recovers: a standby, or a server that is not promoted.
    InRecovery,
    /// It is there and takes no connections yet.
    StartingUp,
    /// It is there and takes no connections any more.
    ShuttingDown,
    /// It is there, and only superusers are still let in.
    OnlySuperusers,
    /// It is there, and nobody is let in any more.
    TooManyClients,
    /// It is there and refuses this role, database or address.
    Refuses,
    /// Nobody listens.
    Absent,
    /// Somebody listens, or should, and nothing is answered in time.
    Silent,
    /// There is no way there from here: a name that means nothing, no route, a socket that is closed to this account.
    Unreachable,
    /// It has no TLS, and the connection string wants some.
    Unencrypted,
    /// Its certificate is not one to be trusted.
    Untrusted,
    /// Nobody asked.
    #[default]
    NotAsked,
}

impl State {
    /// Whether the server let us in and answered.
    pub fn answers(self) -> bool {
        matches!(self, Self::Answers | Self::ReadOnly | Self::InRecovery)
    }

    /// What it is like, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::ReadOnly => "answers, read-only",
            Self::InRecovery => "answers, in recovery",
            Self::StartingUp => "starting up",
            Self::ShuttingDown => "shutting down",
            Self::OnlySuperusers => "lets in superusers alone",
            Self::TooManyClients => "has too many clients",
            Self::Refuses => "refuses",
            Self::Absent => "nobody listens",
            Self::Silent => "does not answer",
            Self::Unreachable => "cannot be reached from here",
            Self::Unencrypted => "offers no TLS",
            Self::Untrusted => "has a certificate that is not trusted",
            Self::NotAsked => "not asked",
        }
    }
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// A Unix socket.
    Socket,
    /// Not at all.
    Plain,
    /// Encrypted, by whoever answered.
    Unverified,
    /// Encrypted, by a certificate of a trusted authority, for whatever host.
    Authority,
    /// Encrypted, by a certificate of a trusted authority for this host.
    Verified,
}

/// Whether a server recovers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Recovery {
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// Whether replay is paused.
    pub replay_paused: bool,
    /// Whether it receives WAL from another server.
    pub receiving: bool,
    /// `default_transaction_read_only` of a new session.
    pub read_only: bool,
}

/// Connections of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Connections {
    /// So many are there.
    pub used: u64,
    /// `max_connections`.
    pub max: u64,
    /// So many of them are kept for superusers and roles with a privilege.
    pub reserved: u64,
}

/// A pooler (PgBouncer).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Pooler {
    /// Its place and role, without any password.
    pub server: String,
    /// Whether its console can be reached.
    pub reach: Reach,
    /// Its version, in its own words.
    pub version: Fact<String>,
    /// `SHOW POOLS`, without the console's own.
    pub pools: Fact<Vec<Pool>>,
    /// Databases that an operator paused or disabled (`SHOW DATABASES`).
    pub halted: Fact<Vec<String>>,
}

/// A pool: the connections of a user to a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pool {
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// Clients that have a server connection, or do not need one now.
    pub clients_active: u64,
    /// Clients that wait for a server connection.
    pub clients_waiting: u64,
    /// Server connections in use.
    pub servers_active: u64,
    /// Server connections that are free.
    pub servers_idle: u64,
    /// For how long the first of the waiting clients has waited, microseconds.
    pub longest_wait_us: u64,
}

/// A disk, by a directory on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Disk {
    /// The directory.
    pub path: String,
    /// How full it is.
    pub space: Fact<Space>,
}

/// How full a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Space {
    /// The part that is taken, of what an unprivileged account can have, 0 to 1.
    pub used: f64,
    /// What an unprivileged account can still have, bytes.
    pub free: u64,
}

/// How WAL is archived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Archiver {
    /// `archive_mode`: `off`, `on` or `always`.
    pub mode: String,
    /// Whether there is neither an archive_command nor an archive_library; none where the role may not know.
    pub no_command: Option<bool>,
    /// Segments that were archived since the statistics were reset.
    pub archived: u64,
    /// Attempts that failed since then.
    pub failed: u64,
    /// The last segment that was archived.
    pub last_archived: Option<String>,
    /// How long ago, microseconds.
    pub last_archived_age_us: Option<u64>,
    /// The last segment that was not.
    pub last_failed: Option<String>,
    /// How long ago, microseconds.
    pub last_failed_age_us: Option<u64>,
    /// Whether the last attempt failed.
    pub failing: bool,
}

/// Who streams from a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Replication {
    /// Each of them.
    pub standbys: Vec<Standby>,
    /// Whether commits wait for one of them (`synchronous_standby_names`, `synchronous_commit`).
    pub synchronous: bool,
}

/// A row of `pg_stat_replication`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Standby {
    /// `application_name`.
    pub name: String,
    /// `startup`, `catchup`, `streaming`, `backup` or `stopping`.
    pub state: String,
    /// `async`, `potential`, `sync` or `quorum`.
    pub sync_state: String,
    /// WAL that it has not replayed, bytes; none for what replays nothing.
    pub lag_bytes: Option<u64>,
    /// How long its replay lags behind, microseconds.
    pub lag_us: Option<u64>,
}

/// A replication slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether somebody uses it.
    pub active: bool,
    /// WAL that is kept for it, bytes.
    pub held_bytes: Option<u64>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
}

/// A session that has been at something for long, or that blocks others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Query {
    /// The server process.
    pub pid: i64,
    /// Its database.
    pub database: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// `application_name`.
    pub application: Option<String>,
    /// `active`, `idle in transaction`, and others.
    pub state: Option<String>,
    /// How long the query has been running, or how long the session has been idle, microseconds.
    pub age_us: Option<u64>,
    /// How long its transaction has been open, microseconds.
    pub transaction_us: Option<u64>,
    /// What it waits for, as `Lock: relation`.
    pub waits_for: Option<String>,
    /// Who blocks it; 0 is a prepared transaction.
    pub blocked_by: Vec<i64>,
    /// The beginning of its text, where that was asked for.
    pub text: Option<String>,
}

impl Query {
    /// Whether a query runs, for however long.
    pub fn runs(&self) -> bool {
        self.state.as_deref() == Some("active")
    }
}

/// Somebody who waits for a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct LockWait {
    /// The server process.
    pub pid: i64,
    /// What kind of thing is locked.
    pub kind: String,
    /// The table, where it is one of the database that was asked.
    pub relation: Option<String>,
    /// How it is to be locked.
    pub mode: String,
    /// For how long it has waited, microseconds; none where that is not known.
    pub waited_us: Option<u64>,
    /// Who blocks it; 0 is a prepared transaction.
    pub blocked_by: Vec<i64>,
}

/// What the server's page checksums say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Checksums {
    /// `data_checksums`.
    pub enabled: bool,
    /// The databases in which pages failed.
    pub failed: Vec<DatabaseChecksums>,
}

/// Pages of a database that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DatabaseChecksums {
    /// The database; objects that all databases share are told as such.
    pub database: String,
    /// So many times.
    pub failures: u64,
    /// When last, microseconds ago.
    pub last_age_us: Option<u64>,
}

/// Transactions that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Transactions {
    /// With COMMIT.
    pub committed: u64,
    /// With ROLLBACK.
    pub rolled_back: u64,
    /// Over how long, microseconds; none where the statistics were never reset.
    pub over_us: Option<u64>,
}

impl Transactions {
    /// The part that was rolled back, of at least `enough` transactions.
    pub fn rate(self, enough: u64) -> Option<f64> {
        let all = self.committed.saturating_add(self.rolled_back);
        (all >= enough.max(1)).then(|| self.rolled_back as f64 / all as f64)
    }
}

/// What an application says of its health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// Where it was asked, without what may be secret in it.
    pub url: String,
    /// The code of its answer, or why there was none.
    pub answer: Fact<u16>,
    /// How long that took, microseconds.
    pub took_us: u64,
}

/// Where an application shows its metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Metrics {
    /// Where it was asked, without what may be secret in it.
    pub url: String,
    /// The code of its answer, or why there was none.
    pub answer: Fact<u16>,
    /// Lines with samples about databases, connections or queries.
    pub samples: u64,
    /// How long that took, microseconds.
    pub took_us: u64,
}

impl Facts {
    /// What was asked for and is not known. Where the server does not answer, all that only it can tell is one thing.
    pub fn unknown(&self) -> Vec<Unknown> {
        let mut unknown = Vec::new();
        let mut say = |what: &str, why: Option<&str>| {
            unknown.extend(why.map(|why| Unknown { what: what.to_owned(), why: why.to_owned() }));
        };
        if self.reach.state.answers() {
            say("version", self.version.why());
            say("recovery", self.recovery.why());
            say("connections", self.connections.why());
            say("archiving", self.archiver.why());
            // A server that does not archive has nothing that waits.
            if self.archiver.known().is_none_or(|archiver| archiver.mode != "off") {
                say("segments that wait to be archived", self.segments_waiting.why());
            }
            say("replication", self.replication.why());
            say("replication slots", self.slots.why());
            say("long queries", self.queries.why());
            say("locks", self.locks.why());
            say("page checksums", self.checksums.why());
            say("rollbacks since the statistics were reset", self.transactions.why());
            say("rollbacks now", self.recent.why());
        } else {
            let words = self.reach.words.as_deref().unwrap_or(self.reach.state.words());
            say("everything that only the server can tell", Some(words));
        }
        if let Some(pooler) = &self.pooler {
            if pooler.reach.state.answers() {
                say("the pooler's pools", pooler.pools.why());
                say("what is paused in the pooler", pooler.halted.why());
            } else {
                let words = pooler.reach.words.as_deref().unwrap_or(pooler.reach.state.words());
                say("everything that only the pooler can tell", Some(words));
            }
        }
        for disk in &self.disks {
            say(&format!("the disk of {}", disk.path), disk.space.why());
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_being_written_and_read_and_new_ones_may_be_missing() {
        let facts = Facts {
            reach: Reach { state: State::TooManyClients, ..Reach::default() },
            disks: vec![Disk { path: "/data".to_owned(), space: Fact::Unknown("gone".to_owned()) }],
            archiver: Fact::Known(Archiver { mode: "on".to_owned(), ..Archiver::default() }),
            ..Facts::default()
        };
        let text = serde_json::to_string(&facts).unwrap();
        assert!(
            text.contains(r#""state":"too-many-clients""#) && text.contains(r#""unknown":"gone""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
        let older: Facts = serde_json::from_str(r#"{"server": "a"}"#).unwrap();
        assert_eq!(older.version.why(), Some("nobody asked"));
    }

    #[test]
    fn a_server_that_does_not_answer_leaves_one_thing_unknown() {
        let mut facts = Facts::default();
        facts.reach.words = Some("connection refused".to_owned());
        let unknown = facts.unknown();
        assert_eq!(unknown.len(), 1);
        assert_eq!(unknown[0].why, "connection refused");
    }

    #[test]
    fn a_rate_needs_enough_transactions() {
        let some = Transactions { committed: 98, rolled_back: 2, over_us: None };
        assert_eq!(some.rate(100), Some(0.02));
        assert_eq!(some.rate(101), None);
        assert_eq!(Transactions::default().rate(0), None);
    }
}
