//! What a server holds: the rows and fingerprint of every table, and every definition, of every database, under one
//! snapshot per database. The primary is measured before the disaster and the recovered server after, by the same
//! code, so that the two can be compared.
//!
//! A table's fingerprint is two sums, over all rows, of the 64-bit hash of the row's text
//! (`hashtextextended(row::text COLLATE "C", seed)`) with two seeds, under fixed text settings: independent of the
//! order of rows, the same for PostgreSQL 13 to 18 and every type. It sees every value, also 1.0 against 1.00. It
//! does not see unlogged tables (empty after a restore, as they should be), nor what is no row: indexes, free space,
//! statistics, the physical order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use pgdrill_model::event::Unit;
use pgdrill_model::evidence::TableContent;
use tokio_postgres::{Error, Row};

use crate::record::Recorder;
use crate::session::{Door, SUPERUSER, Session, describe};

const DATABASES: &str = include_str!("sql/databases.sql");
const TABLES: &str = include_str!("sql/tables.sql");
const CATALOG: &str = include_str!("sql/catalog.sql");

/// Seeds of the two hashes; part of the method, never changed.
const SEEDS: [i64; 2] = [0x7067_6472_696C_6C31, 0x7067_6472_696C_6C32];

/// Names a row in SQL so that no column has the name.
const ROW: &str = "pgdrill_row_4c1d";

/// Connections that read one server at the same time.
const READERS: usize = 2;

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    /// Read the tables of the system catalog too. Their content is not compared, only read.
    pub system: bool,
    /// Read definitions.
    pub definitions: bool,
    /// Leave out rows that this transaction wrote: the drill's own first write.
    pub without_xid: Option<String>,
}

/// What a server holds.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// By database.
    pub databases: BTreeMap<String, Database>,
}

/// What a database holds.
#[derive(Clone, Debug, Default)]
pub struct Database {
    /// By `schema.table`: its content, or why it could not be read.
    pub tables: BTreeMap<String, Result<TableContent, String>>,
    /// System tables: `None` when they could be read in full, else why not.
    pub system: BTreeMap<String, Option<String>>,
    /// By kind and name.
    pub definitions: BTreeMap<(String, String), Definition>,
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The table that it belongs to; empty where there is none.
    pub table: String,
    /// What it says.
    pub text: String,
}

struct Table {
    name: String,
    quoted: String,
    system: bool,
}

/// Measures the server behind `socket`.
///
/// # Errors
///
/// A server that cannot be asked. A table that cannot be read is part of the content, not an error.
pub async fn measure(socket: &Path, what: &Measure, recorder: &Recorder<'_>) -> Result<Content, Error> {
    let session = Door::reading(socket, SUPERUSER).open().await?;
    let names: Vec<String> = session.query(DATABASES, &[]).await?.iter().map(|row| row.get(0)).collect();
    drop(session);
    let mut content = Content::default();
    for name in names {
        let database = measure_database(socket, &name, what, recorder).await?;
        content.databases.insert(name, database);
    }
    Ok(content)
}

async fn measure_database(
    socket: &Path,
    name: &str,
    what: &Measure,
    recorder: &Recorder<'_>,
) -> Result<Database, Error> {
    let door = Door::reading(socket, name);
    let leader = door.open().await?;
    leader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let snapshot: String = leader.query_one("SELECT pg_export_snapshot()", &[]).await?.get(0);
    let tables: Vec<Table> = leader
        .query(TABLES, &[])
        .await?
        .iter()
        .map(|row| Table { name: row.get("name"), quoted: row.get("quoted"), system: row.get("system") })
        .filter(|table| what.system || !table.system)
        .collect();
    let total = tables.len() as u64;
    let queue = Mutex::new(tables.into_iter());
    let database = Mutex::new(Database::default());
    let done = Mutex::new(0_u64);
    let read_tables = async || -> Result<(), Error> {
        let mut reader: Option<Session> = None;
        loop {
            let next = queue.lock().ok().and_then(|mut tables| tables.next());
            let Some(table) = next else { return Ok(()) };
            let session = match reader.take() {
                Some(session) => session,
                None => open_reader(&door, &snapshot).await?,
            };
            match read_table(&session, &table, what).await {
                Ok(content) => {
                    note(&database, &table, Ok(content));
                    reader = Some(session);
                }
                // The failed statement ended the transaction; the next table gets a new one.
                Err(error) if error.as_db_error().is_some() => note(&database, &table, Err(describe(&error))),
                Err(error) => return Err(error),
            }
            if let Ok(mut done) = done.lock() {
                *done += 1;
                recorder.progress(&format!("read {name}"), *done, Some(total), Unit::Tables);
            }
        }
    };
    // One future per reader; the leader's session reads the catalog meanwhile.
    let readers: Vec<_> = (0..READERS).map(|_| read_tables()).collect();
    let catalog = async { if what.definitions { leader.query(CATALOG, &[]).await } else { Ok(Vec::new()) } };
    let (read, catalog) = tokio::join!(futures_util::future::try_join_all(readers), catalog);
    // The catalog's error first: it ends the transaction whose snapshot the readers share.
    let definitions = catalog?.iter().map(definition).collect();
    read?;
    let mut database = database.into_inner().unwrap_or_default();
    database.definitions = definitions;
    leader.batch_execute("COMMIT").await?;
    Ok(database)
}

async fn open_reader(door: &Door, snapshot: &str) -> Result<Session, Error> {
    let session = door.open().await?;
    let begin =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'");
    session.batch_execute(&begin).await?;
    Ok(session)
}

/// Reads a table in full. The array and `unnest` keep the server from making the row's text twice.
async fn read_table(session: &Session, table: &Table, what: &Measure) -> Result<TableContent, Error> {
    let [first, second] = SEEDS;
    let filter = match &what.without_xid {
        Some(xid) if !table.system => format!("WHERE {ROW}.xmin <> '{xid}'::xid"),
        _ => String::new(),
    };
    let query = format!(
        "SELECT count(*), sum(hashtextextended(line COLLATE \"C\", {first}))::text, \
                sum(hashtextextended(line COLLATE \"C\", {second}))::text \
           FROM ONLY {} AS {ROW}, LATERAL unnest(ARRAY[{ROW}::text]) AS line {filter}",
        table.quoted
    );
    let row = session.query_one(query.as_str(), &[]).await?;
    let rows: i64 = row.get(0);
    let sums: (Option<String>, Option<String>) = (row.get(1), row.get(2));
    let fingerprint = match sums {
        (Some(first), Some(second)) => format!("{first}:{second}"),
        _ => String::new(),
    };
    Ok(TableContent { rows: rows.unsigned_abs(), fingerprint })
}

fn note(database: &Mutex<Database>, table: &Table, content: Result<TableContent, String>) {
    if let Ok(mut database) = database.lock() {
        if table.system {
            database.system.insert(table.name.clone(), content.err());
        } else {
            database.tables.insert(table.name.clone(), content);
        }
    }
}

fn definition(row: &Row) -> ((String, String), Definition) {
    let text: Option<String> = row.get("definition");
    let table: Option<String> = row.get("on_table");
    let key = (row.get("kind"), row.get("name"));
    (key, Definition { table: table.unwrap_or_default(), text: text.unwrap_or_default() })
}

impl Content {
    /// Every table as `database.schema.table` with its content.
    pub fn tables(&self) -> impl Iterator<Item = (String, &Result<TableContent, String>)> {
        self.databases.iter().flat_map(|(database, held)| {
            held.tables.iter().map(move |(table, content)| (format!("{database}.{table}"), content))
        })
    }

    /// The tables that both hold, as `database.schema.table` with the content here and there. One that could not be
    /// read on either side is left out: that is for `read-all`, and for the capture, to say.
    pub fn in_both<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (String, &'a TableContent, &'a TableContent)> {
        self.databases.iter().flat_map(|(database, here)| {
            let there = other.databases.get(database);
            here.tables.iter().filter_map(move |(table, content)| {
                let (Ok(here), Some(Ok(there))) = (content, there.and_then(|there| there.tables.get(table)))
                else {
                    return None;
                };
                Some((format!("{database}.{table}"), here, there))
            })
        })
    }

    /// Number of definitions.
    pub fn definitions(&self) -> u64 {
        self.databases.values().map(|database| database.definitions.len() as u64).sum()
    }
}
