//! A backup that the drill does not take, because it is there already: where it lies, and where the WAL is that belongs to it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::backup::first;
use super::file::{BackupArguments, File};
use super::mistake::{Lines, Note};
use super::slot::{At, Slot, TextOr, read_text_or};
use super::tree::found_text;
use super::value::{FromText, Span as SpanOfTime, Statement, read_from_text, whole_number};
use super::wrong::Words;
use super::{BackupFrom, Placed, Step};

/// A backup that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Given {
    /// Where it lies: a base backup, a dump, a repository, or a directory of backups.
    pub path: PathBuf,
    /// What it is called in records, where the path is only of a copy: the URL that it was fetched from.
    pub called: Option<String>,
    /// Whose it is, where the path holds backups of several servers: pgBackRest's stanza, Barman's server.
    pub server: Option<String>,
    /// Which of several it is: a label, `newest`, `oldest` or `random`; none is the newest.
    pub backup: Option<String>,
    /// Where those lie that it is built on, where it is an incremental one and they do not lie beside it.
    pub upon: Vec<PathBuf>,
    /// What production held at a moment, as `pgdrill live baseline` wrote it.
    pub baseline: Option<PathBuf>,
    /// What production was told of its beats, as `pgdrill live witness beat` wrote it.
    pub witness: Option<PathBuf>,
    /// How old the newest beat that comes back may be.
    pub max_age: Option<Duration>,
    /// The databases that may hold no row.
    pub empty: Vec<String>,
    /// By how many percent a table may differ from the last proven drill of the same source.
    pub max_drift: Option<u64>,
    /// The SQL of what the databases of a cluster share, for a dump.
    pub globals: Option<PathBuf>,
    /// Where the WAL lies that recovery goes on with, packed or not: archives, the first of which counts where two hold a file.
    pub wal: Vec<PathBuf>,
    /// What gives it instead, for this host's shell, with PostgreSQL's own `%f` and `%p`.
    pub restore_command: Option<String>,
}

impl Given {
    /// By what drills of the same database are known, whichever of its backups they take: the path or URL, and the server whose
    /// backups are meant.
    pub fn source(&self) -> String {
        let path = self.called.clone().unwrap_or_else(|| self.path.display().to_string());
        match &self.server {
            Some(server) => format!("{path}, {server}"),
            None => path,
        }
    }
}

/// A backup that is there already.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["path"]))]
pub(super) struct GivenArguments {
    /// Where it lies: a base backup, plain or in tars; a dump, in any format; a repository of pgBackRest, Barman or WAL-G; or a
    /// directory of backups.
    pub(super) path: Slot<FilePath>,
    /// Whose it is, where the path holds backups of several servers: pgBackRest's stanza, Barman's server.
    pub(super) server: Slot<Label>,
    /// Which of several it is: its label, newest, oldest or random. Default: newest.
    pub(super) backup: Slot<Label>,
    /// For an incremental backup of pg_basebackup, directories with those that it is built on, in any order, where they do not lie
    /// beside it. Default: what lies in the directory of backups.
    pub(super) upon: Slot<Vec<Slot<FilePath>>>,
    /// What production held at a moment, as `pgdrill live baseline` wrote it; with `to: baseline` all of it must be there exactly.
    pub(super) baseline: Slot<FilePath>,
    /// What production was told of its beats, as `pgdrill live witness beat` wrote it: what comes back must be this database, with
    /// every beat before the point to which it is recovered.
    pub(super) witness: Slot<FilePath>,
    /// How old the newest beat that comes back may be, as in 26h. Default: as old as it is.
    pub(super) max_age: Slot<SpanOfTime>,
    /// The databases that may come back without a row in any table of their own. Default: none; `postgres` may beside others.
    pub(super) empty: Slot<Vec<Slot<Label>>>,
    /// By how much of what it held a table may differ from the last proven drill of the same source, as in 20%. Default: tables
    /// that have lost all rows are told, and disprove nothing.
    pub(super) max_drift: Slot<Percent>,
    /// For a dump, what the databases of its cluster share, as `pg_dumpall --globals-only` writes it. Default: none, and nobody
    /// owns what is loaded.
    pub(super) globals: Slot<FilePath>,
    /// Directories with the WAL that recovery goes on with, plain or packed by gzip, LZ4 or Zstandard. Default: what the repository
    /// has, or else only what the backup itself brings.
    pub(super) wal: Slot<Vec<Slot<FilePath>>>,
    /// A command for this host's shell that gives one file of WAL instead, with %f for its name and %p for where to put it, as
    /// `restore_command` has them. It is run beside the drill, before the server starts.
    pub(super) restore_command: Slot<Statement>,
}

/// The server that a backup is taken from, or where it lies already.
#[derive(Debug)]
pub(super) enum FromArguments {
    Server(BackupFrom),
    Given(Box<GivenArguments>),
}

read_text_or!(FromArguments);

impl TextOr<'_> for FromArguments {
    type Arguments = GivenArguments;
    const WANTED: &'static str = "primary, standby, or a mapping with the keys path, server, backup, upon, wal, restore-command, baseline, witness, max-age, max-drift, empty, globals";
    const HINT: &'static str =
        "write `from: standby`, or `from: { path: /backups/today }` for a backup that is there already";

    fn text(text: &str) -> Result<Self, Words> {
        match text {
            "primary" => Ok(Self::Server(BackupFrom::Primary)),
            "standby" => Ok(Self::Server(BackupFrom::Standby)),
            _ => Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                Self::HINT,
            )),
        }
    }

    fn arguments(arguments: GivenArguments) -> Self {
        Self::Given(Box::new(arguments))
    }
}

impl JsonSchema for FromArguments {
    fn schema_name() -> Cow<'static, str> {
        "FromArguments".into()
    }

    /// The mapping's schema, for which the name of a server also does.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = GivenArguments::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert("pattern".to_owned(), json!("^(primary|standby)$"));
        schema.insert("examples".to_owned(), json!(["primary", "standby"]));
        schema
    }
}

impl JsonSchema for Label {
    fn schema_name() -> Cow<'static, str> {
        "Label".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]+$", "examples": ["newest", "20260301-040506F"] })
    }
}

impl JsonSchema for FilePath {
    fn schema_name() -> Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]+$", "examples": ["/backups/today"] })
    }
}

/// The path of a file or directory of this host.
#[derive(Clone, Debug)]
pub(super) struct FilePath(pub(super) PathBuf);

impl FromText for FilePath {
    const WANTED: &'static str = "a path, as in /backups/today";

    fn from_text(text: &str) -> Result<Self, Words> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                "one that does not begin with a slash is looked for where pgdrill is run",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// By what a backup or a server is named in a repository.
#[derive(Clone, Debug)]
pub(super) struct Label(pub(super) String);

impl FromText for Label {
    const WANTED: &'static str = "a name, as in newest or 20260301-040506F";

    fn from_text(text: &str) -> Result<Self, Words> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, found_text(text)),
                "",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A share of what was there, in whole percent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Percent(pub(super) u64);

impl FromText for Percent {
    const WANTED: &'static str = "a share in whole percent, as in 20%";
    const HINT: &'static str = "0% allows no change at all in a table of 100 rows or more";

    fn from_text(text: &str) -> Result<Self, Words> {
        let wrong =
            || Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), Self::HINT);
        let digits = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        whole_number(digits, Self::WANTED).map(Self).map_err(|_| wrong())
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9][0-9_]* *%$", "examples": ["20%"] })
    }
}

read_from_text!(FilePath, Label, Percent);

/// The backup that is there already, where `arguments` are of one. What makes no sense is noted.
pub(super) fn meaning(arguments: &mut BackupArguments, notes: &mut Vec<Note>) -> Option<Given> {
    let At { span: place, what: given } = match arguments.from.0.take() {
        Some(At { span, what: FromArguments::Given(given) }) => At { span, what: given },
        server => {
            arguments.from = Slot(server);
            return None;
        }
    };
    let taken = [
        ("tool", arguments.tool.span()),
        ("format", arguments.format.span()),
        ("compress", arguments.compress.span()),
        ("wal", arguments.wal.span()),
        ("manifest", arguments.manifest.span()),
        ("checkpoint", arguments.checkpoint.span()),
        ("verify-checksums", arguments.verify_checksums.span()),
        ("max-rate", arguments.max_rate.span()),
        ("incremental", arguments.incremental.span()),
        ("type", arguments.kind.span()),
        ("bundle", arguments.bundle.span()),
        ("snapshot", arguments.snapshot.span()),
    ];
    for (name, at) in taken {
        notes.extend(at.map(|at| {
            Note::new(at, format!("`{name}` says how a backup is taken, and this one is there already"))
                .hint("leave it out: the backup is what it is")
        }));
    }
    if given.path.0.is_none() {
        notes.push(Note::new(place, "`from` does not say where the backup lies").hint("write `path: ...`"));
    }
    if let (Some(place), None) = (given.max_age.span(), given.witness.span()) {
        notes.push(
            Note::new(place, "`max-age` is of the newest beat that comes back, and there is no `witness`")
                .hint("name the file of `pgdrill live witness beat`, as in `witness: FILE`"),
        );
    }
    if let (Some(place), Some(_)) = (given.restore_command.span(), given.wal.span()) {
        notes.push(
            Note::new(place, "`restore-command` beside `wal`: both say where the WAL comes from")
                .hint("leave one of them out"),
        );
    }
    if let Some(At { span, what: command }) = &given.restore_command.0
        && !(command.0.contains("%f") && command.0.contains("%p"))
    {
        notes.push(
            Note::new(
                *span,
                "`restore-command` has no %f for the name of the file, or no %p for where it goes",
            )
            .hint("write it as in postgresql.conf: cp /archive/%f \"%p\""),
        );
    }
    Some(Given {
        path: given.path.what().map(|path| path.0).unwrap_or_default(),
        wal: given.wal.what().into_iter().flatten().filter_map(|path| Some(path.what()?.0)).collect(),
        server: given.server.what().map(|label| label.0),
        backup: given.backup.what().map(|label| label.0),
        upon: given.upon.what().into_iter().flatten().filter_map(|path| Some(path.what()?.0)).collect(),
        baseline: given.baseline.what().map(|path| path.0),
        witness: given.witness.what().map(|path| path.0),
        max_age: given.max_age.what().map(|age| age.0),
        empty: given.empty.what().into_iter().flatten().filter_map(|name| Some(name.what()?.0)).collect(),
        max_drift: given.max_drift.what().map(|percent| percent.0),
        called: None,
        globals: given.globals.what().map(|path| path.0),
        restore_command: given.restore_command.what().map(|command| command.0),
    })
}

/// Tells of what a file says of a server that it does not make, because its backup is there already.
pub(super) fn beside(file: &File, lines: &Lines, notes: &mut Vec<Note>) {
    let given =
        first(file, |arguments| matches!(arguments.from.0, Some(At { what: FromArguments::Given(_), .. })));
    let Some(given) = given else { return };
    let of_the_primary = [
        ("data", file.data.span()),
        ("cluster", file.cluster.span()),
        ("tablespaces", file.tablespaces.span()),
        ("archive", file.archive.span()),
        ("application", file.application.span()),
        ("settings", file.settings.span()),
        ("mutants", file.mutants.span()),
    ];
    for (name, at) in of_the_primary {
        notes.extend(at.map(|at| {
            let line = lines.line(given.start);
            Note::new(at, format!("`{name}` is of a primary, and the drill makes none: its backup is there already, on line {line}"))
                .hint("leave it out")
        }));
    }
}

/// The backup of a scenario that is there already, where it has one.
pub(super) fn of(steps: &[Placed<Step>]) -> Option<&Given> {
    steps.iter().find_map(|step| if let Step::Given(given) = &step.what { Some(given) } else { None })
}
