//! How WAL gets into the archive.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::Switch;
use super::mistake::{Note, quote};
use super::slot::Slot;
use super::value::{FromText, Span, read_from_text};
use super::wrong::Words;
use crate::units::show_duration;

/// Bytes of a command. 13 and 14 cut what is longer than 1 023 with all that belongs to it (`MAXPGPATH`,
/// `pgarch_archiveXlog`, `src/backend/postmaster/pgarch.c`).
const LONGEST_COMMAND: usize = 400;

/// How WAL is archived, and how a server that recovers is given it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Archive {
    /// By which means.
    pub by: ArchiveBy,
    /// After how long a segment that is not full is archived, too (`archive_timeout`); none: never.
    pub timeout: Option<Duration>,
    /// Whether a commit waits until the receiver has it.
    pub synchronous: bool,
    /// The scenario's own `archive_command`, with `%p` and `%f`, for a shell in which `$ARCHIVE` is the archive's
    /// directory; none: pgdrill's own script.
    pub command: Option<String>,
    /// The same for `restore_command`.
    pub restore: Option<String>,
}

/// The means of archiving WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveBy {
    /// `archive_command` with pgdrill's own atomic and durable script.
    Command,
    /// `pg_receivewal`, which streams WAL as it is written, with a replication slot.
    Receivewal,
    /// `archive_command` with `pgbackrest archive-push`, and `pgbackrest archive-get` gives it back.
    #[serde(rename = "pgbackrest")]
    PgBackRest,
}

impl Default for Archive {
    fn default() -> Self {
        Self { by: ArchiveBy::Command, timeout: None, synchronous: false, command: None, restore: None }
    }
}

impl Archive {
    /// Whether servers archive their WAL themselves.
    pub fn is_by_the_server(&self) -> bool {
        self.by != ArchiveBy::Receivewal
    }

    /// Whether the archive holds each file of WAL as it was written, under its own name.
    pub fn is_plain(&self) -> bool {
        self.command.is_none() && self.by != ArchiveBy::PgBackRest
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            ArchiveBy::Command if self.command.is_some() => {
                f.write_str("the scenario's own archive_command")?;
            }
            ArchiveBy::Command => f.write_str("archive_command")?,
            ArchiveBy::Receivewal => f.write_str("pg_receivewal")?,
            ArchiveBy::PgBackRest => f.write_str("pgbackrest archive-push")?,
        }
        if let Some(timeout) = self.timeout {
            write!(f, " with archive_timeout {}", show_duration(timeout))?;
        }
        if self.synchronous {
            f.write_str(", for which every commit waits")?;
        }
        if self.restore.is_some() { f.write_str(", given back by its own restore_command") } else { Ok(()) }
    }
}

/// How WAL is archived.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ArchiveArguments {
    /// By which means. Default: command.
    pub(super) by: Slot<ArchiveBy>,
    /// After how long a segment that is not full is archived, too (archive_timeout), as in 5s; not for
    /// `by: receivewal`. Default: never.
    pub(super) timeout: Slot<Span>,
    /// Whether every commit waits until the receiver has it; for `by: receivewal`. Default: off.
    pub(super) synchronous: Slot<Switch>,
    /// Your own archive_command, as in "gzip < %p > $ARCHIVE/%f.gz". $ARCHIVE is the archive of the drill. Default:
    /// a script of pgdrill's that copies a file whole or not at all.
    pub(super) command: Slot<ShellCommand>,
    /// Your own restore_command, as in "gunzip < $ARCHIVE/%f.gz > %p". Default: a script of pgdrill's that copies.
    pub(super) restore: Slot<ShellCommand>,
}

/// A command of the server's for its shell.
#[derive(Clone, Debug)]
pub(super) struct ShellCommand(pub(super) String);

read_from_text!(ShellCommand);

impl FromText for ShellCommand {
    const WANTED: &'static str = "a command for the server's shell";
    const HINT: &'static str = "write it in one text, as in \"cp %p $ARCHIVE/%f\"";

    fn from_text(text: &str) -> Result<Self, Words> {
        let wrong = |message: String, hint: &str| Err(Words::predicate(message, hint));
        if text.len() > LONGEST_COMMAND {
            return wrong(
                format!("must be at most {LONGEST_COMMAND} bytes long; found {}", text.len()),
                "put it into a script of the image, or of this machine, and name that",
            );
        }
        if let Some(odd) = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t') {
            return wrong(format!("must be text; found the control character {odd:?}"), "leave it out");
        }
        let placeholders = text.replace("%%", "");
        let odd = placeholders.split('%').skip(1).find(|rest| !rest.starts_with(['p', 'f', 'r']));
        if let Some(odd) = odd {
            let found: String = odd.chars().take(1).collect();
            return wrong(
                format!("has the placeholder %{found}, which PostgreSQL does not know: {}", quote(text)),
                "write %% for a percent sign; 16 and later refuse what they do not know",
            );
        }
        for (wanted, what) in
            [("%f", "the name of the file"), ("%p", "where it is, or is wanted, in the server's directory")]
        {
            if !text.contains(wanted) {
                return wrong(
                    format!("must contain {wanted}, {what}; found {}", quote(text)),
                    "write it as in postgresql.conf, as in `cp %p $ARCHIVE/%f` or `cp $ARCHIVE/%f %p`",
                );
            }
        }
        if !text.contains("$ARCHIVE") && !text.contains("${ARCHIVE}") {
            return wrong(
                format!("must contain $ARCHIVE, the archive of the drill; found {}", quote(text)),
                "write $ARCHIVE where your own command names the archive: a drill never touches another",
            );
        }
        Ok(Self(text.trim_end().to_owned()))
    }
}

/// What `arguments` mean. What makes no sense is noted.
pub(super) fn meaning(arguments: ArchiveArguments, notes: &mut Vec<Note>) -> Archive {
    let by = arguments.by.what().unwrap_or(ArchiveBy::Command);
    let waits = arguments.synchronous.0.filter(|at| at.what.0).map(|at| at.span);
    if let (ArchiveBy::Receivewal, Some(place)) = (by, arguments.timeout.span()) {
        notes.push(
            Note::new(place, "`timeout` is for `by: command`: pg_receivewal writes WAL as it comes")
                .hint("leave it out"),
        );
    }
    if let (ArchiveBy::Command | ArchiveBy::PgBackRest, Some(place)) = (by, waits) {
        notes.push(
            Note::new(place, "no commit can wait for archive_command")
                .hint("write `by: receivewal`, or leave `synchronous` out"),
        );
    }
    for (name, place) in [("command", arguments.command.span()), ("restore", arguments.restore.span())] {
        if let (ArchiveBy::Receivewal, Some(place)) = (by, place) {
            notes.push(
                Note::new(place, format!("`{name}` is for `by: command`: pg_receivewal runs no command"))
                    .hint("leave it out"),
            );
        }
        if let (ArchiveBy::PgBackRest, Some(place)) = (by, place) {
            notes.push(
                Note::new(
                    place,
                    format!("`{name}` is for `by: command`: pgBackRest has commands of its own"),
                )
                .hint("leave it out, or leave `by` out"),
            );
        }
    }
    let timeout = arguments.timeout.0.and_then(|at| {
        // The setting counts in seconds.
        if at.what.0.subsec_nanos() == 0 {
            return Some(at.what.0);
        }
        notes.push(
            Note::new(
                at.span,
                "`timeout` must be a number of whole seconds: archive_timeout has no fractions",
            )
            .hint("write 1s or more"),
        );
        None
    });
    Archive {
        by,
        timeout,
        synchronous: waits.is_some(),
        command: arguments.command.what().map(|command| command.0),
        restore: arguments.restore.what().map(|command| command.0),
    }
}
