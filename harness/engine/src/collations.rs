//! By which versions a server orders text: what its databases recorded, and what its libraries have.

use std::collections::BTreeMap;

use pgdrill_model::evidence::{CollationVersion, DatabaseCollations, ServerEvidence};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Major;
use tokio_postgres::{Client, Error};

use crate::connections::Connections;
use crate::content::databases;
use crate::dialect::for_major;
use crate::session::{Door, SUPERUSER, Socket};

const COLLATIONS: &str = include_str!("sql/collations.sql");

/// What was read: all that a server has, of which the evidence keeps what is in use.
#[derive(Clone, Debug, Default)]
pub struct Collations {
    /// `SHOW server_version`.
    pub version: String,
    /// By database: its default, and every named collation by `schema.collation`.
    pub databases: BTreeMap<String, DatabaseCollations>,
}

impl Collations {
    /// How many collations there are.
    pub fn count(&self) -> u64 {
        self.databases.values().map(|database| 1 + database.used.len() as u64).sum()
    }

    /// The part that belongs in the record.
    pub fn evidence(&self, server: Name) -> ServerEvidence {
        ServerEvidence {
            server: server.name().to_owned(),
            version: self.version.clone(),
            databases: self.databases.iter().map(|(name, held)| (name.clone(), in_use(held))).collect(),
        }
    }
}

/// What of a database is in use, and its default.
pub fn in_use(database: &DatabaseCollations) -> DatabaseCollations {
    let used = database.used.iter().filter(|(_, collation)| collation.uses > 0);
    DatabaseCollations {
        default: database.default.clone(),
        used: used.map(|(name, collation)| (name.clone(), collation.clone())).collect(),
    }
}

/// Asks the server behind `socket`.
///
/// # Errors
///
/// A server that cannot be asked, or whose library does not answer.
pub async fn read(socket: &Socket, major: Major, connections: &Connections) -> Result<Collations, Error> {
    let session = connections.open(&Door::reading(socket, SUPERUSER)).await?;
    let version = session.query_one("SHOW server_version", &[]).await?.get(0);
    let names = databases(&session).await?;
    drop(session);
    let mut found = Collations { version, databases: BTreeMap::new() };
    for database in names {
        let session = connections.open(&Door::reading(socket, &database)).await?;
        let held = of_database(&session, major).await?;
        found.databases.insert(database, held);
    }
    Ok(found)
}

/// Asks about the database of a connection.
///
/// # Errors
///
/// What the server answered.
pub async fn of_database(client: &Client, major: Major) -> Result<DatabaseCollations, Error> {
    let mut held = DatabaseCollations::default();
    for row in client.query(&for_major(COLLATIONS, major), &[]).await? {
        let uses: i64 = row.get("uses");
        let collation = CollationVersion {
            provider: provider(row.get("provider")).to_owned(),
            locale: row.get::<_, Option<String>>("locale").unwrap_or_default(),
            recorded: row.get("recorded"),
            actual: row.get("actual"),
            uses: uses.unsigned_abs(),
        };
        match row.get::<_, Option<String>>("name") {
            None => held.default = collation,
            Some(name) => {
                held.used.insert(name, collation);
            }
        }
    }
    Ok(held)
}

/// The library behind a letter of the catalog (`src/include/catalog/pg_collation.h`).
fn provider(letter: &str) -> &'static str {
    match letter {
        "b" => "builtin",
        "c" => "libc",
        "i" => "icu",
        _ => "unknown",
    }
}
