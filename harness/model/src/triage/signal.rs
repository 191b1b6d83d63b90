//! What speaks for trouble: one table of signals, each with how bad it is, where in the runbook's troubleshooting guide it
//! belongs, and what to look at next. How each is read from the facts is in `reading`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Facts;
use super::reading as read;

/// How bad an incident is, as the runbook defines it. The worst is the least.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Severity {
    /// Critical: complete unavailability of the database.
    P0,
    /// High: partial loss of function, or performance that is degraded.
    P1,
    /// Medium: data that is inconsistent, or a trail of it that is at risk.
    P2,
    /// Low: gaps in monitoring, delays in reporting, and what is above a threshold while nothing is lost yet.
    P3,
}

impl Severity {
    /// What it means.
    pub fn words(self) -> &'static str {
        match self {
            Self::P0 => "critical: the database is completely unavailable",
            Self::P1 => "high: part of the function is lost, or performance is degraded",
            Self::P2 => "medium: data may be inconsistent, or its trail is at risk",
            Self::P3 => "low: a gap in monitoring, a delay, or a threshold that was passed",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Under which heading of the troubleshooting guide a signal is looked up.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Heading {
    /// The server, the pool, the network.
    Connection,
    /// Disks.
    Disk,
    /// The archive: permissions, space, the command.
    Archiving,
    /// Queries: performance, indexes, locks.
    Queries,
    /// Data: integrity, backups, transaction logs.
    Inconsistency,
    /// Standbys and slots.
    Replication,
    /// The application and its metrics.
    Application,
}

impl Heading {
    /// As the guide has it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Connection => "Database connection failed",
            Self::Disk => "Disk space",
            Self::Archiving => "WAL archiving failures",
            Self::Queries => "Long-running queries",
            Self::Inconsistency => "Data inconsistency",
            Self::Replication => "Replication",
            Self::Application => "Application errors",
        }
    }
}

/// What a signal makes one suspect beside how bad it is: reasons to escalate at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing more.
    Nothing,
    /// That data is lost, or would be with the server.
    DataLoss,
    /// That somebody is where he must not be.
    Breach,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct SignalEntry {
    /// The signal.
    pub signal: Signal,
    /// Its name.
    pub name: &'static str,
    /// How bad it is; none where it tells why nothing is known.
    pub severity: Option<Severity>,
    /// Where it belongs.
    pub heading: Heading,
    /// What else it makes one suspect.
    pub suspicion: Suspicion,
    /// What it means.
    pub doc: &'static str,
    /// What to look at next.
    pub then: &'static str,
    /// What of the facts says so, one sentence each; nothing where they do not.
    pub reads: fn(&Facts) -> Vec<String>,
}

macro_rules! severity {
    (unknown) => {
        None
    };
    ($severity:ident) => {
        Some(Severity::$severity)
    };
}

macro_rules! signals {
    ($($signal:ident $name:literal $severity:ident $heading:ident $suspicion:ident $doc:literal $then:literal $reads:path;)+) => {
        /// Something that the facts can speak for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Signal {
            $(#[doc = $doc] #[serde(rename = $name)] $signal,)+
        }

        /// Every signal, in the order in which they are listed.
        pub const SIGNALS: &[SignalEntry] = &[
            $(SignalEntry {
                signal: Signal::$signal,
                name: $name,
                severity: severity!($severity),
                heading: Heading::$heading,
                suspicion: Suspicion::$suspicion,
                doc: $doc,
                then: $then,
                reads: $reads,
            },)+
        ];
    };
}

signals! {
    ServerAbsent "server-absent" P0 Connection Nothing
        "Nobody listens where the server should be."
        "Does it run (systemctl status postgresql), and how did it end: its log, a full disk, the kernel's memory killer?"
        read::server_absent;
    ServerSilent "server-silent" P0 Connection Nothing
        "The server, or what stands before it, does not answer."
        "Does it answer on its own host (psql through the socket)? If so, the network; if not, a disk that hangs, a process \
         that is stopped, load: top, iostat, dmesg."
        read::server_silent;
    ServerNotReady "server-not-ready" P0 Connection Nothing
        "The server is there and takes no connections: it starts, recovers or shuts down."
        "Its log: is it replaying WAL (how far, what was the crash), or is somebody restarting it?"
        read::server_not_ready;
    TooManyClients "too-many-clients" P1 Connection Nothing
        "The server lets nobody in any more; who is in goes on."
        "Who holds the connections (pg_stat_activity as superuser), does the pooler limit them, do sessions wait for a lock?"
        read::too_many_clients;
    ServerRefuses "server-refuses" unknown Connection Nothing
        "The server is there and refuses this role, database or address."
        "Are the role, its password, the database and pg_hba.conf as they were? Ask as another role before anything is \
         concluded."
        read::server_refuses;
    NoWayThere "no-way-there" unknown Connection Nothing
        "There is no way to the server from here, which says nothing about the server."
        "Does the name resolve, is there a route, does a firewall or TLS stand between? Ask from the application's host."
        read::no_way_there;
    CertificateUntrusted "certificate-untrusted" unknown Connection Breach
        "Somebody answers whose certificate is not one to be trusted."
        "Was the certificate renewed by another authority, or does the name differ (sslrootcert, host)? If neither: who is it \
         that answers?"
        read::certificate_untrusted;
    ConnectionsExhausted "connections-exhausted" P1 Connection Nothing
        "Every connection that an ordinary role can have is taken."
        "Who holds them (pg_stat_activity by role and state), and does the pooler limit them?"
        read::connections_exhausted;
    ConnectionsScarce "connections-scarce" P3 Connection Nothing
        "More than nine of ten connections are taken."
        "Who holds them, and are they idle?"
        read::connections_scarce;
    PoolerDown "pooler-down" P1 Connection Nothing
        "The pooler does not answer, so who comes through it does not get to the server."
        "Does it run (systemctl status pgbouncer), what does its log say, has it reached its limit of files or clients?"
        read::pooler_down;
    PoolerUnasked "pooler-unasked" unknown Connection Nothing
        "The pooler's console refuses, which says nothing about its clients."
        "Is the role among admin_users or stats_users, and the database `pgbouncer`?"
        read::pooler_unasked;
    ClientsWait "clients-wait" P1 Connection Nothing
        "Clients of the pooler wait for a server connection."
        "Can the pooler reach the server, are its connections held by long queries or open transactions, is the pool too small?"
        read::clients_wait;
    PoolPaused "pool-paused" P1 Connection Nothing
        "The pooler holds the clients of a database back: somebody paused or disabled it."
        "Who did, and why? `RESUME` or `ENABLE` on the pooler's console ends it."
        read::pool_paused;
    OnlyReads "only-reads" P1 Connection Nothing
        "The server can be read and not written."
        "Is this the primary? Does its recovery end (promote), and who set default_transaction_read_only?"
        read::only_reads;
    ReplayPaused "replay-paused" P1 Connection Nothing
        "The server recovers, and its replay is paused: it stands still."
        "Did it come to a recovery target, or did a parameter of the primary change (its log)? pg_wal_replay_resume() goes on."
        read::replay_paused;
    DiskFull "disk-full" P1 Disk Nothing
        "A disk is full: the server cannot write there, and ends where that is pg_wal."
        "What grew: WAL that cannot be archived, a slot, temporary files, logs? Make room outside of the data directory, and \
         never by removing from pg_wal."
        read::disk_full;
    DiskFilling "disk-filling" P3 Disk Nothing
        "A disk is fuller than its threshold."
        "What grows there, how fast, and until when is there room?"
        read::disk_filling;
    ArchivingFails "archiving-fails" P2 Archiving DataLoss
        "WAL cannot be archived: with this server would be lost what is not in the archive."
        "May the server write to the archive, is there room on its disk, what does archive_command say in the server's log?"
        read::archiving_fails;
    ArchivingBehind "archiving-behind" P2 Archiving DataLoss
        "WAL waits to be archived, and no attempt fails: the archiving hangs or is too slow."
        "Does archive_command hang (ps on the server), is the archive's disk or network slow, is more WAL made than fits through?"
        read::archiving_behind;
    ArchivingWithoutCommand "archiving-without-command" P2 Archiving DataLoss
        "WAL is to be archived, and nothing says how."
        "Who emptied archive_command? WAL piles up in pg_wal until it is set."
        read::archiving_without_command;
    ArchivingOff "archiving-off" P3 Archiving Nothing
        "No WAL is archived, so there is no recovery to a point in time beyond the last backup."
        "Is WAL received in another way (pg_receivewal)? If not, set archive_mode; it needs a restart."
        read::archiving_off;
    LockWaits "lock-waits" P1 Queries Nothing
        "Sessions wait for locks for longer than a query should take."
        "What does the one that blocks do, and may it be ended (pg_cancel_backend, pg_terminate_backend)?"
        read::lock_waits;
    CommitsWait "commits-wait" P1 Queries Nothing
        "Commits wait for a synchronous standby, and there is none."
        "Where is the standby? Until it is back, commits hang; synchronous_standby_names can be changed by a reload."
        read::commits_wait;
    LongQueries "long-queries" P1 Queries Nothing
        "A query has been running for longer than the limit of the alert `long-queries`."
        "Does it wait for a lock or for the disk, is an index missing, has its plan changed (EXPLAIN)?"
        read::long_queries;
    SlowQueries "slow-queries" P3 Queries Nothing
        "A query has been running for longer than the limit of the alert `slow-queries`."
        "Is it a report that may take that long? If not: locks, indexes, load."
        read::slow_queries;
    IdleTransactions "idle-transactions" P3 Queries Nothing
        "A transaction has been open and idle for so long that it keeps its locks and holds up vacuum."
        "Which application forgot it? pg_terminate_backend ends it; idle_in_transaction_session_timeout does so by itself."
        read::idle_transactions;
    TransactionsFail "transactions-fail" P1 Application Nothing
        "More transactions are rolled back now than the limit of the alert `error-rate`."
        "What does the server's log say, and what was deployed?"
        read::transactions_fail;
    ChecksumFailures "checksum-failures" P2 Inconsistency DataLoss
        "Pages were read that are not as they had been written."
        "Which relations (the server's log, amcheck, pg_checksums)? Verify the backups (pgdrill verify) and the integrity \
         (verify_backup_integrity()) before anything is overwritten, and keep the archive: the WAL may have good images."
        read::checksum_failures;
    StandbyLags "standby-lags" P3 Replication Nothing
        "A standby is behind: what is read from it is old."
        "Does a query on the standby hold up its replay, is the network slow, is more WAL made than it can replay?"
        read::standby_lags;
    SlotHoldsWal "slot-holds-wal" P3 Replication Nothing
        "A replication slot that nobody uses keeps WAL, or has lost what it needs."
        "Does its consumer come back? If not, pg_drop_replication_slot(); max_slot_wal_keep_size bounds it."
        read::slot_holds_wal;
    HealthFails "health-fails" P1 Application Nothing
        "An application does not say that it is well."
        "Its own log: does it reach the database, or is it something else?"
        read::health_fails;
    MetricsMissing "metrics-missing" P3 Application Nothing
        "The metrics of the application cannot be read, or tell nothing about the database."
        "Does the exporter run, and was the endpoint renamed?"
        read::metrics_missing;
}

impl Signal {
    /// The table's row for this signal.
    pub fn entry(self) -> &'static SignalEntry {
        // The macro writes the enum and the table in the same order.
        &SIGNALS[self as usize]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Signal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        SIGNALS
            .iter()
            .find(|entry| entry.name == text)
            .map(|entry| entry.signal)
            .ok_or_else(|| format!("there is no signal '{text}'"))
    }
}
