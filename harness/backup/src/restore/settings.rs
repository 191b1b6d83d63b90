//! What a restored server is told to recover to: its settings and its signal file (`doc/src/sgml/backup.sgml`, "Recovering
//! Using a Continuous Archive Backup").

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pgdrill_model::scenario::{Action, Target, Timeline};

use crate::wal::target;

/// All settings that name a target, of which only one may be set.
const TARGETS: [&str; 5] = [
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
];

/// What a server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where recovery stops; not a mark, which only a scenario knows.
    pub target: Target,
    /// `recovery_target_timeline`
    pub timeline: Timeline,
    /// `recovery_target_action`
    pub action: Action,
    /// `restore_command`
    pub restore_command: String,
    /// Whether that unpacks segments which are packed.
    pub unpacks: bool,
}

/// Writes them into a data directory; gives the files that were written.
///
/// # Errors
///
/// What writing gives.
pub fn write(settings: &Settings, data: &Path) -> io::Result<Vec<PathBuf>> {
    // Read last of all files, and what is said last counts; what the backup brought of other targets is taken back.
    let mut text = "\n# Set by pgdrill restore\n".to_owned();
    let mut set = |name: &str, value: &str| _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    set("restore_command", &settings.restore_command);
    let target = target::Target::of(&settings.target).and_then(|target| target.setting());
    let others = TARGETS.into_iter().filter(|name| target.as_ref().is_none_or(|target| target.0 != *name));
    others.for_each(|name| set(name, ""));
    // Behind all others: a target is set already where another is taken back, and the server takes that for a second one
    // (`assign_recovery_target_lsn` and its like, `xlogrecovery.c`).
    if let Some((name, value)) = &target {
        set(name, value);
    }
    set("recovery_target_inclusive", if settings.target.inclusive { "on" } else { "off" });
    set("recovery_target_timeline", &settings.timeline.to_string());
    set("recovery_target_action", settings.action.name());
    let (conf, signal) = (data.join("postgresql.auto.conf"), data.join("recovery.signal"));
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&conf)?;
    file.write_all(text.as_bytes())?;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&signal)?;
    // A standby would wait for ever at the end of its archive.
    match std::fs::remove_file(data.join("standby.signal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Ok(vec![conf, signal])
}
