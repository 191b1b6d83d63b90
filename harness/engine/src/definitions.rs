//! Every definition of a server: of each database, and of the cluster, which is asked once.

use std::collections::BTreeMap;

use pgdrill_model::units::Major;
use tokio_postgres::{Client, Error, Row};

use crate::connections::Connections;
use crate::content::databases;
use crate::dialect::for_major;
use crate::session::{Door, SUPERUSER, Socket};

const CATALOG: &str = include_str!("sql/catalog.sql");
const CLUSTER: &str = include_str!("sql/cluster.sql");

/// Definitions by kind and name.
pub type Kept = BTreeMap<(String, String), Definition>;

/// Every definition of a server.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// Of the cluster: roles, databases, tablespaces, settings.
    pub cluster: Kept,
    /// By database.
    pub databases: BTreeMap<String, Kept>,
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The table that it belongs to; empty where there is none.
    pub table: String,
    /// What it says.
    pub text: String,
}

impl Definitions {
    /// How many there are.
    pub fn count(&self) -> u64 {
        (self.cluster.len() + self.databases.values().map(BTreeMap::len).sum::<usize>()) as u64
    }
}

/// Reads every definition of the server behind `socket`.
///
/// # Errors
///
/// A server that cannot be asked, or that cannot read its own catalog.
pub async fn read(socket: &Socket, major: Major, connections: &Connections) -> Result<Definitions, Error> {
    let session = connections.open(&Door::reading(socket, SUPERUSER)).await?;
    let names = databases(&session).await?;
    let cluster = cluster(&session, major).await?;
    drop(session);
    let mut databases = BTreeMap::new();
    for name in names {
        let session = connections.open(&Door::reading(socket, &name)).await?;
        databases.insert(name, of_database(&session, major).await?);
    }
    Ok(Definitions { cluster, databases })
}

/// The definitions of the cluster.
///
/// # Errors
///
/// What the server answered.
pub async fn cluster(client: &Client, major: Major) -> Result<Kept, Error> {
    Ok(kept(&client.query(&for_major(CLUSTER, major), &[]).await?))
}

/// The definitions of the database of a connection.
///
/// # Errors
///
/// What the server answered.
pub async fn of_database(client: &Client, major: Major) -> Result<Kept, Error> {
    Ok(kept(&client.query(&for_major(CATALOG, major), &[]).await?))
}

fn kept(rows: &[Row]) -> Kept {
    let mut all: BTreeMap<(String, String), (String, Vec<String>)> = BTreeMap::new();
    for row in rows {
        let text: Option<String> = row.get("definition");
        let table: Option<String> = row.get("on_table");
        let named = all.entry((row.get("kind"), row.get("name"))).or_default();
        named.0 = table.unwrap_or_default();
        named.1.push(text.unwrap_or_default());
    }
    // Two things of one name must not hide each other.
    let one = |(table, mut texts): (String, Vec<String>)| {
        texts.sort_unstable();
        Definition { table, text: texts.join("\n") }
    };
    all.into_iter().map(|(key, named)| (key, one(named))).collect()
}
