//! A step of the restore runbook, as it was written or corrected: what is read of it, and where it may stand.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::backup::Switch;
use super::file::Step as Written;
use super::mistake::{Note, Span, nearest, quote};
use super::slot::{At, Slot, TextOr, read_text_or};
use super::value::{FromText, read_from_text};
use super::wrong::Words;
use super::{ArchiveBy, Backup, BackupFormat, Disaster, Method, Scenario, Step};
use crate::as_written::{AsWritten, Need, ROWS, Stands};

/// A step of the runbook to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunbookStep {
    /// Which.
    pub row: AsWritten,
    /// Whether its corrected commands are run.
    pub corrected: bool,
}

/// The name of a step of the runbook.
#[derive(Clone, Debug)]
pub(super) struct RowName(pub(super) AsWritten);

impl FromText for RowName {
    const WANTED: &'static str = "the name of a step of the runbook, as in backup-of-today";

    fn from_text(text: &str) -> Result<Self, Words> {
        text.parse().map(Self).map_err(|_| {
            let hint = match nearest(text, ROWS.iter().map(|entry| entry.name)) {
                Some(name) => format!("did you mean '{name}'?"),
                None => "`pgdrill explain` lists the steps of the runbook".to_owned(),
            };
            Words::sentence(format!("unknown step of the runbook {}", quote(text)), hint)
        })
    }
}

read_from_text!(RowName);

/// A step of the runbook to be carried out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["is"]))]
pub(super) struct AsWrittenMapping {
    /// Which step, as in backup-of-today.
    pub(super) is: Slot<RowName>,
    /// Whether the corrected commands are run instead of those that were written. Default: off.
    pub(super) corrected: Slot<Switch>,
}

/// The name of a step alone, or with whether it is corrected.
#[derive(Debug)]
pub(super) enum AsWrittenArguments {
    Name(RowName),
    Mapping(AsWrittenMapping),
}

read_text_or!(AsWrittenArguments);

impl TextOr<'_> for AsWrittenArguments {
    type Arguments = AsWrittenMapping;
    const WANTED: &'static str =
        "the name of a step of the runbook, or a mapping with the keys is, corrected";
    const HINT: &'static str =
        "write `as-written: backup-of-today`, or `as-written: { is: backup-of-today, corrected: on }`";

    fn text(text: &str) -> Result<Self, Words> {
        RowName::from_text(text).map(Self::Name)
    }

    fn arguments(arguments: AsWrittenMapping) -> Self {
        Self::Mapping(arguments)
    }
}

impl JsonSchema for RowName {
    fn schema_name() -> Cow<'static, str> {
        "RowName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "enum": ROWS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
            "enumDescriptions": ROWS.iter().map(|entry| entry.does).collect::<Vec<_>>(),
        })
    }
}

impl JsonSchema for AsWrittenArguments {
    fn schema_name() -> Cow<'static, str> {
        "AsWrittenArguments".into()
    }

    /// The mapping's schema, for which a name also does.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = ROWS.iter().map(|entry| entry.name).collect();
        let mut schema = AsWrittenMapping::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert("pattern".to_owned(), json!(format!("^({})$", names.join("|"))));
        schema
    }
}

/// What is meant.
pub(super) fn meaning(arguments: AsWrittenArguments, span: Span, notes: &mut Vec<Note>) -> Step {
    let (row, corrected) = match arguments {
        AsWrittenArguments::Name(name) => (Some(name), false),
        AsWrittenArguments::Mapping(mapping) => {
            (mapping.is.what(), mapping.corrected.what().is_some_and(|switch| switch.0))
        }
    };
    if row.is_none() {
        notes.push(
            Note::new(span, "`as-written` does not say which step of the runbook")
                .hint("write `as-written: { is: backup-of-today, corrected: on }`"),
        );
    }
    let row = row.map_or(AsWritten::BackupOfTheStopped, |name| name.0);
    Step::AsWritten(RunbookStep { row, corrected })
}

/// Where such steps stand, in order.
pub(super) fn places(written: &[Slot<Written>]) -> Vec<Span> {
    let place = |step: &Slot<Written>| match &step.0 {
        Some(At { span, what: Written::AsWritten(_) }) => Some(*span),
        _ => None,
    };
    written.iter().filter_map(place).collect()
}

/// Tells of each that cannot be carried out where it stands.
pub(super) fn check(scenario: &Scenario, places: &[Span], notes: &mut Vec<Note>) {
    let steps = scenario.steps.iter().enumerate().filter_map(|(at, step)| match step.what {
        Step::AsWritten(step) => Some((at, step.row)),
        _ => None,
    });
    for ((at, row), place) in steps.zip(places) {
        let around = Around { scenario, at };
        if let Some((message, hint)) = around.misplaced(row).or_else(|| around.missing(row)) {
            notes.push(Note::new(*place, format!("`{row}` {message}")).hint(hint));
        }
    }
}

/// A step of a scenario, and what stands above and below it.
struct Around<'s> {
    scenario: &'s Scenario,
    at: usize,
}

type Why = (&'static str, &'static str);

impl Around<'_> {
    fn above(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.scenario.steps[..self.at].iter().map(|step| &step.what)
    }

    fn all(&self) -> impl Iterator<Item = &Step> {
        self.scenario.steps.iter().map(|step| &step.what)
    }

    /// Why it cannot stand here.
    fn misplaced(&self, row: AsWritten) -> Option<Why> {
        let loses = |step: &Step| matches!(step, Step::Disaster(disaster) if disaster.loses_the_server());
        let ends = |step: &Step| loses(step) || matches!(step, Step::Recover(_) | Step::AsWritten(_));
        let last = self.above().rev().find(|step| ends(step));
        match (row.entry().stands, last) {
            (Stands::Lost, Some(Step::AsWritten(_))) => Some((
                "stands below another step of the runbook, which took what the server left",
                "write another scenario of it",
            )),
            (Stands::Lost, Some(Step::Disaster(Disaster::Kill))) => None,
            (Stands::Lost, Some(Step::Disaster(_))) => Some((
                "works on the files of a server that was killed, and this disaster leaves others, or none",
                "write `disaster: kill` above it",
            )),
            (Stands::Lost, _) => Some((
                "works on the files of a server that was lost, and none is lost here",
                "write it below `disaster: kill` and above `recover`",
            )),
            (Stands::Live, None | Some(Step::AsWritten(_))) => None,
            (Stands::Live, _) => Some((
                "takes a backup of the server that is there, and none is",
                "write it above the disaster",
            )),
        }
    }

    /// What the scenario lacks for it, or has and must not have.
    fn missing(&self, row: AsWritten) -> Option<Why> {
        let has = |wanted: fn(&Step) -> bool| self.all().any(wanted);
        let facts = [
            (
                !self.scenario.tablespaces.is_empty(),
                ("knows nothing of tablespaces", "leave `tablespaces` out"),
            ),
            (
                self.scenario.archive.command.is_some(),
                (
                    "takes WAL out of the archive with cp, and this archive is what the scenario's own archive_command makes of it",
                    "leave `archive: { command: ... }` out",
                ),
            ),
            (
                self.scenario.archive.by == ArchiveBy::PgBackRest,
                (
                    "takes WAL out of the archive with cp, and this archive is pgBackRest's",
                    "leave `archive: { by: pgbackrest }` out",
                ),
            ),
            (
                has(|step| matches!(step, Step::Work(_))),
                (
                    "is judged by what was captured, and of writers nobody knows how much of it must come back",
                    "write `sql` instead of `work`",
                ),
            ),
            (
                has(|step| matches!(step, Step::SafetyCopy(_) | Step::Rollback(_))),
                (
                    "takes what the server left, so that nothing is there for a safety copy or a rollback of pgdrill's",
                    "write another scenario of it",
                ),
            ),
        ];
        let there = facts.into_iter().find_map(|(there, why)| there.then_some(why));
        there.or_else(|| row.entry().needs.iter().find_map(|need| self.lacks(*need)))
    }

    fn lacks(&self, need: Need) -> Option<Why> {
        let newest = self.above().enumerate().filter_map(|(at, step)| match step {
            Step::Backup(backup) => Some((at, backup)),
            _ => None,
        });
        let newest = newest.last();
        match need {
            Need::TodaysFile | Need::YesterdaysFile
                if !newest.is_some_and(|(_, backup)| is_tar_gz(backup)) =>
            {
                Some((
                    "restores a .tar.gz, and the newest backup is none",
                    "write `backup: { format: tar, compress: gzip }`",
                ))
            }
            Need::Mark => {
                let from = newest.map_or(0, |(at, _)| at);
                let marked = self.above().skip(from).any(|step| matches!(step, Step::Mark(_)));
                (!marked).then_some((
                    "recovers to the time of a mark, and none stands between the newest backup and it",
                    "write `- mark: before-accident` below the backup",
                ))
            }
            Need::TodaysFile | Need::YesterdaysFile | Need::SmallDisk => None,
        }
    }
}

fn is_tar_gz(backup: &Backup) -> bool {
    backup.format == BackupFormat::Tar && backup.compress.method == Method::Gzip && !backup.incremental
}
