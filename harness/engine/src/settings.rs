//! The configuration of a drill's servers. It is always ours: a restored server never starts on the configuration
//! that came with the backup.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use pgdrill_model::scenario::Setting;
use pgdrill_ondisk::control::Minima;

use crate::session::SUPERUSER;

/// Only local connections, and these all: the socket lies in a directory of mode 0700.
pub const HBA: &str = "local all all trust\nlocal replication all trust\n";

/// The port in the socket's name; nothing listens on a network.
pub const PORT: u16 = 5432;

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

/// The primary's configuration: archiving by our own script, then what it shares with its standby.
pub fn primary(socket: &Path, archive_wal: &Path, wal_segment_megabytes: u32, shared: &str) -> String {
    let mut text = common(socket, wal_segment_megabytes);
    let _ = writeln!(text, "archive_mode = on\narchive_command = '{} \"%p\" \"%f\"'", quoted(archive_wal));
    text.push_str(shared);
    text
}

/// What the primary and its standby have in common beside what all servers have: the scenario's own settings, which
/// win. A standby needs limits at least as large as the primary's.
pub fn shared(summarize_wal: bool, settings: &BTreeMap<String, Setting>) -> String {
    let mut text = String::new();
    if summarize_wal {
        text.push_str("summarize_wal = on\n");
    }
    for (name, setting) in settings {
        let _ = writeln!(text, "{name} = '{}'", setting.value.replace('\'', "''"));
    }
    text
}

/// The standby's configuration: it streams from the primary through the primary's socket, and archives nothing, since
/// the primary does.
pub fn standby(
    socket: &Path,
    primary: &Path,
    slot: &str,
    wal_segment_megabytes: u32,
    shared: &str,
) -> String {
    let mut text = common(socket, wal_segment_megabytes);
    // A value within a value: libpq's own quotes and backslashes first, then those of the configuration file.
    let host = primary.to_string_lossy().replace('\\', "\\\\").replace('\'', "\\'");
    let conninfo = format!("host='{host}' port={PORT} user={SUPERUSER} application_name=standby");
    text.push_str(shared);
    let _ = write!(
        text,
        "hot_standby = on\n\
         archive_mode = off\n\
         archive_command = ''\n\
         primary_conninfo = '{}'\n\
         primary_slot_name = '{slot}'\n",
        quoted(Path::new(&conninfo)),
    );
    text
}

/// The restored server's configuration: no archiving, nothing that reaches outside, at least the primary's limits,
/// and what to recover. Everything that recovery would otherwise take from a default is stated.
/// `in_place`: whether it has tablespaces within its data directory, without which setting it stops over them.
pub fn restored(
    socket: &Path,
    fetch_wal: &Path,
    wal_segment_megabytes: u32,
    in_place: bool,
    minima: Minima,
) -> String {
    let mut text = common(socket, wal_segment_megabytes);
    // Not every minor of the older majors knows it.
    if in_place {
        text.push_str("allow_in_place_tablespaces = on\n");
    }
    let _ = write!(
        text,
        "archive_mode = off\n\
         archive_command = ''\n\
         archive_cleanup_command = ''\n\
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
         restore_command = '{} \"%f\" \"%p\"'\n\
         recovery_target_timeline = 'latest'\n\
         recovery_target_action = 'promote'\n",
        minima.max_connections.max(100),
        minima.max_worker_processes.max(8),
        minima.max_wal_senders.max(10),
        minima.max_prepared_transactions,
        minima.max_locks_per_transaction.max(64),
        quoted(fetch_wal),
    );
    text
}

/// What the running restored server must answer, asked before anything else is done with it.
pub const QUARANTINE: [(&str, &str); 9] = [
    ("listen_addresses", ""),
    ("archive_mode", "off"),
    ("archive_cleanup_command", ""),
    ("recovery_end_command", ""),
    ("primary_conninfo", ""),
    ("synchronous_standby_names", ""),
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("max_logical_replication_workers", "0"),
];

/// A path within a quoted value of a configuration file (`GUC_scanstr`, `src/backend/utils/misc/guc-file.l`).
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace('\'', "''")
}
