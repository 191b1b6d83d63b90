//! Sends the fixture into a server: tables first, then rows, keys and indexes on two connections, then foreign keys.
//!
//! The two tables that hold most rows go side by side, each with its indexes. Each table is truncated in the transaction that fills it, so
//! that its rows can be written frozen: nothing has to be written again when they are first read.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{SinkExt, pin_mut};
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::LoadEvidence;
use pgdrill_model::scenario::Tablespace;
use sha2::{Digest, Sha256};
use tokio_postgres::Error;

use crate::data::copy::{Stream, TABLES, Table};
use crate::data::{CONSTRAINTS_SQL, DATABASE, GRANTS_SQL, INTEGRITY_SQL, SCHEMA_SQL};
use crate::record::Recorder;
use crate::session::{Door, SUPERUSER, Session, Socket};

/// What each connection loads, in order.
const LANES: [&[Table]; 2] =
    [&[Table::Order], &[Table::User, Table::Strategy, Table::Position, Table::AuditLog]];

/// Enough to sort the keys of a large table in memory.
const BUILD_SETTINGS: &str = "SET maintenance_work_mem = '256MB'";

struct Loaded {
    table: Table,
    rows: u64,
    bytes: u64,
    sha256: [u8; 32],
}

/// Loads the fixture with `orders` orders made from `seed` into the server behind `socket`, each table with its indexes
/// into the one of `tablespaces` that it belongs to. `took_us` of the
/// evidence is left for the caller.
///
/// # Errors
///
/// What the server answered.
pub async fn load(
    socket: &Socket,
    seed: u64,
    orders: u64,
    tablespaces: &[Tablespace],
    recorder: &Recorder<'_>,
) -> Result<LoadEvidence, Error> {
    let session = Door::superuser(socket, SUPERUSER).open().await?;
    session.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    let door = Door::superuser(socket, DATABASE);
    let session = door.open().await?;
    session.batch_execute(SCHEMA_SQL).await?;
    place(&session, tablespaces).await?;
    let (keys, references) = constraints();
    let lanes = LANES.map(async |tables| {
        let loaded = fill(&door, tables, seed, orders, recorder).await?;
        build(&door, tables, tablespaces, &keys).await?;
        Ok::<_, Error>(loaded)
    });
    let mut loaded: Vec<Loaded> =
        futures_util::future::try_join_all(lanes).await?.into_iter().flatten().collect();
    let session = door.open().await?;
    for statement in references {
        recorder.progress("foreign keys", 0, None, Unit::Tables);
        session.batch_execute(statement).await?;
    }
    session.batch_execute(GRANTS_SQL).await?;
    session.batch_execute(INTEGRITY_SQL).await?;
    loaded.sort_by_key(|loaded| TABLES.iter().position(|table| *table == loaded.table));
    let mut hash = Sha256::new();
    loaded.iter().for_each(|loaded| hash.update(loaded.sha256));
    Ok(LoadEvidence {
        rows: loaded
            .iter()
            .map(|loaded| (loaded.table.name().to_owned(), loaded.rows))
            .collect::<BTreeMap<_, _>>(),
        bytes: loaded.iter().map(|loaded| loaded.bytes).sum(),
        sha256: hex::encode(hash.finalize()),
        took_us: 0,
        template: None,
    })
}

/// Puts the tables, which are still empty, into their tablespaces.
async fn place(session: &Session, tablespaces: &[Tablespace]) -> Result<(), Error> {
    for Tablespace { name, tables } in tablespaces {
        for table in tables {
            session.batch_execute(&format!("ALTER TABLE \"{table}\" SET TABLESPACE \"{name}\"")).await?;
        }
    }
    Ok(())
}

async fn fill(
    door: &Door,
    tables: &[Table],
    seed: u64,
    orders: u64,
    recorder: &Recorder<'_>,
) -> Result<Vec<Loaded>, Error> {
    let mut session = door.open().await?;
    let mut all = Vec::new();
    for table in tables {
        let name = table.name();
        let transaction = session.client().transaction().await?;
        transaction.batch_execute(&format!("TRUNCATE \"{name}\"")).await?;
        let sink =
            transaction.copy_in(&format!("COPY \"{name}\" FROM STDIN (FORMAT binary, FREEZE)")).await?;
        pin_mut!(sink);
        let mut stream = Stream::new(*table, seed, orders);
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut chunk = Vec::new();
        while stream.next_chunk(&mut chunk) {
            hash.update(&chunk);
            bytes += chunk.len() as u64;
            let capacity = chunk.len();
            sink.send(Bytes::from(std::mem::replace(&mut chunk, Vec::with_capacity(capacity)))).await?;
            if *table == Table::Order {
                recorder.progress("copy \"Order\"", stream.rows, Some(orders), Unit::Rows);
            }
        }
        sink.finish().await?;
        transaction.commit().await?;
        all.push(Loaded { table: *table, rows: stream.rows, bytes, sha256: hash.finalize().into() });
    }
    Ok(all)
}

/// Builds the keys and indexes of `tables`.
async fn build(
    door: &Door,
    tables: &[Table],
    tablespaces: &[Tablespace],
    statements: &[&str],
) -> Result<(), Error> {
    let session = door.open().await?;
    session.batch_execute(BUILD_SETTINGS).await?;
    for statement in statements {
        let of_these = |table: &&Table| {
            let name = table.name();
            statement.contains(&format!("ON \"{name}\" ("))
                || statement.contains(&format!("ALTER TABLE \"{name}\" "))
        };
        if let Some(table) = tables.iter().find(of_these) {
            let own = tablespaces
                .iter()
                .find(|tablespace| tablespace.tables.iter().any(|name| name == table.name()));
            let own = own.map_or("", |tablespace| tablespace.name.as_str());
            if !tablespaces.is_empty() {
                session.batch_execute(&format!("SET default_tablespace = '{own}'")).await?;
            }
            session.batch_execute(statement).await?;
        }
    }
    Ok(())
}

/// The statements of `constraints.sql`: those that build a table's own keys and indexes, and those that need them.
fn constraints() -> (Vec<&'static str>, Vec<&'static str>) {
    CONSTRAINTS_SQL
        .split_inclusive(";\n")
        .filter(|statement| statement.trim().len() > 1)
        .partition(|statement| statement.contains("PRIMARY KEY") || statement.contains("INDEX"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_names_the_tables_that_there_are() {
        assert_eq!(TABLES.map(Table::name), pgdrill_model::scenario::FIXTURE_TABLES);
    }

    #[test]
    fn each_statement_is_in_one_part_and_each_key_in_one_lane() {
        let (keys, references) = constraints();
        assert_eq!((keys.len(), references.len()), (12, 9));
        for statement in keys {
            let named: Vec<&Table> = TABLES
                .iter()
                .filter(|table| {
                    statement.contains(&format!("ON \"{}\" (", table.name()))
                        || statement.contains(&format!("ALTER TABLE \"{}\" ", table.name()))
                })
                .collect();
            assert_eq!(named.len(), 1, "{statement}");
        }
    }
}
