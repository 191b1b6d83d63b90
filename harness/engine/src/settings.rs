//! The configuration of a drill's servers. It is always ours: a restored server never starts on the configuration
//! that came with the backup.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use pgdrill_model::scenario::{Action, Setting, Timeline};
use pgdrill_model::units::Major;
use pgdrill_ondisk::control::Minima;

use crate::session::SUPERUSER;

/// Only local connections, and these all: the socket lies in a directory of mode 0700.
pub const HBA: &str = "local all all trust\nlocal replication all trust\n";

/// The port in the socket's name; nothing listens on a network.
pub const PORT: u16 = 5432;

/// What a server is told that is started on files as they lie there, with the configuration that came with them: it listens
/// on no network, archives nothing, follows nobody, loads nothing, and its log can be read.
pub const AS_IS: [&str; 15] = [
    "listen_addresses=",
    "port=5432",
    "logging_collector=off",
    "log_destination=stderr",
    "log_line_prefix=%m [%p] %e ",
    "log_timezone=UTC",
    "lc_messages=C",
    "log_statement=none",
    "log_min_error_statement=panic",
    "dynamic_shared_memory_type=mmap",
    "archive_mode=off",
    "recovery_end_command=",
    "primary_conninfo=",
    "shared_preload_libraries=",
    "max_logical_replication_workers=0",
];

/// What both servers have in common. Log lines carry no row data (`terse` leaves out the detail of constraint
/// violations) and no statements. Shared memory is files of the data directory, where that is possible: a server that is
/// killed cannot remove its own from the host.
fn common(socket: &Path, wal_segment_megabytes: u32) -> String {
    // The server wants at least two segments; its own default would be too little for large ones.
    let min_wal_size = (2 * wal_segment_megabytes).max(80);
    format!(
        "listen_addresses = ''\n\
         port = {PORT}\n\
         unix_socket_directories = '{socket}'\n\
         unix_socket_permissions = 0700\n\
         logging_collector = off\n\
         log_destination = 'stderr'\n\
         log_line_prefix = '%m [%p] %e '\n\
         log_timezone = 'UTC'\n\
         timezone = 'UTC'\n\
         lc_messages = 'C'\n\
         log_checkpoints = on\n\
         log_error_verbosity = terse\n\
         log_min_error_statement = panic\n\
         log_statement = 'none'\n\
         dynamic_shared_memory_type = mmap\n\
         wal_level = replica\n\
         max_wal_senders = 10\n\
         max_connections = 100\n\
         min_wal_size = '{min_wal_size}MB'\n\
         max_wal_size = '4GB'\n\
         cluster_name = 'pgdrill'\n",
        socket = quoted(socket),
    )
}

/// How a server archives by itself.
#[derive(Clone, Debug)]
pub struct Archiving {
    /// Its `archive_command`.
    pub command: String,
    /// After how long a segment that is not full is archived, too, in whole seconds; none: never.
    pub timeout: Option<Duration>,
}

/// The primary's configuration: how it archives (a server whose WAL is received archives nothing itself), then what it
/// shares with its standby.
pub fn primary(
    socket: &Path,
    archiving: Option<&Archiving>,
    wal_segment_megabytes: u32,
    shared: &str,
) -> String {
    let mut text = common(socket, wal_segment_megabytes);
    text.push_str(&archive(archiving));
    text.push_str(shared);
    text
}

/// What the primary and its standby have in common beside what all servers have: the scenario's own settings, which
/// win. A standby needs limits at least as large as the primary's. Where a clock is set, whoever streams is not to be taken
/// for one that has been silent for an hour (`WalSndCheckTimeOut`, `src/backend/replication/walsender.c`).
pub fn shared(summarize_wal: bool, settable_clock: bool, settings: &BTreeMap<String, Setting>) -> String {
    let mut text = String::new();
    if settable_clock {
        text.push_str("wal_sender_timeout = 0\n");
    }
    if summarize_wal {
        text.push_str("summarize_wal = on\n");
    }
    for (name, setting) in settings {
        let _ = writeln!(text, "{name} = '{}'", setting.value.replace('\'', "''"));
    }
    text
}

/// The standby's configuration: it streams from the primary through the primary's socket, and archives nothing, since
/// the primary does. One that is to take over has the primary's `archive_command`, which it runs once it is promoted.
pub fn standby(
    socket: &Path,
    primary: &Path,
    slot: &str,
    archiving: Option<&Archiving>,
    wal_segment_megabytes: u32,
    shared: &str,
) -> String {
    let mut text = common(socket, wal_segment_megabytes);
    text.push_str(&archive(archiving));
    // A value within a value: libpq's own quotes and backslashes first, then those of the configuration file.
    let host = primary.to_string_lossy().replace('\\', "\\\\").replace('\'', "\\'");
    let conninfo = format!("host='{host}' port={PORT} user={SUPERUSER} application_name=standby");
    text.push_str(shared);
    let _ = write!(
        text,
        "hot_standby = on\n\
         primary_conninfo = '{}'\n\
         primary_slot_name = '{slot}'\n",
        quoted(Path::new(&conninfo)),
    );
    text
}

/// What a restored server is to do.
#[derive(Clone, Debug)]
pub struct Restoring<'a> {
    /// The directory of its socket.
    pub socket: &'a Path,
    /// Its `restore_command`.
    pub restore_command: &'a str,
    /// Megabytes per WAL segment.
    pub wal_segment_megabytes: u32,
    /// Whether it has tablespaces within its data directory, without which setting it stops over them.
    pub in_place: bool,
    /// The limits that its WAL asks for.
    pub minima: Minima,
    /// Where it stops, as settings.
    pub target: &'a [(&'static str, String)],
    /// Along which timeline.
    pub timeline: Timeline,
    /// What it does at its target.
    pub action: Action,
    /// How it archives, where it goes on as the primary did and archives itself.
    pub archiving: Option<&'a Archiving>,
    /// The major of a backup that was there already: nobody knows what is in it, so nothing of it may act.
    pub foreign: Option<Major>,
}

/// The restored server's configuration: no archiving, nothing that reaches outside, at least the primary's limits,
/// and what to recover. Everything that recovery would otherwise take from a default is stated. Only one that goes on as
/// the primary did archives, into the drill's own archive.
pub fn restored(restoring: &Restoring<'_>) -> String {
    let Restoring { minima, .. } = restoring;
    let mut text = common(restoring.socket, restoring.wal_segment_megabytes);
    // Not every minor of the older majors knows it.
    if restoring.in_place {
        text.push_str("allow_in_place_tablespaces = on\n");
    }
    let _ = write!(
        text,
        "archive_cleanup_command = ''\n\
         recovery_end_command = ''\n\
         primary_conninfo = ''\n\
         primary_slot_name = ''\n\
         synchronous_standby_names = ''\n\
         shared_preload_libraries = ''\n\
         session_preload_libraries = ''\n\
         local_preload_libraries = ''\n\
         max_logical_replication_workers = 0\n\
         hot_standby = on\n\
         max_connections = {}\n\
         max_worker_processes = {}\n\
         max_wal_senders = {}\n\
         max_prepared_transactions = {}\n\
         max_locks_per_transaction = {}\n\
         restore_command = '{}'\n\
         recovery_target_timeline = '{}'\n\
         recovery_target_action = '{}'\n",
        minima.max_connections.max(100),
        minima.max_worker_processes.max(8),
        minima.max_wal_senders.max(10),
        minima.max_prepared_transactions,
        minima.max_locks_per_transaction.max(64),
        value(restoring.restore_command),
        restoring.timeline,
        restoring.action.name(),
    );
    for (name, value) in restoring.target {
        let _ = writeln!(text, "{name} = '{}'", value.replace('\\', "\\\\").replace('\'', "''"));
    }
    text.push_str(&archive(restoring.archiving));
    if let Some(major) = restoring.foreign {
        text.push_str(&still(major));
    }
    text
}

/// The configuration of a server into which a dump is loaded: no archiving, nothing that reaches outside.
pub fn loading(socket: &Path, wal_segment_megabytes: u32, major: Major) -> String {
    let mut text = common(socket, wal_segment_megabytes);
    text.push_str(&archive(None));
    text.push_str("max_logical_replication_workers = 0\n");
    // Its own event triggers come last in a dump, and must not act.
    text.push_str(if major >= Major(17) { "event_triggers = off\n" } else { "" });
    text
}

/// Keeps what is in a database from acting by itself: its triggers and event triggers do not fire, but for those that were
/// enabled to do so always.
fn still(major: Major) -> String {
    let event_triggers = if major >= Major(17) { "event_triggers = off\n" } else { "" };
    format!("session_replication_role = 'replica'\n{event_triggers}")
}

/// How often a server that is fed looks for more WAL.
const LOOK_FOR_WAL: &str = "2ms";

/// The configuration of a server that is fed WAL piece by piece: a restored server's, which waits for more where the WAL
/// ends, and never ends what looks at it (`WaitForWALToBecomeAvailable`, `src/backend/access/transam/xlogrecovery.c`).
/// What was replayed is removed, not kept for later use; nothing of it has to survive a crash. It is looked at again and
/// again, and what is known of each row's transaction is kept with its page: only in memory, as long as there is enough of
/// it (`MarkBufferDirtyHint`, `src/backend/storage/buffer/bufmgr.c`). So it may have an eighth of the host's.
pub fn fed(restoring: &Restoring<'_>, memory_bytes: u64) -> String {
    let mut text = restored(restoring);
    let shared_buffers = ((memory_bytes / 8) >> 20).clamp(128, 1024);
    let _ = write!(
        text,
        "shared_buffers = '{shared_buffers}MB'\n\
         wal_retrieve_retry_interval = '{LOOK_FOR_WAL}'\n\
         wal_recycle = off\n\
         fsync = off\n\
         max_standby_archive_delay = -1\n\
         max_standby_streaming_delay = -1\n"
    );
    text
}

/// How a server archives.
fn archive(archiving: Option<&Archiving>) -> String {
    let Some(Archiving { command, timeout }) = archiving else {
        return "archive_mode = off\narchive_command = ''\n".to_owned();
    };
    let seconds = timeout.map_or(0, |timeout| timeout.as_secs());
    format!("archive_mode = on\narchive_command = '{}'\narchive_timeout = {seconds}\n", value(command))
}

/// The line by which a server's commits wait for the one that calls itself `name`.
pub fn synchronous(name: &str) -> String {
    format!("synchronous_standby_names = '{name}'\n")
}

/// What the running restored server must answer, asked before anything else is done with it. One that goes on as the
/// primary did archives.
pub const QUARANTINE: [(&str, &str); 9] = [
    ("listen_addresses", ""),
    (ARCHIVE_MODE, "off"),
    ("archive_cleanup_command", ""),
    ("recovery_end_command", ""),
    ("primary_conninfo", ""),
    ("synchronous_standby_names", ""),
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("max_logical_replication_workers", "0"),
];

/// The one setting of [`QUARANTINE`] that depends on what becomes of the server.
pub const ARCHIVE_MODE: &str = "archive_mode";

/// A path within a quoted value of a configuration file (`GUC_scanstr`, `src/backend/utils/misc/guc-file.l`).
fn quoted(path: &Path) -> String {
    value(&path.to_string_lossy())
}

/// A text within one: a value may not go over lines, but may say that it does.
fn value(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n")
}
