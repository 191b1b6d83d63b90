//! What PostgreSQL needs of a data directory beside its files: directories, versions that agree, a control file that can
//! be, permissions. `pg_verifybackup` looks at none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pgdrill_model::code::Code;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::tablespace;

use super::ignore::Ignored;
use super::observed::{Observed, Order};

/// Directories without which a server of any major from 13 to 18 does not start, or cannot work once it has: found by
/// taking away each of them.
pub const NEEDED: [&str; 13] = [
    "base",
    "global",
    "pg_commit_ts",
    "pg_logical/mappings",
    "pg_logical/snapshots",
    "pg_multixact/members",
    "pg_multixact/offsets",
    "pg_notify",
    "pg_replslot",
    "pg_subtrans",
    "pg_tblspc",
    "pg_twophase",
    "pg_xact",
];

/// The same where it is needed only before this major.
const NEEDED_BEFORE: [(&str, u32); 2] = [("pg_stat", 15), ("pg_stat_tmp", 15)];

/// What the small files of a backup say.
#[derive(Debug, Default)]
pub struct Read {
    /// The control file.
    pub control: Option<Control>,
    /// Whether that is not what it was when it was written.
    pub control_crc_is_wrong: bool,
    /// The label.
    pub label: Option<Label>,
    /// The major version.
    pub major: Option<u32>,
}

/// The small files and the directories.
struct Seen {
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
    directories: BTreeSet<Vec<u8>>,
}

/// Looks at the small files and the directories.
pub fn look(observed: &Observed) -> Read {
    let (seen, unreached) = {
        let mut inner = observed.look();
        let (kept, directories) = (std::mem::take(&mut inner.kept), std::mem::take(&mut inner.directories));
        (&Seen { kept, directories }, Ignored::only(&inner.unreached))
    };
    let mut read = Read::default();
    let unfit = |subject: &str, message: String| {
        // Of what nobody could look into, nothing is known.
        if unreached.has_all() || unreached.has(subject.as_bytes()) {
            return;
        }
        observed.found(Order::Layout, Code::BackupUnfit, subject.as_bytes(), message);
    };
    let kept = |name: &str| seen.kept.get(name.as_bytes());
    match kept("PG_VERSION").map(|bytes| version(bytes)) {
        Some(Some(major)) => read.major = Some(major),
        Some(None) => unfit("PG_VERSION", "\"PG_VERSION\" does not hold a version".to_owned()),
        None => unfit("PG_VERSION", "there is no \"PG_VERSION\"".to_owned()),
    }
    match kept("global/pg_control").map(|bytes| Control::verify(bytes)) {
        Some(Ok(control)) => read.control = Some(control),
        Some(Err(error)) => {
            read.control_crc_is_wrong = error.what.starts_with("its CRC is");
            unfit("global/pg_control", error.to_string());
        }
        None => unfit("global/pg_control", "there is no \"global/pg_control\"".to_owned()),
    }
    match kept("backup_label").map(|bytes| Label::read(bytes)) {
        Some(Ok(label)) => read.label = Some(label),
        Some(Err(error)) => unfit("backup_label", error.to_string()),
        // A copy of a server that was shut down needs none: its control file says where to begin.
        None if read.control.as_ref().is_some_and(Control::is_shut_down) => {}
        None => unfit(
            "backup_label",
            "there is no \"backup_label\": a server would begin its recovery at the wrong place, and not say so"
                .to_owned(),
        ),
    }
    if let (Some(major), Some(control)) = (read.major, &read.control)
        && !control.is_of(major)
    {
        let version = control.control_version;
        unfit(
            "PG_VERSION",
            format!("\"PG_VERSION\" says {major}, and the control file is of version {version}"),
        );
    }
    needed(seen, read.major, &unfit);
    versions(seen, read.major, &unfit);
    map(seen, &unfit);
    read
}

fn version(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}

fn needed(seen: &Seen, major: Option<u32>, unfit: &dyn Fn(&str, String)) {
    let before = NEEDED_BEFORE.iter().filter(|(_, first)| major.is_some_and(|major| major < *first));
    let needed = NEEDED.iter().chain(before.map(|(name, _)| name));
    for name in needed {
        let there = seen.directories.contains(name.as_bytes());
        // An archive need not have members for directories that hold files.
        let below = [name.as_bytes(), b"/"].concat();
        let holds = |path: &Vec<u8>| path.starts_with(&below);
        if !there && !seen.kept.keys().any(holds) && !seen.directories.iter().any(holds) {
            unfit(name, format!("there is no directory \"{name}\", without which PostgreSQL cannot work"));
        }
    }
}

/// Each database and tablespace says of which version it is (`ValidatePgVersion`, `src/backend/utils/init/miscinit.c`).
fn versions(seen: &Seen, major: Option<u32>, unfit: &dyn Fn(&str, String)) {
    for (path, bytes) in seen.kept.iter().filter(|(path, _)| path.ends_with(b"/PG_VERSION")) {
        let name = String::from_utf8_lossy(path);
        let its = version(bytes);
        if its.is_none() || (major.is_some() && its != major) {
            let of_a_database = path.starts_with(b"base/") || major.is_some_and(|major| of_this(path, major));
            if of_a_database {
                unfit(&name, format!("\"{name}\" is not of the version of the backup"));
            }
        }
    }
}

/// Whether a path in a tablespace belongs to this major: a tablespace can hold directories of several.
fn of_this(path: &[u8], major: u32) -> bool {
    let wanted = format!("PG_{major}_");
    path.split(|byte| *byte == b'/').any(|part| part.starts_with(wanted.as_bytes()))
}

fn map(seen: &Seen, unfit: &dyn Fn(&str, String)) {
    let Some(bytes) = seen.kept.get(b"tablespace_map".as_slice()) else { return };
    let read = std::str::from_utf8(bytes).map_err(|error| error.to_string());
    match read.and_then(|text| tablespace::read(text).map_err(|error| error.to_string())) {
        Ok(_) => {}
        Err(error) => unfit("tablespace_map", error),
    }
}

/// Whether PostgreSQL would take `root` for its data directory (`checkDataDir`, `src/backend/utils/init/miscinit.c`). What is restored
/// on the way gets the permissions that it needs, whatever those of its backup became when somebody copied that.
pub fn permissions(observed: &Observed, root: &Path, restored: bool) {
    let Ok(metadata) = fs::metadata(root) else { return };
    let mode = metadata.mode() & 0o777;
    if mode & 0o027 != 0 {
        let (code, what) = if restored {
            (Code::BackupPermissions, ", and what is restored of it has 0700")
        } else {
            (Code::BackupUnfit, "")
        };
        let message = format!(
            "data directory \"{}\" has permissions {mode:04o}: PostgreSQL starts with 0700 or 0750 only{what}",
            root.display()
        );
        observed.found(Order::Layout, code, b".", message);
    }
}
