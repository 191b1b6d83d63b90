//! What a server holds: the rows and fingerprint of every table of every database, under one snapshot per database. The primary is measured before the disaster and the recovered server after, by the same
//! code, so that the two can be compared.
//!
//! A table's fingerprint is two sums, over all rows, of the 64-bit hash of the row's text
//! (`hashtextextended(row::text COLLATE "C", seed)`) with two seeds, under fixed text settings: independent of the
//! order of rows, the same for PostgreSQL 13 to 18 and every type. It sees every value, also 1.0 against 1.00. It
//! does not see unlogged tables (empty after a restore, as they should be), nor what is no row: indexes, free space,
//! statistics, the physical order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use pgdrill_model::event::Unit;
use pgdrill_model::evidence::TableContent;
use tokio_postgres::{Client, Error};

use crate::connections::{Connected, Connections};
use crate::record::Recorder;
use crate::session::{Door, SUPERUSER, Session, Socket, describe, tells_of_data};

const DATABASES: &str = include_str!("sql/databases.sql");
const TABLES: &str = include_str!("sql/tables.sql");

/// Seeds of the two hashes; part of the method, never changed.
pub const SEEDS: [i64; 2] = [0x7067_6472_696C_6C31, 0x7067_6472_696C_6C32];

/// Names a row in SQL so that no column has the name.
const ROW: &str = "pgdrill_row_4c1d";

/// The same for its text: a column of the table may have any shorter name.
const LINE: &str = "pgdrill_line_4c1d";

/// Connections that read one server at the same time.
const READERS: usize = 2;

/// Tables that a reader reads in one transaction. Each stays locked, with its indexes, until the transaction ends, and
/// a server has room for some thousands of locks.
const TABLES_AT_ONCE: usize = 64;

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    /// Read the tables of the system catalog too. Their content is not compared, only read.
    pub system: bool,
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
    pub tables: BTreeMap<String, Result<TableContent, Unread>>,
    /// The partitions among them, each with the table that it is of in the end.
    pub partitions: BTreeMap<String, String>,
    /// System tables: `None` when they could be read in full, else why not.
    pub system: BTreeMap<String, Option<Unread>>,
}

/// Why a table could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The server's words.
    pub words: String,
    /// Whether they tell of the table. If not, the moment was wrong: it was locked, or the server ran out of something.
    pub damaged: bool,
}

struct Table {
    name: String,
    quoted: String,
    system: bool,
    partitioned: Option<String>,
}

/// The databases of a server that can be connected to.
pub async fn databases(session: &Session) -> Result<Vec<String>, Error> {
    Ok(session.query(DATABASES, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Measures the server behind `socket`.
///
/// # Errors
///
/// A server that cannot be asked. A table that cannot be read is part of the content, not an error.
pub async fn measure(
    socket: &Socket,
    what: &Measure,
    connections: &Connections,
    recorder: &Recorder<'_>,
) -> Result<Content, Error> {
    let names = databases(&*connections.open(&Door::reading(socket, SUPERUSER)).await?).await?;
    let mut content = Content::default();
    for name in names {
        let door = Door::reading(socket, &name);
        let database = measure_database(&door, what, connections, recorder).await?;
        content.databases.insert(name, database);
    }
    Ok(content)
}

async fn measure_database(
    door: &Door,
    what: &Measure,
    connections: &Connections,
    recorder: &Recorder<'_>,
) -> Result<Database, Error> {
    let name = &door.database;
    let leader = connections.open(door).await?;
    leader.begin_reading(None).await?;
    let snapshot = leader.export_snapshot().await?;
    let tables: Vec<Table> = leader
        .query(TABLES, &[])
        .await?
        .iter()
        .map(|row| Table {
            name: row.get("name"),
            quoted: row.get("quoted"),
            system: row.get("system"),
            partitioned: row.get("partitioned"),
        })
        .filter(|table| what.system || !table.system)
        .collect();
    let total = tables.len() as u64;
    let of = |table: &Table| Some((table.name.clone(), table.partitioned.clone()?));
    let partitions = tables.iter().filter_map(of).collect();
    let queue = Mutex::new(tables.into_iter());
    let database = Mutex::new(Database { partitions, ..Database::default() });
    let done = Mutex::new(0_u64);
    let read_tables = async || -> Result<(), Error> {
        let mut reader: Option<Connected<'_>> = None;
        let mut held = 0;
        loop {
            let next = queue.lock().ok().and_then(|mut tables| tables.next());
            let Some(table) = next else { return Ok(()) };
            let session = match reader.take() {
                Some(session) if held < TABLES_AT_ONCE => session,
                Some(session) => {
                    session.batch_execute("COMMIT").await?;
                    session.begin_reading(Some(&snapshot)).await?;
                    held = 0;
                    session
                }
                None => {
                    let session = connections.open(door).await?;
                    session.begin_reading(Some(&snapshot)).await?;
                    session
                }
            };
            held += 1;
            match read_table(&session, &table, what).await {
                Ok(content) => {
                    note(&database, &table, Ok(content));
                    reader = Some(session);
                }
                // The failed statement ended the transaction; the next table gets a new session.
                Err(error) if error.as_db_error().is_some() && !session.is_closed() => {
                    let unread = Unread { words: describe(&error), damaged: tells_of_data(&error) };
                    note(&database, &table, Err(unread));
                }
                Err(error) => return Err(error),
            }
            if let Ok(mut done) = done.lock() {
                *done += 1;
                recorder.progress(&format!("read {name}"), *done, Some(total), Unit::Tables);
            }
        }
    };
    // One future per reader; the leader's session holds the snapshot meanwhile.
    let readers: Vec<_> = (0..READERS).map(|_| read_tables()).collect();
    futures_util::future::try_join_all(readers).await?;
    leader.batch_execute("COMMIT").await?;
    Ok(database.into_inner().unwrap_or_default())
}

async fn read_table(session: &Session, table: &Table, what: &Measure) -> Result<TableContent, Error> {
    let without = what.without_xid.as_deref().filter(|_| !table.system);
    fingerprint(session, &table.quoted, without).await
}

/// Reads the table `quoted` in full, in the session's own transaction; without the rows that a transaction wrote, where
/// one is named. The array and `unnest` keep the server from making the row's text twice.
///
/// # Errors
///
/// What the server answered.
pub async fn fingerprint(
    session: &Client,
    quoted: &str,
    without_xid: Option<&str>,
) -> Result<TableContent, Error> {
    let [first, second] = SEEDS;
    let filter = without_xid.map_or_else(String::new, |xid| format!("WHERE {ROW}.xmin <> '{xid}'::xid"));
    let query = format!(
        "SELECT count(*), sum(hashtextextended({LINE} COLLATE \"C\", {first}))::text, \
                sum(hashtextextended({LINE} COLLATE \"C\", {second}))::text \
           FROM ONLY {quoted} AS {ROW}, LATERAL unnest(ARRAY[{ROW}::text]) AS {LINE} {filter}"
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

fn note(database: &Mutex<Database>, table: &Table, content: Result<TableContent, Unread>) {
    if let Ok(mut database) = database.lock() {
        if table.system {
            database.system.insert(table.name.clone(), content.err());
        } else {
            database.tables.insert(table.name.clone(), content);
        }
    }
}

impl Content {
    /// Every table as `database.schema.table` with its content.
    pub fn tables(&self) -> impl Iterator<Item = (String, &Result<TableContent, Unread>)> {
        self.databases.iter().flat_map(|(database, held)| {
            held.tables.iter().map(move |(table, content)| (format!("{database}.{table}"), content))
        })
    }

    /// The rows of each table, as `database.schema.table`, partitions with the table that they are of; and the tables that could
    /// not be read in full, so that nobody knows.
    pub fn rows(&self) -> (BTreeMap<String, u64>, BTreeSet<String>) {
        let mut rows: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for (name, database) in &self.databases {
            for (table, held) in &database.tables {
                let table = database.partitions.get(table).unwrap_or(table);
                let sum = rows.entry(format!("{name}.{table}")).or_insert(Some(0));
                *sum = sum.zip(held.as_ref().ok()).map(|(sum, held)| sum + held.rows);
            }
        }
        let unread = rows.iter().filter(|(_, rows)| rows.is_none()).map(|(table, _)| table.clone()).collect();
        (rows.into_iter().filter_map(|(table, rows)| Some((table, rows?))).collect(), unread)
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

    /// The first table that could not be read although nothing says that it is damaged, and why.
    pub fn undecided(&self) -> Option<String> {
        let own = self.tables().filter_map(|(table, held)| Some((table, held.as_ref().err()?)));
        let system = self.databases.iter().flat_map(|(name, database)| {
            let unread = database.system.iter().filter_map(|(table, unread)| Some((table, unread.as_ref()?)));
            unread.map(move |(table, unread)| (format!("{name}.{table}"), unread))
        });
        let mut unread = own.chain(system).filter(|(_, unread)| !unread.damaged);
        unread.next().map(|(table, unread)| format!("table {table} could not be read: {}", unread.words))
    }
}
