//! The file of a baseline: one JSON object with a hash of itself. It holds counts, hashes and definitions, and no row.

use std::collections::BTreeMap;
use std::fmt;

use pgdrill_model::evidence::{DatabaseCollations, ServerEvidence, TableContent};
use pgdrill_model::scenario::Target;
use pgdrill_model::snapshot::{Position, Span};
use pgdrill_model::units::{Lsn, Major};
use pgdrill_model::witness::{Beat, System};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Unread;
use crate::baseline;
use crate::content::{self, Content};
use crate::definitions::{Definition, Definitions, Kept};
use crate::sequences::{Sequence, Sequences};

/// What the file is written as.
const SCHEMA: &str = "pgdrill.baseline/1";

/// What a running server held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// When it began, by the server's clock, microseconds since 1970 UTC.
    pub captured_unix_us: i64,
    /// The cluster.
    pub system: System,
    /// `server_version`.
    pub version: String,
    /// The major version.
    pub major: Major,
    /// Whether it was a standby, whose replay was paused.
    pub standby: bool,
    /// By database.
    pub databases: BTreeMap<String, Database>,
    /// Definitions of the cluster.
    pub cluster: Vec<Defined>,
    /// What could not be read, and why.
    pub unread: Unread,
    /// What was allowed to be missing: tables that were not read, and what of the above is no lack.
    pub skipped: Vec<String>,
    /// The newest acknowledged beat of the witness file.
    pub witness: Option<Beat>,
}

/// What a database held, as one snapshot saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Where in the WAL it belongs.
    pub position: Position,
    /// By `schema.table`.
    pub tables: BTreeMap<String, TableContent>,
    /// Its definitions.
    pub definitions: Vec<Defined>,
    /// Where the WAL stood once the sequences had been read: a server that was recovered to here or further is behind none.
    pub sequences_at: Lsn,
    /// By `schema.sequence`.
    pub sequences: BTreeMap<String, Numbers>,
    /// By what it orders text.
    pub collations: Option<DatabaseCollations>,
}

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defined {
    /// What kind of thing.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The table that it belongs to; empty where there is none.
    pub table: String,
    /// What it says.
    pub text: String,
}

/// Where a sequence was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// Its `last_value`.
    pub last: i64,
    /// Whether that was given already.
    pub called: bool,
    /// By how much it goes on.
    pub increment: i64,
    /// Whether it begins anew at its end.
    pub cycle: bool,
}

/// What came of a capture, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Databases.
    pub databases: u64,
    /// Tables.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Definitions.
    pub definitions: u64,
    /// Sequences.
    pub sequences: u64,
}

/// Why a file is no baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotABaseline {
    /// It is not JSON, or not of this kind.
    Other(String),
    /// It is of a form that this pgdrill does not read.
    Version(String),
    /// It is not what was written.
    Changed,
}

impl fmt::Display for NotABaseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(why) => write!(f, "it is no baseline: {why}"),
            Self::Version(schema) => write!(f, "it is written as {schema}, and this pgdrill reads {SCHEMA}"),
            Self::Changed => f.write_str(
                "it is not what pgdrill wrote: its hash is of something else; capture another with `pgdrill live baseline`",
            ),
        }
    }
}

impl std::error::Error for NotABaseline {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    schema: String,
    sha256: String,
    baseline: Value,
}

/// The file of a baseline.
///
/// # Errors
///
/// A bug: it is always JSON.
pub fn seal(baseline: &Baseline) -> Result<Vec<u8>, serde_json::Error> {
    let baseline = serde_json::to_value(baseline)?;
    let sealed = Sealed { schema: SCHEMA.to_owned(), sha256: hash(&baseline), baseline };
    let mut text = serde_json::to_vec_pretty(&sealed)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads the file of a baseline back.
///
/// # Errors
///
/// What is none, or was changed since it was written.
pub fn open(bytes: &[u8]) -> Result<Baseline, NotABaseline> {
    let other = |error: serde_json::Error| NotABaseline::Other(error.to_string());
    let value: Value = serde_json::from_slice(bytes).map_err(other)?;
    match value.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => {}
        Some(schema) if schema.starts_with("pgdrill.baseline/") => {
            return Err(NotABaseline::Version(schema.to_owned()));
        }
        _ => return Err(NotABaseline::Other("it does not say that it is one".to_owned())),
    }
    let sealed: Sealed = serde_json::from_value(value).map_err(other)?;
    if hash(&sealed.baseline) != sealed.sha256 {
        return Err(NotABaseline::Changed);
    }
    serde_json::from_value(sealed.baseline).map_err(other)
}

/// The hash of what is in it, written without blanks.
fn hash(baseline: &Value) -> String {
    hex::encode(Sha256::digest(baseline.to_string()))
}

/// Definitions as the file has them.
pub(super) fn defined(kept: Kept) -> Vec<Defined> {
    let all = kept.into_iter();
    all.map(|((kind, name), Definition { table, text })| Defined { kind, name, table, text }).collect()
}

fn kept(defined: &[Defined]) -> Kept {
    let all = defined.iter().map(|one| {
        let definition = Definition { table: one.table.clone(), text: one.text.clone() };
        ((one.kind.clone(), one.name.clone()), definition)
    });
    all.collect()
}

impl Baseline {
    /// What was captured, in numbers.
    pub fn captured(&self) -> Captured {
        let mut captured = Captured {
            databases: self.databases.len() as u64,
            definitions: self.cluster.len() as u64,
            ..Captured::default()
        };
        for database in self.databases.values() {
            captured.tables += database.tables.len() as u64;
            captured.rows += database.tables.values().map(|table| table.rows).sum::<u64>();
            captured.definitions += database.definitions.len() as u64;
            captured.sequences += database.sequences.len() as u64;
        }
        captured
    }

    /// What could not be read, and was not allowed to be missing.
    pub fn missing(&self) -> impl Iterator<Item = (&String, &String)> {
        self.unread.iter().filter(|(name, _)| !self.skipped.contains(name))
    }

    /// The part of what a server holds that it says anything of.
    pub fn known_of(&self, content: &Content) -> Content {
        let told = |name: &String| !self.unread.contains_key(name) && !self.skipped.contains(name);
        let databases = content.databases.iter().filter(|(name, _)| self.databases.contains_key(*name));
        let databases = databases.map(|(name, held)| {
            let tables = held.tables.iter().filter(|(table, _)| told(&format!("{name}.{table}")));
            let tables = tables.map(|(table, content)| (table.clone(), content.clone())).collect();
            (
                name.clone(),
                content::Database {
                    tables,
                    system: held.system.clone(),
                    partitions: held.partitions.clone(),
                },
            )
        });
        Content { databases: databases.collect() }
    }

    /// The target by which a recovery comes to where the content of a database belongs, and no earlier than its sequences were read
    /// where that can be.
    pub fn target(&self, name: &str, span: &Span) -> Option<Target> {
        self.databases.get(name).map(|database| span.target(database.sequences_at))
    }

    /// One database as the checks of a drill compare with it, at the position that was found for it. Sequences go on outside of
    /// transactions: where they were read behind that position, nothing is required of them.
    pub fn of_database(&self, name: &str, span: &Span) -> Option<baseline::Baseline> {
        let database = self.databases.get(name)?;
        let tables =
            database.tables.iter().map(|(table, content)| (table.clone(), Ok(content.clone()))).collect();
        let content = content::Database { tables, ..content::Database::default() };
        let sequences = database.sequences.iter().map(|(sequence, numbers)| {
            let Numbers { last, called, increment, cycle } = *numbers;
            (format!("{name}.{sequence}"), Sequence { last, called, increment, cycle, feeds: Vec::new() })
        });
        let collations = database.collations.as_ref().map(|collations| ServerEvidence {
            server: "production".to_owned(),
            version: self.version.clone(),
            databases: BTreeMap::from([(name.to_owned(), collations.clone())]),
        });
        Some(baseline::Baseline {
            timeline: span.timeline,
            lsn: span.from,
            snapshot: String::new(),
            settled: span.from,
            content: Content { databases: BTreeMap::from([(name.to_owned(), content)]) },
            definitions: Some(Definitions {
                cluster: kept(&self.cluster),
                databases: BTreeMap::from([(name.to_owned(), kept(&database.definitions))]),
            }),
            sequences: span
                .to
                .is_none_or(|to| to >= database.sequences_at)
                .then(|| Sequences(sequences.collect())),
            collations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Baseline {
        let position = Position::InTheWal {
            timeline: 1,
            before: Lsn(100),
            after: Lsn(200),
            snapshot: "10:12:11".parse().unwrap(),
            holding: vec![11, 4_294_967_400],
        };
        let defined = |name: &str| Defined {
            kind: "table".to_owned(),
            name: name.to_owned(),
            table: String::new(),
            text: "owner \"a\u{1b}\"".to_owned(),
        };
        let database = Database {
            position,
            tables: BTreeMap::from([(
                "public.Order".to_owned(),
                TableContent { rows: 3, fingerprint: "-1:2".to_owned() },
            )]),
            definitions: vec![defined("public.Order")],
            sequences_at: Lsn(90),
            sequences: BTreeMap::from([(
                "public.numbers".to_owned(),
                Numbers { last: 7, called: true, increment: 1, cycle: false },
            )]),
            collations: Some(DatabaseCollations::default()),
        };
        Baseline {
            captured_unix_us: 1,
            system: System(u64::MAX),
            version: "15.18".to_owned(),
            major: Major(15),
            standby: false,
            databases: BTreeMap::from([("trading".to_owned(), database)]),
            cluster: vec![defined("role")],
            unread: BTreeMap::from([("trading.public.secret".to_owned(), "permission denied".to_owned())]),
            skipped: vec![],
            witness: None,
        }
    }

    #[test]
    fn what_was_sealed_is_what_is_opened() {
        let baseline = small();
        let bytes = seal(&baseline).unwrap();
        assert_eq!(open(&bytes), Ok(baseline));
    }

    /// No byte of what it says can be changed: what is still JSON is told.
    #[test]
    fn what_was_changed_is_not_opened() {
        let bytes = seal(&small()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(baseline) = open(&changed) {
                // Blanks between its parts mean nothing.
                assert!(bytes[at].is_ascii_whitespace(), "byte {at}");
                assert_eq!(baseline, small());
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(open(text.replace("\"rows\": 3", "\"rows\": 4").as_bytes()), Err(NotABaseline::Changed));
        let later = text.replace("baseline/1", "baseline/2");
        assert_eq!(open(later.as_bytes()), Err(NotABaseline::Version("pgdrill.baseline/2".to_owned())));
        assert!(matches!(open(b"{}"), Err(NotABaseline::Other(_))));
        assert!(matches!(open(b"PK"), Err(NotABaseline::Other(_))));
    }

    #[test]
    fn a_database_is_what_the_checks_compare_with() {
        let span = Span { timeline: 1, from: Lsn(150), to: None, unresolved: vec![] };
        let baseline = small().of_database("trading", &span).unwrap();
        let tables: Vec<String> = baseline.content.tables().map(|(name, _)| name).collect();
        assert_eq!(tables, ["trading.public.Order"]);
        let sequences = baseline.sequences.unwrap();
        assert_eq!(sequences.0["trading.public.numbers"].next(), 8);
        assert_eq!(baseline.definitions.unwrap().count(), 2);
        assert_eq!((baseline.timeline, baseline.lsn, baseline.settled), (1, Lsn(150), Lsn(150)));
        assert!(small().of_database("other", &span).is_none());
        // The first commit that is not in it lies before where the sequences were read.
        let early = Span { from: Lsn(50), to: Some(Lsn(80)), ..span };
        assert_eq!(small().of_database("trading", &early).unwrap().sequences, None);
        assert_eq!(small().target("trading", &early).unwrap().to_string(), "position 0/50, exclusive");
    }
}
