//! Which settings a scenario may make: those that pgdrill makes itself would turn the drill into another one.

use std::collections::BTreeMap;

use super::Setting;
use super::file::Entries;
use super::mistake::{Lines, Note, Span, quote};
use super::value::{SettingName, SettingValue};

/// What pgdrill sets itself, and why, ordered by the reason. A trailing `*` stands for any ending.
const OWN: &[(&str, &[&str])] = &[
    (
        "a drill's server listens on a socket in its workspace and nowhere else",
        &["listen_addresses", "port", "unix_socket_*", "ssl", "ssl_*", "bonjour", "bonjour_name"],
    ),
    (
        "the server's files are where the workspace has them",
        &["data_directory", "config_file", "hba_file", "ident_file", "external_pid_file"],
    ),
    (
        "other files of settings would not be in the record of the run",
        &["include", "include_if_exists", "include_dir"],
    ),
    (
        "how WAL is archived and given back is said under `archive:`",
        &[
            "archive_mode",
            "archive_command",
            "archive_library",
            "archive_timeout",
            "archive_cleanup_command",
            "synchronous_standby_names",
            "restore_command",
        ],
    ),
    (
        "how a server recovers is said in the step `recover`",
        &["recovery_*", "primary_conninfo", "primary_slot_name"],
    ),
    (
        "pgdrill reads the server's log and must know where it is and how it looks",
        &[
            "logging_collector",
            "log_destination",
            "log_directory",
            "log_filename",
            "log_line_prefix",
            "log_timezone",
            "lc_messages",
        ],
    ),
    ("page checksums are made with the cluster", &["data_checksums"]),
];

/// Why pgdrill makes the setting `name` itself, if it does.
fn own(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let is = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == **pattern,
    };
    OWN.iter().find(|(_, names)| names.iter().any(is)).map(|(why, _)| *why)
}

/// The settings of a scenario.
pub(super) fn settings(
    written: Entries<SettingName, SettingValue>,
    lines: &Lines,
    notes: &mut Vec<Note>,
) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for (name, value) in written.0 {
        let (Some(name), Some(value)) = (name.0, value.0) else {
            continue;
        };
        let (span, name) = (name.span, name.what.0);
        let (place, value) = (value.span, value.what.0);
        // PostgreSQL does not distinguish case in the names of settings.
        let folded = name.to_ascii_lowercase();
        if let Some(why) = own(&folded) {
            notes.push(
                Note::new(span, format!("pgdrill sets `{name}` itself")).hint(format!("{why}; leave it out")),
            );
        } else if folded == "wal_level" && value.trim().eq_ignore_ascii_case("minimal") {
            notes.push(
                Note::new(
                    place,
                    "`wal_level` cannot be minimal: such a server can neither be backed up nor archive",
                )
                .hint("leave it out, or write logical"),
            );
        }
        if let Some(first) = seen.insert(folded, span) {
            notes.push(
                Note::new(
                    span,
                    format!("the setting `{name}` stands twice; PostgreSQL does not distinguish case"),
                )
                .hint(format!(
                    "it was first written on line {}; keep one of the two",
                    lines.line(first.start)
                )),
            );
        }
        if value.contains(['\n', '\r', '\0']) {
            notes.push(
                Note::new(
                    place,
                    format!("the value of `{name}` holds a line break or a NUL character: {}", quote(&value)),
                )
                .hint("write it on one line"),
            );
        }
        let line = lines.line(span.start);
        settings.insert(name, Setting { value, line });
    }
    settings
}
