//! A storage of WAL-G in a directory: `basebackups_005` with a sentinel for each backup that was finished, and `wal_005`.

use serde_json::Value;

use pgdrill_model::units::{Lsn, Major};

use crate::files::{Kind as EntryKind, Tree, shown};
use crate::found::{Backup, Found, Held, Kind, WalLayout, WalPlace};
use crate::not_a_backup::NotABackup;
use crate::time;
use crate::wal::segment_of;

/// Where its backups are.
const BACKUPS: &str = "basebackups_005";

/// Where its WAL is.
const WAL: &str = "wal_005";

/// With what the name of a sentinel ends.
const SENTINEL: &str = "_backup_stop_sentinel.json";

/// Bytes of a sentinel. Older versions listed every file of the cluster in it.
const LARGEST_SENTINEL: u64 = 256 << 20;

const OF: &str = "a WAL-G storage";

/// What only backups of WAL-G have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalG {
    /// The exact version of the server, as PostgreSQL counts it: `150018`.
    pub version: Option<u64>,
    /// How many backups lie between it and the full one it is built on.
    pub delta_count: Option<u64>,
    /// The full one it is built on.
    pub delta_full: Option<String>,
    /// Whether it is kept whatever retention says.
    pub permanent: bool,
    /// The host on which it was made.
    pub host: Option<String>,
}

/// Whether a directory is a storage of WAL-G.
pub(crate) fn is_storage(tree: &Tree) -> bool {
    tree.has_directory(BACKUPS)
}

/// Looks at a storage.
pub(crate) fn look(tree: &Tree) -> Result<Found, NotABackup> {
    let path = tree.root().join(BACKUPS);
    let entries = tree.entries(BACKUPS).map_err(|trouble| NotABackup::of(&path, trouble))?;
    let mut found = Found {
        path: tree.root().to_owned(),
        kind: Kind::WalG,
        backups: Vec::new(),
        upon: Vec::new(),
        wal: Vec::new(),
        remarks: Vec::new(),
    };
    for entry in &entries {
        let Some(name) = entry.name.strip_suffix(SENTINEL) else {
            let finished = |name: &str| entries.iter().any(|other| other.name == format!("{name}{SENTINEL}"));
            if entry.kind == EntryKind::Directory && !finished(&entry.name) {
                found
                    .remarks
                    .push(format!("{}: it has no sentinel: it was not finished", shown(&entry.name)));
            }
            continue;
        };
        match sentinel(tree, name, &entry.name) {
            Ok(backup) => found.backups.push(backup),
            Err(why) => found.remarks.push(format!("{} is left out: {why}", shown(&entry.name))),
        }
    }
    found.wal.extend(archive(tree));
    if found.backups.is_empty() {
        let what = match found.remarks.first() {
            Some(remark) => format!("{BACKUPS} has no NAME{SENTINEL} that can be read ({remark})"),
            None => format!("{BACKUPS} has no NAME{SENTINEL}"),
        };
        return Err(NotABackup::Empty { path: found.path, of: OF, what });
    }
    found.sort();
    Ok(found)
}

fn sentinel(tree: &Tree, name: &str, file: &str) -> Result<Backup, String> {
    let relative = format!("{BACKUPS}/{file}");
    let bytes = tree.read(&relative, LARGEST_SENTINEL).map_err(|trouble| trouble.to_string())?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    if !value.is_object() {
        return Err("it is no JSON object".to_owned());
    }
    let metadata = tree.read(&format!("{BACKUPS}/{name}/metadata.json"), LARGEST_SENTINEL).ok();
    let metadata: Value = metadata.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    // What newer versions write into the sentinel, too, others have beside it.
    let either = |key: &str, beside: &str| {
        value.get(key).filter(|value| !value.is_null()).or_else(|| metadata.get(beside))
    };
    let text = |key: &str, beside: &str| either(key, beside).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str, beside: &str| either(key, beside).and_then(Value::as_u64);
    let lsn = |key: &str, beside: &str| match either(key, beside) {
        Some(Value::Number(number)) => number.as_u64().map(Lsn),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let size = |key: &str, beside: &str| number(key, beside).filter(|bytes| *bytes > 0);
    let version = number("PgVersion", "pg_version");
    let held = WalG {
        version,
        delta_count: number("DeltaCount", ""),
        delta_full: text("DeltaFullName", ""),
        permanent: either("IsPermanent", "is_permanent").and_then(Value::as_bool).unwrap_or(false),
        host: text("Hostname", "hostname"),
    };
    let mut backup = Backup::new(name, tree.root().join(BACKUPS).join(name), Held::WalG(held));
    backup.major = version.and_then(|of| u16::try_from(of / 10_000).ok()).map(Major);
    backup.system_identifier = number("SystemIdentifier", "system_identifier");
    let of_name = name.strip_prefix("base_").and_then(|rest| u32::from_str_radix(rest.get(..8)?, 16).ok());
    backup.timeline =
        number("Timeline", "timeline").and_then(|timeline| u32::try_from(timeline).ok()).or(of_name);
    (backup.start, backup.stop) = (lsn("LSN", "start_lsn"), lsn("FinishLSN", "finish_lsn"));
    backup.started_us = text("StartTime", "start_time").as_deref().and_then(time::with_offset);
    backup.finished_us = text("FinishTime", "finish_time").as_deref().and_then(time::with_offset);
    if backup.time_us().is_none() {
        backup.finished_us = tree.stat(&relative).ok().and_then(|(_, modified)| modified);
    }
    backup.bytes = size("UncompressedSize", "uncompressed_size");
    backup.stored_bytes = size("CompressedSize", "compressed_size");
    backup.prior = text("DeltaFrom", "");
    if !tree.has_directory(&format!("{BACKUPS}/{name}")) {
        backup.unfit("its sentinel is there, and its directory is not");
    }
    Ok(backup)
}

fn archive(tree: &Tree) -> Option<WalPlace> {
    let entries = tree.entries(WAL).ok()?;
    let mut place = WalPlace::new(tree.root().join(WAL), WalLayout::WalG);
    place.note(entries.iter().filter_map(|entry| segment_of(&entry.name)));
    Some(place)
}
