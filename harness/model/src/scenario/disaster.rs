//! What a scenario can lose, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mistake::{instead, quote};
use super::slot::{Slot, TextOr, read_text_or};
use super::value::Statement;
use super::wrong::Words;

/// What is lost, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Disaster {
    /// SIGKILL of the postmaster; its files stay, and nobody uses them.
    Kill,
    /// SIGKILL of the postmaster, and its data directory with all WAL in it is gone.
    LosePrimary,
    /// The same, but `pg_wal` could be saved: what was not archived yet is in it.
    LoseDataKeepWal,
    /// Somebody runs this on the live server; it is stopped in order once that is noticed.
    BadSql(String),
    /// From now on nothing reaches the archive, and nobody notices. The server goes on.
    ArchiveStops,
}

/// The disasters that are one word, with what each means.
pub(super) const WORDS: [(&str, &str); 4] = [
    ("kill", "SIGKILL of the postmaster; its files stay."),
    ("lose-primary", "SIGKILL of the postmaster, and its data directory with all WAL in it is gone."),
    ("lose-data-keep-wal", "The same, but pg_wal could be saved."),
    ("archive-stops", "From now on nothing reaches the archive; the server goes on."),
];

impl Disaster {
    /// Its name in the scenario language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::LosePrimary => "lose-primary",
            Self::LoseDataKeepWal => "lose-data-keep-wal",
            Self::BadSql(_) => "bad-sql",
            Self::ArchiveStops => "archive-stops",
        }
    }

    /// Whether it ends the server.
    pub fn loses_the_server(&self) -> bool {
        !matches!(self, Self::ArchiveStops)
    }
}

/// A disaster that needs to be told more.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["bad-sql"]))]
pub(super) struct DisasterMapping {
    /// What somebody runs on the live server, as in DELETE FROM "Order"; it is stopped in order after that.
    pub(super) bad_sql: Slot<Statement>,
}

/// A disaster as it is written.
#[derive(Debug)]
pub(super) enum DisasterArguments {
    Word(Disaster),
    Mapping(DisasterMapping),
}

read_text_or!(DisasterArguments);

impl TextOr<'_> for DisasterArguments {
    type Arguments = DisasterMapping;
    const WANTED: &'static str = "kill, lose-primary, lose-data-keep-wal, archive-stops, or { bad-sql: ... }";
    const HINT: &'static str = "write `disaster: lose-primary`";

    fn text(text: &str) -> Result<Self, Words> {
        let word = match text {
            "kill" => Disaster::Kill,
            "lose-primary" => Disaster::LosePrimary,
            "lose-data-keep-wal" => Disaster::LoseDataKeepWal,
            "archive-stops" => Disaster::ArchiveStops,
            "bad-sql" => {
                return Err(Words::sentence(
                    "`bad-sql` does not say what somebody runs",
                    "write `disaster: { bad-sql: DELETE FROM \"Order\" }`",
                ));
            }
            _ => {
                let names = WORDS.iter().map(|(name, _)| *name).chain(["bad-sql"]);
                return Err(Words::sentence(
                    format!("unknown disaster {}", quote(text)),
                    instead(text, "the disasters are", names),
                ));
            }
        };
        Ok(Self::Word(word))
    }

    fn arguments(arguments: DisasterMapping) -> Self {
        Self::Mapping(arguments)
    }
}
